"""Finding drift: the zones' own servers are asked first, the provider's API only where that is not enough. Repairs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sophia_cli.core.changes import Change
from sophia_cli.core.dns import Record, Zone, published
from sophia_cli.core.errors import SophiaError, UnknownValue
from sophia_cli.core.findings import Finding, Severity
from sophia_cli.core.history import Snapshot
from sophia_cli.core.plan import diff_zone, zone_target
from sophia_cli.core.ports import Planned
from sophia_cli.core.settings import DesiredZone, Settings
from sophia_cli.flows.concurrency import side_by_side
from sophia_cli.flows.ground import EARLIER_SNAPSHOTS, Ground
from sophia_cli.flows.plan import Seen, see

API_EVERY = timedelta(hours=24)
SEEN = "seen"
_CLOSE = timedelta(seconds=1)

# What DNS cannot show (see `NameServers`): zones that name such rows are always read by the API.
_UNSEEN_BY_DNS = frozenset({"ALIAS", "MXE", "URL", "URL301", "FRAME", "NS"})
_SEVERITY: dict[str, Severity] = {"low": "low", "medium": "medium", "high": "high", "critical": "critical"}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it should be, with the change that would mend it, if one would."""

    finding: Finding
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """The faults of all zones, and what was read of those that the API was asked about."""

    faults: tuple[Fault, ...]
    seen: tuple[Seen, ...]


async def examine(settings: Settings, ground: Ground, *, remember: bool) -> Examined:
    """Every zone, concurrently. A zone that cannot be read is a fault of its own; when none can be, its error is raised.

    With `remember`, what the API showed is kept, so that the next pass can do with DNS alone.
    """
    zones = [zone for zone in settings.zones if zone_target(zone.name) in ground.targets and not zone.delegation]
    failures: list[SophiaError] = []
    written = await _written(ground)

    async def one(zone: DesiredZone) -> tuple[list[Fault], Seen | None]:
        try:
            return await _zone(zone, settings, ground, written, remember=remember)
        except SophiaError as exc:
            failures.append(exc)
            return [Fault(_unreadable(zone_target(zone.name), exc))], None

    results = await side_by_side(one, zones)
    if failures and len(failures) == len(zones):
        raise failures[0]
    faults = [fault for found, _ in results for fault in found]
    for target, port in sorted(ground.targets.items()):
        if target.startswith("delegation:") and isinstance(port, Planned):
            faults += await _delegation(port)
    return Examined(tuple(faults), tuple(seen for _, seen in results if seen is not None))


async def _zone(
    zone: DesiredZone, settings: Settings, ground: Ground, written: Mapping[str, datetime], *, remember: bool
) -> tuple[list[Fault], Seen | None]:
    if await _shown_by_dns(zone, settings, ground, written):
        return [], None
    seen = await see(zone, ground.targets, settings, ground.store)
    if remember:
        await _remember(seen.snapshot, ground)
    faults = await _public(seen, ground)
    try:
        diff = diff_zone(seen.desired, seen.zone, seen.ownership)
    except UnknownValue as exc:
        return [*faults, Fault(_unknown(seen.target, exc))], seen
    faults += [Fault(_finding(change), change) for change in diff.changes]
    faults += [Fault(_blocked(seen.target, block)) for block in seen.snapshot.blocks]
    return faults, seen


async def _delegation(port: Planned) -> list[Fault]:
    try:
        return [Fault(_finding(change), change) for change in (await port.propose()).changes]
    except SophiaError as exc:
        return [Fault(_unreadable(port.id, exc))]


# -- by DNS alone -------------------------------------------------------------------------------------------------------


async def _shown_by_dns(zone: DesiredZone, settings: Settings, ground: Ground, written: Mapping[str, datetime]) -> bool:
    """Whether the zone's servers show every managed record as the API last did, which was all as wanted."""
    if zone.purge or zone.unknown or any(row.record.type in _UNSEEN_BY_DNS for row in zone.records):
        return False
    target = zone_target(zone.name)
    base = await _baseline(target, ground, written)
    if base is None or not isinstance(base.content, Zone):
        return False
    ownership = await ground.store.ownerships.load(settings.environment, target)
    if diff_zone(zone, base.content, ownership).changes:
        return False
    same = _managed(zone, base.content)
    if not same or not _tells_of_mail(zone, base.content) or any(_is_covered(row, base.content) for row in same):
        return False
    evidence = await ground.target(target).verify(same, base, (), 0.0)
    return evidence.verified is True and evidence.exact


