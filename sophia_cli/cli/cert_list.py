"""`sophia cert list`: what is wanted, what is installed, and when it is renewed. Asks nobody."""

from __future__ import annotations

import asyncio

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only, result, said


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "list")
    def list_(common: Common) -> int:
        """Show the environment's certificate, its versions on disk, and when it is due."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_list(common))


async def _list(common: Common) -> int:
    from sophia_cli.cli.clock import SystemClock
    from sophia_cli.cli.environments import load_settings
    from sophia_cli.cli.runtime import certificate_store, state_dir, wants_colour
    from sophia_cli.core.certificates import name_of, wanted
    from sophia_cli.flows.schedule import listed
    from sophia_cli.output.certificates import data, text
    from sophia_cli.output.json_v1 import envelope

    environment, settings = await load_settings(common)
    store = certificate_store(settings, state_dir(common, environment.file))
    name, order, now = name_of(settings.ssl), wanted(settings.ssl), SystemClock().now()
    found = [] if name is None or order is None else [await listed(name, order, store, now)]
    if common.output is Output.json:
        result(envelope("certs", data(found, now)))
    else:
        said(common, text(found, now, colour=wants_colour(common), verbose=common.verbose))
    return 0
