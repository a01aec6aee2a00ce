"""Loopback servers that speak the two APIs rotations use: Pulumi's access tokens and GitHub's Actions secrets."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from nacl.public import PrivateKey, SealedBox


class Backend:
    """What the servers hold: tokens by id, secrets by path, and every request with who made it."""

    def __init__(self) -> None:
        self.url = ""
        self.tokens: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, str] = {}
        self.updated: dict[str, str] = {}
        self.asked: list[str] = []
        self.refuse_new = False
        self.fail: dict[str, int] = {}
        self._key = PrivateKey.generate()
        self._count = 0

    def token(self, value: str, description: str = "by hand") -> str:
        self._count += 1
        id = f"tok-{self._count}"
        self.tokens[id] = {"value": value, "description": description}
        return id

    def values(self) -> set[str]:
        return {one["value"] for one in self.tokens.values()}

    def answer(self, method: str, path: str, authorization: str, body: Any) -> tuple[int, Any]:
        self.asked.append(f"{method} {path}")
        if f"{method} {path}" in self.fail:
            return self.fail[f"{method} {path}"], {"message": "told to fail"}
        scheme, _, given = authorization.partition(" ")
        if path.startswith("/api/user"):
            return self._pulumi(method, path, given if scheme == "token" else "", body)
        if given != "gh-token" or scheme != "Bearer":
            return 401, {"message": "Bad credentials"}
        return self._github(method, path, body)

    def _pulumi(self, method: str, path: str, given: str, body: Any) -> tuple[int, Any]:
        owner = next((one for one in self.tokens.values() if one["value"] == given), None)
        if owner is None or (self.refuse_new and owner["description"].startswith("sophia")):
            return 401, {"code": 401, "message": "Unauthorized"}
        if (method, path) == ("GET", "/api/user"):
            return 200, {"githubLogin": "anna", "name": "Anna"}
        if (method, path) == ("GET", "/api/user/tokens"):
            shown = [{"id": id, "description": one["description"], "lastUsed": 0} for id, one in self.tokens.items()]
            return 200, {"tokens": shown}
        if (method, path) == ("POST", "/api/user/tokens"):
            value = f"pul-{self._count:040x}"
            id = self.token(value, body["description"])
            return 200, {"id": id, "tokenValue": value}
        id = path.rpartition("/")[2]
        return (204, None) if self.tokens.pop(id, None) else (404, {"message": "not found"})

    def _github(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if path.endswith("/public-key"):
            return 200, {"key_id": "k1", "key": base64.b64encode(bytes(self._key.public_key)).decode()}
        if method == "PUT":
            sealed = base64.b64decode(body["encrypted_value"])
            self.secrets[path] = SealedBox(self._key).decrypt(sealed).decode()
            self._count += 1
            self.updated[path] = f"2026-11-22T10:00:{self._count:02d}Z"
            return 204, None
        if path not in self.secrets:
            return 404, {"message": "Not Found"}
        return 200, {"name": path.rpartition("/")[2], "updated_at": self.updated[path]}


@contextlib.contextmanager
def backend() -> Iterator[Backend]:
    """A running server with nothing in it."""
    held = Backend()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: two of them wait for a delayed acknowledgement

        def _do(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            status, data = held.answer(self.command, self.path, self.headers.get("Authorization", ""), body)
            content = b"" if data is None else json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = _do

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    held.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield held
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
