"""Record names: which words of a clause are names of records. A name is taken as typed or asked for, never repaired."""

from __future__ import annotations

import re
from itertools import pairwise

from sophia_cli.reasoning import slots
from sophia_cli.reasoning.clauses import ARTICLES, Ask, Clause
from sophia_cli.reasoning.entities import Token
from sophia_cli.reasoning.slots import InvalidSlot

OF = frozenset({"for", "of", "on", "from", "called", "named", "in", "under"})


_LINKS = frozenset({"and", ",", "subdomain", "subdomains", "record", "records", "host"}) | ARTICLES


MARKED = frozenset({"called", "named"})


def is_name(clause: Clause, n: int, token: Token) -> bool:
    following = clause.tokens[n + 1].text if n + 1 < len(clause.tokens) else ""
    return (clause.before(n)[1] in MARKED or following in {"record", "subdomain"}) and bool(
        re.fullmatch(r"[\w-]{1,63}", token.text)
    )


def name_places(
    clause: Clause, creating: bool, hosts: bool, kind: str | None
) -> list[tuple[int, str, str | None]] | Ask:
    """The words that are record names, by the first rule that finds any; several only when they stand in a list."""
    marked = [n for n, token in clause.free("word", "quoted") if clause.before(n)[1] in MARKED]
    if marked:
        clause.use(*(n for n in range(len(clause.tokens)) if clause.tokens[n].text in MARKED))
        return _taken(clause, marked)
    quoted = [n for n, token in clause.free("quoted") if is_name(clause, n, token)]
    records = {name for _, name, _ in clause.around.records or ()}
    allow = clause.words.intents["create_record"].allow if kind in {"TXT", "CAA"} else frozenset()
    loose = [
        (n, token)
        for n, token in clause.free("word")
        if n != clause.head and token.text not in allow and token.text not in clause.words.gate
    ]
    own = [n for n, token in loose if _label(token) and (not _said(clause, token) or _letter_in_list(clause, n))]
    apex = [n for n, token in loose if token.text in {"apex", "root", "@", "*", "wildcard"}]
    if apex:
        clause.use(*apex)
        return [(n, "*" if clause.tokens[n].text in {"*", "wildcard"} else "@", None) for n in apex]
    stage = [n for n, token in loose if token.text in clause.words.stages]
    if creating and kind in {None, "A"} and (named := _named_after(clause, own, stage)):
        return named
    shared = [
        n for n, token in loose if called(token) in records and _label(token) and token.text not in clause.words.types
    ]
    placed = [
        n
        for n, token in loose
        if _label(token)
        and token.text not in clause.words.glue
        and not clause.noun_classes(token) & {"record", "subdomain", "ttl", "everything"}
        and _name_position(clause, n)
    ]
    listed = [n for n in shared if own and _in_list(clause, sorted({*own, n}), n)]
    nouns = {noun for token in clause.tokens for noun in clause.noun_classes(token)}
    plain = bool(nouns & {"record", "subdomain"}) or any(token.text in clause.words.types for token in clause.tokens)
    only_shared = bool(shared) and not (own or quoted or hosts or plain)
    if "remove" in clause.head_classes and only_shared:
        name = clause.tokens[shared[0]].raw
        return Ask(f"Do you mean the record {name}? Then please say: remove the {name} record.")
    for tier in (quoted + own + listed, [] if hosts else shared, [] if hosts else stage, [] if hosts else placed):
        if tier:
            return _taken(clause, sorted(set(tier)))
    return []


def _in_list(clause: Clause, places: list[int], n: int) -> bool:
    """Whether a word that could be a name is linked to one that is: "docs and status"."""
    at = places.index(n)
    near = [(places[at - 1], n)] if at else []
    near += [(n, places[at + 1])] if at + 1 < len(places) else []
    return any(linked(clause, left, right) for left, right in near)


def _letter_in_list(clause: Clause, n: int) -> bool:
    """ "a, b and c": an "a" before a comma is no article."""
    return clause.tokens[n].text == "a" and n + 1 < len(clause.tokens) and clause.tokens[n + 1].text in {",", "and"}


def _said(clause: Clause, token: Token) -> bool:
    """Whether a word belongs to the language, and is therefore no name by itself."""
    known_name = called(token) in {name for _, name, _ in clause.around.records or ()}
    return clause.words.knows(token.text) or (token.repaired and not known_name)


def _label(token: Token) -> bool:
    try:
        return (
            bool(slots.record_name(token.raw))
            and token.kind == "word"
            and not token.raw.isdigit()
            and " " not in token.raw
        )
    except InvalidSlot:
        return False


def _name_position(clause: Clause, n: int) -> bool:
    """A word right after the verb or "for", "of", "from", and right before "record", "to" or the end."""
    place, preposition = clause.before(n)
    following = clause.tokens[n + 1].text if n + 1 < len(clause.tokens) else ""
    after = (
        place == clause.head
        or preposition in OF
        or (place >= 0 and place in clause.used and preposition in clause.words.types)
    )
    return after and following in {"", "record", "records", "subdomain", "to", "at", "should", "and", ","}


def _named_after(clause: Clause, own: list[int], stage: list[int]) -> list[tuple[int, str, str | None]]:
    """A name made of the purpose and the stage: "a development subdomain for the new dashboard feature"."""
    subdomain = next((n for n, token in enumerate(clause.tokens) if "subdomain" in clause.noun_classes(token)), None)
    reason = next((n for n, token in enumerate(clause.tokens) if token.text == "for"), None)
    if subdomain is None or reason is None or subdomain > reason:
        return []
    base = [n for n in own if n > reason and clause.tokens[n].raw.lower() not in clause.words.features]
    adjacent = all(right - left == 1 for left, right in pairwise(base))
    before = [n for n in stage if n < subdomain]
    if not base or not adjacent or len(base) > 3 or len(before) > 1 or any(n < reason for n in own):
        return []
    clause.use(*base, *before, *(n for n in own if n > reason))
    clause.use(*(n for n, token in clause.free("word") if n > reason and "service" in clause.noun_classes(token)))
    words = [clause.tokens[n].raw.lower() for n in base] + [clause.words.stages[clause.tokens[n].text] for n in before]
    return [(base[0], "-".join(words), None)]


def called(token: Token) -> str:
    """The name that a word is, in the form that zones hold it (A-labels, RFC 5890 2.3.2.1)."""
    text = token.text if token.kind == "quoted" else token.raw
    try:
        return slots.record_name(text)
    except InvalidSlot:
        return text.lower()


def linked(clause: Clause, left: int, right: int) -> bool:
    """Whether two names stand in one list, with a link between them."""
    gap = {token.text for token in clause.tokens[left + 1 : right]}
    return bool(gap & {"and", ","}) and gap <= _LINKS


def _taken(clause: Clause, places: list[int]) -> list[tuple[int, str, str | None]] | Ask:
    if not all(linked(clause, left, right) for left, right in pairwise(places)):
        names = " or ".join(clause.tokens[n].raw for n in places[:3])
        return Ask(f"Which of the words is the record's name: {names}?")
    clause.use(*places)
    return [(n, called(clause.tokens[n]), None) for n in places]
