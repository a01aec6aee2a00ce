"""Scores: how much the words and entities of a clause speak for each intent. Knows weights, builds nothing."""

from __future__ import annotations

from typing import Final

from sophia_cli.reasoning.clauses import Clause, is_question
from sophia_cli.reasoning.entities import Token
from sophia_cli.reasoning.intents import (
    ALL,
)
from sophia_cli.reasoning.record_names import called

WRITES: Final = frozenset(kind.name for kind in ALL if kind.writes)


# Verbs that speak of a change, whatever the object; a doubtful sentence that has one is told as "not a write".
ACTS: Final = frozenset(
    {
        "create",
        "set",
        "point",
        "change",
        "switch",
        "enable",
        "alias",
        "redirect",
        "remove",
        "destroy",
        "scale",
        "up",
        "down",
        "double",
        "triple",
        "halve",
        "issue",
        "renew",
        "deploy",
        "heal",
        "undo",
        "rotate",
        "freeze",
        "thaw",
        "import",
        "optimize",
        "harden",
    }
)


_CAUSATIVE: Final = frozenset({"make", "let", "need"})


_NEEDS_NO_ARTICLE: Final = frozenset(
    {
        "that",
        "last",
        "run",
        "wildcard",
        "more",
        "less",
        "fewer",
        "new",
        "where",
        "why",
        "who",
        "howmuch",
        "howlong",
        "howmany",
        "howold",
    }
)


def weighed(clause: Clause) -> list[tuple[str, float]]:
    """Every intent's weight in this clause, the highest first; those whose core is missing are left out."""
    acting, spoken, nouns, entities = _features(clause)
    result: list[tuple[str, float]] = []
    # "revoke the certificate", "set the path": an act that no intent has is not a question about its object.
    imperative = (
        bool(clause.head_classes)
        and clause.head_classes <= ACTS | {"make", "let", "need"}
        and not is_question(clause.tokens)
    )
    for name, signature in clause.words.intents.items():
        verbs = acting if name in WRITES else spoken
        verb = max((signature.verbs[each] for each in verbs if each in signature.verbs), default=0.0)
        if not verb and (name in WRITES or imperative):
            continue
        features = (
            {f"v.{each}" for each in verbs} | {f"n.{each}" for each in nouns} | {f"e.{each}" for each in entities}
        )
        if signature.core and not any(features.issuperset(group) for group in signature.core):
            continue
        score = verb + sum(
            sorted((signature.nouns[each] for each in nouns if each in signature.nouns), reverse=True)[:3]
        )
        score += sum(
            sorted((signature.entities[each] for each in entities if each in signature.entities), reverse=True)[:3]
        )
        result.append((name, round(score, 3)))
    return sorted(result, key=lambda entry: (-entry[1], entry[0]))


def _features(clause: Clause) -> tuple[set[str], set[str], set[str], set[str]]:
    """Acting verbs (for writes), all verbs (for questions), nouns, and entities of a clause."""
    words = clause.words
    asks = is_question(clause.tokens)
    acting = set(clause.head_classes)
    spoken = set(clause.head_classes)
    nouns: set[str] = set()
    entities: set[str] = set()
    for n, token in enumerate(clause.tokens):
        text = token.text
        if token.kind != "word":
            entities |= _entity_features(token, clause)
            if token.kind == "arrow" and clause.head is None:
                acting.add("arrow")
            continue
        spoken |= words.base.get(text, frozenset()) - {"help", "need", "let"}
        if words.base.get(text, frozenset()) & ACTS and clause.has("did"):  # "what did we change": what was done.
            spoken |= {"past"} | ({"deployed"} if "deploy" in words.base[text] else set())
        if text in words.past:
            spoken.add("past")
            if "deploy" in words.past[text]:
                spoken.add("deployed")
        if n != clause.head or not words.base.get(text) or asks:
            nouns |= _noun_features(text, clause)
        if clause.head_classes & _CAUSATIVE and n != clause.head:
            acting |= words.base.get(text, frozenset()) & {"point", "expire"}
        if text in {"should", "ttl"} and clause.head is None and n > 0 and not is_question(clause.tokens):
            acting |= {"should"} | (words.base.get("expire", frozenset()) if clause.has("expire") else frozenset())
        entities |= _word_entities(token, clause)
    if asks:
        nouns.add("question")
        nouns |= {"whatis"} if clause.has("what") and clause.has("is") and not spoken else set()
    return acting, spoken, nouns, entities


def _noun_features(text: str, clause: Clause) -> set[str]:
    words = clause.words
    found = set(words.nouns.get(text, ()))
    if text in _NEEDS_NO_ARTICLE or text in {"domains", "certificates", "records", "doctor"}:
        found.add(text)
    if text == "certs":
        found.add("certificates")
    for name, known in (
        ("stage", words.stages),
        ("mailmode", words.mail_modes),
        ("authority", words.authorities),
        ("secretname", words.secrets),
    ):
        if text in known:
            found.add(name)
    if text in {"apikey"}:
        found.add("secret")
    if text in {"stack", "stacks", "environments"}:
        found.add("stacks")
    if text in {"origin", "howmuch", "howlong", "howmany", "howold", "there"}:
        found.add(text)
    if text == "<can>":
        found.add("can")
    if text in words.types and text != "a":
        found.add("type")
    return found


def _entity_features(token: Token, clause: Clause) -> set[str]:
    if token.kind == "host":
        return {"host", "zone"} if token.text in clause.around.zones else {"host"}
    if token.kind == "time" and token.when is not None:
        return {"time"} | ({"end"} if token.when.kind == "end" else set())
    return {{"ip4": "address", "ip6": "address", "quoted": "value"}.get(token.kind, token.kind)}


def _word_entities(token: Token, clause: Clause) -> set[str]:
    found: set[str] = set()
    if any(name == called(token) for _, name, _ in clause.around.records or ()):
        found.add("name")
    if clause.environment(token.text):
        found.add("environment")
    if clause.service(token):
        found.add("service")
    if token.text in clause.words.stages:
        found.add("stage")
    if token.text in clause.words.agents:
        found.add("agent")
    return found
