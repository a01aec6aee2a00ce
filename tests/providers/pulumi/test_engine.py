"""The real engine with its faults: killed, locked, slow, refusing, raising; and what is left on disk afterwards."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from sophia_cli.core.errors import (
    CredentialsRejected,
    InvalidEnvironment,
    Locked,
    ProviderRefused,
    SophiaError,
    StateError,
)
from sophia_cli.core.settings import Pulumi
from sophia_cli.core.stack_steps import EngineStep
from sophia_cli.providers.pulumi.engine import TimeLimits
from sophia_cli.providers.pulumi.target import StackTarget
from tests.providers.pulumi.cli import has_host, needs_engine
from tests.providers.pulumi.contract import STASH, TOKEN, actions, made
from tests.providers.pulumi.stacks import PASSPHRASE, Site, holding

pytestmark = needs_engine
YAML_HOST = has_host("yaml")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.at(tmp_path)


async def propose_and_write(target: StackTarget) -> None:
    part = await target.propose()
    await target.write(part.changes, part.snapshot)


def slow(site: Site, seconds: float) -> dict[str, Any]:
    return {"kind": "slow", "name": "slow", "path": site.path("slow"), "seconds": seconds}


def test_no_secret_stays_in_the_clear_after_success_failure_or_a_kill(site: Site, tmp_path: Path) -> None:
    site.process["TMPDIR"] = str(tmp_path / "elsewhere")

    async def story() -> None:
        await made(site, STASH)
        site.list(STASH, {"kind": "fail", "name": "fails", "text": "x"})
        with pytest.raises(ProviderRefused) as failed:
            await propose_and_write(site.target())
        assert "quota exceeded for x" in failed.value.message
        site.list(STASH, slow(site, 60))
        target = site.target()
        part = await target.propose()
        task = asyncio.create_task(target.write(part.changes, part.snapshot))
        await _until(site.root / "slow")
        os.kill(_pid_of_up(site), signal.SIGKILL)
        with pytest.raises(SophiaError):
            await task

    asyncio.run(story())
    for text in (TOKEN, PASSPHRASE):
        assert holding(tmp_path, text) == []
    assert list((site.state / "pulumi" / "tmp").iterdir()) == []
    assert not (site.state / "pulumi" / "home" / "logs").exists()


def test_a_killed_cli_leaves_a_stack_that_says_what_was_cut_off_and_is_not_locked(site: Site) -> None:
    async def story() -> None:
        await made(site, site.a_file("page", "one"))
        site.list(site.a_file("page", "one"), slow(site, 60))
        target = site.target()
        part = await target.propose()
        task = asyncio.create_task(target.write(part.changes, part.snapshot))
        await _until(site.root / "slow")
        os.kill(_pid_of_up(site), signal.SIGKILL)
        with pytest.raises(SophiaError) as killed:
            await task
        assert "signal 9" in killed.value.message
        after = await target.read()
        assert [one.split()[0] for one in after.content.pending] == ["creating"]
        assert any("cut off" in note for note in after.notes)
        assert target.compare(part.changes, part.snapshot, after).states[-1] == "before"
        site.list(site.a_file("page", "two"))
        await propose_and_write(site.target())
        assert (site.root / "page").read_text() == "two"

    asyncio.run(story())


def test_a_cancelled_write_stops_the_engine_cleanly(site: Site) -> None:
    async def story() -> None:
        await made(site)
        site.list(slow(site, 2), {**site.a_file("page", "after")})
        target = site.target()
        part = await target.propose()
        task = asyncio.create_task(target.write(part.changes, part.snapshot))
        await _until(site.root / "slow")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await target.history(1))[0].result in ("failed", "succeeded")
        assert not list((site.root / "backend" / ".pulumi" / "locks").rglob("*.json"))
        await propose_and_write(site.target())

    asyncio.run(story())


def test_a_stack_that_is_locked_names_its_holder_and_nothing_is_written(site: Site) -> None:
    async def story() -> None:
        await made(site, site.a_file("page", "one"))
        site.list(site.a_file("page", "two"))
        target = site.target()
        part = await target.propose()
        lock = site.root / "backend" / ".pulumi" / "locks" / "organization" / "shop" / "prod" / "0b0b.json"
        lock.parent.mkdir(parents=True, exist_ok=True)
        holder = {"pid": 4242, "username": "ada", "hostname": "builder", "timestamp": "2026-11-22T18:20:00.1Z"}
        lock.write_text(json.dumps(holder))
        with pytest.raises(Locked) as locked:
            await target.write(part.changes, part.snapshot)
        assert "ada@builder (process 4242) since 2026-11-22T18:20:00Z" in locked.value.message
        assert lock.exists()
        assert (site.root / "page").read_text() == "one"
        await target.cancel()
        await target.write(part.changes, part.snapshot)
        assert (site.root / "page").read_text() == "two"

    asyncio.run(story())


def test_a_program_that_raises_is_explained_without_its_secrets(site: Site) -> None:
    async def story() -> None:
        await made(site, site.a_file("page", "one"))
        base = (await site.target().read()).digest
        site.list(site.a_file("page", "two"), {"kind": "raise", "name": "x"})
        with pytest.raises(InvalidEnvironment) as raised:
            await site.target().propose()
        assert "ValueError: boom" in raised.value.message
        assert TOKEN not in raised.value.message
        assert (await site.target().read()).digest == base

    asyncio.run(story())


def test_a_display_that_raises_stops_no_update_and_is_reported(site: Site) -> None:
    def broken(step: EngineStep) -> None:
        raise ZeroDivisionError("no columns")

    async def story() -> None:
        await made(site)
        site.list(site.a_file("page", "one"))
        target = site.target(on_step=broken)
        await propose_and_write(target)
        assert (site.root / "page").read_text() == "one"
        assert "ZeroDivisionError: no columns" in target.notes[0]

    asyncio.run(story())


def test_an_update_tells_of_each_resource_as_it_begins_and_ends(site: Site) -> None:
    seen: list[tuple[str, str, str]] = []

    async def story() -> None:
        site.list(site.a_file("page", "one"))
        target = site.target(on_step=lambda step: seen.append((step.phase, step.op, step.urn.rpartition("::")[2])))
        await propose_and_write(target)

    asyncio.run(story())
    assert seen.index(("begin", "create", "page")) < seen.index(("end", "create", "page"))


def test_a_wrong_passphrase_is_explained_and_changes_nothing(site: Site) -> None:
    async def story() -> None:
        await made(site, STASH)
        text = site.file.read_text()
        site.settings = replace(site.settings, passphrase=SecretStr("another"))
        for look in (site.target().read, site.target().propose):
            with pytest.raises(CredentialsRejected):
                await look()
        assert site.file.read_text() == text

    asyncio.run(story())


def test_an_update_that_outlives_its_time_is_stopped_and_the_stack_is_free(site: Site) -> None:
    async def story() -> None:
        await made(site)
        site.list(slow(site, 60))
        target = site.target(limits=TimeLimits(update_s=3))
        part = await target.propose()
        with pytest.raises(StateError, match="did not end within 3 s"):
            await target.write(part.changes, part.snapshot)
        assert not list((site.root / "backend" / ".pulumi" / "locks").rglob("*.json"))

    site.grace_s = 0.5
    asyncio.run(story())


def test_looking_changes_neither_the_project_nor_the_selected_stack(site: Site) -> None:
    async def story() -> None:
        await made(site, site.a_file("page", "one"))
        site.file.write_text(f"# mine\n{site.file.read_text()}")
        before = _contents(site)
        site.list(site.a_file("page", "one"))
        target = site.target()
        await target.propose()
        await target.drift()
        await target.history()
        await target.outputs()
        assert _contents(site) == before
        assert not list((site.state / "pulumi" / "home").rglob("*workspace*.json"))

    asyncio.run(story())


def test_a_service_on_loopback_is_a_resource_like_any_other(site: Site, service: list[str]) -> None:
    async def story() -> None:
        site.list({"kind": "call", "name": "hook", "url": f"http://127.0.0.1:{service[0]}/", "body": "hello"})
        target = site.target()
        part = await target.propose()
        assert service[1:] == []
        await target.write(part.changes, part.snapshot)
        assert service[1:] == ["hello"]
        assert (await target.outputs())["hook"].value == "made-1"

    asyncio.run(story())


def test_an_inline_function_is_a_program_and_keeps_its_salt(site: Site) -> None:
    (site.root / "code").mkdir()
    (site.root / "code" / "web.py").write_text(
        "import pulumi\n\n\ndef stack():\n    token = pulumi.Config().require_secret('token')\n"
        "    pulumi.export('made', pulumi.Stash('made', input=token).output)\n"
    )
    passphrase = SecretStr(PASSPHRASE)
    site.settings = Pulumi(
        work_dir="code", program="web:stack", project="web", backend=site.settings.backend, passphrase=passphrase
    )

    async def story() -> None:
        await propose_and_write(site.target())
        assert (await site.target().propose()).changes == ()
        assert json.loads((await site.target().outputs())["made"].value.get_secret_value()) == TOKEN

    asyncio.run(story())


def test_variables_of_the_environment_reach_the_program_and_ours_do_not(site: Site) -> None:
    (site.root / "program" / "__main__.py").write_text(
        "import os\nimport pulumi\npulumi.export('seen', sorted(os.environ))\n"
        "pulumi.export('region', os.environ.get('REGION'))\n"
    )
    site.variables["REGION"] = "eu"

    async def story() -> None:
        part = await site.target().propose()
        assert part.outputs["region"].value == "eu"
        names = part.outputs["seen"].value
        assert not [name for name in names if name.startswith("NAMECHEAP") or name == "PULUMI_ACCESS_TOKEN"]

    asyncio.run(story())


def test_a_language_without_its_host_is_named(site: Site) -> None:
    (site.root / "program" / "Pulumi.yaml").write_text("name: shop\nruntime: klingon\n")
    with pytest.raises(InvalidEnvironment, match="pulumi-language-klingon"):
        asyncio.run(site.target().propose())


@pytest.mark.skipif(not YAML_HOST, reason="no pulumi-language-yaml beside the CLI or on PATH")
def test_a_yaml_program_is_a_program_like_any_other(site: Site) -> None:
    (site.root / "program" / "Pulumi.yaml").write_text(
        "name: shop\nruntime: yaml\nresources:\n  made:\n    type: pulumi:index:Stash\n    properties: {input: hello}\n"
        "outputs: {made: ${made.output}}\n"
    )

    async def story() -> None:
        await propose_and_write(site.target())
        assert (await site.target().outputs())["made"].value == "hello"
        assert (await site.target().propose()).changes == ()

    asyncio.run(story())


def test_a_part_of_a_plan_is_written_alone(site: Site) -> None:
    async def story() -> None:
        await made(site, site.a_file("one", "a"), site.a_file("two", "a"))
        site.list(site.a_file("one", "b"), site.a_file("two", "b"))
        target = site.target()
        part = await target.propose()
        assert actions(part) == {"one": "update", "two": "update"}
        await target.write(part.changes[:1], part.snapshot)
        assert ((site.root / "one").read_text(), (site.root / "two").read_text()) == ("b", "a")
        assert target.compare(part.changes[:1], part.snapshot, await target.read()).is_as_planned

    asyncio.run(story())


def test_an_earlier_configuration_comes_back_with_its_resources(site: Site) -> None:
    async def story() -> None:
        site.config["text"] = "one"
        await made(site, site.a_file("page", "$text"))
        before = await site.target().read()
        site.config["text"] = "two"
        await propose_and_write(site.target())
        target = site.target()
        part = await target.propose_return(before)
        assert actions(part) == {"shop:text": "update", "page": "update"}
        await target.write(part.changes, part.snapshot)
        assert (site.root / "page").read_text() == "one"
        assert (await target.read()).digest == before.digest

    asyncio.run(story())


# -- tools ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def service() -> Iterator[list[str]]:
    """A HTTP service on loopback: its port, then every body it was sent."""
    bodies: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"made-{len(bodies) - 1}".encode())

        def log_message(self, *args: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    bodies.append(str(server.server_address[1]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield bodies
    server.shutdown()
    server.server_close()


async def _until(path: Path) -> None:
    async with asyncio.timeout(60):
        while not path.exists():
            await asyncio.sleep(0.02)


def _pid_of_up(site: Site) -> int:
    """The process of the update that runs on this site."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"up" in words and str(site.root).encode() in b" ".join(words):
                return int(entry.name)
    raise AssertionError("no update is running")


def _contents(site: Site) -> dict[str, bytes]:
    folders = (site.root / "program", site.root / "backend" / ".pulumi" / "stacks")
    return {
        str(path): path.read_bytes()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
