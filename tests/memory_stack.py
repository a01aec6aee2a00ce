"""In-memory stacks: one that publishes an output once it was written, and one with configuration whose resources drift."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sophia_cli.core.canonical import digest_of
from sophia_cli.core.changes import Change, ConfigValue
from sophia_cli.core.comparison import Comparison
from sophia_cli.core.errors import ProviderRefused
from sophia_cli.core.history import Snapshot
from sophia_cli.core.ports import Evidence, Part
from sophia_cli.core.stack_compare import compare_stacks, inverse_changes, irreversible
from sophia_cli.core.stacks import ROOT_TYPE, SECRET, Output, Resource, ResourceState, StackState, Update, stack_target
from tests.memory import Killed, MemoryClock

STACK = "organization/shop/prod"
URN = "urn:pulumi:prod::shop::test:index:Server::web"


@dataclass
class MemoryStack:
    """One resource, there or not; `ip` is its output. `shown` is what a preview can tell of that output."""

    clock: MemoryClock
    ip: str = "198.51.100.7"
    wanted: bool = True
    there: bool = False
    shown: bool = False
    refuses: bool = False
    log: list[str] = field(default_factory=list)
    updates: tuple[Update, ...] = ()

    @property
    def id(self) -> str:
        return stack_target(STACK)

    async def history(self, count: int) -> tuple[Update, ...]:
        self.log.append("history")
        if self.refuses:
            raise ProviderRefused("the program failed")
        return self.updates[:count]

    async def read(self) -> Snapshot:
        self.log.append("read")
        resources = {URN: ResourceState("test:index:Server")} if self.there else {}
        return Snapshot(self.id, self.clock.now(), StackState(STACK, resources=resources))

    async def propose(self) -> Part:
        snapshot = await self.read()
        known = self.there or self.shown
        outputs = {"ip": Output(self.ip if known else None, is_known=known)} if self.wanted else {}
        resource = Resource(URN, "test:index:Server", "web")
        if self.there == self.wanted:
            return Part(snapshot, unchanged=1, outputs=outputs)
        sides = (None, resource) if self.wanted else (resource, None)
        change = Change(self.id, "stack.resource", "create" if self.wanted else "delete", *sides, reason="the program")
        return Part(snapshot, (change,), outputs=outputs)

    async def outputs(self) -> Mapping[str, Output]:
        return {"ip": Output(self.ip)} if self.there else {}

    async def preflight(self, fresh: Snapshot) -> tuple[str, ...]:
        return ()

    async def write(self, changes: Sequence[Change], fresh: Snapshot) -> None:
        self.log.append("write")
        if self.refuses:
            raise ProviderRefused("the program failed")
        self.there = self.wanted

    def compare(self, changes: Sequence[Change], before: Snapshot, after: Snapshot) -> Comparison:
        assert isinstance(after.content, StackState)
        is_there = bool(after.content.resources)
        return Comparison(tuple("after" if (one.after is not None) == is_there else "before" for one in changes))

    async def verify(
        self, changes: Sequence[Change], before: Snapshot, earlier: Sequence[Snapshot], wait_s: float
    ) -> Evidence:
        return Evidence(True)

    def undo(self, changes: Sequence[Change], before: Snapshot, now: Snapshot) -> tuple[Change, ...]:
        return ()


# -- a stack with configuration that drifts --------------------------------------------------------------------------------

SERVER = "pulumi-python:dynamic:Resource"
DATABASE = "aws:rds/instance:Instance"
A_WHILE_S = 5.0


@dataclass
class ScalingStack:
    """A stack of servers (and perhaps a database) whose properties come from its configuration, and which can drift.

    `config` is what the environment wants of it, `backend` what outlives the process: settings, resources as recorded and as
    they are. Two targets over one backend are two machines. `former` is the configuration that a return brings back.
    `between` is called once a write has made its first resource; the next one then takes a while.
    """

    clock: MemoryClock
    name: str
    config: dict[str, Any]
    backend: dict[str, Any]
    names: tuple[str, ...] = ("web",)
    stateful: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()
    cut_off: bool = False
    between: Callable[[], object] | None = None
    log: list[str] = field(default_factory=list)
    former: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        return stack_target(self.name)

    # -- the scene ------------------------------------------------------------------------------------------------------

    @property
    def there(self) -> dict[str, dict[str, Any]]:
        """What the resources really are, by name; changing it is somebody's hand."""
        found: dict[str, dict[str, Any]] = self.backend.setdefault("there", {})
        return found

    @property
    def recorded(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.backend.setdefault("recorded", {})
        return found

    @property
    def settings(self) -> dict[str, Any]:
        found: dict[str, Any] = self.backend.setdefault("settings", {})
        return found

    @property
    def exists(self) -> bool:
        return bool(self.backend.get("exists"))

    def urn(self, name: str) -> str:
        short, project = self.name.rpartition("/")[2], self.name.split("/")[1]
        return f"urn:pulumi:{short}::{project}::{self.type(name)}::{name}"

    def type(self, name: str) -> str:
        return ROOT_TYPE if name == "" else DATABASE if name in self.stateful else SERVER

    # -- looking ----------------------------------------------------------------------------------------------------------

    async def read(self) -> Snapshot:
        self.log.append("read")
        resources = {
            self.urn(name): ResourceState(self.type(name), inputs={key: digest_of(one) for key, one in held.items()})
            for name, held in self.recorded.items()
        }
        if self.recorded:
            resources[self.urn("")] = ResourceState(ROOT_TYPE)
        config = {f"shop:{key}": digest_of(value) for key, value in self.settings.items()}
        outputs = {name: Output.from_data(output.data()) for name, output in (await self.outputs()).items()}
        content = StackState(self.name, self.exists, resources, config, outputs)
        return Snapshot(self.id, self.clock.now(), content, raw=({"config": json.dumps(self.settings)},))

    async def outputs(self) -> Mapping[str, Output]:
        return {"ip": Output("198.51.100.7")} if self.recorded else {}

    async def propose(self) -> Part:
        return await self._part({**self.settings, **self.config}, "config")

    async def propose_return(self, before: Snapshot) -> Part:
        self.former = json.loads(str(before.raw[0]["config"]))
        part = await self._part(self.former, "user")
        return replace(part, notes=irreversible(part.changes))

    async def propose_destroy(self) -> Part:
        changes = [
            self._change("delete", name, self.recorded[name], None, "user") for name in reversed(list(self.recorded))
        ]
        changes += [self._change("delete", "", {}, None, "user")] if self.recorded else []
        return Part(await self.read(), tuple(changes))

    async def drift(self) -> Part:
        return await self.propose_adopt()

    async def propose_adopt(self, urns: Sequence[str] = ()) -> Part:
        changes = [
            self._change("refresh", name, old, self.there.get(name), "drift") for name, old in self._drifted(urns)
        ]
        return Part(await self.read(), tuple(changes))

    async def propose_restore(self, urns: Sequence[str] = ()) -> Part:
        changes = []
        for name, old in self._drifted(urns):
            there = self.there.get(name)
            changes.append(self._change("create" if there is None else "update", name, there, old, "drift"))
        return Part(await self.read(), tuple(changes))

    def _drifted(self, urns: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
        return [
            (name, old)
            for name, old in self.recorded.items()
            if self.there.get(name) != old and (not urns or self.urn(name) in urns)
        ]

    # -- previews ---------------------------------------------------------------------------------------------------------

    def _wanted(self, settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        return {name: {"size": settings.get("workers")} for name in self.names}

    async def _part(self, settings: Mapping[str, Any], source: str) -> Part:
        keys = sorted(settings.keys() | self.settings.keys())
        changes = [self._setting(key, settings.get(key)) for key in keys if settings.get(key) != self.settings.get(key)]
        wanted = self._wanted(settings)
        for name, new in wanted.items():
            old = self.recorded.get(name)
            if old != new:
                changes.append(self._change("create" if old is None else "update", name, old, new, source))
        if not self.recorded:
            changes.append(self._change("create", "", None, {}, source))
        outputs = {"ip": Output("198.51.100.7") if self.recorded else Output(None, is_known=False)}
        return Part(await self.read(), tuple(changes), outputs=outputs)

    def _setting(self, key: str, value: Any) -> Change:
        shown = [SECRET if one is not None and key in self.hidden else one for one in (self.settings.get(key), value)]
        sides = [None if one is None else ConfigValue(f"shop:{key}", one) for one in shown]
        action = "create" if sides[0] is None else "delete" if sides[1] is None else "update"
        return Change(self.id, "stack.config", action, *sides, "config", "the environment's configuration")

    def _change(self, action: Any, name: str, old: Any, new: Any, source: str) -> Change:
        kind, stateful = self.type(name), name in self.stateful
        sides = [
            None if one is None else Resource(self.urn(name), kind, name or "shop", stateful=stateful, properties=one)
            for one in (old, new)
        ]
        return Change(self.id, "stack.resource", action, *sides, source, "the program")

    # -- changing ---------------------------------------------------------------------------------------------------------

    async def preflight(self, fresh: Snapshot) -> tuple[str, ...]:
        return ()

    async def write(self, changes: Sequence[Change], fresh: Snapshot) -> None:
        self.log.append("write")
        self.backend["exists"] = True
        for change in changes:
            side = change.after if change.after is not None else change.before
            if isinstance(side, ConfigValue):
                key = side.path.partition(":")[2]
                if change.after is None:
                    self.settings.pop(key, None)
                else:
                    self.settings[key] = self.config[key] if side.value == SECRET else side.value
            elif isinstance(side, Resource) and not side.is_root:
                self._make(change, side)
                if self.cut_off:
                    raise Killed
                await self._take_a_while()
        self.backend["versions"] = self.backend.get("versions", 0) + 1

    async def _take_a_while(self) -> None:
        if self.between is not None:
            between, self.between = self.between, None
            between()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), A_WHILE_S)

    def _make(self, change: Change, side: Resource) -> None:
        name, new = side.name, dict(side.properties)
        if change.after is None and change.action != "refresh":
            self.recorded.pop(name, None)
            self.there.pop(name, None)
        elif change.action == "refresh":
            self.recorded[name] = dict(self.there[name])
        else:
            self.recorded[name], self.there[name] = new, dict(new)

    async def remove(self) -> None:
        assert not self.recorded
        self.log.append("remove")
        self.backend["exists"] = False

    def compare(self, changes: Sequence[Change], before: Snapshot, after: Snapshot) -> Comparison:
        return compare_stacks(changes, _state(before), _state(after))

    def undo(self, changes: Sequence[Change], before: Snapshot, now: Snapshot) -> tuple[Change, ...]:
        return inverse_changes(changes, _state(before), _state(now))

    async def verify(
        self, changes: Sequence[Change], before: Snapshot, earlier: Sequence[Snapshot], wait_s: float
    ) -> Evidence:
        return Evidence(True)


def _state(snapshot: Snapshot) -> StackState:
    assert isinstance(snapshot.content, StackState)
    return snapshot.content
