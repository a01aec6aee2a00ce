"""The performance specialist: how fast names resolve and how fast changes arrive. Measures nothing itself, writes nothing."""

from __future__ import annotations

from sophia_cli.agents.base import Specialist
from sophia_cli.agents.proposals import Offer
from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import mend, set_ttl
from sophia_cli.checks.performance import LONG, SHORT
from sophia_cli.core.dns import DEFAULT_TTL, Record
from sophia_cli.core.traffic_advice import advise

_STEADY = frozenset({"MX", "TXT", "CAA", "NS"})
_MOVING = frozenset({"A", "AAAA", "ALIAS", "CNAME"})
_AUTOMATIC = DEFAULT_TTL - 1  # what the web console's "Automatic" reads back as (recorded): nobody chose it


class SophiaPerformanceAgent(Specialist):
    """TTLs, alias chains, IPv6, resolution and answer times.

    Where a log was given it proposes the TTLs that the log suggests, whatever the level.

    What it tunes, by `optimization_level`: conservative nothing; balanced raises TTLs from 300 up to 1798 seconds of
    records that rarely change (MX, TXT, CAA, NS) to 3600, where the environment gives none; aggressive does so for all
    of these, and for addresses and aliases too unless `auto_scale` may move them.
    """

    __slots__ = ()
    name = "performance"

    def tune(self, facts: Facts) -> list[Offer]:
        """Longer TTLs for what a log shows to be asked for all the time, and for what does not move."""
        return [*_by_traffic(facts), *self._by_level(facts)]

    def _by_level(self, facts: Facts) -> list[Offer]:
        if facts.settings is None or not facts.settings.intelligence.enabled:
            return []
        wishes = facts.settings.intelligence
        if wishes.optimization_level == "conservative":
            return []
        aggressive = wishes.optimization_level == "aggressive"
        rows = [row for row in facts.zone.records if row.type in _STEADY and _is_middling(row)]
        if not aggressive:
            rows = [row for row in rows if not _has_wanted_ttl(facts, row)]
        offered = _offer(facts, rows, "these records rarely change")
        if aggressive and not wishes.auto_scale:
            moving = [row for row in facts.zone.records if row.type in _MOVING and _is_middling(row)]
            offered += _offer(facts, moving, "optimization_level is aggressive, and nothing scales by itself")
        return offered


def _by_traffic(facts: Facts) -> list[Offer]:
    """What a log suggests and needs no value from anybody: the other advice names what a person has to supply."""
    traffic = facts.background.traffic
    found = []
    for advice in () if traffic is None else advise(traffic, (facts.zone,)):
        fix = None if advice.needs else mend(facts, "TRAFFIC-TTL", advice.why, *advice.changes)
        if fix is not None:
            found.append(Offer("", "TRAFFIC-TTL", f"{advice.name}: {advice.why}", fix))
    return found


def _is_middling(row: Record) -> bool:
    return row.ttl is not None and SHORT <= row.ttl < _AUTOMATIC and not row.name.startswith("_acme-challenge")


def _has_wanted_ttl(facts: Facts, row: Record) -> bool:
    wanted = facts.desired.records if facts.desired is not None else ()
    return any(one.record.key == row.key and one.record.ttl is not None for one in wanted)


def _offer(facts: Facts, rows: list[Record], why: str) -> list[Offer]:
    reason = f"{LONG} seconds mean fewer look-ups: {why}"
    fix = mend(facts, "TTL-BY-LEVEL", reason, *(set_ttl(row, LONG) for row in rows))
    return [] if fix is None else [Offer("", "TTL-BY-LEVEL", reason, fix)]
