"""Engine steps folded to one step a resource, with what each changes property by property. Reads no stream itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sophia_cli.core.changes import Action, Change
from sophia_cli.core.stacks import (
    ROOT_TYPE,
    SECRET,
    Property,
    PropertyKind,
    Resource,
    name_of,
    state_kind,
    type_of,
)

# What each operation of the engine means for the resource (Pulumi, `apitype.OpType`); None: nothing changes.
# `read` looks at a resource that others own, and `discard` only forgets it again.
MEANINGS: Mapping[str, Action | None] = {
    "same": None,
    "read": None,
    "create": "create",
    "update": "update",
    "delete": "delete",
    "replace": "replace",
    "create-replacement": "replace",
    "delete-replaced": "replace",
    "read-replacement": "replace",
    "discard-replaced": "replace",
    "remove-pending-replace": "replace",
    "import-replacement": "replace",
    "import": "import",
    "discard": "refresh",
    "refresh": "refresh",
}
_DIFF_KINDS: Mapping[str, PropertyKind] = {"add": "add", "delete": "delete", "update": "update"}


PROVIDER = "__provider"


@dataclass(frozen=True, slots=True)
class Side:
    """A resource before or after a step. Values are JSON data with secrets and unknown values already masked."""

    id: str = ""
    protect: bool = False
    inputs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    outputs: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class PathDiff:
    """What a provider says of one property. `is_input`: its old value stands in the old inputs, not in the outputs."""

    kind: str
    is_input: bool = False


@dataclass(frozen=True, slots=True)
class EngineStep:
    """One event of the engine about one resource. `sequence` orders events; they may arrive in any order.

    `phase` is `begin`, `end`, `failed`, or `unknown` for a kind of event nobody here has heard of.
    """

    sequence: int
    phase: str
    op: str
    urn: str
    type: str = ""
    old: Side | None = None
    new: Side | None = None
    keys: tuple[str, ...] = ()
    diffs: tuple[str, ...] = ()
    detailed: Mapping[str, PathDiff] = field(default_factory=dict, hash=False)
    planning: bool = False


@dataclass(frozen=True, slots=True)
class ResourceStep:
    """All events of one resource as one step. `ops` are the engine's own words, in order."""

    urn: str
    type: str
    action: Action
    ops: tuple[str, ...]
    before: Side | None
    after: Side | None
    properties: tuple[Property, ...] = ()
    keys: tuple[str, ...] = ()
    failed: bool = False
    done: bool = False

    @property
    def name(self) -> str:
        """The resource's own name."""
        return name_of(self.urn)


def fold(events: Iterable[EngineStep]) -> tuple[ResourceStep, ...]:
    """One step a resource that changes, by URN; deletes last. What is not understood becomes action `unknown`."""
    by_urn: dict[str, list[EngineStep]] = {}
    for event in sorted(events, key=lambda event: event.sequence):
        by_urn.setdefault(event.urn, []).append(event)
    steps = [step for urn, found in by_urn.items() if (step := _folded(urn, found)) is not None]
    return tuple(sorted(steps, key=lambda step: (step.action == "delete", step.urn)))


def _folded(urn: str, events: Sequence[EngineStep]) -> ResourceStep | None:
    ops = tuple(dict.fromkeys(event.op for event in events))
    action = _action(ops, events)
    telling = _telling(action, events)
    kind = next((event.type for event in reversed(events) if event.type), "") or type_of(urn)
    before, after = telling.old, telling.new
    is_root = kind == ROOT_TYPE
    if action is None and is_root and before is not None and after is not None and before.outputs != after.outputs:
        action = "update"
    if action is None or (action == "update" and _only_looked_at(events) and not _is_refreshed(events)):
        return None
    keys = tuple(dict.fromkeys(key for event in events for key in event.keys))
    return ResourceStep(
        urn=urn,
        type=kind,
        action=action,
        ops=ops,
        before=None if action in ("create", "import") else before,
        after=None if action == "delete" else after,
        properties=tuple(_properties(action, telling, keys, is_root)),
        keys=keys,
        failed=any(event.phase == "failed" for event in events),
        done=events[-1].phase == "end" and not events[-1].planning,
    )


def _action(ops: Sequence[str], events: Sequence[EngineStep]) -> Action | None:
    if any(op not in MEANINGS for op in ops) or any(event.phase == "unknown" for event in events):
        return "unknown"
    meanings = {MEANINGS[op] for op in ops} - {None}
    if meanings != {"refresh"}:
        meanings.discard("refresh")  # a step that follows a refresh says what becomes of the resource
    elif not _is_refreshed(events):
        return None
    # A delete beside anything else takes away the old copy of a resource that stays.
    if "replace" in meanings or ("delete" in meanings and len(set(ops) - {"refresh"}) > 1):
        return "replace"
    order: tuple[Action, ...] = ("delete", "import", "create", "update", "refresh")
    return next((action for action in order if action in meanings), None)


def _only_looked_at(events: Sequence[EngineStep]) -> bool:
    """Whether the events are those of a refresh alone, in which no step begins but refreshes."""
    return all(event.op == "refresh" for event in events if event.phase == "begin")


def _is_refreshed(events: Sequence[EngineStep]) -> bool:
    """Whether a refresh found something else than the state says; `discard` always changes the state.

    The engine calls it an update as soon as the resource is not as the program says, recorded or not. Where secrets are
    among the values nothing can be ruled out, but for the code of a dynamic provider, which is never read back.
    """
    last = events[-1]
    if last.op == "discard" or last.old is None or last.new is None:
        return True
    if last.old.outputs != last.new.outputs or last.old.inputs != last.new.inputs:
        return True
    return last.op == "update" and any(value == SECRET for path, value in _leaves(last.new.outputs) if path != PROVIDER)


