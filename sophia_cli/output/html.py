"""Analyses as one HTML file that needs nothing else: no script, no font, no picture from elsewhere. All text is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sophia_cli.output.analysis import Analysed, evidence_text, fix_text, gaps, ignored_text
from sophia_cli.output.foreign import html_escaped

_COLOURS = {"critical": "#a40e26", "high": "#cf222e", "medium": "#9a6700", "low": "#0969da", "info": "#6e7781"}
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1f2328;background:#fff}
h2{margin-top:2.5rem}h3{font-size:1rem;margin:0}article{border-left:4px solid;padding:.2rem 1rem;margin:1rem 0}
code{font:.875rem/1.4 ui-monospace,monospace;overflow-wrap:anywhere;background:#f6f8fa;padding:.1rem .3rem}
p{margin:.3rem 0}.quiet{color:#57606a}svg{max-width:100%;height:auto}svg text{font-size:14px;fill:currentColor}
@media (prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}code{background:#161b22}.quiet{color:#8b949e}}
"""
# Nothing may be loaded or run, whatever an escaping fault would let through.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def html(analysis: Analysed) -> str:
    """The page: the score with its parts and severities as charts, the findings of each target, and what was not tested."""
    data = analysis.data()
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>sophia: health {data['score']}/100</title><style>{_STYLE}</style></head><body>",
        f"<h1>Health {data['score']}/100</h1>",
        _bar(data["summary"]),
        _parts(data.get("parts", ())),
    ]
    for target in data["targets"]:
        findings = [finding for finding in data["findings"] if finding["target"] == target]
        parts.append(f"<h2>{html_escaped(target)}: {data['scores'].get(target, data['score'])}/100</h2>")
        parts += [_finding(finding) for finding in findings] or ["<p>Nothing found by the checks that could run.</p>"]
    if data.get("ignored"):
        parts.append(f"<h2>Ignored ({len(data['ignored'])})</h2><p>These do not count for the score.</p><ul>")
        parts += [f"<li>{html_escaped(ignored_text(entry))}</li>" for entry in data["ignored"]]
        parts.append("</ul>")
    if data["not_tested"]:
        parts.append(f"<h2>Not tested ({len(data['not_tested'])})</h2><p>These never count as passed.</p><ul>")
        parts += [
            f"<li>{html_escaped(why)}: {html_escaped(', '.join(ids))}</li>" for why, ids in gaps(data["not_tested"])
        ]
        parts.append("</ul>")
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _bar(summary: Mapping[str, int]) -> str:
    """The counts as a bar, drawn here: one part a severity, as wide as its share."""
    total = sum(summary.values())
    shares, x = [], 0.0
    for severity, count in summary.items():
        width = 600 * count / total if total else 0
        if count:
            shares.append(f'<rect x="{x:.1f}" width="{width:.1f}" height="24" fill="{_COLOURS[severity]}"/>')
        x += width
    label = ", ".join(f"{count} {severity}" for severity, count in summary.items() if count) or "no findings"
    size = 'width="600" height="24" viewBox="0 0 600 24"'
    return f'<svg role="img" aria-label="{label}" {size}>{"".join(shares)}</svg><p>{label}</p>'


def _parts(parts: Sequence[Mapping[str, Any]]) -> str:
    """The parts of the score as bars, each with its number, its goal and how many of its checks could look."""
    if not parts:
        return ""
    rows = []
    for number, part in enumerate(parts):
        y, value = number * 26, part["score"]
        looked = f"{part['tested']} of {part['checks']} checks"
        shown = "not tested" if value is None else f"{value}/100"
        width = 0 if value is None else 2.4 * value
        rows.append(
            f"<g><title>{html_escaped(part['goal'])} ({looked})</title>"
            f'<text x="0" y="{y + 16}">{html_escaped(part["name"])}</text>'
            f'<rect x="110" y="{y + 4}" width="240" height="16" fill="#8b949e" fill-opacity=".25"/>'
            f'<rect x="110" y="{y + 4}" width="{width:.1f}" height="16" fill="{_shade(value)}"/>'
            f'<text x="362" y="{y + 16}">{shown}, {looked}</text></g>'
        )
    label = ", ".join(f"{part['name']} {'not tested' if part['score'] is None else part['score']}" for part in parts)
    height = 26 * len(parts)
    size = f'width="600" height="{height}" viewBox="0 0 600 {height}"'
    return f'<h2>Parts</h2><svg role="img" aria-label="{html_escaped(label)}" {size}>{"".join(rows)}</svg>'


def _shade(score: int | None) -> str:
    return "#1a7f37" if score is None or score >= 90 else "#9a6700" if score >= 50 else "#cf222e"


def _finding(finding: Mapping[str, Any]) -> str:
    severity = finding["severity"]
    evidence = evidence_text(finding)
    return (
        f'<article style="border-color:{_COLOURS[severity]}">'
        f"<h3>{severity}: {html_escaped(finding['title'])}</h3>"
        f'<p class="quiet">{html_escaped(finding["id"])} by {html_escaped(finding["agent"])}, '
        f"{html_escaped(finding['source'])}</p>"
        + (f"<p><code>{html_escaped(evidence)}</code></p>" if evidence else "")
        + f"<p>{html_escaped(finding['help'])}</p><p>{html_escaped(fix_text(finding))}</p></article>"
    )
