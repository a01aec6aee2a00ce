"""Leftovers: the words of a clause that no slot took and nothing explains; a write with one of them is asked about."""

from __future__ import annotations

from typing import Final

from sophia_cli.reasoning.clauses import Clause
from sophia_cli.reasoning.entities import Token
from sophia_cli.reasoning.scores import WRITES

# Glue that tells or asks; a clause that orders something has none of it.
_TELLING: Final = frozenset(
    {
        "was",
        "were",
        "did",
        "been",
        "being",
        "has",
        "had",
        "got",
        "gets",
        "who",
        "why",
        "how",
        "when",
        "where",
        "which",
        "what",
    }
)


def opens_with(token: Token, clause: Clause) -> bool:
    """Whether an unknown word stands where the verb would: "revoke our certificate" is not a look at it."""
    said = [each for each in clause.tokens if each.text not in clause.words.glue and each.text != "<polite>"]
    return bool(said) and said[0] is token


def left_over(name: str, clause: Clause) -> list[Token]:
    """The tokens that no slot took and that neither glue nor the intent's own vocabulary explains."""
    words, signature = clause.words, clause.words.intents[name]
    own = frozenset(signature.nouns) | frozenset(signature.verbs)
    left: list[Token] = []
    for n, token in enumerate(clause.tokens):
        if n in clause.used or n == clause.head or token.kind in {"comma", "question", "arrow", "stop"}:
            continue
        if token.kind != "word":
            left.append(token)
            continue
        word = token.text
        classes = words.nouns.get(word, frozenset()) | words.base.get(word, frozenset())
        if name not in WRITES:
            classes |= words.past.get(word, frozenset()) | words.ing.get(word, frozenset())
            own |= {"question", "finding", "status", "record", "domain", "zone", "dns", "setup", "changes"}
        elif word in {"it", "that", "its"} and not _refers(name, clause):
            left.append(token)
            continue
        tells = word in _TELLING and name in WRITES
        if word in words.glue and not tells:
            continue
        if word.startswith("<") or word in signature.allow or classes & own or word in own:
            continue
        if clause.words.types.get(word) and "type" in signature.nouns:
            continue
        if (word in words.agents and name not in WRITES) or (word in words.goals and "performance" in signature.nouns):
            continue
        left.append(token)
    return left


def _refers(name: str, clause: Clause) -> bool:
    return name in {"undo_last", "optimize_infrastructure"} or (
        name in {"create_record", "set_record", "remove_record"} and clause.last_name is not None
    )
