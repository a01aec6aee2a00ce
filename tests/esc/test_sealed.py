"""Sealed values of the environment's file: plans hold keyed digests, and only who knows a value can write it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sophia_cli.core.changes import SECRET, Change, ConfigValue
from sophia_cli.core.errors import StateError
from sophia_cli.esc.target import EnvironmentFileTarget
from sophia_cli.store.directory import Directory, replace_text
from sophia_cli.store.secrets import FileSeals
from tests.memory import MemoryClock

TEXT = "values:\n  a: {fn::secret: old-value-01} # keep\n  b: 1\n"
PATH = 'a["fn::secret"]'


def process(folder: Path) -> tuple[EnvironmentFileTarget, FileSeals]:
    """A port as a new process has it: the state's key, and no value in memory."""
    seals = FileSeals(Directory(folder / "state"))
    return EnvironmentFileTarget("acme", folder / "acme.yaml", MemoryClock(), replace_text, seals), seals


def sealed(seals: FileSeals, old: str, new: str) -> Change:
    before, after = (ConfigValue(PATH, SECRET, seals.seal(text)) for text in (old, new))
    return Change("config:acme", "config.value", "update", before, after, "user", "rotation")


def test_a_sealed_change_is_written_and_told_apart_by_a_process_that_knows_no_value(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(TEXT)
    port, seals = process(tmp_path)
    change = sealed(seals, "old-value-01", "new-value-02")
    assert "value-0" not in str(change.data())
    stored = Change.from_data(change.data())  # what the journal keeps
    before = asyncio.run(port.read())
    later, _ = process(tmp_path)
    assert later.compare([stored], before, asyncio.run(later.read())).is_as_before
    asyncio.run(port.write([change], before))
    assert (tmp_path / "acme.yaml").read_text() == TEXT.replace("old-value-01", "new-value-02")
    later, _ = process(tmp_path)
    assert later.compare([stored], before, asyncio.run(later.read())).is_as_planned


def test_who_does_not_know_the_value_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(TEXT)
    _, seals = process(tmp_path)
    stored = Change.from_data(sealed(seals, "old-value-01", "new-value-02").data())
    later, _ = process(tmp_path)
    for change in (stored, stored.inverse()):
        with pytest.raises(StateError, match="not known to this process"):
            asyncio.run(later.write([change], asyncio.run(later.read())))
    assert (tmp_path / "acme.yaml").read_text() == TEXT


def test_digests_of_two_states_differ_so_that_values_cannot_be_guessed_from_a_log(tmp_path: Path) -> None:
    one, two = FileSeals(Directory(tmp_path / "one")), FileSeals(Directory(tmp_path / "two"))
    assert one.seal("x") != two.seal("x")
    assert FileSeals(Directory(tmp_path / "one")).seal("x") == one.seal("x")
    assert (tmp_path / "one" / "secrets" / "key.json").stat().st_mode & 0o077 == 0
