"""Builders: values for tests, short to write and plain to read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sophia_cli.core.dns import Record, Zone, normalised
from sophia_cli.core.history import Owned, Ownership
from sophia_cli.core.settings import DesiredRecord, DesiredZone, Intelligence, Limits, Settings

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DOMAIN = "example.com"
IP, OTHER_IP, THIRD_IP = "203.0.113.7", "203.0.113.9", "203.0.113.11"


def a(name: str, address: str = IP, ttl: int | None = 1800) -> Record:
    return Record(name, "A", address, ttl)


def mx(target: str = "mail.example.com.", priority: int = 10, name: str = "@", ttl: int | None = 1800) -> Record:
    return Record(name, "MX", target, ttl, priority)


def txt(value: str, name: str = "@", ttl: int | None = 1800) -> Record:
    return Record(name, "TXT", value, ttl)


def cname(name: str, target: str, ttl: int | None = 1800) -> Record:
    return Record(name, "CNAME", target, ttl)


def zone(*records: Record, email_type: str = "NONE", name: str = DOMAIN) -> Zone:
    return Zone.of(name, email_type, [normalised(record, name) for record in records])


def desired(*records: Record, name: str = DOMAIN, protect: Sequence[str] = (), **fields: object) -> DesiredZone:
    rows = tuple(
        DesiredRecord(normalised(record, name), f"dns.records.r{index}", protect=record.name in protect)
        for index, record in enumerate(records)
    )
    return DesiredZone(name, "dns", rows, **fields)  # type: ignore[arg-type]


def owned(*records: Record, by: str = "config", written: bool = True, email_type: str | None = None) -> Ownership:
    return Ownership(tuple(Owned(record, by, "run-1", written) for record in records), email_type)


def settings_of(*zones: DesiredZone, autonomy: str = "suggest", **limits: object) -> Settings:
    intelligence = Intelligence(autonomy=autonomy, limits=Limits(**limits))  # type: ignore[arg-type]
    return Settings("acme", "acme", zones=zones, intelligence=intelligence)
