"""What has happened: snapshots, runs, ownership and the hash chain of audit events, as values. Stores nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, Protocol

from sophia_cli.core.canonical import digest_of
from sophia_cli.core.certificates import CertificateState
from sophia_cli.core.changes import Change, Delegation
from sophia_cli.core.dns import Key, Record, Zone
from sophia_cli.core.secret_versions import SecretState
from sophia_cli.core.stacks import StackState

GENESIS = "sha256:" + "0" * 64

Outcome = Literal["nothing", "applied", "refused", "rolled_back", "partial", "unknown"]
OUTCOMES: tuple[Outcome, ...] = ("nothing", "applied", "refused", "rolled_back", "partial", "unknown")
Phase = Literal["pending", "writing", "written", "done", "undone", "unknown", "skipped"]


class Content(Protocol):
    """What a target holds: something with a canonical form and a digest."""

    def data(self) -> dict[str, Any]:
        """The canonical JSON form."""
        ...

    def digest(self) -> str:
        """`sha256:...` of the canonical form."""
        ...


@dataclass(frozen=True, slots=True)
class TextFile:
    """The content of a file target: an environment file's text."""

    path: str
    text: str

    def data(self) -> dict[str, Any]:
        """The canonical JSON form."""
        return {"path": self.path, "text": self.text}

    def digest(self) -> str:
        """`sha256:...` of the content."""
        return digest_of(self.data())


def content_from_data(data: dict[str, Any]) -> Content:
    """The content of its stored form; a file's text is not stored."""
    if "path" in data:
        return TextFile(data["path"], "")
    if "nameservers" in data:
        return Delegation(tuple(data["nameservers"]))
    if "stack" in data:
        return StackState.from_data(data)
    if "secret" in data:
        return SecretState.from_data(data)
    return CertificateState.from_data(data) if "certificate" in data else Zone.from_data(data)


