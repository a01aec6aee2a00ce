"""Compliance assessments for people: text, Markdown and one self-contained HTML page. Foreign text is escaped."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from sophia_cli.output.foreign import escaped, html_escaped, markdown_escaped
from sophia_cli.output.style import Palette

_WIDTH = 80
_STYLES = {"attention": "red", "in part": "yellow", "not assessed": "dim", "no open finding": "green", "manual": "dim"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_CSS = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1f2328;background:#fff}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.4rem;border-top:1px solid #8886}
.attention{color:#a40e26}.quiet{color:#57606a}
@media (prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}.attention{color:#ff7b72}.quiet{color:#8b949e}}
"""


def text(data: Mapping[str, Any], *, colour: bool = False) -> str:
    """The assessment (`sophia.compliance/1`) for a terminal, 80 columns wide."""
    palette = Palette(colour)
    lines = [palette.paint("bold", data["title"]), *_wrap(f"{data['note']} {_period(data)}", ""), ""]
    for one in data["controls"]:
        lines.append(f"{palette.padded(_STYLES[one['status']], one['status'], 17)}{one['id']}  {one['title']}")
        for part in _parts(one):
            lines += _wrap(escaped(part), " " * 17)
    lines += ["", _summary(data)]
    return "\n".join(lines) + "\n"


def markdown(data: Mapping[str, Any]) -> str:
    """The assessment as one Markdown table."""
    lines = [f"## {markdown_escaped(data['title'])}", "", markdown_escaped(f"{data['note']} {_period(data)}"), ""]
    lines += ["| control | status | what it rests on |", "|---|---|---|"]
    for one in data["controls"]:
        cells = (f"{one['id']} {one['title']}", one["status"], "; ".join(_parts(one)))
        lines.append("| " + " | ".join(markdown_escaped(cell) for cell in cells) + " |")
    return "\n".join([*lines, "", markdown_escaped(_summary(data))]) + "\n"


def html(data: Mapping[str, Any]) -> str:
    """The assessment as a page that loads and runs nothing."""
    title = html_escaped(data["title"])
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f"<title>{title}</title><style>{_CSS}</style></head><body><h1>{title}</h1>",
        f"<p>{html_escaped(data['note'])} {html_escaped(_period(data))}</p><p>{html_escaped(_summary(data))}</p>",
        "<table><tr><th>control</th><th>status</th><th>what it rests on</th></tr>",
    ]
    for one in data["controls"]:
        kind = "attention" if one["status"] == "attention" else "quiet" if one["status"] == "manual" else ""
        rests = "<br>".join(html_escaped(part) for part in _parts(one))
        parts.append(
            f"<tr><td>{html_escaped(one['id'])} {html_escaped(one['title'])}</td>"
            f'<td class="{kind}">{html_escaped(one["status"])}</td><td>{rests}</td></tr>'
        )
    return "\n".join([*parts, "</table></body></html>"]) + "\n"


def _parts(one: Mapping[str, Any]) -> list[str]:
    found = [one["text"]]
    if one["findings"]:
        found.append(f"open: {_some(one['findings'])}")
    if one["ignored"]:
        found.append(f"ignored with a reason: {_some(one['ignored'])}")
    checks = one["checks_tested"] + sum(1 for _ in one["checks_not_tested"])
    if checks:
        untested = f"; not tested, or in part: {_some(one['checks_not_tested'])}" if one["checks_not_tested"] else ""
        found.append(f"{one['checks_tested']} checks tested{untested}")
    found += [f"{entry['kind']}: {entry['text']} ({entry['file']})" for entry in one["evidence"]]
    if one["evidence_missing"]:
        found.append(f"no evidence of: {', '.join(one['evidence_missing'])}")
    return found


def _some(texts: list[str], limit: int = 6) -> str:
    more = f" and {len(texts) - limit} more" if len(texts) > limit else ""
    return ", ".join(texts[:limit]) + more


def _period(data: Mapping[str, Any]) -> str:
    period = data["period"]
    if period["since"] is None:
        return "There is no log yet, so no period is covered."
    return f"The log covers {period['since']} to {period['until']}."


def _summary(data: Mapping[str, Any]) -> str:
    return ", ".join(f"{count} {status}" for status, count in data["summary"].items() if count)


def _wrap(line: str, indent: str) -> list[str]:
    return textwrap.wrap(
        line, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )
