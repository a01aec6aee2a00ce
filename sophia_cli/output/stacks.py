"""Stacks for people and scripts: what there is, what it holds and publishes, its history, how it drifted. Shows no secret."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import SecretStr

from sophia_cli.core.changes import Change
from sophia_cli.core.history import timestamp
from sophia_cli.core.stacks import Output, Resource, StackState, name_of, state_kind
from sophia_cli.output.foreign import escaped
from sophia_cli.output.style import Palette, counted

WIDTH = 80
_RESULTS = {"succeeded": "green", "failed": "red"}


@dataclass(frozen=True, slots=True)
class Past:
    """One update of a stack. `result` is the engine's own word; `changes` counts resources by operation."""

    version: int
    kind: str
    result: str
    started: datetime
    ended: datetime | None
    message: str
    changes: tuple[tuple[str, int], ...]

    def data(self) -> dict[str, Any]:
        """The public shape (`sophia.stack/1`, `updates`)."""
        return {
            "version": self.version,
            "kind": self.kind,
            "result": self.result,
            "started": timestamp(self.started),
            "ended": None if self.ended is None else timestamp(self.ended),
            "message": self.message,
            "changes": dict(self.changes),
        }


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack as it is shown; a part that was not asked for, or could not be read, is None."""

    environment: str
    target: str
    expires: datetime | None = None
    state: StackState | None = None
    updates: Sequence[Past] | None = None
    outputs: dict[str, Output] | None = None
    drift: Sequence[Change] | None = None
    problem: str | None = None
    reveal: bool = False
    with_resources: bool = True

    def data(self) -> dict[str, Any]:
        """The public shape: one entry of `stacks` (`sophia.stack/1`)."""
        found: dict[str, Any] = {
            "environment": self.environment,
            "target": self.target,
            "expires": None if self.expires is None else timestamp(self.expires),
            "problem": self.problem,
        }
        if self.state is not None:
            found |= {"exists": self.state.exists, "resource_count": _count(self.state)}
            found |= {"pending": list(self.state.pending)}
            if self.with_resources:
                found["resources"] = _resources(self.state)
        if self.updates is not None:
            found["updates"] = [update.data() for update in self.updates]
        if self.outputs is not None:
            found["outputs"] = {
                name: {**output.data(), "value": _value(output, self.reveal)}
                for name, output in sorted(self.outputs.items())
            }
        if self.drift is not None:
            found["drift"] = [entry for change in self.drift for entry in _drifted(change)]
        return found


def data(stacks: Sequence[Stack]) -> dict[str, Any]:
    """The public shape (`sophia.stack/1`)."""
    return {"stacks": [stack.data() for stack in stacks]}


def _count(state: StackState) -> int:
    return len(_resources(state))


def _resources(state: StackState) -> list[dict[str, Any]]:
    """What the stack holds; its own entry and its providers are bookkeeping."""
    return [
        {
            "urn": urn,
            "type": one.type,
            "name": name_of(urn),
            "id": one.id,
            "protect": one.protect,
            "stateful": state_kind(one.type) is not None,
        }
        for urn, one in sorted(state.resources.items())
        if not one.type.startswith(("pulumi:pulumi:", "pulumi:providers:"))
    ]


def _value(output: Output, reveal: bool) -> Any:
    if reveal and isinstance(output.value, SecretStr):
        return json.loads(output.value.get_secret_value())
    return output.data()["value"]


def _drifted(change: Change) -> Iterator[dict[str, Any]]:
    """One entry a property; a resource that is gone, or only there, is one entry without a property."""
    sides = [side if isinstance(side, Resource) else None for side in (change.before, change.after)]
    resource = sides[0] or sides[1]
    if resource is None:
        return
    recorded, there = sides
    about = {"urn": resource.urn, "type": resource.type, "name": resource.name}
    if recorded is None or there is None:
        yield {**about, "property": None, "recorded": recorded is not None, "there": there is not None}
        return
    for path in sorted({*recorded.properties, *there.properties}):
        values = {"recorded": recorded.properties.get(path), "there": there.properties.get(path)}
        yield {**about, "property": path, **values}


# -- text ---------------------------------------------------------------------------------------------------------------


def listed(stacks: Sequence[Stack], *, colour: bool = False) -> str:
    """One line a stack."""
    palette = Palette(colour)
    if not stacks:
        return "The environment has no stacks: name them under pulumi.stacks.\n"
    lines = []
    for stack in stacks:
        lines.append(f"{palette.paint('bold', escaped(stack.environment))}  {_cut(stack.target, WIDTH)}")
        lines.append(f"  {_state_words(stack, palette)}")
        if stack.expires is not None:
            lines.append(palette.paint("yellow", f"  expires {stack.expires:%Y-%m-%d %H:%M %Z}".rstrip()))
    return "\n".join(lines) + "\n"


def _state_words(stack: Stack, palette: Palette) -> str:
    if stack.problem is not None:
        return palette.paint("red", _cut(stack.problem, 4 * WIDTH))
    if stack.state is None or not stack.state.exists:
        return palette.paint("dim", "not there yet; sophia deploy makes it")
    words = [counted(_count(stack.state), "resource")]
    if stack.updates:
        words.append(f"last {_update_words(stack.updates[0], palette)}")
    return ", ".join(words)


def _update_words(update: Past, palette: Palette) -> str:
    result = palette.paint(_RESULTS.get(update.result, "yellow"), escaped(update.result))
    return f"{escaped(update.kind)} {update.started:%Y-%m-%d %H:%M} UTC {result}"


def shown(stack: Stack, *, colour: bool = False) -> str:
    """One stack with its resources."""
    palette = Palette(colour)
    lines = listed([stack], colour=colour).splitlines()
    if stack.state is not None:
        for one in _resources(stack.state):
            marks = [mark for mark in ("protect", "stateful") if one[mark]]
            more = f"  {palette.paint('yellow', ', '.join(marks))}" if marks else ""
            lines.append(f"  {_cut(one['type'], 38):38} {_cut(one['name'], 24)}{more}")
        lines += [palette.paint("red", f"  cut off: {escaped(one)}") for one in stack.state.pending]
    return "\n".join(lines) + "\n"


def outputs(stack: Stack, *, colour: bool = False) -> str:
    """What a stack publishes, one line each."""
    found = stack.outputs or {}
    if not found:
        return f"{escaped(stack.target)} publishes nothing.\n"
    width = min(max(map(len, found)), 30)
    return "".join(
        f"{_cut(name, 30):{width}}  {_plain(_value(output, stack.reveal), WIDTH * 4)}\n"
        for name, output in sorted(found.items())
    )


def history(stack: Stack, *, colour: bool = False) -> str:
    """The updates of a stack, newest first."""
    palette = Palette(colour)
    if not stack.updates:
        return f"{escaped(stack.target)} has no history.\n"
    lines = []
    for update in stack.updates:
        counts = ", ".join(f"{number} {escaped(op)}" for op, number in update.changes if op != "same")
        lines.append(f"{update.version:4}  {_update_words(update, palette)}  {_cut(counts or 'nothing changed', 40)}")
        if update.message:
            lines.append(palette.paint("dim", f"      {_cut(update.message, WIDTH - 6)}"))
    return "\n".join(lines) + "\n"


def drift(stack: Stack, *, colour: bool = False) -> str:
    """How the resources differ from what is recorded, by resource and property."""
    palette = Palette(colour)
    entries = [entry for change in stack.drift or () for entry in _drifted(change)]
    if not entries:
        return f"{escaped(stack.target)}: every resource is as recorded.\n"
    lines, last = [], ""
    for entry in entries:
        if entry["urn"] != last:
            lines.append(palette.paint("bold", f"{_cut(entry['name'], 30)}  {_cut(entry['type'], 46)}"))
            last = entry["urn"]
        if entry["property"] is None:
            lines.append(palette.paint("red", "  is gone" if entry["recorded"] else "  is not recorded"))
            continue
        lines.append(f"  {_cut(entry['property'], WIDTH - 2)}")
        lines.append(f"    recorded  {palette.paint('green', _plain(entry['recorded'], WIDTH - 14))}")
        lines.append(f"    there     {palette.paint('red', _plain(entry['there'], WIDTH - 14))}")
    names = " ".join(dict.fromkeys(escaped(entry["name"]) for entry in entries))
    lines.append("")
    lines.append(f"put back: sophia stack restore {names}")
    lines.append(f"take over: sophia stack adopt {names}")
    return "\n".join(lines) + "\n"


def _plain(value: Any, width: int) -> str:
    if value is None:
        return "-"
    return _cut(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), width)


def _cut(text: str, width: int) -> str:
    """Foreign text safe for a terminal and no longer than `width`."""
    text = escaped(text.replace("\n", " "))
    return text if len(text) <= width else f"{text[: width - 3]}..."
