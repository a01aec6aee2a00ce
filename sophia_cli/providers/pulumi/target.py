"""A Pulumi stack as a target: previews as changes, updates held to what was approved. Never mutates when it looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sophia_cli.core.changes import Change
from sophia_cli.core.comparison import Comparison
from sophia_cli.core.errors import IncompleteRead, Refused, SophiaError, StalePlan
from sophia_cli.core.history import Snapshot
from sophia_cli.core.ports import Clock, Evidence, Part
from sophia_cli.core.stack_compare import compare_stacks, differences, inverse_changes, irreversible, same_steps
from sophia_cli.core.stack_steps import changes_of, fold
from sophia_cli.core.stacks import ROOT_TYPE, SECRET, UNKNOWN, Output, Resource, StackState, Update, stack_target
from sophia_cli.providers.pulumi.configuration import config_changes, unknown_keys, wanted
from sophia_cli.providers.pulumi.engine import Engine, Progress, Scope
from sophia_cli.providers.pulumi.events import Stream
from sophia_cli.providers.pulumi.state import stack_state
from sophia_cli.providers.pulumi.workspace import Copy, Workspace

Mode = Literal["up", "restore", "adopt", "destroy"]
NAMED = "named by the program"


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What a stack target is told: the configuration the environment wants, and how a new stack keeps its secrets.

    `key` keys the digests of secrets; `config` holds secrets as `SecretStr`; `message` goes into the stack's history.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    secrets_provider: str | None = None
    key: bytes = b""
    message: str = ""


class StackTarget:
    """One stack. A preview is a value (`Part`); a write previews again, compares, and runs the engine's own saved plan."""

    def __init__(
        self, workspace: Workspace, options: StackOptions, clock: Clock, on_step: Progress | None = None
    ) -> None:
        self._workspace = workspace
        self._engine: Engine = workspace.engine
        self._options = options
        self._clock = clock
        self._on_step = on_step
        self._asked = wanted(workspace.project.name, options.config)
        self._former: str | None = None
        self._back: tuple[Change, ...] = ()
        self._written_with: str | None = None
        self.notes: tuple[str, ...] = ()
        """What went wrong beside the last write and changed nothing, such as a broken display."""

    @property
    def id(self) -> str:
        """`stack:ORG/PROJECT/NAME`."""
        return stack_target(self._engine.place.stack)

    # -- looking ----------------------------------------------------------------------------------------------------------

    async def read(self) -> Snapshot:
        """The stack as digests. `raw` holds the text of its configuration file, in which secrets are ciphertext."""
        self._workspace.refuse_while_changing()
        exported = await self._engine.exported()
        text = self._workspace.text()
        stack, key = self._engine.place.stack, self._options.key
        if exported is None:
            content = StackState(stack, exists=False)
        else:
            async with self._workspace.copied({}) as copy:
                config = {name: one.digest(key) for name, one in copy.there.items()}
                text = copy.text() or text
            content = stack_state(stack, exported, config, key, self._engine.hide)
        notes = tuple(f"{self.id}: an earlier update was cut off at {one}" for one in content.pending)
        raw = ({"config": text},)
        return Snapshot(self.id, self._clock.now(), content, complete=True, raw=raw, notes=notes)

    async def preflight(self, fresh: Snapshot) -> tuple[str, ...]:
        """Nothing outside knows more of a stack than its state; the write previews again before it changes anything."""
        return ()

    async def propose(self) -> Part:
        """What the stack needs to become what its program and configuration say: one preview, nothing changed."""
        snapshot = await self.read()
        async with self._copy(snapshot, None) as copy:
            return self._part(snapshot, copy, await copy.engine.preview(copy.file), "config")

    async def propose_restore(self, urns: Sequence[str] = ()) -> Part:
        """What puts drifted resources (all, or these) back to what the program says. Changes are of source `drift`."""
        snapshot = await self.read()
        async with self._workspace.copied({}) as copy:
            stream = await copy.engine.preview(copy.file, Scope(tuple(urns), refresh=True))
            return self._part(snapshot, copy, stream, "drift")

    async def propose_adopt(self, urns: Sequence[str] = ()) -> Part:
        """What differs between resources and state, as changes of action `refresh`: writing them adopts what is there."""
        snapshot = await self.read()
        async with self._workspace.copied({}) as copy:
            stream = await copy.engine.preview_refresh(copy.file, Scope(tuple(urns)))
            part = self._part(snapshot, copy, stream, "drift")
        return replace(part, changes=tuple(_adopting(change) for change in part.changes))

    async def drift(self) -> Part:
        """How the resources differ from the state, by resource and property: `before` is recorded, `after` is there."""
        return await self.propose_adopt()

    async def propose_destroy(self) -> Part:
        """What deleting every resource of the stack would do."""
        snapshot = await self.read()
        async with self._workspace.copied({}) as copy:
            stream = await copy.engine.preview_destroy(copy.file)
            part = self._part(snapshot, copy, stream, "user")
        changes = tuple(replace(change, reason="the stack is destroyed") for change in part.changes)
        return replace(part, changes=changes, outputs={})

    async def propose_return(self, before: Snapshot) -> Part:
        """What brings the configuration of an earlier snapshot back, and the resources with it as far as they can come."""
        self._former = _config_text(before)
        snapshot = await self.read()
        async with self._copy(snapshot, self._former) as copy:
            part = self._part(snapshot, copy, await copy.engine.preview(copy.file), "user")
        return replace(part, notes=(*part.notes, *irreversible(part.changes)))

    async def outputs(self) -> Mapping[str, Output]:
        """The stack's outputs now; empty when it does not exist."""
        if await self._engine.exported() is None:
            return {}
        return await self._engine.outputs()

    async def history(self, count: int = 10) -> tuple[Update, ...]:
        """The newest updates of the stack, newest first."""
        return await self._engine.history(count)

    async def version(self) -> str:
        """The CLI's version; raises when it is missing or too old."""
        return await self._engine.version()

    # -- changing -----------------------------------------------------------------------------------------------------------

    async def write(self, changes: Sequence[Change], fresh: Snapshot) -> None:
        """Make the changes: preview again, refuse anything else than was approved (`StalePlan`), apply the saved plan.

        Raises what the engine's failure means; the state tells how far it came. Cancelling stops the engine cleanly.
        """
        self.notes = ()
        self._written_with = None
        mode = _mode(changes)
        if mode == "up" and not _state(fresh).exists:
            await self._create(changes)
        elif mode == "up":
            self._written_with = await self._former_meant(changes)
            async with self._copy(fresh, self._written_with) as copy:
                await self._update(copy, changes, Scope())
        else:
            await self._elsewise(mode, changes)

    async def remove(self) -> None:
        """Remove the empty stack, once all its resources are deleted; its configuration file stays."""
        await self._engine.remove()

    async def cancel(self) -> None:
        """Take away the lock of a dead update, on a person's word only."""
        await self._engine.cancel()

    async def _former_meant(self, changes: Sequence[Change]) -> str | None:
        """The earlier configuration that these changes bring back, or None when they set what the environment asks for."""
        former, config = self._former, [change for change in changes if change.kind == "stack.config"]
        if former is None or not config:
            return former if tuple(changes) == self._back else None
        async with self._workspace.copied({}, former) as copy:
            return None if differences(config, config_changes(self.id, copy.there, copy.sets)) else former

    async def _create(self, changes: Sequence[Change]) -> None:
        text = self._workspace.text()
        await self._engine.init(self._options.secrets_provider)
        try:
            async with self._workspace.copied(self._asked) as copy:
                await self._update(copy, changes, Scope(), new=True)
        except (SophiaError, OSError):
            await self._forget_empty(text)
            raise

    async def _forget_empty(self, text: str | None) -> None:
        """Take back a stack that was made for an update that then made nothing."""
        if (exported := await self._engine.exported()) is None:
            return
        if not stack_state(self._engine.place.stack, exported, {}, self._options.key).resources:
            await self._engine.remove()
            if text is None:
                self._workspace.file.unlink(missing_ok=True)
            else:
                self._workspace.write(text)

    async def _update(self, copy: Copy, changes: Sequence[Change], scope: Scope, *, new: bool = False) -> None:
        """Preview, compare with what was approved, put the configuration in place, and apply exactly that preview."""
        stream = _allowed(await copy.engine.preview(copy.file, scope, copy.plan))
        part = self._previewed(copy, stream, scope, new=new)
        narrowed = _narrowed(changes, part)
        if narrowed and not scope.targets:
            await self._update(copy, changes, replace(scope, targets=narrowed), new=new)
            return
        self._same(changes, part, rest=bool(scope.targets))
        former = self._workspace.text()
        self._workspace.write(copy.text())
        try:
            _, self.notes = await copy.engine.up(copy.file, copy.plan, scope, self._options.message, self._on_step)
        except SophiaError as exc:
            if former is not None and not new and exc.details.get("done") == 0:
                self._workspace.write(former)
            raise

    async def _elsewise(self, mode: Mode, changes: Sequence[Change]) -> None:
        urns = tuple(sorted({resource.urn for change in changes if (resource := _resource(change)) is not None}))
        async with self._workspace.copied({}) as copy:
            if mode == "restore":
                await self._update(copy, changes, Scope(urns, refresh=True))
                return
            if mode == "adopt":
                scope = Scope(urns)
                stream = await copy.engine.preview_refresh(copy.file, scope)
                part = tuple(_adopting(change) for change in self._steps(stream, "drift"))
                self._same(changes, part)
                _, self.notes = await copy.engine.refresh(copy.file, scope, self._options.message, self._on_step)
                return
            stream = _allowed(await copy.engine.preview_destroy(copy.file))
            self._same(changes, self._steps(stream, "user"))
            _, self.notes = await copy.engine.destroy(copy.file, Scope(), self._options.message, self._on_step)

    def _same(self, approved: Sequence[Change], planned: Sequence[Change], *, rest: bool = False) -> None:
        """Raises `StalePlan` when the engine now plans anything else than what was approved."""
        found = differences(approved, planned)
        if rest:  # a narrowed update always runs the program, whose outputs are the stack's own
            found = tuple(one for one in found if ROOT_TYPE not in one)
        if found:
            raise StalePlan(
                f"{self.id}: the engine now plans something else than what was approved: {'; '.join(found[:5])}",
                hint="run: sophia plan",
                details={"differences": list(found)},
            )

    # -- judging --------------------------------------------------------------------------------------------------------------

    def compare(self, changes: Sequence[Change], before: Snapshot, after: Snapshot) -> Comparison:
        """Hold the state after a write against what was planned, resource by resource."""
        return compare_stacks(changes, _state(before), _state(after))

    def undo(self, changes: Sequence[Change], before: Snapshot, now: Snapshot) -> tuple[Change, ...]:
        """What takes a write back: its configuration as it was, and the resources with it.

        Empty when no configuration was changed: then the program itself is what changed, and running it again would only
        make the same change again; `irreversible` says what cannot come back at all.
        """
        back = inverse_changes(changes, _state(before), _state(now))
        self._former, self._back = (_config_text(before), back) if back else (None, ())
        return back

    def irreversible(self, changes: Sequence[Change]) -> tuple[str, ...]:
        """What cannot be brought back after these changes, and why: to be said before they are applied."""
        return irreversible(changes)

    async def verify(
        self, changes: Sequence[Change], after: Snapshot, earlier: Sequence[Snapshot], wait_s: float
    ) -> Evidence:
        """Preview once more: nothing of what was changed may be left to change."""
        mode = _mode(changes)
        if mode == "destroy":
            state = _state(await self.read())
            return Evidence(not state.resources, tuple(f"{urn} is still there" for urn in state.resources))
        if mode == "up":
            snapshot = await self.read()
            async with self._copy(snapshot, self._written_with) as copy:
                part = self._part(snapshot, copy, await copy.engine.preview(copy.file), "config")
        else:
            part = await (self.propose_adopt if mode == "adopt" else self.propose_restore)(_urns(changes))
        touched = {*_urns(changes), *(change.target for change in changes if change.kind == "stack.config")}
        left = [change for change in part.changes if (_urn(change) or change.target) in touched]
        details = tuple(f"{change.action} {_urn(change) or change.target} is still planned" for change in left)
        return Evidence(False, details) if left else Evidence(True, _shown(part.outputs))

    # -- parts ------------------------------------------------------------------------------------------------------------------

    def _copy(self, snapshot: Snapshot, former: str | None) -> AbstractAsyncContextManager[Copy]:
        if not _state(snapshot).exists:
            return self._workspace.rehearsed(self._asked)
        return self._workspace.copied(self._asked, former)

    def _part(self, snapshot: Snapshot, copy: Copy, stream: Stream, source: str) -> Part:
        config = config_changes(self.id, copy.there, copy.sets)
        changes = (*config, *self._steps(stream, source))
        blocks = stream.refusals()
        notes = [*snapshot.notes, *(one.text() for one in stream.violations if one.level != "mandatory")]
        notes += [f"{self.id}: the engine sent an event of unknown kind {kind}" for kind in sorted(set(stream.unknown))]
        notes += [f"{self.id}: {one.message}" for one in stream.diagnostics if one.severity == "warning"]
        unknown = unknown_keys(self._workspace.project.name, self._options.config)
        notes += [f"{self.id}: {key} cannot be known here, so the stack keeps what it has" for key in unknown]
        if not _state(snapshot).exists:
            notes.append(f"{self.id}: the stack does not exist yet; it was previewed in a throw-away backend")
        return Part(
            snapshot=replace(snapshot, blocks=(*snapshot.blocks, *blocks)),
            changes=changes,
            unchanged=stream.unchanged,
            outputs=_outputs(stream),
            notes=tuple(dict.fromkeys(notes)),
        )

    def _previewed(self, copy: Copy, stream: Stream, scope: Scope, *, new: bool) -> tuple[Change, ...]:
        there = {} if new else copy.there
        sets = {**copy.there, **copy.sets} if new else copy.sets
        source = "drift" if scope.refresh else "config"
        return (*config_changes(self.id, there, sets), *self._steps(stream, source))

    def _steps(self, stream: Stream, source: str) -> tuple[Change, ...]:
        reason = "the resource is not as recorded" if source == "drift" else NAMED
        return changes_of(self.id, fold(stream.steps), source, reason)


