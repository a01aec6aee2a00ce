"""Live TLS for `sophia analyze`: who shakes hands, by whose addresses, and which addresses are left alone. Judges nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

from sophia_cli.core.endpoints import Endpoint, Result, Served, Target, failed, merged, untested

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from sophia_cli.checks.facts import Facts
    from sophia_cli.cli.live_dns import Live
    from sophia_cli.cli.session import Session
    from sophia_cli.core.ports import Clock
    from sophia_cli.providers.dns_survey.survey import DnsSurvey
    from sophia_cli.providers.tls.addresses import Looked, Resolve
    from sophia_cli.providers.tls.inspector import Authorities

AGENTS = frozenset({"ssl", "cost"})  # whose checks look at certificates
CONNECTION_S = 5.0
TOTAL_S = 60.0  # of all endpoints of all zones


@dataclass(frozen=True, slots=True)
class LiveTls:
    """A collector that shakes hands with the endpoints of zones, and asks authorities about what they serve.

    On a sandbox it asks what lies on loopback alone, and no authority.
    """

    clock: Clock
    resolve: Resolve
    boxed: bool = False

    async def collect(self, facts: list[Facts]) -> list[Facts]:
        """The facts with what their endpoints showed."""
        from sophia_cli.flows.live_tls import with_tls

        return await with_tls(facts, self)

    async def look(self, targets: Sequence[Target], trusted: frozenset[str]) -> Sequence[Endpoint]:
        """What each target showed; an address that is left alone is *not tested*."""
        from sophia_cli.providers.tls.inspector import Limits, inspect
        from sophia_cli.providers.tls.revocation import Revocations
        from sophia_cli.providers.tls.trust import system_roots

        if not targets:
            return ()
        left_alone: dict[str, dict[str, str]] = {}

        async def allowed(host: str) -> Looked:
            found = await self.resolve(host)
            left_alone[host] = self._left_alone(host, found.addresses, trusted)
            rest = tuple(address for address in found.addresses if address not in left_alone[host])
            return replace(found, addresses=rest)

        for target in targets:
            if target.is_address:
                left_alone[target.host] = self._left_alone(target.host, (target.host,), trusted)
        asked = [target for target in targets if not (target.is_address and left_alone[target.host])]
        limits = Limits(connection_s=CONNECTION_S, total_s=TOTAL_S)
        now = self.clock.now()
        authorities: Authorities = Nobody() if self.boxed else Revocations(now, self.resolve, CONNECTION_S)
        seen = await inspect(
            asked, now=now, roots=system_roots(), resolve=allowed, limits=limits, authorities=authorities
        )
        found = {endpoint.target: endpoint for endpoint in seen}
        return [
            _whole(found.get(target) or Endpoint(target), left_alone.get(target.host, {}))
            for target in targets
        ]  # fmt: skip

    def _left_alone(self, host: str, addresses: Sequence[str], trusted: frozenset[str]) -> dict[str, str]:
        """The addresses that are not asked, each with the reason: a zone must not make this machine ask its own network."""
        from sophia_cli.providers.web_probe import is_public

        found = {}
        for address in addresses:
            if self.boxed and not ip_address(address).is_loopback:
                found[address] = "the provider here is a sandbox, so only loopback is asked"
            elif host not in trusted and not is_public(address):
                found[address] = (
                    "a special-purpose address is asked only where monitoring.ping_endpoints names the host"
                )
        return found


class Nobody:
    """No authority: a sandbox's certificates are of nobody's that is asked."""

    async def of(self, _path: Sequence[Certificate], _address: str) -> Result:
        """Not tested."""
        return untested("the provider here is a sandbox, so no authority is asked")


def _whole(endpoint: Endpoint, left_alone: Mapping[str, str]) -> Endpoint:
    """The endpoint with the addresses that were left alone."""
    return replace(
        endpoint,
        served=(*endpoint.served, *(Served(address, untested(why)) for address, why in left_alone.items())),
    )


def tls_collectors(
    clock: Clock,
    agents: Sequence[str] | None,
    live: Live,
    found: Session | None = None,
    resolver: str | None = None,
) -> list[LiveTls]:
    """The collector, unless no chosen specialist needs it. Addresses come from `resolver` where one is named."""
    if agents is not None and not AGENTS & set(agents):
        return []
    from sophia_cli.cli.live_dns import is_boxed

    watched = () if found is None else found.settings.monitoring.ping_endpoints
    boxed = found is not None and is_boxed(found)
    return [LiveTls(clock, Addresses(live, resolver, watched), boxed)]


async def shown(found: Session, hosts: Sequence[str]) -> tuple[Endpoint, ...]:
    """What hosts that a person named show, on port 443 and where they are watched; on a sandbox, those on loopback."""
    from sophia_cli.cli.live_dns import is_boxed, surveying
    from sophia_cli.flows.live_tls import target_of

    watched = found.settings.monitoring.ping_endpoints
    known = [target for url in watched if (target := target_of(url)) is not None and target.host in hosts]
    async with surveying(found.clock, None, found) as live:
        look = LiveTls(found.clock, Addresses(live, None, watched), is_boxed(found)).look
        return tuple(await look(merged([*known, *map(Target, hosts)]), frozenset(hosts)))


@dataclass(frozen=True, slots=True)
class Addresses:
    """Names to addresses, asked of `resolver`; else of the servers given for a zone, else of whom live DNS asks.

    Hosts that the environment watches and nobody of them knows may have names of this machine's own.
    """

    live: Live
    resolver: str | None
    watched: Sequence[str] = field(default=())

    async def __call__(self, host: str) -> Looked:
        """The addresses of a host, IPv4 first."""
        from sophia_cli.core.web_facts import host_of
        from sophia_cli.providers.tls.addresses import by_server, by_system

        own = {host_of(url) for url in self.watched}
        if host == "localhost":
            return await by_system(host)
        if self.resolver is not None:
            found = await self._surveyed(host)  # live DNS asks that resolver, and asks each question once
        elif servers := self._given(host):
            found = await by_server(servers[0], self._surveyed)(host)
        else:
            found = await self._surveyed(host)
        return await by_system(host) if not found.addresses and host in own else found

    def _given(self, host: str) -> tuple[str, ...]:
        around = [zone for zone in self.live.nameservers if host == zone or host.endswith("." + zone)]
        return self.live.nameservers[max(around, key=len)] if around else ()

    async def _surveyed(self, host: str) -> Looked:
        return await by_survey(self.live.survey, host)


async def by_survey(survey: DnsSurvey, host: str) -> Looked:
    """The addresses of a host as live DNS looks names up."""
    from sophia_cli.core.dns_facts import Question
    from sophia_cli.providers.tls.addresses import Looked, looked

    answers = await survey.look_up((Question(host, "A"), Question(host, "AAAA")))
    found = [value for answer in answers.values() for value in answer.values]
    if found:
        return looked(found)
    why = next((answer.why for answer in answers.values() if answer.status == "failed"), None)
    return Looked((), failed("the name has no address") if why is None else untested(why or "no answer"))
