"""`sophia stack history`: the updates of one stack, as its engine kept them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only
from sophia_cli.cli.stack_show import Name


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "history")
    def history(
        common: Common,
        name: Name = None,
        count: Annotated[int, typer.Option("--count", metavar="N", min=1, max=100, help="How many.")] = 10,
    ) -> int:
        """Show the newest updates of a stack, those of others included."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_history(common, name, count))


async def _history(common: Common, name: str | None, count: int) -> int:
    from sophia_cli.cli.stack_views import pasts, printed, viewed
    from sophia_cli.cli.stacking import one_stack
    from sophia_cli.output import stacks as forms

    async with one_stack(common, "stack history", name) as (found, target):
        view = replace(await viewed(found, target), updates=pasts(await target.history(count)), with_resources=False)
        return printed(common, [view], forms.history)
