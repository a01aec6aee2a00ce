"""Settling: runs that were killed or lost their answer are brought to a known end. Starts nothing new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sophia_cli.core.changes import Change
from sophia_cli.core.history import Leg, Run, Snapshot
from sophia_cli.core.ports import TargetPort
from sophia_cli.flows.closing import close
from sophia_cli.flows.course import Course
from sophia_cli.flows.ground import EARLIER_SNAPSHOTS, Ground
from sophia_cli.flows.verifying import take_back_linked
from sophia_cli.flows.writing import read_back, take_back

_UNSETTLED = ("pending", "writing", "written", "unknown")
UNDER_WAY_S = 120.0  # seconds; longer than a provider's call may take


async def settle_open_runs(ground: Ground) -> tuple[Run, ...]:
    """Settle every open run whose targets this ground knows; the caller holds their locks, so no run is alive.

    As planned: closed as applied. As before: closed as nothing. In between: this run's own changes are taken back.
    An edit of the environment whose records did not come to be is taken back as well.
    """
    settled = []
    for run in await ground.store.journal.open_runs():
        if any(leg.target in ground.targets for leg in run.legs):
            settled.append(await _settle(run, replace(ground, stream=ground.stream.of(run.id, run.plan))))
    return tuple(settled)


async def _settle(run: Run, ground: Ground) -> Run:
    await ground.stream.say("settle.begin", phases={leg.target: leg.phase for leg in run.legs})
    mine = [leg for leg in run.legs if leg.target in ground.targets]
    course = Course(run, ground.store.journal)
    for leg in mine:
        await _settle_leg(course, leg, ground)
    if len(mine) < len(run.legs) and any(leg.phase in _UNSETTLED for leg in course.run.legs):
        return course.run  # the rest belongs to targets that were left out here; the run stays open for them
    await take_back_linked(course, ground)
    run = await close(course.run, ground)
    await ground.stream.say("settle.end", outcome=run.outcome)
    return run


async def _settle_leg(course: Course, leg: Leg, ground: Ground) -> None:
    run = course.run
    before = await ground.store.snapshots.of_run(run.id, leg.target)
    if leg.phase == "pending":
        return await course.to(leg.target, "skipped", "not begun when the run was interrupted")
    if leg.phase in ("skipped", "undone", "done"):
        return None
    if before is None:
        why = "its snapshot is gone, so it cannot be told what was there before"
        return await course.to(leg.target, "unknown", why)
    if leg.phase == "written":  # it was read back as planned; what differs now, others did later
        return await course.to(leg.target, "done", "written and read back before an interruption")
    port, changes = ground.target(leg.target), run.of(leg.target)
    now = await _seen(run, port, changes, before, ground)
    found = port.compare(changes, before, now)
    if found.is_as_planned:
        return await course.to(leg.target, "done", "found as planned after an interruption")
    # None of its changes is there: the write never came to be, and rows that are gone since others have removed. (A write
    # that lost rows is noted as read back wrong before it is taken back.)
    if all(state == "before" for state in found.states) and not leg.message:
        return await course.to(leg.target, "skipped", "found as before after an interruption")
    await ground.stream.say("settle.undo", target=leg.target, lost=list(found.lost))
    with ground.guard.writing():
        why = "found half done after an interruption and taken back"
        return await take_back(course, leg.target, before, now, ground, why)


async def _seen(run: Run, port: TargetPort, changes: Sequence[Change], before: Snapshot, ground: Ground) -> Snapshot:
    """The target now. A write that was killed a moment ago may still be on its way, so *as before* is read again."""
    if (ground.clock.now() - run.started).total_seconds() < UNDER_WAY_S:
        seen = await read_back(port, changes, before, ground, accepted=True)
        if seen is not None:
            return seen
    return await port.read()


async def verify_again(run: Run, ground: Ground) -> Run:
    """Ask the outside again about a run whose changes were not yet visible; changes nothing but what is known of it."""
    verdicts: list[bool | None] = []
    for leg in run.legs:
        if leg.target not in ground.targets or leg.phase != "done":
            continue
        port = ground.target(leg.target)
        earlier: tuple[Snapshot, ...] = await ground.store.snapshots.recent(leg.target, EARLIER_SNAPSHOTS)
        before = await ground.store.snapshots.of_run(run.id, leg.target)
        if before is not None:
            evidence = await port.verify(run.of(leg.target), before, (before, *earlier), 0.0)
            verdicts.append(evidence.verified)
    if verdicts and all(verdict is True for verdict in verdicts):
        run = replace(run, verified=True)
        await ground.store.journal.save(run)
        await ground.stream.of(run.id, run.plan).say("verify.later", outcome="verified")
    return run
