"""`sophia heal`: find drift and faults, repair what policy allows, report the rest."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import note, only, result, said
from sophia_cli.core.errors import Interrupted, SophiaError

if TYPE_CHECKING:
    from sophia_cli.cli.session import Session
    from sophia_cli.flows.heal import Healed


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "heal")
    def heal(
        common: Common,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Find and report; change nothing.")] = False,
        watch: Annotated[
            float | None, typer.Option("--watch", metavar="SECONDS", min=1, help="Go on for ever, this often.")
        ] = None,
    ) -> int:
        """Settle what was interrupted, find drift, repair what the autonomy allows, report the rest. Made for cron."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_heal(common, dry_run) if watch is None else _watch(common, dry_run, watch))


async def _heal(common: Common, dry_run: bool, *, one_line: bool = False, every_s: float | None = None) -> int:
    from sophia_cli.agents.score import score
    from sophia_cli.cli.applying import settle
    from sophia_cli.cli.runtime import session
    from sophia_cli.cli.stacks import with_stacks_of_runs
    from sophia_cli.flows.heal import heal

    async with session(common, "heal") as found:
        settled = () if dry_run else await settle(found)
        ground = await with_stacks_of_runs(found, found.ground(), due=True)
        healed = await heal(found.settings, ground, score, dry_run=dry_run, file=found.file, seals=found.seals)
        healed = await _certificates(found, healed, dry_run, None if every_s is None else timedelta(seconds=every_s))
        if not dry_run:
            await _told(found, healed)
        shown = replace(healed, runs=(*(run for run in settled if run.closed), *healed.runs))
        await _report(found, shown, one_line=one_line)
        return _code(found, healed)


async def _told(found: Session, healed: Healed) -> None:
    """Tell those who are not looking what was left open (`monitoring.alert_email`, `monitoring.webhook`)."""
    from sophia_cli.flows.notify import tell_open

    for failure in await tell_open((entry.finding for entry in healed.open), found.alerts()):
        note(found.common, failure)


async def _certificates(found: Session, healed: Healed, dry_run: bool, wake: timedelta | None) -> Healed:
    """The pass with what was found and done for the environment's certificates."""
    from sophia_cli.agents.score import score
    from sophia_cli.core.findings import Finding
    from sophia_cli.flows.heal import Open
    from sophia_cli.flows.renew import renew

    targets = [target for target in found.certificates if target.id in found.targets]
    if not targets:
        return healed
    for target in targets:
        target.issuer = replace(target.issuer, wake=wake)
    renewed = await renew(targets, found.certificates, dry_run=dry_run)
    for line in renewed.notes:
        note(found.common, line)
    findings = tuple(sorted((*healed.findings, *renewed.findings), key=Finding.order))
    open_ = (*healed.open, *(Open(finding, why) for finding, why in renewed.open))
    return replace(
        healed,
        findings=findings,
        repaired=(*healed.repaired, *renewed.repaired),
        open=tuple(sorted(open_, key=lambda entry: entry.finding.order())),
        runs=(*healed.runs, *renewed.runs),
        score_before=score(findings),
        score_after=score([entry.finding for entry in open_]),
    )


def _code(found: Session, healed: Healed) -> int:
    from sophia_cli.flows.closing import failure_of

    for run in healed.runs:
        failure = (
            None if run.outcome == "nothing" and not found.guard.stop_requested() else failure_of(run, found.guard)
        )
        if failure is not None:
            raise failure
    return 2 if healed.open else 0


async def _report(found: Session, healed: Healed, *, one_line: bool) -> None:
    from sophia_cli.cli.printing import wants_colour

    if found.common.output is Output.json:
        from sophia_cli.output import json_v1

        result((json_v1.line if one_line else json_v1.envelope)("heal", healed.data()))
        return
    from sophia_cli.output.heal import text
    from sophia_cli.output.runs import head_line

    told = text(healed, colour=wants_colour(found.common), verbose=found.common.verbose)
    if told:
        said(found.common, told)
    if healed.runs:
        head, _ = await found.store.audit.verify()
        note(found.common, head_line(head))


async def _watch(common: Common, dry_run: bool, every_s: float) -> int:
    """Passes for ever; a failing pass is said and the next one is tried."""
    from sophia_cli.output.runs import error_text

    while True:
        try:
            await _heal(common, dry_run, one_line=True, every_s=every_s)
        except Interrupted:
            raise
        except SophiaError as exc:
            note(common, error_text(exc).rstrip("\n"))
        await asyncio.sleep(every_s)
