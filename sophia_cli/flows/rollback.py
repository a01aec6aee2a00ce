"""Rolling back: the inverse of a run's own changes against what is there now. Later edits of others are kept and named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sophia_cli.core.certificates import CertificateOrder
from sophia_cli.core.changes import Change, ConfigValue
from sophia_cli.core.dns import Record
from sophia_cli.core.errors import Refused, StateError, UsageError
from sophia_cli.core.history import Run, Snapshot
from sophia_cli.core.ports import EnvironmentFile, Journal, Part, StackPort, TargetPort
from sophia_cli.core.settings import Settings
from sophia_cli.core.stack_compare import irreversible
from sophia_cli.core.stacks import StackState
from sophia_cli.flows.ground import Ground
from sophia_cli.flows.plan import Judged, assemble, judged, observe, policy_of

_BY_STATE = ("delegation:", "cert:")


@dataclass(frozen=True, slots=True)
class Inverse:
    """What undoing a run would do, and what it leaves because somebody changed it since."""

    run: Run
    changes: tuple[Change, ...]
    kept: tuple[str, ...]


async def find_run(journal: Journal, run_id: str | None) -> Run:
    """The run to undo: the named one, else the last that wrote something. Raises `UsageError` when there is none."""
    if run_id is not None:
        run = await journal.get(run_id)
        if run is None:
            raise UsageError(f"there is no run {run_id}", hint="sophia audit show lists the runs")
        return run
    done = [run for run in await journal.runs() if run.outcome in ("applied", "partial")]
    if not done:
        raise UsageError("there is no run to roll back", hint="sophia audit show lists the runs")
    return done[-1]


def inverse_of(run: Run, targets: Mapping[str, TargetPort], read: Mapping[str, Snapshot]) -> Inverse:
    """The inverse of what a run did, change by change, where its result still stands in what was `read`."""
    changes: list[Change] = []
    kept: list[str] = []
    for target in done_targets(run):
        if target not in read:
            continue  # a stack goes back as its engine says
        undone, left = _of_target(run, run.of(target), targets[target], read[target])
        changes += undone
        kept += left
    return Inverse(run, tuple(changes), tuple(kept))


def done_targets(run: Run) -> tuple[str, ...]:
    """The targets that a run brought to its plan."""
    done = {leg.target for leg in run.legs if leg.phase == "done"}
    return tuple(target for target in dict.fromkeys(change.target for change in run.changes) if target in done)


def _of_target(run: Run, changes: Sequence[Change], port: TargetPort, now: Snapshot) -> tuple[list[Change], list[str]]:
    undone, left = [], []
    states = port.compare(changes, now, now).states
    for change, state in zip(reversed(changes), reversed(states), strict=True):
        if state == "after":
            # The source stays the undone change's own: what the environment had named is the environment's again.
            source = "config" if change.source == "drift" else change.source
            reason = f"undoes {change.id} of run {run.id}"
            back = replace(change.inverse(), source=source, reason=reason, hidden=frozenset())
            undone.append(back)
        elif state == "neither":
            left.append(f"{_named(change)} was changed since by somebody else and is kept as it is{_instead(change)}")
    return undone, left


async def _returning(run: Run, port: StackPort, ground: Ground) -> Part:
    """What returns a stack to what the run found: its earlier configuration, or nothing where there was no stack."""
    before = await ground.store.snapshots.of_run(run.id, port.id)
    if before is None:
        raise StateError(f"run {run.id}: the snapshot of {port.id} is gone", hint="sophia audit show")
    had = not isinstance(before.content, StackState) or before.content.exists
    part = await (port.propose_return(before) if had else port.propose_destroy())
    notes = dict.fromkeys((*part.notes, *irreversible(part.changes)))
    changes = tuple(replace(change, reason=f"undoes run {run.id}") for change in part.changes)
    return replace(part, changes=changes, notes=tuple(notes))


def _named(change: Change) -> str:
    payload = change.after if change.after is not None else change.before
    if isinstance(payload, Record):
        return f"{payload.type} {payload.name}"
    if isinstance(payload, CertificateOrder):
        return change.target
    return payload.path if isinstance(payload, ConfigValue) else change.kind


def _instead(change: Change) -> str:
    """How to get what the undo would have given, where it takes another command."""
    before = change.before
    if not isinstance(before, CertificateOrder) or before.serial is None:
        return ""
    return (
        f"; for the certificate of before: sophia cert rollback {change.target.removeprefix('cert:')} {before.serial}"
    )


async def plan_rollback(
    run_id: str | None,
    settings: Settings,
    ground: Ground,
    file: EnvironmentFile | None,
    overrides: Mapping[str, frozenset[str]] | None = None,
) -> Judged:
    """The judged plan that undoes a run, with what it leaves alone in its notes."""
    run = await find_run(ground.store.journal, run_id)
    touched = done_targets(run)
    for target in touched:
        if target.startswith("secret:"):
            raise Refused(
                f"run {run.id} rotated {target}, which is not undone", hint="sophia secrets rotate makes another value"
            )
        if target not in ground.targets:
            raise UsageError(
                f"run {run.id} wrote {target}, which is not a target of this environment",
                hint=f"name the environment it was made with: -e {run.environment}",
            )
    readers = {target: port for target, port in ground.targets.items() if target in touched}
    seen = await observe(settings, readers, ground.store)
    files = [await file.read()] if file is not None and file.id in touched else []
    parts = [await _returning(run, port, ground) for port in readers.values() if isinstance(port, StackPort)]
    others = [port for port in readers.values() if port.id.startswith(_BY_STATE)]
    read = {one.target: one.snapshot for one in seen} | {one.target: one for one in files}
    read |= {port.id: await port.read() for port in others}
    inverse = inverse_of(run, ground.targets, read)
    now = ground.clock.now()
    changes = [*inverse.changes, *(change for part in parts for change in part.changes)]
    seen = tuple(one for one in seen if any(change.target == one.target for change in changes))
    parts += [Part(read[port.id]) for port in others]
    plan = assemble(settings, seen, changes, [], now, files=files, parts=parts)
    notes = inverse.kept if changes else (*inverse.kept, f"nothing of run {run.id} is left to undo")
    plan = replace(plan, notes=(*plan.notes, *notes))
    return await judged(plan, await policy_of(settings, ground.store, overrides), seen, ground.store, now)
