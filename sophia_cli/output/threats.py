"""Threat findings for people and scripts: each with the events it rests on. Foreign text is escaped."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from sophia_cli.core.findings import SEVERITIES, Finding
from sophia_cli.core.provider_events import Source
from sophia_cli.core.threat_rules import LEARNING_DAYS, LEARNING_EVENTS, PROVIDER_EVENTS, RULES, VERSION, Log
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
        "sources": [_source_data(log, source) for source in log.sources],
        "rules": [
            {"id": rule.id, "version": VERSION, "severity": rule.severity, "text": rule.text, "learns": rule.learns}
            for rule in RULES
        ],
    }


def _source_data(log: Log, source: Source) -> dict[str, Any]:
    data = {"name": source.name, "tested": source.reason is None, "reason": source.reason}
    counts = {"events": len(source.events), "own": source.own, "malformed": source.malformed}
    return {**data, **counts, "learning": log.learns(source.name)}


def _source_text(log: Log, source: Source) -> str:
    """What became of a provider's log; one that could not be read is not tested, whatever the findings say."""
    if source.reason is not None:
        return f"{source.name}: not tested: {source.reason}"
    parts = [counted(len(source.events), "event")]
    if source.own:
        parts.append(f"{source.own} more of sophia's own runs")
    if source.malformed:
        parts.append(f"{counted(source.malformed, 'line')} left out: no event")
    if log.learns(source.name):
        parts.append(f"still learning ({LEARNING_DAYS} days and {PROVIDER_EVENTS} events are needed)")
    return f"{source.name}: {', '.join(parts)}"


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
    for source in log.sources:
        lines += textwrap.wrap(
            escaped(_source_text(log, source)), _WIDTH, subsequent_indent="  ", break_on_hyphens=False
        )
    lines.append(f"{counted(len(found), 'threat')} in {counted(len(log.events), 'event')}, {len(RULES)} rules")
    return "\n".join(lines) + "\n"


def _evidence(finding: Finding) -> str:
    parts = []
    for key, value in finding.evidence.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        if text:
            parts.append(f"{key}: {text}")
    return "; ".join(parts)
