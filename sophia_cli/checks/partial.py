"""What a zone that was put together from DNS answers cannot show. Runs no check."""

from __future__ import annotations

from sophia_cli.checks.facts import Facts

# Rules about how rows are kept: a server shows each record once, one TTL a set, and knows no provider's limits.
_ROWS = {
    "DNS-DUP": "DNS shows each record once",
    "DNS-TTL-SET": "DNS shows one TTL for a set",
    "DNS-TTL-RANGE": "the limits of the zone's provider are not known from DNS alone",
}
# Rules about every name of the zone, of which DNS alone shows only those that were asked for.
_EVERY_NAME = frozenset(
    {
        "DNS-CNAME-OTHER", "DNS-CNAME-MULTI", "DNS-CNAME-LOOP", "DNS-NS-CNAME", "DNS-SPECIAL-IP", "DNS-NAME-SYNTAX",
        "DNS-DOUBLED", "DNS-WILDCARD-GAP", "DNS-ACME-LEFT", "DNS-DANGLE-NX", "DNS-DANGLE-SVC", "DNS-DANGLE-NS",
        "DNS-DANGLE-IP", "MAIL-SPF-MULTI", "MAIL-DKIM-KEY", "MAIL-DKIM-TEST", "CAA-BLOCKS", "TXT-SECRET", "TXT-STALE",
        "PERF-TTL-LOW", "PERF-CHAIN",
    }
)  # fmt: skip


def hidden(id: str, facts: Facts) -> str | None:
    """Why a rule cannot be looked at in this zone at all; None when it can."""
    return _ROWS.get(id) if facts.source == "dns" else None


def unlisted(id: str, facts: Facts) -> str | None:
    """Why a rule can be looked at only in part of this zone; None when all of it is there."""
    if facts.background.is_whole or id not in _EVERY_NAME:
        return None
    live = facts.background.dns
    asked = 0 if live is None else len({name for name, _ in live.rows})
    return f"in part: the zone cannot be listed by DNS, so {asked} usual names were asked for"
