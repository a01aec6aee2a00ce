"""Rotating one secret: create, set, test, finish. The old value stays valid until the new one was used. Shows no value."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sophia_cli.core.changes import SECRET, Action, Change, ConfigValue
from sophia_cli.core.errors import CredentialsRejected, Refused, StateError
from sophia_cli.core.lasting import config_target, literal
from sophia_cli.core.ports import Clock
from sophia_cli.core.rotation import Consumer, New, Rotation, Rotations, Seals, Source
from sophia_cli.flows.events import Stream

PREVIOUS = "previous_secrets"
"""The section of the environment that holds the old value, as a secret, until the rotation is finished."""
MARKER = "fn::secret"
MARK_STEP_S = 1.1  # GitHub dates its secrets to the second


@dataclass(frozen=True, slots=True)
class Desk:
    """What a rotation works with: injected, so that the same flow serves the command and the tests."""

    environment: str
    source: Source
    consumers: Sequence[Consumer]
    rotations: Rotations
    seals: Seals
    clock: Clock
    stream: Stream
    stands: Callable[[str], Any]
    """The unevaluated value at a path of the environment's file, as it is now."""
    evaluated: Callable[[str], Awaitable[str | None]]
    """What the environment gives at a path, evaluated anew."""
    carry_out: Callable[[Sequence[Change]], Awaitable[None]]
    """Makes config.value changes through the one apply flow, consent and all. Raises what that raises."""
    new_id: Callable[[], str]
    known_ref: str | None = None
    """What the provider calls the value in use, where a person said so."""
    hold: bool = False
    """Stop before the old value goes: both stay valid until the command is run again."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """How far a rotation came, and what a person still has to do."""

    rotation: Rotation
    notes: tuple[str, ...] = ()


async def rotate(path: str, desk: Desk) -> Rotated:
    """Rotate the secret at a path, or take up the rotation of it that was stopped. Each step is saved before it is done.

    Raises `Refused` where the file does not hold the value itself, and the error of a step; the old value is valid then,
    and running it again goes on from that step (or, when the new value was refused, starts afresh).
    """
    last = await desk.rotations.load(path)
    if last is not None and last.step != "done":
        if last.kind != desk.source.kind:
            raise Refused(f"{path}: a rotation of kind {last.kind} is open", hint=f"finish it with --kind {last.kind}")
        if left := sorted(set(last.consumers) ^ {one.name for one in desk.consumers}):
            raise Refused(
                f"{path}: the open rotation has other consumers: {', '.join(left)}", hint="name the same ones"
            )
        rotation = last
    else:
        ref = desk.known_ref or (None if last is None else last.ref)
        places: dict[str, str | None] = {one.name: None for one in desk.consumers}
        standing = _standing(path, desk)
        rotation = Rotation(
            desk.new_id(), path, desk.source.kind, desk.clock.now(), old=desk.seals.seal(standing), old_ref=ref,
            consumers=places,
        )  # fmt: skip
        await _save(rotation, desk)
    new: New | None = None
    if rotation.step == "create":
        rotation, new = await _create(rotation, desk)
    if rotation.step == "set":
        rotation = await _set(rotation, new, desk)
    if rotation.step == "test":
        rotation = await _test(rotation, desk)
    if desk.hold:
        return Rotated(rotation, ("both values are valid; run the command without --hold to end the old one",))
    return await _finish(rotation, desk)


async def _save(rotation: Rotation, desk: Desk, said: str | None = None) -> None:
    await desk.rotations.save(rotation)
    await desk.stream.say(
        f"rotate.{said or rotation.step}", target=config_target(desk.environment), path=rotation.path, rotation=rotation.id,
        kind=rotation.kind,
    )  # fmt: skip


async def _create(rotation: Rotation, desk: Desk) -> tuple[Rotation, New]:
    """Make the new value; a second try removes what the first one left behind."""
    new = await desk.source.create(rotation, desk.clock.now())
    rotation = replace(rotation, step="set", pending=desk.seals.seal(literal(new.value)), ref=new.ref)
    await _save(rotation, desk)
    return rotation, new


async def _set(rotation: Rotation, new: New | None, desk: Desk) -> Rotation:
    """Put the value into the environment, the old one beside it, and hand it to the consumers."""
    inner = _inner(rotation.path, desk)
    if desk.seals.seal(desk.stands(inner)) != rotation.pending:
        if new is None:  # the process that made it was killed: its value is lost, or is made once more
            rotation, new = await _create(replace(rotation, step="create"), desk)
        try:
            await desk.carry_out(_swap(rotation, inner, desk))
        except Refused:
            await desk.source.abandon(rotation)
            await _save(
                replace(rotation, step="done", finished=desk.clock.now(), ref=rotation.old_ref), desk, "abandoned"
            )
            raise
    value = await _value(rotation, desk)
    for consumer in desk.consumers:
        if rotation.consumers.get(consumer.name) is None:
            marks = {**rotation.consumers, consumer.name: await consumer.mark()}
            rotation = replace(rotation, consumers=marks)
            await desk.rotations.save(rotation)
        if await consumer.mark() == rotation.consumers[consumer.name]:  # not handed over by an earlier try
            await consumer.put(value)
            if await consumer.mark() == rotation.consumers[consumer.name]:
                await desk.clock.sleep(MARK_STEP_S)  # the former copy was made within the same second
                await consumer.put(value)
    rotation = replace(rotation, step="test")
    await _save(rotation, desk)
    return rotation


async def _test(rotation: Rotation, desk: Desk) -> Rotation:
    """Use the value. When it is refused the old one is put back everywhere, and the new one is ended."""
    value = await _value(rotation, desk)
    try:
        await desk.source.test(value)
    except CredentialsRejected:
        await _put_back(rotation, desk)
        raise
    for consumer in desk.consumers:
        if await consumer.mark() == rotation.consumers.get(consumer.name):
            await _save(replace(rotation, step="set"), desk)
            raise StateError(f"{consumer.name} does not show the new value", hint="run the command again")
    rotation = replace(rotation, step="finish")
    await _save(rotation, desk)
    return rotation


async def _finish(rotation: Rotation, desk: Desk) -> Rotated:
    """End the old value, and only then forget it."""
    notes: list[str] = []
    if rotation.old_ref is not None:
        await desk.source.revoke(await _value(rotation, desk), rotation.old_ref)
    elif desk.source.kind != "generated":
        notes.append(f"the old {desk.source.kind} is still valid: which one it was is not known; end it by hand")
    place = _previous(rotation.path)
    standing = desk.stands(place)
    if standing is not None:
        before = ConfigValue(place, SECRET, desk.seals.seal(standing))
        await desk.carry_out([_change(desk, "delete", before, None, "the old value is not needed any more")])
    rotation = replace(rotation, step="done", finished=desk.clock.now())
    await _save(rotation, desk)
    return Rotated(rotation, tuple(notes))


async def _put_back(rotation: Rotation, desk: Desk) -> None:
    """The old value into its place and to the consumers again; the new one is abandoned."""
    inner, place = _inner(rotation.path, desk), _previous(rotation.path)
    old = desk.stands(place)
    if isinstance(old, dict) and MARKER in old:
        text = old[MARKER]
        now = ConfigValue(inner, SECRET, desk.seals.seal(desk.stands(inner)))
        back = ConfigValue(inner, SECRET, desk.seals.seal(text))
        kept = ConfigValue(place, SECRET, desk.seals.seal(old))
        why = "the new value was refused"
        await desk.carry_out([_change(desk, "update", now, back, why), _change(desk, "delete", kept, None, why)])
        value = await desk.evaluated(rotation.path)
        for consumer in desk.consumers:
            if value is not None:
                await consumer.put(value)
    await desk.source.abandon(rotation)
    await _save(replace(rotation, step="done", finished=desk.clock.now(), ref=rotation.old_ref), desk, "abandoned")


def _swap(rotation: Rotation, inner: str, desk: Desk) -> list[Change]:
    """The edits that install the new value and keep the old one beside it."""
    assert rotation.pending is not None
    standing = desk.stands(inner)
    before = ConfigValue(inner, SECRET, desk.seals.seal(standing))
    kept = {MARKER: standing}
    if inner == rotation.path:  # plain text until now: it becomes a secret
        fresh = {MARKER: desk.seals.opened(rotation.pending)}
        after = ConfigValue(inner, SECRET, desk.seals.seal(fresh))
    else:
        after = ConfigValue(inner, SECRET, rotation.pending)
    place, why = _previous(rotation.path), f"rotation {rotation.id}"
    changes = [_change(desk, "update", before, after, why)]
    there = desk.stands(place)
    old = None if there is None else ConfigValue(place, SECRET, desk.seals.seal(there))
    beside = ConfigValue(place, SECRET, desk.seals.seal(kept))
    if old != beside:
        changes.append(_change(desk, "create" if old is None else "update", old, beside, why))
    return changes


def _change(desk: Desk, action: Action, before: ConfigValue | None, after: ConfigValue | None, why: str) -> Change:
    return Change(config_target(desk.environment), "config.value", action, before, after, "user", why)


def _previous(path: str) -> str:
    return f"{PREVIOUS}.{path}" if path.isidentifier() else f"{PREVIOUS}[{json.dumps(path)}]"


def _inner(path: str, desk: Desk) -> str:
    """The path of the text itself: inside `fn::secret` where the value is marked so."""
    standing = desk.stands(path)
    return f'{path}["{MARKER}"]' if isinstance(standing, dict) and MARKER in standing else path


def _standing(path: str, desk: Desk) -> Any:
    """The text in the file. Raises `Refused` where the file does not hold it as such."""
    standing = desk.stands(_inner(path, desk))
    if standing is None:
        raise Refused(
            f"{path}: the environment's own file does not hold this value",
            hint="rotate it where it is written: an import, a process variable or Pulumi Cloud",
        )
    if not isinstance(standing, str) or "${" in standing:
        kind = "a reference" if isinstance(standing, str) else "no plain text"
        raise Refused(f"{path}: {kind} stands there, which cannot be replaced in place")
    return standing


async def _value(rotation: Rotation, desk: Desk) -> str:
    """The new value as the environment gives it. Raises `StateError` when it gives something else."""
    value = await desk.evaluated(rotation.path)
    if value is None or desk.seals.seal(literal(value)) != rotation.pending:
        raise StateError(
            f"{rotation.path}: the environment does not give the value of rotation {rotation.id}",
            hint="was the file edited meanwhile? sophia config explain tells where the value comes from",
        )
    return value
