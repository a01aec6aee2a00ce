"""Importing: the environment's dns section from a live zone, as environment edits; the next plan is empty."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sophia_cli.core.changes import Change, ConfigValue
from sophia_cli.core.dns import Record, Zone, problems
from sophia_cli.core.errors import StalePlan
from sophia_cli.core.history import Owned, Ownership
from sophia_cli.core.lasting import config_target, literal, record_key
from sophia_cli.core.plan import zone_target
from sophia_cli.flows.ground import Ground


@dataclass(frozen=True, slots=True)
class Import:
    """The edits that write a zone into an environment, the records they name, and what could not be named and why."""

    changes: tuple[Change, ...]
    records: tuple[Record, ...]
    left_out: tuple[str, ...]


def import_zone(zone: Zone, environment: str, *, provider: str, namecheap: bool) -> Import:
    """The `dns` section for a zone. `namecheap` adds a section that takes credentials and address from process variables."""
    rows, left_out = _nameable(zone)
    common = Counter(row.ttl for row in rows).most_common(1)
    ttl = common[0][0] if common else None
    section: dict[str, Any] = {"dns.provider": provider, "dns.domain": zone.name}
    if ttl is not None:
        section["dns.ttl"] = ttl
    section["dns.email_type"] = zone.email_type
    taken: set[str] = set()
    for row in rows:
        key = record_key(row, taken)
        taken.add(key)
        section[f"dns.records.{key}"] = _entry(row, ttl)
    if namecheap:
        for name in ("api_user", "api_key", "username"):
            section[f"namecheap.{name}"] = {"fn::secret": f"${{NAMECHEAP_{name.upper()}}}"}
        section["namecheap.client_ip_detection.fallback"] = "${NAMECHEAP_CLIENT_IP}"
    reason = f"imported from {zone.name}"
    changes = [
        Change(config_target(environment), "config.value", "create", None, ConfigValue(path, value), "user", reason)
        for path, value in section.items()
    ]
    return Import(tuple(changes), tuple(rows), tuple(left_out))


def imported(zone: Zone, records: Iterable[Record], run: str) -> Ownership:
    """What an environment owns after an import: every record it names now."""
    return Ownership(tuple(Owned(row, "import", run, False) for row in records), zone.email_type)


@asynccontextmanager
async def standing_still(zone: Zone, ground: Ground) -> AsyncIterator[None]:
    """Hold the zone's lock over the write of its environment, and what that owns, once the zone is still as it was read.

    Raises `Locked` while another run is at the zone, `StalePlan` when the zone has moved since.
    """
    target = zone_target(zone.name)
    async with ground.store.locks.hold([target], ground.command):
        now = (await ground.target(target).read()).content
        if not isinstance(now, Zone) or now.digest() != zone.digest():
            raise StalePlan(f"{zone.name} has changed since it was read; nothing was written", hint="run it again")
        yield


def _nameable(zone: Zone) -> tuple[list[Record], list[str]]:
    rows, left_out = [], []
    for row in zone.records:
        why = next(problems(row, zone.name), None)
        if why is None:
            rows.append(row)
        else:
            left_out.append(f"{row.type} {row.name} is kept and not managed: {why}")
    return rows, left_out


def _entry(row: Record, ttl: int | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": row.type, "name": row.name, "value": literal(row.value)}
    if row.ttl != ttl:
        entry["ttl"] = row.ttl
    if row.priority is not None:
        entry["priority"] = row.priority
    return entry
