"""Decoding: a model's answer to typed values, or the reason why not. Believes nothing and repairs nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sophia_cli.core.dns import HOST_TYPES
from sophia_cli.core.language import LONGEST_ANSWER
from sophia_cli.reasoning import intents
from sophia_cli.reasoning.intents import Intent
from sophia_cli.reasoning.slots import InvalidSlot, Json

MOST_INTENTS = 5
MOST_PROPOSALS = 20
MOST_CHANGES = 10
MOST_EXPLANATIONS = 60
LONGEST_TEXT = 400  # characters of an explanation
LONGEST_VALUE = 2500  # characters of a record's value
DEEPEST = 8

Verb = Literal["create", "update", "delete"]
VERBS: tuple[Verb, ...] = get_args(Verb)

_FENCE = re.compile(r"\A```(?:json)?\s*\n(.*)\n```\Z", re.S)
_WHOLE = {"amount", "percent", "to", "ttl", "priority"}


class Undecodable(ValueError):
    """An answer that is not what was asked for; the text says why and repeats no evidence."""


@dataclass(frozen=True, slots=True)
class Draft:
    """One change as a model wants it: `row` names a row of the evidence, for what is there already."""

    verb: Verb
    zone: str
    row: str | None = None
    name: str | None = None
    type: str | None = None
    value: str | None = None
    ttl: int | None = None
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class Offered:
    """Drafts that answer one finding."""

    finding: str
    drafts: tuple[Draft, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """What a model says of a finding, and where it ranks it (1 is first)."""

    finding: str
    rank: int
    text: str


@dataclass(frozen=True, slots=True)
class Advice:
    """A decoded answer: proposals and explanations. Nothing of it is judged yet."""

    offered: tuple[Offered, ...] = ()
    explained: tuple[Explained, ...] = ()


def strict(text: str) -> Any:
    """JSON without duplicate keys, floats or NaN, of bounded length and depth; one code fence around it is taken off.

    Raises `Undecodable` (RFC 8259 4 leaves duplicate keys open; here they are an error).
    """
    if len(text) > LONGEST_ANSWER:
        raise Undecodable("the answer is too long")
    fenced = _FENCE.match(text.strip())
    try:
        data = json.loads(
            fenced.group(1) if fenced else text,
            object_pairs_hook=unique,
            parse_float=_no_number,
            parse_constant=_no_number,
        )
    except Undecodable:
        raise
    except (ValueError, RecursionError) as exc:
        raise Undecodable("it is not one JSON object") from exc
    if not isinstance(data, dict):
        raise Undecodable("it is not one JSON object")
    _shallow(data, DEEPEST)
    return data


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys each stand once. Raises `Undecodable`."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Undecodable("a key stands twice")
    return found


def _no_number(text: str) -> Any:
    raise Undecodable("numbers are whole")


def _shallow(data: Any, left: int) -> None:
    if left == 0:
        raise Undecodable("it is nested too deeply")
    for entry in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        _shallow(entry, left - 1)


def shaped(data: Any, what: str, wanted: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    """An object with exactly these keys, each of its type. Raises `Undecodable`."""
    if not isinstance(data, dict):
        raise Undecodable(f"{what} is not an object")
    if set(data) != set(wanted):
        raise Undecodable(f"{what} wants exactly the keys {', '.join(sorted(wanted))}")
    for key, kinds in wanted.items():
        if not isinstance(data[key], kinds) or isinstance(data[key], bool) != (kinds is bool):
            raise Undecodable(f"{what}: {key} has the wrong type")
    return data


def _list(data: list[Any], what: str, most: int) -> list[Any]:
    if len(data) > most:
        raise Undecodable(f"{what}: more than {most}")
    return data


# -- readings -----------------------------------------------------------------------------------------------------------


def decoded_reading(text: str, shown: Callable[[str], str] = str) -> tuple[Intent, ...]:
    """The intents of a reading; empty when the model says it does not understand. Raises `Undecodable`.

    `shown` turns pseudonyms in slots back.
    """
    data = shaped(strict(text), "the answer", {"understood": bool, "intents": list})
    found = []
    for one in _list(data["intents"], "intents", MOST_INTENTS):
        entry = shaped(one, "an intent", {"intent": str, "slots": list})
        given: dict[str, Json] = {}
        for slot in _list(entry["slots"], "slots", 12):
            pair = shaped(slot, "a slot", {"slot": str, "value": str})
            if pair["slot"] in given:
                raise Undecodable("a slot stands twice")
            given[pair["slot"]] = _slot(pair["slot"], shown(pair["value"]))
        try:
            found.append(intents.build(entry["intent"], given))
        except InvalidSlot as exc:
            raise Undecodable(exc.message[:200]) from exc
    return tuple(found) if data["understood"] else ()


def _slot(slot: str, value: str) -> Json:
    if len(value) > LONGEST_VALUE:
        raise Undecodable("a slot is too long")
    if slot in _WHOLE:
        if not re.fullmatch(r"-?\d{1,9}", value, re.ASCII):
            raise Undecodable(f"{slot} is a whole number")
        return int(value)
    return [part.strip() for part in value.split(",")] if slot == "names" else value


# -- advice -------------------------------------------------------------------------------------------------------------


def decoded_advice(text: str) -> Advice:
    """Proposals and explanations. Raises `Undecodable`."""
    data = shaped(strict(text), "the answer", {"explanations": list, "proposals": list})
    explained = []
    for one in _list(data["explanations"], "explanations", MOST_EXPLANATIONS):
        entry = shaped(one, "an explanation", {"finding": str, "rank": int, "text": str})
        explained.append(Explained(entry["finding"], entry["rank"], entry["text"][:LONGEST_TEXT]))
    offered = []
    for one in _list(data["proposals"], "proposals", MOST_PROPOSALS):
        entry = shaped(one, "a proposal", {"finding": str, "changes": list})
        drafts = tuple(_draft(change) for change in _list(entry["changes"], "changes", MOST_CHANGES))
        if not drafts:
            raise Undecodable("a proposal has no changes")
        offered.append(Offered(entry["finding"], drafts))
    return Advice(tuple(offered), tuple(explained))


def _draft(data: Any) -> Draft:
    text, whole = (str, type(None)), (int, type(None))
    keys: dict[str, type | tuple[type, ...]] = {"action": str, "zone": str, "row": text, "name": text, "type": text}
    found = shaped(data, "a change", {**keys, "value": text, "ttl": whole, "priority": whole})
    if found["action"] not in VERBS:
        raise Undecodable(f"a change's action is one of {', '.join(VERBS)}")
    if found["type"] is not None and found["type"] not in HOST_TYPES:
        raise Undecodable(f"a change's type is one of {', '.join(HOST_TYPES)}")
    if any(len(found[key] or "") > LONGEST_VALUE for key in ("zone", "row", "name", "value")):
        raise Undecodable("a text is too long")
    verb = found.pop("action")
    return Draft(verb, **found)
