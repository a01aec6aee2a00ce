"""The apply flow over in-memory ports: every outcome and every phase, with faults at every step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from sophia_cli.core.changes import ConfigValue
from sophia_cli.core.dns import Zone
from sophia_cli.core.errors import (
    ApprovalMissing,
    IncompleteRead,
    Interrupted,
    Locked,
    Refused,
    SophiaError,
    StalePlan,
    StateError,
    Unreachable,
    WriteFailed,
)
from sophia_cli.core.history import OUTCOMES, Phase, Run
from sophia_cli.core.plan import applied
from sophia_cli.esc.target import EnvironmentFileTarget
from sophia_cli.flows.apply import apply
from sophia_cli.flows.closing import failure_of
from sophia_cli.flows.deploy import record_approval
from sophia_cli.flows.edit import SetRecord, plan_edits
from sophia_cli.flows.writing import READ_BACK_TRIES
from sophia_cli.store.directory import replace_text
from sophia_cli.store.records import FileJournal
from tests.builders import IP, OTHER_IP, THIRD_IP, a, desired, mx, settings_of, txt, zone
from tests.flows.conftest import LIVE
from tests.memory import Killed, MemoryZone, World

PLANNED = zone(a("api", OTHER_IP), a("new"), *[row for row in LIVE.records if row.name != "api"], email_type="MX")
THEIRS = a("theirs", "198.51.100.9")


def deployed(world: World) -> Run:
    run = asyncio.run(world.deploy())
    assert run is not None
    return run


def legs(run: Run) -> dict[str, str]:
    return {leg.target: leg.phase for leg in run.legs}


def failure(run: Run, world: World) -> SophiaError | None:
    return failure_of(run, world.guard)


def closed(world: World, run: Run) -> bool:
    return run.id not in [one.id for one in asyncio.run(world.open_runs())]


# -- outcomes -----------------------------------------------------------------------------------------------------------

OUTCOME_CASES: dict[str, tuple[dict[str, list[Any]], str, str, Zone, int]] = {
    "a clean write": ({}, "applied", "done", PLANNED, 0),
    "refused": ({"write": ["refused"]}, "nothing", "skipped", LIVE, 1),
    "lost and not done": ({"write": ["lost_before"]}, "nothing", "skipped", LIVE, 1),
    "lost and done": ({"write": ["lost_after"]}, "applied", "done", PLANNED, 0),
    "accepted and not kept": ({"write": ["ignored"]}, "rolled_back", "undone", LIVE, 5),
    "only half done": ({"write": ["half"]}, "rolled_back", "undone", LIVE, 5),
    "a row dropped": ({"write": ["drop"]}, "rolled_back", "undone", LIVE, 5),
    "the mail mode reset": ({"write": ["mode"]}, "rolled_back", "undone", zone(*LIVE.records, email_type="MX"), 5),
    "visible late": ({"write": ["late"]}, "applied", "done", PLANNED, 0),
    "seen wrong from outside": ({"verify": ["wrong"]}, "rolled_back", "undone", LIVE, 5),
    "not seen yet from outside": ({"verify": ["none"]}, "applied", "done", PLANNED, 0),
    "unreadable afterwards": ({"read": [None, None, *["error"] * 9]}, "unknown", "unknown", PLANNED, 5),
    "undo refused": ({"write": ["half", "refused"]}, "unknown", "unknown", None, 5),
    "undo lost and done": ({"write": ["half", "lost_after"]}, "rolled_back", "undone", LIVE, 5),
    "undo not kept": ({"write": ["half", "ignored"]}, "unknown", "unknown", None, 5),
}  # type: ignore[assignment]


@pytest.mark.parametrize("case", OUTCOME_CASES)
def test_each_fault_has_its_outcome_and_leaves_the_zone_before_or_planned(world: World, case: str) -> None:
    faults, outcome, phase, end, code = OUTCOME_CASES[case]
    for operation, acts in faults.items():
        world.zone.fault(operation, *acts)
    run = deployed(world)
    assert (run.outcome, legs(run)[world.zone.id]) == (outcome, phase)
    if end is not None:
        assert world.zone.zone == end
    error = failure(run, world)
    assert (0 if error is None else error.exit_code) == code
    assert closed(world, run) is (outcome != "unknown")
    assert {step.outcome for step in run.steps} == {
        {"done": "applied", "undone": "rolled_back", "unknown": "unknown", "skipped": "skipped"}[phase]
    }
    assert asyncio.run(world.audit_problems()) == ()


def test_every_outcome_but_refused_and_partial_stands_above() -> None:
    """`refused` is raised, never recorded; `partial` needs two targets (below)."""
    assert {case[1] for case in OUTCOME_CASES.values()} | {"refused", "partial"} == set(OUTCOMES)


def test_a_write_that_does_not_show_is_read_again_with_growing_pauses_before_it_is_believed(world: World) -> None:
    world.zone.fault("write", "late")
    run = deployed(world)
    assert run.outcome == "applied"
    assert world.clock.slept == [1.0, 2.0]
    assert world.zone.log.count("write") == 1


def test_an_accepted_write_that_never_shows_is_given_up_after_all_tries(world: World) -> None:
    world.zone.fault("write", "ignored")
    deployed(world)
    assert len(world.clock.slept) == READ_BACK_TRIES - 1
    assert world.zone.zone == LIVE


def test_a_write_whose_answer_was_lost_is_believed_as_before_at_the_first_read(world: World) -> None:
    world.zone.fault("write", "lost_before")
    assert deployed(world).outcome == "nothing"
    assert world.clock.slept == []


def test_a_foreign_row_that_came_meanwhile_is_kept_and_said(world: World) -> None:
    world.zone.fault("write", (None, lambda port: port.edit(add=[THEIRS])))
    run = deployed(world)
    assert run.outcome == "applied"
    assert any("theirs" in note for note in run.notes)
    assert world.zone.zone == applied(Zone.of("example.com", "MX", [*PLANNED.records, THEIRS]), ())


def test_an_undo_keeps_what_another_writer_made_meanwhile(world: World) -> None:
    world.zone.fault("write", "half")
    world.zone.fault("read", None, None, lambda port: port.edit(add=[THEIRS]))
    run = deployed(world)
    assert run.outcome == "rolled_back"
    assert world.zone.zone == Zone.of("example.com", "MX", [*LIVE.records, THEIRS])


def test_untouched_rows_are_sent_back_as_they_were_read(world: World) -> None:
    before = [row for row in world.zone.rows if row["name"] != "api"]
    deployed(world)
    assert [row for row in world.zone.rows if row in before] == before


# -- before the write -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda port: port.edit(add=[THEIRS]), StalePlan),
        (lambda port: port.edit(email_type="FWD"), StalePlan),
        ("incomplete", IncompleteRead),
        ("blocked", Refused),
        ("error", Unreachable),
    ],
)
def test_a_re_read_that_is_not_the_plans_base_refuses_before_any_write(
    world: World, act: Any, error: type[SophiaError]
) -> None:
    world.zone.fault("read", None, act)
    with pytest.raises(error):
        asyncio.run(world.deploy())
    assert "write" not in world.zone.log
    assert asyncio.run(world.open_runs()) == ()


def test_rows_that_only_the_outside_shows_refuse_the_write(world: World) -> None:
    world.zone.fault("preflight", "blocked")
    with pytest.raises(Refused, match="SRV"):
        asyncio.run(world.deploy())
    assert "write" not in world.zone.log


def test_nothing_is_asked_between_the_last_read_and_the_write(world: World) -> None:
    deployed(world)
    assert world.zone.log[:4] == ["read", "preflight", "read", "write"]


def test_a_stale_plan_does_not_use_up_its_approval(world: World) -> None:
    async def story() -> None:
        judged = await world.plan()
        ground = world.ground()
        approval = await record_approval(judged.plan, "ada", "terminal", ground, 24)
        world.zone.edit(add=[THEIRS])
        with pytest.raises(StalePlan):
            await apply(judged.plan, approval, ground)
        assert [one.used for one in await world.store.approvals.of_plan(judged.plan.digest)] == [False]
        world.zone.edit(remove=[THEIRS])
        assert (await apply(judged.plan, approval, ground)).outcome == "applied"

    asyncio.run(story())


def test_an_approval_serves_exactly_once_even_when_the_zone_comes_back(world: World) -> None:
    async def story() -> None:
        judged = await world.plan()
        ground = world.ground()
        approval = await record_approval(judged.plan, "ada", "terminal", ground, 24)
        assert (await apply(judged.plan, approval, ground)).outcome == "applied"
        world.zone.rows = [{**row.data(), "note": ""} for row in LIVE.records]
        assert (await world.plan()).verdict.approved is None
        writes = world.zone.log.count("write")
        with pytest.raises(ApprovalMissing):
            await apply(judged.plan, approval, ground)
        assert world.zone.log.count("write") == writes

    asyncio.run(story())


def test_an_approval_is_used_up_before_the_write_even_when_the_write_fails(world: World) -> None:
    async def story() -> None:
        judged = await world.plan()
        approval = await record_approval(judged.plan, "ada", "terminal", world.ground(), 24)
        world.zone.fault("write", "refused")
        assert (await apply(judged.plan, approval, world.ground())).outcome == "nothing"
        assert [one.used for one in await world.store.approvals.of_plan(judged.plan.digest)] == [True]

    asyncio.run(story())


def test_a_second_run_on_the_same_target_is_locked_out(world: World) -> None:
    async def story() -> None:
        judged = await world.plan()
        async with world.store.locks.hold([world.zone.id], "another"):
            with pytest.raises(Locked, match="another"):
                await apply(judged.plan, None, world.ground())
        assert "write" not in world.zone.log

    asyncio.run(story())


def test_a_plan_judged_denied_is_never_applied(world: World) -> None:
    world.settings = settings_of(*world.settings.zones, max_changes=1)
    with pytest.raises(Refused, match="max_changes"):
        asyncio.run(world.deploy())
    assert world.zone.zone == LIVE


# -- the outside -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "verified"), [("none", None), ("", True)])
def test_what_the_outside_says_is_in_the_run(world: World, kind: str, verified: bool | None) -> None:
    world.zone.fault("verify", kind)
    run = deployed(world)
    assert (run.outcome, run.verified) == ("applied", verified)


def test_earlier_snapshots_are_handed_to_verification_as_old_answers(world: World) -> None:
    deployed(world)
    world.want(desired(a("api", THIRD_IP), a("new")))
    deployed(world)
    assert world.zone.asked_with[-1] == (PLANNED, PLANNED, LIVE)


def test_verification_waits_as_long_as_asked_and_not_at_all_once_a_stop_is_requested(world: World) -> None:
    world.wait_s = 7.0
    deployed(world)
    world.want(desired(a("api", THIRD_IP), a("new")))
    world.zone.fault("write", (None, lambda _port: setattr(world.guard, "stop", True)))
    run = deployed(world)
    assert world.zone.waits == [7.0, 0.0]
    error = failure(run, world)
    assert isinstance(error, WriteFailed)
    assert "finished as planned" in error.message


def test_a_wrong_answer_whose_undo_cannot_be_read_is_5_and_stays_open_for_heal(world: World) -> None:
    world.zone.fault("verify", "wrong")
    world.zone.fault("read", None, None, None, *["error"] * 9)
    run = deployed(world)
    error = failure(run, world)
    assert (run.outcome, error is not None and error.exit_code) == ("unknown", 5)
    assert not closed(world, run)
    world.zone.queue.clear()
    asyncio.run(world.heal())
    assert asyncio.run(world.open_runs()) == ()


def test_a_verification_that_fails_to_ask_does_not_leave_the_run_open(world: World) -> None:
    world.zone.fault("verify", "error")
    run = deployed(world)
    assert (run.outcome, run.verified, closed(world, run)) == ("applied", None, True)


# -- several targets ------------------------------------------------------------------------------------------------------


@pytest.fixture
def two(tmp_path: Path) -> World:
    wanted = [desired(a("api", OTHER_IP), name=name) for name in ("aaa.example", "bbb.example")]
    live = [zone(a("api"), txt("kept"), a("www"), a("x"), name=name) for name in ("aaa.example", "bbb.example")]
    return World.of(tmp_path / "state", settings_of(*wanted), *live)


def test_one_zone_that_fails_leaves_the_other_done_and_the_run_partial(two: World) -> None:
    two.zones["dns:aaa.example"].fault("write", "half", "lost_after")
    two.zones["dns:aaa.example"].fault("write", "drop")
    two.zones["dns:bbb.example"].fault("write", "drop")
    run = deployed(two)
    assert (run.outcome, legs(run)) == ("partial", {"dns:aaa.example": "done", "dns:bbb.example": "undone"})
    error = failure(run, two)
    assert error is not None
    assert error.exit_code == 5
    assert closed(two, run)


def test_a_stop_between_two_targets_skips_the_second_and_is_5(two: World) -> None:
    two.zones["dns:aaa.example"].fault("write", (None, lambda _port: setattr(two.guard, "stop", True)))
    run = deployed(two)
    assert (run.outcome, legs(run)) == ("partial", {"dns:aaa.example": "done", "dns:bbb.example": "skipped"})
    error = failure(run, two)
    assert error is not None
    assert (error.exit_code, "signal" in error.message) == (5, True)
    assert "write" not in two.zones["dns:bbb.example"].log


def test_a_stop_before_the_first_write_is_an_interruption_outside_a_write(two: World) -> None:
    two.guard.stop = True
    run = deployed(two)
    error = failure(run, two)
    assert isinstance(error, Interrupted)
    assert (run.outcome, error.exit_code) == ("nothing", 130)
    assert all("write" not in zone.log for zone in two.zones.values())


def test_a_zone_that_changes_while_another_is_written_is_left_alone(two: World) -> None:
    """Each write stands on a read no older than one call: not on one from before the other zone's write."""
    second = two.zones["dns:bbb.example"]
    two.zones["dns:aaa.example"].fault("write", (None, lambda _port: second.edit(add=[THEIRS])))
    run = deployed(two)
    assert (run.outcome, legs(run)) == ("partial", {"dns:aaa.example": "done", "dns:bbb.example": "skipped"})
    assert THEIRS in second.zone.records
    assert second.zone.at("api")[0].value == IP


