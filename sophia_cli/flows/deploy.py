"""Deploying: a judged plan, an approval bound to its digest, the apply flow, and what the environment owns afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sophia_cli.core.changes import Change
from sophia_cli.core.dns import Key, Record, Zone
from sophia_cli.core.errors import ApprovalMissing, Declined, Refused, StalePlan, StateError, WriteFailed
from sophia_cli.core.history import Owned, Ownership, Run
from sophia_cli.core.plan import Plan, applied
from sophia_cli.core.policy import Approval, Need
from sophia_cli.core.ports import Store
from sophia_cli.core.settings import DesiredZone, Settings
from sophia_cli.flows.apply import apply_locked
from sophia_cli.flows.ground import Ground
from sophia_cli.flows.plan import Judged, Seen
from sophia_cli.flows.settle import settle_open_runs


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person gave for one plan: a yes, the typed names of zones, or nothing yet."""

    yes: bool = False
    names: frozenset[str] = frozenset()


def refuse_if_denied(judged: Judged) -> None:
    """Raise `Refused`, with every reason, when policy says deny."""
    denials = judged.verdict.denials()
    if denials:
        raise Refused(
            "policy refuses this plan:\n" + "\n".join(f"  {reason.rule}: {reason.message}" for reason in denials),
            hint=next((reason.hint for reason in denials if reason.hint), None),
            details={"reasons": [reason.data() for reason in judged.verdict.reasons]},
        )


def missing_consent(judged: Judged, consent: Consent) -> Need | None:
    """What is still needed before a command that a person typed may write; None when nothing is.

    A recorded approval answers everything. Every write wants at least a yes; critical reasons want the names of the
    zones they touch, and `approval` only a recorded approval.
    """
    if judged.plan.is_empty() or judged.verdict.approved is not None:
        return None
    needs = judged.verdict.needs()
    named = names_wanted(judged) <= consent.names
    if needs == "approval":
        return "approval"
    if needs == "name" and not (named and consent.yes):
        return "name"
    return None if consent.yes else "yes"


def names_wanted(judged: Judged) -> frozenset[str]:
    """The names of the zones a person has to type: of those that critical reasons touch."""
    touched = {
        typed_name(change.target)
        for reason in judged.verdict.reasons
        if reason.needs == "name"
        for change in judged.plan.changes
        if change.id in reason.changes
    }
    return frozenset(touched)


def typed_name(target: str) -> str:
    """What a person types to name a target: the domain, or the stack's own name."""
    return target.partition(":")[2].rpartition("/")[2]


def consent_error(need: Need, judged: Judged) -> Refused:
    """The error of a missing consent: it names the flag that gives it."""
    reasons = [reason for reason in judged.verdict.reasons if reason.needs == need] or list(judged.verdict.reasons)
    why = "; ".join(reason.message for reason in reasons[:3]) or "every write is asked for"
    details = {"reasons": [reason.data() for reason in reasons], "digest": judged.plan.digest}
    names = " ".join(f"--confirm {name}" for name in sorted(names_wanted(judged)))
    if need == "approval":
        return ApprovalMissing(
            f"this plan needs a recorded approval: {why}",
            hint="sophia plan --out FILE, then sophia approve FILE, then sophia deploy FILE",
            details=details,
        )
    if need == "name":
        return Declined(f"this plan is critical: {why}", hint=f"add --yes {names} once you are sure", details=details)
    return Declined(f"nobody said yes: {why}", hint="add --yes to agree without being asked", details=details)


def stale_error(expected: str, plan: Plan) -> StalePlan:
    """The error of a plan file whose digest is not that of the plan rebuilt now."""
    return StalePlan(
        f"the plan is stale: it was {expected}, rebuilt now it is {plan.digest}",
        hint="run: sophia plan",
        details={"expected": expected, "found": plan.digest},
    )


async def settle_first(targets: Sequence[str], ground: Ground) -> tuple[Run, ...]:
    """Before planning: bring runs that were killed to a known end, under the locks of their targets."""
    open_runs = await ground.store.journal.open_runs()
    if not any(leg.target in ground.targets for run in open_runs for leg in run.legs):
        return ()
    async with ground.store.locks.hold(targets, ground.command):
        return await settle_open_runs(ground)


async def deploy(judged: Judged, settings: Settings, ground: Ground) -> Run | None:
    """Apply a plan whose consent is settled and note what the environment owns now. None when nothing had to change.

    The caller has called `refuse_if_denied` and `missing_consent`; the apply flow checks the bases once more under lock.
    """
    targets = sorted({*judged.plan.touched(), *judged.seen})
    async with ground.store.locks.hold(targets, ground.command):
        return await deploy_locked(judged, settings, ground)


