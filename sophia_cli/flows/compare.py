"""Comparing two zones without an environment: the plan that turns one into the other. Reads nothing."""

from __future__ import annotations

from datetime import datetime

from sophia_cli.core.changes import Change
from sophia_cli.core.dns import WHOLE_SET_TYPES, Record, Zone
from sophia_cli.core.plan import Plan, TargetBase, applied, finished, zone_target
from sophia_cli.core.risk import Zones

ENVIRONMENT = "diff"


def compare_files(live: Zone, desired: Zone, now: datetime) -> Plan:
    """The plan of everything that differs: what is not in `desired` is deleted. Values of one set are paired as updates."""
    target = zone_target(live.name)
    there = {row.key: row for row in live.records}
    should = {row.key: row for row in desired.records}
    gone: dict[tuple[str, str], list[Record]] = {}
    for key, row in there.items():
        if key not in should:
            gone.setdefault((row.name, row.type), []).append(row)
    changes: list[Change] = []
    for key, row in should.items():
        old = there.get(key)
        if old is None:
            former = gone.get((row.name, row.type)) if row.type in WHOLE_SET_TYPES else None
            changes.append(_change(target, former.pop(0) if former else None, row))
        elif old != row:
            changes.append(_change(target, old, row))
    changes += [_change(target, row, None) for rows in gone.values() for row in rows]
    zones = {target: Zones(live, applied(live, changes))}
    return Plan(
        environment=ENVIRONMENT,
        created=now,
        targets=(TargetBase(target, live.digest(), True),),
        changes=finished(changes, zones),
        unchanged=sum(1 for key, row in should.items() if there.get(key) == row),
        zones=zones,
    )


def _change(target: str, before: Record | None, after: Record | None) -> Change:
    if before is None:
        return Change(target, "dns.record", "create", None, after, "user", "only in DESIRED")
    if after is None:
        return Change(target, "dns.record", "delete", before, None, "user", "only in LIVE")
    return Change(target, "dns.record", "update", before, after, "user", "differs")
