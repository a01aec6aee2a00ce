"""What the parent zone says of a zone: found by the resolver, then asked at the parent's own servers. Follows no other cut."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from sophia_cli.core.dns_facts import Delegation, Question
from sophia_cli.providers.dns_survey.answers import sets, signers_of, values_of
from sophia_cli.providers.dns_survey.exchange import Exchange, Party
from sophia_cli.providers.dns_survey.wire import NXDOMAIN, Reply

if TYPE_CHECKING:
    from sophia_cli.core.ports import Clock
    from sophia_cli.providers.dns_survey.resolver import Resolver

MOST_SERVERS = 4  # of the parent that are tried before it counts as not known


class Parent:
    """Finds and asks the servers of the zone above."""

    def __init__(self, exchange: Exchange, resolver: Resolver, clock: Clock, port: int) -> None:
        self._exchange = exchange
        self._resolver = resolver
        self._clock = clock
        self._port = port

    async def delegation(self, zone: str) -> Delegation:
        """The NS set, glue and DS that the parent has for a zone; `why` says what could not be had."""
        if self._resolver.why_none is not None:
            return Delegation(why=self._resolver.why_none)
        above, hosts, why = await self._above(zone)
        if why:
            return Delegation(why=why)
        tried: list[str] = []
        for host in hosts[:MOST_SERVERS]:
            for address in await self._resolver.addresses(host):
                party, server = Party(address, self._port), f"{host} ({address})"
                asked = [self._exchange.ask(party, Question(zone, kind), dnssec=kind == "DS") for kind in ("NS", "DS")]
                referral, signers = await asyncio.gather(*asked)
                found = _read(zone, above, server, referral)
                if found.why:
                    tried.append(f"{server}: {found.why}")
                    continue
                return replace(found, signers=signers_of(signers, zone))
        return Delegation(above, why="; ".join(tried) or f"the servers of {above or 'the root'} have no address")

    async def _above(self, zone: str) -> tuple[str, tuple[str, ...], str]:
        """The zone above, its servers, and why they are not known."""
        above = zone
        while above:
            above = above.partition(".")[2]
            answer = await self._resolver.one(Question(above or ".", "NS"))
            if answer.status == "found" and not answer.chain:
                return above, tuple(host.rstrip(".") for host in answer.values), ""
            if answer.status == "failed":
                return above, (), f"the servers of {above or 'the root'} are not known: {answer.why}"
        return "", (), "no zone above has name servers"


def _read(zone: str, above: str, server: str, reply: Reply) -> Delegation:
    if reply.why:
        return Delegation(above, server, why=reply.why)
    if reply.rcode == NXDOMAIN:
        return Delegation(
            above, server, why=f"{zone} is not registered: {above or 'the root'} says that it does not exist"
        )
    if reply.rcode:
        return Delegation(above, server, why=reply.rcode_text)
    referred = dict(sets(reply.authority, "NS")).get(zone)
    if referred is None:
        own = dict(sets(reply.answer, "NS")).get(zone)
        told = (
            "it serves the zone itself, so it does not say what the parent holds" if own else "no delegation is there"
        )
        return Delegation(above, server, why=told)
    hosts = tuple(value.rstrip(".") for _, value in values_of(referred))
    glue: dict[str, set[str]] = {}
    for kind in ("A", "AAAA"):
        for owner, rrset in sets(reply.additional, kind):
            if owner in hosts and (owner == zone or owner.endswith("." + zone)):
                glue.setdefault(owner, set()).update(value for _, value in values_of(rrset))
    return Delegation(
        above, server, tuple(sorted(hosts)), {host: tuple(sorted(found)) for host, found in sorted(glue.items())}
    )
