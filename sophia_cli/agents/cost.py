"""The cost specialist: what is paid for and not used. Buys nothing, writes nothing."""

from __future__ import annotations

from dataclasses import replace

from sophia_cli.agents.base import Specialist
from sophia_cli.agents.proposals import Offer
from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import mend
from sophia_cli.core.dns import ADDRESS_TYPES, APEX, is_parking_pair


class SophiaCostOptimizationAgent(Specialist):
    """Registrations that end, idle domains, double certificates, idle instances.

    What it tunes, with `cost_optimization` on and `optimization_level` balanced or aggressive: a `www` that is still
    parked at the provider goes to the apex when that has an address, so that visitors are not sent to advertisements.
    BasicDNS itself has no price by record or query, so nothing is proposed to save either.
    """

    __slots__ = ()
    name = "cost"

    def tune(self, facts: Facts) -> list[Offer]:
        """The provider's parking page off a domain that is in use."""
        wishes = None if facts.settings is None else facts.settings.intelligence
        if wishes is None or not (wishes.enabled and wishes.cost_optimization):
            return []
        if wishes.optimization_level == "conservative":
            return []
        parked = next((row for row in is_parking_pair(facts.zone) if row.type == "CNAME"), None)
        if parked is None or not any(row.type in ADDRESS_TYPES for row in facts.zone.at(APEX)):
            return []
        reason = "www still shows the provider's parking page, though the domain is in use"
        fix = mend(facts, "WWW-PARKED", reason, (parked, replace(parked, value=facts.zone.name + ".")))
        return [] if fix is None else [Offer("", "WWW-PARKED", reason, fix)]
