"""One address of one name server, asked all that tells how it serves a zone. Judges nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from sophia_cli.core.dns_facts import Answer, Question, ServerFacts, Transfer
from sophia_cli.providers.dns_survey.answers import answer_of, bare, kind_of, record_of, soa_of
from sophia_cli.providers.dns_survey.wire import RA, Reply

if TYPE_CHECKING:
    from sophia_cli.core.dns import Record
    from sophia_cli.core.ports import Clock
    from sophia_cli.providers.dns_survey.exchange import Exchange, Party

UNRELATED = Question("a.root-servers.net", "A")  # a name that no server of somebody's own zone has to answer
SAMPLES = 3
MOST_ROWS = 200_000  # of a zone transfer that are kept
SIGNING = frozenset({"RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "DNSKEY", "CDS", "CDNSKEY", "ZONEMD"})


@dataclass(frozen=True, slots=True)
class Probed:
    """A server's facts, and its signed answers for the DNSSEC chain."""

    facts: ServerFacts
    party: Party
    signed: tuple[Reply, ...] = field(default=())


async def probe(zone: str, host: str, party: Party, exchange: Exchange, clock: Clock) -> Probed:
    """How one server answers for a zone. One that does not serve it is asked little else."""
    facts = ServerFacts(host, party.address, party.port)
    label = facts.label
    question = Question(zone, "SOA")
    first = await exchange.ask(party, question, dnssec=True)
    if first.no_route:
        return Probed(replace(facts, unreachable_here=first.why), party)
    facts = replace(facts, soa=answer_of(first, question, label, clock.now()), values=soa_of(first))
    over_tcp = exchange.ask(party, question, tcp=True)
    if first.why:
        return Probed(replace(facts, tcp=answer_of(await over_tcp, question, label, clock.now())), party)
    if not facts.is_authoritative:
        await_tcp, recursion = await asyncio.gather(over_tcp, _recursion(party, exchange, clock, label))
        facts = replace(facts, tcp=answer_of(await_tcp, question, label, clock.now()), recursion=recursion)
        return Probed(facts, party)
    names, keys, tcp, transfer, recursion, samples = await asyncio.gather(
        exchange.ask(party, Question(zone, "NS"), dnssec=True),
        exchange.ask(party, Question(zone, "DNSKEY"), dnssec=True),
        over_tcp,
        transferred(zone, party, exchange),
        _recursion(party, exchange, clock, label),
        _samples(party, question, exchange, first),
    )
    served = answer_of(names, Question(zone, "NS"), label, clock.now())
    facts = replace(
        facts,
        nameservers=tuple(value.rstrip(".") for value in served.values) if served.status == "found" else None,
        tcp=answer_of(tcp, question, label, clock.now()),
        transfer=transfer,
        recursion=recursion,
        rtt_ms=samples,
    )
    return Probed(facts, party, (first, names, keys))


async def _samples(party: Party, question: Question, exchange: Exchange, first: Reply) -> tuple[float, ...]:
    """Round-trip times of the same question, one after another, so that they do not wait for each other."""
    found = [first.rtt_ms]
    for _ in range(SAMPLES - 1):
        found.append((await exchange.ask(party, question, dnssec=True, again=True)).rtt_ms)
    return tuple(round(one, 3) for one in found if one is not None)


def typical(facts: ServerFacts) -> float | None:
    """The median round-trip time in milliseconds."""
    return median(facts.rtt_ms) if facts.rtt_ms else None


async def _recursion(party: Party, exchange: Exchange, clock: Clock, label: str) -> Answer:
    """What it says to a stranger who wants an unrelated name; without the RA bit, nothing was offered (RFC 5358)."""
    reply = await exchange.ask(party, UNRELATED, recurse=True)
    answer = answer_of(reply, UNRELATED, label, clock.now())
    if answer.status == "found" and not reply.flags & RA:
        return replace(answer, status="empty", values=())
    return answer


async def transferred(zone: str, party: Party, exchange: Exchange) -> Transfer:
    """What the server gives to anybody who asks for the whole zone: what stands between its two SOA records."""
    rows: list[Record] = []
    count, is_open = 0, False
    async for reply in exchange.transfer(party, zone):
        if reply.why:
            return Transfer(None, count, reply.why)
        if reply.rcode:
            return Transfer(None, count, reply.rcode_text)
        if not reply.answer:
            return Transfer(None, count, "an empty answer")
        for rrset in reply.answer:
            kind = kind_of(rrset)
            if kind == "SOA" and bare(rrset.name) == zone:
                if is_open:
                    return Transfer(tuple(rows), count)
                is_open = True
            elif not is_open:
                return Transfer(None, count, "an answer that does not begin with the SOA")
            count += 1
            if kind != "SOA" and kind not in SIGNING and len(rows) < MOST_ROWS:
                rows += _rows(rrset, kind, zone)
    return Transfer(None, count, "the transfer ended before the closing SOA" if count else "the connection was closed")


def _rows(rrset: Any, kind: str, zone: str) -> Iterable[Record]:
    owner = bare(rrset.name)
    if owner != zone and not owner.endswith("." + zone):
        return
    for rdata in rrset:
        yield record_of(rdata, kind, owner + ".", rrset.ttl, zone)
