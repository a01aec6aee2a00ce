"""The one apply flow: lock, re-read, journal, write, read back, verify, undo. There is no second way to write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import NoReturn, Protocol

from sophia_cli.core.changes import Change, EmailMode
from sophia_cli.core.comparison import Comparison
from sophia_cli.core.dns import Record
from sophia_cli.core.errors import (
    IncompleteRead,
    Interrupted,
    OutcomeUnknown,
    Refused,
    SophiaError,
    StalePlan,
    StateError,
    WriteFailed,
)
from sophia_cli.core.history import Leg, Outcome, Owned, Ownership, Phase, Run, Snapshot, Step
from sophia_cli.core.plan import Plan
from sophia_cli.core.policy import Approval
from sophia_cli.core.ports import Clock, Evidence, Store, TargetPort
from sophia_cli.flows.events import Stream

READ_BACK_TRIES = 4
READ_BACK_PAUSE_S = 1.0
EARLIER_SNAPSHOTS = 5
WRITE_TIMEOUT_S = 70.0  # a write may take its client's 60 s; a lease must outlive it


class Guard(Protocol):
    """Signals, injected: a stop that comes inside a write waits until the write is settled."""

    def stop_requested(self) -> bool:
        """Whether a stop was asked for while writing."""
        ...

    def writing(self) -> AbstractContextManager[None]:
        """The part of a run that must not be torn."""
        ...


@dataclass(frozen=True, slots=True)
class Ground:
    """What the apply flow stands on: injected, so that the same flow serves every command and every test."""

    store: Store
    targets: Mapping[str, TargetPort]
    clock: Clock
    stream: Stream
    guard: Guard
    new_run_id: Callable[[], str]
    command: str
    wait_s: float = 30.0
    calls: Callable[[], int] = lambda: 0
    """How many calls the providers have made so far."""

    def target(self, name: str) -> TargetPort:
        """The port of a target."""
        return self.targets[name]


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
    # Read last to first: what is written first was read last, so that no call on another target lies between the two.
    read = {target: await _fresh(plan, target, ground) for target in reversed(plan.touched())}
    fresh = {target: read[target] for target in plan.touched()}
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
    )
    ground = replace(ground, stream=ground.stream.of(run.id, run.plan))
    for snapshot in fresh.values():
        await ground.store.snapshots.save(run.id, snapshot)
    await ground.store.journal.save(run)
    await ground.stream.say("apply.begin", targets=list(fresh), changes=len(plan.changes))
    if fresh and not ground.guard.stop_requested():
        run = await _begin(
            run, next(iter(fresh)), ground
        )  # a state that cannot be written stops here: nothing was sent
    try:
        run = await _write_all(run, fresh, ground)
        try:
            run = await _verify_all(run, fresh, ground)
        except asyncio.CancelledError:
            await _interrupted_verifying(run, ground)
    except StateError as exc:
        raise WriteFailed(
            f"run {run.id} could not be recorded after it began to write: {exc.message}",
            hint="free the state directory, then run: sophia heal",
            details={"run": run.id},
        ) from exc
    elapsed = (ground.clock.now() - started).total_seconds()
    run = replace(run, api_calls=ground.calls() - calls, duration_s=elapsed)
    return await close(run, ground)


async def _fresh(plan: Plan, target: str, ground: Ground) -> Snapshot:
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


# -- writing ------------------------------------------------------------------------------------------------------------


async def _write_all(run: Run, fresh: Mapping[str, Snapshot], ground: Ground) -> Run:
    for target, before in fresh.items():
        if run.leg(target).phase == "pending":
            found = await _still(run, before, ground)
            if isinstance(found, str):
                run = run.with_leg(target, "skipped", found)
                await ground.store.journal.save(run)
                continue
            before, run = found, await _begin(run, target, ground)
        with ground.guard.writing():
            run = await _write(run, target, before, ground)
            await ground.store.journal.save(run)
    return run


async def _begin(run: Run, target: str, ground: Ground) -> Run:
    """Note durably that a target is about to be written."""
    run = run.with_leg(target, "writing")
    await ground.store.journal.save(run)
    await ground.stream.say("apply.write", target=target, changes=[change.id for change in run.of(target)])
    return run


async def _still(run: Run, before: Snapshot, ground: Ground) -> Snapshot | str:
    """What a write may stand on, or why it is not made.

    Once another target of the run was written the first read is old: it is made again, so that what somebody changed
    meanwhile is never overwritten (setHosts replaces every row and compares nothing).
    """
    target = before.target
    if ground.guard.stop_requested():
        return "stopped by a signal"
    if _linked_failed(run):
        return "another part of the run failed"
    if all(leg.target.startswith("config:") or leg.phase in ("pending", "skipped") for leg in run.legs):
        return before
    try:
        now = await ground.target(target).read()
    except SophiaError as exc:
        return exc.message
    if now.digest == before.digest and now.complete and not now.blocks:
        return now
    await ground.stream.say("apply.stale", target=target, outcome="refused", base=before.digest, found=now.digest)
    return "changed while another target of this run was written"


def _linked_failed(run: Run) -> bool:
    """Whether an edit of the environment failed: what it names must then not be written either."""
    return any(leg.target.startswith("config:") and leg.phase not in ("pending", "written") for leg in run.legs)


async def _write(run: Run, target: str, before: Snapshot, ground: Ground) -> Run:
    """Write one target and settle what came of it: written, undone, skipped (nothing happened) or unknown."""
    port, changes = ground.target(target), run.of(target)
    failure: SophiaError | None = None
    await ground.store.locks.assure(WRITE_TIMEOUT_S)
    try:
        await port.write(changes, before)
    except SophiaError as exc:
        failure = exc
        await ground.stream.say("apply.write", target=target, outcome="failed", error=exc.kind)
    after = await read_back(port, changes, before, ground, accepted=failure is None)
    if after is None:
        return run.with_leg(target, "unknown", "written, and the target could not be read back")
    found = port.compare(changes, before, after)
    if found.is_as_planned:
        notes = tuple(f"{target}: kept a row of another writer: {row}" for row in found.foreign)
        notes += tuple(
            f"{target}: another writer changed a row between our read and our write, which put it back: {row}"
            for row in found.overwritten
        )
        seen = {"foreign": list(found.foreign), "overwritten": list(found.overwritten)}
        await ground.stream.say("apply.read_back", target=target, outcome="as planned", **seen)
        return replace(run.with_leg(target, "written"), notes=run.notes + notes)
    if found.is_as_before:
        await ground.stream.say("apply.read_back", target=target, outcome="as before")
        return _nothing_happened(run, target, failure)
    await ground.stream.say("apply.read_back", target=target, outcome="wrong", lost=list(found.lost))
    return await take_back(run, target, changes, before, after, ground, _wrong(found, changes))


def _nothing_happened(run: Run, target: str, failure: SophiaError | None) -> Run:
    if failure is None:
        return run.with_leg(target, "undone", "the provider accepted the write and did not keep it")
    return run.with_leg(target, "skipped", failure.message)


def _wrong(found: Comparison, changes: Sequence[Change]) -> str:
    missing = [change.id for change, state in zip(changes, found.states, strict=True) if state != "after"]
    parts = [f"changes {', '.join(missing)} are not there"] if missing else []
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


async def take_back(
    run: Run, target: str, changes: Sequence[Change], before: Snapshot, now: Snapshot, ground: Ground, why: str
) -> Run:
    """Take back one target's part of a run, keeping what others made meanwhile."""
    port = ground.target(target)
    back = port.undo(changes, before, now)
    run = run.with_leg(target, "writing", why)
    await ground.store.journal.save(run)
    await ground.stream.say("apply.undo", target=target, changes=len(back), why=why)
    await ground.store.locks.assure(WRITE_TIMEOUT_S)
    try:
        if back:
            await port.write(back, now)
    except SophiaError as exc:
        await ground.stream.say("apply.undo", target=target, outcome="failed", error=exc.kind)
    end = await read_back(port, back, now, ground, accepted=bool(back))
    if end is None:
        return run.with_leg(target, "unknown", f"{why}; the undo could not be read back")
    states = port.compare(changes, before, end).states
    if port.compare(back, now, end).is_as_planned if back else all(state == "before" for state in states):
        await ground.stream.say("apply.undo", target=target, outcome="as before")
        return run.with_leg(target, "undone", why)
    await ground.stream.say("apply.undo", target=target, outcome="wrong")
    return run.with_leg(target, "unknown", f"{why}; the undo did not take")


