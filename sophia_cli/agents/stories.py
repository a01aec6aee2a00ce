"""Stories: findings of one cause, told once with what follows from it. Judges nothing anew and writes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sophia_cli.core.dns import absolute
from sophia_cli.core.findings import SEVERITIES, Finding

Reach = Literal["record", "name", "zone"]


@dataclass(frozen=True, slots=True)
class Link:
    """`effect` follows from `cause` where both share a record, name a common host, or stand in one zone."""

    cause: str
    effect: str
    reach: Reach


def _links(cause: str, reach: Reach, *effects: str) -> tuple[Link, ...]:
    return tuple(Link(cause, effect, reach) for effect in effects)


# A name that leads nowhere has no page, no certificate, no mail host and no senders behind it.
_BROKEN = (
    "TLS-NAME", "TLS-CHAIN", "TLS-EXPIRY", "TLS-MX", "WEB-HTTPS", "WEB-HSTS", "WEB-HEADERS", "WEB-SECTXT", "PERF-HTTP", "PERF-V6",
    "PERF-CHAIN", "DNS-MX-NOADDR", "DNS-MX-CNAME", "DNS-NS-CNAME", "MAIL-SPF-INCLUDE", "MAIL-SPF-VOID", "MAIL-MTASTS",
    "MAIL-BIMI", "CAA-BLOCKS",
)  # fmt: skip
# A cause stands before what follows from it, so that a story is told by its first cause.
LINKS: tuple[Link, ...] = (
    *_links("DNS-CNAME-APEX", "record", "DNS-CNAME-OTHER"),
    *_links("DNS-DOUBLED", "record", "DNS-MX-NOADDR"),
    *_links("DNS-CNAME-LOOP", "record", "DNS-MX-CNAME"),
    *_links("MAIL-SPF-NONE", "zone", "DNS-MX-IMPLICIT"),
    *_links("DNS-DANGLE-NX", "name", "DNS-DANGLE-SVC", *_BROKEN),
    *_links("DNS-DANGLE-SVC", "name", *_BROKEN),
    *_links("DNS-DANGLE-NS", "name", "DNS-NS-CNAME", *_BROKEN),
    *_links("DNS-CNAME-LOOP", "name", *_BROKEN),
    *_links("DNS-DOUBLED", "name", *_BROKEN),
    *_links("SEC-DNSSEC-BOGUS", "zone", "SEC-DNSSEC-SOON", "SEC-DNSSEC-ALG", "SEC-NSEC3"),
    *_links("DNS-DELEG-DIFF", "zone", "DNS-LAME"),
    *_links("TLS-EXPIRY", "name", "WEB-HSTS", "WEB-HEADERS", "WEB-SECTXT", "PERF-HTTP", "MAIL-MTASTS"),
    *_links("TLS-CHAIN", "name", "WEB-HSTS", "WEB-HEADERS", "WEB-SECTXT", "PERF-HTTP", "MAIL-MTASTS"),
    *_links("TLS-NAME", "name", "WEB-HSTS", "WEB-HEADERS", "WEB-SECTXT", "PERF-HTTP", "MAIL-MTASTS"),
    *_links("WEB-HTTPS", "name", "WEB-HSTS"),
    *_links("MAIL-SPF-SYNTAX", "record", "MAIL-SPF-ALL", "MAIL-SPF-DEAD"),
    *_links("MAIL-DMARC-SYNTAX", "record", "MAIL-DMARC-WEAK", "MAIL-DMARC-BLIND"),
)

# Where evidence names the hosts that a finding is wholly about; only a cause that breaks all of them explains it.
_ABOUT = ("hosts", "pages", "endpoints", "endpoint", "host", "url", "domain", "terms")
# Where a cause names what is broken, beside that.
_BROKEN_IN = (*_ABOUT, "question", "aliases", "name", "path")
_HOST = re.compile(r"(?:[a-z0-9_-]+\.)+[a-z0-9-]*[a-z][a-z0-9-]*", re.IGNORECASE)
_ALIASES = ("CNAME", "ALIAS")


def joined(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings with each consequence told by its cause, worst first.

    A cause carries the ids of what follows (`also`) and their titles (`story`), and the worst severity among them. A
    consequence that has a fix of its own keeps its place where the cause has none, so no fix is lost.
    """
    by_id: dict[str, list[int]] = {}
    for index, finding in enumerate(findings):
        by_id.setdefault(finding.id, []).append(index)
    told_by: dict[int, int] = {}
    for link in LINKS:
        for index in by_id.get(link.cause, ()):
            for other in by_id.get(link.effect, ()):
                if other not in told_by and _root(told_by, index) != other and _follows(findings, link, index, other):
                    told_by[other] = index
    parts: dict[int, list[int]] = {}
    for other in told_by:
        parts.setdefault(_root(told_by, other), []).append(other)
    shown = [
        _with_story(finding, [findings[other] for other in sorted(parts.get(index, []))])
        for index, finding in enumerate(findings)
        if index not in told_by
    ]
    return tuple(sorted(shown, key=Finding.order))


