"""Streamable HTTP for the server: loopback only, and nothing is answered without the bearer token."""

from __future__ import annotations

import hmac
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from mcp.server import MCPServer
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from sophia_cli.core.errors import Unreachable

HOST = "127.0.0.1"
PATH = "/mcp"
MOST_BODY = 1024 * 1024  # bytes of one request


class BearerOnly:
    """Answers 401 to every request without the token (RFC 6750 2.1, 3); compares in constant time."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._wanted = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the server's start and end."""
        if scope["type"] == "lifespan" or self._is_known(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            refused = PlainTextResponse(
                "the bearer token is missing or wrong\n", 401, {"WWW-Authenticate": 'Bearer realm="sophia"'}
            )
            await refused(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        given = [value for key, value in scope.get("headers", ()) if key == b"authorization"]
        return len(given) == 1 and hmac.compare_digest(given[0], self._wanted)


async def serve(server: MCPServer[Any], port: int, token: str, ready: Callable[[str], None]) -> None:
    """Serve on loopback until stopped; `ready` gets the address. Raises `Unreachable` when the port is taken."""
    app = BearerOnly(
        server.streamable_http_app(streamable_http_path=PATH, host=HOST, max_request_body_size=MOST_BODY), token
    )
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as exc:
            raise Unreachable(
                f"{HOST}:{port} cannot be used: {exc.strerror}", hint="choose another --http port"
            ) from exc
        listener.listen()
        ready(f"http://{HOST}:{listener.getsockname()[1]}{PATH}")
        settings = uvicorn.Config(app, log_config=None, access_log=False, log_level="critical", server_header=False)
        await uvicorn.Server(settings).serve(sockets=[listener])
