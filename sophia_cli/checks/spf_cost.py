"""What an SPF record costs in look-ups over its whole tree (RFC 7208 4.6.4), as far as the facts tell. Asks no server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.outside import addresses, look
from sophia_cli.checks.spf_terms import Spf, Term, is_selected, parse
from sophia_cli.core.dns import Record
from sophia_cli.core.dns_facts import Answer, Question

LIMIT = 10
VOID_LIMIT = 2
MX_LIMIT = 10
ENOUGH = 60  # look-ups that are counted; receivers stopped long before


@dataclass(slots=True)
class Cost:
    """The count over the tree below one record. `unknown` are terms that could not be followed: each may cost more."""

    lookups: int = 0
    terms: list[dict[str, Any]] = field(default_factory=list)
    """The terms of the record itself, with the look-ups below each."""
    tree: list[dict[str, Any]] = field(default_factory=list)
    """Every include and redirect, in order, with the name that holds it."""
    void: list[str] = field(default_factory=list)
    crowded: list[tuple[str, int]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    wanted: list[Question] = field(default_factory=list)
    seen: list[Answer | Question] = field(default_factory=list)


def spf_rows(facts: Facts, name: str) -> list[Record]:
    """The SPF records at a name."""
    return [row for row in facts.names.at(name, "TXT") if is_selected(row.value)]


def cost_of(facts: Facts, name: str, spf: Spf) -> Cost:
    """The cost of the record at a name of the zone."""
    total = Cost()
    host = facts.zone.fqdn(name)
    _count(facts, host, spf, total, (host,))
    return total


def _count(facts: Facts, host: str, spf: Spf, total: Cost, path: tuple[str, ...]) -> None:
    for term in _read(spf):
        if total.lookups >= ENOUGH:
            return
        if term.name == "all" or not term.costs_lookup:
            continue
        total.lookups += 1
        before, void = total.lookups, len(total.void)
        _follow(facts, host, term, total, path)
        if len(path) == 1:
            below = {"term": term.text, "lookups": 1 + total.lookups - before}
            total.terms.append(below if len(total.void) == void else {**below, "void": len(total.void) - void})


def _read(spf: Spf) -> list[Term]:
    """The terms that a receiver reads: nothing behind `all`, and no redirect beside it (RFC 7208 5.1, 6.1)."""
    ends = next((n for n, term in enumerate(spf.terms) if term.name == "all"), None)
    if ends is None:
        return [*(term for term in spf.terms if not term.modifier), *spf.named("redirect")]
    return [term for term in spf.terms[:ends] if not term.modifier]


def _follow(facts: Facts, host: str, term: Term, total: Cost, path: tuple[str, ...]) -> None:
    if term.has_macro:
        total.unknown.append(term.text)
        return
    target = host if term.domain is None else term.domain.rstrip(".").lower()
    if term.name in ("include", "redirect"):
        _into(facts, term, target, total, path)
    elif term.name == "mx":
        _exchangers(facts, term, target, total)
    elif term.name in ("a", "exists"):
        found = addresses(facts, target) if term.name == "a" else look(facts, target, "A")
        if (answer := _told(found, term, total)) is not None and answer.is_negative:
            total.void.append(term.text)


def _into(facts: Facts, term: Term, target: str, total: Cost, path: tuple[str, ...]) -> None:
    answer = _told(look(facts, target, "TXT"), term, total)
    if answer is None:
        return
    records = [value for value in answer.values if is_selected(value)]
    total.tree.append({"at": path[-1], "term": term.text, "found": records[0] if records else answer.status})
    if answer.is_negative:
        total.void.append(term.text)
    spf = parse(records[0]) if len(records) == 1 else None
    if spf is None or spf.errors or target in path:  # a permanent error inside is one of the whole (5.2, 6.1)
        total.broken.append(term.text)
    else:
        _count(facts, target, spf, total, (*path, target))


def _exchangers(facts: Facts, term: Term, target: str, total: Cost) -> None:
    answer = _told(look(facts, target, "MX"), term, total)
    if answer is None:
        return
    if len(answer.values) > MX_LIMIT:
        total.crowded.append((term.text, len(answer.values)))
    if answer.is_negative:
        total.void.append(term.text)


def _told(found: Answer | Question, term: Term, total: Cost) -> Answer | None:
    """The answer where there is one; else the term joins what is not known."""
    total.seen.append(found)
    if isinstance(found, Question):
        total.wanted.append(found)
        total.unknown.append(term.text)
        return None
    if found.status == "failed":
        total.unknown.append(term.text)
        return None
    return found
