"""What a domain without mail publishes so that nobody can send in its name (M3AAWG parked domains). Decides nothing."""

from __future__ import annotations

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import Edit
from sophia_cli.core.dns import APEX, Record

NO_MAIL_SPF = "v=spf1 -all"
NO_MAIL_DMARC = "v=DMARC1; p=reject"


def declaration(facts: Facts) -> tuple[Edit, ...]:
    """SPF that allows nobody and a DMARC that rejects, where neither is there yet."""
    edits: list[Edit] = []
    if not any("spf" in row.value.lower()[:16] for row in facts.names.at(APEX, "TXT")):
        edits.append((None, Record(APEX, "TXT", NO_MAIL_SPF)))
    if not facts.names.answer("_dmarc"):
        edits.append((None, Record("_dmarc", "TXT", NO_MAIL_DMARC)))
    return tuple(edits)