def _telling(action: Action | None, events: Sequence[EngineStep]) -> EngineStep:
    """The event that shows both sides of the step best: the last of its own operation with the most sides."""
    own = [event for event in events if MEANINGS.get(event.op) == action] or list(events)
    sides = max((event.old is not None) + (event.new is not None) for event in own)
    return [event for event in own if (event.old is not None) + (event.new is not None) == sides][-1]


# -- properties ---------------------------------------------------------------------------------------------------------


def _properties(action: Action, event: EngineStep, keys: Sequence[str], is_root: bool) -> Iterator[Property]:
    old, new = event.old or Side(), event.new or Side()
    if is_root:
        yield from _structural(old.outputs, new.outputs, ())
    elif action in ("create", "import"):
        yield from (Property(path, None, value, "add") for path, value in _leaves(new.inputs))
    elif action == "delete":
        yield from (Property(path, value, None, "delete") for path, value in _leaves(old.inputs))
    elif event.detailed:
        yield from _detailed(event.detailed, old, new)
    else:
        found = list(_structural(old.inputs, new.inputs, keys))
        if not found and new.outputs:
            found = list(_structural(old.outputs, new.outputs, keys))
        yield from found or _hidden(new.inputs, keys)


def _detailed(detailed: Mapping[str, PathDiff], old: Side, new: Side) -> Iterator[Property]:
    """What the provider's own diff names; an output that the program does not set has its new value among the outputs."""
    for path, diff in sorted(detailed.items()):
        word, _, suffix = diff.kind.partition("-")
        steps = path_steps(path)
        before = _value_at(old.inputs if diff.is_input else old.outputs, steps)
        if before is None:
            before = _value_at(old.inputs, steps)
        after = _value_at(new.inputs, steps)
        if after is None and word != "delete":
            after = _value_at(new.outputs, steps)
        yield Property(path, before, after, _DIFF_KINDS.get(word, "update"), suffix == "replace")


def _structural(old: Mapping[str, Any], new: Mapping[str, Any], keys: Sequence[str]) -> Iterator[Property]:
    before, after = dict(_leaves(old)), dict(_leaves(new))
    for path in sorted(before.keys() | after.keys()):
        if path in before and path in after and before[path] == after[path]:
            continue
        kind: PropertyKind = "update" if path in before and path in after else "add" if path in after else "delete"
        yield Property(path, before.get(path), after.get(path), kind, str(path_steps(path)[0]) in keys)


def _hidden(inputs: Mapping[str, Any], keys: Sequence[str]) -> Iterator[Property]:
    """The secrets of a resource that changes although nothing that may be shown does: one of them must differ."""
    for path, value in _leaves(inputs):
        if value == SECRET:
            yield Property(path, SECRET, SECRET, "update", str(path_steps(path)[0]) in keys)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every scalar, empty map and empty list, with its path (Pulumi, "Property paths")."""
    if isinstance(value, Mapping) and (value or not path):
        for key in sorted(value):
            yield from _leaves(value[key], _joined(path, key))
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def leaves(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every scalar, empty map and empty list of a resource's properties, with its path."""
    return _leaves(value)


def _joined(path: str, key: str) -> str:
    if re.fullmatch(r"[A-Za-z_$][\w$-]*", key):
        return f"{path}.{key}" if path else key
    quoted = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'{path}["{quoted}"]'


def path_steps(path: str) -> tuple[str | int, ...]:
    """The steps of a property path such as `root.list[0]["key.with.dots"]`."""
    steps: list[str | int] = []
    for name, index, quoted in re.findall(r'([^.\[\]"]+)|\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]', path):
        if index and not name:
            steps.append(int(index))
        else:
            steps.append(name or re.sub(r"\\(.)", r"\1", quoted))
    return tuple(steps) or (path,)


def _value_at(value: Any, steps: Sequence[str | int]) -> Any:
    for step in steps:
        if isinstance(value, Mapping):
            value = value.get(str(step))
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            # What lies inside a secret is a secret.
            return value if value == SECRET else None
    return value


# -- changes ------------------------------------------------------------------------------------------------------------


def changes_of(target: str, steps: Iterable[ResourceStep], source: str, reason: str) -> tuple[Change, ...]:
    """The steps as changes of kind `stack.resource`, not yet rated and numbered."""
    return tuple(
        Change(target, "stack.resource", step.action, *resources_of(step), source=source, reason=_reason(step, reason))
        for step in steps
    )


def resources_of(step: ResourceStep) -> tuple[Resource | None, Resource | None]:
    """Both sides of a step as they are shown: only what changes."""
    before = {one.path: one.before for one in step.properties if one.kind != "add"}
    after = {one.path: one.after for one in step.properties if one.kind != "delete"}
    left = None if step.before is None and step.action != "unknown" else _resource(step, step.before or Side(), before)
    right = None if step.after is None else _resource(step, step.after, after)
    return left, right


def _resource(step: ResourceStep, side: Side, properties: Mapping[str, Any]) -> Resource:
    protect = any(one is not None and one.protect for one in (step.before, step.after))
    replaces = {*step.keys, *(one.path for one in step.properties if one.replaces)}
    return Resource(
        urn=step.urn,
        type=step.type,
        name=step.name,
        id=side.id,
        protect=protect,
        stateful=state_kind(step.type) is not None,
        properties=properties,
        replaces=tuple(sorted(replaces)) if step.action == "replace" else (),
    )


def _reason(step: ResourceStep, reason: str) -> str:
    if step.action == "unknown":
        return f"the engine plans {', '.join(step.ops)}, which is not understood here"
    if step.action == "replace" and step.keys:
        return f"{reason}; {', '.join(step.keys)} cannot be changed in place"
    return reason
