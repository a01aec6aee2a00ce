"""Spelling: the known name nearest to an unknown one. Knows no names itself."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate nearest to `name` when at most half its letters differ; case and underscores do not count."""
    folded = _folded(name)
    best, best_distance = None, (len(folded) + 1) // 2
    for candidate in sorted(candidates):
        distance = _distance(folded, _folded(candidate))
        if distance < best_distance:
            best, best_distance = candidate, distance
    return best


def suggestion(name: str, candidates: Iterable[str]) -> str:
    """`; did you mean "x"?` or nothing."""
    found = nearest(name, candidates)
    return f'; did you mean "{found}"?' if found else ""


def _folded(name: str) -> str:
    return name.replace("_", "").lower()


def _distance(first: str, second: str) -> int:
    """The Levenshtein distance."""
    row = list(range(len(second) + 1))
    for index, letter in enumerate(first, 1):
        previous, row[0] = row[0], index
        for place, other in enumerate(second, 1):
            previous, row[place] = row[place], min(previous + (letter != other), row[place - 1] + 1, row[place] + 1)
    return row[-1]
