"""Heal passes for people: quiet when all is well."""

from __future__ import annotations

from typing import Protocol

from sophia_cli.core.findings import Finding
from sophia_cli.core.history import Run
from sophia_cli.output.foreign import escaped
from sophia_cli.output.runs import run_text
from sophia_cli.output.style import Palette


class OpenFinding(Protocol):
    """A finding that was left open."""

    @property
    def finding(self) -> Finding:
        """What it is."""
        ...

    @property
    def why(self) -> str:
        """Why it was left."""
        ...


class HealPass(Protocol):
    """One pass of heal, as the flow returns it."""

    @property
    def repaired(self) -> tuple[Finding, ...]:
        """What was put right."""
        ...

    @property
    def open(self) -> tuple[OpenFinding, ...]:
        """What was not."""
        ...

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs it made or settled."""
        ...

    @property
    def score_before(self) -> int:
        """The score it found."""
        ...

    @property
    def score_after(self) -> int:
        """The score it left."""
        ...


def text(healed: HealPass, *, colour: bool = False, verbose: bool = False) -> str:
    """What was found and done; empty when nothing was, so that cron stays silent."""
    palette = Palette(colour)
    if not healed.open and not healed.repaired and not healed.runs:
        return "Nothing to heal.\n" if verbose else ""
    lines = []
    for finding in healed.repaired:
        lines.append(f"{palette.paint('green', 'repaired')}  {escaped(finding.target)}  {escaped(finding.title)}")
    for entry in healed.open:
        finding = entry.finding
        severity = palette.paint(finding.severity, finding.severity)
        lines.append(f"open ({entry.why})  {severity}  {escaped(finding.target)}  {escaped(finding.title)}")
        if finding.help:
            lines.append(palette.paint("dim", f"  {escaped(finding.help)}"))
    lines += [run_text(run, colour=colour).rstrip("\n") for run in healed.runs]
    lines.append(f"drift score {healed.score_before} -> {healed.score_after}")
    return "\n".join(lines) + "\n"