def _shown(outputs: Mapping[str, Output]) -> tuple[str, ...]:
    """The outputs in one line, secrets masked; nothing where there are none."""
    texts = [f"{name} = {one.data()['value']}" for name, one in sorted(outputs.items())]
    return (f"outputs: {', '.join(texts)}",) if texts else ()


def _mode(changes: Sequence[Change]) -> Mode:
    """What a set of changes asks of the engine."""
    resources = [change for change in changes if change.kind == "stack.resource"]
    if any(change.action == "delete" and _is_root(change) for change in resources):
        return "destroy"
    if resources and all(change.action == "refresh" for change in resources):
        return "adopt"
    if resources and all(change.source == "drift" for change in changes):
        return "restore"
    return "up"


def _allowed(stream: Stream) -> Stream:
    """The preview, when nothing stands in the way of what it shows. Raises `Refused`."""
    if stream.refusals():
        raise Refused("; ".join(stream.refusals()), hint="change the program, or the policy pack")
    return stream


def _narrowed(approved: Sequence[Change], planned: Sequence[Change]) -> tuple[str, ...]:
    """The resources to narrow an update to, when only a part of what is planned was approved; else none."""
    if not differences(approved, planned):
        return ()
    extra = [change for change in planned if not any(same_steps(change, one) for one in approved)]
    missing = [change for change in approved if not any(same_steps(change, one) for one in planned)]
    if missing or any(change.kind == "stack.config" for change in extra):
        return ()
    return tuple(sorted({urn for urn in _urns(approved) if ROOT_TYPE not in urn}))


