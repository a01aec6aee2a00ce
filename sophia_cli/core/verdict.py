"""What a judgement is made of: policy and history go in, a verdict with its reasons comes out. Judges nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sophia_cli.core.certificates import CertificateOrder
from sophia_cli.core.changes import SECRET, Change, Delegation
from sophia_cli.core.dns import Record
from sophia_cli.core.history import moment, timestamp
from sophia_cli.core.settings import Limits
from sophia_cli.core.stacks import Resource

Decision = Literal["allow", "ask", "deny"]
Need = Literal["yes", "name", "approval"]

APPROVAL_HOURS = 24


@dataclass(frozen=True, slots=True)
class Policy:
    """What one environment allows. `overrides` maps a change id to the limits lifted for it."""

    autonomy: str = "suggest"
    limits: Limits = field(default_factory=Limits)
    environment: str = ""
    stack: str = ""
    frozen: frozenset[str] = frozenset()
    overrides: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Past:
    """What the history contributes to a judgement: the changes applied in the last 24 hours, over all runs."""

    changes_last_day: int = 0


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's consent to exactly one plan digest, for one use, until a time."""

    plan: str
    by: str
    how: str
    at: datetime
    until: datetime
    used: bool = False

    def counts(self, plan: str, limits: Limits, now: datetime) -> bool:
        """Whether it covers a plan now, under these limits."""
        until = min(self.until, self.at + timedelta(hours=APPROVAL_HOURS))
        return self.plan == plan and not self.used and self.at <= now < until and self.how in limits.approvals

    def data(self) -> dict[str, Any]:
        """The public shape (contract, `sophia.approval/1`)."""
        return {
            "plan": self.plan,
            "by": self.by,
            "how": self.how,
            "at": timestamp(self.at),
            "until": timestamp(self.until),
            "used": self.used,
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Approval:
        """The approval of its public shape."""
        found = cls(**{**data, "at": moment(data["at"]), "until": moment(data["until"])})
        if not all(isinstance(text, str) for text in (found.plan, found.by, found.how)) or found.used not in (
            True,
            False,
        ):
            raise TypeError("plan, by and how are texts, used is true or false")
        return found


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a verdict is what it is. `needs` is None for a deny: nothing a person types lifts it."""

    rule: str
    message: str
    needs: Need | None
    changes: tuple[str, ...] = ()
    hint: str = ""

    def data(self) -> dict[str, Any]:
        """The public shape (contract, `verdict.reasons`)."""
        return {"rule": self.rule, "message": self.message, "needs": self.needs, "changes": list(self.changes)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What policy says of a plan, with all its reasons."""

    decision: Decision
    reasons: tuple[Reason, ...] = ()
    approved: Approval | None = None

    def needs(self) -> Need | None:
        """The strongest thing asked for: `approval` over `name` over `yes`; None when nothing is."""
        asked = {reason.needs for reason in self.reasons}
        strongest: tuple[Need, ...] = ("approval", "name", "yes")
        return next((need for need in strongest if need in asked), None)

    def denials(self) -> tuple[Reason, ...]:
        """The reasons that refuse."""
        return tuple(reason for reason in self.reasons if reason.needs is None)

    def data(self) -> dict[str, Any]:
        """The public shape (contract, `verdict`)."""
        return {"decision": self.decision, "reasons": [reason.data() for reason in self.reasons]}


def ids_of(changes: tuple[Change, ...] | list[Change]) -> tuple[str, ...]:
    """The ids of changes, as a reason carries them."""
    return tuple(change.id for change in changes)


def named(change: Change) -> str:
    """A change as a message names it."""
    row = change.after if change.after is not None else change.before
    if isinstance(row, Record):
        return f"{row.type} {SECRET if 'name' in change.hidden else row.name}"
    if isinstance(row, Resource):
        return f"{change.action} {row.type} {row.name}"
    if isinstance(row, Delegation):
        return f"to {', '.join(row.nameservers) or 'the provider itself'}"
    return ", ".join(row.names) if isinstance(row, CertificateOrder) else change.kind
