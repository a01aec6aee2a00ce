"""A server on loopback that speaks the part of Pulumi Cloud's REST API which the CLI needs for one stack's whole life.

Paths and shapes: Pulumi, "Pulumi Cloud REST API", and the CLI's own requests. Each stack has a key of its own; without the
token nothing is answered, and while an update holds a stack no other one may start.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.server
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

TOKEN = "pul-0123456789abcdef0123456789abcdef01234567"
USER, ORGANIZATION = "ada", "acme"
UPDATES = ("update", "preview", "refresh", "destroy")
Body = dict[str, Any]


@dataclass
class CloudStack:
    """One stack as the server keeps it. `holder` is the update that holds it, by its author and start."""

    tags: dict[str, str] = field(default_factory=dict)
    deployment: Any = None
    version: int = 0
    history: list[Body] = field(default_factory=list)
    holder: Body | None = None
    key: Fernet = field(default_factory=lambda: Fernet(Fernet.generate_key()))


class Refusal(Exception):
    """An answer that is no success: a status and what is wrong."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass
class Cloud:
    """All stacks by `ORG/PROJECT/NAME`, and every request as `METHOD PATH`. `tokens` are those it accepts."""

    stacks: dict[str, CloudStack] = field(default_factory=dict)
    updates: dict[str, Body] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    log: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hold(self, name: str, author: str) -> None:
        """Another machine's update holds the stack from now on."""
        self.stacks[name].holder = {"kind": "update", "author": author, "started": int(time.time())}

    def answer(self, method: str, path: str, query: str, body: Body) -> Any:
        """The answer to one request."""
        for pattern, allowed, make in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method in allowed:
                return make(self, method, body, *found.groups())
        raise Refusal(404, f"Not Found: {method} {path}")

    def stack(self, name: str) -> CloudStack:
        if name not in self.stacks:
            raise Refusal(404, f"Not Found: Stack '{name}' not found")
        return self.stacks[name]

    # -- routes -----------------------------------------------------------------------------------------------------------

    def user(self, method: str, body: Body) -> Body:
        return {"githubLogin": USER, "name": USER, "organizations": [{"githubLogin": ORGANIZATION}]}

    def nothing(self, method: str, body: Body, *names: str) -> Body:
        return {}

    def listed(self, method: str, body: Body) -> Body:
        split = [(name.split("/"), stack) for name, stack in sorted(self.stacks.items())]
        rows = [{"orgName": org, "projectName": project, "stackName": name} for (org, project, name), _ in split]
        return {"stacks": rows}

    def project(self, method: str, body: Body, project: str) -> Body:
        if method == "POST":
            name = f"{project}/{body['stackName']}"
            if name in self.stacks:
                raise Refusal(409, f"Conflict: Stack '{name}' already exists")
            self.stacks[name] = CloudStack(dict(body.get("tags") or {}))
        elif not any(name.startswith(f"{project}/") for name in self.stacks):
            raise Refusal(404, "Not Found: Project not found")
        return {}

    def one(self, method: str, body: Body, name: str) -> Body:
        stack = self.stack(name)
        if method == "DELETE":
            if (stack.deployment or {}).get("resources"):
                raise Refusal(400, "Bad Request: Stack still contains resources.")
            del self.stacks[name]
            return {}
        org, project, short = name.split("/")
        shown = {"orgName": org, "projectName": project, "stackName": short, "tags": stack.tags}
        running = {} if stack.holder is None else {"currentOperation": stack.holder, "activeUpdate": "running"}
        return {**shown, "version": stack.version, **running}

    def export(self, method: str, body: Body, name: str) -> Body:
        return {"version": 3, "deployment": self.stack(name).deployment}

    def encrypt(self, method: str, body: Body, name: str) -> Body:
        return {"ciphertext": self._sealed(name, body["plaintext"])}

    def encrypt_all(self, method: str, body: Body, name: str) -> Body:
        return {"ciphertexts": [self._sealed(name, one) for one in body["plaintexts"]]}

    def decrypt(self, method: str, body: Body, name: str) -> Body:
        return {"plaintext": self._opened(name, body["ciphertext"])}

    def decrypt_all(self, method: str, body: Body, name: str) -> Body:
        return {"plaintexts": {one: self._opened(name, one) for one in body["ciphertexts"]}}

    def _sealed(self, name: str, text: str) -> str:
        return base64.b64encode(self.stack(name).key.encrypt(base64.b64decode(text))).decode()

    def _opened(self, name: str, text: str) -> str:
        try:
            return base64.b64encode(self.stack(name).key.decrypt(base64.b64decode(text))).decode()
        except InvalidToken as exc:
            raise Refusal(400, "Bad Request: invalid ciphertext") from exc

    def history(self, method: str, body: Body, name: str) -> Body:
        return {"updates": list(reversed(self.stack(name).history))}

    def latest(self, method: str, body: Body, name: str) -> Body:
        if not self.stack(name).history:
            raise Refusal(404, "Not Found: Update not found")
        return {"info": self.stack(name).history[-1]}

    def create(self, method: str, body: Body, name: str, kind: str) -> Body:
        self.stack(name)
        number = f"00000000-0000-4000-8000-{len(self.updates):012d}"
        message = (body.get("metadata") or {}).get("message", "")
        config = body.get("config") or {}
        given = {"kind": kind, "message": message, "config": config, "environment": {}}
        self.updates[number] = {**given, "startTime": int(time.time())}
        return {"updateID": number}

    def start(self, method: str, body: Body, name: str, kind: str, number: str) -> Body:
        stack = self.stack(name)
        if method == "GET":
            return {"status": self.updates[number].get("result", "running"), "events": []}
        if stack.holder is not None and self.updates[number]["kind"] != "preview":
            raise Refusal(409, "Conflict: Another update is currently in progress.")
        if self.updates[number]["kind"] != "preview":
            stack.holder = {"kind": kind, "author": USER, "started": int(time.time()), "number": number}
            stack.version += 1
        return {"version": stack.version, "token": f"lease-{number}"}

    def checkpoint(self, method: str, body: Body, name: str, kind: str, number: str) -> Body:
        self._held(name, number)
        self.stack(name).deployment = body["deployment"]
        return {}

    def renew(self, method: str, body: Body, name: str, kind: str, number: str) -> Body:
        return {"token": f"lease-{number}"}

    def complete(self, method: str, body: Body, name: str, kind: str, number: str) -> Body:
        if self.updates[number]["kind"] == "preview":
            return {}
        self._held(name, number)
        stack, update = self.stack(name), self.updates[number]
        stack.holder = None
        ended = {"result": body["status"], "endTime": int(time.time()), "version": stack.version}
        stack.history.append({**update, **ended})
        return {}

    def cancel(self, method: str, body: Body, name: str, kind: str, number: str) -> Body:
        self.stack(name).holder = None
        return {}

    def _held(self, name: str, number: str) -> None:
        holder = self.stack(name).holder
        if holder is None or holder.get("number") != number:
            raise Refusal(403, "Forbidden: the update does not hold the stack")


