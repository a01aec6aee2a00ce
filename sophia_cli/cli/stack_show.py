"""`sophia stack show`: what one stack holds."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only

Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="The stack (default: this environment's).")]


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "show")
    def show(common: Common, name: Name = None) -> int:
        """Show one stack: its resources, its last update, and what an interrupted update left behind."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_show(common, name))


async def _show(common: Common, name: str | None) -> int:
    from sophia_cli.cli.stack_views import pasts, printed, viewed
    from sophia_cli.cli.stacking import one_stack
    from sophia_cli.output import stacks as forms

    async with one_stack(common, "stack show", name) as (found, target):
        view = await viewed(found, target)
        return printed(common, [replace(view, updates=pasts(await target.history(1)))], forms.shown)
