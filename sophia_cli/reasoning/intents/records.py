"""Intents about records and mail: what a zone shall hold."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import ClassVar

from sophia_cli.reasoning import slots
from sophia_cli.reasoning.intents.intent import Intent, ask, flag, full_name, operands
from sophia_cli.reasoning.slots import InvalidSlot, span


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CreateRecord(Intent):
    """A record that is not there yet; `value` None is the address that the apex has."""

    name: ClassVar[str] = "create_record"
    writes: ClassVar[bool] = True
    domain: str
    record: str
    type: str
    value: str | None = None
    ttl: int | None = None
    priority: int | None = None

    def _check(self) -> None:
        if self.value is None and self.type != "A":
            raise InvalidSlot(f"a new {self.type} record wants a value")
        _check_record(self)

    def _words(self) -> list[str]:
        if self.value is None:
            lived = f" with ttl {self.ttl}" if self.ttl is not None else ""
            return ask(f"create a subdomain {full_name(self.record, self.domain)}{lived}")
        return _record_words(self)

    def phrase(self) -> str:
        value = f"to {self.value}" if self.value else f"with the address that {self.domain} itself has"
        return f"create the {self.type} record {full_name(self.record, self.domain)} {value}" + _extras(self)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SetRecord(Intent):
    """A record as it shall be, there or not; `value` None keeps the value it has."""

    name: ClassVar[str] = "set_record"
    writes: ClassVar[bool] = True
    domain: str
    record: str
    type: str
    value: str | None = None
    ttl: int | None = None
    priority: int | None = None

    def _check(self) -> None:
        if self.value is None and self.ttl is None and self.priority is None:
            raise InvalidSlot("nothing to set: no value, TTL or priority")
        _check_record(self)

    def _words(self) -> list[str]:
        if self.value is None:
            what = (("ttl", self.ttl), ("priority", self.priority))
            said = " and ".join(f"{name} to {number}" for name, number in what if number is not None)
            return ask(f"set the {self.type} record {full_name(self.record, self.domain)} {said}")
        return _record_words(self)

    def phrase(self) -> str:
        value = f" to {self.value}" if self.value else ", its value kept"
        return f"set the {self.type} record {full_name(self.record, self.domain)}{value}" + _extras(self)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RemoveRecord(Intent):
    """One record, or the whole set at a name and type; `type` None only where the zone's records are not known."""

    name: ClassVar[str] = "remove_record"
    writes: ClassVar[bool] = True
    domain: str
    record: str
    type: str | None = None
    value: str | None = None

    def _check(self) -> None:
        if self.value is not None and self.type is None:
            raise InvalidSlot("the type of the record to remove is missing")

    def _words(self) -> list[str]:
        if self.type is None:
            return ask(f"remove the record {full_name(self.record, self.domain)}")
        return ["record", "remove", *operands(full_name(self.record, self.domain), self.type, self.value)]

    def phrase(self) -> str:
        what = f"the {self.type} record" if self.type else "the only record at"
        return f"remove {what} {full_name(self.record, self.domain)}" + (
            f" with the value {self.value}" if self.value else ""
        )


def _extras(intent: CreateRecord | SetRecord) -> str:
    lived = f", TTL {span(intent.ttl)}" if intent.ttl is not None else ""
    return lived + (f", priority {intent.priority}" if intent.priority is not None else "")


def _check_record(intent: CreateRecord | SetRecord) -> None:
    if intent.type == "CNAME" and intent.record == "@":
        raise InvalidSlot(f"{intent.domain} itself cannot be a CNAME (RFC 1912 2.4)", hint="use ALIAS, or A")
    if (
        intent.type == "CNAME"
        and intent.value
        and intent.value.rstrip(".").lower() == full_name(intent.record, intent.domain)
    ):
        raise InvalidSlot(f"{full_name(intent.record, intent.domain)} cannot be a CNAME to itself")
    if intent.priority is not None and intent.type not in {"MX", "SRV"}:
        raise InvalidSlot(f"a {intent.type} record has no priority")
    if intent.value is not None:
        intent._fix("value", slots.record_value(intent.type, intent.value))


def _record_words(intent: CreateRecord | SetRecord) -> list[str]:
    flags = [*flag("--ttl", intent.ttl), *flag("--priority", intent.priority)]
    return ["record", "set", *flags, *operands(full_name(intent.record, intent.domain), intent.type, intent.value)]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SetMail(Intent):
    """The zone's mail mode."""

    name: ClassVar[str] = "set_mail"
    writes: ClassVar[bool] = True
    domain: str
    mode: str

    def _check(self) -> None:
        self._fix("mode", slots.choice(self.mode, "a mail mode", slots.MAIL_MODES))

    def _words(self) -> list[str]:
        return ["config", "set", "dns.email_type", self.mode]

    def command(self) -> str:
        """Two commands: the edit of the environment, and the deploy that carries it into the zone."""
        deploy = shlex.join(["sophia", "deploy", "--target", f"dns:{self.domain}"])
        return f"{Intent.command(self)} && {deploy}"

    def phrase(self) -> str:
        meanings = {"GMAIL": "Google's mail servers", "FWD": "mail forwarding", "OX": "Namecheap Private Email"}
        mode = meanings.get(self.mode, {"NONE": "no mail", "MX": "own MX records"}.get(self.mode, self.mode))
        return f"set the mail of {self.domain} to {mode} (mail mode {self.mode})"
