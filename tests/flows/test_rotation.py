"""Rotations through the one apply flow, over real files and loopback APIs: killed anywhere, no value is left without an end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from sophia_cli.core.errors import CredentialsRejected, Refused, SophiaError, StateError, WriteFailed
from sophia_cli.core.history import Run
from sophia_cli.core.rotation import Rotation
from sophia_cli.esc.load import load
from sophia_cli.esc.target import EnvironmentFileTarget
from sophia_cli.flows.closing import failure_of
from sophia_cli.flows.deploy import deploy, settle_first
from sophia_cli.flows.events import Stream
from sophia_cli.flows.ground import Ground
from sophia_cli.flows.rotation import Turn, plan_turn
from sophia_cli.providers.rotation.generated import Generated
from sophia_cli.providers.rotation.github import GitHubSecret
from sophia_cli.providers.rotation.pulumi import PulumiToken
from sophia_cli.providers.rotation.target import SecretTarget
from sophia_cli.store.directory import Directory, replace_text
from sophia_cli.store.documents import FileDocuments
from sophia_cli.store.local import local_store
from sophia_cli.store.secrets import FileSeals, StoredRotations
from tests.builders import settings_of
from tests.memory import Fuse, Killed, MemoryClock, MemoryGuard
from tests.providers.rotation_servers import Backend, backend

OLD = "pul-" + "0" * 40
OTHERS = "pul-" + "f" * 40
PATH = "app.token"
TEXT = f"values:\n  app:\n    token: {{fn::secret: {OLD}}} # keep\n    other: 1\n"
TARGET = "acme/site:PULUMI_TOKEN"
STORED = "/repos/acme/site/actions/secrets/PULUMI_TOKEN"
SETTINGS = settings_of()


_READS = ("read", "load", "refs", "mark", "get", "runs", "open_runs", "of_run", "recent")


class Ticking:
    """A port before each of whose writes the process may be killed (a kill before a read shows nothing else)."""

    def __init__(self, real: Any, fuse: Fuse) -> None:
        self.real, self.fuse = real, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.real, name)
        if name in _READS or not asyncio.iscoroutinefunction(found):
            return found

        async def ticking(*args: Any) -> Any:
            self.fuse.burn()
            return await found(*args)

        return ticking


class Bench:
    """One environment file, one state and one server; each `rotate` is a new process that remembers nothing."""

    def __init__(self, folder: Path, server: Backend) -> None:
        self.file = folder / "acme.yaml"
        self.file.write_text(TEXT)
        self.state = folder / "state"
        self.server = server
        self.fuse = Fuse()
        self.runs = 0

    def value(self) -> str:
        node = load(self.file, variables={}).get(PATH)
        assert node is not None
        return node.text() or ""

    def process(self, kind: str, known_ref: str | None, *, github: bool) -> tuple[Ground, SecretTarget, Any, FileSeals]:
        seals, clock, fuse = FileSeals(Directory(self.state)), MemoryClock(), self.fuse
        file: Any = EnvironmentFileTarget("acme", self.file, clock, self._replace, seals)

        async def evaluated() -> str | None:
            node = load(self.file, variables={}).get(PATH)
            return None if node is None else node.text()

        async def told(rotation: Rotation, step: str) -> None:
            await stream.say(f"rotate.{step}", path=rotation.path)

        store = local_store(self.state, clock)
        store = replace(store, journal=Ticking(store.journal, fuse))  # type: ignore[arg-type]
        stream = Stream("anna@desk", clock, (store.audit.append,))
        source: Any = Generated(lambda: FileSeals(Directory(self.state)).key)
        if kind == "pulumi-token":
            source = Ticking(PulumiToken(self.server.url), fuse)
        consumers: list[Any] = [Ticking(GitHubSecret(TARGET, SecretStr("gh-token"), self.server.url), fuse)]
        rotations: Any = Ticking(StoredRotations(FileDocuments(Directory(self.state)), "acme"), fuse)
        port = SecretTarget(
            PATH, file, source, consumers if github else [], rotations, seals, clock, evaluated, self._id, told,
            known_ref,
        )  # fmt: skip
        targets: Any = {file.id: file, port.id: port}
        return Ground(store, targets, clock, stream, MemoryGuard(), self._id, "secrets rotate"), port, file, seals

    def rotate(
        self, kind: str = "pulumi-token", known_ref: str | None = "tok-1", *, github: bool = True, hold: bool = False
    ) -> Turn:
        """What the command does: settle, then the two turns. Raises how a run failed."""

        async def all_of_it() -> Turn:
            ground, port, file, seals = self.process(kind, known_ref, github=github)
            await settle_first(sorted(ground.targets), ground)
            while True:
                turn = await plan_turn(PATH, port, file, seals, SETTINGS, ground)
                shown = repr(turn.judged.plan.data())
                assert not any(value in shown for value in (OLD, *self.server.values()))
                if turn.is_last and hold:
                    return turn
                run = await deploy(turn.judged, SETTINGS, ground)
                assert run is not None
                failure = failure_of(run, ground.guard)
                if failure is not None:
                    raise failure
                if turn.is_last:
                    return turn

        return asyncio.run(all_of_it())

    def heal(self) -> tuple[Run, ...]:
        """What any later command does first."""
        ground, *_ = self.process("pulumi-token", None, github=True)
        return asyncio.run(settle_first(sorted(ground.targets), ground))

    def freeze(self, pattern: str) -> None:
        asyncio.run(local_store(self.state, MemoryClock()).freezes.freeze(pattern))

    def state_holds(self, *values: str) -> bool:
        texts = [path.read_text() for path in self.state.rglob("*") if path.is_file()]
        return any(value in text for text in texts for value in values)

    def _replace(self, path: Path, text: str, mode: int) -> None:
        self.fuse.burn()
        replace_text(path, text, mode)

    def _id(self) -> str:
        self.runs += 1
        return f"20261122T1000{self.runs:05d}-abcd"


def prepared(folder: Path, server: Backend) -> Bench:
    folder.mkdir(exist_ok=True)
    assert server.token(OLD) == "tok-1"
    server.token(OTHERS, "somebody else's")
    return Bench(folder, server)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with backend() as server:
        yield prepared(tmp_path, server)


def assert_rotated(bench: Bench) -> None:
    """The new token is in the file and at GitHub, the old one is gone, nothing of it is left, and others stand."""
    new = bench.value()
    assert new != OLD
    assert bench.server.values() == {new, OTHERS}
    assert bench.server.secrets[STORED] == new
    assert bench.file.read_text() == TEXT.replace(OLD, new)
    assert not bench.state_holds(OLD, new)


def test_a_rotation_goes_through_the_four_steps(bench: Bench) -> None:
    done = bench.rotate()
    assert done.judged.plan.notes == ()
    assert_rotated(bench)
    asked = bench.server.asked
    made, handed = asked.index("POST /api/user/tokens"), asked.index(f"PUT {STORED}")
    used, revoked = asked.index("GET /api/user"), asked.index("DELETE /api/user/tokens/tok-1")
    assert made < handed < used < revoked


def test_the_edit_of_the_environment_stands_in_the_same_plan_and_says_no_value(bench: Bench) -> None:
    turn = bench.rotate(hold=True)
    (change, forgets) = (change.data() for change in turn.judged.plan.changes)
    assert (change["target"], change["kind"], change["reversible"]) == ("secret:app.token", "secret.rotate", False)
    assert change["after"]["beside"] is None
    assert (forgets["target"], forgets["kind"], forgets["action"]) == ("config:acme", "config.value", "delete")
    assert forgets["before"]["value"] == "[secret]"


@pytest.mark.parametrize("pattern", ["secret:app.token", "*", "config:acme"])
def test_frozen_no_token_is_made_and_none_ends(bench: Bench, pattern: str) -> None:
    bench.freeze(pattern)
    with pytest.raises(Refused, match="is frozen"):
        bench.rotate()
    assert all(one.startswith("GET ") for one in bench.server.asked)
    assert bench.server.values() == {OLD, OTHERS}
    assert bench.file.read_text() == TEXT


@pytest.mark.parametrize("call", ["GET /api/user/tokens", f"GET {STORED}"])
def test_a_read_that_fails_leads_to_no_write(bench: Bench, call: str) -> None:
    bench.server.fail[call] = 503
    with pytest.raises(SophiaError):
        bench.rotate()
    assert all(one.startswith("GET ") for one in bench.server.asked)
    assert bench.file.read_text() == TEXT


def points(tmp_path: Path) -> int:
    """How many places there are to be killed at."""
    with backend() as server:
        bench = prepared(tmp_path / "count", server)
        bench.rotate()
        return bench.fuse.burned


def killed_at(point: int, folder: Path, server: Backend) -> Bench:
    bench = prepared(folder, server)
    bench.fuse.left = point
    with pytest.raises(Killed):
        bench.rotate()
    bench.fuse.left = None
    assert bench.value() in server.values(), f"killed at {point}: what the environment gives is not valid"
    if "GET /api/user" not in server.asked:
        assert OLD in server.values(), f"killed at {point}: the old value ended before the new one was used"
    return bench


def test_killed_anywhere_the_next_call_ends_it_with_one_valid_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        os, "fsync", lambda _: None
    )  # a killed process loses nothing that it wrote; a lost machine is not here
    count = points(tmp_path)
    assert count > 25
    for point in range(0, count, 4):  # a sample; every one held when all were tried
        with backend() as server:
            bench = killed_at(point, tmp_path / str(point), server)
            healed = bench.heal()
            mine = server.values() - {OLD, OTHERS}
            where = f"killed at {point}, healed as {[run.outcome for run in healed]}"
            assert mine <= {bench.value()}, f"{where}: a token is left that nobody holds"
            if bench.value() == OLD:
                assert server.secrets.get(STORED) in (None, OLD), where
            bench.rotate(known_ref="tok-1" if OLD in server.values() and bench.value() == OLD else None)
            left = server.values() - {OTHERS}
            assert left == {bench.value()}, where
            assert server.secrets[STORED] == bench.value()
            assert bench.file.read_text() == TEXT.replace(OLD, bench.value()), where
            assert not bench.state_holds(OLD, bench.value()), where


def test_a_refused_new_value_is_taken_back_everywhere(bench: Bench) -> None:
    bench.server.refuse_new = True
    with pytest.raises(WriteFailed, match="was rolled back"):
        bench.rotate()
    assert bench.file.read_text() == TEXT
    assert bench.server.secrets[STORED] == OLD
    assert bench.server.values() == {OLD, OTHERS}
    bench.server.refuse_new = False
    bench.rotate()
    assert_rotated(bench)


def test_while_nobody_can_say_whether_the_new_value_works_the_old_one_stays_in_use(bench: Bench) -> None:
    bench.server.fail["GET /api/user"] = 503
    with pytest.raises(WriteFailed, match="was rolled back"):
        bench.rotate()
    assert bench.server.values() == {OLD, OTHERS}
    assert bench.file.read_text() == TEXT
    bench.server.fail.clear()
    bench.rotate()
    assert_rotated(bench)


def test_an_old_value_that_could_not_be_ended_is_ended_by_the_next_call(bench: Bench) -> None:
    bench.server.fail["DELETE /api/user/tokens/tok-1"] = 503
    with pytest.raises(SophiaError):
        bench.rotate()
    assert {OLD, bench.value()} <= bench.server.values()
    assert OLD in bench.file.read_text()  # so that it can be put back
    bench.server.fail.clear()
    bench.rotate(known_ref=None)
    assert_rotated(bench)


def test_hold_keeps_both_values_until_the_next_call(bench: Bench) -> None:
    held = bench.rotate(hold=True)
    assert held.is_last
    assert {OLD, bench.value()} <= bench.server.values()
    assert OLD in bench.file.read_text()
    bench.rotate()
    assert_rotated(bench)


def test_when_the_environment_cannot_take_the_value_the_new_token_ends_again(bench: Bench) -> None:
    def full(path: Path, text: str, mode: int) -> None:
        raise OSError(28, "No space left on device")

    bench._replace = full  # type: ignore[method-assign]
    with pytest.raises(WriteFailed, match="was rolled back"):
        bench.rotate()
    assert bench.server.values() == {OLD, OTHERS}
    assert bench.server.secrets[STORED] == OLD
    assert bench.file.read_text() == TEXT


def test_a_file_edited_between_two_turns_is_left_alone(bench: Bench) -> None:
    bench.rotate(hold=True)
    bench.file.write_text(bench.file.read_text().replace(bench.value(), "pul-" + "e" * 40))
    with pytest.raises((StateError, CredentialsRejected)):
        bench.rotate()
    assert OLD in bench.server.values()


def test_an_open_rotation_of_another_machine_is_not_touched(bench: Bench) -> None:
    bench.rotate(hold=True)
    (bench.state / "secrets" / "key.json").unlink()
    asked = len(bench.server.asked)
    with pytest.raises(Refused, match="open on another machine"):
        bench.rotate()
    assert all(one.startswith("GET ") for one in bench.server.asked[asked:])


def test_a_token_whose_id_is_not_known_is_left_and_said(bench: Bench) -> None:
    done = bench.rotate(known_ref=None)
    assert "still valid" in done.judged.plan.notes[0]
    assert OLD in bench.server.values()
    again = bench.rotate(known_ref=None)
    assert again.judged.plan.notes == ()  # the id of what we made ourselves is known
    assert len(bench.server.tokens) == 3


def test_an_id_that_no_token_has_is_refused_before_anything_is_made(bench: Bench) -> None:
    with pytest.raises(Refused, match="tok-9"):
        bench.rotate(known_ref="tok-9")
    assert bench.server.values() == {OLD, OTHERS}


def test_an_open_rotation_wants_the_same_kind_and_consumers(bench: Bench) -> None:
    bench.rotate(hold=True)
    with pytest.raises(Refused, match="other consumers"):
        bench.rotate(github=False)
    with pytest.raises(Refused, match="kind pulumi-token"):
        bench.rotate("generated")


def test_a_generated_value_is_long_and_never_the_same_twice(bench: Bench) -> None:
    seen = {OLD}
    for _ in range(3):
        bench.rotate("generated", None, github=False)
        assert len(bench.value()) == 43
        assert bench.value() not in seen
        seen.add(bench.value())
    assert not bench.state_holds(*seen)


@pytest.mark.parametrize("text", ["token: ${app.other}", "nothing: 1", "token: {fn::join: ['', [a, b]]}"])
def test_what_the_file_does_not_hold_is_not_replaced(bench: Bench, text: str) -> None:
    bench.file.write_text(f"values:\n  app:\n    {text}\n    other: x\n")
    with pytest.raises(Refused, match=r"app\.token"):
        bench.rotate("generated", None, github=False)
    assert text in bench.file.read_text()
