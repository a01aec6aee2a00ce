"""`sophia analyze`: findings of the specialists, and a health score."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sophia_cli.cli.counsel import ShowPayload
from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import note, only, result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sophia_cli.cli.session import Session
    from sophia_cli.cli.traffic import TrafficLog
    from sophia_cli.flows.analyze import Analysis, Collector


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
        resolver: Annotated[
            str | None,
            typer.Option(
                "--resolver", metavar="HOST[:PORT]", help="Whom to ask about names of others (default: the system's)."
            ),
        ] = None,
        baseline: Annotated[
            Path | None,
            typer.Option("--baseline", metavar="FILE", help="Only what is new since this file (analyze -o json)."),
        ] = None,
        framework: Annotated[
            str | None, typer.Option("--framework", metavar="NAME", help="Map it to a framework's controls: soc2.")
        ] = None,
        evidence: Annotated[
            Path | None, typer.Option("--evidence", metavar="DIR", help="With --framework: write the evidence there.")
        ] = None,
        traffic: Annotated[
            str | None, typer.Option("--traffic", metavar="FILE|-", help="Count a query or access log (gzip too).")
        ] = None,
        regions: Annotated[
            str | None, typer.Option("--regions", metavar="CSV", help="With --traffic: a table of CIDR,region.")
        ] = None,
        show_payload: ShowPayload = False,
    ) -> int:
        """Let the five specialists look, and say what they find, worst first, with a health score."""
        chosen = Chosen(
            tuple(targets or ()), zone_file, origin, agent, framework, evidence, resolver, payload=show_payload
        )
        if traffic is not None:
            chosen = replace(chosen, log=_log(common, traffic, regions))
        elif regions is not None:
            raise _wrong("--regions goes with --traffic")
        if show_payload:
            return asyncio.run(_payload(common, chosen))
        if fix or accept:
            return asyncio.run(_fix(common, chosen, tuple(accept or ())))
        return asyncio.run(_analyze(common, chosen, fail_on, baseline))


@dataclass(frozen=True, slots=True)
class Chosen:
    """What to analyze, and by whom."""

    targets: tuple[str, ...]
    zone_file: Path | None
    origin: str | None
    agents: list[str] | None
    framework: str | None = None
    evidence: Path | None = None
    resolver: str | None = None
    log: TrafficLog | None = None
    payload: bool = False
    """Only print what a language model would be sent."""

    @property
    def collectors(self) -> list[Collector]:
        """What adds to the facts because of the options."""
        return [] if self.log is None else [self.log.collect]

    def narrowed(self, common: Common) -> Common:
        """The shared options with the named targets."""
        patterns = [target if ":" in target else f"dns:{target.rstrip('.').lower()}" for target in self.targets]
        return replace(common, target=[*(common.target or ()), *patterns] or None)


async def _payload(common: Common, chosen: Chosen) -> int:
    """Print what a model would be asked about the analysis; a zone file or a stranger's zone goes to none."""
    if chosen.zone_file is not None:
        raise _wrong("--show-payload goes with an environment; a zone file is shown to no model")
    await _of_zones(common, chosen)
    return 0


async def _analyze(common: Common, chosen: Chosen, fail_on: str | None, baseline: Path | None = None) -> int:
    from sophia_cli.core.errors import UsageError
    from sophia_cli.core.findings import SEVERITIES

    if fail_on is not None and fail_on not in SEVERITIES:
        raise UsageError(f"--fail-on {fail_on}: one of {', '.join(SEVERITIES)}")
    if chosen.framework is not None:
        from sophia_cli.cli.compliance import framework_of

        framework_of(chosen.framework)  # an unknown one is said before anything is read
    elif chosen.evidence is not None:
        raise UsageError("--evidence goes with --framework")
    if chosen.log is not None and not (chosen.zone_file or chosen.targets or common.sandbox):
        from sophia_cli.cli.traffic import has_environment, report_alone

        if not has_environment(common):
            return await report_alone(common, chosen.log)
    if chosen.zone_file is not None:
        analysis = await _of_file(chosen.zone_file, chosen.origin, chosen.agents, chosen.collectors)
    elif chosen.origin is not None:
        raise UsageError("--origin goes with --zone-file")
    else:
        analysis = await _of_zones(common, chosen)
    whole = analysis
    if baseline is not None:
        analysis = analysis.since(_document(baseline))
    if chosen.framework is not None:
        from sophia_cli.cli.compliance import report

        written = _written_in(common, chosen)  # a domain looked at by DNS alone has no environment and no state
        has_state = chosen.zone_file is None and (common.env is not None or written is not None)
        await report(common, whole, chosen.framework, chosen.evidence, has_state=has_state)
    elif chosen.log is not None:
        from sophia_cli.cli.traffic import report_beside

        await report_beside(common, chosen.log, analysis, _rendered(common, analysis, _written_in(common, chosen)))
    else:
        result(_rendered(common, analysis, _written_in(common, chosen)))
    worst = analysis.worst()
    reached = fail_on is not None and worst is not None and SEVERITIES.index(worst) >= SEVERITIES.index(fail_on)
    return 2 if reached else 0


