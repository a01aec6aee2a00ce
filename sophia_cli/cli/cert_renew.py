"""`sophia cert renew`: the same certificate once more, when its time has come. Made for cron as well."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from sophia_cli.cli.certifying import Names
from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import note, only


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "renew")
    def renew(
        common: Common,
        names: Names = None,
        force: Annotated[bool, typer.Option("--force", help="Also before it is due.")] = False,
    ) -> int:
        """Renew the installed certificates that are due; what was never issued is left to: sophia cert issue."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_renew(common, names or [], force))


async def _renew(common: Common, names: list[str], force: bool) -> int:
    from sophia_cli.cli.certifying import carried_out, certificates_session
    from sophia_cli.core.errors import Refused

    async with certificates_session(common, "cert renew", names) as (found, targets):
        parts, first = [], []
        for target in targets:
            part = await target.propose()
            if any(change.kind == "cert.issue" for change in part.changes):
                first.append(f"{target.id}: {part.changes[0].reason}, which is no renewal")
            else:
                parts.append((target, part))
        if first and (names or not parts):
            raise Refused("; ".join(first), hint="run: sophia cert issue")
        for line in first:
            note(common, f"{line}; run: sophia cert issue")
        return await carried_out(found, parts, again=force)
