"""Killed at every kind of step of an issue: the next run takes the order up, and no record, wrong pair or open run stays."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sophia_cli.cli.clock import SystemClock
from sophia_cli.store.local import local_store
from tests.cli.certificate_stage import ZONE, Stage, put_back, servers
from tests.providers.acme import pebble
from tests.sweep.crash import kill_points, sampled
from tests.sweep.zygote import Ended, Zygote, zygote

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(not pebble.PROGRAMS, reason=pebble.MISSING),
]
POINTS = int(
    os.environ.get("SOPHIA_KILL_POINTS", "0")
)  # how many, by chance, of some hundreds; else one that tells for each settler


@pytest.fixture(scope="module")
def child() -> Iterator[Zygote]:
    with zygote() as found:
        yield found


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("killed")
    with servers(folder) as (box, ca, data):
        yield Stage(box, ca, data, folder)


def sophia(stage: Stage, child: Zygote, *words: str, kill_at: int | None = None) -> Ended:
    return child.run(*words, "-e", str(stage.file), "--wait", "0", cwd=stage.file.parent, kill_at=kill_at)


def fresh(stage: Stage, folder: Path) -> Stage:
    stage.box.control(clear=True, forget=True)
    put_back(stage.data)
    found = Stage(stage.box, stage.ca, stage.data, folder / "acme.yaml")
    found.environment(f"*.{ZONE}", ZONE)
    return found


def problems(stage: Stage, before: object) -> list[str]:
    """What must not be after everything was settled."""
    found = []
    if stage.rows() != before:
        found.append(f"the zone: {stage.rows()}")
    store = local_store(stage.state, SystemClock())
    if asyncio.run(store.journal.open_runs()):
        found.append("a run is still open")
    if (stage.state / "certificates" / ZONE / "pending" / "order.json").exists():
        found.append("an order is still noted")
    if stage.current.exists() and not pair_matches(stage.current):
        found.append("key and chain do not match")
    return found


def pair_matches(folder: Path) -> bool:
    leaf = x509.load_pem_x509_certificate((folder / "fullchain.pem").read_bytes())
    key = load_pem_private_key((folder / "privkey.pem").read_bytes(), None)
    return leaf.public_key() == key.public_key()


@pytest.fixture(scope="module")
def whole(stage: Stage, child: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The issue that nobody kills: its events are where one can be killed."""
    ended = sophia(fresh(stage, tmp_path_factory.mktemp("whole")), child, "cert", "issue", "--yes")
    assert ended.code == 0, ended.err
    return ended


def points(whole: Ended, settler: str) -> list[int]:
    """Where to kill: right after the values were sent, or half way to their removal, where the order is being proved."""
    if POINTS:
        return sampled(kill_points(whole.events), POINTS, seed=len(settler))
    put_in, taken_out = (number for number, (name, _) in enumerate(whole.events, 1) if name == "send setHosts after")
    return (
        [put_in] if settler == "heal" else [next(n for n in kill_points(whole.events) if n > (put_in + taken_out) // 2)]
    )


@pytest.mark.parametrize("settler", ["heal", "cert issue --yes"])
def test_an_issue_killed_at_any_step_is_taken_up_or_cleaned_up(
    stage: Stage, child: Zygote, whole: Ended, tmp_path: Path, settler: str
) -> None:
    found = []
    for point in points(whole, settler):
        folder = tmp_path / str(point)
        folder.mkdir()
        one = fresh(stage, folder)
        before, orders = one.rows(), one.orders()
        killed = sophia(one, child, "cert", "issue", "--yes", kill_at=point)
        name = f"killed at event {point} ({whole.events[min(point, len(whole.events)) - 1][0]}), then {settler}"
        if killed.code not in (None, 0):
            found.append(f"{name}: exit {killed.code} instead of a death: {killed.err}")
        noted = (one.state / "certificates" / ZONE / "pending" / "order.json").exists()
        placed = one.orders() - orders
        settled = sophia(one, child, *settler.split())
        if settled.code not in (0, 2):
            found.append(f"{name}: exit {settled.code}: {settled.err}")
        if noted and one.orders() - orders != placed:
            found.append(f"{name}: the order that was noted was wasted")
        if not one.current.exists() and (last := sophia(one, child, "cert", "issue", "--yes")).code != 0:
            found.append(f"{name}: the next issue exits {last.code}: {last.err}")
        found += [f"{name}: {problem}" for problem in problems(one, before)]
        if not one.openssl_accepts(ZONE):
            found.append(f"{name}: no certificate in the end")
    assert found == []
