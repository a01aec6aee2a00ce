"""Rotations over real files and loopback APIs: killed anywhere they are taken up, and the old value ends last."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from sophia_cli.core.changes import Change
from sophia_cli.core.errors import CredentialsRejected, Declined, ProviderBusy, Refused
from sophia_cli.core.rotation import Rotation
from sophia_cli.esc.load import load
from sophia_cli.esc.target import EnvironmentFileTarget
from sophia_cli.flows.events import Stream
from sophia_cli.flows.rotation import Desk, rotate
from sophia_cli.providers.rotation.generated import Generated
from sophia_cli.providers.rotation.github import GitHubSecret
from sophia_cli.providers.rotation.pulumi import PulumiToken
from sophia_cli.store.directory import Directory, replace_text
from sophia_cli.store.secrets import FileRotations, FileSeals
from tests.memory import MemoryClock
from tests.providers.rotation_servers import Backend, backend

OLD = "pul-" + "0" * 40
PATH = "app.token"
TEXT = f"values:\n  app:\n    token: {{fn::secret: {OLD}}} # keep\n    other: 1\n"
TARGET = "acme/site:PULUMI_TOKEN"
STORED = "/repos/acme/site/actions/secrets/PULUMI_TOKEN"


class Killed(BaseException):
    """The process ends here."""


class Bench:
    """One environment file, one state and one server; each `desk` is a new process that remembers nothing."""

    def __init__(self, folder: Path, server: Backend) -> None:
        self.file = folder / "acme.yaml"
        self.file.write_text(TEXT)
        self.state = folder / "state"
        self.server = server
        self.kill_at: int | None = None
        self.point = 0
        self.declines = False

    def tick(self) -> None:
        """A place where the process may be killed."""
        self.point += 1
        if self.point == self.kill_at:
            raise Killed

    def value(self) -> str:
        node = load(self.file, variables={}).get(PATH)
        assert node is not None
        return node.text() or ""

    def desk(self, kind: str = "pulumi-token", *, github: bool = True, **more: Any) -> Desk:
        seals, bench, clock = FileSeals(Directory(self.state)), self, MemoryClock()
        port = EnvironmentFileTarget("acme", self.file, clock, replace_text, seals)
        asyncio.run(port.read())

        class Rotations(FileRotations):
            async def save(self, rotation: Rotation) -> None:
                bench.tick()
                await super().save(rotation)
                bench.tick()

        async def carry_out(changes: Sequence[Change]) -> None:
            if bench.declines:
                raise Declined("no")
            bench.tick()
            shown = repr([change.data() for change in changes])
            assert not any(value in shown for value in (OLD, *bench.server.values()))
            before = await port.read()
            await port.write(changes, before)
            assert port.compare(changes, before, await port.read()).is_as_planned
            bench.tick()

        async def evaluated(path: str) -> str | None:
            node = load(bench.file, variables={}).get(path)
            return None if node is None else node.text()

        source: Any = Generated(lambda: FileSeals(Directory(bench.state)).key)
        if kind == "pulumi-token":
            source = Ticking(PulumiToken(bench.value, self.server.url), bench)
        consumer = Ticking(GitHubSecret(TARGET, SecretStr("gh-token"), self.server.url), bench)
        return replace(
            Desk(
                environment="acme", source=source, consumers=[consumer] if github else [],
                rotations=Rotations(Directory(self.state)), seals=seals, clock=clock,
                stream=Stream("anna@desk", clock), stands=port.source, evaluated=evaluated, carry_out=carry_out,
                new_id=lambda: "20261122T100000000-abcd", known_ref="tok-1",
            ),
            **more,
        )  # fmt: skip

    def state_holds(self, *values: str) -> bool:
        texts = [path.read_text() for path in self.state.rglob("*") if path.is_file()]
        return any(value in text for text in texts for value in values)


class Ticking:
    """A source or consumer whose calls are places where the process may be killed."""

    def __init__(self, real: Any, bench: Bench) -> None:
        self.real, self.bench = real, bench

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.real, name)
        if not callable(found):
            return found

        async def ticking(*args: Any) -> Any:
            self.bench.tick()
            result = await found(*args)
            self.bench.tick()
            return result

        return ticking


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with backend() as server:
        assert server.token(OLD) == "tok-1"
        server.token("pul-" + "f" * 40, "somebody else's")
        yield Bench(tmp_path, server)


def run(desk: Desk) -> Any:
    return asyncio.run(rotate(PATH, desk))


def assert_rotated(bench: Bench) -> None:
    """The new token is in the file and at GitHub, the old one is gone, nothing of it is left, and others stand."""
    new = bench.value()
    assert new != OLD
    assert bench.server.values() == {new, "pul-" + "f" * 40}
    assert bench.server.secrets[STORED] == new
    assert bench.file.read_text() == TEXT.replace(OLD, new)
    assert not bench.state_holds(OLD, new)


def test_a_rotation_goes_through_the_four_steps(bench: Bench) -> None:
    done = run(bench.desk())
    assert (done.rotation.step, done.notes) == ("done", ())
    assert_rotated(bench)
    asked = bench.server.asked
    used, revoked = asked.index("GET /api/user"), asked.index("DELETE /api/user/tokens/tok-1")
    assert used < revoked


def points(tmp_path: Path) -> int:
    """How many places there are to be killed at."""
    with backend() as server:
        server.token(OLD)
        server.token("pul-" + "f" * 40, "somebody else's")
        bench = Bench(tmp_path, server)
        run(bench.desk())
        return bench.point


def test_killed_anywhere_it_is_taken_up_and_the_old_value_ends_only_after_the_new_one_was_used(tmp_path: Path) -> None:
    (tmp_path / "count").mkdir()
    count = points(tmp_path / "count")
    assert count > 20
    for point in range(1, count):  # after the last save there is nothing left to take up
        folder = tmp_path / str(point)
        folder.mkdir()
        with backend() as server:
            server.token(OLD)
            server.token("pul-" + "f" * 40, "somebody else's")
            bench = Bench(folder, server)
            bench.kill_at = point
            with pytest.raises(Killed):
                run(bench.desk())
            assert bench.value() in server.values(), f"killed at {point}: what the environment gives is not valid"
            if "GET /api/user" not in server.asked:
                assert OLD in server.values(), f"killed at {point}: the old value ended before the new one was used"
            bench.kill_at = None
            assert run(bench.desk()).rotation.step == "done", f"killed at {point}"
            assert_rotated(bench)


def test_a_refused_new_value_is_taken_back_everywhere(bench: Bench) -> None:
    bench.server.refuse_new = True
    with pytest.raises(CredentialsRejected):
        run(bench.desk())
    assert bench.value() == OLD
    assert bench.file.read_text() == TEXT
    assert bench.server.secrets[STORED] == OLD
    assert bench.server.values() == {OLD, "pul-" + "f" * 40}
    bench.server.refuse_new = False
    run(bench.desk())
    assert_rotated(bench)


@pytest.mark.parametrize("call", ["GET /api/user", "DELETE /api/user/tokens/tok-1"])
def test_while_nobody_can_say_both_values_stay(bench: Bench, call: str) -> None:
    bench.server.fail[call] = 503
    with pytest.raises(ProviderBusy):
        run(bench.desk())
    assert bench.value() != OLD
    assert {OLD, bench.value()} <= bench.server.values()
    assert OLD in bench.file.read_text()  # so that it can be put back
    bench.server.fail.clear()
    run(bench.desk())
    assert_rotated(bench)


def test_hold_keeps_both_values_until_the_next_call(bench: Bench) -> None:
    held = run(bench.desk(hold=True))
    assert held.rotation.step == "finish"
    assert {OLD, bench.value()} <= bench.server.values()
    assert OLD in bench.file.read_text()
    run(bench.desk())
    assert_rotated(bench)


def test_a_declined_write_leaves_nothing_behind(bench: Bench) -> None:
    bench.declines = True
    with pytest.raises(Declined):
        run(bench.desk())
    assert bench.server.values() == {OLD, "pul-" + "f" * 40}
    assert bench.file.read_text() == TEXT
    bench.declines = False
    run(bench.desk())
    assert_rotated(bench)


def test_a_token_whose_id_is_not_known_is_left_and_said(bench: Bench) -> None:
    done = run(bench.desk(known_ref=None))
    assert "still valid" in done.notes[0]
    assert OLD in bench.server.values()
    again = run(bench.desk(known_ref=None, new_id=lambda: "20261122T110000000-abce"))
    assert again.notes == ()  # the id of what we made ourselves is known
    assert len(bench.server.tokens) == 3


def test_an_open_rotation_wants_the_same_kind_and_consumers(bench: Bench) -> None:
    run(bench.desk(hold=True))
    with pytest.raises(Refused, match="other consumers"):
        run(bench.desk(github=False))
    with pytest.raises(Refused, match="kind pulumi-token"):
        run(bench.desk("generated"))


def test_a_generated_value_is_long_random_and_the_same_after_a_crash(bench: Bench) -> None:
    bench.kill_at = 5
    with pytest.raises(Killed):
        run(bench.desk("generated", github=False))
    bench.kill_at = None
    run(bench.desk("generated", github=False))
    assert len(bench.value()) == 43
    assert bench.value() != OLD
    assert not bench.state_holds(OLD, bench.value())


@pytest.mark.parametrize("text", ["token: ${app.other}", "nothing: 1", "token: {fn::join: ['', [a, b]]}"])
def test_what_the_file_does_not_hold_is_not_replaced(bench: Bench, text: str) -> None:
    bench.file.write_text(f"values:\n  app:\n    {text}\n    other: x\n")
    with pytest.raises(Refused, match=r"app\.token"):
        run(bench.desk("generated", github=False))
    assert text in bench.file.read_text()
