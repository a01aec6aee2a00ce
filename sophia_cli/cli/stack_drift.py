"""`sophia stack drift`: how resources differ from what was last applied, by resource and property. Changes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import note, only
from sophia_cli.cli.stack_show import Name


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "drift")
    def drift(
        common: Common,
        name: Name = None,
        detailed_exitcode: Annotated[
            bool, typer.Option("--detailed-exitcode", help="Exit 2 when something drifted.")
        ] = False,
    ) -> int:
        """Find what somebody changed behind the engine's back."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_drift(common, name, detailed_exitcode))


async def _drift(common: Common, name: str | None, detailed_exitcode: bool) -> int:
    from sophia_cli.cli.stack_views import printed, viewed
    from sophia_cli.cli.stacking import one_stack
    from sophia_cli.output import stacks as forms

    async with one_stack(common, "stack drift", name) as (found, target):
        view = await viewed(found, target)
        part = await target.drift()
        for line in part.notes:
            note(common, line)
        changes = tuple(change for change in part.changes if change.kind == "stack.resource")
        printed(common, [replace(view, drift=changes, with_resources=False)], forms.drift)
        return 2 if detailed_exitcode and changes else 0
