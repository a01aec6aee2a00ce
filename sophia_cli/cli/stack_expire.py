"""`sophia stack expire`: an end for an environment, or none."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only
from sophia_cli.core.errors import UsageError


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "expire")
    def expire(
        common: Common,
        name: Annotated[str, typer.Argument(metavar="NAME", help="The environment.")],
        at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="When it ends.")] = None,
        never: Annotated[bool, typer.Option("--never", help="Take its end away.")] = False,
    ) -> int:
        """Set when an environment ends: heal reports it then, and takes it down where the autonomy allows."""
        only(common, Output.text, Output.json, Output.markdown)
        if (at is None) is not never:
            raise UsageError("expire: exactly one of --at and --never")
        return asyncio.run(_expire(common, name, at))


async def _expire(common: Common, name: str, at: str | None) -> int:
    from sophia_cli.cli.applying import carry_out, settle, take_approval
    from sophia_cli.cli.stacking import moment, shown, stacks_alone
    from sophia_cli.cli.stacks import desk_of
    from sophia_cli.flows.environments import find_stack, plan_expiry

    async with stacks_alone(common, "stack expire") as found:
        await settle(found)
        await take_approval(found, common.approval)
        stack = find_stack(found.settings, name)
        judged = await plan_expiry(stack, moment("--at", at), desk_of(found))
        shown(found, judged)
        return await carry_out(found, judged)
