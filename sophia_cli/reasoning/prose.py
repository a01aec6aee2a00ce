"""Prose of a model on its way to a person, word by word as it comes: bounded, without links, its ids checked. Shows nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

LONGEST_PROSE = 4_000  # characters that are shown
LONGEST_WORD = 300
LINKS = re.compile(r"\S*(?:://|\]\(|www\.)\S*", re.I)
LINK = "[link left out]"
LONG = "[long word left out]"
UNKNOWN = "[unknown id]"
CUT = " (the rest is left out)"

_GAP = re.compile(r"(\s+)")
_CITED = re.compile(r"\[([^\[\]\s]{1,100})\]")
_HIDDEN = re.compile(r"secret|(?:secret|mail|token)-\d+")


class Prose:
    """Takes pieces and gives whole words, so that nothing that is cut in two slips through.

    `shown` turns pseudonyms back. What cites an id that is not among `ids` says so; `cited` are those that it named.
    Line ends and spaces come one at a time. What it gives is still foreign text: who prints it escapes it.
    """

    def __init__(self, ids: Iterable[str], shown: Callable[[str], str]) -> None:
        self._ids = frozenset(ids)
        self._shown = shown
        self._rest = ""
        self._left = LONGEST_PROSE
        self._is_skipping = False
        self.cited: set[str] = set()

    def feed(self, piece: str) -> str:
        """The words that are whole now."""
        *words, self._rest = _GAP.split(self._rest + piece)
        if words and not self._rest:
            self._rest = _gap(words.pop())  # more of the gap may follow
        told = "".join(map(self._word, words))
        if len(self._rest) > LONGEST_WORD:
            told += self._word(self._rest)
            self._is_skipping, self._rest = True, ""
        return told

    def end(self) -> str:
        """The last word."""
        last, self._rest = self._word(self._rest.rstrip()), ""
        return last

    def _word(self, word: str) -> str:
        if not word:
            return ""
        if word.isspace():
            self._is_skipping = False
            return self._cut(_gap(word))
        if self._is_skipping:
            return ""
        if len(word) > LONGEST_WORD:
            return self._cut(LONG)
        word = word.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")  # joins halves of one sign
        return self._cut(LINKS.sub(LINK, self._shown(_CITED.sub(self._id, word))))

    def _id(self, found: re.Match[str]) -> str:
        if found[1] in self._ids:
            self.cited.add(found[1])
        elif not _HIDDEN.fullmatch(found[1]):
            return UNKNOWN
        return found[0]

    def _cut(self, text: str) -> str:
        if self._left <= 0:
            return ""
        told, self._left = text[: self._left], self._left - len(text)
        return told if self._left > 0 else told + CUT


def _gap(spaces: str) -> str:
    return "\n" if "\n" in spaces else " "
