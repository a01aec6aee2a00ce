"""Findings and proposals: what a specialist saw, and what it would change about it. Applies nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from sophia_cli.core.changes import Change

Severity = Literal["info", "low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "low", "medium", "high", "critical")


@dataclass(frozen=True, slots=True)
class Fix:
    """The changes that answer a finding; `safe` when a rule made them, they are reversible and of low risk."""

    changes: tuple[Change, ...]
    safe: bool

    def data(self) -> dict[str, Any]:
        """The public shape (contract, `sophia.analysis/1`)."""
        return {"changes": [change.data() for change in self.changes], "safe": self.safe}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a check saw. `evidence` is JSON data: the records, bytes or times it rests on."""

    id: str
    agent: str
    severity: Severity
    target: str
    title: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    help: str = ""
    source: str = ""
    fix: Fix | None = None
    no_fix: str | None = None
    """Why there is no fix, where there is none."""

    def data(self) -> dict[str, Any]:
        """The public shape (contract, `sophia.analysis/1`)."""
        return {
            "id": self.id,
            "agent": self.agent,
            "severity": self.severity,
            "target": self.target,
            "title": self.title,
            "evidence": dict(self.evidence),
            "help": self.help,
            "source": self.source,
            "fix": None if self.fix is None else self.fix.data(),
            "no_fix": self.no_fix,
        }

    def order(self) -> tuple[int, str, str, str]:
        """The sort key: worst first, then by target, id and title."""
        return (-SEVERITIES.index(self.severity), self.target, self.id, self.title)


@dataclass(frozen=True, slots=True)
class NotTested:
    """A check that could not be run; it is never counted as passed."""

    id: str
    why: str

    def data(self) -> dict[str, Any]:
        """The public shape."""
        return {"id": self.id, "why": self.why}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A finding answered by changes. `confidence` is 0..1 as decimal text, so that it never enters a digest as a float."""

    id: str
    finding: str
    changes: tuple[Change, ...]
    reason: str
    confidence: str
    source: str
    undo: str
    safe: bool = False

    def data(self) -> dict[str, Any]:
        """The public shape (contract, `sophia.plan/1`)."""
        return {
            "id": self.id,
            "finding": self.finding,
            "changes": [change.data() for change in self.changes],
            "reason": self.reason,
            "confidence": float(self.confidence),
            "source": self.source,
            "undo": self.undo,
            "safe": self.safe,
        }
