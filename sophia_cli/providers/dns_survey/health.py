"""Whether validating resolvers can look into a zone: its chain from the parent's DS down to one name. Writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sophia_cli.core.dns_facts import Question
from sophia_cli.core.issuance import Secured
from sophia_cli.providers.dns_survey.answers import bare, kind_of, sets
from sophia_cli.providers.dns_survey.chain import COVERED, judged, why_invalid
from sophia_cli.providers.dns_survey.exchange import Exchange, Party
from sophia_cli.providers.dns_survey.parent import Parent
from sophia_cli.providers.dns_survey.resolver import Resolver, shown

if TYPE_CHECKING:
    from sophia_cli.core.ports import Clock
    from sophia_cli.providers.dns_survey.wire import Reply

MOST_SERVERS = 13  # addresses of name servers that are asked
_DENIALS = ("NSEC", "NSEC3")


class ChainWitness:
    """Asks the parents of zones by some resolvers, and then the zones' own servers (all on `port`)."""

    def __init__(self, clock: Clock, resolvers: Sequence[Party], *, port: int = 53, why_none: str = "") -> None:
        self._clock = clock
        self._resolvers = tuple(resolvers)
        self._port = port
        self._why_none = why_none or "no resolver is known"

    async def secured(self, zone: str, names: Sequence[str]) -> Secured:
        """The chain of a zone, and the signatures over what its servers answer for the TXT records of some names."""
        async with Exchange() as exchange:
            resolver = Resolver(self._resolvers, exchange, self._clock, why_none=self._why_none)
            delegation = await Parent(exchange, resolver, self._clock, self._port).delegation(zone)
            if delegation.why or delegation.signers is None:
                return Secured(zone, "unknown", (delegation.why or "the parent does not say whether there is a DS",))
            if not delegation.signers:
                return Secured(zone, "unsigned")
            found = [
                (f"{host} ({shown(Party(address, self._port))})", Party(address, self._port))
                for host in delegation.nameservers
                for address in await resolver.addresses(host) or delegation.glue.get(host, ())
            ][:MOST_SERVERS]
            asked = [(server, party, Question(zone, kind)) for server, party in found for kind in COVERED]
            replies = await self._asked(asked, exchange)
            chain = judged(zone, delegation.signers, replies, self._clock.now(), None)
            if chain.verdict != "valid":
                return Secured(zone, chain.verdict, chain.why)
            asked = [(server, party, Question(name, "TXT")) for server, party in found for name in names]
            keys = {
                server: rrset
                for server, reply in replies
                for owner, rrset in sets(reply.answer, "DNSKEY")
                if owner == zone
            }
            why = [
                f"{server} answers for {question.name}: {reason}"
                for (server, _, question), (_, reply) in zip(asked, await self._asked(asked, exchange), strict=True)
                if server in keys
                for reason in self._breaches(zone, reply, keys[server])
            ]
            return Secured(zone, "bogus" if why else "valid", tuple(dict.fromkeys(why)))

    async def _asked(
        self, questions: Sequence[tuple[str, Party, Question]], exchange: Exchange
    ) -> list[tuple[str, Reply]]:
        replies = await asyncio.gather(*(exchange.ask(party, one, dnssec=True) for _, party, one in questions))
        return [(server, reply) for (server, _, _), reply in zip(questions, replies, strict=True)]

    def _breaches(self, zone: str, reply: Reply, keys: Any) -> Iterator[str]:
        """Why a validating resolver would refuse one answer: a set without a good signature, or a denial without proof.

        Servers that are silent or lame are waited for, not judged; what another zone on the same server says is its own.
        """
        if reply.why or not reply.is_authoritative:
            return
        held = [one for one in (*reply.answer, *reply.authority) if kind_of(one) not in ("RRSIG", "NS")]
        for rrset in held:
            signed = [
                (one, few) for few in _signatures(reply, rrset) for one in few if one.type_covered == rrset.rdtype
            ]
            reasons = [
                why_invalid(rrset, few, one, keys, self._clock.now()) for one, few in signed if bare(one.signer) == zone
            ]
            if reasons and "" not in reasons:
                yield f"the signature over {kind_of(rrset)} is {reasons[0]}"
        denied_by = {bare(one.name) for one in held if kind_of(one) == "SOA"} | {reply.denied_by}
        if not reply.answer and zone in denied_by and not any(kind_of(one) in _DENIALS for one in held):
            yield "it denies the name without proof (no NSEC or NSEC3)"


def _signatures(reply: Reply, rrset: Any) -> list[Any]:
    """The signatures that stand beside a set."""
    return [
        one
        for part in (reply.answer, reply.authority)
        for owner, one in sets(part, "RRSIG")
        if owner == bare(rrset.name)
    ]
