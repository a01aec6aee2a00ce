"""Threat findings for people and scripts: each with the events it rests on. Foreign text is escaped."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from sophia_cli.core.findings import SEVERITIES, Finding
from sophia_cli.core.threats import LEARNING_DAYS, LEARNING_EVENTS, RULES, VERSION, Log
from sophia_cli.output.foreign import escaped
from sophia_cli.output.style import Palette, counted

_WIDTH = 80
_INDENT = " " * 10


def threats_data(log: Log, found: Sequence[Finding]) -> dict[str, Any]:
    """The public shape (`sophia.threats/1`)."""
    return {
        "findings": [finding.data() for finding in found],
        "summary": {level: sum(one.severity == level for one in found) for level in reversed(SEVERITIES)},
        "events": len(log.events),
        "learning": log.is_learning,
        "rules": [
            {"id": rule.id, "version": VERSION, "severity": rule.severity, "text": rule.text, "learns": rule.learns}
            for rule in RULES
        ],
    }


def threats_text(log: Log, found: Sequence[Finding], *, colour: bool = False) -> str:
    """The findings as text, 80 columns wide; the last line says what was looked at."""
    palette = Palette(colour)
    lines: list[str] = []
    for finding in found:
        head = textwrap.wrap(f"{finding.id}  {escaped(finding.title)}", _WIDTH - len(_INDENT), break_on_hyphens=False)
        lines.append(f"{palette.padded(finding.severity, finding.severity, len(_INDENT))}{head[0]}")
        lines += [_INDENT + line for line in head[1:]]
        for text in (_evidence(finding), finding.help):
            lines += textwrap.wrap(
                escaped(text), _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False
            )
        lines.append("")
    if log.is_learning:
        lines.append(
            f"still learning what is normal: {LEARNING_DAYS} days and {LEARNING_EVENTS} events are needed before new"
        )
        lines.append("actors, machines, hours and rates are reported; the other rules already count")
    lines.append(f"{counted(len(found), 'threat')} in {counted(len(log.events), 'event')}, {len(RULES)} rules")
    return "\n".join(lines) + "\n"


def _evidence(finding: Finding) -> str:
    parts = []
    for key, value in finding.evidence.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        if text:
            parts.append(f"{key}: {text}")
    return "; ".join(parts)
