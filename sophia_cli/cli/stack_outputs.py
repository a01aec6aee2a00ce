"""`sophia stack outputs`: what one stack publishes."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from typing import Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only
from sophia_cli.cli.stack_show import Name


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "outputs")
    def outputs(
        common: Common,
        name: Name = None,
        reveal: Annotated[bool, typer.Option("--reveal", help="Show secrets (on a terminal).")] = False,
    ) -> int:
        """Show what a stack publishes; a record takes it as ${stacks.NAME.outputs.KEY}."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_outputs(common, name, reveal))


async def _outputs(common: Common, name: str | None, reveal: bool) -> int:
    from sophia_cli.cli.stack_views import printed, viewed
    from sophia_cli.cli.stacking import one_stack
    from sophia_cli.core.errors import Refused
    from sophia_cli.output import stacks as forms

    if reveal and not sys.stdout.isatty() and "reveal" not in (common.confirm or ()):
        raise Refused("secrets are shown on a terminal only", hint="add --confirm reveal to write them elsewhere")
    async with one_stack(common, "stack outputs", name) as (found, target):
        view = replace(await viewed(found, target), outputs=dict(await target.outputs()), reveal=reveal)
        return printed(common, [replace(view, with_resources=False)], forms.outputs)
