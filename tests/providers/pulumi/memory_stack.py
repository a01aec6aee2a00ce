"""A stack in memory: a port like the real one, with a program, a state and resources that can drift."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import SecretStr

from sophia_cli.core.canonical import digest_of
from sophia_cli.core.changes import Change
from sophia_cli.core.comparison import Comparison
from sophia_cli.core.errors import Refused, SophiaError, StalePlan
from sophia_cli.core.history import Snapshot
from sophia_cli.core.ports import Evidence, Part
from sophia_cli.core.stack_compare import compare_stacks, differences, inverse_changes, irreversible
from sophia_cli.core.stack_steps import EngineStep, Side, changes_of, fold, leaves
from sophia_cli.core.stacks import ROOT_TYPE, SECRET, UNKNOWN, Output, Resource, ResourceState, StackState
from sophia_cli.providers.pulumi.configuration import Setting, config_changes, differing, restored, setting, wanted
from tests.memory import MemoryClock

TYPES = {"file": "pulumi-python:dynamic:Resource", "stash": "pulumi:index:Stash", "group": "tests:index:Group"}


@dataclass(frozen=True)
class Held:
    """One resource as the state has it; `outputs` are what was last seen of it."""

    type: str
    id: str
    protect: bool
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


@dataclass
class MemoryStack:
    """One stack. `there` is what the resources really are, `state` what is recorded, `program` what should be.

    Faults are queued by operation (`read`, `propose`, `write`): the error to raise instead; `late` are raised by writes
    that were made.
    """

    name: str = "organization/shop/prod"
    config: dict[str, Any] = field(default_factory=dict)
    program: tuple[Mapping[str, Any], ...] = ()
    clock: MemoryClock = field(default_factory=MemoryClock)
    settings: dict[str, Setting] = field(default_factory=dict)
    state: dict[str, Held] = field(default_factory=dict)
    there: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    published: dict[str, Any] = field(default_factory=dict)
    exists: bool = False
    former: dict[str, Setting] | None = None
    faults: dict[str, list[SophiaError]] = field(default_factory=dict)
    late: list[SophiaError] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    # -- the scene ----------------------------------------------------------------------------------------------------------

    def list(self, *resources: Mapping[str, Any]) -> None:
        self.program = tuple(dict(one) for one in resources)

    def a_file(self, name: str, text: str, **more: Any) -> dict[str, Any]:
        return {"kind": "file", "name": name, "path": f"/{more.pop('path', name)}", "text": text, **more}

    def tamper(self, name: str, text: str) -> None:
        urn = next(urn for urn in self.there if urn.endswith(f"::{name}"))
        self.there[urn] = {**self.there[urn], "text": text}

    def target(self) -> MemoryStack:
        return self

    # -- looking ------------------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        return f"stack:{self.name}"

    async def read(self) -> Snapshot:
        self._fault("read")
        resources = {
            urn: ResourceState.of(held.type, held.id, held.protect, _digests(held.inputs), _digests(held.outputs))
            for urn, held in self.state.items()
        }
        config = {key: one.digest(b"key") for key, one in self.settings.items()}
        outputs = {name: Output.from_data(output.data()) for name, output in (await self.outputs()).items()}
        content = StackState(self.name, self.exists, resources, config, outputs)
        shown = json.dumps({key: one.shown() for key, one in self.settings.items()})
        return Snapshot(self.id, self.clock.now(), content, raw=({"config": shown},))

    async def preflight(self, fresh: Snapshot) -> tuple[str, ...]:
        return ()

    async def propose(self) -> Part:
        self._fault("propose")
        return await self._part(self._planned(self._asked()), "config")

    async def propose_restore(self, urns: Sequence[str] = ()) -> Part:
        steps = [step for step in self._steps(self.settings, self.there) if not urns or step.urn in urns]
        return await self._part(changes_of(self.id, fold(steps), "drift", "drifted"), "drift")

    async def propose_adopt(self, urns: Sequence[str] = ()) -> Part:
        return await self._part(tuple(self._adoptions(urns)), "drift")

    async def drift(self) -> Part:
        return await self.propose_adopt()

    async def propose_destroy(self) -> Part:
        part = await self._part(changes_of(self.id, fold(self._deletions()), "user", "destroyed"), "user")
        return replace(part, snapshot=replace(part.snapshot, blocks=self._protections()))

    def _protections(self) -> tuple[str, ...]:
        return tuple(f"{urn} is protected" for urn, held in self.state.items() if held.protect)

    async def outputs(self) -> Mapping[str, Output]:
        return {
            name: Output(SecretStr(json.dumps(value.get_secret_value())), True)
            if isinstance(value, SecretStr)
            else Output(value)
            for name, value in self.published.items()
        }

    def irreversible(self, changes: Sequence[Change]) -> tuple[str, ...]:
        return irreversible(changes)

    def compare(self, changes: Sequence[Change], before: Snapshot, after: Snapshot) -> Comparison:
        return compare_stacks(changes, _content(before), _content(after))

    def undo(self, changes: Sequence[Change], before: Snapshot, now: Snapshot) -> tuple[Change, ...]:
        return inverse_changes(changes, _content(before), _content(now))

    async def verify(
        self, changes: Sequence[Change], after: Snapshot, earlier: Sequence[Snapshot], wait_s: float
    ) -> Evidence:
        if any(
            change.action == "delete" and isinstance(change.before, Resource) and change.before.is_root
            for change in changes
        ):
            return Evidence(not self.state)
        left = self._planned(self._asked())
        return Evidence(not left, tuple(f"{change.action} is still planned" for change in left))

    # -- changing -----------------------------------------------------------------------------------------------------------

    async def write(self, changes: Sequence[Change], fresh: Snapshot) -> None:
        self._fault("write")
        if any(change.action == "refresh" for change in changes):
            for change in changes:
                assert isinstance(change.after, Resource)
                self.state[change.after.urn] = replace(
                    self.state[change.after.urn], outputs=self.there[change.after.urn]
                )
            return
        if any(
            change.action == "delete" and isinstance(change.before, Resource) and change.before.is_root
            for change in changes
        ):
            if self._protections():
                raise Refused("; ".join(self._protections()))
            self.state, self.there, self.published = {}, {}, {}
            return
        if all(change.source == "drift" for change in changes):
            settings = self.settings
        else:
            settings = next((one for one in self._candidates() if not differences(changes, self._planned(one))), None)
        if settings is None:
            raise StalePlan(f"{self.id}: {'; '.join(differences(changes, self._planned(self._asked())))}")
        self.former, self.exists = dict(self.settings), True
        self._make(settings)
        if self.late:
            raise self.late.pop(0)

    async def remove(self) -> None:
        assert not self.state
        self.exists = False

    def _candidates(self) -> Iterator[dict[str, Setting]]:
        yield self._asked()
        if self.former is not None:
            yield self.former

    def _make(self, settings: Mapping[str, Setting]) -> None:
        self.settings = dict(settings)
        wanted_now = self._wanted(settings)
        self.state = dict(wanted_now)
        self.there = {urn: dict(held.outputs) for urn, held in wanted_now.items() if held.type != ROOT_TYPE}
        self.published = self._outputs(settings, known=True)

    # -- previews -----------------------------------------------------------------------------------------------------------

    def _fault(self, operation: str) -> None:
        self.log.append(operation)
        waiting = self.faults.get(operation)
        if waiting:
            raise waiting.pop(0)

    def _asked(self) -> dict[str, Setting]:
        asked = differing(self.settings, wanted("shop", self.config))
        return {**self.settings, **{key: setting(value) for key, value in asked.items()}}

    def _planned(self, settings: Mapping[str, Setting]) -> tuple[Change, ...]:
        sets = restored(self.settings, settings)
        steps = changes_of(self.id, fold(self._steps(settings, None)), "config", "named by the program")
        return (*config_changes(self.id, self.settings, sets), *steps)

    async def _part(self, changes: tuple[Change, ...], source: str) -> Part:
        snapshot = await self.read()
        outputs = {
            name: Output(None, isinstance(value, SecretStr), value != UNKNOWN)
            if isinstance(value, SecretStr) or value == UNKNOWN
            else Output(value)
            for name, value in self._outputs(self._asked(), known=False).items()
        }
        touched = {change.after.urn for change in changes if isinstance(change.after, Resource)}
        return Part(snapshot, changes, len(self.state.keys() - touched), outputs)

    def _steps(
        self, settings: Mapping[str, Setting], there: Mapping[str, Mapping[str, Any]] | None
    ) -> list[EngineStep]:
        steps = []
        after = self._wanted(settings)
        for number, urn in enumerate(sorted(after.keys() | self.state.keys())):
            old, new = self.state.get(urn), after.get(urn)
            if old is not None and there is not None and urn in there:
                old = replace(old, outputs=there[urn])
            keys = ("path",) if old and new and old.inputs.get("path") != new.inputs.get("path") else ()
            op = "create" if old is None else "delete" if new is None else "replace" if keys else "update"
            if old is not None and new is not None and old.type != ROOT_TYPE and not keys:
                same = (old.inputs, old.outputs, old.protect) == (new.inputs, new.outputs, new.protect)
                op = "same" if same else "update"
            elif old is not None and new is not None and not keys:
                op = "same"
            steps.append(
                EngineStep(number, "end", op, urn, (new or old).type, _side(old), _side(new), keys, planning=True)
            )  # type: ignore[union-attr]
        return steps

    def _deletions(self) -> Iterator[EngineStep]:
        for number, (urn, held) in enumerate(self.state.items()):
            yield EngineStep(number, "end", "delete", urn, held.type, _side(held), None, planning=True)

    def _adoptions(self, urns: Sequence[str]) -> Iterator[Change]:
        for urn, seen in self.there.items():
            held = self.state[urn]
            if held.outputs != seen and (not urns or urn in urns):
                step = EngineStep(0, "end", "update", urn, held.type, _side(held), _side(replace(held, outputs=seen)))
                (change,) = changes_of(self.id, fold([step]), "drift", "drifted")
                yield replace(change, action="refresh")

    def _wanted(self, settings: Mapping[str, Setting]) -> dict[str, Held]:
        project, stack = self.name.split("/")[1:]
        root = f"urn:pulumi:{stack}::{project}::{ROOT_TYPE}::{project}-{stack}"
        outputs = {name: _shown(value) for name, value in self._outputs(settings, known=True).items()}
        found = {root: Held(ROOT_TYPE, "", False, {}, outputs)}
        for entry in self.program:
            kind = TYPES[entry["kind"]]
            inputs = {key: value for key, value in entry.items() if key not in ("kind", "name", "protect")}
            for key, value in inputs.items():
                if str(value).startswith("$"):
                    inputs[key] = settings[f"{project}:{value[1:]}"].shown()
            if entry["kind"] == "stash":
                inputs = {"input": SECRET}
            urn = f"urn:pulumi:{stack}::{project}::{kind}::{entry['name']}"
            found[urn] = Held(kind, inputs.get("path", ""), bool(entry.get("protect")), inputs, inputs)
        return found

    def _outputs(self, settings: Mapping[str, Setting], *, known: bool) -> dict[str, Any]:
        found: dict[str, Any] = {"count": len(self.program)}
        for entry in self.program:
            if entry["kind"] == "file":
                is_there = any(urn.endswith(f"::{entry['name']}") for urn in self.state)
                found[entry["name"]] = entry["path"] if known or is_there else UNKNOWN
            elif entry["kind"] == "stash":
                found["token"] = SecretStr(str(settings["shop:token"].value))
        return found


def _side(held: Held | None) -> Side | None:
    return None if held is None else Side(held.id, held.protect, held.inputs, held.outputs)


def _shown(value: Any) -> Any:
    return SECRET if isinstance(value, SecretStr) else value


def _digests(values: Mapping[str, Any]) -> dict[str, str]:
    return {path: digest_of(value) for path, value in leaves(values)}


def _content(snapshot: Snapshot) -> StackState:
    assert isinstance(snapshot.content, StackState)
    return snapshot.content
