"""The inventory of secrets for people. No value is at hand here, and foreign text is escaped."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from sophia_cli.output.foreign import escaped
from sophia_cli.output.style import Palette, counted

_WIDTH = 80


def secrets_text(data: Mapping[str, Any], *, colour: bool = False) -> str:
    """The inventory (`sophia.secrets/1`): each secret with age and rotation, then what lies open, then the gaps."""
    palette = Palette(colour)
    lines: list[str] = []
    for one in data["secrets"]:
        state = "due" if one["is_due"] else "-" if one["due"] is None else f"{one['due'][:10]}"
        age = counted(one["age_days"], "day")
        by = f", {one['provider']}" if one["provider"] else ""
        lines.append(f"{palette.padded('yellow' if one['is_due'] else 'dim', state, 12)}{escaped(one['path'])}")
        lines += _wrap(f"{one['kind']}{by}; {age} old; {_written(one)}; rotation: {_rotation(one)}")
        if one["is_due"]:
            for number, step in enumerate(one["steps"], 1):
                lines += _wrap(f"{number}. {step}")
    if data["exposed"]:
        lines += ["", f"lying open ({len(data['exposed'])}):"]
        for one in data["exposed"]:
            lines.append(f"{palette.padded('red', one['where'], 12)}{escaped(one['place'])}")
            lines += _wrap(f"{one['kind']}, {one['length']} characters; {one['help']}")
    for gap in data["not_tested"]:
        lines += ["", *textwrap.wrap(f"not looked at: {gap['id']}: {escaped(gap['why'])}", _WIDTH)]
    summary = data["summary"]
    lines += [
        "",
        f"{counted(summary['secrets'], 'secret')}, {summary['due']} due (rotation every {data['rotation_days']} days), "
        f"{summary['exposed']} lying open",
    ]
    return "\n".join(lines) + "\n"


def rotated_text(data: Mapping[str, Any]) -> str:
    """How far a rotation came."""
    done = data["step"] == "done"
    lines = [f"{escaped(data['path'])}: {'rotated' if done else 'step ' + data['step']} (rotation {data['rotation']})"]
    lines += [f"  handed to {escaped(name)}" for name in data["consumers"]]
    lines += [f"  {escaped(note)}" for note in data["notes"]]
    return "\n".join(lines) + "\n"


def _written(one: Mapping[str, Any]) -> str:
    return f"{escaped(one['written'] or 'a secret')} at {escaped(one['file'])}:{one['line']}"


def _rotation(one: Mapping[str, Any]) -> str:
    if one["open_step"]:
        return f"open at step {one['open_step']}: sophia secrets rotate {escaped(one['path'])}"
    if one["rotation"] in ("generated", "pulumi-token"):
        return f"sophia secrets rotate {escaped(one['path'])}"
    return str({"by hand": "by hand (no API does it)", "never": "not needed"}.get(one["rotation"], one["rotation"]))


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=" " * 12,
        subsequent_indent=" " * 12,
        break_on_hyphens=False,
        break_long_words=False,
    )
