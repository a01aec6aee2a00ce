"""Challenge records as an authority will see them: every authoritative server, each address, UDP and TCP. Writes nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from sophia_cli.core.challenges import zone_of
from sophia_cli.core.errors import BadResponse, Unreachable
from sophia_cli.core.issuance import Secured, Sighting
from sophia_cli.core.ports import Clock
from sophia_cli.providers.nameservers import Answer, NameServers, Question, Server, delegated

if TYPE_CHECKING:
    import dns.message
    import dns.name

    from sophia_cli.providers.dns_survey.health import ChainWitness

QUERY_TIMEOUT_S = 3.0
IN_FLIGHT = 32
MOST_ALIASES = 8
Transport = Literal["udp", "tcp"]
_TRANSPORTS: tuple[Transport, ...] = ("udp", "tcp")


class Propagation:
    """Asks the servers of zones. `given` names servers to ask instead of those of the delegation, by zone.

    DNSSEC is told by the delegation alone, since it is the authority's way in.
    """

    def __init__(self, given: Mapping[str, Sequence[str]], clock: Clock, chains: ChainWitness) -> None:
        self._given = {zone: tuple(servers) for zone, servers in given.items() if servers}
        self._servers = NameServers((), clock)
        self._chains = chains

    async def written_at(self, name: str, zones: Sequence[str]) -> str:
        """The end of a name's CNAME chain, asked zone by zone; beyond the environment's zones, of this machine's resolver.

        A wildcard CNAME answers for names that nobody delegated, and is followed like any other, as authorities do.
        """
        seen = [name]
        while len(seen) <= MOST_ALIASES:
            target = await self._alias(seen[-1], zones)
            if target is None:
                return seen[-1]
            if target in seen:
                raise BadResponse(f"{name}: its CNAME records lead in a circle: {' -> '.join((*seen, target))}")
            seen.append(target)
        raise BadResponse(f"{name}: more than {MOST_ALIASES} CNAME records follow one another")

    async def secured(self, names: Sequence[str], zones: Sequence[str]) -> tuple[Secured, ...]:
        """One verdict for each zone of ours that the names, or the ends of their CNAME chains, lie in."""
        places: dict[str, list[str]] = {}
        for name in names:
            for place in dict.fromkeys((name, await self._end(name, zones))):
                zone = zone_of(place, zones)
                if zone is not None:
                    places.setdefault(zone, []).append(place)
        return tuple(await asyncio.gather(*(self._chains.secured(zone, places[zone]) for zone in sorted(places))))

    async def _end(self, name: str, zones: Sequence[str]) -> str:
        try:
            return await self.written_at(name, zones)
        except (BadResponse, Unreachable):
            return name  # where it is to be written is asked again later, and then said

    async def look(self, zone: str, wanted: Mapping[str, frozenset[str]]) -> tuple[Sighting, ...]:
        """One sighting an address and transport; `shows` only where every name has every wanted value."""
        servers = await self._servers_of(zone)
        if not servers:
            raise Unreachable(f"{zone}: its name servers cannot be found", hint="name them in dns.nameservers")
        gate = asyncio.Semaphore(IN_FLIGHT)

        async def one(server: Server, transport: Transport) -> Sighting:
            async with gate:
                return await _sighting(server, transport, wanted)

        asked = [one(server, transport) for server in servers for transport in _TRANSPORTS]
        return tuple(await asyncio.gather(*asked))

    async def addresses(self, name: str, zones: Sequence[str]) -> tuple[str, ...]:
        """Its A and AAAA values as the servers of its zone give them; none for what lies in no zone of the environment."""
        try:
            end = await self.written_at(name, zones)
        except (BadResponse, Unreachable):
            return ()
        owner = max((zone for zone in zones if end == zone or end.endswith("." + zone)), key=len, default=None)
        servers = () if owner is None else await self._servers_of(owner)
        questions = [(server, Question(end, kind)) for server in servers for kind in ("A", "AAAA")]
        answers = await asyncio.gather(*(_ask(server, question, "udp") for server, question in questions))
        return tuple(sorted({value for answer in answers if isinstance(answer, Answer) for value, _ in answer.values}))

    async def _servers_of(self, zone: str) -> tuple[Server, ...]:
        return await self._servers.servers(self._given.get(zone) or await delegated(zone))

    async def _alias(self, name: str, zones: Sequence[str]) -> str | None:
        """Where a CNAME at a name points to, or None when there is none."""
        owners = [zone for zone in zones if name == zone or name.endswith("." + zone)]
        if not owners:
            return await _resolved_alias(name)
        servers = await self._servers_of(max(owners, key=len))
        answers = await asyncio.gather(*(_ask(server, Question(name, "CNAME"), "udp") for server in servers))
        known = [answer for answer in answers if isinstance(answer, Answer)]
        if not known:
            raise Unreachable(f"{name}: no name server of {max(owners, key=len)} answers", hint="run the command again")
        return next((value.rstrip(".").lower() for answer in known for value, _ in answer.values), None)


async def _sighting(server: Server, transport: Transport, wanted: Mapping[str, frozenset[str]]) -> Sighting:
    where = f"{server} at {server.address}"
    if not _has_route(server):
        return Sighting(where, transport, "untested", "not tested: no route to this address from here")
    for name, values in sorted(wanted.items()):
        answer = await _ask(server, Question(name, "TXT"), transport)
        if isinstance(answer, str):
            return Sighting(where, transport, "silent", f"{answer} for {name}")
        missing = values - {value for value, _ in answer.values}
        if missing:
            return Sighting(where, transport, "lags", f"has {len(values) - len(missing)} of {len(values)} at {name}")
    return Sighting(where, transport, "shows")


def _has_route(server: Server) -> bool:
    """Whether this machine has a way to an address at all: connecting a UDP socket sends nothing (connect(2))."""
    family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((server.address, server.port))
    except OSError:
        return False
    return True


async def _ask(server: Server, question: Question, transport: Transport) -> Answer | str:
    """The authoritative answer, or why there is none. A truncated UDP answer is read over TCP, as resolvers do (RFC 7766)."""
    import dns.asyncquery
    import dns.exception
    import dns.flags
    import dns.message
    import dns.rcode

    query = dns.message.make_query(question.name, question.type, use_edns=0, payload=1232)
    query.flags &= ~dns.flags.RD
    where, port = server.address, server.port
    try:
        if transport == "tcp":
            answer = await dns.asyncquery.tcp(query, where, timeout=QUERY_TIMEOUT_S, port=port)
        else:
            answer, _ = await dns.asyncquery.udp_with_fallback(
                query, where, timeout=QUERY_TIMEOUT_S, port=port, ignore_unexpected=True
            )
    except (dns.exception.DNSException, OSError, EOFError) as exc:
        return f"no answer ({type(exc).__name__})"
    if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return f"answers {dns.rcode.to_text(answer.rcode())}"
    if not answer.flags & dns.flags.AA:
        return "answers without authority"
    return Answer(frozenset(_values(answer, query.question[0].name, question.type)))


def _values(answer: dns.message.Message, name: dns.name.Name, kind: str) -> set[tuple[str, int | None]]:
    import dns.rdatatype

    found: set[tuple[str, int | None]] = set()
    for rrset in answer.answer:
        if rrset.name == name and rrset.rdtype == dns.rdatatype.from_text(kind):
            for rdata in rrset:
                text = b"".join(rdata.strings).decode("latin-1") if kind == "TXT" else rdata.to_text()
                found.add((text, None))
    return found


async def _resolved_alias(name: str) -> str | None:
    """A CNAME of a name outside the environment, as this machine's resolver tells it."""
    import dns.asyncresolver
    import dns.exception
    import dns.resolver

    try:
        answer = await dns.asyncresolver.resolve(name, "CNAME", lifetime=QUERY_TIMEOUT_S)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return None
    except (dns.exception.DNSException, OSError) as exc:
        raise Unreachable(f"{name}: its records cannot be looked up", hint="run the command again") from exc
    return str(next(iter(answer)).target).rstrip(".").lower()
