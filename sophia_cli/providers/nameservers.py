"""Authoritative name servers, asked directly: real DNS packets over UDP and TCP. Writes nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sophia_cli.core.dns import APEX, REDIRECT_TYPES, Record, Zone, normalised, published
from sophia_cli.core.ports import Clock, Evidence

if TYPE_CHECKING:
    from sophia_cli.core.changes import Change

QUERY_TIMEOUT_S = 2.0
IN_FLIGHT = 32
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0

# What a server's answer can be held against. ALIAS, URL, FRAME and MXE rows are answered with the provider's own
# addresses, and a delegation below the zone is answered with a referral.
OBSERVABLE = frozenset({"A", "AAAA", "CNAME", "MX", "TXT", "CAA"})

# What the host-record API can neither return nor write (types of setHosts, API reference).
FOREIGN_TYPES = ("SRV", "HTTPS", "SVCB", "SSHFP", "NAPTR", "LOC", "TLSA")
# Names at which services publish SRV records (RFC 2782; IANA service names in common use with mail, calendars and chat).
SERVICES = tuple(
    f"_{service}._{protocol}"
    for service, protocol in (
        ("autodiscover", "tcp"),
        ("caldav", "tcp"),
        ("caldavs", "tcp"),
        ("carddav", "tcp"),
        ("carddavs", "tcp"),
        ("imap", "tcp"),
        ("imaps", "tcp"),
        ("jmap", "tcp"),
        ("kerberos", "tcp"),
        ("kerberos", "udp"),
        ("ldap", "tcp"),
        ("matrix", "tcp"),
        ("matrix-fed", "tcp"),
        ("minecraft", "tcp"),
        ("pop3", "tcp"),
        ("pop3s", "tcp"),
        ("sip", "tcp"),
        ("sip", "tls"),
        ("sip", "udp"),
        ("sipfederationtls", "tcp"),
        ("sips", "tcp"),
        ("smtp", "tcp"),
        ("submission", "tcp"),
        ("submissions", "tcp"),
        ("turn", "udp"),
        ("stun", "udp"),
        ("xmpp-client", "tcp"),
        ("xmpp-server", "tcp"),
    )
)
MOST_NAMES = 40  # names of a zone that are asked for foreign types before a write

Values = frozenset[tuple[str, int | None]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one server answers for one name and type: (value, preference) pairs, and the TTLs they came with."""

    values: Values
    ttls: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Server:
    """One address of one name server."""

    name: str
    address: str
    port: int

    def __str__(self) -> str:
        return self.name if self.port == 53 else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask: an absolute name and a type."""

    name: str
    type: str


class NameServers:
    """Asks servers about zones. `given` (`HOST[:PORT]`) replaces the delegation's servers when it is not empty."""

    def __init__(self, given: Sequence[str], clock: Clock) -> None:
        self._given = tuple(given)
        self._clock = clock

    async def verify(
        self, changes: Sequence[Change], after: Zone, earlier: Sequence[Zone], nameservers: Sequence[str], wait_s: float
    ) -> Evidence:
        """Ask every server until all show the changes or `wait_s` passes.

        True: all of them do. False: one shows what was neither planned nor there before. None: still the old answer, or
        nobody could be asked.
        """
        places = {
            (side.name, side.type)
            for change in changes
            for side in (change.before, change.after)
            if isinstance(side, Record) and _tells(after, side.name, side.type)
        }
        if not places:
            return Evidence(True if _only_files(changes) else None, ("no record type that DNS shows",))
        servers = await self.servers(self._given or nameservers or await delegated(after.name))
        if not servers:
            return Evidence(None, ("no name server could be found to ask",))
        deadline = self._clock.now().timestamp() + wait_s
        pause = FIRST_PAUSE_S
        while True:
            evidence = await self._round(sorted(places), after, earlier, servers)
            if evidence.verified is True or self._clock.now().timestamp() + pause > deadline:
                return evidence
            await self._clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _round(
        self, places: Sequence[tuple[str, str]], after: Zone, earlier: Sequence[Zone], servers: Sequence[Server]
    ) -> Evidence:
        questions = [(server, Question(after.fqdn(name), kind)) for server in servers for name, kind in places]
        answers = await self.ask_all(questions)
        verdicts: list[bool | None] = []
        details: list[str] = []
        exact = True
        for (server, question), answer in zip(questions, answers, strict=True):
            place = _relative(question, after.name)
            if answer is None:
                verdicts.append(None)
                details.append(f"{server} does not answer for {question.name} {question.type}")
            elif answer.values == published(after, *place):
                verdicts.append(True)
                exact = exact and answer.ttls <= {row.ttl for row in after.at(*place)}
            elif any(not _tells(zone, *place) or answer.values == published(zone, *place) for zone in earlier):
                verdicts.append(None)
                details.append(f"{server} still gives the old answer for {question.name} {question.type}")
            else:
                verdicts.append(False)
                shown = ", ".join(sorted(ascii(value) for value, _ in answer.values)) or "nothing"
                details.append(f"{server} answers {shown} for {question.name} {question.type}")
        verified = False if False in verdicts else None if None in verdicts else True
        return Evidence(verified, tuple(details), exact)

    async def hidden(self, zone: Zone, nameservers: Sequence[str]) -> tuple[str, ...]:
        """Records that the zone's servers show and its provider's API cannot return: a whole-zone write may drop them.

        SRV at the names services use, and types the API does not know at the zone's own names (recorded: rows made in
        the web console are invisible to getHosts). Empty when there are none, or when no server can be asked.
        """
        servers = await self.servers(self._given or nameservers or await delegated(zone.name))
        if not servers:
            return ()
        names = sorted({row.name for row in zone.records if not row.name.startswith("*")} | {APEX})[:MOST_NAMES]
        questions = [Question(f"{service}.{zone.name}", "SRV") for service in SERVICES]
        questions += [Question(zone.fqdn(name), kind) for name in names for kind in FOREIGN_TYPES]
        answers = await self.ask_all([(servers[0], question) for question in questions])
        return tuple(
            f"{question.type} {question.name}"
            for question, answer in zip(questions, answers, strict=True)
            if answer is not None and answer.values
        )

    async def servers(self, nameservers: Sequence[str]) -> tuple[Server, ...]:
        """The addresses of servers (`HOST[:PORT]`). Names that do not resolve are left out."""
        found: list[Server] = []
        for text in nameservers:
            host, port = _host_port(text)
            found += [Server(host, address, port) for address in await _addresses(host)]
        return tuple(dict.fromkeys(found))

    async def ask_all(self, questions: Iterable[tuple[Server, Question]]) -> list[Answer | None]:
        """The answers, in the order of the questions; None where a server gave none."""
        gate = asyncio.Semaphore(IN_FLIGHT)

        async def one(server: Server, question: Question) -> Answer | None:
            async with gate:
                return await ask(server, question)

        return await asyncio.gather(*(one(server, question) for server, question in questions))


