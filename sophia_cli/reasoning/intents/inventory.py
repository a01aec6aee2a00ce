"""Intents that ask what there is: records, runs, secrets, stacks, freezes, and whether the zone is as it shall be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sophia_cli.reasoning import slots
from sophia_cli.reasoning.intents.intent import Intent, ask, flag, full_name
from sophia_cli.reasoning.slots import InvalidSlot


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ShowRecords(Intent):
    """The live records of a zone: all, those of a name, a type or a value; as a list, their number, or whose they are."""

    name: ClassVar[str] = "show_records"
    domain: str
    asks: str = "list"
    record: str | None = None
    type: str | None = None
    value: str | None = None

    def _check(self) -> None:
        slots.choice(self.asks, "a question", ("list", "count", "owner"))
        if self.value is not None and any(ord(sign) < 32 for sign in self.value):
            raise InvalidSlot(f"{self.value!r} cannot be a record's value")

    def _words(self) -> list[str]:
        return ask(self._sentence())

    def _sentence(self) -> str:
        if self.value is not None:
            return f"which names in {self.domain} point to {self.value}?"
        kind = f"{self.type} " if self.type else ""
        if self.asks == "owner" and self.record is not None:
            return f"who owns the {kind}record {full_name(self.record, self.domain)}?"
        if self.record is not None:
            return f"is there a {kind}record {full_name(self.record, self.domain)}?"
        start = {"list": "list the", "count": "how many", "owner": "who owns the"}[self.asks]
        end = "are in" if self.asks == "count" else "of"
        return f"{start} {kind}records {end} {self.domain}"

    def phrase(self) -> str:
        kind = f"{self.type} " if self.type else ""
        where = full_name(self.record, self.domain) if self.record is not None else self.domain
        value = f" that point to {self.value}" if self.value else ""
        asked = {"list": "list the", "count": "count the", "owner": "tell who wrote the"}[self.asks]
        return f"{asked} {kind}records {'at' if self.record is not None else 'of'} {where}{value}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ShowDrift(Intent):
    """Whether what is there is what the environment says."""

    name: ClassVar[str] = "show_drift"

    def _words(self) -> list[str]:
        return ["plan"]

    def phrase(self) -> str:
        return "tell where the live zones and the environment differ"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ShowRun(Intent):
    """One run: when, by whom, with which end, and what it changed; None is the last one."""

    name: ClassVar[str] = "show_run"
    run: str | None = None

    def _words(self) -> list[str]:
        return ["audit", "show", *flag("--run", self.run)]

    def phrase(self) -> str:
        return f"show the run {self.run}" if self.run else "show the last run"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ShowSecrets(Intent):
    """Which secrets there are and how old they are; never their values."""

    name: ClassVar[str] = "show_secrets"
    secret: str | None = None

    def _words(self) -> list[str]:
        return ["secrets", "list"]

    def phrase(self) -> str:
        return f"tell how old the secret {self.secret} is" if self.secret else "list the secrets, without their values"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ShowStacks(Intent):
    """Which stacks the environment has."""

    name: ClassVar[str] = "show_stacks"

    def _words(self) -> list[str]:
        return ["stack", "list"]

    def phrase(self) -> str:
        return "list the stacks of the environment"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ShowFreeze(Intent):
    """What may not be written now, and who stopped it."""

    name: ClassVar[str] = "show_freeze"

    def _words(self) -> list[str]:
        return ask("is anything frozen?")

    def phrase(self) -> str:
        return "tell what is frozen, and by whom"
