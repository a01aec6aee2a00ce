"""Stacks held against plans: what was approved and what is planned now, what came of it, what can be taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sophia_cli.core.canonical import digest_of
from sophia_cli.core.changes import Change, ConfigValue
from sophia_cli.core.comparison import Comparison
from sophia_cli.core.plan import State
from sophia_cli.core.stacks import ROOT_TYPE, SECRET, UNKNOWN, Resource, StackState, name_of


def differences(approved: Sequence[Change], planned: Sequence[Change]) -> tuple[str, ...]:
    """How what is planned now differs from what was approved, in words; empty when it is the same.

    A value that one side does not know yet agrees with any.
    """
    left, right = _by_place(approved), _by_place(planned)
    found = []
    for place in sorted(left.keys() | right.keys()):
        text = " ".join(place)
        if place not in right:
            found.append(f"{left[place].action} {text} is not planned any more")
        elif place not in left:
            found.append(f"{right[place].action} {text} was not approved")
        elif not same_steps(left[place], right[place]):
            found.append(f"{text} is planned otherwise ({right[place].action})")
    return tuple(found)


def same_steps(one: Change, other: Change) -> bool:
    """Whether two changes say the same of the same thing, apart from who asked for it and why."""
    if (one.kind, one.action, _place(one)) != (other.kind, other.action, _place(other)):
        return False
    return all(_agree(left, right) for left, right in ((one.before, other.before), (one.after, other.after)))


def _agree(one: Any, other: Any) -> bool:
    if isinstance(one, Resource) and isinstance(other, Resource):
        if one.properties.keys() != other.properties.keys() or one.protect != other.protect:
            return False
        if one.replaces != other.replaces:
            return False
        return all(_equal(value, other.properties[path]) for path, value in one.properties.items())
    if isinstance(one, ConfigValue) and isinstance(other, ConfigValue):
        return bool(one.value == other.value)
    return one is None and other is None


def _equal(one: Any, other: Any) -> bool:
    return UNKNOWN in (one, other) or bool(one == other)


def _by_place(changes: Sequence[Change]) -> dict[tuple[str, str], Change]:
    return {_place(change): change for change in changes}


def _place(change: Change) -> tuple[str, str]:
    side = change.after if change.after is not None else change.before
    if isinstance(side, Resource):
        return (side.type, side.urn)
    return ("configuration", side.path if isinstance(side, ConfigValue) else "")


# -- what came of it ------------------------------------------------------------------------------------------------------


def compare_stacks(changes: Sequence[Change], before: StackState, after: StackState) -> Comparison:
    """A stack's state after a write held against what was planned for it.

    The stack's own resource and its providers come and go with the others, so they are neither lost nor foreign.
    """
    touched = {side.urn for change in changes if isinstance(side := _side(change), Resource)}
    lost, foreign = [], []
    for urn in sorted(before.resources.keys() | after.resources.keys()):
        if urn in touched or _is_bookkeeping(urn, before, after):
            continue
        if urn not in after.resources:
            lost.append(f"{name_of(urn)} ({before.resources[urn].type}) is gone")
        elif urn not in before.resources:
            foreign.append(f"{name_of(urn)} ({after.resources[urn].type})")
        elif before.resources[urn].inputs != after.resources[urn].inputs:
            lost.append(f"{name_of(urn)} ({before.resources[urn].type}) was changed")
    return Comparison(tuple(_state_of(change, before, after) for change in changes), tuple(lost), tuple(foreign))


def _is_bookkeeping(urn: str, before: StackState, after: StackState) -> bool:
    entry = after.resources.get(urn) or before.resources[urn]
    return entry.type == ROOT_TYPE or entry.type.startswith("pulumi:providers:")


def _state_of(change: Change, before: StackState, after: StackState) -> State:
    side = _side(change)
    if isinstance(side, ConfigValue):
        return _config_state(side.path, before.config, after.config, gone=change.after is None)
    if not isinstance(side, Resource):
        return "neither"
    old, new = before.resources.get(side.urn), after.resources.get(side.urn)
    if f"{side.urn}#to-be-deleted" in after.resources and change.action == "replace":
        return "neither"
    if change.action == "delete" or (change.action == "refresh" and change.after is None):
        return "after" if new is None else "before" if new == old else "neither"
    if new is None:
        return "before" if old is None else "neither"
    if change.action in ("create", "import"):
        return "after"
    if side.is_root:
        return _root_state(change, after, before)
    if change.action == "replace" and old is not None and old.id and old.id == new.id and new == old:
        return "before"
    expected = change.after.properties if isinstance(change.after, Resource) else {}
    if change.action == "refresh":
        return _values_state(expected, old.values if old else {}, new.values, same=new == old)
    return _values_state(expected, old.inputs if old else {}, new.inputs, same=new == old)


def _values_state(expected: Mapping[str, Any], old: Mapping[str, str], new: Mapping[str, str], *, same: bool) -> State:
    """By the inputs that may be compared; outputs, secrets and values that were not known say only that something changed."""
    told = {path: value for path, value in expected.items() if path in new and not _is_hidden(value)}
    if told and all(new[path] == digest_of(value) for path, value in told.items()):
        return "after"
    if same:
        return "before"
    if not told:
        return "after"
    return "before" if all(new.get(path) == old.get(path) for path in told) else "neither"


def _root_state(change: Change, after: StackState, before: StackState) -> State:
    expected = change.after.properties if isinstance(change.after, Resource) else {}
    shown = {name: output.data()["value"] for name, output in after.outputs.items()}
    told = {path: value for path, value in expected.items() if path in shown and not _is_hidden(value)}
    if all(shown[path] == value for path, value in told.items()):
        return "after" if told or after.outputs != before.outputs else "before"
    return "before" if after.outputs == before.outputs else "neither"


def _config_state(path: str, before: Mapping[str, str], after: Mapping[str, str], *, gone: bool) -> State:
    if gone:
        return "after" if path not in after else "before" if after[path] == before.get(path) else "neither"
    if path not in after:
        return "before" if path not in before else "neither"
    return "before" if after[path] == before.get(path) else "after"


def _is_hidden(value: Any) -> bool:
    return isinstance(value, str) and (SECRET in value or value == UNKNOWN)


def _side(change: Change) -> Any:
    return change.after if change.after is not None else change.before


# -- what can be taken back -------------------------------------------------------------------------------------------------


def irreversible(changes: Sequence[Change]) -> tuple[str, ...]:
    """What cannot be brought back once these changes are made, and why."""
    found = []
    for change in changes:
        side = change.before
        if not isinstance(side, Resource) or change.action not in ("delete", "replace"):
            continue
        if side.stateful:
            found.append(
                f"{side.name} ({side.type}): what it holds is lost when it is {change.action}d; it comes back empty at best"
            )
        elif any(_is_hidden(value) for value in side.properties.values()):
            found.append(f"{side.name} ({side.type}): it can be made again, with another id and new computed values")
    return tuple(found)


def inverse_changes(changes: Sequence[Change], before: StackState, now: StackState) -> tuple[Change, ...]:
    """The inverse of the changes that are not as before; empty when no configuration was to change.

    Without a change of configuration the program itself is what changed, and only its author can take that back. An update
    that was cut off may have changed resources before its configuration was recorded: that one is run again as it was.
    """
    if not any(change.kind == "stack.config" for change in changes) or not before.exists:
        return ()
    done = [change for change in changes if _state_of(change, before, now) != "before"]
    return tuple(change.inverse() for change in reversed(done))