def _follows(findings: Sequence[Finding], link: Link, index: int, other: int) -> bool:
    cause, effect = findings[index], findings[other]
    if index == other or cause.target != effect.target or (effect.fix is not None and cause.fix is None):
        return False
    if link.reach == "zone":
        return True
    if link.reach == "record":
        return any(row in effect.evidence.get("records", ()) for row in cause.evidence.get("records", ()))
    about = hosts(effect)
    return bool(about) and about <= broken(cause)


def _root(told_by: Mapping[int, int], index: int) -> int:
    while index in told_by:
        index = told_by[index]
    return index


def _with_story(cause: Finding, effects: Sequence[Finding]) -> Finding:
    if not effects:
        return cause
    evidence = {
        **cause.evidence,
        "also": sorted({one.id for one in effects}),
        "story": [f"{one.id}: {one.title}" for one in effects],
    }
    worst = max((cause, *effects), key=lambda one: SEVERITIES.index(one.severity)).severity
    return replace(cause, severity=worst, evidence=evidence)


def hosts(finding: Finding) -> frozenset[str]:
    """The hosts that a finding is about: those its evidence lists, else the owners of its records."""
    listed = {host for key in _ABOUT for host in _named(finding.evidence.get(key))}
    return frozenset(listed or _owners(finding, ("A", "AAAA", *_ALIASES, "MX", "NS", "TXT")))


def broken(cause: Finding) -> frozenset[str]:
    """The hosts that do not work because of a cause: names that lead on to it, and the names it leads to.

    The owner of an MX or TXT works for all else, so it is not among them; a fault of a server breaks the names that it
    serves, not the name that they are aliases of.
    """
    found = {host for key in _BROKEN_IN for host in _named(cause.evidence.get(key))}
    found |= _owners(cause, ("A", "AAAA", *_ALIASES) if cause.id != "DNS-DANGLE-NS" else ("NS",))
    if cause.id.startswith("DNS-"):
        rows = cause.evidence.get("records", ())
        found |= {_bare(str(row["value"])) for row in rows if row["type"] in (*_ALIASES, "MX", "NS")}
    return frozenset(found)


def _owners(finding: Finding, types: Sequence[str]) -> set[str]:
    zone = finding.target.partition(":")[2]
    return {
        _bare(absolute(str(row["name"]), zone)) for row in finding.evidence.get("records", ()) if row["type"] in types
    }


def _named(value: Any) -> Iterator[str]:
    """The host names in evidence: of URLs, `HOST:PORT (ADDRESS)`, `NAME TYPE`, `include:NAME`, and lists of such."""
    if isinstance(value, str):
        text = value.split(maxsplit=1)[0] if value.strip() else ""
        text = text.partition("://")[2].partition("/")[0] if "://" in text else text
        yield from (_bare(host) for host in _HOST.findall(text))
    elif isinstance(value, Mapping):
        for key in ("host", "url", "name", "server", "term"):
            yield from _named(value.get(key))
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _named(entry)


def _bare(host: str) -> str:
    return host.rstrip(".").lower()
