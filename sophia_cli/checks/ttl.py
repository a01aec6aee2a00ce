"""Checks of times to live. Asks no server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding, listed, mend, set_ttl
from sophia_cli.core.dns import DEFAULT_TTL, TTL_RANGE, Record
from sophia_cli.core.findings import Finding

LOWEST = 300  # the provider's newer reference says 300..60000, its older one 60..60000: a clamp takes the safe one


def duplicate(facts: Facts) -> Iterator[Finding]:
    """The same row twice in a file; the provider keeps one of them."""
    for key, count in sorted(Counter(row.key for row in facts.background.repeated).items()):
        rows = [row for row in facts.zone.records if row.key == key]
        again = [row for row in facts.background.repeated if row.key == key]
        yield finding(
            facts, "DNS-DUP", f"{listed(rows)} stands there {count + 1} times", rows,
            "Delete the other lines; a record set holds each value once.",
            no_fix="the provider keeps one row by itself; delete the line from the file",
            lines=list(facts.background.lines.get(key, ())), repeated=[row.data() for row in again],
        )  # fmt: skip


def differing(facts: Facts) -> Iterator[Finding]:
    """One record set, several TTLs: resolvers may treat it as an error or drop parts early."""
    for (name, kind), rows in sorted(_sets(facts).items()):
        ttls = sorted({row.ttl for row in rows if row.ttl is not None})
        if len(ttls) > 1:
            yield finding(
                facts, "DNS-TTL-SET", f"the {kind} records of {name} have {len(ttls)} TTLs: {', '.join(map(str, ttls))}", rows,
                "Give all records of the set one TTL.",
                fix=mend(
                    facts, "DNS-TTL-SET", f"one TTL for the set, {agreed(facts, rows)}",
                    *(set_ttl(row, agreed(facts, rows)) for row in rows if row.ttl is not None),
                ),
            )  # fmt: skip


def agreed(facts: Facts, rows: Sequence[Record]) -> int:
    """The TTL a set with several should have: the lowest that is steady and in range, else the usual one.

    Every fix of a TTL in such a set uses it, so that fixes of several findings agree.
    """
    good = [row.ttl for row in rows if row.ttl is not None and LOWEST <= row.ttl <= TTL_RANGE[1]]
    return min(good, default=steady_ttl(facts))


def better(facts: Facts, row: Record, otherwise: int) -> int:
    """The TTL a record should have: what its set agrees on where that has several, else `otherwise`."""
    rows = [other for other in facts.names.at(row.name, row.type) if other.ttl is not None]
    return agreed(facts, rows) if len({other.ttl for other in rows}) > 1 else otherwise


def steady_ttl(facts: Facts) -> int:
    """The TTL for names that do not change, by `optimization_level`: 1800 seconds, aggressive 3600."""
    aggressive = facts.settings is not None and facts.settings.intelligence.optimization_level == "aggressive"
    return 3600 if aggressive else DEFAULT_TTL


def _sets(facts: Facts) -> dict[tuple[str, str], list[Record]]:
    sets: dict[tuple[str, str], list[Record]] = {}
    for row in facts.zone.records:
        sets.setdefault((row.name, row.type), []).append(row)
    return sets


def out_of_range(facts: Facts) -> Iterator[Finding]:
    """TTLs that setHosts would refuse or change."""
    low, high = TTL_RANGE
    for row in facts.zone.records:
        if row.ttl is not None and not low <= row.ttl <= high:
            good = better(facts, row, LOWEST if row.ttl < low else high)
            yield finding(
                facts, "DNS-TTL-RANGE", f"the TTL {row.ttl} of {row.type} {row.name} is outside {low}..{high}", (row,),
                f"Use a TTL of {good} seconds.",
                fix=mend(facts, "DNS-TTL-RANGE", f"a TTL in range, {good}", set_ttl(row, good)),
            )  # fmt: skip