def _document(file: Path) -> object:
    """A JSON document of a file that an option names. Raises `UsageError`."""
    import json

    from sophia_cli.core.errors import UsageError

    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as exc:
        said = exc.strerror if isinstance(exc, OSError) else "it is not JSON"
        raise UsageError(
            f"{file} cannot be read: {said}", hint="make one with: sophia analyze -o json > baseline.json"
        ) from exc


async def _fix(common: Common, chosen: Chosen, accept: tuple[str, ...]) -> int:
    """The accepted fixes as one plan, applied through the usual gate; then the zones are looked at again."""
    from sophia_cli.cli.applying import carry_out, settle
    from sophia_cli.cli.deploy import agreed
    from sophia_cli.cli.learning import measured, rejected
    from sophia_cli.cli.runtime import session
    from sophia_cli.cli.session import may_ask
    from sophia_cli.core.errors import UsageError
    from sophia_cli.flows.accept import chosen_proposals
    from sophia_cli.flows.edit import plan_changes
    from sophia_cli.flows.plan import observe

    if chosen.zone_file is not None:
        raise UsageError("--fix goes with an environment; a zone file has nobody to apply changes")
    only(common, Output.text, Output.json)
    async with session(chosen.narrowed(common), "analyze") as found:
        await settle(found)
        before = await examined(found, chosen.agents, resolver=chosen.resolver, collectors=chosen.collectors)
        ids = accept or tuple(one.id for one in before.proposals if agreed(found, one.id, one.changes, one.reason))
        chosen_ones = chosen_proposals(before.proposals, ids, found.settings)
        changes = [change for one in chosen_ones for change in one.changes]
        seen = await observe(found.settings, found.targets, found.store)
        now = found.clock.now()
        judged = await plan_changes(changes, found.settings, seen, found.file, found.store, now)
        if may_ask(common) and not accept and not common.yes:
            left = [one for one in before.proposals if one not in chosen_ones]
            await rejected(found, left, judged.plan.digest)
        code = await carry_out(found, judged)
        after = await examined(found, chosen.agents, resolver=chosen.resolver, collectors=chosen.collectors)
        if code == 0:
            await measured(found, chosen_ones, before, after, judged.plan.digest)
        note(
            common, f"health {before.score} -> {after.score}; {len(before.findings)} -> {len(after.findings)} findings"
        )
    return code


async def _of_file(
    zone_file: Path, origin: str | None, agents: list[str] | None, collectors: Sequence[Collector] = ()
) -> Analysis:
    """A zone file: no environment, no network, no account."""
    from sophia_cli.checks.facts import Background
    from sophia_cli.cli.clock import SystemClock
    from sophia_cli.flows.analyze import analyze
    from sophia_cli.providers.zone_file import ZoneFileReader, read_zone_file

    now, file = SystemClock().now(), read_zone_file(zone_file, origin)
    reader = ZoneFileReader(file, now)
    background = Background(source="zone-file", file=file.path, lines=file.lines, repeated=file.repeated)
    return await analyze([reader], now=now, agents=agents, backgrounds={reader.id: background}, collectors=collectors)


def _log(common: Common, log: str, regions: str | None) -> TrafficLog:
    from sophia_cli.cli.clock import SystemClock
    from sophia_cli.cli.traffic import FORMS, TrafficLog

    only(common, *FORMS)
    return TrafficLog(log, regions, SystemClock().now())


def _wrong(text: str) -> Exception:
    from sophia_cli.core.errors import UsageError

    return UsageError(text)


async def _of_zones(common: Common, chosen: Chosen) -> Analysis:
    """Zones of the environment by its provider, and any others by DNS alone."""
    from sophia_cli.cli.live_dns import strangers

    unknown = await strangers(common, chosen.targets)
    known = replace(chosen, targets=tuple(target for target in chosen.targets if target not in unknown))
    if unknown and not known.targets and not common.target:
        return await _by_dns_alone(tuple(unknown.values()), chosen)
    from sophia_cli.cli.counsel import explained, show_advice_payload
    from sophia_cli.cli.runtime import session

    async with session(known.narrowed(common), "analyze") as found:
        analysis = await examined(
            found,
            chosen.agents,
            resolver=chosen.resolver,
            strangers=tuple(unknown.values()),
            collectors=chosen.collectors,
        )
        if chosen.payload:
            await show_advice_payload(found, None, analysis)
            return analysis
        return await explained(found, analysis)


