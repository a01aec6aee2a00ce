"""`sophia cert renew`: the same certificate once more, when its time has come. Made for cron as well."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "renew")
    def renew(
        common: Common,
        force: Annotated[bool, typer.Option("--force", help="Also before it is due.")] = False,
    ) -> int:
        """Renew the installed certificate if it is due; what was never issued is left to: sophia cert issue."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_renew(common, force))


async def _renew(common: Common, force: bool) -> int:
    from sophia_cli.cli.certifying import carried_out, certificate_session
    from sophia_cli.core.errors import Refused

    async with certificate_session(common, "cert renew") as (found, target):
        part = await target.propose()
        if any(change.kind == "cert.issue" for change in part.changes):
            raise Refused(f"{target.id}: {part.changes[0].reason}, which is no renewal", hint="run: sophia cert issue")
        part = replace(part, changes=tuple(change for change in part.changes if change.kind == "cert.renew"))
        return await carried_out(found, target, part, again="asked for" if force else None)
