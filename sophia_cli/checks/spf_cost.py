"""What an SPF record costs in look-ups, as far as one zone can tell (RFC 7208 4.6.4). Asks no server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.spf_terms import Spf, Term, is_selected, parse
from sophia_cli.core.dns import APEX, Record

LIMIT = 10
VOID_LIMIT = 2
MX_LIMIT = 10


@dataclass(slots=True)
class Cost:
    """The count over the tree below one record. `unknown` are targets outside the zone: each may cost more."""

    lookups: int = 0
    terms: list[dict[str, Any]] = field(default_factory=list)
    void: list[str] = field(default_factory=list)
    crowded: list[tuple[str, int]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def spf_rows(facts: Facts, name: str) -> list[Record]:
    """The SPF records at a name."""
    return [row for row in facts.names.at(name, "TXT") if is_selected(row.value)]


def cost_of(facts: Facts, name: str, spf: Spf) -> Cost:
    """The cost of the record at a name."""
    total = Cost()
    _count(facts, name, spf, total, (name,))
    return total


def _count(facts: Facts, name: str, spf: Spf, total: Cost, path: tuple[str, ...]) -> None:
    ends = bool(spf.named("all"))
    for term in spf.terms:
        if not term.costs_lookup or (term.name == "redirect" and ends):  # redirect is ignored beside all (6.1)
            continue
        total.lookups += 1
        before = total.lookups
        _follow(facts, name, term, total, path)
        if len(path) == 1:
            total.terms.append({"term": term.text, "lookups": 1 + total.lookups - before})


def _follow(facts: Facts, name: str, term: Term, total: Cost, path: tuple[str, ...]) -> None:
    inner = facts.names.inside(term.domain) if term.domain is not None and not term.has_macro else None
    if term.domain is None:
        inner = name
    if inner is None:
        total.unknown.append(term.text)
        return
    answer = facts.names.answer(inner)
    if any(row.type == "CNAME" for row in answer):
        total.unknown.append(term.text)
    elif term.name in ("include", "redirect"):
        rows = [row for row in answer if row.type == "TXT" and is_selected(row.value)]
        if not rows:
            total.broken.append(term.text)
        elif inner in path:
            total.broken.append(term.text)
        else:
            _count(facts, inner, parse(rows[0].value), total, (*path, inner))
    elif term.name == "mx":
        hosts = [row for row in answer if row.type == "MX"]
        if len(hosts) > MX_LIMIT:
            total.crowded.append((term.text, len(hosts)))
        if not hosts and not (inner == APEX and facts.has_mail):
            total.void.append(term.text)
    elif term.name in ("a", "exists") and not facts.names.has_address(inner):
        total.void.append(term.text)
