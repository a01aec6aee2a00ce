"""Accepting proposals: chosen ones join the plan as changes of their own source, and everything is judged again."""

from __future__ import annotations

from collections.abc import Sequence

from sophia_cli.core.changes import Change, ConfigValue
from sophia_cli.core.dns import Record
from sophia_cli.core.errors import Refused, UsageError
from sophia_cli.core.findings import Proposal
from sophia_cli.core.lasting import lasting
from sophia_cli.core.plan import Kept, Plan, applied
from sophia_cli.core.ports import EnvironmentFile, Store
from sophia_cli.core.settings import Settings
from sophia_cli.flows.plan import Judged, assemble, judged

SAFE = "safe"
_SAFE_FROM = ("autonomous-safe", "autonomous")


def chosen_proposals(proposals: Sequence[Proposal], ids: Sequence[str], settings: Settings) -> tuple[Proposal, ...]:
    """The proposals that `--accept` names, by their ids or by those of the findings they answer.

    `safe` takes those that a rule made and that are reversible and of low risk.
    Raises `UsageError` for an unknown id, `Refused` for `safe` below autonomy `autonomous-safe`.
    """
    known = {proposal.id: proposal for proposal in proposals}
    chosen: dict[str, Proposal] = {}
    for name in ids:
        if name == SAFE:
            if settings.intelligence.autonomy not in _SAFE_FROM:
                raise Refused(
                    f"--accept safe wants autonomy autonomous-safe; it is {settings.intelligence.autonomy}",
                    hint="accept proposals by their ids, or set ai_infrastructure.autonomy",
                )
            chosen |= {one.id: one for one in proposals if one.safe and _by_rule(one)}
        elif name in known:
            chosen[name] = known[name]
        elif answering := {one.id: one for one in proposals if name in one.finding.split(", ") and _by_rule(one)}:
            chosen |= answering
        else:
            listed = ", ".join(f"{one.id} ({one.finding})" if one.finding else one.id for one in proposals) or "none"
            raise UsageError(f"--accept {name}: there is no such proposal", hint=f"proposals: {listed}")
    return tuple(chosen[key] for key in sorted(chosen))


def _by_rule(proposal: Proposal) -> bool:
    """Whether a rule made it: what a model made is accepted by its own id only."""
    return proposal.source.startswith("rule:")


async def accepted(
    found: Judged, changes: Sequence[Change], settings: Settings, file: EnvironmentFile | None, store: Store
) -> Judged:
    """The plan with accepted changes and the environment edits that make them last, judged again under its new digest.

    Raises `Refused` when an accepted change touches what the plan itself changes, or when it could not last.
    """
    if not changes:
        return found
    busy = {(change.target, side.key) for change in found.plan.changes for side in _records(change)}
    for change in changes:
        if any((change.target, side.key) in busy for side in _records(change)):
            raise Refused(
                f"{change.reason}: the plan itself changes that record", hint="deploy the plan first, then accept"
            )
    edited = {_path(change) for change in found.plan.changes}
    if any(change.kind == "config.value" and _path(change) in edited for change in changes):
        raise Refused("the plan itself edits that setting", hint="deploy the plan first, then accept")
    if file is None and any(change.kind == "config.value" for change in changes):
        raise Refused(f"the environment {settings.environment} cannot be written here", hint="edit it by hand")
    files = [await file.read()] if file is not None else []
    edits: list[Change] = []
    for one in found.seen.values():
        mine = [change for change in changes if change.target == one.target]
        source = (lambda _path: None) if file is None else file.source
        edits += lasting(mine, one.desired, applied(one.zone, mine), settings.environment, source)
    if edits and file is None:
        raise Refused(f"the environment {settings.environment} cannot be written, so an accepted change would not last")
    plan = assemble(
        settings,
        list(found.seen.values()),
        [*found.plan.changes, *edits, *changes],
        _still_kept(found.plan, changes),
        found.plan.created,
        unchanged=found.plan.unchanged,
        files=files,
        proposals=found.plan.proposals,
    )
    return await judged(plan, found.policy, list(found.seen.values()), store, found.plan.created)


def _path(change: Change) -> str | None:
    side = change.after if change.after is not None else change.before
    return side.path if isinstance(side, ConfigValue) else None


def _records(change: Change) -> list[Record]:
    return [side for side in (change.before, change.after) if isinstance(side, Record)]


def _still_kept(plan: Plan, changes: Sequence[Change]) -> list[Kept]:
    touched = {(change.target, side.key) for change in changes for side in _records(change)}
    return [kept for kept in plan.kept if (kept.target, kept.record.key) not in touched]
