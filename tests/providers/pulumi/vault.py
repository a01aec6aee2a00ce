"""A key server on loopback that speaks HashiCorp Vault's transit API (`/v1/transit/encrypt` and `/v1/transit/decrypt`).

Source: Vault, "Transit secrets engine (API)". One key, made anew with each server; another token than its own is refused.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

PREFIX = "vault:v1:"


@dataclass
class Vault:
    """The server's address and token, how often it sealed and opened, and its key."""

    url: str = ""
    token: str = "vault-token-of-the-tests"
    log: list[str] = field(default_factory=list)
    key: Fernet = field(default_factory=lambda: Fernet(Fernet.generate_key()))

    def answer(self, path: str, token: str | None, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """The status and the answer to one request."""
        operation = path.split("/")[3] if path.startswith("/v1/transit/") else ""
        self.log.append(operation)
        if token != self.token:
            return 403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}
        try:
            if operation == "encrypt":
                return 200, {"data": {"ciphertext": PREFIX + self.key.encrypt(body["plaintext"].encode()).decode()}}
            if operation == "decrypt":
                opened = self.key.decrypt(body["ciphertext"].removeprefix(PREFIX).encode())
                return 200, {"data": {"plaintext": base64.b64encode(base64.b64decode(opened)).decode()}}
        except InvalidToken:
            return 400, {"errors": ["cipher: message authentication failed"]}
        return 404, {"errors": []}


@contextlib.contextmanager
def serving() -> Iterator[Vault]:
    """A key server for as long as the block runs."""
    vault = Vault()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            status, said = vault.answer(self.path, self.headers.get("X-Vault-Token"), body)
            text = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_PUT

        def log_message(self, *args: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    vault.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield vault
    finally:
        server.shutdown()
        server.server_close()
