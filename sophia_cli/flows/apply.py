"""The one apply flow: lock, re-read, journal, write, read back, verify, undo. There is no second way to write."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from sophia_cli.core.errors import IncompleteRead, Refused, StalePlan, StateError, WriteFailed
from sophia_cli.core.history import Leg, Run, Snapshot
from sophia_cli.core.plan import Plan, stages
from sophia_cli.core.policy import Approval
from sophia_cli.flows.closing import close
from sophia_cli.flows.concurrency import side_by_side
from sophia_cli.flows.course import Course
from sophia_cli.flows.ground import Ground
from sophia_cli.flows.verifying import interrupted, verify_all
from sophia_cli.flows.writing import begin, write_all


async def apply(plan: Plan, approval: Approval | None, ground: Ground) -> Run:
    """Apply a plan that policy and a person agreed to, under the locks of its targets.

    Raises `Locked` (another run), `StalePlan` (exit 3), or the error of a read; then nothing was written. What went
    wrong after that is in the run's outcome.
    """
    async with ground.store.locks.hold(plan.touched(), ground.command):
        return await apply_locked(plan, approval, ground)


async def apply_locked(plan: Plan, approval: Approval | None, ground: Ground) -> Run:
    """`apply` for a caller that already holds the locks."""
    started, calls = ground.clock.now(), ground.calls()
    fresh = await _fresh(plan, ground)
    if approval is not None:
        await ground.store.approvals.use(approval)
    run = Run(
        id=ground.new_run_id(),
        command=ground.command,
        environment=plan.environment,
        actor=ground.stream.actor,
        started=started,
        plan=plan.digest,
        changes=plan.changes,
        legs=tuple(Leg(target, snapshot.digest) for target, snapshot in fresh.items()),
        ends=plan.ends,
    )
    ground = replace(ground, stream=ground.stream.of(run.id, run.plan))
    for snapshot in fresh.values():
        await ground.store.snapshots.save(run.id, snapshot)
    course = Course(run, ground.store.journal)
    await course.save()
    await ground.stream.say("apply.begin", targets=list(fresh), changes=len(plan.changes))
    first = stages(tuple(fresh))[:1]
    if first and len(first[0]) == 1 and not ground.guard.stop_requested():
        await begin(course, first[0][0], ground)  # a state that cannot be written stops here: nothing was sent
    try:
        await write_all(course, fresh, ground)
        try:
            await verify_all(course, fresh, ground)
        except asyncio.CancelledError:
            await interrupted(course, ground)
    except StateError as exc:
        raise WriteFailed(
            f"run {run.id} could not be recorded after it began to write: {exc.message}",
            hint="free the state directory, then run: sophia heal",
            details={"run": run.id},
        ) from exc
    elapsed = (ground.clock.now() - started).total_seconds()
    run = replace(course.run, api_calls=ground.calls() - calls, duration_s=elapsed)
    return await close(run, ground)


async def _fresh(plan: Plan, ground: Ground) -> dict[str, Snapshot]:
    """Every target as it is now, in the order of the plan.

    Read last to first: what is written first was read last, so that no call on another target lies between the two.
    """
    read: dict[str, Snapshot] = {}
    for stage in reversed(stages(plan.touched())):
        found = await side_by_side(lambda target: _fresh_one(plan, target, ground), reversed(stage))
        read |= {snapshot.target: snapshot for snapshot in found}
    return {target: read[target] for target in plan.touched()}


async def _fresh_one(plan: Plan, target: str, ground: Ground) -> Snapshot:
    """The target as it is now; raises when it is not what the plan was made from."""
    port, zones = ground.target(target), plan.zones.get(target)
    # Asked before the read, for it takes many questions: nothing may lie between the read and the write that stands on it.
    hidden = () if zones is None else await port.preflight(Snapshot(target, plan.created, zones.before))
    snapshot = await port.read()
    base = next(entry.base for entry in plan.targets if entry.id == target)
    if not snapshot.complete:
        raise IncompleteRead(f"{target}: the read could not be shown to be whole", hint="run the command again")
    if snapshot.digest != base:
        await ground.stream.say("apply.stale", target=target, outcome="refused", base=base, found=snapshot.digest)
        raise StalePlan(
            f"{target}: the plan is stale (changed since {plan.created:%H:%M:%S} UTC)",
            hint="run: sophia plan",
            details={"base": base, "found": snapshot.digest},
        )
    blocks = (*snapshot.blocks, *hidden)
    if blocks:
        raise Refused(
            "; ".join(blocks), hint="edit this zone in the provider's web console", details={"blocks": list(blocks)}
        )
    return snapshot
