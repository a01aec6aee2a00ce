"""What a specialist is: it observes through read ports, examines facts, and proposes changes. It can write nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Protocol

from sophia_cli.agents.proposals import Offer, answers, offers
from sophia_cli.checks.facts import NO_BACKGROUND, Background, Facts, Place, Registration
from sophia_cli.checks.questions import at_servers, elsewhere
from sophia_cli.checks.registry import examine
from sophia_cli.core.dns import Zone
from sophia_cli.core.errors import IncompleteRead, UsageError
from sophia_cli.core.findings import Finding, NotTested, Proposal

if TYPE_CHECKING:
    from sophia_cli.core.ports import ReadPort
    from sophia_cli.core.settings import Settings

# What flows and the command line need to hand facts to an agent; they import no checks themselves.
__all__ = [
    "NO_BACKGROUND",
    "Agent",
    "Background",
    "Examination",
    "Facts",
    "Place",
    "Registration",
    "Specialist",
    "at_servers",
    "elsewhere",
]


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found in one set of facts, and what could not be looked at."""

    findings: tuple[Finding, ...]
    not_tested: tuple[NotTested, ...]


class Agent(Protocol):
    """A specialist. It holds no state between calls and makes no clients: a read port is handed to it."""

    @property
    def name(self) -> str:
        """The name findings carry as `agent`."""
        ...

    async def observe(
        self,
        reader: ReadPort,
        *,
        now: datetime,
        settings: Settings | None = None,
        background: Background = NO_BACKGROUND,
    ) -> Facts:
        """The facts of one target, read once. Raises the reader's `SophiaError`."""
        ...

    def examine(self, facts: Facts) -> Examination:
        """What its checks see."""
        ...

    def propose(self, findings: Sequence[Finding], facts: Facts) -> tuple[Proposal, ...]:
        """Changes that answer findings, and what it would tune besides, numbered `p1` on."""
        ...


class Specialist:
    """The agent of one field: it runs the checks of the catalogue that carry its name."""

    __slots__ = ()
    name: ClassVar[str] = ""

    async def observe(
        self,
        reader: ReadPort,
        *,
        now: datetime,
        settings: Settings | None = None,
        background: Background = NO_BACKGROUND,
    ) -> Facts:
        """The facts of one target, read once. Raises the reader's `SophiaError`, and one when it holds no whole zone."""
        snapshot = await reader.read()
        if not isinstance(snapshot.content, Zone):
            raise UsageError(f"{reader.id}: only zones (dns:NAME) can be analyzed")
        if not snapshot.complete and background.source == "api":
            raise IncompleteRead(
                f"{reader.id}: the provider's answer could not be shown to be whole, so nothing is said about it",
                hint="try again; sophia doctor checks the account",
            )
        return Facts(snapshot.content, now, settings, replace(background, is_whole=snapshot.complete))

    def examine(self, facts: Facts) -> Examination:
        """What its checks see, worst first."""
        findings, not_tested = examine(facts, self.name)
        return Examination(tuple(sorted(findings, key=Finding.order)), tuple(not_tested))

    def propose(self, findings: Sequence[Finding], facts: Facts) -> tuple[Proposal, ...]:
        """Its own findings with fixes, and what it would tune, as proposals."""
        own = [finding for finding in findings if finding.agent == self.name]
        return answers(facts, [*offers(facts, own), *self.tune(facts)])

    def tune(self, facts: Facts) -> list[Offer]:
        """What it would change although nothing is wrong; nothing unless a specialist says so."""
        return []