async def _by_dns_alone(names: tuple[str, ...], chosen: Chosen) -> Analysis:
    """Any domains: no environment, no account."""
    from sophia_cli.cli.clock import SystemClock
    from sophia_cli.cli.live_dns import by_dns, surveying
    from sophia_cli.cli.live_tls import tls_collectors
    from sophia_cli.cli.live_web import web_collectors
    from sophia_cli.flows.analyze import analyze

    clock = SystemClock()
    async with surveying(clock, chosen.resolver) as live:
        readers, backgrounds = by_dns(names, live, clock)
        web = web_collectors(clock, chosen.agents, live)
        tls = tls_collectors(clock, chosen.agents, live, resolver=chosen.resolver)
        return await analyze(
            readers,
            now=clock.now(),
            backgrounds=backgrounds,
            agents=chosen.agents,
            collectors=[
                live.collect,
                *chosen.collectors,
                *(one.collect for one in web),
                *(one.collect for one in tls),
            ],
        )


async def examined(
    found: Session,
    agents: Sequence[str] | None,
    *,
    resolver: str | None = None,
    strangers: Sequence[str] = (),
    collectors: Sequence[Collector] = (),
) -> Analysis:
    """The analysis of a session's zones, with live DNS and what the registrar lists; `strangers` by DNS alone."""
    from sophia_cli.cli.certificate_wiring import with_accounts
    from sophia_cli.cli.live_dns import by_dns, surveying
    from sophia_cli.cli.live_tls import tls_collectors
    from sophia_cli.cli.live_web import web_collectors
    from sophia_cli.cli.registrar import backgrounds as registered
    from sophia_cli.cli.registrar import cloud_collectors
    from sophia_cli.flows.analyze import analyze

    # Stacks and certificates are not zones: named, each is refused by name; else they are left out.
    zones = [port for target, port in found.targets.items() if found.common.target or target.startswith("dns:")]
    async with surveying(found.clock, resolver, found) as live:
        readers, backgrounds = by_dns(strangers, live, found.clock)
        web, cloud = web_collectors(found.clock, agents, live, found), cloud_collectors(found, agents)
        tls = tls_collectors(found.clock, agents, live, found, resolver)
        return await analyze(
            [*zones, *readers],
            now=found.clock.now(),
            settings=found.settings,
            backgrounds={**await registered(found, agents), **backgrounds},
            agents=agents,
            collectors=[
                live.collect,
                *collectors,
                with_accounts(found),
                *(one.collect for one in web),
                *(one.collect for one in tls),
                *(one.collect for one in cloud),
            ],
        )


def _written_in(common: Common, chosen: Chosen) -> str | None:
    """The file that findings without a line of their own are about: the zone file, else the local environment's."""
    from sophia_cli.cli.environments import cloud_address, environment_path
    from sophia_cli.core.errors import InvalidEnvironment

    if chosen.zone_file is not None:
        return str(chosen.zone_file)
    try:
        return None if cloud_address(common.env) is not None else str(environment_path(common))
    except InvalidEnvironment:
        return None  # by DNS alone: nothing is written anywhere


def _rendered(common: Common, analysis: Analysis, file: str | None) -> str:
    from sophia_cli import __version__
    from sophia_cli.cli.printing import wants_colour
    from sophia_cli.output import analysis as forms
    from sophia_cli.output.counsel import counsel_text, offers_text
    from sophia_cli.output.json_v1 import envelope

    if common.output is Output.json:
        return envelope("analysis", analysis.data())
    if common.output is Output.sarif:
        from sophia_cli.output.sarif import sarif

        return sarif(analysis, version=__version__, file=file, base=str(Path.cwd()))
    if common.output is Output.html:
        from sophia_cli.output.html import html

        return html(analysis)
    data, is_markdown = analysis.data(), common.output is Output.markdown
    told = counsel_text(data.get("model", ()), is_markdown=is_markdown)
    told += offers_text(data.get("model_proposals", ()), is_markdown=is_markdown)
    if common.output is Output.markdown:
        return forms.markdown(analysis) + told
    return forms.render(analysis, colour=wants_colour(common)) + told
