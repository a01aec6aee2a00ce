"""Editing single records: one change of a zone and the edit of the environment that makes it last, in one plan."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sophia_cli.core.changes import Change, ConfigValue
from sophia_cli.core.dns import DEFAULT_TTL, WHOLE_SET_TYPES, Record, Zone, mail_policy, normalised, problems
from sophia_cli.core.errors import Refused, UsageError
from sophia_cli.core.history import Snapshot
from sophia_cli.core.lasting import lasting
from sophia_cli.core.plan import Kept, applied, diff_zone, zone_target
from sophia_cli.core.ports import EnvironmentFile, ReadPort, Store
from sophia_cli.core.settings import DesiredZone, Settings
from sophia_cli.flows.plan import Judged, Seen, assemble, judged, observe, policy_of


@dataclass(frozen=True, slots=True)
class SetRecord:
    """A record as a person wants it. `ttl` None keeps what is there."""

    record: Record
    source: str = "user"


@dataclass(frozen=True, slots=True)
class RemoveRecord:
    """Records a person wants gone: all of a type at a name (`type` None: of any), or the one with `value`."""

    name: str
    type: str | None
    value: str | None = None
    source: str = "user"


Edit = SetRecord | RemoveRecord


def find_zone(settings: Settings, name: str) -> DesiredZone:
    """The zone a name belongs to: the one it ends with, else the only one. Raises `UsageError`."""
    bare = name.rstrip(".").lower()
    owners = [zone for zone in settings.zones if bare == zone.name or bare.endswith("." + zone.name)]
    if owners:
        return max(owners, key=lambda zone: len(zone.name))
    if len(settings.zones) == 1 and not name.endswith("."):
        return settings.zones[0]
    if not settings.zones:
        raise UsageError(f"the environment {settings.environment} has no dns section", hint="add dns.domain to it")
    raise UsageError(
        f"{name}: which domain? This environment has {', '.join(zone.name for zone in settings.zones)}",
        hint=f"write the whole name, such as {bare}.{settings.zones[0].name}",
    )


def checked(record: Record, zone: str) -> Record:
    """The record in canonical form. Raises `UsageError` when the provider could not hold it."""
    row = normalised(record, zone)
    found = list(problems(row, zone))
    if found:
        raise UsageError(f"{row.type} {row.name}: {'; '.join(found)}")
    return row


def changes_for(edit: Edit, zone: Zone, desired: DesiredZone) -> tuple[Change, ...]:
    """What an edit changes in a zone; empty when it is so already. Raises `Refused` when there is nothing to remove."""
    if isinstance(edit, SetRecord):
        return tuple(_set(edit, zone, desired))
    rows = [
        row
        for row in zone.at(edit.name)
        if edit.type in (None, row.type) and (edit.value is None or row.value == edit.value)
    ]
    if not rows:
        what = edit.type or "any"
        raise Refused(
            f"{zone.name}: there is no record of type {what} at {edit.name} to remove",
            hint="sophia analyze shows the zone",
        )
    target, reason = zone_target(zone.name), "asked for"
    return tuple(Change(target, "dns.record", "delete", row, None, edit.source, reason) for row in rows)


def _set(edit: SetRecord, zone: Zone, desired: DesiredZone) -> list[Change]:
    wanted = edit.record
    target, reason = zone_target(zone.name), "asked for"
    rivals = _rivals(wanted, zone)
    same = next((row for row in zone.records if row.key == wanted.key), None)
    old = same or (rivals[0] if rivals else None)
    named = next((row.record for row in desired.records if (row.record.name, row.record.type) == wanted.key[:2]), None)
    given = (wanted.ttl, old.ttl if old else None, named.ttl if named else None, desired.ttl)
    ttl = next((ttl for ttl in given if ttl is not None), DEFAULT_TTL)
    row = replace(wanted, ttl=ttl)
    changes = []
    if old is None:
        changes.append(Change(target, "dns.record", "create", None, row, edit.source, reason))
    elif old != row:
        changes.append(Change(target, "dns.record", "update", old, row, edit.source, reason))
    changes += [
        Change(target, "dns.record", "delete", rival, None, edit.source, "replaced by what was asked for")
        for rival in rivals
        if rival != old
    ]
    return changes


def _rivals(wanted: Record, zone: Zone) -> list[Record]:
    """The rows a set replaces: the whole set of address-like types, the one SPF or DMARC; single values stand beside."""
    if wanted.type in WHOLE_SET_TYPES:
        return list(zone.at(wanted.name, wanted.type))
    policy = mail_policy(wanted)
    if policy in ("spf", "dmarc", "mta-sts", "tls-rpt"):
        return [row for row in zone.at(wanted.name, "TXT") if mail_policy(row) == policy]
    return [row for row in zone.records if row.key == wanted.key]


async def plan_edits(
    edits: Sequence[tuple[DesiredZone, Edit]],
    settings: Settings,
    readers: Mapping[str, ReadPort],
    file: EnvironmentFile | None,
    store: Store,
    now: datetime,
    overrides: Mapping[str, frozenset[str]] | None = None,
) -> Judged:
    """The judged plan of one or more edits, each applied to what the one before leaves."""
    wanted = {zone_target(zone.name) for zone, _ in edits}
    seen = await observe(settings, {name: port for name, port in readers.items() if name in wanted}, store)
    zones = {one.target: one.zone for one in seen}
    changes: list[Change] = []
    for zone, edit in edits:
        target = zone_target(zone.name)
        if target not in zones:
            raise UsageError(f"{zone.name} is not a target here", hint="check --target")
        made = changes_for(edit, zones[target], zone)
        zones[target] = applied(zones[target], made)
        changes += made
    return await plan_changes(changes, settings, seen, file, store, now, overrides)


async def plan_changes(
    changes: Sequence[Change],
    settings: Settings,
    seen: Sequence[Seen],
    file: EnvironmentFile | None,
    store: Store,
    now: datetime,
    overrides: Mapping[str, frozenset[str]] | None = None,
    notes: Sequence[str] = (),
) -> Judged:
    """A judged plan of record changes with the environment edits that make them last.

    Raises `Refused`, with the patch to make by hand, where the environment cannot be written.
    """
    files: list[Snapshot] = []
    if changes and file is not None:
        files = [await file.read()]
    edits = [_as_written(change, file) for change in changes if change.kind == "config.value"]
    changes = [change for change in changes if change.kind != "config.value"]
    for one in seen:
        mine = [change for change in changes if change.target == one.target]
        if not mine:
            continue
        source = (lambda _path: None) if file is None else file.source
        edits += lasting(mine, one.desired, applied(one.zone, mine), settings.environment, source)
    if edits and file is None:
        patch = "\n".join(f"  {_by_hand(edit)}" for edit in edits)
        raise Refused(
            f"the environment {settings.environment} cannot be written, so the change would not last; make it there:\n{patch}",
            hint="edit the environment, then run: sophia plan",
            details={"edits": [edit.data() for edit in edits]},
        )
    plan = assemble(settings, seen, [*edits, *changes], _kept(seen, changes), now, files=files)
    plan = replace(plan, notes=tuple(notes))
    return await judged(plan, await policy_of(settings, store, overrides), seen, store, now)


def _as_written(change: Change, file: EnvironmentFile | None) -> Change:
    """An edit of the environment whose former value is what stands in its file, not what evaluation made of it."""
    if file is None or not isinstance(change.after, ConfigValue):
        return change
    stands = file.source(change.after.path)
    before = None if stands is None else ConfigValue(change.after.path, stands)
    return replace(change, action="create" if before is None else "update", before=before)


def _by_hand(edit: Change) -> str:
    """An edit of the environment as a line a person can follow."""
    if isinstance(edit.after, ConfigValue):
        return f"{edit.after.path}: {json.dumps(edit.after.value, ensure_ascii=False)}"
    return f"remove {edit.before.path}" if isinstance(edit.before, ConfigValue) else edit.reason


def _kept(seen: Sequence[Seen], changes: Sequence[Change]) -> list[Kept]:
    """What stays although no environment names it, leaving out what this plan itself touches."""
    touched = {
        (change.target, side.key)
        for change in changes
        for side in (change.before, change.after)
        if isinstance(side, Record)
    }
    kept: list[Kept] = []
    for one in seen:
        if one.desired.unknown:
            continue
        kept += [
            row
            for row in diff_zone(one.desired, one.zone, one.ownership).kept
            if (row.target, row.record.key) not in touched
        ]
    return kept
