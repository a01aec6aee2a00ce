"""Grounding: whether a model's reading says no more than the person said. Grants nothing by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sophia_cli.core.dns import ascii_name
from sophia_cli.reasoning.intents import Intent
from sophia_cli.reasoning.reading import Surroundings

LONGEST_SENTENCE = 500  # characters; longer texts are pasted, and pasted text is evidence, never an order

# A sentence with one of these may speak of a change without wanting it. The offline engine tells such sentences apart; a
# model is not believed about them.
_DOUBTS = re.compile(
    r"\b(?:not|no|never|without|except|unless|if|when|should|would|could|might|maybe|perhaps|suppose|hypothetical\w*|cannot|"
    r"says?|said|told|wrote|log|ignore|instructions?|assistant|system|user)\b|n['’]t\b|[?\"“”`<>{}\[\]]|\n",
    re.I,
)
_APEX = frozenset({"@", "apex", "root", "domain", "itself", "zone"})
_NUMBER = re.compile(
    r"\d|\b(?:a|an|one|two|three|four|five|six|seven|eight|nine|ten|half|twice|double|triple|minute|hour|day)\b"
)
# Slots whose value is a word of a closed list that code checks; a wrong one shows in the reading.
_CLOSED = frozenset({"agent", "asks", "kind", "direction", "goal", "purpose", "because", "every"})
_WHOLE = frozenset({"amount", "percent", "to", "ttl", "priority"})
_TIMES = frozenset({"start", "end", "until", "at"})


def is_doubted(text: str) -> bool:
    """Whether a sentence may speak of a change without asking for it."""
    return _DOUBTS.search(text) is not None


def overreach(found: Iterable[Intent], text: str, around: Surroundings) -> str | None:
    """What a reading adds to the sentence; None when every value in it was said by the person or is the environment's."""
    words = said(text)
    for intent in found:
        if intent.writes and is_doubted(text):
            return "the sentence may not ask for a change"
        for slot, value in intent.slots().items():
            if value is None or slot in _CLOSED:
                continue
            values = value if isinstance(value, list) else [value]
            for one in values:
                if not _is_said(slot, one, intent, words, around, text):
                    return f"{intent.name}: nobody said the {slot}"
    return None


def said(text: str) -> frozenset[str]:
    """The words of a sentence, lower-cased, host names in A-labels, without stops and quotes around them."""
    found = set()
    for raw in text.split():
        word = raw.strip(".,;:!()'\"").lower()
        found |= {word, ascii_name(word).rstrip(".")}
    return frozenset(found)


def _is_said(slot: str, value: object, intent: Intent, words: frozenset[str], around: Surroundings, text: str) -> bool:
    if slot in _WHOLE or slot in _TIMES:
        return _NUMBER.search(text.lower()) is not None
    plain = str(value).lower().rstrip(".")
    domain = str(getattr(intent, "domain", None) or "")
    if plain in words:
        return True
    if slot == "domain":
        return plain in around.zones and (len(around.zones) == 1 or any(word.endswith(plain) for word in words))
    if slot in ("record", "subject", "names"):
        if plain == "@":
            return bool(words & _APEX) or domain in words
        return f"{plain}.{domain}" in words or plain in around.zones
    if slot == "type":
        return _is_the_only_type(intent, domain, plain, around)
    if slot in ("environment", "service", "target"):
        known = {*around.environments, *(f"dns:{zone}" for zone in around.zones), *around.zones}
        aliases = dict(around.services).get(plain, ())
        return known == {plain} or any(alias.lower() in text.lower() for alias in aliases)
    return (
        slot == "mode"
        and {"gmail": "google", "fwd": "forward", "ox": "private", "none": "no"}.get(plain, plain) in words
    )


def _is_the_only_type(intent: Intent, domain: str, kind: str, around: Surroundings) -> bool:
    """Whether a type that nobody said follows from the value, or from what is there at the name."""
    if getattr(intent, "value", None) is not None:
        return kind in ("a", "aaaa", "cname")
    there = around.types_at(domain, str(getattr(intent, "record", "")))
    return tuple(one.lower() for one in there) == (kind,)
