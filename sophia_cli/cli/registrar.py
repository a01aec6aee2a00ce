"""What the registrar and the cloud tell beside the zones: ends, locks, prices, bought certificates, instances."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from sophia_cli.cli.printing import note

if TYPE_CHECKING:
    from sophia_cli.checks.facts import Background, Facts, PaidCertificate
    from sophia_cli.cli.session import Session
    from sophia_cli.core.costs import Cost
    from sophia_cli.providers.lambda_cloud import LambdaCloud

T = TypeVar("T")
LAMBDA_KEY = "LAMBDA_API_KEY"
LAMBDA_URL = "LAMBDA_API_URL"
_PRIVACY = {"ENABLED": True, "DISABLED": False}  # NOTPRESENT is also what domains show whose registry allows none


async def backgrounds(found: Session, agents: Sequence[str] | None) -> dict[str, Background]:
    """Registrar facts by target; what cannot be had leaves its checks not tested."""
    from sophia_cli.checks.facts import Background, Registration
    from sophia_cli.core.plan import zone_target

    if found.client is None:
        return {}
    listed = await _had(found, "the registrar's list", found.client.domains())
    if listed is None:
        return {}
    by_name = {domain.name: domain for domain in listed}
    known = {zone.name: by_name[zone.name] for zone in found.settings.zones if zone.name in by_name}
    with_costs = agents is None or "cost" in agents
    prices = await _prices(found, known) if with_costs else {}
    paid = await _certificates(found) if with_costs else None
    return {
        zone_target(name): Background(
            registration=Registration(
                expires=domain.expires,
                auto_renew=domain.auto_renew,
                locked=domain.is_locked,
                privacy=_PRIVACY.get(domain.whois_guard.upper()),
                is_our_dns=domain.is_our_dns,
                renewal=prices.get(_ending(name)),
            ),
            certificates=paid,
        )
        for name, domain in known.items()
    }


async def _prices(found: Session, names: Iterable[str]) -> dict[str, Cost]:
    """What a year costs, by top-level domain (users.getPricing)."""
    from sophia_cli.core.costs import renewal

    assert found.client is not None
    prices: dict[str, Cost] = {}
    for ending in sorted({_ending(name) for name in names}):
        rows = await _had(
            found,
            f"the price of .{ending}",
            found.client.pricing("DOMAIN", category="DOMAINS", action="RENEW", product=ending.upper()),
        )
        row = next((row for row in rows or () if row.product.lower() == ending and row.duration == 1), None)
        if row is not None:
            now = found.clock.now()
            source = f"namecheap.users.getPricing RENEW {ending}"
            prices[ending] = renewal(row.your_price, row.your_additional_cost, 1, row.currency, source, now)
    return prices


async def _certificates(found: Session) -> tuple[PaidCertificate, ...] | None:
    """The account's certificate orders."""
    from sophia_cli.checks.facts import PaidCertificate

    if found.client is None:
        return None
    listed = await _had(found, "the certificate orders", found.client.certificates())
    if listed is None:
        return None
    return tuple(PaidCertificate(one.id, one.host_name, one.type, one.status, one.expires) for one in listed)


async def _had(found: Session, what: str, asked: Awaitable[T]) -> T | None:
    """The answer, or None with a word about why there is none."""
    from sophia_cli.core.errors import SophiaError

    try:
        return await asked
    except SophiaError as exc:
        note(found.common, f"{what} could not be read: {exc.message}")
        return None


def _ending(name: str) -> str:
    return name.partition(".")[2]


# -- the cloud ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CloudInventory:
    """A collector that lists instances and marks those that a name, or traffic, uses."""

    found: Session
    cloud: LambdaCloud

    async def collect(self, facts: list[Facts]) -> list[Facts]:
        """The facts with the instances; an account that cannot be read leaves them out."""
        from sophia_cli.core.inventory import with_uses

        listed = await _had(self.found, "the cloud's instances", self.cloud.instances(self.found.clock.now()))
        if listed is None:
            return facts
        clients: set[str] = set()
        for traffic in (one.background.traffic for one in facts):
            clients |= set() if traffic is None else traffic.clients
        used = with_uses(listed, [one.zone for one in facts], clients)
        inventory = {one.id: one for one in used}
        return [replace(one, background=replace(one.background, inventory=inventory)) for one in facts]


def cloud_collectors(found: Session, agents: Sequence[str] | None) -> list[CloudInventory]:
    """The collector, where a key is known: `LAMBDA_API_KEY` of the environment's variables or the process's."""
    if agents is not None and not {"cost", "security"} & set(agents):
        return []
    from sophia_cli.cli.live_dns import is_boxed

    given = {} if found.environment is None else found.environment.environment_variables(reveal=True)
    key, url = (given.get(name) or os.environ.get(name) or "" for name in (LAMBDA_KEY, LAMBDA_URL))
    if not key or (is_boxed(found) and not url):
        return []
    from pydantic import SecretStr

    from sophia_cli.cli.redaction import learn
    from sophia_cli.providers.lambda_cloud import ENDPOINT, LambdaCloud

    learn({key})
    return [CloudInventory(found, LambdaCloud(SecretStr(key), url or ENDPOINT))]