def test_a_zone_that_changes_while_the_other_is_re_read_makes_the_plan_stale(two: World) -> None:
    first = two.zones["dns:aaa.example"]
    two.zones["dns:bbb.example"].fault("read", None, lambda _port: first.edit(add=[THEIRS]))
    with pytest.raises(StalePlan):
        asyncio.run(two.deploy())
    assert THEIRS in first.zone.records
    assert all("write" not in port.log for port in two.zones.values())


def test_a_zone_that_cannot_be_read_again_before_its_write_is_left_alone(two: World) -> None:
    second = two.zones["dns:bbb.example"]
    two.zones["dns:aaa.example"].fault("write", (None, lambda _port: setattr(second, "reachable", False)))
    run = deployed(two)
    assert (run.outcome, legs(run)["dns:bbb.example"]) == ("partial", "skipped")
    assert "write" not in second.log


# -- cancellation ---------------------------------------------------------------------------------------------------------


def cancelled(world: World, monkeypatch: pytest.MonkeyPatch, target: str, after: Callable[[MemoryZone], None]) -> Any:
    """Deploy, and cancel the task while the target is being verified."""
    port, real = world.zones[target], world.zones[target].verify

    async def verify(*args: Any) -> Any:
        after(port)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)
        return await real(*args)

    monkeypatch.setattr(port, "verify", verify, raising=False)
    return asyncio.run(world.deploy())