def _adopting(change: Change) -> Change:
    reason = "the state takes what is there" if change.after is not None else "the state forgets what is gone"
    return replace(change, action="refresh", source="drift", reason=reason)


def _outputs(stream: Stream) -> dict[str, Output]:
    """The outputs an update will publish, as far as the preview knows them."""
    ends = [step for step in sorted(stream.steps, key=lambda step: step.sequence) if step.type == ROOT_TYPE]
    last = next((step.new for step in reversed(ends) if step.phase == "end" and step.new is not None), None)
    return {} if last is None else {name: _output(value) for name, value in sorted(last.outputs.items())}


def _output(value: Any) -> Output:
    text = repr(value)
    if SECRET in text:
        return Output(None, True)
    return Output(None, False, False) if repr(UNKNOWN) in text else Output(value)


def _state(snapshot: Snapshot) -> StackState:
    if not isinstance(snapshot.content, StackState):
        raise IncompleteRead(f"{snapshot.target}: the snapshot holds no stack", hint="run: sophia plan")
    return snapshot.content


def _config_text(snapshot: Snapshot) -> str | None:
    text = snapshot.raw[0].get("config") if snapshot.raw else None
    return text if isinstance(text, str) else None


def _resource(change: Change) -> Resource | None:
    side = change.after if change.after is not None else change.before
    return side if isinstance(side, Resource) else None


def _urn(change: Change) -> str | None:
    resource = _resource(change)
    return None if resource is None else resource.urn


def _urns(changes: Sequence[Change]) -> tuple[str, ...]:
    return tuple(sorted({urn for change in changes if (urn := _urn(change)) is not None}))


def _is_root(change: Change) -> bool:
    resource = _resource(change)
    return resource is not None and resource.is_root
