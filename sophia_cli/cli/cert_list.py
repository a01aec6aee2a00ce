"""`sophia cert list`: what is wanted, what is installed, and when it is renewed. Asks nobody."""

from __future__ import annotations

import asyncio
import socket

import typer

from sophia_cli.cli.certifying import Names
from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only, result, said


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "list")
    def list_(common: Common, names: Names = None) -> int:
        """Show the environment's certificates, their versions on disk, and when they are due."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_list(common, names or []))


async def _list(common: Common, names: list[str]) -> int:
    from sophia_cli.cli.certifying import named
    from sophia_cli.cli.clock import SystemClock
    from sophia_cli.cli.environments import load_settings
    from sophia_cli.cli.printing import wants_colour
    from sophia_cli.cli.state import certificate_store, documents_at, keepers_of, renewals_of, state_dir, state_place
    from sophia_cli.core.certificates import sections, wanted
    from sophia_cli.flows.keeping import state_of
    from sophia_cli.flows.schedule import listed
    from sophia_cli.output.certificates import data, text
    from sophia_cli.output.json_v1 import envelope

    environment, settings = await load_settings(common)
    local = state_dir(common, environment.file)
    documents = documents_at(common, local)
    store, renewals = certificate_store(settings, local), renewals_of(documents)
    keepers = keepers_of(documents, state_place(common, local))
    asked, now = sections(settings.ssl), SystemClock().now()
    orders = {name: wanted(ssl) for name, ssl in asked.items()}
    found = []
    for name in named(names, list(orders)) if names else orders:
        state = await state_of(name, store, keepers, socket.gethostname())
        if (order := orders[name]) is not None:
            found.append(await listed(state, order, store, renewals, now, asked[name].renew_before_days))
    if common.output is Output.json:
        result(envelope("certs", data(found, now)))
    else:
        said(common, text(found, now, colour=wants_colour(common), verbose=common.verbose))
    return 0
