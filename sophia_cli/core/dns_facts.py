"""What live DNS shows of a zone at one time, as values: servers, delegation, DNSSEC, look-ups. Asks nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sophia_cli.core.dns import Record

# found: records; empty: the name is there, the type is not (RFC 2308 2.2); nxdomain: the name is not (2.1);
# failed: nobody gave a usable answer, and `why` says what came instead.
Status = Literal["found", "empty", "nxdomain", "failed"]
GIVEN = "the name servers to ask were given, so the parent was not asked"
"""Why there is no delegation where `Wanted.servers` stand."""

Verdict = Literal["unsigned", "valid", "bogus", "unknown"]


@dataclass(frozen=True, slots=True, order=True)
class Question:
    """What to ask: an absolute name, lower-cased and without the final dot, and a type."""

    name: str
    type: str

    def __str__(self) -> str:
        return f"{self.name} {self.type}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one server answered to one question.

    `values` are in the form records have, sorted; of MX the hosts, best first. `chain` are the CNAME targets passed on
    the way, in order. `zone` is the owner of the SOA in a negative answer: the zone that says so. Times in milliseconds.
    """

    question: Question
    status: Status
    values: tuple[str, ...] = ()
    preferences: tuple[int, ...] = ()
    """Of MX, value by value."""
    ttl: int | None = None
    chain: tuple[str, ...] = ()
    zone: str | None = None
    why: str = ""
    server: str = ""
    at: datetime | None = None
    is_authoritative: bool = False
    rtt_ms: float | None = None
    alias_ttl: int | None = None
    """The TTL of the first CNAME on the way; `ttl` is that of the values."""

    @property
    def is_negative(self) -> bool:
        """Whether it says for sure that there is nothing."""
        return self.status in ("empty", "nxdomain")

    def data(self) -> dict[str, Any]:
        """What evidence shows of it."""
        shown: dict[str, Any] = {"question": str(self.question), "answer": self.status, "server": self.server}
        if self.values:
            shown["values"] = list(self.values)
        if self.chain:
            shown["aliases"] = list(self.chain)
        if self.why:
            shown["why"] = self.why
        if self.at is not None:
            shown["at"] = self.at.isoformat()
        return shown


@dataclass(frozen=True, slots=True)
class Soa:
    """An SOA record (RFC 1035 3.3.13); times in seconds."""

    mname: str
    rname: str
    serial: int
    refresh: int
    retry: int
    expire: int
    minimum: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a server gave to AXFR: the records (`None`: it gave no zone, for the reason `why`)."""

    rows: tuple[Record, ...] | None = None
    count: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """An RRSIG over one set at the apex, and what validating it said (`why` is empty when it is valid)."""

    covers: str
    algorithm: int
    key_tag: int
    inception: datetime
    expiration: datetime
    server: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """One address of one name server, and how it answered for the zone. None is *not asked*."""

    name: str
    address: str
    port: int
    soa: Answer | None = None
    values: Soa | None = None
    """The SOA it holds."""
    nameservers: tuple[str, ...] | None = None
    """The zone's NS set as it has it."""
    tcp: Answer | None = None
    transfer: Transfer | None = None
    recursion: Answer | None = None
    """An unrelated name, asked for with recursion desired; `found` only where recursion was offered."""
    rtt_ms: tuple[float, ...] = ()
    unreachable_here: str = ""
    """Why this machine cannot even send to it (no IPv6 here, for instance); empty when it can."""

    @property
    def label(self) -> str:
        """How evidence names it."""
        where = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.name} ({where if self.port == 53 else f'{where}:{self.port}'})"

    @property
    def is_authoritative(self) -> bool:
        """Whether it gave an authoritative answer for the SOA."""
        soa = self.soa
        return soa is not None and soa.status == "found" and soa.is_authoritative and not soa.chain


@dataclass(frozen=True, slots=True)
class DelegationSigner:
    """A DS record (RFC 4034 5)."""

    key_tag: int
    algorithm: int
    digest_type: int
    digest: str


@dataclass(frozen=True, slots=True)
class Delegation:
    """What the parent zone says: the NS set, and the glue of those inside the zone. `why` tells why it is not known."""

    parent: str = ""
    server: str = ""
    nameservers: tuple[str, ...] = ()
    glue: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What the zone itself says of the hosts that have glue."""
    signers: tuple[DelegationSigner, ...] | None = None
    """The DS records; None when the parent did not say."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Dnssec:
    """The chain from the parent's DS to the zone's signatures (RFC 4035 5). `why` holds what breaks it or hides it."""

    verdict: Verdict = "unknown"
    why: tuple[str, ...] = ()
    keys: tuple[tuple[int, int, int], ...] = ()
    """(key tag, algorithm, flags) of each DNSKEY."""
    signatures: tuple[Signature, ...] = ()
    nsec3: tuple[int, str] | None = None
    """Iterations and salt (hexadecimal) of the NSEC3PARAM."""


@dataclass(frozen=True, slots=True)
class CutServer:
    """How one server of a delegation below the zone answered for it."""

    cut: str
    host: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class LiveDns:
    """A zone as live DNS shows it. `gaps` are reasons, by topic, why something could not be had.

    Topics: `parent`, `servers`, `rows`, `outside`, `cuts`, `wildcard`. `rows` are the answers of one of the zone's servers
    by (relative name, type), `answers` what a resolver said of other names.
    """

    zone: str
    at: datetime
    delegation: Delegation | None = None
    servers: tuple[ServerFacts, ...] = ()
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The addresses of each name server's name."""
    dnssec: Dnssec = field(default_factory=Dnssec)
    wildcard: Answer | None = None
    rows: Mapping[tuple[str, str], Answer] = field(default_factory=dict)
    answers: Mapping[Question, Answer] = field(default_factory=dict)
    cuts: tuple[CutServer, ...] = ()
    gaps: Mapping[str, str] = field(default_factory=dict)

    def gap(self, *topics: str) -> str | None:
        """The first reason why one of these topics is not known; None when all are."""
        return next((self.gaps[topic] for topic in topics if topic in self.gaps), None)

    @property
    def answering(self) -> tuple[ServerFacts, ...]:
        """The servers that are authoritative for the zone."""
        return tuple(server for server in self.servers if server.is_authoritative)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to find out about a zone at its own servers.

    `servers` (`HOST[:PORT]`) replace those of the delegation when there are any. `rows` are (relative name, type).
    `cuts` are delegations below the zone with their hosts. With `foreign` the types and services that the provider's API
    cannot show are asked for too.
    """

    zone: str
    servers: tuple[str, ...] = ()
    rows: tuple[tuple[str, str], ...] = ()
    cuts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    foreign: bool = False
