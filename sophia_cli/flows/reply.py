"""Replies: what comes of a sentence, and what a sentence can be about. Reads and writes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sophia_cli.core.findings import Finding
from sophia_cli.core.history import Run
from sophia_cli.core.ports import EnvironmentFile
from sophia_cli.core.settings import Settings
from sophia_cli.flows.apply import Ground
from sophia_cli.flows.plan import Judged
from sophia_cli.reasoning import intents as said

ENGINE = "offline"


class Registration(Protocol):
    """When a domain runs out, as the registrar lists it."""

    @property
    def name(self) -> str:
        """The registered name."""
        ...

    @property
    def expires(self) -> Any:
        """The date it runs out, or None."""
        ...

    @property
    def auto_renew(self) -> bool | None:
        """Whether it renews by itself."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """What comes of a sentence. At most one of `answer`, `clarify`, `refused` and `judged` says how it went on."""

    text: str
    reading: str
    intents: tuple[said.Intent, ...] = ()
    command: str | None = None
    clarify: tuple[str, ...] = ()
    answer: str | None = None
    evidence: tuple[str, ...] = ()
    judged: Judged | None = None
    refused: str | None = None

    @property
    def goes_nowhere(self) -> bool:
        """Whether it asks back or refuses (exit 3)."""
        return bool(self.clarify) or self.refused is not None

    def data(self, runs: Sequence[Run], plan: Mapping[str, Any] | None) -> dict[str, Any]:
        """The public shape (contract, `sophia.ask/1`)."""
        shown = [{"name": intent.name, "slots": intent.slots()} for intent in self.intents]
        return {
            "text": self.text,
            "reading": self.reading,
            "intent": shown[0] if shown else None,
            "intents": shown,
            "command": self.command,
            "clarify": list(self.clarify),
            "answer": self.answer,
            "evidence": list(self.evidence),
            "plan": plan,
            "runs": [run.public() for run in runs],
            "engine": ENGINE,
            "refused": self.refused,
        }


@dataclass(frozen=True, slots=True)
class World:
    """What a sentence can be about: read ports and the state. Nothing here writes."""

    settings: Settings
    ground: Ground
    file: EnvironmentFile | None
    findings: Callable[[Sequence[str] | None], Awaitable[tuple[Finding, ...]]]
    registrations: Callable[[], Awaitable[Sequence[Registration]]]
    time_zone: str = "UTC"
    previous: tuple[said.Intent, ...] = field(default=())
