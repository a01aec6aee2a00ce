"""A secret as a target: its new value is made beside the old one, handed over and used; the old one ends in a plan of its own.

The steps are those of AWS Secrets Manager's rotation functions (create, set, test, finish). Keeps and shows no value.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sophia_cli.core.changes import Change
from sophia_cli.core.comparison import Comparison
from sophia_cli.core.errors import Refused, StateError
from sophia_cli.core.history import Snapshot
from sophia_cli.core.lasting import literal
from sophia_cli.core.plan import State
from sophia_cli.core.ports import Clock, EnvironmentFile, Evidence, Part
from sophia_cli.core.rotation import Consumer, Rotation, Rotations, Seals, Source
from sophia_cli.core.secret_versions import MARKED, MARKER, VALUE, SecretState, SecretVersions, secret_target, text_path
from sophia_cli.core.stacks import Output

MARK_STEP_S = 1.1  # GitHub dates its secrets to the second


class SecretTarget:
    """One secret of an environment that its own file holds.

    `evaluated` is what the environment gives at the path, evaluated anew; `told` hears of each step. `known_ref` is what
    the provider calls the value in use, where a person said so.
    """

    def __init__(
        self,
        path: str,
        file: EnvironmentFile,
        source: Source,
        consumers: Sequence[Consumer],
        rotations: Rotations,
        seals: Seals,
        clock: Clock,
        evaluated: Callable[[], Awaitable[str | None]],
        new_id: Callable[[], str],
        told: Callable[[Rotation, str], Awaitable[None]],
        known_ref: str | None = None,
    ) -> None:
        self._path = path
        self._file = file
        self._source = source
        self._consumers = consumers
        self._rotations = rotations
        self._seals = seals
        self._clock = clock
        self._evaluated = evaluated
        self._new_id = new_id
        self._told = told
        self._known_ref = known_ref
        self._made: dict[str, Output] = {}

    @property
    def id(self) -> str:
        """`secret:PATH`."""
        return secret_target(self._path)

    async def read(self) -> Snapshot:
        """The secret as it stands in the file, at its provider and at its consumers. Raises where the file has no text."""
        await self._file.read()
        standing = self._seals.seal(self._standing())
        last = await self._rotations.load(self._path)
        refs = await self._source.refs(await self._acting())
        is_open = last is not None and last.step != "done"
        state = SecretState(
            path=self._path,
            value=standing,
            rotation="" if last is None else last.id,
            step="done" if last is None else last.step,
            is_set=last is not None and last.sealed_by == self._seals.name and standing == last.pending,
            made=tuple(sorted(ref for ref, maker in refs.items() if is_open and last is not None and maker == last.id)),
            old_lives=last is None or last.old_ref is None or not self._source.lists or last.old_ref in refs,
            marks={one.name: await one.mark() for one in self._consumers},
        )
        return Snapshot(self.id, self._clock.now(), state)

    async def propose(self) -> Part:
        """A new value beside the old one; or, where one is in use already, the end of the old one."""
        snapshot = await self.read()
        state, last = _state(snapshot), await self._rotations.load(self._path)
        if last is not None and last.step != "done":
            self._refuse_another(last)
        if self._known_ref is not None and self._known_ref not in await self._source.refs(await self._acting()):
            what = f"{self._source.kind} called {self._known_ref}"
            raise Refused(f"{self._path}: there is no {what}", hint="check --old-id")
        if last is None or last.step == "done":
            return Part(snapshot, (self._begin(last, self._new_id()),))
        if state.is_set:
            return Part(snapshot, (self._end(last),), notes=self._notes(last))
        if last.old != state.value:
            raise StateError(
                f"{self._path}: the environment does not give the value of rotation {last.id}, nor the one before it",
                hint=f"see which value is in use; then remove {self._rotations.place(self._path)} and rotate again",
            )
        return Part(snapshot, (self._begin(last, last.id),))

    async def outputs(self) -> Mapping[str, Output]:
        """The keyed digests of the new text, plain and marked as secret, once this process has made it."""
        return self._made

    async def preflight(self, fresh: Snapshot) -> tuple[str, ...]:
        """Nothing else forbids it."""
        return ()

    async def write(self, changes: Sequence[Change], fresh: Snapshot) -> None:
        """Make, hand over and use a new value; or end the old one; or take the new one back. Each step is saved first."""
        for change in changes:
            before, after = change.before, change.after
            if not isinstance(after, SecretVersions) or not isinstance(before, SecretVersions):
                continue
            if not after.is_alone:
                await self._introduce(before, after)
            elif after.current == before.current:
                await self._finish()
            else:
                await self._abandon(before.current)

    def compare(self, changes: Sequence[Change], before: Snapshot, after: Snapshot) -> Comparison:
        """Hold how far the rotation is against what was planned."""
        return Comparison(tuple(self._compared(change, _state(before), _state(after)) for change in changes))

    async def verify(
        self, changes: Sequence[Change], before: Snapshot, earlier: Sequence[Snapshot], wait_s: float
    ) -> Evidence:
        """The new value was used before it counted as made; an old one is no longer listed."""
        return Evidence(True, ("the value in use was accepted",) if self._source.lists else ())

    def undo(self, changes: Sequence[Change], before: Snapshot, now: Snapshot) -> tuple[Change, ...]:
        """The new value goes again. What has ended cannot come back."""
        return tuple(
            change.inverse()
            for change in reversed(changes)
            if isinstance(change.after, SecretVersions)
            and not change.after.is_alone
            and self._compared(change, _state(before), _state(now)) != "before"
        )

    # -- what is planned ------------------------------------------------------------------------------------------------

    def _begin(self, last: Rotation | None, id: str) -> Change:
        ref = self._known_ref or (None if last is None else last.old_ref if last.step != "done" else last.ref)
        old = ref or (last.id if last is not None and last.step == "done" else "the value in use")
        before = SecretVersions(self._path, self._source.kind, old, None, self._names())
        after = replace(before, current=id, beside=old)
        reason = "the old value stays valid until the new one was used and stands in the environment"
        return Change(self.id, "secret.rotate", "update", before, after, "user", reason)

    def _end(self, last: Rotation) -> Change:
        old = last.old_ref or "the value before it"
        before = SecretVersions(self._path, last.kind, last.id, old, self._names())
        reason = "the new value was used and is in its place, so the old one ends"
        return Change(self.id, "secret.rotate", "update", before, replace(before, beside=None), "user", reason)

    def _notes(self, last: Rotation) -> tuple[str, ...]:
        if last.old_ref is not None or not self._source.lists:
            return ()
        return (f"the old {last.kind} is still valid: which one it was is not known; end it by hand",)

    def _refuse_another(self, last: Rotation) -> None:
        """Raise `Refused` where the open rotation is not one that this call can take up."""
        if last.sealed_by != self._seals.name:
            raise Refused(
                f"{self._path}: a rotation of it that began {last.started:%Y-%m-%d %H:%M} UTC is open on another machine",
                hint=f"finish it there; if that machine is gone, see which value is in use, and remove "
                f"{self._rotations.place(self._path)}",
            )
        if last.kind != self._source.kind:
            raise Refused(
                f"{self._path}: a rotation of kind {last.kind} is open", hint=f"finish it with --kind {last.kind}"
            )
        if left := sorted(set(last.consumers) ^ set(self._names())):
            raise Refused(
                f"{self._path}: the open rotation has other consumers: {', '.join(left)}", hint="name the same ones"
            )

    def _compared(self, change: Change, before: SecretState, now: SecretState) -> State:
        """Where a change stands. A new value whose text no process has any more is neither made nor not made."""
        old, new = change.before, change.after
        if not isinstance(old, SecretVersions) or not isinstance(new, SecretVersions):
            return "neither"
        if not new.is_alone:
            if now.rotation == new.current and now.step == "finish" and (now.is_set or self._made):
                return "after"
            is_open = now.rotation == new.current and now.step not in ("create", "done")
            return "neither" if is_open or now.made != before.made or now.marks != before.marks else "before"
        if now.rotation != old.current or now.step == "done":
            return "after"
        if new.current == old.current and not now.old_lives:  # ended, and not yet noted as such
            return "after"
        return "before" if now.step == "finish" else "neither"

    # -- what is written ------------------------------------------------------------------------------------------------

    async def _introduce(self, before: SecretVersions, after: SecretVersions) -> None:
        """Create, set, test: the old value stays valid, and the environment keeps it until its edit is written."""
        old_ref = before.current if before.current in await self._source.refs(await self._acting()) else None
        rotation = Rotation(
            after.current, self._path, self._source.kind, self._clock.now(), old=self._seals.seal(self._standing()),
            old_ref=old_ref, consumers=dict.fromkeys(self._names()), sealed_by=self._seals.name,
        )  # fmt: skip
        await self._save(rotation)
        new = await self._source.create(rotation, self._clock.now(), await self._acting())
        text = literal(new.value)
        rotation = replace(rotation, step="set", pending=self._seals.seal(text), ref=new.ref)
        await self._save(rotation)
        for consumer in self._consumers:
            rotation = replace(rotation, consumers={**rotation.consumers, consumer.name: await consumer.mark()})
            await self._rotations.save(rotation)
            await self._hand_over(consumer, new.value, rotation)
        rotation = replace(rotation, step="test")
        await self._save(rotation)
        await self._source.test(new.value)
        for consumer in self._consumers:
            if await consumer.mark() == rotation.consumers[consumer.name]:
                raise StateError(f"{consumer.name} does not show the new value", hint="run the command again")
        await self._save(replace(rotation, step="finish"))
        self._made = {VALUE: Output(self._seals.seal(text)), MARKED: Output(self._seals.seal({MARKER: text}))}

    async def _hand_over(self, consumer: Consumer, value: str, rotation: Rotation) -> None:
        await consumer.put(value)
        if await consumer.mark() == rotation.consumers.get(consumer.name):
            await self._clock.sleep(MARK_STEP_S)  # the former copy was made within the same second
            await consumer.put(value)

    async def _abandon(self, id: str) -> None:
        """The consumers get the old value back, and what the rotation made is ended."""
        rotation = await self._rotations.load(self._path)
        if rotation is None or rotation.id != id or rotation.step == "done":
            return
        await self._file.read()
        if rotation.sealed_by != self._seals.name or self._seals.seal(self._standing()) != rotation.old:
            raise Refused(
                f"{self._path}: the environment here does not hold the value from before rotation {rotation.id}",
                hint="run sophia heal on the machine that began it",
            )
        acting = await self._acting()
        for consumer in self._consumers:
            marked = rotation.consumers.get(consumer.name)
            if marked is not None and await consumer.mark() != marked:
                await consumer.put(acting)
        await self._source.abandon(rotation, acting)
        await self._save(replace(rotation, step="done", finished=self._clock.now(), ref=rotation.old_ref), "abandoned")
        self._made = {}

    async def _finish(self) -> None:
        """End the old value, acting with the new one, and only then count the rotation as done."""
        rotation = await self._rotations.load(self._path)
        acting = await self._acting()
        if rotation is None or self._seals.seal(self._standing()) != rotation.pending:
            raise StateError(
                f"{self._path}: the environment does not give the value of its rotation",
                hint="was the file edited meanwhile? sophia config explain tells where the value comes from",
            )
        if rotation.old_ref is not None:
            await self._source.revoke(acting, rotation.old_ref)
        await self._save(replace(rotation, step="done", finished=self._clock.now()))

    async def _save(self, rotation: Rotation, said: str | None = None) -> None:
        """Note a step durably before it is done, and say so."""
        await self._rotations.save(rotation)
        await self._told(rotation, said or rotation.step)

    # -- what stands there ----------------------------------------------------------------------------------------------

    def _names(self) -> tuple[str, ...]:
        return tuple(sorted(one.name for one in self._consumers))

    def _standing(self) -> str:
        """The text in the file as last read. Raises `Refused` where the file does not hold it as such."""
        standing: Any = self._file.source(text_path(self._path, self._file.source(self._path)))
        if standing is None:
            raise Refused(
                f"{self._path}: the environment's own file does not hold this value",
                hint="rotate it where it is written: an import, a process variable or Pulumi Cloud",
            )
        if not isinstance(standing, str) or "${" in standing.replace("$$", ""):
            kind = "a reference" if isinstance(standing, str) else "no plain text"
            raise Refused(f"{self._path}: {kind} stands there, which cannot be replaced in place")
        return standing

    async def _acting(self) -> str:
        """The value in use. Raises `StateError` where the environment gives another one than its file holds."""
        value = await self._evaluated()
        if value is None or value != self._standing().replace("$$", "$"):
            raise StateError(
                f"{self._path}: the environment gives another value than its own file holds",
                hint="was the file edited meanwhile? sophia config explain tells where the value comes from",
            )
        return value


def _state(snapshot: Snapshot) -> SecretState:
    if not isinstance(snapshot.content, SecretState):
        raise StateError(f"{snapshot.target}: the snapshot holds no secret", hint="sophia secrets list")
    return snapshot.content
