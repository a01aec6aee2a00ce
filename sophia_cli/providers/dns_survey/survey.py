"""The survey of a zone: who serves it, what they answer, what its parent says. Writes nothing, and asks each question once."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from sophia_cli.core.dns import absolute
from sophia_cli.core.dns_facts import GIVEN, Answer, CutServer, Delegation, Dnssec, LiveDns, Question, Wanted
from sophia_cli.providers.dns_survey.answers import answer_of
from sophia_cli.providers.dns_survey.chain import judged
from sophia_cli.providers.dns_survey.exchange import Exchange, Party
from sophia_cli.providers.dns_survey.parent import Parent
from sophia_cli.providers.dns_survey.resolver import Resolver, address_in, host_port, shown
from sophia_cli.providers.dns_survey.server import Probed, probe, typical
from sophia_cli.providers.nameservers import FOREIGN_TYPES, MOST_NAMES, SERVICES

if TYPE_CHECKING:
    from sophia_cli.core.ports import Clock
    from sophia_cli.providers.dns_survey.wire import Reply

MOST_ROWS = 2000  # questions about the zone's own names; more are left out, and said
MOST_CUTS = 50  # delegations below the zone whose servers are asked
MOST_SERVERS = 26  # addresses of name servers that are asked (the root has as many)

Seen = dict[tuple[str, str], Answer]


class DnsSurvey:
    """Live DNS by one resolver and the zones' own servers (all on `port`). Use as an async context manager, once."""

    def __init__(
        self,
        clock: Clock,
        resolvers: Iterable[Party] = (),
        *,
        port: int = 53,
        exchange: Exchange | None = None,
        why_no_resolver: str = "no resolver is known; name one with --resolver",
    ) -> None:
        self._clock = clock
        self._port = port
        self._exchange = exchange or Exchange()
        self._resolver = Resolver(resolvers, self._exchange, clock, why_none=why_no_resolver)
        self._parent = Parent(self._exchange, self._resolver, clock, port)
        self._seen: dict[str, Seen] = {}
        self._surveys: dict[str, asyncio.Task[tuple[LiveDns, tuple[Probed, ...]]]] = {}

    async def __aenter__(self) -> DnsSurvey:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._surveys.values():
            task.cancel()
        self._exchange.close()

    @property
    def sent(self) -> int:
        """How many questions went out."""
        return self._exchange.sent

    async def look_up(self, questions: Iterable[Question]) -> Mapping[Question, Answer]:
        """What the resolver says of any names."""
        return await self._resolver.look_up(questions)

    async def survey(self, wanted: Wanted) -> LiveDns:
        """What the zone's servers and its parent say; what could not be had stands in `gaps`. Never raises for an answer."""
        live, probed = await self.servers(wanted.zone, wanted.servers)
        first = best(probed)
        if first is None:
            gaps = {
                **live.gaps,
                "rows": live.gaps.get("servers") or "no server of the zone gave an authoritative answer",
            }
            cuts, gap = await self._cuts(wanted)
            return replace(live, cuts=cuts, gaps={**gaps, **gap, "wildcard": gaps["rows"]})
        (rows, gap), wildcard, (cuts, cut_gap) = await asyncio.gather(
            self._rows(wanted, first), self._wildcard(wanted.zone, first), self._cuts(wanted)
        )
        rows = {**self._seen.get(wanted.zone, {}), **rows}
        return replace(live, rows=rows, wildcard=wildcard, cuts=cuts, gaps={**live.gaps, **gap, **cut_gap})

    async def servers(self, zone: str, given: tuple[str, ...] = ()) -> tuple[LiveDns, tuple[Probed, ...]]:
        """The zone's servers, its delegation and its DNSSEC chain, found out once for each zone."""
        task = self._surveys.get(zone)
        if task is None:
            task = asyncio.ensure_future(self._servers(zone, given))
            self._surveys[zone] = task
        return await asyncio.shield(task)

    async def ask(self, zone: str, server: Probed, places: Iterable[tuple[str, str]]) -> Seen:
        """What one server answers at (relative name, type); a later survey of the zone tells it too."""
        asked = tuple(dict.fromkeys(places))
        questions = [Question(absolute(name, zone), kind) for name, kind in asked]
        replies = await asyncio.gather(*(self._exchange.ask(server.party, question) for question in questions))
        now = self._clock.now()
        seen = {
            place: answer_of(reply, question, server.facts.label, now)
            for place, question, reply in zip(asked, questions, replies, strict=True)
        }
        self._seen.setdefault(zone, {}).update(seen)
        return seen

    # -- servers and delegation --------------------------------------------------------------------------------------

    async def _servers(self, zone: str, given: tuple[str, ...]) -> tuple[LiveDns, tuple[Probed, ...]]:
        now = self._clock.now()
        if given:
            delegation = Delegation(why=GIVEN)
            hosts = await self._given(given)
        else:
            delegation, own = await asyncio.gather(
                self._parent.delegation(zone), self._resolver.one(Question(zone, "NS"))
            )
            if own.chain and not delegation.nameservers:
                why = f"it is no zone of its own but an alias of {own.chain[-1].rstrip('.')}"
                return LiveDns(zone, now, delegation, gaps={"parent": why, "servers": why}), ()
            if own.status == "empty" and own.zone not in (None, zone) and not delegation.nameservers:
                why = f"it is no zone of its own but a name inside {own.zone or 'the root'}"
                return LiveDns(zone, now, delegation, gaps={"parent": why, "servers": why}), ()
            names = {*delegation.nameservers, *(value.rstrip(".") for value in own.values)}
            hosts = await self._hosts(names, delegation)
        gaps = {"parent": delegation.why} if delegation.why else {}
        parties = [(host, party) for host, found in sorted(hosts.items()) for party in found][:MOST_SERVERS]
        probed = tuple(
            await asyncio.gather(*(probe(zone, host, party, self._exchange, self._clock) for host, party in parties))
        )
        if not probed:
            why = (
                "none of its name servers has an address"
                if hosts
                else f"its name servers are not known: {delegation.why}"
            )
            gaps["servers"] = why if hosts or delegation.why else "it has no name servers"
        delegation = await self._with_addresses(zone, delegation, probed)
        live = LiveDns(
            zone,
            now,
            delegation,
            tuple(one.facts for one in probed),
            {host: tuple(party.address for party in found) for host, found in sorted(hosts.items())},
            await self._dnssec(zone, delegation, probed),
            gaps=gaps,
        )
        return live, probed

    async def _given(self, given: tuple[str, ...]) -> dict[str, tuple[Party, ...]]:
        """The servers that the environment names; a host that is no address is looked up as the machine does it."""
        found: dict[str, tuple[Party, ...]] = {}
        for text in given:
            try:
                host, port = host_port(text)
            except ValueError:
                continue
            literal = address_in(host)
            addresses = (literal,) if literal else await _machine_addresses(host, port)
            found[host] = (*found.get(host, ()), *(Party(address, port) for address in addresses))
        return found

    async def _hosts(self, names: Iterable[str], delegation: Delegation) -> dict[str, tuple[Party, ...]]:
        ordered = sorted(set(names))
        resolved = await asyncio.gather(*(self._resolver.addresses(name) for name in ordered))
        found = {}
        for name, addresses in zip(ordered, resolved, strict=True):
            known = addresses or delegation.glue.get(name, ())
            found[name] = tuple(Party(address, self._port) for address in dict.fromkeys(known))
        return found

    async def _with_addresses(self, zone: str, delegation: Delegation, probed: tuple[Probed, ...]) -> Delegation:
        """The delegation with what the zone itself says of the hosts that have glue."""
        first = best(probed)
        if first is None or not delegation.glue:
            return delegation
        places = [(_inside(host, zone), kind) for host in delegation.glue for kind in ("A", "AAAA")]
        seen = await self.ask(zone, first, places)
        addresses = {
            host: tuple(sorted(value for kind in ("A", "AAAA") for value in seen[_inside(host, zone), kind].values))
            for host in delegation.glue
            if all(seen[_inside(host, zone), kind].status != "failed" for kind in ("A", "AAAA"))
        }
        return replace(delegation, addresses=addresses)

    async def _dnssec(self, zone: str, delegation: Delegation, probed: tuple[Probed, ...]) -> Dnssec:
        replies = [(one.facts.label, reply) for one in probed for reply in one.signed]
        first = best(probed)
        nsec3: Reply | None = None
        if first is not None and any(len(reply.answer) > 1 for _, reply in replies):  # signed: sets and signatures
            nsec3 = await self._exchange.ask(first.party, Question(zone, "NSEC3PARAM"))
        signers = None if delegation.why else delegation.signers
        return judged(zone, signers, replies, self._clock.now(), nsec3)

    # -- the zone's own names ----------------------------------------------------------------------------------------

    async def _rows(self, wanted: Wanted, server: Probed) -> tuple[Seen, dict[str, str]]:
        places = list(dict.fromkeys(wanted.rows))
        if wanted.foreign:
            names = sorted({name for name, _ in places if not name.startswith("*")} | {"@"})[:MOST_NAMES]
            places += [(service, "SRV") for service in SERVICES]
            places += [(name, kind) for name in names for kind in FOREIGN_TYPES]
        seen = await self.ask(wanted.zone, server, places[:MOST_ROWS])
        failed = [answer for answer in seen.values() if answer.status == "failed"]
        if len(places) > MOST_ROWS:
            return seen, {"rows": f"only {MOST_ROWS} of {len(places)} questions about the zone's names were asked"}
        if failed:
            why = f"{server.facts.label} gave no answer to {len(failed)} of {len(seen)} questions ({failed[0].why})"
            return seen, {"rows": why}
        return seen, {}

    async def _wildcard(self, zone: str, server: Probed) -> Answer:
        """What the server says to a name that nobody made."""
        name = secrets.token_hex(8)
        return (await self.ask(zone, server, [(name, "A")]))[name, "A"]

    # -- delegations below -------------------------------------------------------------------------------------------

    async def _cuts(self, wanted: Wanted) -> tuple[tuple[CutServer, ...], dict[str, str]]:
        if not wanted.cuts:
            return (), {}
        if self._resolver.why_none is not None:
            return (), {"cuts": self._resolver.why_none}
        asked = [(cut, host.rstrip(".")) for cut, hosts in wanted.cuts[:MOST_CUTS] for host in hosts]
        found = await asyncio.gather(*(self._cut(wanted.zone, cut, host) for cut, host in asked))
        gap = (
            {"cuts": f"only {MOST_CUTS} of {len(wanted.cuts)} delegations were asked"}
            if len(wanted.cuts) > MOST_CUTS
            else {}
        )
        return tuple(one for several in found for one in several), gap

    async def _cut(self, zone: str, cut: str, host: str) -> tuple[CutServer, ...]:
        question = Question(absolute(cut, zone), "SOA")
        addresses = await self._resolver.addresses(host)
        if not addresses:
            found = await self._resolver.one(Question(host, "A"))
            why = "the name does not exist" if found.status == "nxdomain" else found.why or "the name has no address"
            return (CutServer(cut, host, Answer(question, "failed", why=why, server=host, at=found.at)),)
        parties = [Party(address, self._port) for address in addresses]
        replies = await asyncio.gather(*(self._exchange.ask(party, question) for party in parties))
        return tuple(
            CutServer(cut, host, answer_of(reply, question, f"{host} ({shown(party)})", self._clock.now()))
            for party, reply in zip(parties, replies, strict=True)
            if not reply.no_route
        )


def best(probed: Iterable[Probed]) -> Probed | None:
    """The quickest server that is authoritative for the zone."""
    good = [one for one in probed if one.facts.is_authoritative]
    return min(good, key=lambda one: (typical(one.facts) or 0.0, one.facts.label), default=None)


def _inside(host: str, zone: str) -> str:
    return "@" if host == zone else host.removesuffix("." + zone)


async def _machine_addresses(host: str, port: int) -> tuple[str, ...]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
