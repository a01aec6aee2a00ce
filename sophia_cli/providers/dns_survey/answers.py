"""Replies read as facts: which records they hold, and what it means when they hold none. Asks nobody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sophia_cli.core.dns import Record, normalised
from sophia_cli.core.dns_facts import Answer, DelegationSigner, Question, Soa
from sophia_cli.providers.dns_survey.wire import NOERROR, NXDOMAIN, Reply

if TYPE_CHECKING:
    import dns.rdata
    import dns.rrset

MOST_ALIASES = 16  # CNAMEs that are followed inside one answer


def bare(name: object) -> str:
    """A dnspython name as facts have it: lower-cased, without the final dot (the root is empty)."""
    text: str = name.to_text(omit_final_dot=True)  # type: ignore[attr-defined]
    return "" if text in (".", "@") else text.lower()


def answer_of(reply: Reply, question: Question, server: str, at: datetime) -> Answer:
    """What a reply says about its question."""
    alias_ttl: int | None = None

    def told(status: Any, **more: Any) -> Answer:
        return Answer(
            question,
            status,
            server=server,
            at=at,
            is_authoritative=reply.is_authoritative,
            rtt_ms=None if reply.rtt_ms is None else round(reply.rtt_ms, 3),
            alias_ttl=alias_ttl,
            **more,
        )

    if reply.why:
        return told("failed", why=reply.why)
    if reply.rcode not in (NOERROR, NXDOMAIN):
        return told("failed", why=reply.rcode_text)
    name, chain = question.name, []
    by_name = {(bare(rrset.name), kind_of(rrset)): rrset for rrset in reply.answer}
    while question.type != "CNAME" and (name, question.type) not in by_name and (name, "CNAME") in by_name:
        alias_ttl = by_name[name, "CNAME"].ttl if alias_ttl is None else alias_ttl
        target = bare(next(iter(by_name[name, "CNAME"])).target)
        chain.append(target + ".")
        if len(chain) > MOST_ALIASES or target + "." in chain[:-1] or target == question.name:
            return told("failed", why="aliases lead in a circle", chain=tuple(chain))
        name = target
    found = by_name.get((name, question.type))
    if found is not None:
        values = values_of(found)
        shown = tuple(value for _, value in values)
        preferences = tuple(first for first, _ in values) if question.type == "MX" else ()
        return told("found", values=shown, preferences=preferences, ttl=found.ttl, chain=tuple(chain))
    soa = next((rrset for rrset in reply.authority if kind_of(rrset) == "SOA"), None)
    zone = reply.denied_by if soa is None else bare(soa.name)
    if reply.rcode == NXDOMAIN:
        return told("nxdomain", chain=tuple(chain), zone=zone)
    referred = next((rrset for rrset in reply.authority if kind_of(rrset) == "NS"), None)
    if referred is not None and zone is None and not reply.is_authoritative:
        return told("failed", why=f"a referral to {bare(referred.name) or 'the root'}", chain=tuple(chain))
    return told("empty", chain=tuple(chain), zone=zone)


def kind_of(rrset: dns.rrset.RRset) -> str:
    """The type of a set, by name."""
    import dns.rdatatype

    return dns.rdatatype.to_text(rrset.rdtype)


def values_of(rrset: dns.rrset.RRset) -> list[tuple[int, str]]:
    """(preference, value) pairs of a set in the form records have, sorted; 0 is the preference of all but MX."""
    kind = kind_of(rrset)
    rows = (record_of(rdata, kind) for rdata in rrset)
    return sorted({(row.priority or 0 if kind == "MX" else 0, row.value) for row in rows})


def record_of(rdata: dns.rdata.Rdata, kind: str, name: str = "@", ttl: int | None = None, zone: str = "") -> Record:
    """One rdata as a record."""
    data: Any = rdata
    priority = None
    if kind == "MX":
        value, priority = data.exchange.to_text(), data.preference
    elif kind == "SRV":
        value, priority = f"{data.weight} {data.port} {data.target.to_text().lower()}", data.priority
    elif kind == "TXT":
        value = text_of(b"".join(data.strings))
    elif kind == "CAA":
        value = f'{data.flags} {text_of(data.tag)} "{text_of(data.value)}"'
    else:
        value = rdata.to_text()
    return normalised(Record(name, kind, value, ttl, priority), zone or "invalid")


def text_of(data: bytes) -> str:
    """Foreign bytes as text: UTF-8 where it is, else one character a byte."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def soa_of(reply: Reply) -> Soa | None:
    """The SOA in an answer."""
    for rrset in reply.answer:
        if kind_of(rrset) == "SOA":
            data: Any = next(iter(rrset))
            return Soa(
                bare(data.mname) + ".", bare(data.rname) + ".",
                data.serial, data.refresh, data.retry, data.expire, data.minimum,
            )  # fmt: skip
    return None


def sets(rrsets: Iterable[dns.rrset.RRset], kind: str) -> Iterator[tuple[str, dns.rrset.RRset]]:
    """The sets of one type with their owners."""
    for rrset in rrsets:
        if kind_of(rrset) == kind:
            yield bare(rrset.name), rrset


def signers_of(reply: Reply, zone: str) -> tuple[DelegationSigner, ...] | None:
    """The DS records that a reply of the parent holds for a zone; None when it does not say."""
    if reply.why or reply.rcode not in (NOERROR, NXDOMAIN):
        return None
    found: list[DelegationSigner] = []
    for owner, rrset in sets((*reply.answer, *reply.authority), "DS"):
        if owner == zone:
            found += [DelegationSigner(d.key_tag, int(d.algorithm), int(d.digest_type), d.digest.hex()) for d in rrset]
    if not found and not reply.is_authoritative:
        return None
    return tuple(sorted(found, key=lambda one: (one.key_tag, one.digest_type)))
