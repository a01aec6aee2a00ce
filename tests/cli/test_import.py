"""`sophia import` beside other runs: what it notes of a zone is noted under that zone's lock."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sophia_cli.cli.clock import SystemClock
from sophia_cli.store.local import local_store
from tests.cli.harness import DOMAIN, Ran, Shop, spawn

ROOT = Path(__file__).parents[2]
TARGET = f"dns:{DOMAIN}"


@pytest.fixture
def bare(acme: Shop) -> Shop:
    """An environment with credentials and no dns section."""
    box = acme.sandbox
    acme.file.write_text(
        f"values:\n  namecheap:\n    api_user: {box.api_user}\n    api_key: {box.api_key}\n"
        f"    username: {box.username}\n    endpoint: {box.endpoint}\n"
    )
    return acme


def owned(folder: Path) -> int:
    """How many records the environment is noted to own."""
    store = local_store(folder / ".sophia", SystemClock())
    return len(asyncio.run(store.ownerships.load("acme", TARGET)).entries)


def test_import_waits_for_no_other_run_and_writes_nothing_beside_it(bare: Shop) -> None:
    before, folder = bare.file.read_text(), bare.file.parent

    async def beside() -> Ran:
        async with local_store(folder / ".sophia", SystemClock()).locks.hold([TARGET], "deploy"):
            return await asyncio.to_thread(
                spawn, "import", DOMAIN, "--yes", "-e", str(bare.file), cwd=folder, env={"PYTHONPATH": str(ROOT)}
            )

    ran = asyncio.run(beside())
    assert ran.code == 6, ran.err
    assert "deploy (process" in ran.err
    assert (bare.file.read_text(), owned(folder)) == (before, 0)
    assert bare.run("import", DOMAIN, "--yes").code == 0
    assert owned(folder) == len(bare.rows())


def test_a_zone_that_moves_while_it_is_imported_is_not_written_down(bare: Shop) -> None:
    before = bare.file.read_text()
    bare.sandbox.fault("lost_update", command="getHosts", count=1)  # another writer, just after the first read
    ran = bare.run("import", DOMAIN, "--yes")
    assert ran.code == 3, ran.err
    assert "has changed since it was read" in ran.err
    assert (bare.file.read_text(), owned(bare.file.parent)) == (before, 0)
    assert bare.run("import", DOMAIN, "--yes").code == 0
    assert "another-writer" in bare.file.read_text()
