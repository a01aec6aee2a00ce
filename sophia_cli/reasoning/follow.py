"""Follow-ups: short sentences that mean the intent before them with one thing changed; only where nothing is left to guess."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sophia_cli.reasoning import intents as i
from sophia_cli.reasoning.entities import Token
from sophia_cli.reasoning.intents import Intent
from sophia_cli.reasoning.reading import Surroundings
from sophia_cli.reasoning.slots import InvalidSlot

_SMALL = frozenset(
    {
        "and",
        "also",
        "the",
        "for",
        "same",
        "too",
        "with",
        "please",
        "do",
        "it",
        "make",
        "no",
        "set",
        "change",
        "instead",
        "to",
        "now",
        "use",
    }
)


_PROPOSING = re.compile(r"(suggest|propos|recommend|advis)(e|ed|es|ing|s)?|(suggestion|proposal|recommendation)s?")
_AROUND = frozenset(
    {
        "do",
        "did",
        "are",
        "you",
        "i",
        "sophia",
        "this",
        "that",
        "these",
        "those",
        "it",
        "the",
        "is",
        "was",
        "being",
        "to",
        "me",
        "us",
        "now",
        "so",
        "here",
    }
)
_NUMBER = re.compile(r"p\d{1,3}")


def read(tokens: Sequence[Token], surroundings: Surroundings, now: datetime) -> tuple[Intent, ...] | None:
    """The previous intent as a follow-up changes it, or None when the sentence stands by itself."""
    spoken = [token for token in tokens if token.kind not in {"comma", "stop", "question"}]
    if (asked := _proposal(spoken)) is not None:
        return (asked,)
    if not surroundings.previous or len(tokens) > 8:
        return None
    before = surroundings.previous[-1]
    texts = [token.text for token in spoken]
    if texts == ["why"]:
        return _why(before)
    content = [token for token in spoken if token.text not in _SMALL]
    if len(content) != 1 or not texts:
        return None
    try:
        if "too" in texts or texts[:3] in (["same", "for", content[0].text], ["the", "same", "for"]):
            return _another(before, content[0], surroundings)
        if "instead" in texts:
            return _instead(before, content[0], now)
    except InvalidSlot:
        return None
    return None


def _proposal(spoken: Sequence[Token]) -> i.ExplainProposal | None:
    """`why do you suggest this?`, `why p2?`: a question about what is proposed, and nothing else in the sentence."""
    words = [token.raw.lower() for token in spoken]
    asks = 1 if words[:1] == ["why"] else 2 if words[:2] == ["how", "come"] else 0
    if not asks or len(words) > 10:
        return None
    named = [word for word in words[asks:] if _NUMBER.fullmatch(word)]
    rest = [word for word in words[asks:] if word not in _AROUND and word not in named]
    if len(named) > 1 or not (named or rest) or any(_PROPOSING.fullmatch(word) is None for word in rest):
        return None
    return i.ExplainProposal(named[0] if named else None)


def _why(before: Intent) -> tuple[Intent, ...] | None:
    if isinstance(before, i.Analyze | i.ExplainFinding):
        return (i.ExplainFinding(),)
    if isinstance(before, i.WhatChanged):
        return (replace(before, asks="why"),)
    if isinstance(before, i.OptimizeInfrastructure | i.OptimizeCertificates | i.ExplainProposal):
        return (i.ExplainProposal(),)
    return None


def _another(before: Intent, token: Token, surroundings: Surroundings) -> tuple[Intent, ...] | None:
    """The same for another name, service or environment that is known."""
    word = token.raw.lower()
    if isinstance(before, i.SetRecord | i.CreateRecord | i.RemoveRecord):
        types = surroundings.types_at(before.domain, word)
        if isinstance(before, i.RemoveRecord):
            return (replace(before, record=word, type=types[0], value=None),) if len(types) == 1 else None
        return (replace(before, record=word),) if types or isinstance(before, i.CreateRecord) else None
    if isinstance(before, i.ScaleService):
        known = [name for name, aliases in surroundings.services if word in {name, *aliases} or token.text == name]
        return (replace(before, service=known[0]),) if len(known) == 1 else None
    if isinstance(before, i.Deploy | i.MakePlan) and word in surroundings.environments:
        return (replace(before, environment=word),)
    return None


# Types in which a bare number could be something else than the TTL.
_NUMBERED = frozenset({"MX", "SRV", "TXT", "CAA"})


def _instead(before: Intent, token: Token, now: datetime) -> tuple[Intent, ...] | None:
    """The same with another number, length or address, where the intent has exactly one place for it."""
    length = token.when.seconds if token.when is not None and token.when.kind == "duration" else None
    number = int(token.text) if token.kind == "number" and token.text.isdigit() else None
    if isinstance(before, i.SetRecord | i.CreateRecord):
        seconds = length or number
        if seconds is not None and (before.ttl is not None or before.type not in _NUMBERED):
            return (replace(before, ttl=seconds),)
        family = {"A": "ip4", "AAAA": "ip6"}.get(before.type)
        return (replace(before, value=token.text),) if token.kind == family and before.value else None
    if isinstance(before, i.ScaleService) and length is not None and before.end is not None and before.start is None:
        return (replace(before, end=now + timedelta(seconds=length)),)
    if isinstance(before, i.ScaleService) and token.kind == "percent" and before.percent is not None:
        return (replace(before, percent=int(token.text)),) if token.text.isdigit() else None
    if isinstance(before, i.ScaleService) and number is not None:
        if before.to is not None:
            return (replace(before, to=number),)
        return (replace(before, amount=number),) if before.amount is not None else None
    return None
