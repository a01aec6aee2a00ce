"""`sophia audit show|verify|threats`: the hash-chained log, and what the threat rules say of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

import typer

from sophia_cli.cli.counsel import ShowPayload
from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only, result, said

if TYPE_CHECKING:
    from sophia_cli.core.history import AuditEvent
    from sophia_cli.flows.summary import Summary


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The hash-chained log.")
    app.add_typer(group, name="audit")

    @command(group, "show")
    def show(
        common: Common,
        since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="RFC 3339, inclusive.")] = None,
        until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="RFC 3339, exclusive.")] = None,
        by: Annotated[str | None, typer.Option("--by", metavar="WHO", help="Whose actor name holds this.")] = None,
        run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="One run.")] = None,
        show_payload: ShowPayload = False,
    ) -> int:
        """Show what was done, by whom, when and with which end. With --run and --ai-enhanced a model sums the run up."""
        only(common, Output.text, Output.json, Output.markdown)
        if show_payload:
            return asyncio.run(_payload(common, run))
        return asyncio.run(
            _audit(common, None, shown=True, since=parsed_time(since), until=parsed_time(until), by=by, run=run)
        )

    @command(group, "verify")
    def verify(
        common: Common,
        head: Annotated[
            str | None, typer.Option("--head", metavar="HASH", help="A head an earlier run printed.")
        ] = None,
    ) -> int:
        """Check the chain: changed, reordered and cut lines show, the tail included. Exit 1 when it does not hold."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_audit(common, head, shown=False))

    @command(group, "threats")
    def threats(
        common: Common,
        since: Annotated[
            str | None, typer.Option("--since", metavar="TIME", help="Only what rests on an event of then or later.")
        ] = None,
        fail_on: Annotated[
            str | None, typer.Option("--fail-on", metavar="SEVERITY", help="Exit 2 from this severity on.")
        ] = None,
        events: Annotated[
            str | None,
            typer.Option(
                "--events",
                metavar="FILE",
                help="Judge a provider's log too: JSON lines of time, actor, action, target and perhaps address.",
            ),
        ] = None,
    ) -> int:
        """Hold the log and the stacks' histories against rules: new actors, odd hours, rates, edits behind our back."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_threats(common, parsed_time(since), fail_on, events))


async def _threats(common: Common, since: datetime | None, fail_on: str | None, events: str | None) -> int:
    from sophia_cli.cli.printing import wants_colour
    from sophia_cli.cli.provider_logs import exported, stack_histories
    from sophia_cli.cli.state import local_state
    from sophia_cli.core.errors import UsageError
    from sophia_cli.core.findings import SEVERITIES
    from sophia_cli.flows.threats import look
    from sophia_cli.output.json_v1 import envelope
    from sophia_cli.output.threats import threats_data, threats_text

    if fail_on is not None and fail_on not in SEVERITIES:
        raise UsageError(f"--fail-on {fail_on}: one of {', '.join(SEVERITIES)}")
    files = () if events is None else (exported(events),)
    local = local_state(common)
    async with stack_histories(common, local) as (stacks, left_out):
        log, found = await look(local.store, since, stacks, (*left_out, *files))
    if common.output is Output.json:
        result(envelope("threats", threats_data(log, found)))
    else:
        said(common, threats_text(log, found, colour=wants_colour(common)))
    ranks = [SEVERITIES.index(finding.severity) for finding in found]
    return 2 if fail_on is not None and max(ranks, default=-1) >= SEVERITIES.index(fail_on) else 0


async def _audit(
    common: Common,
    head: str | None,
    *,
    shown: bool,
    since: datetime | None = None,
    until: datetime | None = None,
    by: str | None = None,
    run: str | None = None,
) -> int:
    from sophia_cli.cli.printing import wants_colour
    from sophia_cli.cli.state import local_state
    from sophia_cli.output.json_v1 import audit_data, envelope
    from sophia_cli.output.runs import audit_text

    store = local_state(common).store
    found, problems = await store.audit.verify(head)
    events = [
        event
        for event in await store.audit.events()
        if (since is None or event.time >= since)
        and (until is None or event.time < until)
        and (by is None or by in event.actor)
        and (run is None or event.run == run)
        and _of_targets(event, common.target)
    ]
    if common.output is Output.json:
        listed = [event.data() for event in events] if shown else []
        data = audit_data(listed, found.count, found.hash, problems)
        if run is not None and common.ai:
            summary = await _summary(common, run)
            data = {**data, "summary": None if summary is None else summary.data()}
        result(envelope("audit", data))
    else:
        said(common, audit_text(events if shown else [], found, problems, colour=wants_colour(common)))
        if run is not None and common.ai:
            await _summary(common, run)
    return 1 if problems and not shown else 0


async def _summary(common: Common, run: str) -> Summary | None:
    """What a model says of a run; the log is shown whatever becomes of it."""
    from sophia_cli.cli.counsel import summary_of_run
    from sophia_cli.cli.printing import note
    from sophia_cli.cli.redaction import redacted
    from sophia_cli.core.errors import SophiaError

    try:
        return await summary_of_run(common, run, show_payload=False)
    except SophiaError as exc:
        note(common, redacted(f"the summary is left out: {exc.message}"))
        return None


async def _payload(common: Common, run: str | None) -> int:
    """Print what a model would be asked about a run; ask and change nothing."""
    from sophia_cli.cli.counsel import summary_of_run
    from sophia_cli.core.errors import UsageError

    if run is None:
        raise UsageError("--show-payload goes with --run", hint="sophia audit show lists runs")
    await summary_of_run(common, run, show_payload=True)
    return 0


def _of_targets(event: AuditEvent, patterns: list[str] | None) -> bool:
    if not patterns:
        return True
    return event.target is not None and any(fnmatchcase(event.target, pattern) for pattern in patterns)


def parsed_time(text: str | None) -> datetime | None:
    from sophia_cli.core.errors import UsageError

    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as exc:
        raise UsageError(f"{text!r} is not a time", hint="such as 2026-11-22T15:00:00Z") from exc
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
