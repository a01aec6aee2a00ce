"""`sophia rollback`: undo what a run changed, keeping what others changed since."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import note, only


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "rollback")
    def rollback(
        common: Common,
        run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="The run to undo (default: the last).")] = None,
    ) -> int:
        """Undo a run's own changes against what is there now; later edits of others are kept and named."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_rollback(common, run))


async def _rollback(common: Common, run_id: str | None) -> int:
    from sophia_cli.cli.applying import carry_out, settle, take_approval
    from sophia_cli.cli.runtime import session
    from sophia_cli.cli.stacking import forget_empty
    from sophia_cli.cli.stacks import add_stacks_of
    from sophia_cli.flows.environments import ends_whole
    from sophia_cli.flows.plan import parsed_overrides
    from sophia_cli.flows.rollback import find_run, plan_rollback

    async with session(common, "rollback") as found:
        await settle(found)
        await take_approval(found, common.approval)
        add_stacks_of(found, await find_run(found.store.journal, run_id))
        ground = found.ground()
        overrides = parsed_overrides(common.override or ())
        judged = await plan_rollback(run_id, found.settings, ground, found.file, overrides)
        for line in judged.plan.notes:
            note(common, line)
        code = await carry_out(found, judged)
        await forget_empty(found, ends_whole(judged.plan.changes))
        return code
