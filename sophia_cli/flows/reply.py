"""Replies: what comes of a sentence, and what a sentence can be about. Reads and writes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from sophia_cli.core.endpoints import Endpoint
from sophia_cli.core.findings import Finding
from sophia_cli.core.history import Run
from sophia_cli.core.learning import Lessons
from sophia_cli.core.ports import EnvironmentFile
from sophia_cli.core.settings import Settings
from sophia_cli.flows.counsel import Counsel
from sophia_cli.flows.desk import Desk
from sophia_cli.flows.ground import Ground
from sophia_cli.flows.plan import Judged
from sophia_cli.reasoning import intents as said

if TYPE_CHECKING:
    from sophia_cli.core.costs import Cost
    from sophia_cli.core.secrets_inventory import Inventory
    from sophia_cli.flows.analyze import Analysis
    from sophia_cli.flows.certificate import CertificateTarget

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
    engine: str = ENGINE
    """Who read the sentence: `offline`, or `model:HOST`."""
    choices: tuple[said.Intent, ...] = ()
    """The readings behind `clarify`, in the same order, to choose from by number."""
    quoted: Mapping[str, Any] | None = None
    """What text that was piped beside the sentence names; None without such text."""

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
            "engine": self.engine,
            "refused": self.refused,
            "quoted": None if self.quoted is None else dict(self.quoted),
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
    counsel: Counsel | None = None
    """A language model to ask where the grammar does not understand; None: none is asked."""
    desk: Desk | None = None
    """What plans about whole stacks are made from; None where nothing is known of stacks."""
    certificates: tuple[CertificateTarget, ...] = ()
    """The environment's certificates; none where it asks for none that can be had here."""
    endpoints: Callable[[Sequence[str]], Awaitable[tuple[Endpoint, ...]]] | None = None
    """Shakes hands with hosts, on port 443 and where they are watched; None: nobody does."""
    analysis: Callable[[Sequence[str]], Awaitable[Analysis]] | None = None
    """What specialists see of the environment's zones, live."""
    lessons: Lessons | None = None
    """What people answered to proposals; None: only the journal teaches."""
    prices: Callable[[], Awaitable[Mapping[str, Cost]]] | None = None
    """What a year of each domain costs, by target, as the registrar sells it; None: nobody is asked."""
    secrets: Callable[[], Awaitable[Inventory]] | None = None
    """The inventory of the environment's secrets; None where there is no environment to look through."""
