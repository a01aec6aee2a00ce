"""`sophia cert issue`: have the certificate issued that the environment asks for."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "issue")
    def issue(
        common: Common,
        force: Annotated[bool, typer.Option("--force", help="Also when what is installed is as wanted.")] = False,
    ) -> int:
        """Issue the certificate of the environment's ssl section: order, prove, install, verify."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_issue(common, force))


async def _issue(common: Common, force: bool) -> int:
    from sophia_cli.cli.certifying import carried_out, certificate_session

    async with certificate_session(common, "cert issue") as (found, target):
        part = await target.propose()
        return await carried_out(found, target, part, again="asked for" if force else None)
