"""Planning: environment and live zones to one plan with its verdict. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from sophia_cli.core.certificates import sections
from sophia_cli.core.challenges import is_challenge
from sophia_cli.core.changes import Change, Delegation, delegation_target
from sophia_cli.core.dns import Zone
from sophia_cli.core.errors import IncompleteRead, UsageError
from sophia_cli.core.findings import Proposal
from sophia_cli.core.history import Ownership, Run, Snapshot
from sophia_cli.core.plan import Kept, Plan, TargetBase, applied, diff_zone, finished, zone_target
from sophia_cli.core.policy import LIMITS, Past, Policy, Verdict, judge
from sophia_cli.core.ports import Part, Planned, ReadPort, Store
from sophia_cli.core.risk import Zones
from sophia_cli.core.settings import DesiredZone, Settings
from sophia_cli.flows.concurrency import side_by_side
from sophia_cli.flows.links import linked

DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Seen:
    """One zone as it was read for a plan, with what the state knows of it."""

    desired: DesiredZone
    snapshot: Snapshot
    ownership: Ownership
    emptied: bool = False

    @property
    def zone(self) -> Zone:
        """The live zone."""
        content = self.snapshot.content
        if not isinstance(content, Zone):
            raise TypeError(f"{self.snapshot.target} is not a zone")
        return content

    @property
    def target(self) -> str:
        """The target id."""
        return self.snapshot.target


@dataclass(frozen=True, slots=True)
class Judged:
    """A plan and what policy says of it."""

    plan: Plan
    verdict: Verdict
    policy: Policy
    seen: Mapping[str, Seen] = field(default_factory=dict)


async def observe(settings: Settings, readers: Mapping[str, ReadPort], store: Store) -> tuple[Seen, ...]:
    """Read every zone of the environment that has a reader, concurrently. The first failure is raised: no guesses."""
    zones = [zone for zone in settings.zones if zone_target(zone.name) in readers]
    return await side_by_side(lambda zone: see(zone, readers, settings, store), zones)


async def see(desired: DesiredZone, readers: Mapping[str, ReadPort], settings: Settings, store: Store) -> Seen:
    """One zone as its port reads it, with what the state knows of it. Raises `IncompleteRead` for less than all of it."""
    target = zone_target(desired.name)
    snapshot = await readers[target].read()
    if not snapshot.complete:
        raise IncompleteRead(f"{target}: the read could not be shown to be whole", hint="run the command again")
    ownership = await store.ownerships.load(settings.environment, target)
    seen = Seen(
        linked(desired, settings.pulumi, {}), snapshot, ownership
    )  # what rests on a stack is nobody's business here
    if seen.zone.records:
        return seen
    last = await store.snapshots.recent(target, 3)  # the newest is perhaps one that heal took of the empty zone itself
    had_rows = any(isinstance(old.content, Zone) and old.content.records for old in last)
    return replace(seen, emptied=had_rows or bool(ownership.entries))


def assemble(
    settings: Settings,
    seen: Sequence[Seen],
    changes: Sequence[Change],
    kept: Sequence[Kept],
    now: datetime,
    *,
    unchanged: int = 0,
    files: Sequence[Snapshot] = (),
    proposals: Sequence[Proposal] = (),
    parts: Sequence[Part] = (),
) -> Plan:
    """One ordered plan of changes over zones, the environment's own file, and targets that plan for themselves."""
    zones = {
        one.target: Zones(
            before=one.zone,
            after=applied(one.zone, [change for change in changes if change.target == one.target]),
            blocks=one.snapshot.blocks,
            emptied=one.emptied,
            protected=frozenset((row.record.name, row.record.type) for row in one.desired.records if row.protect),
            ownership=one.ownership,
        )
        for one in seen
    }
    touched = {change.target for change in changes}
    snapshots = [one.snapshot for one in seen] + [file for file in files if file.target in touched]
    snapshots += [part.snapshot for part in parts]
    return Plan(
        environment=settings.environment,
        created=now,
        targets=tuple(
            TargetBase(snapshot.target, snapshot.digest, snapshot.complete)
            for snapshot in sorted(snapshots, key=lambda snapshot: snapshot.target)
        ),
        changes=finished(changes, zones),
        kept=tuple(kept),
        proposals=tuple(proposals),
        unchanged=unchanged + sum(part.unchanged for part in parts),
        zones=zones,
        notes=tuple(note for part in parts for note in part.notes),
        blocks={part.snapshot.target: part.snapshot.blocks for part in parts if part.snapshot.blocks},
    )


def plan_environment(settings: Settings, seen: Sequence[Seen], now: datetime, parts: Sequence[Part] = ()) -> Plan:
    """The plan that makes the targets what the environment says. Raises `UnknownValue` for a zone it cannot know."""
    changes: list[Change] = [change for part in parts for change in part.changes]
    kept: list[Kept] = []
    unchanged = 0
    for one in sorted(seen, key=lambda one: one.target):
        diff = diff_zone(one.desired, one.zone, one.ownership)
        changes += diff.changes
        kept += diff.kept
        unchanged += diff.unchanged
    return assemble(settings, seen, changes, kept, now, unchanged=unchanged, parts=parts)