def _without_text(content: TextFile) -> dict[str, Any]:
    """A file's content as it is stored: its text may hold secrets, and undoing an edit needs only the edit."""
    return {"path": content.path, "digest": content.digest()}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The facts of one target at one time.

    `raw` is the provider's own form of the rows, opaque to everything but its adapter. `blocks` are reasons why nothing
    may be written on the strength of this read; `notes` are shown and change nothing.
    """

    target: str
    taken_at: datetime
    content: Content
    complete: bool = True
    raw: tuple[Mapping[str, Any], ...] = ()
    blocks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The digest of the content: what a plan is bound to."""
        return self.content.digest()

    def data(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "target": self.target,
            "taken_at": timestamp(self.taken_at),
            "content": _without_text(self.content) if isinstance(self.content, TextFile) else self.content.data(),
            "complete": self.complete,
            "raw": [dict(row) for row in self.raw],
            "blocks": list(self.blocks),
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Snapshot:
        """The snapshot of its stored form."""
        return cls(
            target=data["target"],
            taken_at=moment(data["taken_at"]),
            content=content_from_data(data["content"]),
            complete=data["complete"],
            raw=tuple(data["raw"]),
            blocks=tuple(data["blocks"]),
        )


@dataclass(frozen=True, slots=True)
class Owned:
    """One record that an environment knows: named by its configuration, or made by a run.

    `record` is the record as last applied, `by` is `config`, `import`, or the source of the run that made it,
    `run` its id; `written` tells whether sophia itself wrote that value.
    """

    record: Record
    by: str
    run: str
    written: bool

    def data(self) -> dict[str, Any]:
        """The stored form."""
        return {"record": self.record.data(), "by": self.by, "run": self.run, "written": self.written}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Owned:
        """The entry of its stored form."""
        return cls(Record.from_data(data["record"]), data["by"], data["run"], data["written"])


@dataclass(frozen=True, slots=True)
class Ownership:
    """What one environment knows of one zone: which records it named, which it wrote, and its last mail mode."""

    entries: tuple[Owned, ...] = ()
    email_type: str | None = None

    def of(self, record: Record) -> Owned | None:
        """The entry of a record, compared by name, type and value."""
        return next((entry for entry in self.entries if entry.record.key == record.key), None)

    def named(self) -> dict[Key, Owned]:
        """The records an applied plan or an import of this environment named: what may be deleted by absence."""
        return {entry.record.key: entry for entry in self.entries if entry.by in ("config", "import")}

    def data(self) -> dict[str, Any]:
        """The stored form."""
        return {"entries": [entry.data() for entry in self.entries], "email_type": self.email_type}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Ownership:
        """The ownership of its stored form."""
        return cls(tuple(Owned.from_data(entry) for entry in data["entries"]), data.get("email_type"))


@dataclass(frozen=True, slots=True)
class Leg:
    """One target's part of a run: how far it came."""

    target: str
    base: str
    phase: Phase = "pending"
    message: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one change."""

    change: str
    outcome: str
    message: str = ""

    def data(self) -> dict[str, Any]:
        """The public shape (contract, `sophia.run/1`)."""
        return {"change": self.change, "outcome": self.outcome, "message": self.message}


@dataclass(frozen=True, slots=True)
class Run:
    """One pass of the apply flow, journalled before it writes and closed when its end state is known."""

    id: str
    command: str
    environment: str
    actor: str
    started: datetime
    plan: str
    changes: tuple[Change, ...]
    legs: tuple[Leg, ...]
    outcome: Outcome = "nothing"
    verified: bool | None = None
    steps: tuple[Step, ...] = ()
    api_calls: int = 0
    duration_s: float = 0.0
    closed: bool = False
    notes: tuple[str, ...] = ()
    ends: datetime | None = None

    def leg(self, target: str) -> Leg:
        """The part of one target."""
        return next(leg for leg in self.legs if leg.target == target)

    def with_leg(self, target: str, phase: Phase, message: str = "") -> Run:
        """The run with one target's part moved on."""
        legs = tuple(
            replace(leg, phase=phase, message=message or leg.message) if leg.target == target else leg
            for leg in self.legs
        )
        return replace(self, legs=legs)

    def of(self, target: str) -> tuple[Change, ...]:
        """The changes of one target."""
        return tuple(change for change in self.changes if change.target == target)

    def public(self) -> dict[str, Any]:
        """The public shape (contract, `sophia.run/1`)."""
        return {
            "run": self.id,
            "plan": self.plan,
            "outcome": self.outcome,
            "verified": self.verified,
            "steps": [step.data() for step in self.steps],
            "api_calls": self.api_calls,
            "duration_s": round(self.duration_s, 3),
            "undo": f"sophia rollback {self.id}",
            "notes": list(self.notes),
        }

    def data(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "run": self.id,
            "command": self.command,
            "environment": self.environment,
            "actor": self.actor,
            "started": timestamp(self.started),
            "plan": self.plan,
            "changes": [change.stored() for change in self.changes],
            "legs": [
                {"target": leg.target, "base": leg.base, "phase": leg.phase, "message": leg.message}
                for leg in self.legs
            ],
            "outcome": self.outcome,
            "verified": self.verified,
            "steps": [step.data() for step in self.steps],
            "api_calls": self.api_calls,
            "duration_ms": round(self.duration_s * 1000),
            "closed": self.closed,
            "notes": list(self.notes),
            "ends": None if self.ends is None else timestamp(self.ends),
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Run:
        """The run of its stored form."""
        return cls(
            id=data["run"],
            command=data["command"],
            environment=data["environment"],
            actor=data["actor"],
            started=moment(data["started"]),
            plan=data["plan"],
            changes=tuple(Change.from_data(change) for change in data["changes"]),
            legs=tuple(Leg(leg["target"], leg["base"], leg["phase"], leg["message"]) for leg in data["legs"]),
            outcome=data["outcome"],
            verified=data["verified"],
            steps=tuple(Step(step["change"], step["outcome"], step["message"]) for step in data["steps"]),
            api_calls=data["api_calls"],
            duration_s=data["duration_ms"] / 1000,
            closed=data["closed"],
            notes=tuple(data["notes"]),
            ends=None if data.get("ends") is None else moment(data["ends"]),
        )


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """A named step: who did what to which target, with which result. `hash` covers all else, `prev` included."""

    seq: int
    time: datetime
    actor: str
    action: str
    run: str | None = None
    target: str | None = None
    plan: str | None = None
    outcome: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    prev: str = GENESIS
    hash: str = ""

    def body(self) -> dict[str, Any]:
        """Everything the hash covers."""
        return {
            "seq": self.seq,
            "time": timestamp(self.time),
            "actor": self.actor,
            "action": self.action,
            "run": self.run,
            "target": self.target,
            "plan": self.plan,
            "outcome": self.outcome,
            "detail": dict(self.detail),
            "prev": self.prev,
        }

    def data(self) -> dict[str, Any]:
        """The stored and public form."""
        return {**self.body(), "hash": self.hash}

    def sealed(self, seq: int, prev: str) -> AuditEvent:
        """The event at its place in the chain."""
        placed = replace(self, seq=seq, prev=prev, hash="")
        return replace(placed, hash=digest_of(placed.body()))

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> AuditEvent:
        """The event of its stored form."""
        return cls(**{**data, "time": moment(data["time"])})


@dataclass(frozen=True, slots=True)
class AuditHead:
    """Count and last hash, kept apart from the log so that a cut tail shows."""

    count: int = 0
    hash: str = GENESIS


def timestamp(when: datetime) -> str:
    """RFC 3339 in UTC with microseconds left out when they are zero."""
    return when.isoformat().replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """The aware UTC time of `timestamp`."""
    return datetime.fromisoformat(text)
