"""What was learnt, in words: the formula, and each rule with its counts. Prints nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sophia_cli.output.foreign import escaped


def learning_text(data: Mapping[str, Any]) -> str:
    """`sophia.learning/1` as a table; a rule that is not offered at the environment's level says so."""
    level = data["optimization_level"]
    mode = "on" if data["learning_mode"] else "off: every rule is as sure as it was shipped"
    lines = [f"learning_mode is {mode}", f"confidence = {data['formula']}"]
    least = ", ".join(f"{name} {value:.2f}" for name, value in data["offered_from"].items())
    lines += [f"rules that tune are offered from: {least}; this environment is {level}", ""]
    head = ("rule", "shipped", "accepted", "rejected", "held", "undone", "mended", "lingered", "confidence")
    rows = [head, *([_cell(one[name]) for name in head] for one in data["rules"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return "\n".join(escaped(line) for line in lines) + "\n"


def _cell(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
