"""Intents: what one clause asks for, as a value with checked slots. An intent does nothing and decides nothing."""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import ClassVar

from sophia_cli.reasoning.intents.checks import check
from sophia_cli.reasoning.slots import InvalidSlot, Json, stamp


class Intent:
    """What one clause asks for. Subclasses are frozen and hold only checked slots.

    Equality, hash and repr are written here once: generating them for each of three dozen classes costs 5 ms at import.
    """

    __slots__: tuple[str, ...] = ()
    name: ClassVar[str] = ""
    writes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Bring every slot to its checked form. Raises InvalidSlot."""
        for slot in type(self).__slots__:
            value = getattr(self, slot)
            if value is not None:
                self._fix(slot, check(slot, value))
        self._check()

    def _check(self) -> None:
        """What only this intent knows about its slots."""

    def slots(self) -> dict[str, Json]:
        """The slots as JSON data, times in RFC 3339."""
        return {slot: _json(getattr(self, slot)) for slot in type(self).__slots__}

    def command(self) -> str:
        """The command line that means the same."""
        flags = [part for part in self._words() if part is not None]
        return shlex.join(["sophia", *flags])

    def reading(self) -> str:
        """The sentence that tells the person what was understood."""
        return f"I read this as: {self.phrase()}."

    def phrase(self) -> str:
        """The reading without its frame."""
        raise NotImplementedError

    def _words(self) -> list[str]:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Intent) and self.slots() == other.slots()

    def __hash__(self) -> int:
        return hash((self.name, str(self.slots())))

    def __repr__(self) -> str:
        shown = ", ".join(f"{slot}={value!r}" for slot, value in self.slots().items() if value is not None)
        return f"{type(self).__name__}({shown})"

    def _fix(self, slot: str, value: object) -> None:
        """Store a slot in its checked form; for `__post_init__` only."""
        object.__setattr__(self, slot, value)


def _json(value: object) -> Json:
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, tuple):
        return [str(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise InvalidSlot(f"{value!r} is not a slot value")


def ask(sentence: str) -> list[str]:
    """The words of an intent that has no command of its own: the sentence itself, asked."""
    return ["ask", sentence]


def flag(name: str, value: object) -> list[str]:
    """An option with its value; nothing when there is none."""
    if value is None:
        return []
    return [name, stamp(value) if isinstance(value, datetime) else str(value)]


def operands(*values: str | None) -> list[str]:
    """Positional words, guarded by `--` when one of them could be taken for a flag."""
    given = [value for value in values if value is not None]
    return ["--", *given] if any(value.startswith("-") for value in given) else given


def full_name(record: str, domain: str) -> str:
    """A record's whole name; the apex is the domain itself."""
    return domain if record == "@" else f"{record}.{domain}"
