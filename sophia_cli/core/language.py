"""Language models: what may be asked of one and what comes back, as values and ports. Talks to nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, Protocol

from sophia_cli.core.canonical import digest_of

Rung = Literal["json_schema", "json_object", "plain"]
RUNGS: tuple[Rung, ...] = ("json_schema", "json_object", "plain")
"""How an answer's form is asked for, best first; `plain` only in words. What a host takes is remembered."""

LONGEST_ANSWER = 64 * 1024  # characters


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question: who the model is to be, the facts as JSON data, and the JSON schema of the answer.

    `facts` hold no floats; `version` changes whenever the wording or the schema does. An empty schema asks for prose,
    which alone may be `streamed`.
    """

    task: str
    version: str
    system: str
    facts: Mapping[str, Any]
    schema: Mapping[str, Any]
    max_tokens: int = 1500
    language: str = "en"
    streamed: bool = False

    def evidence(self) -> str:
        """The digest of the facts."""
        return digest_of(dict(self.facts))

    def digest(self) -> str:
        """The digest of all that is asked."""
        return digest_of(
            {"version": self.version, "system": self.system, "facts": dict(self.facts), "schema": dict(self.schema)}
        )

    def key(self, host: str, model: str) -> str:
        """What an answer is kept under: evidence, prompt version, model, language."""
        return digest_of(
            {
                "evidence": self.evidence(),
                "prompt": f"{self.task}/{self.version}",
                "model": f"{host} {model}",
                "language": self.language,
            }
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """What a question took: HTTP requests, tokens, US dollars at most, and milliseconds."""

    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: Decimal = field(default_factory=Decimal)
    latency_ms: int = 0

    def data(self) -> dict[str, Any]:
        """The public shape; the cost is decimal text."""
        return {
            "requests": self.requests,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "cost_usd_at_most": str(self.cost_usd),
            "latency_ms": self.latency_ms,
        }


@dataclass(frozen=True, slots=True)
class Answered:
    """The text of an answer that the asker's own check accepts."""

    text: str
    rung: str
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Silent:
    """No usable answer, and why; whoever asked goes on without a model."""

    reason: str
    usage: Usage = field(default_factory=Usage)


Hear = Callable[[str], None]
"""Gets prose piece by piece, as a host sends it."""

Flaw = Callable[[str], str | None]
"""What is wrong with an answer's text; None when nothing is."""


class LanguageModel(Protocol):
    """A model at one host."""

    @property
    def host(self) -> str:
        """`HOST` or `HOST:PORT`: the only place anything is sent to."""
        ...

    @property
    def name(self) -> str:
        """The model's name there."""
        ...

    async def answer(self, prompt: Prompt, flaw: Flaw) -> Answered | Silent:
        """Ask. Raises nothing: every failure is a `Silent` with its reason."""
        ...

    async def tell(self, prompt: Prompt, hear: Hear) -> Answered | Silent:
        """Ask for prose; `hear` gets it as it comes, or at once. Raises nothing; what was heard may end in a `Silent`."""
        ...

    def payload(self, prompt: Prompt) -> Mapping[str, Any]:
        """Exactly what would be sent first for a prompt: URL, headers (credentials hidden) and body. Sends nothing."""
        ...


class ModelMemory(Protocol):
    """What is remembered of models from one command to the next. Losing it costs a request, nothing else."""

    async def rung(self, host: str, model: str) -> str | None:
        """The best form of answer that a host was found to take."""
        ...

    async def remember(self, host: str, model: str, rung: str) -> None:
        """Note it."""
        ...

    async def recall(self, key: str) -> str | None:
        """A kept answer, as it came over the wire."""
        ...

    async def keep(self, key: str, text: str) -> None:
        """Keep an answer."""
        ...
