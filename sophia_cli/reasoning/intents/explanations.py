"""Intents that look and explain: findings, proposals, settings, the set-up, help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sophia_cli.reasoning.intents.intent import Intent, flag, operands


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Analyze(Intent):
    """Findings of the specialists."""

    name: ClassVar[str] = "analyze"
    target: str | None = None
    agent: str | None = None

    def _words(self) -> list[str]:
        return ["analyze", *flag("--agent", self.agent), *operands(self.target)]

    def phrase(self) -> str:
        part = f" ({self.agent} only)" if self.agent else ""
        return f"analyze {self.target or 'everything that is looked after'}{part}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ExplainFinding(Intent):
    """What a finding means; None is the worst one of the last analysis."""

    name: ClassVar[str] = "explain_finding"
    finding: str | None = None

    def _words(self) -> list[str]:
        return ["analyze", "-v"]

    def phrase(self) -> str:
        return f"explain the finding {self.finding}" if self.finding else "explain the last finding"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ExplainProposal(Intent):
    """Why something is proposed; `proposal` None is all that is proposed now."""

    name: ClassVar[str] = "explain_proposal"
    proposal: str | None = None

    def _words(self) -> list[str]:
        return ["config", "learning"]

    def phrase(self) -> str:
        return f"tell why {self.proposal or 'what I propose'} is proposed"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ExplainSetting(Intent):
    """Where a value of the environment comes from."""

    name: ClassVar[str] = "explain_setting"
    path: str

    def _words(self) -> list[str]:
        return ["config", "explain", *operands(self.path)]

    def phrase(self) -> str:
        return f"tell where the setting {self.path} comes from"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Doctor(Intent):
    """What is set up and what is missing."""

    name: ClassVar[str] = "doctor"

    def _words(self) -> list[str]:
        return ["doctor"]

    def phrase(self) -> str:
        return "show what is set up and what is missing"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Help(Intent):
    """What sophia can do."""

    name: ClassVar[str] = "help"

    def _words(self) -> list[str]:
        return ["--help"]

    def phrase(self) -> str:
        return "show what I can do"
