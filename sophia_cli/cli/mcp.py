"""`sophia mcp`: the environment for other programs' assistants, over the Model Context Protocol; read-only unless flagged."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import replace
from typing import Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import note, only


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "mcp")
    def mcp(
        common: Common,
        http: Annotated[
            int | None,
            typer.Option(
                "--http", metavar="PORT", min=0, max=65535, help="Streamable HTTP on 127.0.0.1 (0: any port)."
            ),
        ] = None,
        allow_apply: Annotated[
            bool, typer.Option("--allow-apply", help="Offer applying plans that were approved with: sophia approve.")
        ] = False,
    ) -> int:
        """Serve this environment to assistants (MCP): on stdin and stdout, or over HTTP on loopback with a token."""
        only(common, Output.text)
        return asyncio.run(_serve(common, http, allow_apply))


async def _serve(common: Common, port: int | None, allow_apply: bool) -> int:
    from importlib.util import find_spec

    from sophia_cli import __version__
    from sophia_cli.core.errors import UsageError

    if find_spec("mcp") is None:
        raise UsageError(
            "sophia mcp needs the MCP SDK, which is not installed here", hint="pip install 'sophia-cli[mcp]'"
        )
    from sophia_cli.cli.mcp_desk import SessionDesk
    from sophia_cli.providers.mcp.server import build

    # What a person typed for one command must not stand for whatever a client asks: no yes, no names, no lifted limits.
    quiet = replace(
        common, output=Output.json, quiet=True, verbose=False, no_input=True, yes=False, confirm=None, approval=None
    )
    desk = SessionDesk(replace(quiet, override=None, ai=False))
    await desk.check()
    server = build(desk, version=__version__, allow_apply=allow_apply)
    if port is None:
        if sys.stdin.isatty():
            note(common, "sophia mcp speaks JSON-RPC on stdin and stdout; an assistant starts it. Ctrl-C ends it.")
        # The SDK reads stdin in a thread that no cancellation wakes; outside a request nothing is being written anyway.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        await server.run_stdio_async()
        return 0
    import secrets

    from sophia_cli.cli.redaction import learn
    from sophia_cli.providers.mcp.http import serve

    token = secrets.token_urlsafe(32)
    learn({token})

    def ready(address: str) -> None:
        print(f"sophia mcp listens on {address}", file=sys.stderr)
        print(f"Authorization: Bearer {token}", file=sys.stderr)
        print("The token is shown this once and ends with the server.", file=sys.stderr, flush=True)

    await serve(server, port, token, ready)
    return 0