def test_ctrl_c_while_verifying_keeps_what_was_written_and_closes_the_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Interrupted, match="written as planned"):
        cancelled(world, monkeypatch, world.zone.id, lambda _port: None)
    runs = asyncio.run(world.store.journal.runs())
    assert [(run.outcome, run.verified) for run in runs] == [("applied", None)]
    assert world.zone.zone == PLANNED


def test_ctrl_c_while_verifying_the_second_zone_does_not_call_the_undone_first_one_applied(
    two: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.zones["dns:aaa.example"].fault("verify", "wrong")
    with pytest.raises((Interrupted, WriteFailed)):
        cancelled(two, monkeypatch, "dns:bbb.example", lambda _port: None)
    (run,) = asyncio.run(two.store.journal.runs())
    assert (run.outcome, legs(run)) == ("partial", {"dns:aaa.example": "undone", "dns:bbb.example": "done"})
    assert two.zones["dns:aaa.example"].zone.at("api")[0].value == IP


def test_giving_up_in_the_middle_of_an_undo_leaves_the_run_open(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.zone.fault("verify", "wrong")
    real, writes = world.zone.write, 0

    async def write(*args: Any) -> None:
        nonlocal writes
        writes += 1
        if writes == 2:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        await real(*args)

    monkeypatch.setattr(world.zone, "write", write, raising=False)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(world.deploy())
    assert len(asyncio.run(world.open_runs())) == 1
    asyncio.run(world.heal())
    assert asyncio.run(world.open_runs()) == ()
    assert world.zone.zone in (LIVE, PLANNED)


# -- the environment file beside a zone ---------------------------------------------------------------------------------------

ENVIRONMENT = (
    "values:\n  dns:\n    domain: example.com\n    records:\n      api: {type: A, name: api, value: 203.0.113.7}\n"
)


@pytest.fixture
def linked(world: World, tmp_path: Path) -> World:
    path = tmp_path / "acme.yaml"
    path.write_text(ENVIRONMENT)
    world.file = EnvironmentFileTarget("acme", path, world.clock, replace_text)
    zone_of_file = desired(a("api", IP))
    rows = tuple(replace(row, path="dns.records.api") for row in zone_of_file.records)
    world.want(replace(zone_of_file, records=rows))
    return world


def edited(world: World) -> Run:
    async def story() -> Run:
        wanted = SetRecord(a("api", OTHER_IP, None))
        judged = await plan_edits(
            [(world.settings.zones[0], wanted)], world.settings, world.zones, world.file, world.store, world.clock.now()
        )
        assert judged.plan.touched() == ("config:acme", "dns:example.com")
        run = await world.deploy(judged)
        assert run is not None
        return run

    return asyncio.run(story())


def test_an_edit_writes_file_and_zone_together(linked: World, tmp_path: Path) -> None:
    run = edited(linked)
    assert run.outcome == "applied"
    assert (tmp_path / "acme.yaml").read_text() == ENVIRONMENT.replace(IP, OTHER_IP)
    assert linked.zone.zone.at("api")[0].value == OTHER_IP


@pytest.mark.parametrize("fault", ["refused", "lost_before", "ignored", "half", "drop", "mode"])
def test_the_files_edit_is_taken_back_when_its_zone_failed(linked: World, tmp_path: Path, fault: str) -> None:
    linked.zone.fault("write", fault)
    run = edited(linked)
    if fault == "half":  # one change: its half is the whole
        assert run.outcome == "applied"
        return
    assert (run.outcome, legs(run)["config:acme"]) == ("rolled_back", "undone")
    assert (tmp_path / "acme.yaml").read_text() == ENVIRONMENT
    assert linked.zone.zone == LIVE


def test_the_files_edit_is_taken_back_when_the_outside_shows_something_else(linked: World, tmp_path: Path) -> None:
    linked.zone.fault("verify", "wrong")
    assert edited(linked).outcome == "rolled_back"
    assert ((tmp_path / "acme.yaml").read_text(), linked.zone.zone) == (ENVIRONMENT, LIVE)


def test_a_file_that_cannot_be_written_keeps_its_zone_from_being_written(linked: World, tmp_path: Path) -> None:
    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    linked.file = EnvironmentFileTarget("acme", tmp_path / "acme.yaml", linked.clock, full)
    run = edited(linked)
    assert (run.outcome, legs(run)) == ("nothing", {"config:acme": "skipped", "dns:example.com": "skipped"})
    assert "write" not in linked.zone.log


def test_an_edit_keeps_a_persons_other_edit_of_the_file_made_meanwhile(linked: World, tmp_path: Path) -> None:
    path = tmp_path / "acme.yaml"
    linked.zone.fault("write", lambda _port: path.write_text(path.read_text() + "  # a remark\n"))
    linked.zone.fault("verify", "wrong")
    assert edited(linked).outcome == "rolled_back"
    assert path.read_text() == ENVIRONMENT + "  # a remark\n"


def test_an_unreadable_file_when_its_edit_is_to_be_taken_back_is_5_and_open(linked: World, tmp_path: Path) -> None:
    path = tmp_path / "acme.yaml"
    linked.zone.fault("write", lambda _port: (path.rename(tmp_path / "away"), path.mkdir())[0])
    linked.zone.fault("verify", "wrong")
    run = edited(linked)
    error = failure(run, linked)
    assert (run.outcome, error is not None and error.exit_code) == ("unknown", 5)
    path.rmdir()
    (tmp_path / "away").rename(path)
    asyncio.run(linked.heal())
    assert asyncio.run(linked.open_runs()) == ()
    assert path.read_text() == ENVIRONMENT
    assert isinstance(run.changes[0].after, ConfigValue)


# -- a state that cannot be written ----------------------------------------------------------------------------------------------


def failing_from(world: World, monkeypatch: pytest.MonkeyPatch, number: int) -> list[int]:
    """The disk is full from the numbered file on."""
    written: list[int] = []

    def full(path: Path, text: str, mode: int = 0o600) -> None:
        written.append(1)
        if len(written) > number:
            raise OSError(28, "No space left on device")
        replace_text(path, text, mode)

    monkeypatch.setattr("sophia_cli.store.directory.replace_text", full)
    monkeypatch.setattr("sophia_cli.store.audit.replace_text", full)
    return written


def test_a_disk_that_fills_at_any_file_leaves_the_zone_before_or_planned_and_heal_closes_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, ends = 0, set()
    while True:
        one = World.of(tmp_path / f"state{number}", settings_of(desired(a("api", OTHER_IP), a("new"))), LIVE)
        with monkeypatch.context() as patch:
            written = failing_from(one, patch, number)
            try:
                run = asyncio.run(one.deploy())
                code = 0
                assert run is not None
            except (StateError, WriteFailed) as exc:
                code = exc.exit_code
        wrote = "write" in one.zone.log
        ends.add((code, wrote))
        ended = ("apply.end", "applied") in asyncio.run(one.actions())
        if len(written) > number and not ended:
            assert code == (5 if wrote else 1), f"file {number}"
        assert one.zone.zone in (LIVE, PLANNED)
        asyncio.run(one.heal())
        assert asyncio.run(one.open_runs()) == ()
        assert asyncio.run(one.audit_problems()) == ()
        if len(written) <= number:
            break
        number += 1
    assert {(1, False), (5, True), (0, True)} <= ends


def test_a_disk_that_fills_when_the_ownership_is_noted_is_5(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def save(*_args: Any) -> None:
        raise StateError("state: No space left on device")

    monkeypatch.setattr("sophia_cli.store.records.FileOwnerships.save", save)
    with pytest.raises(WriteFailed):
        deployed(world)


# -- killed ------------------------------------------------------------------------------------------------------------------


def test_killed_between_the_two_writes_of_a_preference_the_exchanger_comes_back(tmp_path: Path) -> None:
    one = World.of(tmp_path / "state", settings_of(desired(mx(priority=20))), LIVE)
    one.zone.fault("write", "torn")
    run = deployed(one)
    assert (run.outcome, one.zone.zone) == ("rolled_back", LIVE)


def test_a_kill_at_every_single_fail_point_is_settled_by_heal(tmp_path: Path) -> None:
    point, ends = 0, set()
    while True:
        one = World.of(
            tmp_path / f"state{point}",
            settings_of(desired(a("api", OTHER_IP), a("new"), mx(priority=20)), max_percent=100),
            LIVE,
        )
        planned = zone(*[row for row in PLANNED.records if row.type != "MX"], mx(priority=20), email_type="MX")
        one.fuse.left = point
        try:
            asyncio.run(one.deploy())
            killed = False
        except Killed:
            killed = True
        one.fuse.left = None
        asyncio.run(one.heal())
        assert one.zone.zone in (LIVE, planned), f"point {point}"
        ends.add(one.zone.zone == planned)
        assert asyncio.run(one.open_runs()) == ()
        assert asyncio.run(one.audit_problems()) == ()
        asyncio.run(one.deploy())
        assert one.zone.zone == planned
        if not killed:
            break
        point += 1
    assert point > 40
    assert ends == {True, False}


def test_every_phase_is_reached_and_journalled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()
    real = FileJournal.save

    async def save(journal: FileJournal, run: Run) -> None:
        seen.update(leg.phase for leg in run.legs)
        await real(journal, run)

    monkeypatch.setattr(FileJournal, "save", save)
    for number, faults in enumerate((["refused"], ["half"], ["half", "refused"], [])):
        one = World.of(tmp_path / str(number), settings_of(desired(a("api", OTHER_IP), a("new"))), LIVE)
        one.zone.fault("write", *faults)
        asyncio.run(one.deploy())
    assert seen == set(get_args(Phase))
