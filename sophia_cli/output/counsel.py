"""What a language model says of findings, for people: escaped, and marked as not checked. Links in it are not kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sophia_cli.output.foreign import escaped, markdown_escaped


def counsel_text(told: Sequence[Mapping[str, Any]], *, is_markdown: bool = False) -> str:
    """The explanations, most urgent first; empty without any. `told` are those of `sophia.analysis/1`, `model`."""
    if not told:
        return ""
    shown = markdown_escaped if is_markdown else escaped
    head = f"What {shown(told[0]['by'])} says of these findings, most urgent first; sophia did not check it:"
    lines = [f"{one['rank']}. {shown(one['finding'])}: {shown(one['text'])}" for one in told]
    return "\n".join(["", head, *([""] if is_markdown else []), *lines, ""])


def offers_text(offered: Sequence[Mapping[str, Any]], *, is_markdown: bool = False) -> str:
    """What a model proposes, change by change; empty without any. `offered` are those of `sophia.analysis/1`."""
    if not offered:
        return ""
    shown = markdown_escaped if is_markdown else escaped
    head = f"What {shown(offered[0]['source'])} proposes; nothing of it is done without a recorded approval:"
    lines = [f"- {shown(one['finding'])}: {shown(_said(change))}" for one in offered for change in one["changes"]]
    return "\n".join(["", head, *([""] if is_markdown else []), *lines, "To take one: sophia deploy --ai-enhanced", ""])


def _said(change: Mapping[str, Any]) -> str:
    before, after = change["before"] or {}, change["after"] or {}
    row = after or before
    sides = [f"{side['value']} ttl {side['ttl']}" for side in (before, after) if side]
    return f"{change['action']} {row['type']} {row['name']} {' -> '.join(sides)} ({change['risk']} risk)"
