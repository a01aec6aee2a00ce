"""Intents that ask what is known: what changed, what it costs, what runs out, how things are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from sophia_cli.reasoning import slots
from sophia_cli.reasoning.intents.intent import Intent, ask, flag, full_name, operands
from sophia_cli.reasoning.slots import InvalidSlot, plain


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class WhatChanged(Intent):
    """The audit log, asked: what, who, when or why; `start` is within, `end` is not."""

    name: ClassVar[str] = "what_changed"
    asks: str = "what"
    subject: str | None = None
    domain: str | None = None
    by: str | None = None
    start: datetime | None = None
    end: datetime | None = None

    def _check(self) -> None:
        slots.choice(self.asks, "a question", ("what", "who", "when", "why"))
        if self.start and self.end and self.end <= self.start:
            raise InvalidSlot("the end is not after the start")

    def _words(self) -> list[str]:
        times = [*flag("--since", self.start), *flag("--until", self.end), *flag("--by", self.by)]
        return ["audit", "show", *times, *flag("--target", f"dns:{self.domain}" if self.domain else None)]

    def phrase(self) -> str:
        about = f" of {full_name(self.subject, self.domain)}" if self.subject and self.domain else ""
        about = about or (f" of {self.domain}" if self.domain else "")
        by = f" by {self.by}" if self.by else ""
        start = f", from {plain(self.start)}" if self.start else ""
        return f"tell {self.asks} changed{about}{by}{start}" + (f" to {plain(self.end)}" if self.end else "")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ShowCost(Intent):
    """What it costs."""

    name: ClassVar[str] = "show_cost"
    start: datetime | None = None
    end: datetime | None = None

    def _words(self) -> list[str]:
        return ["analyze", "--agent", "cost"]

    def phrase(self) -> str:
        span = f" from {plain(self.start)}" if self.start else ""
        span += f" to {plain(self.end)}" if self.end else ""
        return f"show what the domains and services cost{span}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ShowRenewals(Intent):
    """What renews or runs out, and when."""

    name: ClassVar[str] = "show_renewals"
    kind: str = "domain"
    until: datetime | None = None

    def _check(self) -> None:
        slots.choice(self.kind, "a kind", ("domain", "certificate"))

    def _words(self) -> list[str]:
        return ["analyze", "--agent", "ssl" if self.kind == "certificate" else "cost"]

    def phrase(self) -> str:
        return f"list when each {self.kind} runs out" + (f", up to {plain(self.until)}" if self.until else "")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ShowExpiry(Intent):
    """When one certificate or one domain runs out."""

    name: ClassVar[str] = "show_expiry"
    kind: str
    subject: str

    def _check(self) -> None:
        slots.choice(self.kind, "a kind", ("domain", "certificate"))

    def _words(self) -> list[str]:
        if self.kind == "certificate":
            return ["cert", "show", *operands(self.subject)]
        return ["analyze", "--agent", "cost", *operands(f"dns:{self.subject}")]

    def phrase(self) -> str:
        return f"tell when the {self.kind} {self.subject} runs out"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ShowStatus(Intent):
    """How a domain, record, stack or service is."""

    name: ClassVar[str] = "show_status"
    kind: str
    subject: str
    domain: str | None = None

    def _check(self) -> None:
        slots.choice(self.kind, "a kind", ("domain", "record", "service", "stack"))

    def _words(self) -> list[str]:
        if self.kind == "stack":
            return ["stack", "show", *operands(self.subject)]
        if self.kind == "service":
            return ask(f"how is the service {self.subject} doing?")
        return ["analyze", f"dns:{self.domain or self.subject}"]

    def phrase(self) -> str:
        where = f".{self.domain}" if self.kind == "record" and self.domain and self.subject != "@" else ""
        return f"show the state of the {self.kind} {self.subject}{where}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class VerifyAudit(Intent):
    """The audit log, checked for tampering."""

    name: ClassVar[str] = "verify_audit"

    def _words(self) -> list[str]:
        return ["audit", "verify"]

    def phrase(self) -> str:
        return "check that nobody changed the audit log"
