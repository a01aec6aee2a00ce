"""Checks: how each slot of an intent is brought to its one form, by the slot's name. Does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sophia_cli.reasoning import slots
from sophia_cli.reasoning.slots import InvalidSlot, Json


def check(slot: str, value: object) -> object:
    """A slot's value in its checked form. Raises InvalidSlot."""
    known = CHECKS.get(slot)
    return value if known is None else known(value)


def _names(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise InvalidSlot("a certificate wants at least one name")
    return tuple(slots.domain(value) for value in values)


CHECKS: Final[Mapping[str, Any]] = {
    "agent": lambda text: slots.choice(text, "a specialist", ("dns", "ssl", "performance", "security", "cost")),
    "amount": lambda number: slots.whole(number, "an amount of", 1, 10_000),
    "at": slots.moment,
    "authority": lambda text: slots.choice(text, "a certificate authority", slots.AUTHORITIES),
    "by": lambda text: slots.word(text, "a person"),
    "domain": slots.domain,
    "end": slots.moment,
    "environment": lambda text: slots.word(text, "an environment"),
    "every": lambda text: slots.word(text, "a recurring time"),
    "finding": lambda text: slots.word(text, "a finding"),
    "names": _names,
    "path": lambda text: slots.word(text, "a setting"),
    "percent": lambda number: slots.whole(number, "a percentage of", 1, 1000),
    "priority": lambda number: slots.whole(number, "a priority of", 0, 65_535),
    "proposal": lambda text: slots.word(text, "a proposal"),
    "record": slots.record_name,
    "run": lambda text: slots.word(text, "a run"),
    "secret": lambda text: slots.word(text, "a secret"),
    "service": lambda text: slots.word(text, "a service"),
    "start": slots.moment,
    "subject": lambda text: text if text in {"@", "*"} else slots.record_name(text),
    "target": lambda text: slots.word(text, "a target"),
    "to": lambda number: slots.whole(number, "a number of", 0, 10_000),
    "ttl": slots.ttl,
    "type": slots.record_type,
    "until": slots.moment,
}


def typed(slot: str, value: Json) -> object:
    """A slot's value from JSON data. Raises InvalidSlot."""
    if value is None:
        return None
    if slot in {"start", "end", "until", "at"}:
        try:
            return datetime.fromisoformat(str(value))
        except ValueError as exc:
            raise InvalidSlot(f"{value!r} is not a time") from exc
    if slot == "names":
        if not isinstance(value, list):
            raise InvalidSlot("names is a list")
        return tuple(str(item) for item in value)
    if slot in {"amount", "percent", "to", "ttl", "priority"}:
        if not isinstance(value, int):
            raise InvalidSlot(f"{slot} is a whole number")
        return value
    if not isinstance(value, str):
        raise InvalidSlot(f"{slot} is text")
    return value