_STACK = r"/api/stacks/([^/]+/[^/]+/[^/]+)"
_UPDATE = _STACK + rf"/({'|'.join(UPDATES)})/([^/]+)"
Route = tuple[str, tuple[str, ...], Callable[..., Any]]
ROUTES: tuple[Route, ...] = (
    (r"/api/user", ("GET",), Cloud.user),
    (r"/api/user/stacks", ("GET",), Cloud.listed),
    (r"/api/capabilities|/api/user/organizations/default", ("GET",), Cloud.nothing),
    (r"/api/stacks/([^/]+/[^/]+)", ("POST", "HEAD"), Cloud.project),
    (_STACK, ("GET", "DELETE"), Cloud.one),
    (_STACK + r"/export(?:/\d+)?", ("GET",), Cloud.export),
    (_STACK + r"/encrypt", ("POST",), Cloud.encrypt),
    (_STACK + r"/batch-encrypt", ("POST",), Cloud.encrypt_all),
    (_STACK + r"/decrypt", ("POST",), Cloud.decrypt),
    (_STACK + r"/batch-decrypt", ("POST",), Cloud.decrypt_all),
    (_STACK + r"/decrypt/log-(?:batch-)?decryption", ("POST",), Cloud.nothing),
    (_STACK + r"/tags", ("PATCH",), Cloud.nothing),
    (_STACK + r"/updates", ("GET",), Cloud.history),
    (_STACK + r"/updates/latest", ("GET",), Cloud.latest),
    (_STACK + rf"/({'|'.join(UPDATES)})", ("POST",), Cloud.create),
    (_UPDATE, ("GET", "POST"), Cloud.start),
    (_UPDATE + r"/checkpoint", ("PATCH",), Cloud.checkpoint),
    (_UPDATE + r"/events/batch", ("POST",), Cloud.nothing),
    (_UPDATE + r"/renew_lease", ("POST",), Cloud.renew),
    (_UPDATE + r"/complete", ("POST",), Cloud.complete),
    (_UPDATE + r"/cancel", ("POST",), Cloud.cancel),
)


def _handler(cloud: Cloud) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            path, _, query = self.path.partition("?")
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "gzip":
                raw = gzip.decompress(raw)
            with cloud.lock:
                cloud.log.append(f"{self.command} {path}")
                cloud.bodies.append(raw)
                try:
                    self._authorized()
                    found = json.loads(raw) if raw.strip() else {}
                    body = found if isinstance(found, dict) else {}
                    status, said = 200, cloud.answer(self.command, path, query, body)
                except Refusal as refusal:
                    status, said = refusal.status, {"code": refusal.status, "message": refusal.message}
            text = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

        def _authorized(self) -> None:
            kind, _, token = self.headers.get("Authorization", "").partition(" ")
            if kind != "update-token" and token not in cloud.tokens:
                raise Refusal(401, "Unauthorized: No credentials provided or are invalid.")

        do_GET = do_POST = do_PATCH = do_DELETE = do_HEAD = answer

        def log_message(self, *args: Any) -> None: ...

    return Handler


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A CLI that is done drops its connections."""


@contextlib.contextmanager
def serving() -> Iterator[Cloud]:
    """An empty Pulumi Cloud on loopback for as long as the block runs."""
    cloud = Cloud()
    server = _Server(("127.0.0.1", 0), _handler(cloud))
    cloud.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield cloud
    finally:
        server.shutdown()
        server.server_close()
