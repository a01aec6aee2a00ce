"""In-memory ports: a provider's zone with faults on demand, a clock that only sleeps forward, a guard, and a fuse that kills."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sophia_cli.agents.score import score
from sophia_cli.core.changes import Change, EmailMode
from sophia_cli.core.comparison import Comparison, compare_zones, undo_zone
from sophia_cli.core.dns import Record, Zone, normalised
from sophia_cli.core.errors import OutcomeUnknown, ProviderRefused, Unreachable
from sophia_cli.core.history import Ownership, Run, Snapshot
from sophia_cli.core.plan import state_of, zone_target
from sophia_cli.core.ports import EnvironmentFile, Evidence, Store, TargetPort
from sophia_cli.core.settings import DesiredZone, Settings
from sophia_cli.flows.deploy import deploy, settle_first
from sophia_cli.flows.events import Stream
from sophia_cli.flows.ground import Ground
from sophia_cli.flows.heal import Healed, heal
from sophia_cli.flows.plan import Judged, make_plan
from sophia_cli.flows.rollback import plan_rollback
from sophia_cli.store.local import local_store
from tests.builders import DOMAIN, NOW


class Killed(BaseException):
    """The process died here: nothing after this point runs, `except` clauses of the product included."""


class MemoryClock:
    """Time that moves a millisecond whenever it is looked at, and as far as asked when somebody sleeps."""

    def __init__(self, start: datetime = NOW) -> None:
        self._now = start
        self.slept: list[float] = []

    def now(self) -> datetime:
        self._now += timedelta(milliseconds=1)
        return self._now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._now += timedelta(seconds=seconds)


class MemoryGuard:
    """Signals by hand: `stop` as if Ctrl-C had come inside a write."""

    def __init__(self) -> None:
        self.stop = False
        self.depth = 0

    def stop_requested(self) -> bool:
        return self.stop

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1


@dataclass
class Fuse:
    """Burns down one step at every fail point; at zero the process is dead and stays dead until a new fuse is set."""

    left: int | None = None
    burned: int = 0

    def burn(self) -> None:
        self.burned += 1
        if self.left is not None:
            if self.left <= 0:
                raise Killed
            self.left -= 1


class Fused:
    """A port of the state with a fail point before and after each of its calls."""

    def __init__(self, port: Any, fuse: Fuse) -> None:
        self._port, self._fuse = port, fuse

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._port, name)

        async def call(*args: Any, **named: Any) -> Any:
            self._fuse.burn()
            result = await real(*args, **named)
            self._fuse.burn()
            return result

        return call


def fused(store: Store, fuse: Fuse) -> Store:
    """The store with fail points around journal, snapshots, audit, approvals and ownership."""
    return replace(
        store,
        journal=Fused(store.journal, fuse),
        snapshots=Fused(store.snapshots, fuse),
        audit=Fused(store.audit, fuse),
        approvals=Fused(store.approvals, fuse),
        ownerships=Fused(store.ownerships, fuse),
    )


Act = Callable[["MemoryZone"], None] | str
"""What goes wrong at one call: a word (see `MemoryZone`), or another writer's hand."""


