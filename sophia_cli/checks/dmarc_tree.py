"""The tree walk of DMARC: inherited policies and organisational domains (RFC 9989 4.10). Asks no server."""

from __future__ import annotations

import re

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.outside import look
from sophia_cli.checks.tags import Tags, parse
from sophia_cli.core.dns_facts import Question

_SELECTED = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")  # DMARC1 in capitals (RFC 9989 4.8)


def is_selected(value: str) -> bool:
    """Whether a TXT at `_dmarc` is a DMARC record."""
    return _SELECTED.match(value) is not None


def walk(domain: str) -> list[str]:
    """The names that are asked for a policy, from a domain upwards (the tree walk, RFC 9989 4.10)."""
    labels = domain.rstrip(".").lower().split(".")
    first = ".".join(labels)
    rest = labels[-7:] if len(labels) > 7 else labels[1:]  # at most eight questions
    return [f"_dmarc.{name}" for name in (first, *(".".join(rest[n:]) for n in range(len(rest))))]


def above_hosts(domain: str) -> list[str]:
    """The names above a domain where an inherited policy may stand."""
    return walk(domain)[1:]


def record_at(facts: Facts, host: str) -> Tags | Question | None:
    """The one DMARC record at a name, or the question that must be asked first; None when there is none."""
    found = look(facts, host, "TXT")
    if isinstance(found, Question):
        return found
    good = [value for value in found.values if is_selected(value)]
    return parse(good[0]) if len(good) == 1 else None


def organisation(facts: Facts, domain: str) -> str | Question:
    """The organisational domain of a name (RFC 9989 4.10.2), or the question that must be asked first."""
    found = domain.rstrip(".").lower()
    below = found
    for host in walk(domain):
        name = host.removeprefix("_dmarc.")
        tags = record_at(facts, host)
        if isinstance(tags, Question):
            return tags
        scope = "" if tags is None else (tags.get("psd") or "u").lower()
        if scope == "n":
            return name
        if scope == "y":
            return below
        if tags is not None:
            found = name
        below = name
    return found
