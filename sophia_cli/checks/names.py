"""Checks of names: their syntax, and the zone's own name written twice. Asks no server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding, mend
from sophia_cli.core.dns import APEX, Record
from sophia_cli.core.findings import Finding, Fix

_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)\Z")
_ANY = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")
_HOST_OWNERS = frozenset({"A", "AAAA", "ALIAS", "MX", "MXE", "URL", "URL301", "FRAME"})


def syntax(facts: Facts) -> Iterator[Finding]:
    """Owner names, and the host names that MX and NS point at."""
    zone = facts.zone
    for row in zone.records:
        owner = [] if row.name == APEX else row.name.split(".")
        if owner[:1] == ["*"]:
            owner = owner[1:]
        why = _problem(owner, zone.fqdn(row.name), hosts_only=row.type in _HOST_OWNERS)
        if why is not None:
            yield _bad(facts, row, row.name, why)
        if row.type in ("MX", "NS") and row.value != ".":
            host = row.value.rstrip(".")
            why = _problem(host.split("."), host, hosts_only=True)
            if why is not None:
                yield _bad(facts, row, row.value, why)


def _problem(labels: list[str], whole: str, *, hosts_only: bool) -> str | None:
    for label in labels:
        if len(label) > 63:
            return f"a label is {len(label)} characters long; 63 are allowed"
        if not (_HOST if hosts_only else _ANY).match(label):
            if hosts_only and _ANY.match(label):
                return "underscores are for names of services, not of hosts"
            return "host names hold letters, digits and inner hyphens"
    return f"the whole name is {len(whole)} characters long; 253 are allowed" if len(whole) > 253 else None


def _bad(facts: Facts, row: Record, name: str, why: str) -> Finding:
    short = name if len(name) <= 40 else name[:37] + "..."
    return finding(
        facts,
        "DNS-NAME-SYNTAX",
        f"{row.type} {short} is not a valid name",
        (row,),
        f"Rename it: {why}.",
        name=name,
        why=why,
    )


def doubled(facts: Facts) -> Iterator[Finding]:
    """`www.example.com.example.com`: a full name was written without its final dot."""
    zone = facts.zone
    for row in zone.records:
        if row.name == zone.name or row.name.endswith("." + zone.name):
            good = replace(row, name=_once(zone.fqdn(row.name), zone.name).removesuffix(zone.name).rstrip(".") or APEX)
            yield _twice(facts, row, zone.fqdn(row.name), _renamed(facts, row, good))
        elif row.type in ("CNAME", "ALIAS", "MX", "NS") and ("." + row.value).endswith(f".{zone.name}.{zone.name}."):
            good = replace(row, value=_once(row.value, zone.name + "."))
            yield _twice(
                facts, row, row.value, mend(facts, "DNS-DOUBLED", "the zone's name stood there twice", (row, good))
            )


def _once(name: str, zone: str) -> str:
    """A name that ends with the zone's own name several times, with it once."""
    while ("." + name).endswith(f".{zone.rstrip('.')}.{zone}"):
        name = name.removesuffix("." + zone) + ("." if zone.endswith(".") else "")
    return name


def _renamed(facts: Facts, row: Record, good: Record) -> Fix | None:
    """Moves the record, unless other data at the right name makes that a choice."""
    there = facts.names.at(good.name)
    if any("CNAME" in (row.type, other.type) for other in there):
        return None
    if any(other.key == good.key for other in there):
        return mend(facts, "DNS-DOUBLED", "the same record stands at the right name", (row, None))
    return mend(facts, "DNS-DOUBLED", "the zone's name stood there twice", (row, good))


def _twice(facts: Facts, row: Record, name: str, fix: Fix | None) -> Finding:
    return finding(
        facts, "DNS-DOUBLED", f"{row.type} {row.name} ends with the zone's name twice", (row,),
        "Write the name relative to the zone, or end it with a dot.", fix=fix,
        no_fix="other records stand at the right name: choose which one to keep", name=name,
    )  # fmt: skip