@dataclass
class MemoryZone:
    """One domain at a provider with Namecheap's habits: a write replaces every row by those it sends.

    `sent` rows come from the snapshot a write stands on, so a row that came in between is lost, as it is there. A new
    preference for a row that is there is ignored; MX rows outside mode MX are dropped.

    Faults are queued by operation. read: `error`, `stale`, `incomplete`, `blocked`. write: `refused` and `lost_before` (nothing
    is done), `lost_after` (done, no answer), `ignored` (answered, not done), `late` (done, shows after two reads), `drop`
    (an untouched row goes), `mode` (mail mode reset), `half` (only the first change), `torn` (of two writes only the first).
    preflight: `blocked`. verify: `none`, `wrong`, `error`.
    A callable acts before the operation; a pair of None and a callable, after it.
    """

    name: str
    email_type: str
    rows: list[dict[str, Any]]
    clock: MemoryClock
    fuse: Fuse = field(default_factory=Fuse)
    queue: dict[str, list[Any]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    seen: list[tuple[str, list[dict[str, Any]]]] = field(default_factory=list)
    hidden_reads: int = 0
    asked_with: list[tuple[Zone, ...]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    reachable: bool = True

    @classmethod
    def of(cls, zone: Zone, clock: MemoryClock, fuse: Fuse | None = None) -> MemoryZone:
        rows = [{**row.data(), "note": f"made by hand {number}"} for number, row in enumerate(zone.records)]
        return cls(zone.name, zone.email_type, rows, clock, fuse or Fuse())

    @property
    def id(self) -> str:
        return zone_target(self.name)

    @property
    def zone(self) -> Zone:
        """What the zone holds now, beside the port."""
        return _zone_of(self.name, self.email_type, self.rows)

    def fault(self, operation: str, *acts: Any) -> None:
        """Queue what happens at the next calls of an operation; None lets one pass."""
        self.queue.setdefault(operation, []).extend(acts)

    def edit(self, add: Sequence[Record] = (), remove: Sequence[Record] = (), email_type: str | None = None) -> None:
        """Another writer's hand."""
        gone = {row.key for row in (*add, *remove)}
        self._remember()
        self.rows = [row for row in self.rows if Record.from_data(row).key not in gone]
        self.rows += [{**row.data(), "note": "theirs"} for row in add]
        self.email_type = email_type or self.email_type

    def _remember(self) -> None:
        self.seen.append((self.email_type, list(self.rows)))

    def _next(self, operation: str) -> tuple[str, Callable[[MemoryZone], None] | None]:
        self.log.append(operation)
        self.fuse.burn()
        waiting = self.queue.get(operation) or [None]
        act = waiting.pop(0)
        if isinstance(act, tuple):
            return "", act[1]
        if callable(act):
            act(self)
            return "", None
        return act or "", None

    async def read(self) -> Snapshot:
        kind, after = self._next("read")
        if kind == "error" or not self.reachable:
            raise Unreachable(f"{self.name}: no answer", hint="run again")
        mode, rows = self.email_type, self.rows
        if kind == "stale" or self.hidden_reads:
            self.hidden_reads = max(0, self.hidden_reads - 1)
            mode, rows = self.seen[-1] if self.seen else (mode, rows)
        blocks = ("dynamic DNS is on",) if kind == "blocked" else ()
        found = _zone_of(self.name, mode, rows)
        raw = tuple(dict(row) for row in rows)
        if after is not None:
            after(self)
        self.fuse.burn()
        return Snapshot(self.id, self.clock.now(), found, kind != "incomplete", raw, blocks)

    async def preflight(self, fresh: Snapshot) -> tuple[str, ...]:
        kind, _ = self._next("preflight")
        return ("an SRV record that only live DNS shows",) if kind == "blocked" else ()

    async def write(self, changes: Sequence[Change], fresh: Snapshot) -> None:
        kind, after = self._next("write")
        if not self.reachable:
            raise Unreachable(f"{self.name}: no answer", hint="run again")
        if kind == "refused":
            raise ProviderRefused(f"{self.name}: the provider says no")
        if kind == "lost_before":
            raise OutcomeUnknown(f"{self.name}: no answer")
        if kind != "ignored":
            wanted = changes[:1] if kind == "half" else changes
            mode, rows = _merged(wanted, fresh)
            first = [row for row in rows if not _preference_only(Record.from_data(row), wanted)]
            self._remember()
            if len(first) != len(rows):
                self._set(mode, first)
                self.fuse.burn()
                if kind == "torn":
                    raise OutcomeUnknown(f"{self.name}: no answer to the first of two writes")
            self._set(mode, rows)
            if kind == "drop":
                ours = {side.key for change in changes for side in _records(change)}
                left = [row for row in self.rows if Record.from_data(row).key not in ours]
                self.rows = [row for row in self.rows if row not in left[-1:]]
            if kind == "mode":
                self.email_type = "NONE" if self.email_type != "NONE" else "FWD"
            if kind == "late":
                self.hidden_reads = 2
        if after is not None:
            after(self)
        self.fuse.burn()
        if kind == "lost_after":
            raise OutcomeUnknown(f"{self.name}: the answer was lost")

    def _set(self, mode: str, sent: Sequence[dict[str, Any]]) -> None:
        there = {Record.from_data(row).key: row for row in self.rows}
        stored = []
        for row in sent:
            if (row["type"] == "MX" and mode != "MX") or (row["type"] == "MXE" and mode != "MXE"):
                continue
            old = there.get(Record.from_data(row).key)
            stored.append(row if old is None else {**row, "priority": old["priority"]})
        self.email_type, self.rows = mode, stored

    def compare(self, changes: Sequence[Change], before: Snapshot, after: Snapshot) -> Comparison:
        return compare_zones(changes, zone_in(before), zone_in(after))

    def undo(self, changes: Sequence[Change], before: Snapshot, now: Snapshot) -> tuple[Change, ...]:
        return undo_zone(changes, zone_in(before), zone_in(now))

    async def verify(
        self, changes: Sequence[Change], before: Snapshot, earlier: Sequence[Snapshot], wait_s: float
    ) -> Evidence:
        kind, _ = self._next("verify")
        self.asked_with.append(tuple(zone_in(one) for one in earlier))
        self.waits.append(wait_s)
        if kind == "error":
            raise Unreachable(f"{self.name}: no name server to ask")
        if kind == "none":
            return Evidence(None, ("the old answer",))
        if kind == "wrong":
            return Evidence(False, ("a third answer",))
        now = self.zone
        if all(state_of(change, now) == "after" for change in changes):
            return Evidence(True)
        old = any(all(_same(change, now, zone_in(one)) for change in changes) for one in (before, *earlier))
        return Evidence(None if old else False, ("an old answer" if old else "a third answer",))


def zone_in(snapshot: Snapshot) -> Zone:
    assert isinstance(snapshot.content, Zone)
    return snapshot.content


def _zone_of(name: str, mode: str, rows: Sequence[dict[str, Any]]) -> Zone:
    return Zone.of(name, mode, [normalised(Record.from_data(row), name) for row in rows])


def _records(change: Change) -> list[Record]:
    return [side for side in (change.before, change.after) if isinstance(side, Record)]


def _same(change: Change, now: Zone, old: Zone) -> bool:
    places = {(row.name, row.type) for row in _records(change)}
    return all(now.at(*place) == old.at(*place) for place in places) and (
        bool(places) or now.email_type == old.email_type
    )


def _merged(changes: Sequence[Change], fresh: Snapshot) -> tuple[str, list[dict[str, Any]]]:
    gone = {row.key for change in changes for row in _records(change)}
    rows = [dict(row) for row in fresh.raw if Record.from_data(dict(row)).key not in gone]
    rows += [{**change.after.data(), "note": ""} for change in changes if isinstance(change.after, Record)]
    modes = [change.after.email_type for change in changes if isinstance(change.after, EmailMode)]
    return [zone_in(fresh).email_type, *modes][-1], rows


def _preference_only(row: Record, changes: Sequence[Change]) -> bool:
    return any(
        isinstance(change.before, Record)
        and isinstance(change.after, Record)
        and change.after.type == "MX"
        and change.before.key == change.after.key == row.key
        and change.before.priority != change.after.priority
        for change in changes
    )


@dataclass
class World:
    """Flows over in-memory zones and a real local state, as one command after another would run them."""

    root: Path
    settings: Settings
    zones: dict[str, MemoryZone]
    clock: MemoryClock
    fuse: Fuse
    guard: MemoryGuard = field(default_factory=MemoryGuard)
    file: EnvironmentFile | None = None
    wait_s: float = 30.0
    _runs: int = 0

    @classmethod
    def of(cls, root: Path, settings: Settings, *zones: Zone, file: EnvironmentFile | None = None) -> World:
        clock, fuse = MemoryClock(), Fuse()
        made = {zone_target(zone.name): MemoryZone.of(zone, clock, fuse) for zone in zones}
        return cls(root, settings, made, clock, fuse, file=file)

    @property
    def zone(self) -> MemoryZone:
        """The only zone, or that of example.com."""
        return self.zones.get(zone_target(DOMAIN)) or next(iter(self.zones.values()))

    @property
    def store(self) -> Store:
        return fused(local_store(self.root, self.clock), self.fuse)

    def run_id(self) -> str:
        self._runs += 1
        return f"{self.clock.now():%Y%m%dT%H%M%S}000-{self._runs:04x}"

    def ground(self, command: str = "deploy") -> Ground:
        store = self.store
        targets: dict[str, TargetPort] = dict(self.zones)
        if self.file is not None:
            targets[self.file.id] = self.file
        stream = Stream("ada@test", self.clock, (store.audit.append,))
        return Ground(store, targets, self.clock, stream, self.guard, self.run_id, command, self.wait_s)

    def want(self, *zones: DesiredZone) -> None:
        """Write another environment."""
        self.settings = replace(self.settings, zones=zones)

    async def plan(self) -> Judged:
        return await make_plan(self.settings, self.zones, self.store, self.clock.now())

    async def deploy(self, judged: Judged | None = None) -> Run | None:
        """What `sophia deploy` does once it has consent."""
        ground = self.ground()
        if judged is None:
            await settle_first(sorted(ground.targets), ground)
            judged = await self.plan()
        return await deploy(judged, self.settings, ground)

    async def heal(self, *, dry_run: bool = False) -> Healed:
        return await heal(self.settings, self.ground("heal"), score, dry_run=dry_run)

    async def rollback(self, run_id: str | None = None) -> Run | None:
        ground = self.ground("rollback")
        return await deploy(await plan_rollback(run_id, self.settings, ground, self.file), self.settings, ground)

    async def owned(self, target: str | None = None) -> Ownership:
        return await self.store.ownerships.load(self.settings.environment, target or self.zone.id)

    async def open_runs(self) -> tuple[Run, ...]:
        return await self.store.journal.open_runs()

    async def audit_problems(self) -> tuple[str, ...]:
        return (await self.store.audit.verify())[1]

    async def actions(self) -> list[tuple[str, str | None]]:
        """The audit log, shortened."""
        return [(event.action, event.outcome) for event in await self.store.audit.events()]
