"""An environment of a thousand zones over real HTTP and DNS: heal asks the API about what drifted, and about nothing else."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from sophia_cli import sandbox
from sophia_cli.cli.clock import SystemClock
from sophia_cli.core.dns import Record, Zone
from sophia_cli.core.history import Snapshot
from sophia_cli.flows.drift import SEEN
from sophia_cli.sandbox import Sandbox
from sophia_cli.sandbox.account import Account, Domain, Row, ordered
from sophia_cli.sandbox.data import DataFile
from sophia_cli.store.local import local_store

COUNT = 1000
DRIFTED = ("zone-0007.example", "zone-0500.example", "zone-0901.example")
ROWS = (("@", "A", "203.0.113.1"), ("api", "A", "203.0.113.2"), ("_dmarc", "TXT", "v=DMARC1; p=reject"))


@dataclass(frozen=True)
class Estate:
    """A thousand zones that are as the environment says."""

    box: Sandbox
    file: Path

    def heal(self, *words: str) -> tuple[int, Counter[str], set[str], str]:
        """One process: its exit code, the API calls by command, the zones they were about, and what it said."""
        self.box.control(forget=True)
        done = subprocess.run(
            [sys.executable, "-m", "sophia_cli", "heal", "-e", str(self.file), *words],
            capture_output=True,
            text=True,
            cwd=self.file.parent,
            env={"PYTHONPATH": str(Path(__file__).parents[2]), "HOME": str(self.file.parent)},
            timeout=120,
        )
        calls = self.box.control()["calls"]
        assert "Traceback" not in done.stderr
        commands = Counter(entry["command"].rpartition(".")[2] for entry in calls)
        return done.returncode, commands, {entry["domain"] for entry in calls} - {""}, done.stdout + done.stderr


def account_of(account: Account) -> tuple[Account, None]:
    domains, number = {}, account.next_id
    for index in range(COUNT):
        name, rows = f"zone-{index:04}.example", []
        for host, kind, address in ROWS:
            number += 1
            rows.append(Row(number, host, kind, address))
        number += 1
        days = (date(2026, 1, 1), date(2099, 1, 1))
        domains[name] = Domain(name, number, account.username, *days, email_type="NONE", rows=ordered(rows))
    return replace(account, domains=domains, next_id=number + 1), None


async def remember(state: Path) -> None:
    """What an earlier pass noted of each zone."""
    store, now = local_store(state, SystemClock()), datetime.now(UTC)
    for index in range(COUNT):
        name = f"zone-{index:04}.example"
        zone = Zone.of(name, "NONE", [Record(host, kind, value, 1800) for host, kind, value in ROWS])
        await store.snapshots.save(SEEN, Snapshot(f"dns:{name}", now, zone))


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    data = tmp_path / "namecheap.json"
    DataFile(data).update(account_of)
    with sandbox.running(data) as box:
        lines = ["values:", "  dns:", f'    nameservers: ["{box.dns}"]', "    ttl: 1800", "    domains:"]
        for index in range(COUNT):
            lines += [f"      zone-{index:04}.example:", "        records:"]
            lines += [
                f'          r{number}: {{type: {kind}, name: "{host}", value: "{value}"}}'
                for number, (host, kind, value) in enumerate(ROWS)
            ]
        lines += ["  namecheap:", f"    endpoint: {box.endpoint}"]
        keys = {"api_user": box.api_user, "api_key": box.api_key, "username": box.username}
        lines += [f"    {key}: {{fn::secret: {value}}}" for key, value in keys.items()]
        file = tmp_path / "work" / "all.yaml"
        file.parent.mkdir()
        file.write_text("\n".join(lines) + "\n")
        asyncio.run(remember(file.parent / ".sophia"))
        yield Estate(box, file)


def test_heal_over_a_thousand_zones_reads_by_api_only_what_drifted(estate: Estate) -> None:
    code, calls, zones, said = estate.heal()
    assert code == 0, said
    assert calls == {}
    assert estate.box.control()["questions"] >= COUNT * len(ROWS)  # all of it was asked of the name server

    for zone in DRIFTED:
        moved = {"name": "api", "type": "A", "address": "198.51.100.9"}
        estate.box.edit(zone, add=[moved], remove=[{"name": "api", "type": "A"}])
    code, calls, zones, said = estate.heal()
    assert code == 2, said
    assert zones == set(DRIFTED)
    assert (calls["getHosts"], calls["getInfo"]) == (3, 3)
    assert calls["getList"] <= 1 + len(DRIFTED)  # not the ten pages of the account
    assert all(zone in said for zone in DRIFTED)
