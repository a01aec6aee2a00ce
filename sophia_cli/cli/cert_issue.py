"""`sophia cert issue`: have the certificate issued that the environment asks for."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from sophia_cli.cli.certifying import Names
from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "issue")
    def issue(
        common: Common,
        names: Names = None,
        force: Annotated[bool, typer.Option("--force", help="Also when what is installed is as wanted.")] = False,
    ) -> int:
        """Issue the certificates of the environment's ssl section: order, prove, install, verify."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_issue(common, names or [], force))


async def _issue(common: Common, names: list[str], force: bool) -> int:
    from sophia_cli.cli.certifying import carried_out, certificates_session

    async with certificates_session(common, "cert issue", names) as (found, targets):
        parts = [(target, await target.propose()) for target in targets]
        return await carried_out(found, parts, again=force)