def _tells_of_mail(zone: DesiredZone, live: Zone) -> bool:
    """Whether another mail mode would show in what is asked: only MX records that the environment names tell that."""
    if zone.email_type is None:
        return True
    return live.email_type == "MX" and any(row.record.type == "MX" for row in zone.records)


def _is_covered(change: Change, live: Zone) -> bool:
    """Whether the zone would answer the same without the record, because a wildcard gives the same answer."""
    row = change.before
    if not isinstance(row, Record) or row.name.startswith("*"):
        return False
    without = Zone.of(live.name, live.email_type, [other for other in live.records if other.name != row.name])
    return published(without, row.name, row.type) == published(live, row.name, row.type)


async def _baseline(target: str, ground: Ground, written: Mapping[str, datetime]) -> Snapshot | None:
    """What the API showed last, unless that is a day ago or a run has written since."""
    base = await ground.store.snapshots.of_run(SEEN, target)
    now = ground.clock.now()
    if base is None or now - base.taken_at > API_EVERY or base.taken_at > now:
        return None
    last = written.get(target)
    return None if last is not None and last >= base.taken_at - _CLOSE else base


async def _written(ground: Ground) -> dict[str, datetime]:
    """When the last run began that wrote each target, as far back as a baseline may lie; the journal is read once a pass."""
    found: dict[str, datetime] = {}
    for run in await ground.store.journal.runs(since=ground.clock.now() - API_EVERY - _CLOSE):
        if run.outcome != "nothing":
            found |= {leg.target: max(run.started, found.get(leg.target, run.started)) for leg in run.legs}
    return found


async def _remember(snapshot: Snapshot, ground: Ground) -> None:
    await ground.store.snapshots.save(SEEN, snapshot)


def _managed(zone: DesiredZone, live: Zone) -> list[Change]:
    """The managed records that are there, as changes that change nothing: what `verify` asks about."""
    named = {row.record.key for row in zone.records}
    target = zone_target(live.name)
    return [Change(target, "dns.record", "update", row, row) for row in live.records if row.key in named]


async def _public(one: Seen, ground: Ground) -> list[Fault]:
    """What the zone's own servers show other than the provider's rows; old answers and silent servers are left out."""
    same = _managed(one.desired, one.zone)
    if not same:
        return []
    earlier = await ground.store.snapshots.recent(one.target, EARLIER_SNAPSHOTS)
    evidence = await ground.target(one.target).verify(same, one.snapshot, earlier, 0.0)
    if evidence.verified is not False:
        return []
    return [Fault(_other_answer(one.target, evidence.details))]


# -- findings -----------------------------------------------------------------------------------------------------------


def _finding(change: Change) -> Finding:
    drifted = change.source == "drift"
    evidence = {
        "there": change.data()["before"],
        "wanted": change.data()["after"],
        "change": change.action,
    }
    return Finding(
        id="DNS-DRIFT" if drifted else "ENV-PENDING",
        agent="dns",
        severity=_SEVERITY[change.risk] if drifted else "low",
        target=change.target,
        title=f"{_named(change)} {'is not as last applied' if drifted else 'is in the environment and not deployed'}",
        evidence=evidence,
        help="sophia heal puts it back where the autonomy allows" if drifted else "run: sophia deploy",
        source="sophia: the environment against the live zone",
    )


def _other_answer(target: str, answers: tuple[str, ...]) -> Finding:
    return Finding(
        id="DNS-PUBLIC",
        agent="dns",
        severity="high",
        target=target,
        title="the name servers show something else than the provider's records",
        evidence={"answers": list(answers[:10])},
        help="ask again in an hour; if it stays, look at the delegation and at the provider's status",
        source="sophia: authoritative answers against the live zone",
    )


def _unreadable(target: str, exc: SophiaError) -> Finding:
    hint = exc.hint or "run the command again"
    return Finding(
        "ZONE-UNREADABLE", "dns", "high", target, f"cannot be read: {exc.message}", {"error": exc.kind}, hint
    )


def _unknown(target: str, exc: UnknownValue) -> Finding:
    return Finding("ENV-UNKNOWN", "dns", "medium", target, exc.message, {}, exc.hint or "", "sophia: ESC evaluation")


def _blocked(target: str, block: str) -> Finding:
    return Finding(
        "DNS-BLOCKED", "dns", "info", target, block, {}, "turn dynamic DNS off, or edit this zone by hand", ""
    )


def _named(change: Change) -> str:
    payload = change.after if change.after is not None else change.before
    if isinstance(payload, Record):
        return f"{payload.type} {payload.name}"
    return {"dns.email_type": "the mail mode", "dns.nameservers": "the delegation"}.get(change.kind, change.kind)
