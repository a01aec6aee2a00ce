"""Intents about environments and services: stacks made, ended and taken down, services scaled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from sophia_cli.reasoning import slots
from sophia_cli.reasoning.intents.intent import Intent, flag, operands
from sophia_cli.reasoning.slots import InvalidSlot, plain


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CreateEnvironment(Intent):
    """A new stack beside the others."""

    name: ClassVar[str] = "create_environment"
    writes: ClassVar[bool] = True
    environment: str
    purpose: str | None = None
    until: datetime | None = None

    def _words(self) -> list[str]:
        return ["stack", "create", *flag("--until", self.until), *operands(self.environment)]

    def phrase(self) -> str:
        purpose = f", for {self.purpose}" if self.purpose else ""
        end = f", until {plain(self.until)}" if self.until else ""
        return f"create the environment {self.environment}{purpose}{end}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ExpireEnvironment(Intent):
    """An end for an environment."""

    name: ClassVar[str] = "expire_environment"
    writes: ClassVar[bool] = True
    environment: str
    at: datetime

    def _words(self) -> list[str]:
        return ["stack", "expire", *flag("--at", self.at), *operands(self.environment)]

    def phrase(self) -> str:
        return f"let the environment {self.environment} end at {plain(self.at)}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DestroyEnvironment(Intent):
    """The end of an environment, now."""

    name: ClassVar[str] = "destroy_environment"
    writes: ClassVar[bool] = True
    environment: str

    def _words(self) -> list[str]:
        return ["stack", "destroy", *operands(self.environment)]

    def phrase(self) -> str:
        return f"destroy the environment {self.environment}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ScaleService(Intent):
    """More or less of a service; with no size, one step; with `end`, only until then."""

    name: ClassVar[str] = "scale_service"
    writes: ClassVar[bool] = True
    service: str
    direction: str
    amount: int | None = None
    percent: int | None = None
    to: int | None = None
    start: datetime | None = None
    end: datetime | None = None
    every: str | None = None

    def _check(self) -> None:
        slots.choice(self.direction, "a direction", ("up", "down", "to"))
        sizes = [size for size in (self.amount, self.percent, self.to) if size is not None]
        if len(sizes) > 1 or (self.to is not None) != (self.direction == "to"):
            raise InvalidSlot("a service is scaled by an amount, by a percentage, or to a number, and only one of them")
        if self.direction == "down" and self.percent is not None and self.percent >= 100:
            raise InvalidSlot("a service cannot be scaled down by 100 % or more")
        if self.start and self.end and self.end <= self.start:
            raise InvalidSlot("the end is not after the start")

    def _words(self) -> list[str]:
        size = [*flag("--by", self.amount), *(flag("--by", f"{self.percent}%") if self.percent else [])]
        way = flag("--to", self.to) if self.direction == "to" else [f"--{self.direction}", *size]
        times = [*flag("--from", self.start), *flag("--until", self.end), *flag("--every", self.every)]
        return ["stack", "scale", *way, *times, *operands(self.service)]

    def phrase(self) -> str:
        size = f"by {self.amount}" if self.amount else f"by {self.percent} %" if self.percent else "by one step"
        way = f"to {self.to}" if self.direction == "to" else f"{self.direction} {size}"
        start = f", from {plain(self.start)}" if self.start else ""
        end = f", until {plain(self.end)}" if self.end else ""
        return f"scale the service {self.service} {way}{start}{end}" + (f", every {self.every}" if self.every else "")
