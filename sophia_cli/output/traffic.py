"""Traffic for people: names, rates, regions and what they suggest, as text or Markdown. Foreign text is shown, never obeyed."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from sophia_cli.output.foreign import escaped, markdown_escaped
from sophia_cli.output.style import Palette

WIDTH = 80
_SHOWN = 15  # names
_HEADINGS = ("name", "count", "a minute, peak", "clients", "most")


def render(data: Mapping[str, Any], *, colour: bool) -> str:
    """The report for a terminal; `data` is `sophia.traffic/1`."""
    palette = Palette(colour)
    lines = [palette.paint("bold", _summary(data)), ""]
    table = [_HEADINGS, *_rows(data["names"])]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEADINGS))]
    for row in table:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  " + "  ".join(cells).rstrip())
    hidden = len(data["names"]) - _SHOWN
    if hidden > 0 or data["other"]:
        lines.append(f"  and {max(hidden, 0)} more names, and {data['other']} entries of names too many to tell apart")
    for title, shares in (("regions", data["regions"]),):
        if shares:
            total = sum(shares.values())
            text = ", ".join(f"{escaped(str(region))} {count / total:.0%}" for region, count in shares.items())
            lines += ["", *textwrap.wrap(f"{title}: {text}", WIDTH)]
    if data["blocks"]:
        text = ", ".join(f"{escaped(one['block'])} {one['count']}" for one in data["blocks"][:5])
        lines += ["", *textwrap.wrap(f"busiest blocks: {text}", WIDTH, break_on_hyphens=False)]
    for advice in data["advice"]:
        lines += ["", palette.paint("bold", f"{advice['kind']}: {escaped(advice['name'])}")]
        lines += [_indented(text) for text in _advice(advice)]
    if not data["advice"]:
        lines += ["", "nothing to propose from this log"]
    return "\n".join([*lines, *([] if not data["notes"] else ["", *map(escaped, data["notes"])])]) + "\n"


def markdown(data: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    lines = ["## sophia analyze: traffic", "", markdown_escaped(_summary(data)), ""]
    lines += ["| " + " | ".join(_HEADINGS) + " |", "|---|---:|---:|---:|---|"]
    lines += ["| " + " | ".join(map(markdown_escaped, row)) + " |" for row in _rows(data["names"])]
    for advice in data["advice"]:
        lines += ["", f"### {advice['kind']}: {markdown_escaped(advice['name'])}", ""]
        lines += [f"- {markdown_escaped(text)}" for text in _advice(advice)]
    lines += ["", *(markdown_escaped(note) for note in data["notes"])]
    return "\n".join(lines).rstrip() + "\n"


def _summary(data: Mapping[str, Any]) -> str:
    hours = data["seconds"] / 3600
    over = f" in {hours:.1f} h" if data["seconds"] else ""
    parts = [f"{data['entries']} entries{over}", f"at most {data['peak_per_minute']} a minute"]
    parts += [f"{data['malformed']} of {data['lines']} lines could not be read"] if data["malformed"] else []
    parts += [f"{data['ignored']} lines were no queries"] if data["ignored"] else []
    return ", ".join(parts)


def _rows(names: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for one in names[:_SHOWN]:
        most = next(iter(one["kinds"]), "")
        clients = f"{one['clients']}{'+' if one['clients_cut'] else ''}"
        name = escaped(one["name"])
        name = name if len(name) <= 40 else name[:37] + "..."
        found.append((name, str(one["count"]), str(one["peak_per_minute"]), clients, escaped(most)))
    return found


def _advice(advice: Mapping[str, Any]) -> list[str]:
    found = [escaped(advice["why"])]
    for change in advice["changes"]:
        before, after = change["before"], change["after"]
        if before is None:
            found.append(f"create {_row(after)}")
        elif after is None:
            found.append(f"delete {_row(before)}")
        else:
            found.append(f"update {_row(before)} to {_row(after)}")
    if advice["needs"]:
        found.append(f"needs {', '.join(advice['needs'])}")
    if advice["note"]:
        found.append(advice["note"])
    return found


def _row(row: Mapping[str, Any]) -> str:
    ttl = "" if row["ttl"] is None else f" (TTL {row['ttl']})"
    return f"{escaped(row['type'])} {escaped(row['name'])} {escaped(row['value'])}{ttl}"


def _indented(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