async def _take_back(run: Run, target: str, before: Snapshot, ground: Ground, why: str) -> Run:
    """Read a target and take this run's part of it back; a target that cannot be read leaves the run open for heal."""
    with ground.guard.writing():
        now = await read_back(ground.target(target), run.of(target), before, ground, accepted=False)
        if now is None:
            return run.with_leg(target, "unknown", f"{why}; it could not be read to be taken back")
        return await take_back(run, target, run.of(target), before, now, ground, why)


# -- verifying ----------------------------------------------------------------------------------------------------------


async def _verify_all(run: Run, fresh: Mapping[str, Snapshot], ground: Ground) -> Run:
    verdicts: list[bool | None] = []
    for leg in run.legs:
        if leg.phase != "written":
            continue
        evidence = await _verify(run, leg, fresh[leg.target], ground)
        if evidence.verified is False:
            why = "the outside shows something else: " + "; ".join(evidence.details[:3])
            run = await _take_back(run, leg.target, fresh[leg.target], ground, why)
        else:
            run = run.with_leg(leg.target, "done", "; ".join(evidence.details[:3]))
        verdicts.append(evidence.verified)
        await ground.store.journal.save(run)
    run = await take_back_linked(run, ground)
    verified = None if not verdicts or None in verdicts else all(verdicts)
    return replace(run, verified=verified)


