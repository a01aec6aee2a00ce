"""Ports: what the outside must be able to do, as small async protocols. Nothing here does anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from sophia_cli.core.changes import Change
    from sophia_cli.core.comparison import Comparison
    from sophia_cli.core.history import AuditEvent, AuditHead, Ownership, Run, Snapshot
    from sophia_cli.core.policy import Approval
    from sophia_cli.core.stacks import Output, Update


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the outside shows of a write: True it is there, False something else is, None it cannot be told yet.

    `exact` tells whether the TTLs shown are those of the records as well.
    """

    verified: bool | None
    details: tuple[str, ...] = ()
    exact: bool = True


class ReadPort(Protocol):
    """A target as agents and plans see it: it can be read and nothing else."""

    @property
    def id(self) -> str:
        """The target id, such as `dns:example.com`."""
        ...

    async def read(self) -> Snapshot:
        """The target now. Raises a `SophiaError` when it cannot be read whole; never returns a guess."""
        ...


class TargetPort(ReadPort, Protocol):
    """A kind of target behind one port; the apply flow never asks which kind it is dealing with."""

    async def preflight(self, fresh: Snapshot) -> tuple[str, ...]:
        """Reasons, seen from outside, why a write on the strength of `fresh` could lose something; empty when none."""
        ...

    async def write(self, changes: Sequence[Change], fresh: Snapshot) -> None:
        """Make the changes, on the strength of `fresh`. Raises `OutcomeUnknown` when the answer was lost."""
        ...

    def compare(self, changes: Sequence[Change], before: Snapshot, after: Snapshot) -> Comparison:
        """Hold a read-back against what was planned."""
        ...

    async def verify(
        self, changes: Sequence[Change], after: Snapshot, earlier: Sequence[Snapshot], wait_s: float
    ) -> Evidence:
        """Ask the outside until it shows the changes or `wait_s` passes; `earlier` snapshots count as old, not wrong."""
        ...

    def undo(self, changes: Sequence[Change], before: Snapshot, now: Snapshot) -> tuple[Change, ...]:
        """The changes that take back a write that went wrong, keeping what others made meanwhile."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """What one target that works out its own changes needs. `outputs` are what it will publish once they are made."""

    snapshot: Snapshot
    changes: tuple[Change, ...] = ()
    unchanged: int = 0
    outputs: Mapping[str, Output] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@runtime_checkable
class Planned(TargetPort, Protocol):
    """A target that works out its own changes: a stack by its engine's preview, a certificate by its dates."""

    async def propose(self) -> Part:
        """What it needs to become what the environment says. Changes nothing. Raises when that cannot be known."""
        ...

    async def outputs(self) -> Mapping[str, Output]:
        """What it publishes for others now; empty when it publishes nothing."""
        ...


@runtime_checkable
class StackPort(Planned, Protocol):
    """A stack: it can tell how its resources drifted, and plan to put them back, to take them over, or to end."""

    async def drift(self) -> Part:
        """How the resources differ from what is recorded: `before` is recorded, `after` is there. Changes nothing."""
        ...

    async def propose_restore(self, urns: Sequence[str] = ()) -> Part:
        """What puts drifted resources (all, or these) back; changes of source `drift`."""
        ...

    async def propose_adopt(self, urns: Sequence[str] = ()) -> Part:
        """What records drifted resources as they are; changes of action `refresh`."""
        ...

    async def propose_return(self, before: Snapshot) -> Part:
        """What brings an earlier configuration back, and the resources with it as far as they can come."""
        ...

    async def propose_destroy(self) -> Part:
        """What deletes every resource of the stack."""
        ...


class StackHistory(Protocol):
    """A stack's updates as its engine kept them, those of others included."""

    @property
    def id(self) -> str:
        """The target id, `stack:ORG/PROJECT/NAME`."""
        ...

    async def history(self, count: int) -> tuple[Update, ...]:
        """The newest updates, newest first. Raises a `SophiaError` when they cannot be read."""
        ...


class EnvironmentFile(TargetPort, Protocol):
    """The environment's own file as a target."""

    def source(self, path: str) -> Any:
        """The unevaluated value at a path of the file as it was last read, or None; references stay references."""
        ...


class Locks(Protocol):
    """Mutual exclusion of writers, over processes that share the state."""

    def hold(self, targets: Sequence[str], purpose: str) -> AbstractAsyncContextManager[None]:
        """Hold the locks of these targets. Raises `Locked`, naming the holder, when another run has one."""
        ...

    async def assure(self, timeout_s: float) -> None:
        """Make sure that the held locks last longer than a write that takes `timeout_s`. Raises `StateError`."""
        ...


class Journal(Protocol):
    """Runs, written before they do anything."""

    async def save(self, run: Run) -> None:
        """Store a run durably, replacing its earlier form."""
        ...

    async def open_runs(self) -> tuple[Run, ...]:
        """Runs that were begun and never closed, oldest first."""
        ...

    async def get(self, run_id: str) -> Run | None:
        """One run."""
        ...

    async def runs(self, since: datetime | None = None) -> tuple[Run, ...]:
        """Closed runs, oldest first; with `since`, only those that started then or later."""
        ...


class Snapshots(Protocol):
    """What targets held, kept so that runs can be undone."""

    async def save(self, run_id: str, snapshot: Snapshot) -> None:
        """Store the snapshot a run started from, durably."""
        ...

    async def of_run(self, run_id: str, target: str) -> Snapshot | None:
        """The snapshot a run started from."""
        ...

    async def recent(self, target: str, count: int) -> tuple[Snapshot, ...]:
        """The newest snapshots of a target, newest first."""
        ...


class Audit(Protocol):
    """The hash-chained log."""

    async def append(self, event: AuditEvent) -> AuditHead:
        """Add an event durably; its place in the chain is set here."""
        ...

    async def events(self) -> tuple[AuditEvent, ...]:
        """All events that can be read, oldest first."""
        ...

    async def verify(self, head: str | None = None) -> tuple[AuditHead, tuple[str, ...]]:
        """The head, and every problem of the chain; with `head`, also whether the chain runs through that hash."""
        ...


class Approvals(Protocol):
    """Recorded approvals."""

    async def save(self, approval: Approval) -> None:
        """Record an approval durably, beside others for the same plan."""
        ...

    async def of_plan(self, digest: str) -> tuple[Approval, ...]:
        """The approvals of one plan digest."""
        ...

    async def use(self, approval: Approval) -> None:
        """Mark an approval used; raises `ApprovalMissing` when it was used meanwhile."""
        ...


class Ownerships(Protocol):
    """Which records an environment named and which sophia wrote."""

    async def load(self, environment: str, target: str) -> Ownership:
        """What is known; empty when nothing is."""
        ...

    async def save(self, environment: str, target: str, ownership: Ownership) -> None:
        """Store it durably."""
        ...


class Freezes(Protocol):
    """Which targets may not be written."""

    async def patterns(self) -> frozenset[str]:
        """The frozen target patterns (`*` for all)."""
        ...

    async def freeze(self, pattern: str) -> None:
        """Stop all writes to what matches."""
        ...

    async def thaw(self, pattern: str) -> bool:
        """Allow them again; False when the pattern was not frozen."""
        ...


@dataclass(frozen=True, slots=True)
class Store:
    """The state of one installation: everything that outlives a command."""

    locks: Locks
    journal: Journal
    snapshots: Snapshots
    audit: Audit
    approvals: Approvals
    ownerships: Ownerships
    freezes: Freezes


class Clock(Protocol):
    """Time, injected."""

    def now(self) -> datetime:
        """The time in UTC, aware."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...