async def policy_of(settings: Settings, store: Store, overrides: Mapping[str, frozenset[str]] | None = None) -> Policy:
    """The policy in force: the environment's limits, what is frozen, and the limits lifted for single changes."""
    return Policy(
        autonomy=settings.intelligence.autonomy,
        limits=settings.intelligence.limits,
        environment=settings.environment,
        stack=settings.stack,
        frozen=await store.freezes.patterns(),
        overrides=overrides or {},
    )


async def judged(plan: Plan, policy: Policy, seen: Sequence[Seen], store: Store, now: datetime) -> Judged:
    """The plan with its verdict, its recorded approvals and its history taken into account."""
    approvals = await store.approvals.of_plan(plan.digest)
    runs = await store.journal.runs(since=now - DAY)
    spent = sum(_spent(run) for run in runs)
    verdict = judge(plan, policy, approvals, Past(changes_last_day=spent), now)
    return Judged(plan, verdict, policy, {one.target: one for one in seen})


def _spent(run: Run) -> int:
    """How many changes of a run count against the limit of a day: not our own challenge records."""
    done = {step.change for step in run.steps if step.outcome in ("applied", "rolled_back")}
    return sum(change.id in done and not is_challenge(change) for change in run.changes)


async def make_plan(
    settings: Settings,
    readers: Mapping[str, ReadPort],
    store: Store,
    now: datetime,
    overrides: Mapping[str, frozenset[str]] | None = None,
) -> Judged:
    """The whole planning flow: observe, diff, judge."""
    parts = [await port.propose() for _, port in sorted(readers.items()) if isinstance(port, Planned)]
    outputs = {part.snapshot.target: part.outputs for part in parts}
    settings, notes = _on_our_servers(settings, parts)
    seen = await observe(settings, readers, store)
    zones = {zone_target(zone.name): zone for zone in settings.zones}
    seen = tuple(replace(one, desired=linked(zones[one.target], settings.pulumi, outputs)) for one in seen)
    plan = plan_environment(settings, seen, now, parts)
    plan = replace(plan, notes=(*plan.notes, *notes))
    return await judged(plan, await policy_of(settings, store, overrides), seen, store, now)


def _on_our_servers(settings: Settings, parts: Sequence[Part]) -> tuple[Settings, tuple[str, ...]]:
    """The settings without the zones that are delegated elsewhere, whose rows the provider neither shows nor takes."""
    away: dict[str, bool] = {}
    for part in parts:
        if isinstance(part.snapshot.content, Delegation) and part.snapshot.content.nameservers:
            away[part.snapshot.target.partition(":")[2]] = bool(part.changes)
    notes = tuple(
        f"{zone_target(name)}: delegated elsewhere, so its records are not looked at"
        + ("; plan again once it is back" if coming else "")
        for name, coming in away.items()
    )
    return replace(settings, zones=tuple(zone for zone in settings.zones if zone.name not in away)), notes


def chosen(settings: Settings, patterns: Sequence[str]) -> Settings:
    """The settings with only the zones that `--target` patterns match. Raises `UsageError` when one matches nothing."""
    if not patterns:
        return settings
    for pattern in patterns:
        if not (any(_matches(zone.name, pattern) for zone in settings.zones) or _is_beside(settings, pattern)):
            known = ", ".join([*(zone_target(zone.name) for zone in settings.zones), *_beside(settings)]) or "none"
            raise UsageError(f"--target {pattern} matches no target of this environment", hint=f"targets: {known}")
    zones = tuple(zone for zone in settings.zones if any(_matches(zone.name, pattern) for pattern in patterns))
    return replace(settings, zones=zones)


def _beside(settings: Settings) -> list[str]:
    """The targets that are no zones, as far as settings tell: the organization and project of a stack are the engine's."""
    delegated = [delegation_target(zone.name) for zone in settings.zones if zone.delegation is not None]
    stacks = [f"stack:*/{stack.name.rpartition('/')[2]}" for stack in settings.pulumi.stacks]
    return [*delegated, *stacks, *(f"cert:{name}" for name in sections(settings.ssl))]


def _is_beside(settings: Settings, pattern: str) -> bool:
    if pattern.startswith("stack:"):
        pattern = f"stack:*/{pattern.removeprefix('stack:').rpartition('/')[2]}"
    return any(fnmatchcase(target, pattern) for target in _beside(settings))


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(zone_target(name), pattern) or fnmatchcase(name, pattern)


def parsed_overrides(texts: Sequence[str]) -> dict[str, frozenset[str]]:
    """`cN=RULE` options as the limits lifted for each change. Raises `UsageError`."""
    found: dict[str, set[str]] = {}
    for text in texts:
        change, separator, rule = text.partition("=")
        if not separator or rule not in LIMITS:
            raise UsageError(f"--override {text}: write cN=RULE with RULE one of {', '.join(LIMITS)}")
        found.setdefault(change, set()).add(rule)
    return {change: frozenset(rules) for change, rules in found.items()}
