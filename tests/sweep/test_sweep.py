"""A seeded sample of the sweeps; the whole is `python -m tests.sweep`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sweep import matrix, writers
from tests.sweep.crash import Tally, kill_points, sampled, sweep, sweep_heal, writing_points
from tests.sweep.shared import Shared, shared
from tests.sweep.stage import KINDS, Stage, stage
from tests.sweep.zygote import Zygote, zygote

SEED = 20261122
EDITS = ("edit", "edit anew", "edit away")
FAULTED = ("update", "preference", "edit", "two zones")


@pytest.fixture(scope="module")
def warm() -> Iterator[Zygote]:
    with zygote() as found:
        yield found


@pytest.fixture
def staged(warm: Zygote, tmp_path: Path) -> Iterator[Callable[[str], Stage]]:
    """A stage of a kind of plan, put away in the end."""
    import contextlib

    with contextlib.ExitStack() as stack:
        yield lambda name: stack.enter_context(stage(name, tmp_path, warm))


def clean(tally: Tally) -> None:
    assert tally.problems == []
    assert tally.lost == 0
    assert tally.cases > 0


@pytest.mark.parametrize("kind", KINDS)
def test_kill_9_at_any_event_then_heal_ends_before_or_planned(staged: Callable[[str], Stage], kind: str) -> None:
    found = staged(kind)
    points = {*sampled(kill_points(found.events), 1, SEED), *sampled(writing_points(found), 1, SEED)}
    tally = sweep(found, ["send setHosts before", "send setHosts after", *sorted(points)])
    clean(tally)
    assert tally.settled > 0  # some of the points left a run for heal to settle


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in EDITS])
def test_kill_9_at_any_event_then_deploy_reaches_the_plan(staged: Callable[[str], Stage], kind: str) -> None:
    found = staged(kind)
    clean(sweep(found, sampled(writing_points(found), 1, SEED), settler="deploy"))


@pytest.mark.parametrize("kind", EDITS)
def test_kill_9_between_file_and_zone_then_deploy_leaves_them_agreed(staged: Callable[[str], Stage], kind: str) -> None:
    """Settling takes the file's edit back, so the deploy after it must not plan from the environment it read before."""
    clean(sweep(staged(kind), ["send setHosts before"], settler="deploy"))


@pytest.mark.parametrize("kind", ["preference", "edit"])
def test_kill_9_of_heal_while_it_settles_is_settled_by_the_next_heal(staged: Callable[[str], Stage], kind: str) -> None:
    found = staged(kind)
    tally = sweep_heal(found, ["send setHosts after"], 4, SEED)
    clean(tally)
    assert tally.settled == tally.cases


@pytest.mark.parametrize("kind", FAULTED)
def test_any_fault_at_any_call_ends_before_or_planned_with_a_code_of_the_contract(
    staged: Callable[[str], Stage], kind: str
) -> None:
    found = staged(kind)
    every = list(matrix.cases(found))
    clean(matrix.run(found, [every[index] for index in sampled(range(len(every)), 4, SEED)]))


def test_another_writers_row_is_lost_only_in_the_one_call_between_our_read_and_our_write(
    staged: Callable[[str], Stage],
) -> None:
    """setHosts has no compare-and-set: this is the gap that the docs state, and its width: one call."""
    found = staged("update")
    tally = matrix.run(found, [case for case in matrix.cases(found) if case.kind == "lost_update"])
    clean(tally)
    assert (tally.cases, tally.gap) == (7, 2)  # after the last read's answer, and before the write itself


def test_deploys_from_several_processes_never_lose_an_update(tmp_path: Path) -> None:
    tally = writers.race(tmp_path, 3, 2)
    clean(tally)
    assert tally.codes["deploy 0"] == 6


# -- the same over a state that is shared -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[Shared]:
    with shared() as found:
        yield found


@pytest.mark.server
@pytest.mark.parametrize("kind", ["preference", "edit"])
def test_kill_9_over_a_shared_state_then_heal_ends_before_or_planned(
    warm: Zygote, tmp_path: Path, server: Shared, kind: str
) -> None:
    with stage(kind, tmp_path, warm, server) as found:
        spoken = [number for number, (name, _) in enumerate(found.events, 1) if name == "sendall after"]
        tally = sweep(found, ["send setHosts after", *sampled(spoken, 2, SEED)])
        clean(tally)
        assert tally.settled > 0


@pytest.mark.server
def test_deploys_that_share_a_server_never_lose_an_update(tmp_path: Path, server: Shared) -> None:
    server.clear()
    tally = writers.race(tmp_path, 2, 1, server)
    clean(tally)
    assert tally.codes["deploy 0"] == 2
