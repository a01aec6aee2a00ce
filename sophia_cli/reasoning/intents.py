"""Intents: the closed set of things a sentence can mean. Values only: an intent does nothing and decides nothing."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final

from sophia_cli.reasoning import slots
from sophia_cli.reasoning.slots import InvalidSlot, Json, plain, span, stamp


class Intent:
    """What one clause asks for. Subclasses are frozen and hold only checked slots.

    Equality, hash and repr are written here once: generating them for each of three dozen classes costs 5 ms at import.
    """

    __slots__: tuple[str, ...] = ()
    name: ClassVar[str] = ""
    writes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Bring every slot to its checked form. Raises InvalidSlot."""
        for slot in type(self).__slots__:
            value = getattr(self, slot)
            if value is not None:
                self._fix(slot, _CHECKS.get(slot, _as_it_is)(value))
        self._check()

    def _check(self) -> None:
        """What only this intent knows about its slots."""

    def slots(self) -> dict[str, Json]:
        """The slots as JSON data, times in RFC 3339."""
        return {slot: _json(getattr(self, slot)) for slot in type(self).__slots__}

    def command(self) -> str:
        """The command line that means the same."""
        flags = [part for part in self._words() if part is not None]
        return shlex.join(["sophia", *flags])

    def reading(self) -> str:
        """The sentence that tells the person what was understood."""
        return f"I read this as: {self.phrase()}."

    def phrase(self) -> str:
        """The reading without its frame."""
        raise NotImplementedError

    def _words(self) -> list[str]:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Intent) and self.slots() == other.slots()

    def __hash__(self) -> int:
        return hash((self.name, str(self.slots())))

    def __repr__(self) -> str:
        shown = ", ".join(f"{slot}={value!r}" for slot, value in self.slots().items() if value is not None)
        return f"{type(self).__name__}({shown})"

    def _fix(self, slot: str, value: object) -> None:
        """Store a slot in its checked form; for `__post_init__` only."""
        object.__setattr__(self, slot, value)


