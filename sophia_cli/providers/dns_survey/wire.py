"""DNS messages as bytes: questions are made, answers are read or refused. Sends nothing; never raises on foreign bytes."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dns.message
    import dns.rrset

    from sophia_cli.core.dns_facts import Question

PAYLOAD = 1232  # bytes over UDP: what passes everywhere unfragmented (RFC 9715 3.2, DNS flag day 2020)

QR, AA, TC, RD, RA = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5

_OPT = struct.Struct("!BHHIH")
_HEADER = struct.Struct("!HHHHHH")
_DO = 0x8000
_SOA_IN = b"\0\6\0\1"
_PLAIN = re.compile(rb"[A-Za-z0-9_-]+\Z")
_MOST_JUMPS = 32  # compression pointers in one name


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer as it came: the header, and the sections when they hold anything. `why` says why it cannot be used."""

    rcode: int = NOERROR
    flags: int = 0
    answer: tuple[dns.rrset.RRset, ...] = ()
    authority: tuple[dns.rrset.RRset, ...] = ()
    additional: tuple[dns.rrset.RRset, ...] = ()
    why: str = ""
    rtt_ms: float | None = None
    denied_by: str | None = None
    """The owner of the SOA in an answer that holds nothing else; then `authority` is left empty."""
    no_route: bool = False
    """Whether this machine has no way to that address at all."""

    @property
    def is_authoritative(self) -> bool:
        """The AA bit."""
        return bool(self.flags & AA)

    @property
    def rcode_text(self) -> str:
        """The response code by name."""
        import dns.rcode

        try:
            return dns.rcode.to_text(dns.rcode.Rcode(self.rcode))
        except ValueError:
            return f"RCODE{self.rcode}"


class UnaskableName(ValueError):
    """A text that cannot be asked for: no name that DNS can carry."""


def body(question: Question) -> bytes:
    """The question section. Raises `UnaskableName`."""
    import dns.exception
    import dns.name
    import dns.rdatatype

    try:
        name = dns.name.from_text(question.name)
        kind = int(dns.rdatatype.from_text(question.type))
        return (name.to_wire() or b"") + struct.pack("!HH", kind, 1)
    except (dns.exception.DNSException, ValueError, UnicodeError) as exc:
        raise UnaskableName(f"{question.name[:80]!a} is no name that DNS can carry") from exc


def query(id: int, section: bytes, *, recurse: bool, edns: bool = True, dnssec: bool = False) -> bytes:
    """A query for one question; with EDNS it takes `PAYLOAD` bytes, with `dnssec` signatures too (RFC 6891, 4035 3.2.1)."""
    header = _HEADER.pack(id, RD if recurse else 0, 1, 0, 0, 1 if edns else 0)
    option = _OPT.pack(0, 41, PAYLOAD, _DO if dnssec else 0, 0) if edns else b""
    return header + section + option


def id_of(data: bytes) -> int | None:
    """The id of a response; None for anything that is no response."""
    if len(data) < 12 or not data[2] & 0x80:
        return None
    return data[0] << 8 | data[1]


def is_truncated(data: bytes) -> bool:
    """The TC bit of a message with a whole header."""
    return bool(data[2] & 0x02)


def answers(data: bytes, section: bytes) -> bool:
    """Whether a response carries the question that was asked (RFC 5452 9.1); one that failed may leave it out."""
    if data[4:6] == b"\0\0":
        return data[3] & 0x0F != NOERROR
    return data[4:6] == b"\0\1" and data[12 : 12 + len(section)].lower() == section.lower()


def read(data: bytes, section: bytes, rtt_ms: float | None = None, *, apart: bool = False) -> Reply:
    """The reply of a response with a whole header. What cannot be parsed is a reply with a `why`.

    With `apart` records are not joined into sets: a zone transfer begins and ends with the same one.
    """
    import dns.exception
    import dns.message

    _, flags, _, *counts = _HEADER.unpack_from(data)
    rcode = flags & 0x0F
    if not counts[0] and not counts[1] and len(data) <= len(section) + 12 + 11:
        return Reply(rcode, flags, rtt_ms=rtt_ms)  # nothing but the question and an EDNS option
    if counts[:2] == [0, 1] and counts[2] <= 1 and rcode in (NOERROR, NXDOMAIN):
        owner = _denying_zone(data, 12 + len(section))
        if owner is not None:
            return Reply(rcode, flags, denied_by=owner, rtt_ms=rtt_ms)
    try:
        message = dns.message.from_wire(data, ignore_trailing=True, one_rr_per_rrset=apart)
    except (dns.exception.DNSException, ValueError, struct.error, IndexError, UnicodeError) as exc:
        return Reply(rcode, flags, why=f"a malformed answer ({type(exc).__name__})", rtt_ms=rtt_ms)
    return _of(message, rtt_ms)


def _denying_zone(data: bytes, at: int) -> str | None:
    """The owner of the SOA that begins at an offset; None for anything but a plain one, which is parsed in full instead.

    Most answers say that there is nothing, and reading them so takes a tenth of the time.
    """
    labels: list[str] = []
    end, jumps = 0, 0
    while at < len(data) and jumps < _MOST_JUMPS:
        length = data[at]
        if length >= 0xC0:
            if at + 1 >= len(data):
                return None
            end = end or at + 2
            at, jumps = (length & 0x3F) << 8 | data[at + 1], jumps + 1
        elif length == 0:
            end = end or at + 1
            return ".".join(labels) if data[end : end + 4] == _SOA_IN and len(data) >= end + 10 else None
        else:
            label = data[at + 1 : at + 1 + length]
            if length > 63 or len(label) != length or not _PLAIN.match(label) or len(labels) > 127:
                return None
            labels.append(label.decode("ascii").lower())
            at += 1 + length
    return None


def _of(message: dns.message.Message, rtt_ms: float | None) -> Reply:
    return Reply(
        int(message.rcode()),
        int(message.flags),
        tuple(message.answer),
        tuple(message.authority),
        tuple(message.additional),
        rtt_ms=rtt_ms,
    )
