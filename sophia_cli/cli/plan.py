"""`sophia plan`: what would change, and whether policy allows it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sophia_cli.cli.counsel import ShowPayload
from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import note, only, result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sophia_cli.cli.session import Session
    from sophia_cli.flows.plan import Judged


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "plan")
    def plan(
        common: Common,
        out: Annotated[
            Path | None, typer.Option("--out", metavar="FILE", help="Write the plan to a file (JSON).")
        ] = None,
        accept: Annotated[
            list[str] | None, typer.Option("--accept", metavar="ID|safe", help="Take a proposal into the plan.")
        ] = None,
        detailed_exitcode: Annotated[
            bool, typer.Option("--detailed-exitcode", help="Exit 2 when there are changes.")
        ] = False,
        show_payload: ShowPayload = False,
    ) -> int:
        """Show what would change, and whether policy allows it. Writes nothing."""
        only(common, Output.text, Output.json, Output.markdown, Output.html)
        return asyncio.run(
            payload(common, "plan") if show_payload else _plan(common, out, tuple(accept or ()), detailed_exitcode)
        )


async def _plan(common: Common, out: Path | None, accept: tuple[str, ...], detailed_exitcode: bool) -> int:
    from dataclasses import replace

    from sophia_cli.cli.applying import save_document
    from sophia_cli.cli.runtime import session
    from sophia_cli.output.json_v1 import envelope, plan_data

    if accept and common.ai is None:
        common = replace(common, ai=True)
    async with session(common, "plan") as found:
        judged = await with_accepted(found, await planned(found), accept)
        if out is not None:
            save_document(out, envelope("plan", plan_data(judged.plan, judged.verdict)))
            note(common, f"plan written to {out}; approve it with: sophia approve {out}")
        result(rendered(judged, common))
        calls, wait_s = await found.cost(judged.plan)
        if calls:
            wait = f", about {wait_s:.0f} s of waiting for the rate budget" if wait_s >= 1 else ""
            note(common, f"a deploy of this plan takes {calls} API calls{wait}")
    return 2 if detailed_exitcode and not judged.plan.is_empty() else 0


async def payload(common: Common, name: str) -> int:
    """Print what a model would be asked about the plan; ask and change nothing."""
    from sophia_cli.cli.counsel import show_advice_payload
    from sophia_cli.cli.runtime import session

    async with session(common, name) as found:
        return await show_advice_payload(found, await planned(found, with_model=False))


async def planned(found: Session, *, with_model: bool = True) -> Judged:
    """The judged plan of a session, with the specialists' proposals, and a model's, when they are asked for."""
    from dataclasses import replace

    from sophia_cli.flows.plan import make_plan, parsed_overrides

    overrides = parsed_overrides(found.common.override or ())
    judged = await make_plan(found.settings, found.targets, found.store, found.clock.now(), overrides)
    if not wants_proposals(found):
        return judged
    from sophia_cli.cli.counsel import advised
    from sophia_cli.cli.learning import offered
    from sophia_cli.flows.proposals import proposals

    made = proposals(found.settings, [seen.zone for seen in judged.seen.values()], found.clock.now(), judged.plan)
    judged = replace(judged, plan=replace(judged.plan, proposals=await offered(found, made)))
    return await advised(found, judged) if with_model else judged


async def with_accepted(found: Session, judged: Judged, ids: Sequence[str]) -> Judged:
    """The plan with the proposals that `--accept` names, judged again."""
    from sophia_cli.flows.accept import accepted, chosen_proposals

    chosen = chosen_proposals(judged.plan.proposals, ids, found.settings)
    changes = [change for proposal in chosen for change in proposal.changes]
    return await accepted(judged, changes, found.settings, found.file, found.store)


def wants_proposals(found: Session) -> bool:
    """Whether `--ai-enhanced` is on and the environment does not switch the specialists off."""
    return bool(found.common.ai) and found.settings.intelligence.enabled


def rendered(judged: Judged, common: Common) -> str:
    """The plan in the form that was asked for."""
    from sophia_cli.cli.printing import wants_colour

    if common.output is Output.json:
        from sophia_cli.output.json_v1 import envelope, plan_data

        return envelope("plan", plan_data(judged.plan, judged.verdict))
    from sophia_cli.output import plan as forms

    if common.output is Output.markdown:
        return forms.markdown(judged.plan, judged.verdict)
    if common.output is Output.html:
        return forms.html(judged.plan, judged.verdict)
    return forms.text(judged.plan, judged.verdict, colour=wants_colour(common), verbose=common.verbose)