async def deploy_locked(judged: Judged, settings: Settings, ground: Ground) -> Run | None:
    """`deploy` for a caller that holds the locks."""
    refuse_if_denied(judged)
    await _refuse_beside_open_runs(judged, ground)
    if judged.plan.is_empty():
        await remember(judged.seen, settings, ground.store, None)
        return None
    await ground.stream.say(
        "deploy.approved",
        outcome=judged.verdict.decision,
        digest=judged.plan.digest,
        by=judged.verdict.approved.by if judged.verdict.approved else ground.stream.actor,
    )
    run = await apply_locked(judged.plan, judged.verdict.approved, ground)
    done = {leg.target for leg in run.legs if leg.phase == "done"}
    await remember(
        {target: seen for target, seen in judged.seen.items() if target in done}, settings, ground.store, run
    )
    return run


async def _refuse_beside_open_runs(judged: Judged, ground: Ground) -> None:
    """Nothing is written over a run whose end is not known: settling it later would take the newer write for its own."""
    touched = {*judged.plan.touched(), *judged.seen}
    for run in await ground.store.journal.open_runs():
        if any(leg.target in touched for leg in run.legs):
            raise StalePlan(
                f"run {run.id} was interrupted and its end is not known yet",
                hint="run: sophia heal",
                details={"run": run.id},
            )


async def record_approval(judged_plan: Plan, by: str, how: str, ground: Ground, until_hours: int) -> Approval:
    """Record an approval of exactly this plan."""
    now = ground.clock.now()
    approval = Approval(judged_plan.digest, by, how, now, now + timedelta(hours=until_hours))
    await ground.store.approvals.save(approval)
    await ground.stream.say("approve", outcome=how, digest=judged_plan.digest, by=by)
    return approval


# -- ownership ----------------------------------------------------------------------------------------------------------


async def remember_run(run: Run, seen: Mapping[str, Seen], settings: Settings, store: Store) -> None:
    """`remember` for the targets that a run brought to its plan. Raises `WriteFailed`: the write itself stands."""
    done = {leg.target for leg in run.legs if leg.phase == "done"}
    try:
        await remember({target: one for target, one in seen.items() if target in done}, settings, store, run)
    except StateError as exc:
        raise WriteFailed(
            f"run {run.id} ended as {run.outcome}, and what the environment owns could not be noted: {exc.message}",
            hint="free the state directory, then run: sophia deploy",
            details={"run": run.public()},
        ) from exc


async def remember(seen: Mapping[str, Seen], settings: Settings, store: Store, run: Run | None) -> None:
    """Note, for each zone, which records the environment named and which sophia wrote."""
    for target, one in seen.items():
        changes = () if run is None else run.of(target)
        before = await store.ownerships.load(settings.environment, target)  # the plan's copy may be older than the lock
        known = owned_after(before, one.desired, applied(one.zone, changes), changes, run)
        if known != before:
            await store.ownerships.save(settings.environment, target, known)


def owned_after(
    before: Ownership, desired: DesiredZone, zone: Zone, changes: Sequence[Change], run: Run | None
) -> Ownership:
    """What an environment knows of a zone after a run (or after a deploy that had nothing to do)."""
    named: set[Key] = {row.record.key for row in desired.records}
    written = {change.after.key: change for change in changes if isinstance(change.after, Record)}
    run_id = "" if run is None else run.id
    entries = []
    for row in zone.records:
        old, change = before.of(row), written.get(row.key)
        wrote = change is not None or (old is not None and old.written)
        if change is not None and not _by_environment(change):
            entries.append(Owned(row, change.source, run_id, True))
        elif row.key in named or change is not None:  # or an undo put back what the environment had named
            by = "config" if old is None or old.by not in ("config", "import") else old.by
            entries.append(Owned(row, by, old.run if old is not None and change is None else run_id, wrote))
        elif old is not None:
            entries.append(replace(old, record=row if old.record.key != row.key else old.record))
    # A named record that is not there now stays known: that is what makes its absence drift.
    there = {row.key for row in zone.records}
    replaced = {change.before.key for change in changes if isinstance(change.before, Record)}
    entries += [
        old
        for old in before.entries
        if old.record.key in named and old.record.key not in there and old.record.key not in replaced
    ]
    mode = desired.email_type if desired.email_type == zone.email_type else before.email_type
    return Ownership(tuple(entries), mode)


def _by_environment(change: Change) -> bool:
    return change.source in ("config", "drift")
