"""Checks around certificates that the zone alone can tell: challenges left behind. Asks no server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding, mend
from sophia_cli.core.dns import Record
from sophia_cli.core.findings import Finding

_FRESH = timedelta(days=1)  # a challenge younger than this may belong to an order that is still open


def acme_left(facts: Facts) -> Iterator[Finding]:
    """Answered challenges are of no use once the order is done; how old one is, only the history knows."""
    wanted = {row.record.key for row in facts.desired.records} if facts.desired is not None else set()
    rows = [
        row for row in facts.zone.records if _is_challenge(row) and row.key not in wanted and not _is_fresh(facts, row)
    ]
    for name in sorted({row.name for row in rows}):
        here = [row for row in rows if row.name == name]
        yield finding(
            facts, "DNS-ACME-LEFT", f"{len(here)} ACME challenge{'s' if len(here) > 1 else ''} left at {name}", here,
            "Delete them unless a certificate is being ordered right now.",
            fix=mend(facts, "DNS-ACME-LEFT", "a challenge is of no use once its order is done", *((row, None) for row in here)),
            age="known" if facts.background.changed is not None else "not known",
        )  # fmt: skip


def _is_challenge(row: Record) -> bool:
    return row.type == "TXT" and row.name.split(".")[0] == "_acme-challenge"


def _is_fresh(facts: Facts, row: Record) -> bool:
    when = (facts.background.changed or {}).get(row.key)
    return when is not None and facts.now - when < _FRESH
