"""The cost specialist: what is paid for and not used. Buys nothing, writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sophia_cli.agents.base import Specialist
from sophia_cli.agents.proposals import Offer
from sophia_cli.checks.found import mend
from sophia_cli.core.costs import Cost, run_rate, service_cost
from sophia_cli.core.dns import ADDRESS_TYPES, APEX, is_parking_pair

if TYPE_CHECKING:
    from sophia_cli.checks.facts import Facts
    from sophia_cli.core.settings import Service, Settings


@dataclass(frozen=True, slots=True)
class Figure:
    """One cost with what it is for and how often it comes. Sums of different prices are never added up."""

    subject: str
    every: str
    cost: Cost

    def data(self) -> dict[str, Any]:
        """The public shape."""
        return {"subject": self.subject, "every": self.every, **self.cost.data()}


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


def figures(facts: Sequence[Facts]) -> tuple[Figure, ...]:
    """What is known to cost what: renewals by the registrar's list, instances by the cloud's, services by the environment."""
    found = [*_renewals(facts), *_instances(facts)]
    settings = next((one.settings for one in facts if one.settings is not None), None)
    if settings is not None and facts:
        found += _services(settings, facts[0])
    return tuple(dict.fromkeys(found))


def _renewals(facts: Iterable[Facts]) -> Iterator[Figure]:
    for one in facts:
        if one.registration is not None and one.registration.renewal is not None:
            yield Figure(one.zone.name, "year", one.registration.renewal)


def _instances(facts: Iterable[Facts]) -> Iterator[Figure]:
    for one in facts:
        for instance in (one.background.inventory or {}).values():
            if instance.is_running and instance.cents_an_hour is not None:
                cost = run_rate(instance.cents_an_hour, f"{instance.provider} price list", instance.read or one.now)
                yield Figure(f"{instance.kind} {instance.name or instance.id}", "month", cost)


def _services(settings: Settings, facts: Facts) -> Iterator[Figure]:
    for service in settings.services:
        count = _units(settings, service)
        if service.unit_cost is not None and count is not None:
            cost = service_cost(service.unit_cost, count, f"services.{service.name}.unit_cost", facts.now)
            yield Figure(service.name, "period of unit_cost", cost)


def _units(settings: Settings, service: Service) -> int | None:
    """How many units a stack's configuration gives a service; None when it is not written down here."""
    stack = next((one for one in settings.pulumi.stacks if service.stack in (one.environment, one.name)), None)
    value = None if stack is None or service.config_key is None else stack.config.get(service.config_key)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value[:9])
    return value if type(value) is int and value >= 0 else None