async def _interrupted_verifying(run: Run, ground: Ground) -> NoReturn:
    """A signal while waiting for public DNS: what was written stays, and heal asks again.

    The journal, not the caller's older `run`, knows what was taken back since. A signal that tore an undo is passed on,
    and the run stays open.
    """
    run = await ground.store.journal.get(run.id) or run
    if any(leg.phase == "writing" for leg in run.legs):
        raise asyncio.CancelledError
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
    for leg in run.legs:
        if leg.phase == "written":
            run = run.with_leg(leg.target, "done", "verification was interrupted")
    run = await close(await take_back_linked(run, ground), ground)
    if run.outcome != "applied":
        raise WriteFailed(
            f"interrupted while verifying; run {run.id} ended as {run.outcome}",
            hint="run: sophia plan",
            details={"run": run.public()},
        )
    raise Interrupted(f"interrupted while verifying; run {run.id} was written as planned", hint="run: sophia heal")


async def _verify(run: Run, leg: Leg, before: Snapshot, ground: Ground) -> Evidence:
    port, wait = ground.target(leg.target), 0.0 if ground.guard.stop_requested() else ground.wait_s
    earlier = (before, *await ground.store.snapshots.recent(leg.target, EARLIER_SNAPSHOTS))
    try:
        evidence = await port.verify(run.of(leg.target), before, earlier, wait)
    except StateError:
        raise
    except SophiaError as exc:  # nobody could be asked, which says nothing about what was written
        evidence = Evidence(None, (exc.message,))
    said = {True: "verified", False: "wrong", None: "not yet"}[evidence.verified]
    await ground.stream.say("apply.verify", target=leg.target, outcome=said, details=list(evidence.details[:10]))
    return evidence


async def take_back_linked(run: Run, ground: Ground) -> Run:
    """When what an environment edit names did not come to be, the edit goes as well."""
    others = [leg for leg in run.legs if not leg.target.startswith("config:")]
    if not others or any(leg.phase in ("done", "unknown") for leg in others):
        return run
    for leg in run.legs:
        if leg.target.startswith("config:") and leg.phase == "done":
            before = await ground.store.snapshots.of_run(run.id, leg.target)
            if before is None:
                raise StateError(f"run {run.id}: the snapshot of {leg.target} is gone", hint="sophia audit show")
            run = await _take_back(run, leg.target, before, ground, "its records were not made")
    return run


