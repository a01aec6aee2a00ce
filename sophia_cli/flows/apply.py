"""The one apply flow: lock, re-read, journal, write, read back, verify, undo. There is no second way to write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import NoReturn, Protocol

from sophia_cli.core.changes import Change
from sophia_cli.core.comparison import Comparison
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
from sophia_cli.core.history import Leg, Outcome, Phase, Run, Snapshot, Step
from sophia_cli.core.plan import Plan
from sophia_cli.core.policy import Approval
from sophia_cli.core.ports import Clock, Evidence, Store, TargetPort
from sophia_cli.flows.events import Stream

READ_BACK_TRIES = 4
READ_BACK_PAUSE_S = 1.0
EARLIER_SNAPSHOTS = 5


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
    fresh = {target: await _fresh(plan, target, ground) for target in plan.touched()}
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
    snapshot = await ground.target(target).read()
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
    if snapshot.blocks:
        raise Refused(f"{target}: {snapshot.blocks[0]}", details={"blocks": list(snapshot.blocks)})
    return snapshot


# -- writing ------------------------------------------------------------------------------------------------------------


async def _write_all(run: Run, fresh: Mapping[str, Snapshot], ground: Ground) -> Run:
    for target in fresh:
        if ground.guard.stop_requested() or _linked_failed(run):
            message = "stopped by a signal" if ground.guard.stop_requested() else "another part of the run failed"
            run = run.with_leg(target, "skipped", message)
            await ground.store.journal.save(run)
            continue
        run = run.with_leg(target, "writing")
        await ground.store.journal.save(run)
        with ground.guard.writing():
            run = await _write(run, target, fresh[target], ground)
            await ground.store.journal.save(run)
    return run


def _linked_failed(run: Run) -> bool:
    """Whether an edit of the environment failed: what it names must then not be written either."""
    return any(leg.target.startswith("config:") and leg.phase not in ("pending", "written") for leg in run.legs)


async def _write(run: Run, target: str, before: Snapshot, ground: Ground) -> Run:
    """Write one target and settle what came of it: written, undone, skipped (nothing happened) or unknown."""
    port, changes = ground.target(target), run.of(target)
    failure: SophiaError | None = None
    await ground.stream.say("apply.write", target=target, changes=[change.id for change in changes])
    try:
        await port.write(changes, before)
    except SophiaError as exc:
        failure = exc
        await ground.stream.say("apply.write", target=target, outcome="failed", error=exc.kind)
    after = await _read_back(port, changes, before, ground, accepted=failure is None)
    if after is None:
        return run.with_leg(target, "unknown", "written, and the target could not be read back")
    found = port.compare(changes, before, after)
    if found.is_as_planned:
        notes = tuple(f"{target}: kept a row of another writer: {row}" for row in found.foreign)
        await ground.stream.say("apply.read_back", target=target, outcome="as planned", foreign=list(found.foreign))
        return replace(run.with_leg(target, "written"), notes=run.notes + notes)
    if found.is_as_before:
        await ground.stream.say("apply.read_back", target=target, outcome="as before")
        return _nothing_happened(run, target, failure)
    await ground.stream.say("apply.read_back", target=target, outcome="wrong", lost=list(found.lost))
    return await _undo(run, target, changes, before, after, ground, _wrong(found, changes))


def _nothing_happened(run: Run, target: str, failure: SophiaError | None) -> Run:
    if failure is None:
        return run.with_leg(target, "undone", "the provider accepted the write and did not keep it")
    return run.with_leg(target, "skipped", failure.message)


def _wrong(found: Comparison, changes: Sequence[Change]) -> str:
    missing = [change.id for change, state in zip(changes, found.states, strict=True) if state != "after"]
    parts = [f"changes {', '.join(missing)} are not there"] if missing else []
    parts += [f"lost: {row}" for row in found.lost[:5]]
    return "read back wrong (" + "; ".join(parts) + ")"


async def _read_back(
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


async def _undo(
    run: Run,
    target: str,
    changes: Sequence[Change],
    before: Snapshot,
    now: Snapshot,
    ground: Ground,
    why: str,
) -> Run:
    """Take back one target's part of a run, keeping what others made meanwhile."""
    port = ground.target(target)
    back = port.undo(changes, before, now)
    await ground.stream.say("apply.undo", target=target, changes=len(back), why=why)
    try:
        if back:
            await port.write(back, now)
    except SophiaError as exc:
        await ground.stream.say("apply.undo", target=target, outcome="failed", error=exc.kind)
    end = await _read_back(port, back, now, ground, accepted=bool(back))
    if end is None:
        return run.with_leg(target, "unknown", f"{why}; the undo could not be read back")
    if not back or port.compare(back, now, end).is_as_planned:
        await ground.stream.say("apply.undo", target=target, outcome="as before")
        return run.with_leg(target, "undone", why)
    await ground.stream.say("apply.undo", target=target, outcome="wrong")
    return run.with_leg(target, "unknown", f"{why}; the undo did not take")


# -- verifying ----------------------------------------------------------------------------------------------------------


async def _verify_all(run: Run, fresh: Mapping[str, Snapshot], ground: Ground) -> Run:
    verdicts: list[bool | None] = []
    for leg in run.legs:
        if leg.phase != "written":
            continue
        evidence = await _verify(run, leg, fresh[leg.target], ground)
        if evidence.verified is False:
            with ground.guard.writing():
                port = ground.target(leg.target)
                why = "the outside shows something else: " + "; ".join(evidence.details[:3])
                now = await port.read()
                run = await _undo(run, leg.target, run.of(leg.target), fresh[leg.target], now, ground, why)
        else:
            run = run.with_leg(leg.target, "done", "; ".join(evidence.details[:3]))
        verdicts.append(evidence.verified)
        await ground.store.journal.save(run)
    run = await take_back_linked(run, ground)
    verified = None if not verdicts or None in verdicts else all(verdicts)
    return replace(run, verified=verified)


async def _interrupted_verifying(run: Run, ground: Ground) -> NoReturn:
    """A signal while waiting for public DNS: what was written stays, and heal asks again."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
    for leg in run.legs:
        if leg.phase == "written":
            run = run.with_leg(leg.target, "done", "verification was interrupted")
    run = await close(run, ground)
    raise Interrupted(f"interrupted while verifying; run {run.id} was written as planned", hint="run: sophia heal")


async def _verify(run: Run, leg: Leg, before: Snapshot, ground: Ground) -> Evidence:
    port, wait = ground.target(leg.target), 0.0 if ground.guard.stop_requested() else ground.wait_s
    earlier = (before, *await ground.store.snapshots.recent(leg.target, EARLIER_SNAPSHOTS))
    evidence = await port.verify(run.of(leg.target), before, earlier, wait)
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
            with ground.guard.writing():
                now = await ground.target(leg.target).read()
                changes = run.of(leg.target)
                run = await _undo(run, leg.target, changes, before, now, ground, "its records were not made")
    return run


# -- closing ------------------------------------------------------------------------------------------------------------


async def close(run: Run, ground: Ground) -> Run:
    """Close a run: its outcome, one step a change, the journal and the audit log. An unknown end stays open for heal."""
    run = replace(run, outcome=_outcome(run), steps=_steps(run))
    run = replace(run, closed=run.outcome != "unknown")
    try:
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
