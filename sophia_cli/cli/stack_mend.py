"""`sophia stack restore|adopt`: what drifted is put back, or recorded as it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only

if TYPE_CHECKING:
    from sophia_cli.core.ports import Part

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME|URN]...", help="Only these resources (default: all that drifted).")
]


def register(group: typer.Typer) -> None:
    """Add the commands."""

    @command(group, "restore")
    def restore(common: Common, names: Names = None) -> int:
        """Put drifted resources back to what the program says."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_mend(common, tuple(names or ()), adopting=False))

    @command(group, "adopt")
    def adopt(common: Common, names: Names = None) -> int:
        """Record drifted resources as they are; the resources themselves are not touched."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_mend(common, tuple(names or ()), adopting=True))


async def _mend(common: Common, names: tuple[str, ...], *, adopting: bool) -> int:
    from sophia_cli.cli.applying import settle, take_approval
    from sophia_cli.cli.stacking import carried_out, one_stack
    from sophia_cli.core.errors import Refused
    from sophia_cli.flows.mending import only as meant

    async with one_stack(common, "stack adopt" if adopting else "stack restore") as (found, target):
        await settle(found)
        await take_approval(found, common.approval)
        drifted = await target.drift()
        urns = meant(drifted.changes, names)
        strange = [name for name in names if not meant(drifted.changes, (name,))]
        if strange:
            raise Refused(f"{', '.join(strange)}: nothing of that name drifted", hint="sophia stack drift")
        part: Part = drifted
        if urns:
            part = await (target.propose_adopt if adopting else target.propose_restore)(urns)
        return await carried_out(found, part)