def _json(value: object) -> Json:
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, tuple):
        return [str(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise InvalidSlot(f"{value!r} is not a slot value")


def _flag(name: str, value: object) -> list[str]:
    if value is None:
        return []
    return [name, stamp(value) if isinstance(value, datetime) else str(value)]


def _operands(*values: str | None) -> list[str]:
    """Positional words, guarded by `--` when one of them could be taken for a flag."""
    given = [value for value in values if value is not None]
    return ["--", *given] if any(value.startswith("-") for value in given) else given


# -- records and mail ---------------------------------------------------------------------------------------------------


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
        return _record_words(self)

    def phrase(self) -> str:
        value = f"to {self.value}" if self.value else f"with the address that {self.domain} itself has"
        return f"create the {self.type} record {_full(self.record, self.domain)} {value}" + _extras(self)


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
        return _record_words(self)

    def phrase(self) -> str:
        value = f" to {self.value}" if self.value else ", its value kept"
        return f"set the {self.type} record {_full(self.record, self.domain)}{value}" + _extras(self)


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
        return ["record", "remove", "--target", f"dns:{self.domain}", *_operands(self.record, self.type, self.value)]

    def phrase(self) -> str:
        what = f"the {self.type} record" if self.type else "the only record at"
        return f"remove {what} {_full(self.record, self.domain)}" + (
            f" with the value {self.value}" if self.value else ""
        )


def _full(record: str, domain: str) -> str:
    return domain if record == "@" else f"{record}.{domain}"


def _extras(intent: CreateRecord | SetRecord) -> str:
    lived = f", TTL {span(intent.ttl)}" if intent.ttl is not None else ""
    return lived + (f", priority {intent.priority}" if intent.priority is not None else "")


def _check_record(intent: CreateRecord | SetRecord) -> None:
    if intent.type == "CNAME" and intent.record == "@":
        raise InvalidSlot(f"{intent.domain} itself cannot be a CNAME (RFC 1912 2.4)", hint="use ALIAS, or A")
    if (
        intent.type == "CNAME"
        and intent.value
        and intent.value.rstrip(".").lower() == _full(intent.record, intent.domain)
    ):
        raise InvalidSlot(f"{_full(intent.record, intent.domain)} cannot be a CNAME to itself")
    if intent.priority is not None and intent.type not in {"MX", "SRV"}:
        raise InvalidSlot(f"a {intent.type} record has no priority")
    if intent.value is not None:
        intent._fix("value", slots.record_value(intent.type, intent.value))


def _record_words(intent: CreateRecord | SetRecord) -> list[str]:
    flags = [*_flag("--ttl", intent.ttl), *_flag("--priority", intent.priority), "--target", f"dns:{intent.domain}"]
    return ["record", "set", *flags, *_operands(intent.record, intent.type, intent.value)]


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
        return ["config", "set", "dns.email_type", self.mode, "--target", f"dns:{self.domain}"]

    def phrase(self) -> str:
        meanings = {"GMAIL": "Google's mail servers", "FWD": "mail forwarding", "OX": "Namecheap Private Email"}
        mode = meanings.get(self.mode, {"NONE": "no mail", "MX": "own MX records"}.get(self.mode, self.mode))
        return f"set the mail of {self.domain} to {mode} (mail mode {self.mode})"


# -- environments and services --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CreateEnvironment(Intent):
    """A new stack beside the others."""

    name: ClassVar[str] = "create_environment"
    writes: ClassVar[bool] = True
    environment: str
    purpose: str | None = None
    until: datetime | None = None

    def _words(self) -> list[str]:
        return ["stack", "create", *_flag("--until", self.until), *_operands(self.environment)]

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
        return ["stack", "expire", *_flag("--at", self.at), *_operands(self.environment)]

    def phrase(self) -> str:
        return f"let the environment {self.environment} end at {plain(self.at)}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DestroyEnvironment(Intent):
    """The end of an environment, now."""

    name: ClassVar[str] = "destroy_environment"
    writes: ClassVar[bool] = True
    environment: str

    def _words(self) -> list[str]:
        return ["stack", "destroy", *_operands(self.environment)]

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
        size = [*_flag("--by", self.amount), *(_flag("--by", f"{self.percent}%") if self.percent else [])]
        way = _flag("--to", self.to) if self.direction == "to" else [f"--{self.direction}", *size]
        times = [*_flag("--from", self.start), *_flag("--until", self.end), *_flag("--every", self.every)]
        return ["stack", "scale", *way, *times, *_operands(self.service)]

    def phrase(self) -> str:
        size = f"by {self.amount}" if self.amount else f"by {self.percent} %" if self.percent else "by one step"
        way = f"to {self.to}" if self.direction == "to" else f"{self.direction} {size}"
        start = f", from {plain(self.start)}" if self.start else ""
        end = f", until {plain(self.end)}" if self.end else ""
        return f"scale the service {self.service} {way}{start}{end}" + (f", every {self.every}" if self.every else "")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OptimizeInfrastructure(Intent):
    """Proposals of all specialists, to be accepted one by one."""

    name: ClassVar[str] = "optimize_infrastructure"
    writes: ClassVar[bool] = True
    because: str | None = None

    def _words(self) -> list[str]:
        return ["deploy", "--ai-enhanced"]

    def phrase(self) -> str:
        because = f" because {self.because}" if self.because else ""
        return f"propose improvements to the infrastructure{because}; each is accepted singly"


# -- certificates and secrets ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class IssueCertificate(Intent):
    """A new certificate."""

    name: ClassVar[str] = "issue_certificate"
    writes: ClassVar[bool] = True
    names: tuple[str, ...]
    authority: str | None = None

    def _words(self) -> list[str]:
        return ["cert", "issue", *_flag("--ca", self.authority), *_operands(*self.names)]

    def phrase(self) -> str:
        issuer = f" from {self.authority}" if self.authority else ""
        return f"issue a certificate for {' and '.join(self.names)}{issuer}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RenewCertificate(Intent):
    """The next certificate for names that have one."""

    name: ClassVar[str] = "renew_certificate"
    writes: ClassVar[bool] = True
    names: tuple[str, ...]

    def _words(self) -> list[str]:
        return ["cert", "renew", *_operands(*self.names)]

    def phrase(self) -> str:
        return f"renew the certificate for {' and '.join(self.names)}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class InspectCertificate(Intent):
    """A look at the certificate that is served."""

    name: ClassVar[str] = "inspect_certificate"
    subject: str

    def _words(self) -> list[str]:
        return ["cert", "show", *_operands(self.subject)]

    def phrase(self) -> str:
        return f"inspect the certificate of {self.subject}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OptimizeCertificates(Intent):
    """A better certificate and TLS configuration."""

    name: ClassVar[str] = "optimize_certificates"
    writes: ClassVar[bool] = True
    goal: str | None = None
    domain: str | None = None

    def _check(self) -> None:
        if self.goal is not None:
            slots.choice(self.goal, "a goal", ("performance", "security"))

    def _words(self) -> list[str]:
        return ["cert", "optimize", *_flag("--goal", self.goal), *_operands(self.domain)]

    def phrase(self) -> str:
        goal = f" for {self.goal}" if self.goal else ""
        return "optimize the certificate configuration" + (f" of {self.domain}" if self.domain else "") + goal


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RotateSecret(Intent):
    """A secret replaced by a new one."""

    name: ClassVar[str] = "rotate_secret"
    writes: ClassVar[bool] = True
    secret: str

    def _words(self) -> list[str]:
        return ["secrets", "rotate", *_operands(self.secret)]

    def phrase(self) -> str:
        return f"rotate the secret {self.secret}"


# -- the flows ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Analyze(Intent):
    """Findings of the specialists."""

    name: ClassVar[str] = "analyze"
    target: str | None = None
    agent: str | None = None

    def _words(self) -> list[str]:
        return ["analyze", *_flag("--agent", self.agent), *_operands(self.target)]

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
        return ["config", "explain", *_operands(self.path)]

    def phrase(self) -> str:
        return f"tell where the setting {self.path} comes from"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MakePlan(Intent):
    """What would change."""

    name: ClassVar[str] = "make_plan"
    environment: str | None = None
    target: str | None = None

    def _words(self) -> list[str]:
        return ["plan", *_flag("--stack", self.environment), *_flag("--target", self.target)]

    def phrase(self) -> str:
        return "show what would change" + _where(self.environment, self.target)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Deploy(Intent):
    """The plan, applied under approval."""

    name: ClassVar[str] = "deploy"
    writes: ClassVar[bool] = True
    environment: str | None = None
    target: str | None = None

    def _words(self) -> list[str]:
        return ["deploy", *_flag("--stack", self.environment), *_flag("--target", self.target)]

    def phrase(self) -> str:
        return "apply what the environment file says" + _where(self.environment, self.target)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Heal(Intent):
    """Drift and faults, repaired as policy allows."""

    name: ClassVar[str] = "heal"
    writes: ClassVar[bool] = True
    target: str | None = None

    def _words(self) -> list[str]:
        return ["heal", *_flag("--target", self.target)]

    def phrase(self) -> str:
        return "find drift and faults and repair what policy allows" + _where(None, self.target)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RollbackRun(Intent):
    """A run's changes, undone."""

    name: ClassVar[str] = "rollback_run"
    writes: ClassVar[bool] = True
    run: str

    def _words(self) -> list[str]:
        return ["rollback", *_operands(self.run)]

    def phrase(self) -> str:
        return f"undo what the run {self.run} changed"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class UndoLast(Intent):
    """The last run's changes, undone."""

    name: ClassVar[str] = "undo_last"
    writes: ClassVar[bool] = True

    def _words(self) -> list[str]:
        return ["rollback"]

    def phrase(self) -> str:
        return "undo what the last run changed"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Freeze(Intent):
    """No writes until thawed; `target` None is everything."""

    name: ClassVar[str] = "freeze"
    writes: ClassVar[bool] = True
    target: str | None = None

    def _words(self) -> list[str]:
        return ["freeze", *_operands(self.target)]

    def phrase(self) -> str:
        return f"stop all writes to {self.target or 'everything'}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Thaw(Intent):
    """Writes allowed again; `target` None is everything."""

    name: ClassVar[str] = "thaw"
    writes: ClassVar[bool] = True
    target: str | None = None

    def _words(self) -> list[str]:
        return ["thaw", *_operands(self.target)]

    def phrase(self) -> str:
        return f"allow writes to {self.target or 'everything'} again"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ImportZone(Intent):
    """The live zone, written into the environment file."""

    name: ClassVar[str] = "import_zone"
    writes: ClassVar[bool] = True
    domain: str

    def _words(self) -> list[str]:
        return ["import", *_operands(self.domain)]

    def phrase(self) -> str:
        return f"write the environment's dns section from the live zone {self.domain}"


def _where(environment: str | None, target: str | None) -> str:
    return (f", stack {environment}" if environment else "") + (f", only {target}" if target else "")


# -- questions ------------------------------------------------------------------------------------------------------------


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
        times = [*_flag("--since", self.start), *_flag("--until", self.end), *_flag("--by", self.by)]
        return ["audit", "show", *times, *_flag("--target", f"dns:{self.domain}" if self.domain else None)]

    def phrase(self) -> str:
        about = f" of {_full(self.subject, self.domain)}" if self.subject and self.domain else ""
        about = about or (f" of {self.domain}" if self.domain else "")
        by = f" by {self.by}" if self.by else ""
        start = f", from {plain(self.start)}" if self.start else ""
        return f"tell {self.asks} changed{about}{by}{start}" + (f" to {plain(self.end)}" if self.end else "")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ShowCost(Intent):
    """What it costs."""

    name: ClassVar[str] = "show_cost"

    def _words(self) -> list[str]:
        return ["analyze", "--agent", "cost"]

    def phrase(self) -> str:
        return "show what the domains and services cost"


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
            return ["cert", "show", *_operands(self.subject)]
        return ["analyze", "--agent", "cost", *_operands(f"dns:{self.subject}")]

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
            return ["stack", "show", *_operands(self.subject)]
        if self.kind == "service":
            return ["metrics", *_operands(self.subject)]
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


def _as_it_is(value: object) -> object:
    return value


def _names(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise InvalidSlot("a certificate wants at least one name")
    return tuple(slots.domain(value) for value in values)


_CHECKS: Final[Mapping[str, Any]] = {
    "agent": lambda text: slots.choice(text, "a specialist", ("dns", "ssl", "performance", "security", "cost")),
    "amount": lambda number: slots.whole(number, "an amount of", 1, 10_000),
    "at": slots.moment,
    "authority": lambda text: slots.choice(text, "a certificate authority", slots.AUTHORITIES),
    "by": lambda text: slots.word(text, "a person"),
    "domain": slots.domain,
    "end": slots.moment,
    "environment": lambda text: slots.word(text, "an environment"),
    "every": lambda text: slots.word(text, "a recurring time"),
    "finding": lambda text: slots.word(text, "a finding"),
    "names": _names,
    "path": lambda text: slots.word(text, "a setting"),
    "percent": lambda number: slots.whole(number, "a percentage of", 1, 1000),
    "priority": lambda number: slots.whole(number, "a priority of", 0, 65_535),
    "proposal": lambda text: slots.word(text, "a proposal"),
    "record": slots.record_name,
    "run": lambda text: slots.word(text, "a run"),
    "secret": lambda text: slots.word(text, "a secret"),
    "service": lambda text: slots.word(text, "a service"),
    "start": slots.moment,
    "subject": lambda text: text if text in {"@", "*"} else slots.record_name(text),
    "target": lambda text: slots.word(text, "a target"),
    "to": lambda number: slots.whole(number, "a number of", 0, 10_000),
    "ttl": slots.ttl,
    "type": slots.record_type,
    "until": slots.moment,
}

ALL: Final[tuple[type[Intent], ...]] = (
    *(CreateRecord, SetRecord, RemoveRecord, SetMail),
    *(CreateEnvironment, ExpireEnvironment, DestroyEnvironment, ScaleService, OptimizeInfrastructure),
    *(IssueCertificate, RenewCertificate, InspectCertificate, OptimizeCertificates, RotateSecret),
    *(Analyze, ExplainFinding, ExplainProposal, ExplainSetting, MakePlan, Deploy, Heal, RollbackRun, UndoLast),
    *(Freeze, Thaw, ImportZone),
    *(WhatChanged, ShowCost, ShowRenewals, ShowExpiry, ShowStatus, VerifyAudit, Doctor, Help),
)


def build(name: str, given: Mapping[str, Json]) -> Intent:
    """The intent of that name from its slots as JSON data, checked; the door for a model's answer. Raises InvalidSlot."""
    kinds = {kind.name: kind for kind in ALL}
    if name not in kinds:
        raise InvalidSlot(f"{name!r} is not an intent", hint="one of " + ", ".join(sorted(kinds)))
    kind = kinds[name]
    known = set(kind.__slots__)
    if unknown := sorted(set(given) - known):
        raise InvalidSlot(f"{name} has no slot {unknown[0]!r}", hint="one of " + ", ".join(sorted(known)))
    values: dict[str, Any] = {}
    for slot, value in given.items():
        values[slot] = _typed(slot, value)
    try:
        return kind(**values)
    except TypeError as exc:
        raise InvalidSlot(f"{name} lacks a slot: {exc}") from exc


def _typed(slot: str, value: Json) -> object:
    if value is None:
        return None
    if slot in {"start", "end", "until", "at"}:
        try:
            return datetime.fromisoformat(str(value))
        except ValueError as exc:
            raise InvalidSlot(f"{value!r} is not a time") from exc
    if slot == "names":
        if not isinstance(value, list):
            raise InvalidSlot("names is a list")
        return tuple(str(item) for item in value)
    if slot in {"amount", "percent", "to", "ttl", "priority"}:
        if not isinstance(value, int):
            raise InvalidSlot(f"{slot} is a whole number")
        return value
    if not isinstance(value, str):
        raise InvalidSlot(f"{slot} is text")
    return value
