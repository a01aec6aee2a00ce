"""`sophia stack create`: a new environment made like an existing one."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "create")
    def create(
        common: Common,
        name: Annotated[str, typer.Argument(metavar="NAME", help="The new environment's name.")],
        base: Annotated[
            str | None, typer.Option("--from", metavar="ENV", help="Which one it is made like (default: this one).")
        ] = None,
        until: Annotated[
            str | None, typer.Option("--until", "--expires", metavar="TIME", help="When it is to end again.")
        ] = None,
    ) -> int:
        """Make a new stack with the settings of another, and records of its own for those that took its outputs."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_create(common, name, base, until))


async def _create(common: Common, name: str, base: str | None, until: str | None) -> int:
    from sophia_cli.cli.applying import carry_out, settle, take_approval
    from sophia_cli.cli.runtime import session
    from sophia_cli.cli.stacking import moment, shown
    from sophia_cli.cli.stacks import desk_of
    from sophia_cli.flows.environments import find_stack, likely_base, plan_creation

    expires = moment("--until", until)
    async with session(common, "stack create") as found:
        await settle(found)
        await take_approval(found, common.approval)
        like = find_stack(found.settings, base) if base is not None else likely_base(found.settings)
        judged = await plan_creation(name, like, desk_of(found), expires)
        shown(found, judged)
        return await carry_out(found, judged)
