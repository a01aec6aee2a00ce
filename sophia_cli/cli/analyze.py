"""`sophia analyze`: findings of the specialists, and a health score."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import note, only, result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sophia_cli.checks.facts import Background
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
        agent: Annotated[
            list[str] | None, typer.Option("--agent", metavar="NAME", help="Only this specialist.")
        ] = None,
        fix: Annotated[
            bool, typer.Option("--fix", help="Turn accepted fixes into a plan behind the usual gate.")
        ] = False,
        accept: Annotated[
            list[str] | None, typer.Option("--accept", metavar="ID|safe", help="With --fix: which fixes (repeatable).")
        ] = None,
        fail_on: Annotated[
            str | None, typer.Option("--fail-on", metavar="SEVERITY", help="Exit 2 from this severity on.")
        ] = None,
    ) -> int:
        """Let the five specialists look, and say what they find, worst first, with a health score."""
        chosen = Chosen(tuple(targets or ()), zone_file, origin, agent)
        if fix or accept:
            return asyncio.run(_fix(common, chosen, tuple(accept or ())))
        return asyncio.run(_analyze(common, chosen, fail_on))


@dataclass(frozen=True, slots=True)
class Chosen:
    """What to analyze, and by whom."""

    targets: tuple[str, ...]
    zone_file: Path | None
    origin: str | None
    agents: list[str] | None

    def narrowed(self, common: Common) -> Common:
        """The shared options with the named targets."""
        patterns = [target if ":" in target else f"dns:{target.rstrip('.').lower()}" for target in self.targets]
        return replace(common, target=[*(common.target or ()), *patterns] or None)


async def _analyze(common: Common, chosen: Chosen, fail_on: str | None) -> int:
    from sophia_cli.core.errors import UsageError
    from sophia_cli.core.findings import SEVERITIES

    if fail_on is not None and fail_on not in SEVERITIES:
        raise UsageError(f"--fail-on {fail_on}: one of {', '.join(SEVERITIES)}")
    if chosen.zone_file is not None:
        analysis = await _of_file(chosen.zone_file, chosen.origin, chosen.agents)
    elif chosen.origin is not None:
        raise UsageError("--origin goes with --zone-file")
    else:
        analysis = await _of_environment(chosen.narrowed(common), chosen.agents)
    result(_rendered(common, analysis, None if chosen.zone_file is None else str(chosen.zone_file)))
    worst = analysis.worst()
    reached = fail_on is not None and worst is not None and SEVERITIES.index(worst) >= SEVERITIES.index(fail_on)
    return 2 if reached else 0


async def _fix(common: Common, chosen: Chosen, accept: tuple[str, ...]) -> int:
    """The accepted fixes as one plan, applied through the usual gate; then the zones are looked at again."""
    from sophia_cli.cli.applying import carry_out, settle
    from sophia_cli.cli.deploy import agreed
    from sophia_cli.cli.runtime import session
    from sophia_cli.core.errors import UsageError
    from sophia_cli.flows.accept import chosen_proposals
    from sophia_cli.flows.edit import plan_changes
    from sophia_cli.flows.plan import observe

    if chosen.zone_file is not None:
        raise UsageError("--fix goes with an environment; a zone file has nobody to apply changes")
    only(common, Output.text, Output.json)
    async with session(chosen.narrowed(common), "analyze") as found:
        await settle(found)
        before = await examined(found, chosen.agents)
        ids = accept or tuple(one.id for one in before.proposals if agreed(found, one.id, one.changes, one.reason))
        changes = [change for one in chosen_proposals(before.proposals, ids, found.settings) for change in one.changes]
        seen = await observe(found.settings, found.targets, found.store)
        now = found.clock.now()
        judged = await plan_changes(changes, found.settings, seen, found.file, found.store, now)
        code = await carry_out(found, judged)
        after = await examined(found, chosen.agents)
        note(
            common, f"health {before.score} -> {after.score}; {len(before.findings)} -> {len(after.findings)} findings"
        )
    return code


async def _of_file(zone_file: Path, origin: str | None, agents: list[str] | None) -> Analysis:
    """A zone file: no environment, no network, no account."""
    from sophia_cli.checks.facts import Background
    from sophia_cli.cli.clock import SystemClock
    from sophia_cli.flows.analyze import analyze
    from sophia_cli.providers.zone_file import ZoneFileReader, read_zone_file

    now, file = SystemClock().now(), read_zone_file(zone_file, origin)
    reader = ZoneFileReader(file, now)
    background = Background(source="zone-file", file=file.path, lines=file.lines, repeated=file.repeated)
    return await analyze([reader], now=now, agents=agents, backgrounds={reader.id: background})


async def _of_environment(common: Common, agents: list[str] | None) -> Analysis:
    from sophia_cli.cli.runtime import session

    async with session(common, "analyze") as found:
        if common.ai:
            note(common, "no language model is used: what is proposed is made by rules")
        return await examined(found, agents)


async def examined(found: Session, agents: Sequence[str] | None) -> Analysis:
    """The analysis of a session's zones, with what the registrar lists about each."""
    from sophia_cli.flows.analyze import analyze

    return await analyze(
        list(found.targets.values()),
        now=found.clock.now(),
        settings=found.settings,
        backgrounds=await _backgrounds(found),
        agents=agents,
    )


async def _backgrounds(found: Session) -> dict[str, Background]:
    """Registrar facts by target; what cannot be had leaves its checks not tested."""
    from sophia_cli.checks.facts import Background, Registration
    from sophia_cli.core.errors import SophiaError
    from sophia_cli.core.plan import zone_target

    if found.client is None:
        return {}
    try:
        listed = {domain.name: domain for domain in await found.client.domains()}
    except SophiaError as exc:
        note(found.common, f"the registrar's list could not be read: {exc.message}")
        return {}
    backgrounds = {}
    for zone in found.settings.zones:
        domain = listed.get(zone.name)
        if domain is not None:
            facts = Registration(domain.expires, domain.auto_renew, domain.is_locked, None, domain.is_our_dns)
            backgrounds[zone_target(zone.name)] = Background(registration=facts)
    return backgrounds


def _rendered(common: Common, analysis: Analysis, file: str | None) -> str:
    from sophia_cli import __version__
    from sophia_cli.cli.runtime import wants_colour
    from sophia_cli.output import analysis as forms
    from sophia_cli.output.json_v1 import envelope

    if common.output is Output.json:
        return envelope("analysis", analysis.data())
    if common.output is Output.sarif:
        from sophia_cli.output.sarif import sarif

        return sarif(analysis, version=__version__, file=file)
    if common.output is Output.html:
        from sophia_cli.output.html import html

        return html(analysis)
    if common.output is Output.markdown:
        return forms.markdown(analysis)
    return forms.render(analysis, colour=wants_colour(common))
