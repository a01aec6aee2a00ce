"""Evaluated values and their origins for people, as an indented tree. Values arrive masked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sophia_cli.output.foreign import escaped
from sophia_cli.output.style import Palette


def tree(values: Mapping[str, Any]) -> str:
    """Nested data as an outline."""
    return "\n".join(_lines(values, 0)) + "\n" if values else "(no values)\n"


def _lines(node: Any, depth: int) -> Iterator[str]:
    pairs = node.items() if isinstance(node, Mapping) else ((f"[{index}]", item) for index, item in enumerate(node))
    for key, item in pairs:
        head = "  " * depth + escaped(str(key)) + ":"
        if isinstance(item, (Mapping, list)) and item:
            yield head
            yield from _lines(item, depth + 1)
        else:
            shown = item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
            yield f"{head} {escaped(shown)}"


def chain(path: str, steps: Sequence[Mapping[str, Any]], *, colour: bool = False) -> str:
    """Where a value comes from, the deciding place first."""
    palette = Palette(colour)
    lines = [palette.paint("bold", escaped(path))]
    roles = {"value": "is", "from": "from", "overridden": "overrides"}
    for step in steps:
        place = f"{step['file']}:{step['line']}:{step['column']}"
        shown = json.dumps(step["shown"], ensure_ascii=False)
        flags = "".join(f" ({flag})" for flag in ("secret", "unknown") if step[flag])
        how = f"  {step['note']}" if step["note"] else ""
        indent = "  " * (int(step["depth"]) + 1)
        where = f"{roles.get(step['role'], step['role'])} {step['path']}"
        lines.append(f"{indent}{escaped(where)} = {escaped(shown)}{flags}{escaped(how)}")
        lines.append(palette.paint("dim", f"{indent}  {escaped(place)}"))
    return "\n".join(lines) + "\n"
