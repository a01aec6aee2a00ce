"""Checks of the provider's rows against what the servers answer. Asks no server."""

from __future__ import annotations

from collections.abc import Iterator

from sophia_cli.checks.delegation import live_of
from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding
from sophia_cli.core.dns import REDIRECT_TYPES, Record
from sophia_cli.core.dns_facts import Answer
from sophia_cli.core.findings import Finding

# What an answer can be held against. ALIAS, URL, FRAME and MXE rows are answered with addresses of the provider's own.
_OBSERVABLE = frozenset({"A", "AAAA", "CNAME", "MX", "TXT", "CAA"})
_OWN_ANSWERS = REDIRECT_TYPES | {"ALIAS", "MXE"}
KNOWN_TYPES = _OBSERVABLE | _OWN_ANSWERS | {"NS", "SOA"}


def places(facts: Facts) -> tuple[tuple[str, str], ...]:
    """The (name, type) pairs of the zone whose answers its rows foretell."""
    found = {(row.name, row.type) for row in facts.zone.records if _tells(facts, row)}
    return tuple(sorted(found))


def _tells(facts: Facts, row: Record) -> bool:
    if (
        row.type not in _OBSERVABLE
        or row.name.split(".")[0] == "*"
        or facts.names.inside(facts.zone.fqdn(row.name)) is None
    ):
        return False
    if row.type == "MX" and facts.zone.email_type != "MX":
        return False
    beside = {other.type for other in facts.names.at(row.name)}
    if row.type in ("A", "AAAA", "CNAME"):
        return not beside & _OWN_ANSWERS
    return "CNAME" not in beside


def drift(facts: Facts) -> Iterator[Finding]:
    """Sets that the servers answer in another way than the rows say."""
    live = live_of(facts)
    if facts.source != "api":
        return
    for name, kind in places(facts):
        answer = live.rows.get((name, kind))
        if answer is None or answer.status == "failed":
            continue
        rows = facts.names.at(name, kind)
        wanted, seen = frozenset((row.value, row.priority) for row in rows), _pairs(answer)
        if seen == wanted:
            continue
        ttl = max((row.ttl or 0 for row in rows), default=0)
        yield finding(
            facts, "DNS-DRIFT", f"the servers answer something else for {kind} {name} than its rows say", rows,
            f"Right after a change that is normal for some minutes (its TTL is {ttl} seconds); after that, save the rows "
            "again in the provider's console.",
            no_fix="the rows are as they should be: publishing them is the provider's part",
            live=sorted(value for value, _ in seen), wanted=sorted(value for value, _ in wanted), server=answer.server,
            at=None if answer.at is None else answer.at.isoformat(),
        )  # fmt: skip


def _pairs(answer: Answer) -> frozenset[tuple[str, int | None]]:
    if answer.question.type == "MX":
        return frozenset(zip(answer.values, answer.preferences, strict=False))
    return frozenset((value, None) for value in answer.values)


def invisible(facts: Facts) -> Iterator[Finding]:
    """Records that the provider's API does not return: a whole-zone write may drop them."""
    live = live_of(facts)
    if facts.source != "api":
        return
    found = sorted(place for place, answer in live.rows.items() if place[1] not in KNOWN_TYPES and answer.values)
    if found:
        first = live.rows[found[0]]
        rows = [f"{kind} {name} {value}" for name, kind in found for value in live.rows[name, kind].values]
        yield finding(
            facts, "DNS-INVISIBLE", f"the servers answer {len(rows)} records that the provider's API cannot show", (),
            "Note them down before anything is written: a write of the whole zone may drop them.",
            hidden=rows, server=first.server, at=None if first.at is None else first.at.isoformat(),
        )  # fmt: skip


def rows_unknown(facts: Facts) -> str | None:
    """Why the servers' answers about the rows are not known, or not all."""
    if facts.source != "api":
        return "there are no provider's rows to compare with"
    gap = live_of(facts).gap("rows")
    if gap is None:
        return None
    return f"in part: {gap}" if live_of(facts).rows else gap
