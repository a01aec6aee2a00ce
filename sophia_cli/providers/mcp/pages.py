"""Pages: results cut to a size that a client's context can hold, with every cut told. Changes no values otherwise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_CHARACTERS = 24_000  # of one result as JSON; clients commonly stop at some 25 000 tokens
MOST_ENTRIES = 50  # of a list beside the one that is paged
MOST_TEXT = 2_000  # characters of one text


@dataclass(frozen=True, slots=True)
class Cut:
    """A list that is not whole: `shown` of its `of` entries are there."""

    path: str
    shown: int
    of: int


@dataclass(frozen=True, slots=True)
class Page:
    """Data that fits, what was left out of it, and where the next page of the main list begins (None: it ends here)."""

    data: dict[str, Any]
    cuts: tuple[Cut, ...] = ()
    next_offset: int | None = None


def page(data: Mapping[str, Any], main: str | None, offset: int) -> Page:
    """The data with its `main` list from `offset` on, as much of it as fits; other lists and long texts are cut short."""
    rows = list(data.get(main, ())) if main is not None else []
    rest = {key: value for key, value in data.items() if key != main}
    for most in (MOST_ENTRIES, 10, 2, 0):
        cuts: list[Cut] = []
        small = {key: _shortened(value, key, most, cuts) for key, value in rest.items()}
        if _size(small) <= MOST_CHARACTERS // 2:
            break
    else:
        cuts.append(Cut("(everything else)", 0, len(rest)))
        small = {}
    if main is None:
        return Page(small, tuple(cuts))
    left = MOST_CHARACTERS - _size(small)
    shown: list[Any] = []
    for row in rows[offset:]:
        short = _shortened(row, main, MOST_ENTRIES, cuts)
        left -= _size(short)
        if shown and left < 0:
            break
        shown.append(short if left >= 0 else {"too_large": True, "characters": _size(short)})
    end = offset + len(shown)
    if len(shown) < len(rows):
        cuts.append(Cut(main, len(shown), len(rows)))
    return Page({**small, main: shown}, tuple(cuts), end if end < len(rows) else None)


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, default=str))


def _shortened(value: Any, path: str, most: int, cuts: list[Cut]) -> Any:
    if isinstance(value, str) and len(value) > MOST_TEXT:
        return f"{value[:MOST_TEXT]} ({len(value) - MOST_TEXT} more characters are left out)"
    if isinstance(value, Mapping):
        return {key: _shortened(one, f"{path}.{key}", most, cuts) for key, one in value.items()}
    if isinstance(value, list | tuple):
        if len(value) > most:
            cuts.append(Cut(path, most, len(value)))
        return [_shortened(one, path, most, cuts) for one in value[:most]]
    return value
