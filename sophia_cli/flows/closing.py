"""Closing: a run's outcome, what it now owns, its last journal entry, and the error its end stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sophia_cli.core.changes import Change, EmailMode
from sophia_cli.core.dns import Record
from sophia_cli.core.errors import Interrupted, OutcomeUnknown, SophiaError, StateError, WriteFailed
from sophia_cli.core.history import Outcome, Owned, Ownership, Phase, Run, Step
from sophia_cli.flows.ground import Ground, Guard


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
