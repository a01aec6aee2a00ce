"""Two machines and one state on a Redis server: what one was told, taught, measured or has begun, the other one knows."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sophia_cli.core.trends import Sample
from sophia_cli.sandbox import peek
from sophia_cli.store.measurements import StoredMeasurements
from sophia_cli.store.open import open_documents
from tests.cli.harness import DOMAIN, Shop, spawn
from tests.cli.test_analyze_web import serving
from tests.cli.test_terminal import ended, terminal
from tests.providers.test_notify import hook
from tests.providers.web_servers import answer, says
from tests.store.forms import RedisProcess, served, shared_server

pytestmark = pytest.mark.server
API = "{type: A, value: 203.0.113.10, name: api, ttl: 1800}"
APEX = '{type: A, value: 203.0.113.10, name: "@", ttl: 1800}'


@dataclass
class Machines:
    """Two folders with the same environment, each with local state of its own, and the URL of the shared one."""

    one: Shop
    other: Shop
    url: str

    def environment(self, *records: str, dns: str = "", more: str = "") -> None:
        self.one.environment(*records, dns=dns, more=more)
        shutil.copy(self.one.file, self.other.file)


def machines(acme: Shop, folder: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Machines:
    (folder / "other").mkdir()
    monkeypatch.setenv("SOPHIA_STATE", url)
    return Machines(acme, Shop(acme.sandbox, folder / "other", acme.data_file), url)


@pytest.fixture
def team(acme: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    return machines(acme, tmp_path, shared_server().url("t" + os.urandom(6).hex()), monkeypatch)


@pytest.fixture
def server() -> Iterator[RedisProcess]:
    with served(keep=True) as found:
        yield found


# -- alerts -------------------------------------------------------------------------------------------------------------


def broken(team: Machines, url: str) -> None:
    """A zone without the address of the domain itself, which heal may only tell."""
    team.environment(APEX, more=f"monitoring: {{webhook: {{fn::secret: {url}}}}}")
    team.one.run("deploy", "--yes")
    team.one.sandbox.edit(DOMAIN, remove=[{"name": "@", "type": "A"}])


def test_two_machines_whose_cron_finds_the_same_fault_tell_it_once(team: Machines) -> None:
    with hook() as (got, url):
        broken(team, url.get_secret_value())
        with ThreadPoolExecutor() as pool:  # at the same minute, as cron does
            ran = list(
                pool.map(
                    lambda shop: spawn("heal", "-e", str(shop.file), "--wait", "0", cwd=shop.folder),
                    (team.one, team.other),
                )
            )
        assert all(one.code in (2, 6) for one in ran), ran
        assert got
        assert team.other.run("heal").code == 2
        keys = [body["data"]["key"] for _, body in got]
        assert len(keys) == len(set(keys)), keys


def test_a_memory_of_alerts_that_cannot_be_read_tells_nobody_and_says_so(team: Machines) -> None:
    with hook() as (got, url):
        broken(team, url.get_secret_value())
        assert team.one.run("heal").code == 2
        told = len(got)
        assert told
        with shared_server().client() as client:
            (key,) = client.keys(f"{team.url.rpartition('=')[2]}:alerts")
            client.set(key, b'{"torn')
            for shop in (team.one, team.other):
                ran = shop.run("heal")
                assert (ran.code, len(got)) == (2, told)
                assert "could not be told by webhook" in ran.err
                assert "alerts is not readable state" in ran.err
                assert "Traceback" not in ran.err
            assert client.get(key) == b'{"torn'


# -- learning -----------------------------------------------------------------------------------------------------------


def test_what_is_rejected_on_one_machine_makes_the_other_less_sure(team: Machines) -> None:
    wishes = "ai_infrastructure: {learning_mode: true, optimization_level: balanced}"
    team.environment(API, dns="ttl: 600", more=wishes)
    team.one.run("deploy", "--yes")
    with terminal(team.one, "deploy", "--ai-enhanced") as child:
        while child.expect(["Accept this proposal", "Nothing to do"]) == 0:
            child.sendline("no")
        assert ended(child) == 0
    for shop in (team.one, team.other):
        rules = {one["rule"]: one for one in shop.run("config", "learning", "-o", "json").data["rules"]}
        assert (rules["CONFIG-TTL-LONG"]["rejected"], rules["CONFIG-TTL-LONG"]["confidence"]) == (1, 0.73)


# -- measurements -------------------------------------------------------------------------------------------------------


def test_a_regression_is_seen_from_the_measurements_of_both_machines(team: Machines) -> None:
    def slow(request: bytes) -> bytes:
        time.sleep(0.08)
        return answer(200, b"ok")

    def titles(shop: Shop) -> list[str]:
        found = shop.run("analyze", "--agent", "performance", "-o", "json").data["findings"]
        return [one["title"] for one in found if "slower than in the last good period" in one["title"]]

    with serving(says(slow)) as url:
        team.environment(API, more=f"monitoring: {{ping_endpoints: ['{url}/']}}")
        assert titles(team.one) == []
        kept, target = StoredMeasurements(open_documents(team.url)), f"dns:{DOMAIN}"
        assert f"web {url}/" in asyncio.run(kept.of(target))
        past = datetime.now(UTC) - timedelta(days=2)
        for hour in range(10):  # what either machine measured the day before
            quick = Sample(past + timedelta(hours=hour), 0.002)
            asyncio.run(kept.add(target, {f"web {url}/": quick}))
        assert titles(team.other) == []
        assert titles(team.one) == [f"slower than in the last good period: {url}/"]  # its third in a row, of both
        assert not list(team.one.folder.rglob("measurements"))


# -- secrets ------------------------------------------------------------------------------------------------------------


def test_a_secret_is_as_old_on_one_machine_as_on_the_other_and_rotated_by_one_of_them(team: Machines) -> None:
    team.environment(API, more="app:\n  password: {fn::secret: hunter2-hunter2-hunter2}")

    def ages(shop: Shop) -> dict[str, str]:
        found = shop.run("secrets", "list", "--no-history", "-o", "json").data["secrets"]
        return {one["path"]: one["first_seen"] for one in found}

    first = ages(team.one)
    assert len(first) == 4
    assert ages(team.other) == first
    assert team.one.run("secrets", "rotate", "app.password", "--yes", "--hold").code == 0
    text = team.other.file.read_text()
    ran = team.other.run("secrets", "rotate", "app.password", "--yes")
    assert ran.code == 3
    assert "is open on another machine" in ran.err
    assert team.other.file.read_text() == text
    assert team.one.run("secrets", "rotate", "app.password", "--yes").code == 0
    new = team.one.file.read_text().split("password: {fn::secret: ")[1].split("}")[0]
    with shared_server().client() as client:
        kept = b"".join(client.dump(key) for key in client.keys(f"{team.url.rpartition('=')[2]}:*"))
    key = next(team.one.folder.rglob("secrets/key.json")).read_text().split('"')[3]
    assert not any(secret.encode() in kept for secret in ("hunter2-hunter2", new, key))
    shutil.copy(team.one.file, team.other.file)
    assert ages(team.other) == ages(team.one)
    assert team.other.run("secrets", "rotate", "app.password", "--yes").code == 0


def test_doctor_names_the_server_that_it_looked_at(team: Machines) -> None:
    team.environment(API)
    (state,) = [one for one in team.one.run("doctor", "-o", "json").data["checks"] if one["name"] == "state"]
    assert "unix://" in state["message"]
    assert "audit events" in state["message"]


# -- the server goes ----------------------------------------------------------------------------------------------------


def test_without_its_server_a_machine_neither_tells_nor_writes(
    acme: Shop, tmp_path: Path, server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = machines(acme, tmp_path, server.url(), monkeypatch)
    with hook() as (got, url):
        broken(team, url.get_secret_value())
        server.kill()
        for words in (("heal",), ("secrets", "list", "--no-history"), ("config", "learning"), ("deploy", "--yes")):
            ran = team.other.run(*words)
            assert ran.code == 1, (words, ran)
            assert "cannot be reached" in ran.err
            assert "Traceback" not in ran.err
        assert got == []
        domain = peek(acme.data_file, DOMAIN)
        assert domain is not None
        assert not any((row.name, row.type) == ("@", "A") for row in domain.rows)
        server.start()
        assert team.other.run("heal").code == 2
        assert got