# -- closing ------------------------------------------------------------------------------------------------------------


async def close(run: Run, ground: Ground) -> Run:
    """Close a run: its outcome, one step a change, the journal and the audit log. An unknown end stays open for heal."""
    run = replace(run, outcome=_outcome(run), steps=_steps(run))
    run = replace(run, closed=run.outcome != "unknown")
    try:
        await _own(run, ground)
        await ground.store.journal.save(run)
        await ground.stream.say("apply.end", outcome=run.outcome, verified=run.verified)
    except StateError as exc:
        if run.outcome == "nothing":
            raise
        raise WriteFailed(
            f"run {run.id} ended as {run.outcome} and could not be recorded: {exc.message}",
            hint="free the state directory, then run: sophia heal",
        ) from exc
    return run


async def _own(run: Run, ground: Ground) -> None:
    """Note what the run's done parts wrote before it is closed: a process killed right after would leave drift unseen."""
    for leg in run.legs:
        if leg.phase != "done" or leg.target.startswith("config:"):
            continue
        known = await ground.store.ownerships.load(run.environment, leg.target)
        after = owned_by(run, run.of(leg.target), known)
        if after != known:
            await ground.store.ownerships.save(run.environment, leg.target, after)


def owned_by(run: Run, changes: Sequence[Change], known: Ownership) -> Ownership:
    """What an environment knows of a zone once these changes of a run are done, told from the changes alone."""
    touched = {side.key for change in changes for side in (change.before, change.after) if isinstance(side, Record)}
    entries = [entry for entry in known.entries if entry.record.key not in touched]
    mode = known.email_type
    for change in changes:
        by = "config" if change.source in ("config", "drift") else change.source
        if isinstance(change.after, Record):
            entries.append(Owned(change.after, by, run.id, True))
        if isinstance(change.after, EmailMode) and by == "config":
            mode = change.after.email_type
    return Ownership(tuple(entries), mode)


def _outcome(run: Run) -> Outcome:
    phases: set[Phase] = {leg.phase for leg in run.legs}
    if "unknown" in phases:
        return "unknown"
    if phases <= {"done", "written"}:
        return "applied"
    if phases <= {"skipped", "pending"}:
        return "nothing"
    if not phases & {"done", "written"}:
        return "rolled_back"
    return "partial"


_STEP_OF_PHASE: Mapping[Phase, str] = {
    "pending": "skipped",
    "writing": "unknown",
    "written": "applied",
    "done": "applied",
    "undone": "rolled_back",
    "unknown": "unknown",
    "skipped": "skipped",
}


def _steps(run: Run) -> tuple[Step, ...]:
    legs = {leg.target: leg for leg in run.legs}
    return tuple(
        Step(change.id, _STEP_OF_PHASE[legs[change.target].phase], legs[change.target].message)
        for change in run.changes
    )


def failure_of(run: Run, guard: Guard) -> SophiaError | None:
    """The error that a run's end means for the command that made it, or None when all is as planned (contract, codes)."""
    messages = "; ".join(f"{leg.target}: {leg.message}" for leg in run.legs if leg.message and leg.phase != "done")
    details = {"run": run.public()}
    if run.outcome == "applied":
        if guard.stop_requested():
            return WriteFailed(
                f"interrupted inside a write; run {run.id} was finished as planned first",
                hint="sophia plan shows what is left",
                details=details,
            )
        return None
    if run.outcome == "nothing":
        if guard.stop_requested():
            return Interrupted(f"interrupted before anything was written (run {run.id})", details=details)
        return OutcomeUnknown(f"nothing was written: {messages}", hint="run: sophia plan", details=details)
    hint = {
        "rolled_back": "the target is as it was before; sophia audit show tells the steps",
        "partial": f"sophia plan shows what is left; sophia rollback {run.id} takes back what was done",
        "unknown": "run: sophia heal",
    }[run.outcome]
    state = {"rolled_back": "was rolled back", "partial": "was done only in part", "unknown": "has an unknown end"}
    return WriteFailed(f"run {run.id} {state[run.outcome]}: {messages}", hint=hint, details=details)
