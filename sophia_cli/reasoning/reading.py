"""Readings: what the offline engine may be told, and the four things it may answer. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sophia_cli.reasoning.intents import Intent


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known around a sentence. `records` None: the zones' records are not known (not: there are none)."""

    zones: tuple[str, ...] = ()
    records: tuple[tuple[str, str, str], ...] | None = None  # (zone, name, type)
    services: tuple[tuple[str, tuple[str, ...]], ...] = ()  # (name, aliases)
    environments: tuple[str, ...] = ()
    time_zone: str = "UTC"
    previous: tuple[Intent, ...] = ()

    def types_at(self, zone: str, name: str) -> tuple[str, ...]:
        """The types of the records known at a name, sorted."""
        return tuple(sorted({kind for at, called, kind in self.records or () if (at, called) == (zone, name)}))

    def zone_of(self, host: str) -> str | None:
        """The zone that a host name lies in, the longest when zones nest."""
        found = [zone for zone in self.zones if host == zone or host.endswith(f".{zone}")]
        return max(found, key=len, default=None)


class Why(StrEnum):
    """Why a sentence that speaks of a write is not one."""

    negated = "negated"
    hypothetical = "hypothetical"
    question = "question"
    quoted = "quoted"
    conditional = "conditional"
    exception = "exception"


@dataclass(frozen=True, slots=True)
class Understood:
    """One meaning, of one or several intents in order; `repaired` are misspelt words and what they were taken for."""

    intents: tuple[Intent, ...]
    confidence: float
    repaired: tuple[tuple[str, str], ...] = ()

    @property
    def writes(self) -> bool:
        return any(intent.writes for intent in self.intents)

    def render(self) -> str:
        """The reading, one line for each intent, with the words that were taken for others."""
        lines = [f"I read this as: {'; then '.join(intent.phrase() for intent in self.intents)}."]
        lines += [f'I took "{typed}" for "{meant}".' for typed, meant in self.repaired]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Unclear:
    """No single meaning: what to ask, and up to three readings to choose from."""

    question: str
    readings: tuple[Intent, ...] = ()
    confidence: float = 0.0

    def render(self) -> str:
        """The question and, numbered, what it could be."""
        choices = [f"  {n}. {intent.phrase()}  ({intent.command()})" for n, intent in enumerate(self.readings, 1)]
        return "\n".join([self.question, *choices])


@dataclass(frozen=True, slots=True)
class NotAWrite:
    """A sentence about a write that does not ask for it; `heard` is what it would have been, for telling, not for doing."""

    why: Why
    heard: tuple[Intent, ...] = ()
    confidence: float = 1.0

    def render(self) -> str:
        """Why nothing is done, and the command for whoever means it."""
        reasons = {
            Why.negated: "the sentence says not to",
            Why.hypothetical: "the sentence only considers it",
            Why.question: "the sentence asks about it",
            Why.quoted: "the sentence quotes it",
            Why.conditional: "the sentence makes it depend on something",
            Why.exception: "the sentence makes an exception",
        }
        lines = [f"Nothing is changed: {reasons[self.why]}."]
        lines += [f"If you want to {intent.phrase()}: {intent.command()}" for intent in self.heard]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class OutOfScope:
    """Understood well enough to say no: it is not something sophia does on a sentence."""

    why: str
    confidence: float = 1.0

    def render(self) -> str:
        """The refusal."""
        return self.why


Reading = Understood | Unclear | NotAWrite | OutOfScope
