"""Analyses for people: findings by target and severity, as text or Markdown. Foreign text is shown, never obeyed."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from sophia_cli.core.findings import SEVERITIES
from sophia_cli.output.foreign import escaped, markdown_escaped
from sophia_cli.output.style import Palette

WIDTH = 80
_INDENT = " " * 10
_ORDER = tuple(reversed(SEVERITIES))
_ROWS_SHOWN = 4


class Analysed(Protocol):
    """What is rendered: `data()` is the public shape `sophia.analysis/1`, with every secret already hidden."""

    def data(self) -> dict[str, Any]:
        """The public shape."""
        ...


def render(analysis: Analysed, *, colour: bool) -> str:
    """The analysis for a terminal, 80 columns wide; values that have no space to break at may run over."""
    data, palette = analysis.data(), Palette(colour)
    lines: list[str] = []
    for target in data["targets"]:
        findings = [finding for finding in data["findings"] if finding["target"] == target]
        lines += [
            f"{palette.paint('bold', escaped(target))}  health {data['scores'].get(target, data['score'])}/100",
            "",
        ]
        for finding in findings:
            lines += [*_finding_lines(finding, palette), ""]
        if not findings:
            nothing = "nothing new" if data.get("baseline") else "nothing found by the checks that could run"
            lines += [f"  {nothing}", ""]
    lines += [palette.paint("dim", line) for line in _ignored_lines(data)]
    lines += [palette.paint("dim", line) for line in _gap_lines(data["not_tested"])]
    lines += _wrapped_plain(baseline_text(data))
    lines += [line for cost in data.get("costs", ()) for line in _wrapped_plain(cost_text(cost))]
    lines += _wrapped_plain(parts_text(data))
    lines.append(f"health {data['score']}/100{with_ignored(data)}: {_counts(data['summary'])}")
    return "\n".join(lines) + "\n"


def _finding_lines(finding: Mapping[str, Any], palette: Palette) -> list[str]:
    severity = finding["severity"]
    head = f"{finding['id']}  {escaped(finding['title'])}"
    wrapped = textwrap.wrap(head, WIDTH - len(_INDENT), break_on_hyphens=False) or [head]
    lines = [
        f"{palette.padded(severity, severity, len(_INDENT))}{wrapped[0]}",
        *(_INDENT + rest for rest in wrapped[1:]),
    ]
    lines += [palette.paint("dim", line) for line in _wrapped(evidence_text(finding))]
    lines += _wrapped(escaped(finding["help"]))
    return lines + _wrapped(fix_text(finding))


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False, break_long_words=False
    )


def evidence_text(finding: Mapping[str, Any]) -> str:
    """The evidence on one line, escaped: the records, then whatever else a check noted, then where it is written."""
    evidence = dict(finding["evidence"])
    rows = evidence.pop("records", [])
    parts = [row_text(row) for row in rows[:_ROWS_SHOWN]]
    if len(rows) > _ROWS_SHOWN:
        parts.append(f"and {len(rows) - _ROWS_SHOWN} more records")
    parts += [f"{key}: {escaped(_plain(value))}" for key, value in evidence.items() if value not in (None, [], "")]
    places = [f"{escaped(place['file'])}:{place['line']}" for place in finding.get("places", ())]
    return "; ".join(parts + ([f"at {', '.join(places)}"] if places else []))


def row_text(row: Mapping[str, Any]) -> str:
    """A record on one line, escaped and cut."""
    value = escaped(str(row["value"]))
    value = value if len(value) <= 120 else value[:117] + "..."
    priority = "" if row.get("priority") is None else f"{row['priority']} "
    ttl = "" if row.get("ttl") is None else f" (TTL {row['ttl']})"
    return f"{escaped(str(row['name']))} {escaped(str(row['type']))} {priority}{value}{ttl}"


def _plain(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(entry, (str, int)) for entry in value):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def fix_text(finding: Mapping[str, Any]) -> str:
    """What can be done by sophia, escaped: the changes of the fix, or why there is none."""
    fix = finding["fix"]
    if fix is None:
        return f"no fix: {escaped(finding['no_fix'] or 'none is known')}"
    names = []
    for change in fix["changes"]:
        row = change["after"] or change["before"]
        names.append(
            f"{change['action']} {escaped(str(row.get('type', '')))} {escaped(str(row.get('name', '')))}".rstrip()
        )
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    risk = max((change["risk"] for change in fix["changes"]), key=("low", "medium", "high", "critical").index)
    return f"fix: {shown} ({'safe' if fix['safe'] else f'{risk} risk'}); sophia analyze --fix"


def gaps(not_tested: Iterable[Mapping[str, str]]) -> list[tuple[str, list[str]]]:
    """What was not tested, by reason, the most common reason first."""
    by_reason: dict[str, list[str]] = {}
    for entry in not_tested:
        by_reason.setdefault(entry["why"], []).append(entry["id"])
    return sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0]))


def _ignored_lines(data: Mapping[str, Any]) -> list[str]:
    ignored = data.get("ignored") or []
    if not ignored:
        return []
    lines = [f"ignored ({len(ignored)}; they count neither for the score nor for --fail-on):"]
    for entry in ignored:
        lines += _wrapped_plain(ignored_text(entry))
    return [*lines, ""]


def ignored_text(entry: Mapping[str, Any]) -> str:
    """An ignored finding on one line, escaped: what it is, and why and until when it is ignored."""
    finding = entry["finding"]
    where = f"{finding['severity']} {finding['id']} {finding['target']}"
    return escaped(f"{where}: {finding['title']} (until {entry['until']}: {entry['reason']})")


def with_ignored(data: Mapping[str, Any]) -> str:
    """What the score would be had nothing been ignored, where something is."""
    whole = data.get("score_with_ignored")
    return "" if whole is None else f" ({whole} with what is ignored)"


def baseline_text(data: Mapping[str, Any]) -> str:
    """How the findings compare with the baseline; nothing without one."""
    found = data.get("baseline")
    if found is None:
        return ""
    gone = f"; gone since: {', '.join(map(escaped, found['gone']))}" if found["gone"] else ""
    return f"only what is new is shown; {found['known']} of the baseline are still there{gone}"


def _wrapped_plain(text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False, break_long_words=False
    )


def parts_text(data: Mapping[str, Any]) -> str:
    """What the score is made of, on one line; a part that no check could look at has no number."""
    parts = data.get("parts", ())
    shown = (f"{part['name']} {'-' if part['score'] is None else part['score']}" for part in parts)
    return f"parts: {', '.join(shown)}" if parts else ""


def cost_text(cost: Mapping[str, Any]) -> str:
    """One figure with its formula, its inputs and its source, escaped."""
    inputs = ", ".join(f"{name} {value}" for name, value in cost["inputs"].items())
    amount = f"{cost['amount']} {cost['currency']} a {cost['every']}"
    return escaped(
        f"{cost['subject']} costs {amount}: {cost['formula']} ({inputs}; {cost['source']}, {cost['read'][:10]})"
    )


def _gap_lines(not_tested: Sequence[Mapping[str, str]]) -> list[str]:
    if not not_tested:
        return []
    lines = [f"not tested ({len(not_tested)}; never counted as passed):"]
    for why, ids in gaps(not_tested):
        text = f"{', '.join(map(escaped, ids))}: {escaped(why)}"
        lines += textwrap.wrap(
            text, WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False, break_long_words=False
        )
    return [*lines, ""]


def _counts(summary: Mapping[str, int]) -> str:
    return ", ".join(f"{summary[severity]} {severity}" for severity in _ORDER if summary[severity]) or "no findings"


# -- Markdown --------------------------------------------------------------------------------------------------------


def markdown(analysis: Analysed) -> str:
    """The analysis for a pull request or a step summary; nothing foreign stands outside a code span or unescaped."""
    data = analysis.data()
    lines = [f"## sophia analyze: health {data['score']}/100{with_ignored(data)}", "", _counts(data["summary"])]
    for target in data["targets"]:
        findings = [finding for finding in data["findings"] if finding["target"] == target]
        lines += ["", f"### {code(target)}: {data['scores'].get(target, data['score'])}/100", ""]
        if not findings:
            lines.append("Nothing found by the checks that could run.")
        for finding in findings:
            lines += [
                f"- **{finding['severity']}** `{finding['id']}` {markdown_escaped(finding['title'])}",
                f"  - {code(evidence_text(finding))}" if evidence_text(finding) else "",
                f"  - {markdown_escaped(finding['help'])} ({markdown_escaped(finding['source'])})",
                f"  - {markdown_escaped(fix_text(finding))}",
            ]
    if data.get("ignored"):
        lines += ["", f"### Ignored ({len(data['ignored'])})", ""]
        lines += [f"- {markdown_escaped(ignored_text(entry))}" for entry in data["ignored"]]
    if data.get("baseline"):
        lines += ["", markdown_escaped(baseline_text(data))]
    if data["not_tested"]:
        count = len(data["not_tested"])
        lines += ["", f"<details><summary>{count} not tested (never counted as passed)</summary>", ""]
        for why, ids in gaps(data["not_tested"]):
            lines.append(f"- {markdown_escaped(why)}: {', '.join(code(id) for id in ids)}")
        lines += ["", "</details>"]
    kept = [
        line
        for number, line in enumerate(lines)
        if line or not (number and lines[number - 1].startswith(("- ", "  - ")))
    ]
    return "\n".join(kept) + "\n"


def code(text: str) -> str:
    """A code span that nothing inside can end: its fence is longer than any run of backticks in it (CommonMark 6.1)."""
    shown = escaped(text)
    fence = "`" * (max((len(run) for run in re.findall(r"`+", shown)), default=0) + 1)
    return f"{fence} {shown} {fence}" if shown.startswith("`") or shown.endswith("`") else f"{fence}{shown}{fence}"
