"""Entities: a text cut into typed tokens, times and phrases found, and spelling repaired within the closed vocabulary only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Final

from sophia_cli.reasoning import slots, times
from sophia_cli.reasoning.moments import Facing
from sophia_cli.reasoning.reading import Surroundings
from sophia_cli.reasoning.slots import InvalidSlot
from sophia_cli.reasoning.times import When
from sophia_cli.reasoning.vocabulary import Vocabulary

WORDS_AT_MOST: Final = 80
# Unknown words looked up in one sentence; who types more of them has not typed a command.
_REPAIRS_AT_MOST: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """A piece of a sentence. `kind` is one of word, number, percent, ip4, ip6, host, url, email, value, quoted, time, finding,
    run, path, service, arrow, stop, comma, colon, question, junk; `text` is its canonical form and `raw` what was typed.
    """

    kind: str
    text: str
    raw: str
    when: When | None = None

    @property
    def repaired(self) -> bool:
        return self.kind == "word" and self.text != self.raw.lower() and " " not in self.raw and self.text.isalpha()


def cut(text: str, surroundings: Surroundings, words: Vocabulary) -> tuple[Token, ...]:
    """The typed tokens of a normalised text."""
    found = [_token(match, surroundings, words) for match in _scanner().finditer(text)]
    return tuple(token for token in found if token is not None)


def understand(
    tokens: Sequence[Token], surroundings: Surroundings, words: Vocabulary, now: datetime, facing: Facing
) -> tuple[Token, ...]:
    """The same tokens with spelling repaired, service aliases and phrases joined, and times found."""
    repaired = _repair(tokens, surroundings, words)
    timed = _times(repaired, now, surroundings.time_zone, facing)
    return _phrases(_aliases(timed, surroundings), words)


@cache
def _scanner() -> re.Pattern[str]:
    mechanism = (
        r"[+~?-]?(?:all\b|include:\S+|a\b(?:[:/]\S+)?|mx\b(?:[:/]\S+)?|ip[46]:\S+|redirect=\S+|exists:\S+|ptr\b)"
    )
    rules = (
        ("quoted", r'"[^"]*"?|`[^`]*`?|(?<!\w)\'[^\']*\'(?!\w)'),
        ("url", r"https?://[^\s\"'<>]+"),
        ("value", rf"v=spf1(?: {mechanism})*|v=[a-z0-9]+;(?: ?[a-z]+=[^\s;]+;?)*|[\w.-]+=[^\s\"]+"),
        ("email", r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
        ("date", r"\d{4}-\d{2}-\d{2}(?:t\d{2}:\d{2}(?::\d{2})?(?:z|[+-]\d{2}:?\d{2})?)?(?![\w-])"),
        ("run", r"\d{8}[-t][0-9a-z-]{3,}"),
        ("clock", r"\d{1,2}:\d{2}(?::\d{2})?(?![:\w])"),
        ("ip6", r"(?<![\w:])(?=[0-9a-f:.]*:[0-9a-f:.]*:)[0-9a-f:.]*[0-9a-f:](?![\w:])"),
        ("dotted", r"\d+(?:\.\d+){2,}(?:/\d+)?"),
        ("percent", r"\d+(?:\.\d+)? ?(?:%|percent\b|per cent\b)"),
        ("arrow", r"->|=>|→"),
        ("host", r"(?:\*\.)?[\w-]+(?:\.[\w-]+)+"),
        ("length", r"\d+(?:\.\d+)?[a-z]+(?:\d+[a-z]+)*(?![\w-])"),
        ("number", r"\d+(?:\.\d+)?(?![\w-])"),
        ("flag", r"(?<!\w)--?[a-z][\w-]*"),
        ("word", r"<(?:polite|glue|can|suppose)>|[@*](?!\S)|[^\W\d][\w-]*(?:'[a-z]+)?(?:-[\w]+)*|\d+[\w-]+"),
        ("and", r"&(?= )"),
        ("comma", r","),
        ("stop", r"[.;!]+|\n+"),
        ("question", r"\?[?!]*"),
        ("colon", r":"),
        ("junk", r"\S"),
    )
    return re.compile("|".join(f"(?P<{name}>{rule})" for name, rule in rules), re.IGNORECASE)


def _token(match: re.Match[str], surroundings: Surroundings, words: Vocabulary) -> Token | None:
    kind, raw = match.lastgroup or "junk", match[0]
    text = raw.lower()
    if kind == "quoted":
        return Token("quoted", raw[1:-1] if len(raw) > 1 and raw[-1] == raw[0] else raw[1:], raw)
    if kind == "url":
        return Token("url", raw.rstrip(".,;:!?)"), raw)
    if kind == "value":
        return Token("value", raw.rstrip(",.!?"), raw)
    if kind in {"date", "clock", "length"}:
        return Token("word", text, raw)
    if kind in {"ip6", "dotted"}:
        return _address(text, raw)
    if kind == "percent":
        return Token("percent", (re.match(r"[\d.]+", text) or match)[0], raw)
    if kind == "host":
        return _host(text, raw, surroundings, words)
    if kind == "word" and re.fullmatch(r"[A-Z]{2,}[A-Z0-9]*(?:-[A-Z0-9]+)+", raw):
        return Token("finding", raw, raw)
    if kind == "word":
        return Token("word", text, raw)
    if kind == "and":
        return Token("word", "and", raw)
    return Token({"flag": "junk"}.get(kind, kind), text, raw)


def _address(text: str, raw: str) -> Token:
    for version, kind in ((4, "ip4"), (6, "ip6")):
        try:
            return Token(kind, slots.address(text.rstrip("."), version), raw)
        except InvalidSlot:
            continue
    return Token("junk", text, raw)


def _host(text: str, raw: str, surroundings: Surroundings, words: Vocabulary) -> Token:
    if text.split(".")[0] in words.sections and surroundings.zone_of(text) is None:
        return Token("path", text, raw)
    try:
        return Token("host", slots.domain(text), raw)
    except InvalidSlot:
        return Token("junk", text, raw)


# -- spelling -------------------------------------------------------------------------------------------------------------


def _repair(tokens: Sequence[Token], surroundings: Surroundings, words: Vocabulary) -> list[Token]:
    names = {name for _, name, _ in surroundings.records or ()} | set(surroundings.environments)
    for service, aliases in surroundings.services:
        names.update(word for phrase in (service, *aliases) for word in phrase.lower().split())
    left = _REPAIRS_AT_MOST
    result: list[Token] = []
    for n, token in enumerate(tokens):
        word = token.text
        called = n > 0 and tokens[n - 1].text in {"called", "named"}
        if (
            token.kind == "word"
            and not called
            and left
            and word.isalpha()
            and word not in names
            and not words.knows(word)
            and word not in words.ordinary
        ):
            left -= 1
            meant = _nearest(word, words)
            if meant is not None and meant != word:
                token = replace(token, text=meant)
        result.append(token)
    return result


def _nearest(word: str, words: Vocabulary) -> str | None:
    """The one word of the vocabulary that this must be; None when there is none, or two that mean different things."""
    if len(word) < 3 or len(word) > 20:
        return None
    best: dict[int, list[str]] = {}
    initials = {word[0], word[1]}
    for initial in sorted(initials):
        for known in words.repairable.get(initial, ()):
            if known == word:
                return word
            shifted = known[0] != word[0]
            if shifted and known[:2] != word[1] + word[0]:
                continue
            allowed = 0 if len(known) < 3 else 1 if len(known) < 9 else 2
            if abs(len(known) - len(word)) > allowed or (len(word) < 4 and sorted(known) != sorted(word)):
                continue
            distance = _distance(word, known)
            if distance <= allowed:
                best.setdefault(distance, []).append(known)
    if not best:
        return None
    nearest = best[min(best)]
    if len(nearest) == 1:
        return nearest[0]
    classes = {_classes(known, words) for known in nearest}
    same_letters = [known for known in nearest if sorted(known) == sorted(word)]
    if len(same_letters) == 1:
        return same_letters[0]
    return sorted(nearest, key=lambda known: known not in words.base)[0] if len(classes) == 1 else None


def _classes(known: str, words: Vocabulary) -> frozenset[str]:
    verbs = words.base.get(known) or words.past.get(known) or words.ing.get(known)
    return verbs or words.nouns.get(known) or frozenset({known})


def _distance(left: str, right: str) -> int:
    """Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment)."""
    before: list[int] = []
    above = list(range(len(right) + 1))
    for i, sign in enumerate(left, 1):
        row = [i]
        for j, other in enumerate(right, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (sign != other))
            if i > 1 and j > 1 and sign == right[j - 2] and left[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, above = above, row
    return above[-1]


# -- times, aliases, phrases ------------------------------------------------------------------------------------------------


def _times(tokens: Sequence[Token], now: datetime, zone: str, facing: Facing) -> list[Token]:
    pieces = [token.text if token.kind in {"word", "number", "comma"} else "\x00" for token in tokens]
    starts, at = [], 0
    for piece in pieces:
        starts.append(at)
        at += len(piece) + 1
    result = list(tokens)
    for when in reversed(times.find(" ".join(pieces), now, zone, facing)):
        first = next((n for n, start in enumerate(starts) if start == when.first), None)
        last = next((n for n, start in enumerate(starts) if start + len(pieces[n]) == when.last), None)
        if first is not None and last is not None:
            raw = " ".join(token.raw for token in tokens[first : last + 1])
            text = " ".join(pieces[first : last + 1])
            result[first : last + 1] = [Token("time", text, raw, when)]
    return result


def _aliases(tokens: Sequence[Token], surroundings: Surroundings) -> list[Token]:
    known = [
        (tuple(phrase.lower().split()), name) for name, aliases in surroundings.services for phrase in (name, *aliases)
    ]
    longest_first = sorted((entry for entry in known if len(entry[0]) > 1), key=lambda entry: -len(entry[0]))
    result = list(tokens)
    for phrase, name in longest_first:
        for n in range(len(result) - len(phrase), -1, -1):
            window = result[n : n + len(phrase)]
            if tuple(token.text for token in window) == phrase:
                result[n : n + len(phrase)] = [Token("service", name, " ".join(token.raw for token in window))]
    return result


def _phrases(tokens: Sequence[Token], words: Vocabulary) -> tuple[Token, ...]:
    longest = max(map(len, words.phrases))
    result: list[Token] = []
    n = 0
    while n < len(tokens):
        for length in range(min(longest, len(tokens) - n), 0, -1):
            window = tokens[n : n + length]
            meant = words.phrases.get(tuple(token.text for token in window))
            if meant is not None and all(token.kind == "word" for token in window):
                if meant != window[0].text or length > 1:
                    window = [Token("word", meant, " ".join(token.raw for token in window))]
                result += window
                n += length
                break
        else:
            token = tokens[n]
            if token.kind == "word" and token.text.endswith("'s"):
                token = replace(token, text=token.text[:-2])
            result.append(token)
            n += 1
    return tuple(result)
