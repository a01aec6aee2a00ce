"""Timed changes: what was applied with an end is put back when the end has come. Plans no change of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sophia_cli.core.changes import Change
from sophia_cli.core.errors import SophiaError
from sophia_cli.core.findings import Finding
from sophia_cli.core.history import Run, timestamp
from sophia_cli.core.ports import EnvironmentFile
from sophia_cli.core.settings import Settings
from sophia_cli.flows.apply import apply_locked
from sophia_cli.flows.environments import ends_whole, forget_empty
from sophia_cli.flows.ground import Ground
from sophia_cli.flows.rollback import plan_rollback

ENDING = ("suggest", "autonomous-safe", "autonomous")


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of the timed changes whose end has come: the runs that put them back, and what could not be."""

    runs: tuple[Run, ...] = ()
    open: tuple[tuple[Finding, str], ...] = ()


async def end_due(settings: Settings, ground: Ground, file: EnvironmentFile | None, *, dry_run: bool) -> Ended:
    """Put back every run whose end has come, oldest first. Whoever approved it approved its end with it.

    What would now destroy something that cannot come back waits for a person unless the autonomy is `autonomous`.
    """
    now = ground.clock.now()
    runs: list[Run] = []
    open_: list[tuple[Finding, str]] = []
    for run in await ground.store.journal.runs():
        if run.ends is None or run.ends > now or run.outcome not in ("applied", "partial"):
            continue
        missing = sorted({change.target for change in run.changes} - set(ground.targets))
        if missing:
            if any(target.startswith("stack:") for target in missing):
                open_.append((_overdue(run), f"{', '.join(missing)} was left out"))
            continue
        why = "needs approval" if settings.intelligence.autonomy not in ENDING else None
        if why is None and not dry_run and not ground.guard.stop_requested():
            try:
                why, back = await _end(run, settings, ground, file)
            except SophiaError as exc:
                why, back = exc.message, None
            if back is not None:
                runs.append(back)
        if why is not None or dry_run:
            open_.append((_overdue(run), why or "dry run"))
    return Ended(tuple(runs), tuple(open_))


async def _end(
    run: Run, settings: Settings, ground: Ground, file: EnvironmentFile | None
) -> tuple[str | None, Run | None]:
    """Why a run could not be put back, or None; and the run that did it."""
    found = await plan_rollback(run.id, settings, ground, file)
    if found.verdict.denials():
        return "over limit", None
    if settings.intelligence.autonomy != "autonomous" and any(not change.reversible for change in found.plan.changes):
        return "needs approval", None
    beyond = _beyond(found.plan.changes, run)
    if beyond:
        return f"its stack's configuration was changed since ({', '.join(beyond)}): sophia rollback {run.id}", None
    back = None
    if not found.plan.is_empty():
        # Whoever agreed to the run agreed to its end.
        await ground.stream.say("heal.judged", outcome="allow", digest=found.plan.digest, ends=run.id)
        back = await apply_locked(found.plan, None, ground)
        await forget_empty(ends_whole(found.plan.changes), ground)
        if back.outcome != "applied":
            return f"putting it back ended as {back.outcome}", back
    note = "its time was over" + ("" if back is None else f"; put back by run {back.id}")
    await ground.store.journal.save(replace(run, ends=None, notes=(*run.notes, note)))
    return None, back


def _beyond(changes: Sequence[Change], run: Run) -> list[str]:
    """Stack settings that putting the run back would change although the run had not touched them."""
    own = {str(getattr(side, "path", "")) for change in run.changes for side in (change.before, change.after)}
    touched = [change.after or change.before for change in changes if change.kind == "stack.config"]
    return sorted({path for side in touched if (path := str(getattr(side, "path", ""))) not in own})


def _overdue(run: Run) -> Finding:
    assert run.ends is not None
    return Finding(
        id="TIMED-OVERDUE",
        agent="performance",
        severity="medium",
        target=run.changes[0].target,
        title=f"run {run.id} was to end at {timestamp(run.ends)} and still stands",
        evidence={"run": run.id, "ends": timestamp(run.ends), "changes": [change.id for change in run.changes]},
        help=f"sophia rollback {run.id}",
        source="sophia: the journal",
    )
