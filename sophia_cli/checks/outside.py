"""Any name as facts know it: inside the zone by its rows, elsewhere by what a resolver said. Asks nobody itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sophia_cli.checks.facts import PROVIDER_MAIL, Facts
from sophia_cli.checks.lookup import MAX_HOPS
from sophia_cli.core.dns import APEX, Record
from sophia_cli.core.dns_facts import Answer, Question

_BY_ADDRESS = frozenset({"A", "AAAA"})
_ANSWERED_BY_PROVIDER = frozenset({"URL", "URL301", "FRAME"})  # with an address that is its own


def look(facts: Facts, host: str, kind: str) -> Answer | Question:
    """The answer for a name and type, or the question that must be asked first. Aliases are followed."""
    asked = host.rstrip(".").lower()
    question = Question(asked, kind)
    chain: list[str] = []
    for _ in range(MAX_HOPS):
        inner = facts.names.inside(asked)
        if inner is None:
            told = known(facts, Question(asked, kind))
            if isinstance(told, Question) or not chain:
                return told
            return _behind(told, question, chain)
        rows = facts.names.answer(inner)
        hop = next((row for row in rows if row.type == "CNAME" or (row.type == "ALIAS" and kind in _BY_ADDRESS)), None)
        if hop is None or kind == "CNAME":
            return _own(facts, question, inner, rows, kind, chain)
        asked = hop.value.rstrip(".").lower()
        if asked + "." in chain:
            break
        chain.append(asked + ".")
    return Answer(question, "failed", chain=tuple(chain), why="aliases lead in a circle", server="the zone")


def known(facts: Facts, question: Question) -> Answer | Question:
    """What a resolver said to a question; the question itself where it was not asked."""
    live = facts.background.dns
    return question if live is None else live.answers.get(question, question)


def _behind(told: Answer, question: Question, chain: list[str]) -> Answer:
    return Answer(
        question,
        told.status,
        told.values,
        told.preferences,
        told.ttl,
        (*chain, *told.chain),
        told.zone,
        told.why,
        told.server,
        told.at,
        rtt_ms=told.rtt_ms,
    )


def _own(facts: Facts, question: Question, inner: str, rows: tuple[Record, ...], kind: str, chain: list[str]) -> Answer:
    found = sorted((row.priority or 0, row.value) for row in rows if row.type == kind)
    by_provider = kind in _BY_ADDRESS and any(row.type in _ANSWERED_BY_PROVIDER for row in rows)
    if kind == "MX" and inner == APEX and not found:
        by_provider = facts.zone.email_type in PROVIDER_MAIL or bool(facts.names.at(APEX, "MXE"))
    if found or by_provider:
        values = tuple(value for _, value in found)
        return Answer(
            question, "found", values, tuple(first for first, _ in found), chain=tuple(chain), server="the zone"
        )
    there = inner in facts.names.exists or bool(rows)
    return Answer(question, "empty" if there else "nxdomain", chain=tuple(chain), server="the zone")


def addresses(facts: Facts, host: str) -> Answer | Question:
    """The IPv4 addresses of a host, or else its IPv6 addresses: what says whether it has any."""
    first = look(facts, host, "A")
    if isinstance(first, Question) or first.status != "empty":
        return first
    return look(facts, host, "AAAA")


def pending(found: Iterable[Answer | Question]) -> Iterator[Question]:
    """The questions among look-ups that must be asked first."""
    return (one for one in found if isinstance(one, Question))


def unanswered(facts: Facts, what: str, found: Iterable[Answer | Question]) -> str | None:
    """Why look-ups do not tell all: nobody was asked, or nobody answered. None when they do."""
    seen = list(found)
    open_ones = list(pending(seen))
    if open_ones:
        live = facts.background.dns
        reason = "" if live is None else f": {live.gap('outside') or 'the look-ups ended early'}"
        return f"in part: {what} ({len(open_ones)}){reason}"
    failed = [one for one in seen if isinstance(one, Answer) and one.status == "failed" and "circle" not in one.why]
    if failed:
        return f"in part: {what} ({len(failed)}): {failed[0].question}: {failed[0].why}"
    return None


def text_rows(facts: Facts, name: str) -> tuple[Record, ...]:
    """The TXT records that answer at a name of the zone, those behind an alias or delegation as rows of that name too."""
    rows = tuple(row for row in facts.names.answer(name) if row.type == "TXT")
    if rows or not is_elsewhere(facts, name):
        return rows
    found = look(facts, facts.zone.fqdn(name), "TXT")
    if isinstance(found, Question):
        return ()
    return tuple(Record(name, "TXT", value, found.ttl) for value in found.values)


def is_elsewhere(facts: Facts, name: str) -> bool:
    """Whether an alias or a delegation at a name hands it to another zone."""
    return any(row.type in ("CNAME", "NS") for row in facts.names.answer(name))
