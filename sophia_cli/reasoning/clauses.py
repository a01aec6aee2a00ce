"""Clauses: one thing said in a sentence, as a sheet on which the words that were understood are ticked off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sophia_cli.reasoning.entities import Token
from sophia_cli.reasoning.intents import Intent
from sophia_cli.reasoning.reading import Surroundings, Why
from sophia_cli.reasoning.vocabulary import Vocabulary

ARTICLES = frozenset(
    {"a", "an", "the", "our", "my", "your", "their", "this", "these", "new", "old", "current", "existing"}
)
REASONS = frozenset({"because", "since"})
_PRONOUNS = frozenset({"i", "we", "you", "they", "he", "she", "someone", "somebody", "anyone", "it"})
_ASKING = frozenset(
    {
        "what",
        "which",
        "who",
        "where",
        "when",
        "how",
        "why",
        "is",
        "are",
        "does",
        "did",
        "has",
        "was",
        "were",
        "howmuch",
        "howlong",
        "howmany",
        "howold",
        "status",
        "whose",
    }
)
_AUXILIARIES = frozenset({"do", "have", "will", "shall", "can", "could", "should", "would", "may", "might", "must"})


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Ask:
    """A clause that lacks something: what to ask, and readings to choose from."""

    question: str
    readings: tuple[Intent, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Refuse:
    """A clause that sophia does not act on, and why."""

    why: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Context:
    """What every clause of a sentence shares."""

    words: Vocabulary
    surroundings: Surroundings
    now: datetime


class Clause:
    """The tokens of one clause, and which of them some slot has taken. Lives for one reading.

    `strict`: another clause of the sentence acts, so no word may be left over, not even beside a question.
    """

    def __init__(
        self,
        tokens: Sequence[Token],
        context: Context,
        last_name: tuple[str, str] | None = None,
        strict: bool = False,
    ) -> None:
        self.tokens = tuple(tokens)
        self.context = context
        self.words = context.words
        self.around = context.surroundings
        self.last_name = last_name
        self.used: set[int] = set()
        self.strict = strict
        self.head = self._find_head()

    def _find_head(self) -> int | None:
        """The first word that is not politeness or glue, when it is a verb in its plain form."""
        for n, token in enumerate(self.tokens):
            if token.kind == "word" and token.text in self.words.base:
                return n
            if token.kind == "comma" or (
                token.kind == "word" and (token.text == "<polite>" or token.text in self.words.glue)
            ):
                continue
            return None
        return None

    @property
    def head_classes(self) -> frozenset[str]:
        return frozenset() if self.head is None else self.words.base[self.tokens[self.head].text]

    @property
    def texts(self) -> list[str]:
        return [token.text for token in self.tokens]

    def has(self, *texts: str) -> bool:
        return any(token.kind == "word" and token.text in texts for token in self.tokens)

    def free(self, *kinds: str) -> Iterator[tuple[int, Token]]:
        """The tokens of these kinds that no slot has taken yet."""
        for n, token in enumerate(self.tokens):
            if token.kind in kinds and n not in self.used:
                yield n, token

    def use(self, *places: int) -> None:
        self.used.update(places)

    def before(self, place: int) -> tuple[int, str]:
        """Place and text of the nearest word before this one that is no article; (-1, "") at the start."""
        n = place - 1
        while n >= 0 and self.tokens[n].text in ARTICLES:
            n -= 1
        return n, self.tokens[n].text if n >= 0 else ""

    def noun_classes(self, token: Token) -> frozenset[str]:
        return self.words.nouns.get(token.text, frozenset()) if token.kind == "word" else frozenset()

    def environment(self, word: str) -> str | None:
        """A known environment by its name, or by another word for the same stage."""
        known = self.around.environments
        if word in known:
            return word
        stage = self.words.stages.get(word)
        same = [name for name in known if stage is not None and self.words.stages.get(name) == stage]
        return same[0] if len(same) == 1 else None

    def service(self, token: Token) -> str | None:
        """A known service by name or alias, in singular or plural."""
        if token.kind == "service":
            return token.text
        if token.kind != "word":
            return None
        wanted = {token.raw.lower(), token.text}
        for name, aliases in self.around.services:
            forms = {name.lower(), *(alias.lower() for alias in aliases)}
            if wanted & (forms | {form + "s" for form in forms} | {form.removesuffix("s") for form in forms}):
                return name
        return None


def split(tokens: Sequence[Token], words: Vocabulary) -> list[list[Token]]:
    """The clauses of a sentence: cut at stops, and at "and", "then", commas where a new verb or question follows."""
    parts: list[list[Token]] = [[]]
    for n, token in enumerate(tokens):
        if token.kind in {"stop", "question"}:
            parts.append([])
            continue
        soft = token.kind == "comma" or (token.kind == "word" and token.text in {"and", "then", "also", "plus", "but"})
        if token.kind == "word" and token.text in REASONS and _tells_of_traffic(tokens[n + 1 :], words):
            parts.append([])
            continue
        if soft and parts[-1] and _opens(tokens[n + 1 :], words):
            parts.append([])
            continue
        parts[-1].append(token)
    return _joined([part for part in parts if any(token.kind not in {"comma"} for token in part)], words)


def _tells_of_traffic(rest: Sequence[Token], words: Vocabulary) -> bool:
    """Whether a reason follows: "because traffic is increasing"."""
    first = next((n for n, token in enumerate(rest) if token.kind in {"comma", "stop"}), len(rest))
    return any("traffic" in words.nouns.get(token.text, ()) for token in rest[:first])


def _opens(rest: Sequence[Token], words: Vocabulary) -> bool:
    """Whether what follows starts with a verb or a question, after glue at most."""
    for n, token in enumerate(rest):
        if token.kind == "comma" or token.text in {
            "<polite>",
            "please",
            "then",
            "and",
            "also",
            "finally",
            "first",
            "next",
            "just",
            "now",
        }:
            continue
        if token.kind != "word":
            return False
        if token.text in {"what", "who", "when", "why", "which", "howmuch", "howlong", "howmany", "howold"}:
            return True
        follows = rest[n + 1] if n + 1 < len(rest) else None
        # "mail and help": a verb that ends the sentence or is followed by a list is a name in a list.
        is_name = follows is None and words.base.get(token.text, frozenset()) & {"help", "test", "view", "issue"}
        return token.text in words.base and not is_name
    return False


def _joined(parts: list[list[Token]], words: Vocabulary) -> list[list[Token]]:
    """Clauses that only set the scene ("in shop.test, remove www") joined to the one they lead into."""
    result: list[list[Token]] = []
    lead: list[Token] = []
    for n, part in enumerate(parts):
        statement = not any(
            token.text in words.base or token.text in words.past for token in part if token.kind == "word"
        )
        scene = (
            statement
            and any(token.kind in {"host", "time", "service"} for token in part)
            and not any(token.text in {"arrow", "ttl"} or token.kind in {"arrow", "ip4", "ip6"} for token in part)
        )
        opens = part[0].kind == "time" or part[0].text in {"in", "on", "for", "at", "from", "until"}
        if scene and n + 1 < len(parts) and opens:
            lead += part
            continue
        result.append([*part, *lead])
        lead = []
    return result + ([lead] if lead else [])


# -- what a sentence does besides asking ---------------------------------------------------------------------------------


def mood(tokens: Sequence[Token], words: Vocabulary) -> Why | None:
    """Why no write may come of this sentence, if there is a reason: negation first, then the others."""
    found: set[str] = set()
    for n, token in enumerate(tokens):
        if token.kind != "word":
            continue
        moods = words.moods.get(token.text, frozenset())
        if token.text == "should" and _directs(tokens, n, words):
            continue
        if token.text in {"keep", "stop", "leave"} and n and not words.glue.issuperset({tokens[n - 1].text}):
            continue
        found |= moods
        if token.text in {"when", "after", "before"} and n > 0 and not _asks_when(tokens, n):
            found.add("conditional")
        if token.text in {"can", "could", "may"} and n + 1 < len(tokens) and tokens[n + 1].text in _PRONOUNS:
            found.add("question")
        if token.text == "but" and n + 1 < len(tokens) and not _opens(tokens[n + 1 :], words):
            found.add("exception")
        if token.text in {"or", "either"}:
            found.add("alternative")
    order = (Why.negated, Why.exception, Why.quoted, Why.hypothetical, Why.conditional, Why.question)
    return next((why for why in order if why.value in found), None)


def _directs(tokens: Sequence[Token], n: int, words: Vocabulary) -> bool:
    """ "api should point at ...": a name, "should", and what it should do."""
    subject = tokens[n - 1] if n else None
    if subject is None or subject.text in _PRONOUNS or subject.text in words.glue - _PRONOUNS:
        return False
    if subject.text in {"nobody", "none", "what", "who", "which", "how"}:
        return False
    action = tokens[n + 1].text if n + 1 < len(tokens) else ""
    return action in {"be", "point", "to", "resolve", "have", "go", "expire"}


def _asks_when(tokens: Sequence[Token], n: int) -> bool:
    return tokens[n].text == "when" and all(
        token.text in {"and", "sophia", "hey", "tell", "me", "show"} or token.kind == "comma" for token in tokens[:n]
    )


def is_question(tokens: Sequence[Token]) -> bool:
    """Whether a clause asks: by its first word, or by an auxiliary and a pronoun."""
    spoken = [
        token
        for token in tokens
        if token.kind != "comma" and token.text not in {"sophia", "hey", "hi", "hello", "please", "and", "so", "ok"}
    ]
    if not spoken:
        return False
    first = spoken[0].text
    second = spoken[1].text if len(spoken) > 1 else ""
    return first in _ASKING or (first in _AUXILIARIES and second in _PRONOUNS)
