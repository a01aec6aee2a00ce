"""`sophia analyze`: findings of the specialists, and a health score."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import note, result

if TYPE_CHECKING:
    from sophia_cli.cli.runtime import Session
    from sophia_cli.flows.analyze import Analysis


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "analyze")
    def analyze(
        common: Common,
        targets: Annotated[
            list[str] | None, typer.Argument(metavar="[TARGET...]", help="Zones, such as example.com (default: all).")
        ] = None,
        zone_file: Annotated[
            Path | None, typer.Option("--zone-file", metavar="FILE", help="Analyze a master file; needs no network.")
        ] = None,
        origin: Annotated[str | None, typer.Option("--origin", metavar="NAME", help="The zone file's name.")] = None,
        agent: Annotated[list[str] | None, typer.Option("--agent", metavar="NAME", help="Only this specialist.")] = None,
        fail_on: Annotated[
            str | None, typer.Option("--fail-on", metavar="SEVERITY", help="Exit 2 from this severity on.")
        ] = None,
    ) -> int:
        """Let the five specialists look, and say what they find, worst first, with a health score."""
        return asyncio.run(_analyze(common, tuple(targets or ()), zone_file, origin, agent, fail_on))


async def _analyze(
    common: Common,
    targets: tuple[str, ...],
    zone_file: Path | None,
    origin: str | None,
    agents: list[str] | None,
    fail_on: str | None,
) -> int:
    from dataclasses import replace

    from sophia_cli.core.errors import UsageError
    from sophia_cli.core.findings import SEVERITIES

    if fail_on is not None and fail_on not in SEVERITIES:
        raise UsageError(f"--fail-on {fail_on}: one of {', '.join(SEVERITIES)}")
    if zone_file is not None:
        analysis = await _of_file(zone_file, origin, agents)
    else:
        if origin is not None:
            raise UsageError("--origin goes with --zone-file")
        patterns = [target if ":" in target else f"dns:{target.rstrip('.').lower()}" for target in targets]
        analysis = await _of_environment(replace(common, target=[*(common.target or ()), *patterns] or None), agents)
    result(_rendered(common, analysis))
    worst = analysis.worst()
    reached = fail_on is not None and worst is not None and SEVERITIES.index(worst) >= SEVERITIES.index(fail_on)
    return 2 if reached else 0


async def _of_file(zone_file: Path, origin: str | None, agents: list[str] | None) -> Analysis:
    """A zone file: no environment, no network, no account."""
    from sophia_cli.cli.clock import SystemClock
    from sophia_cli.flows.analyze import analyze
    from sophia_cli.providers.zone_file import ZoneFile

    now = SystemClock().now()
    reader = ZoneFile(zone_file, origin, now)
    return await analyze([reader], now=now, agents=agents, backgrounds={reader.id: reader.background()})


async def _of_environment(common: Common, agents: list[str] | None) -> Analysis:
    from sophia_cli.cli.runtime import session
    from sophia_cli.flows.analyze import analyze

    async with session(common, "analyze") as found:
        if common.ai:
            note(common, "no language model is used: what is proposed is made by rules")
        return await analyze(
            list(found.targets.values()),
            now=found.clock.now(),
            settings=found.settings,
            backgrounds=await backgrounds(found),
            agents=agents,
        )


async def backgrounds(found: Session) -> dict[str, object]:  # filled in below
    return {}


def _rendered(common: Common, analysis: Analysis) -> str:
    from sophia_cli.cli.runtime import wants_colour
    from sophia_cli.output import analysis as forms
    from sophia_cli.output.json_v1 import envelope

    if common.output is Output.json:
        return envelope("analysis", analysis.data())
    if common.output is Output.sarif:
        from sophia_cli.output.sarif import sarif

        return sarif(analysis)
    if common.output is Output.html:
        from sophia_cli.output.html import page

        return page(analysis)
    if common.output is Output.markdown:
        return forms.markdown(analysis)
    return forms.text(analysis, colour=wants_colour(common), verbose=common.verbose)