async def ask(server: Server, question: Question) -> Answer | None:
    """One question, about exactly that name and type; None when there is no usable answer.

    NXDOMAIN and an empty answer are both the empty set; REFUSED, SERVFAIL and lame answers are no answer (RFC 8499).
    """
    import dns.asyncquery
    import dns.exception
    import dns.flags
    import dns.message
    import dns.rcode
    import dns.rdatatype

    query = dns.message.make_query(question.name, question.type, use_edns=0, payload=1232)
    query.flags &= ~dns.flags.RD
    try:
        answer, _ = await dns.asyncquery.udp_with_fallback(
            query, server.address, timeout=QUERY_TIMEOUT_S, port=server.port, ignore_unexpected=True
        )
    except (dns.exception.DNSException, OSError, EOFError):
        return None
    if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) or not answer.flags & dns.flags.AA:
        return None
    kind = dns.rdatatype.from_text(question.type)
    found: set[tuple[str, int | None]] = set()
    ttls: set[int] = set()
    for rrset in answer.answer:
        if rrset.rdtype == kind and rrset.name == query.question[0].name:
            found |= {_value(rdata, question.type) for rdata in rrset}
            ttls.add(rrset.ttl)
    return Answer(frozenset(found), frozenset(ttls))


async def delegated(zone: str) -> tuple[str, ...]:
    """The zone's name servers, as this machine's resolver tells them; empty when it does not."""
    import dns.asyncresolver
    import dns.exception

    try:
        answer = await dns.asyncresolver.resolve(zone, "NS", lifetime=QUERY_TIMEOUT_S)
    except (dns.exception.DNSException, OSError):
        return ()
    return tuple(sorted(str(rdata.target).rstrip(".") for rdata in answer))


def _value(rdata: object, kind: str) -> tuple[str, int | None]:
    """An rdata as value and preference, in the form records have."""
    if kind == "TXT":
        strings: tuple[bytes, ...] = rdata.strings  # type: ignore[attr-defined]
        return b"".join(strings).decode("utf-8", "surrogateescape"), None
    text = rdata.to_text()  # type: ignore[attr-defined]
    if kind == "MX":
        preference, _, target = text.partition(" ")
        return target.lower(), int(preference)
    record = normalised(Record("@", kind, text), "invalid")
    return record.value, None


def _tells(zone: Zone, name: str, kind: str) -> bool:
    """Whether the rows of a zone alone say what its servers answer for a name and type.

    They do not where the provider answers with addresses or mail exchangers of its own: at ALIAS, redirect and MXE rows,
    and for MX under a mail mode other than MX.
    """
    if kind not in OBSERVABLE or (kind == "MX" and zone.email_type != "MX"):
        return False
    own = REDIRECT_TYPES | {"ALIAS", "MXE"}
    return kind not in ("A", "AAAA", "CNAME") or not any(row.type in own for row in zone.at(name))


def _relative(question: Question, zone: str) -> tuple[str, str]:
    name = "@" if question.name == zone else question.name.removesuffix("." + zone)
    return name, question.type


def _only_files(changes: Sequence[Change]) -> bool:
    return all(change.kind == "config.value" for change in changes)


def _host_port(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, int(rest.lstrip(":") or 53)
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, int(port)
    return text, 53


async def _addresses(host: str) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except OSError:
        return []
    # Addresses of a family this machine cannot reach would only time out; the first of each family is enough to ask.
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
