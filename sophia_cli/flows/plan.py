"""Planning: environment and live zones to one plan with its verdict. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from sophia_cli.core.changes import Change
from sophia_cli.core.dns import Zone
from sophia_cli.core.errors import IncompleteRead, UsageError
from sophia_cli.core.findings import Proposal
from sophia_cli.core.history import Ownership, Snapshot
from sophia_cli.core.plan import Kept, Plan, TargetBase, applied, diff_zone, finished, zone_target
from sophia_cli.core.policy import LIMITS, Past, Policy, Verdict, judge
from sophia_cli.core.ports import ReadPort, Store
from sophia_cli.core.risk import Zones
from sophia_cli.core.settings import DesiredZone, Settings
from sophia_cli.flows.concurrency import side_by_side

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
    seen = Seen(desired, snapshot, ownership)
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
) -> Plan:
    """One ordered plan of changes over zones and the environment's own file."""
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
        unchanged=unchanged,
        zones=zones,
    )


def plan_environment(settings: Settings, seen: Sequence[Seen], now: datetime) -> Plan:
    """The plan that makes the zones what the environment says. Raises `UnknownValue` for a zone it cannot know."""
    changes: list[Change] = []
    kept: list[Kept] = []
    unchanged = 0
    for one in sorted(seen, key=lambda one: one.target):
        diff = diff_zone(one.desired, one.zone, one.ownership)
        changes += diff.changes
        kept += diff.kept
        unchanged += diff.unchanged
    return assemble(settings, seen, changes, kept, now, unchanged=unchanged)


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
    spent = sum(1 for run in runs for step in run.steps if step.outcome in ("applied", "rolled_back"))
    verdict = judge(plan, policy, approvals, Past(changes_last_day=spent), now)
    return Judged(plan, verdict, policy, {one.target: one for one in seen})


async def make_plan(
    settings: Settings,
    readers: Mapping[str, ReadPort],
    store: Store,
    now: datetime,
    overrides: Mapping[str, frozenset[str]] | None = None,
) -> Judged:
    """The whole planning flow: observe, diff, judge."""
    seen = await observe(settings, readers, store)
    plan = plan_environment(settings, seen, now)
    return await judged(plan, await policy_of(settings, store, overrides), seen, store, now)


def chosen(settings: Settings, patterns: Sequence[str]) -> Settings:
    """The settings with only the zones that `--target` patterns match. Raises `UsageError` when one matches nothing."""
    if not patterns:
        return settings
    for pattern in patterns:
        if not any(_matches(zone.name, pattern) for zone in settings.zones):
            known = ", ".join(zone_target(zone.name) for zone in settings.zones) or "none"
            raise UsageError(f"--target {pattern} matches no target of this environment", hint=f"targets: {known}")
    zones = tuple(zone for zone in settings.zones if any(_matches(zone.name, pattern) for pattern in patterns))
    return replace(settings, zones=zones)


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
