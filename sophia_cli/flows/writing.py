"""Writing: each target of a run is written, read back, and taken back when the read-back is wrong. Verifies nothing outside."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from sophia_cli.core.changes import Change
from sophia_cli.core.comparison import Comparison
from sophia_cli.core.errors import OutcomeUnknown, SophiaError
from sophia_cli.core.history import Run, Snapshot
from sophia_cli.core.plan import rests_on, stages
from sophia_cli.core.ports import StackPort, TargetPort
from sophia_cli.flows.course import Course
from sophia_cli.flows.ground import Ground
from sophia_cli.flows.links import with_outputs

READ_BACK_TRIES = 4
READ_BACK_PAUSE_S = 1.0
WRITE_TIMEOUT_S = 70.0  # a write may take its client's 60 s; a lease must outlive it
STOP_ASKED_S = 0.2
WRITES_AT_ONCE = 8  # the shared rate budget is what really bounds them


async def write_all(course: Course, fresh: Mapping[str, Snapshot], ground: Ground) -> None:
    """Write every target, stage after stage; what stands in one stage is written side by side."""
    gate = asyncio.Semaphore(WRITES_AT_ONCE)

    async def one(target: str) -> None:
        async with gate:
            await _write_one(course, fresh[target], ground)

    for stage in stages(tuple(fresh)):
        # Not cancelled when a neighbour fails: what is being written is brought to its own end first.
        ends = await asyncio.gather(*(one(target) for target in stage), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end


async def _write_one(course: Course, before: Snapshot, ground: Ground) -> None:
    target = before.target
    if course.run.leg(target).phase == "pending":
        found = await _still(course, before, ground)
        if isinstance(found, str):
            await course.to(target, "skipped", found)
            return
        before = found
        await begin(course, target, ground)
    with ground.guard.writing():
        await _write(course, target, before, ground)


async def begin(course: Course, target: str, ground: Ground) -> None:
    """Note durably that a target is about to be written."""
    await course.to(target, "writing")
    await ground.stream.say("apply.write", target=target, changes=[change.id for change in course.run.of(target)])


async def _still(course: Course, before: Snapshot, ground: Ground) -> Snapshot | str:
    """What a write may stand on, or why it is not made.

    Once another target of the run was written, or is written beside this one, the first read is old: it is made again,
    so that what somebody changed meanwhile is never overwritten (setHosts replaces every row and compares nothing).
    """
    run, target = course.run, before.target
    if ground.guard.stop_requested():
        return "stopped by a signal"
    if _rest_failed(run, target):
        return "another part of the run failed"
    unknown = await with_outputs(course, target, ground)
    if unknown is not None:
        return unknown
    others = [leg for leg in run.legs if leg.target != target]
    alone = not any(target in stage and len(stage) > 1 for stage in stages(tuple(leg.target for leg in run.legs)))
    if alone and all(leg.target.startswith("config:") or leg.phase in ("pending", "skipped") for leg in others):
        return before
    try:
        now = await ground.target(target).read()
    except SophiaError as exc:
        return exc.message
    if now.digest == before.digest and now.complete and not now.blocks:
        return now
    await ground.stream.say("apply.stale", target=target, outcome="refused", base=before.digest, found=now.digest)
    return "changed while another target of this run was written"


def _rest_failed(run: Run, target: str) -> bool:
    """Whether something failed that this target rests on: an edit of the environment, or a stack whose output it takes."""
    names = tuple(leg.target for leg in run.legs)
    return any(run.leg(name).phase != "written" for name in rests_on(target, names, run.changes))


async def _write(course: Course, target: str, before: Snapshot, ground: Ground) -> None:
    """Write one target and settle what came of it: written, undone, skipped (nothing happened) or unknown."""
    port, changes = ground.target(target), course.run.of(target)
    failure: SophiaError | None = None
    await ground.store.locks.assure(WRITE_TIMEOUT_S)
    try:
        await (
            _stoppable(port, changes, before, ground) if isinstance(port, StackPort) else port.write(changes, before)
        )
    except SophiaError as exc:
        failure = exc
        await ground.stream.say("apply.write", target=target, outcome="failed", error=exc.kind)
    after = await read_back(port, changes, before, ground, accepted=failure is None)
    if after is None:
        await course.to(target, "unknown", "written, and the target could not be read back")
        return
    found = port.compare(changes, before, after)
    if found.is_as_planned:
        notes = tuple(f"{target}: kept a row of another writer: {row}" for row in found.foreign)
        notes += tuple(
            f"{target}: another writer changed a row between our read and our write, which put it back: {row}"
            for row in found.overwritten
        )
        seen = {"foreign": list(found.foreign), "overwritten": list(found.overwritten)}
        await ground.stream.say("apply.read_back", target=target, outcome="as planned", **seen)
        await course.to(target, "written", notes=notes)
    elif found.is_as_before:
        await ground.stream.say("apply.read_back", target=target, outcome="as before")
        if failure is None:
            await course.to(target, "undone", "the provider accepted the write and did not keep it")
        else:
            await course.to(target, "skipped", failure.message)
    else:
        await ground.stream.say("apply.read_back", target=target, outcome="wrong", lost=list(found.lost))
        await take_back(course, target, before, after, ground, _wrong(found, changes, failure))


async def _stoppable(port: TargetPort, changes: Sequence[Change], before: Snapshot, ground: Ground) -> None:
    """A write that may take an hour and can be stopped cleanly: a stop that is asked for reaches it at once."""
    writing = asyncio.ensure_future(port.write(changes, before))
    try:
        while not (await asyncio.wait({writing}, timeout=STOP_ASKED_S))[0]:
            if ground.guard.stop_requested():
                writing.cancel()
                await asyncio.wait({writing})
                raise OutcomeUnknown("stopped by a signal in the middle of an update", hint="run: sophia heal")
    finally:
        writing.cancel()
    await writing


def _wrong(found: Comparison, changes: Sequence[Change], failure: SophiaError | None) -> str:
    missing = [change.id for change, state in zip(changes, found.states, strict=True) if state != "after"]
    parts = [] if failure is None else [failure.message]
    parts += [f"changes {', '.join(missing)} are not there"] if missing else []
    parts += [f"lost: {row}" for row in found.lost[:5]]
    return "read back wrong (" + "; ".join(parts) + ")"


async def read_back(
    port: TargetPort, changes: Sequence[Change], before: Snapshot, ground: Ground, *, accepted: bool
) -> Snapshot | None:
    """The target after a write, or None when it cannot be read.

    A write the provider accepted and that does not show yet is read again before it is believed.
    """
    last: Snapshot | None = None
    for attempt in range(READ_BACK_TRIES):
        if attempt:
            await ground.clock.sleep(READ_BACK_PAUSE_S * 2 ** (attempt - 1))
        try:
            last = await port.read()
        except SophiaError as exc:
            await ground.stream.say("apply.read_back", target=port.id, outcome="failed", error=exc.kind)
            continue
        if not accepted or not port.compare(changes, before, last).is_as_before:
            return last
    return last


async def take_back(course: Course, target: str, before: Snapshot, now: Snapshot, ground: Ground, why: str) -> None:
    """Take back one target's part of a run, keeping what others made meanwhile."""
    port, changes = ground.target(target), course.run.of(target)
    back = port.undo(changes, before, now)
    await course.to(target, "writing", why)
    await ground.stream.say("apply.undo", target=target, changes=len(back), why=why)
    await ground.store.locks.assure(WRITE_TIMEOUT_S)
    try:
        if back:
            await port.write(back, now)
    except SophiaError as exc:
        await ground.stream.say("apply.undo", target=target, outcome="failed", error=exc.kind)
    end = await read_back(port, back, now, ground, accepted=bool(back))
    if end is None:
        await course.to(target, "unknown", f"{why}; the undo could not be read back")
        return
    states = port.compare(changes, before, end).states
    if port.compare(back, now, end).is_as_planned if back else all(state == "before" for state in states):
        await ground.stream.say("apply.undo", target=target, outcome="as before")
        await course.to(target, "undone", why)
    else:
        await ground.stream.say("apply.undo", target=target, outcome="wrong")
        await course.to(target, "unknown", f"{why}; the undo did not take")


async def read_and_take_back(course: Course, target: str, before: Snapshot, ground: Ground, why: str) -> None:
    """Read a target and take this run's part of it back; one that cannot be read leaves the run open for heal."""
    with ground.guard.writing():
        now = await read_back(ground.target(target), course.run.of(target), before, ground, accepted=False)
        if now is None:
            await course.to(target, "unknown", f"{why}; it could not be read to be taken back")
        else:
            await take_back(course, target, before, now, ground, why)
