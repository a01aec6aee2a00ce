"""Settling: runs that were killed or lost their answer are brought to a known end. Starts nothing new."""

from __future__ import annotations

from dataclasses import replace

from sophia_cli.core.errors import SophiaError
from sophia_cli.core.history import Leg, Run, Snapshot
from sophia_cli.flows.apply import EARLIER_SNAPSHOTS, Ground, close, take_back_linked


async def settle_open_runs(ground: Ground) -> tuple[Run, ...]:
    """Settle every open run whose targets this ground knows; the caller holds their locks, so no run is alive.

    As planned: closed as applied. As before: closed as nothing. In between: this run's own changes are taken back.
    An edit of the environment whose records did not come to be is taken back as well.
    """
    settled = []
    for run in await ground.store.journal.open_runs():
        if all(leg.target in ground.targets for leg in run.legs):
            settled.append(await _settle(run, replace(ground, stream=ground.stream.of(run.id, run.plan))))
    return tuple(settled)


async def _settle(run: Run, ground: Ground) -> Run:
    await ground.stream.say("settle.begin", phases={leg.target: leg.phase for leg in run.legs})
    for leg in run.legs:
        run = await _settle_leg(run, leg, ground)
        await ground.store.journal.save(run)
    run = await close(await take_back_linked(run, ground), ground)
    await ground.stream.say("settle.end", outcome=run.outcome)
    return run


async def _settle_leg(run: Run, leg: Leg, ground: Ground) -> Run:
    before = await ground.store.snapshots.of_run(run.id, leg.target)
    if leg.phase in ("pending", "skipped", "undone", "done") or before is None:
        return run.with_leg(leg.target, "skipped" if leg.phase == "pending" else leg.phase)
    port, changes = ground.target(leg.target), run.of(leg.target)
    now = await port.read()
    found = port.compare(changes, before, now)
    if all(state == "after" for state in found.states):
        return run.with_leg(leg.target, "done", "found as planned after an interruption")
    if all(state == "before" for state in found.states):
        return run.with_leg(leg.target, "skipped", "found as before after an interruption")
    back = port.undo(changes, before, now)
    await ground.stream.say("settle.undo", target=leg.target, changes=len(back))
    with ground.guard.writing():
        try:
            await port.write(back, now)
        except SophiaError as exc:
            await ground.stream.say("settle.undo", target=leg.target, outcome="failed", error=exc.kind)
        end = await port.read()
    if port.compare(back, now, end).is_as_planned:
        return run.with_leg(leg.target, "undone", "found half done after an interruption and taken back")
    return run.with_leg(leg.target, "unknown", "found half done after an interruption; taking it back did not work")


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
