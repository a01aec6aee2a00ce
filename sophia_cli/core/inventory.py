"""The inventory: instances that run somewhere, and which of them a name or traffic uses. Asks no cloud."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sophia_cli.core.dns import Record, Zone

RUNNING = frozenset({"booting", "active", "unhealthy"})  # what is paid for (Lambda Cloud API, instance status)


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance, without the tokens the API gives beside it. `cents_an_hour` is the list price in US cents."""

    id: str
    provider: str
    name: str
    status: str
    kind: str
    region: str
    address: str | None = None
    cents_an_hour: int | None = None
    read: datetime | None = None
    used_by: tuple[str, ...] = ()
    """The names that point at it, and `traffic` where a log shows some."""

    @property
    def is_running(self) -> bool:
        """Whether it costs money now."""
        return self.status in RUNNING


def with_uses(
    instances: Iterable[Instance], zones: Iterable[Zone], clients: Iterable[str] = ()
) -> tuple[Instance, ...]:
    """The instances with the names that point at them; `clients` are addresses that a log shows at work."""
    rows = [(zone, row) for zone in zones for row in zone.records]
    busy = {address for address in map(_canonical, clients) if address is not None}
    found = []
    for instance in sorted(instances, key=lambda one: (one.provider, one.id)):
        address = None if instance.address is None else _canonical(instance.address)
        uses = {zone.fqdn(row.name) for zone, row in rows if address is not None and _points_at(row, address)}
        if address in busy and address is not None:
            uses.add("traffic")
        found.append(replace(instance, used_by=tuple(sorted(uses))))
    return tuple(found)


def _points_at(row: Record, address: str) -> bool:
    if row.type in ("A", "AAAA", "MXE"):
        return _canonical(row.value) == address
    return row.type == "TXT" and row.value.startswith("v=spf1") and f":{address}" in row.value  # it sends mail


def _canonical(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
