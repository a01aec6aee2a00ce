"""The sandbox's HTTP server on loopback: the API at `/xml.response`, faults and switches at `/control`. Listens nowhere else."""

from __future__ import annotations

import json
import re
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

from sophia_cli.sandbox.account import Account, Domain, Row, Switches, ordered
from sophia_cli.sandbox.api import Reply, answer, command_name, refused
from sophia_cli.sandbox.commands.call import alabel
from sophia_cli.sandbox.data import DataFile
from sophia_cli.sandbox.faults import ANSWERS, BYTES, Fault, Faults, fault

MAX_BODY = 4 * 1024 * 1024  # bytes; 150 TXT rows of 2500 characters, percent-encoded, are 1.2 MB
HANG_S = 120.0  # how long a time-out fault holds the connection when it names no seconds
_LOOPBACK_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?\Z")
_ERRORS = {
    "error_500000": (500000, "Too many requests"),
    "error_3050750": (
        3050750,
        "The agent is stopped or has been stopped, no additional provocateurs can be created.",
    ),
    "error_5050900": (5050900, "Unhandled exceptions : Object reference not set to an instance of an object."),
}
_HTML = b"<!DOCTYPE html><html><head><title>Web server is down</title></head><body><h1>Error</h1></body></html>"


class Backend:
    """What both servers share: the data, the switches, the faults, a clock that can be moved, and a log of calls."""

    def __init__(self, data: DataFile, switches: Switches, faults: tuple[Fault, ...] = ()) -> None:
        self.data = data
        self.switches = switches
        self.faults = Faults(faults)
        self.stopping = Event()
        self.log: deque[dict[str, Any]] = deque(maxlen=10_000)
        self.questions = 0
        self._offset_s = 0.0

    def now(self) -> float:
        """Seconds since the epoch, as moved by `advance_s`."""
        return time.time() + self._offset_s

    def control(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out what `/control` was sent, and tell how things stand; raises ValueError for what is not known."""
        unknown = sorted(set(data) - {"clear", "faults", "switches", "advance_s", "edit", "forget"})
        if unknown:
            raise ValueError(f"unknown keys: {', '.join(unknown)}")
        added = [fault(item) for item in data.get("faults", ())]
        switches = self.switches.with_data(data.get("switches", {}))
        if data.get("clear"):
            self.faults.clear()
        if data.get("forget"):
            self.log.clear()
            self.questions = 0
        self.faults.add(added)
        self.switches = switches
        self._offset_s += float(data.get("advance_s", 0))
        if "edit" in data:
            edit = data["edit"]
            self.edit(alabel(edit["domain"]), edit.get("add", ()), edit.get("remove", ()), edit.get("email_type"))
        return {
            "switches": asdict(self.switches),
            "faults": [asdict(item) for item in self.faults.left()],
            "calls": list(self.log),
            "questions": self.questions,
        }

    def edit(self, domain: str, add: Any, remove: Any, email_type: str | None = None) -> None:
        """Change a zone as another writer would, behind everybody's back."""
        self.data.update(lambda account: (edited(account, domain, add, remove, email_type, self.now()), None))

    # -- one API call ----------------------------------------------------------------------------------------------

    def call(self, params: Mapping[str, str], source: str, wait: Callable[[float], None]) -> Reply | None:
        """The reply to a call after its faults; None means: close the connection without an answer."""
        command, domain = command_name(params), _domain_of(params)
        faults = self.faults.for_call(command, domain)
        entry: dict[str, Any] = {"command": command, "domain": domain, "faults": [item.kind for item in faults]}
        self.log.append(entry)
        for item in faults:
            if item.kind == "latency":
                wait(item.seconds or 0.5)
            if item.kind == "lost_update" and not _edits_after(item, command):
                self.edit(item.domain or domain, item.add or _STRANGER, item.remove)
        deciding = next((item for item in faults if item.kind in ANSWERS or item.kind in BYTES), None)
        if deciding is None or deciding.is_executed:
            reply = self._executed(command, domain, params, source, faults)
        else:  # the answer is made from the state, and the state stays as it is
            reply = answer(self.data.read(), params, source, self.switches, self.now())
        for item in faults:
            if item.kind == "lost_update" and _edits_after(item, command):
                self.edit(item.domain or domain, item.add or _STRANGER, item.remove)
        entry["number"] = reply.number
        return reply if deciding is None else _spoilt(reply, deciding, params, wait)

    def _executed(
        self, command: str, domain: str, params: Mapping[str, str], source: str, faults: tuple[Fault, ...]
    ) -> Reply:
        kinds = {item.kind: item for item in faults}
        writes = command.rpartition(".")[2].startswith(_WRITING)
        if not writes and self.switches.limits == "off":
            seen = _view(self.data.read(), domain, kinds)
            return answer(seen, params, source, self.switches, self.now())

        def change(account: Account) -> tuple[Account, Reply]:
            if not writes:
                reply = answer(_view(account, domain, kinds), params, source, self.switches, self.now())
                return replace(account, calls=reply.account.calls), reply
            reply = answer(account, params, source, self.switches, self.now())
            return _damaged(reply.account, domain, kinds) if reply.number == 0 else reply.account, reply

        return self.data.update(change)


_WRITING = ("set", "renew", "create", "activate", "update", "delete", "enable", "disable")
_STRANGER: tuple[Mapping[str, Any], ...] = ({"name": "another-writer", "type": "A", "address": "192.0.2.99"},)


def _domain_of(params: Mapping[str, str]) -> str:
    name = params.get("domainname", "")
    return alabel(name or ".".join(part for part in (params.get("sld", ""), params.get("tld", "")) if part))


def _edits_after(item: Fault, command: str) -> bool:
    return not command.endswith(".setHosts") if item.after is None else item.after


def _view(account: Account, name: str, kinds: Mapping[str, Fault]) -> Account:
    """What a read sees under its faults; the account itself is not touched."""
    domain = account.domains.get(name)
    if domain is None:
        return account
    if "stale_read" in kinds:
        domain = domain.before()
    if "rows_dropped" in kinds:
        domain = replace(domain, rows=domain.rows[: -kinds["rows_dropped"].rows])
    if "rows_reordered" in kinds:
        domain = replace(domain, rows=domain.rows[::-1])
    if "email_type_reset" in kinds:
        domain = replace(domain, email_type=kinds["email_type_reset"].value or "NONE")
    return account.with_domain(domain)


def _damaged(account: Account, name: str, kinds: Mapping[str, Fault]) -> Account:
    """The account after a write that went wrong while it said that it did not."""
    domain = account.domains.get(name)
    if domain is None:
        return account
    if "rows_dropped" in kinds:
        domain = replace(domain, rows=domain.rows[: -kinds["rows_dropped"].rows])
    if "email_type_reset" in kinds:
        domain = replace(domain, email_type=kinds["email_type_reset"].value or "NONE")
    return account.with_domain(domain)


def edited(account: Account, name: str, add: Any, remove: Any, email_type: str | None, now: float) -> Account:
    """The account after another writer's edit of a zone; a zone that is not there is left alone."""
    domain = account.domains.get(name)
    if domain is None:
        return account
    rows = [row for row in domain.rows if not any(_is_meant(row, item) for item in remove)]
    next_id = account.next_id
    for item in add:
        row = Row(next_id, item["name"], item["type"], item["address"], item.get("mx_pref", 10), item.get("ttl", 1800))
        rows = [old for old in rows if old.key != row.key]
        rows.append(replace(row, is_ddns=bool(item.get("is_ddns", False))))
        next_id += 1
    changed: Domain = domain.changed(now, rows=ordered(rows), email_type=email_type or domain.email_type)
    return replace(account.with_domain(changed), next_id=next_id)


def _is_meant(row: Row, item: Mapping[str, Any]) -> bool:
    return (row.name, row.type) == (item["name"], item["type"]) and item.get("address", row.address) == row.address


def _spoilt(reply: Reply, item: Fault, params: Mapping[str, str], wait: Callable[[float], None]) -> Reply | None:
    kind, body = item.kind, reply.body
    if kind.startswith("timeout"):
        wait(item.seconds or HANG_S)
        return None
    if kind.startswith("drop"):
        return None
    if kind == "http_405":
        return replace(reply, body=b"Method Not Allowed", status=405)
    if kind.startswith("error"):
        number, text = _ERRORS.get(kind, (item.number, item.text))
        return replace(reply, body=refused(params, number, item.text or text), number=number)
    if kind in ("html_200", "html_5xx", "status"):
        return replace(reply, body=_HTML, status=200 if kind == "html_200" else item.status)
    if kind == "empty":
        return replace(reply, body=b"")
    return replace(reply, body=_bytes(kind, item, body))


def _bytes(kind: str, item: Fault, body: bytes) -> bytes:
    if kind == "truncated":
        return body[: len(body) * 2 // 3]
    if kind == "wrong_namespace":
        return body.replace(b"http://api.namecheap.com/", b"https://api.namecheap.example/")
    if kind == "email_type_missing":
        return re.sub(rb' EmailType="[^"]*"', b"", body)
    if kind == "wrong_encoding":
        return body.replace(b'encoding="utf-8"', b'encoding="utf-16"')
    return body.replace(item.old.encode(), item.value.encode())


class Handler(BaseHTTPRequestHandler):
    """One connection. Never raises for what it was sent."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 75  # seconds an idle connection is kept
    server: HttpServer

    _types: ClassVar[dict[int, str]] = {200: "text/xml; charset=utf-8"}

    def do_GET(self) -> None:
        """Answer a call whose parameters stand in the query, or tell how things stand."""
        self._serve(b"")

    def do_POST(self) -> None:
        """Answer a call whose parameters stand in the body, in the query, or in both."""
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > MAX_BODY or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._send(413, b"", "text/plain")
            return
        self._serve(self.rfile.read(int(length)))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: query strings hold keys."""

    def _serve(self, body: bytes) -> None:
        try:
            parts = urlsplit(self.path)
        except ValueError:
            self._send(400, b"", "text/plain")
            return
        if parts.path == "/xml.response":
            self._api(parts.query, body)
        elif parts.path == "/control":
            self._control(body)
        else:
            self._forward()

    def _api(self, query: str, body: bytes) -> None:
        pairs = parse_qsl(query, keep_blank_values=True)
        if body and "json" not in self.headers.get("Content-Type", ""):
            pairs += parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        params = {name.lower(): value for name, value in pairs}
        reply = self.server.backend.call(params, self.client_address[0], self._wait)
        if reply is None:
            self.close_connection = True
            return
        html = reply.body.startswith(b"<!DOCTYPE")
        self._send(reply.status, reply.body, "text/html" if html else "text/xml; charset=utf-8")

    def _control(self, body: bytes) -> None:
        # A web page may send a form to loopback; it cannot send JSON there, nor choose the Host header.
        if not _LOOPBACK_HOST.match(self.headers.get("Host", "")):
            self._send(403, b"", "text/plain")
            return
        if self.command == "POST" and not self.headers.get("Content-Type", "").startswith("application/json"):
            self._send(415, b"", "text/plain")
            return
        try:
            told = self.server.backend.control(json.loads(body) if body else {})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self._send(400, json.dumps({"error": str(error)}).encode(), "application/json")
            return
        self._send(200, json.dumps(told).encode(), "application/json")

    def _forward(self) -> None:
        """What the forwarder of URL rows does: redirect by the Host header."""
        host = self.headers.get("Host", "").partition(":")[0].lower()
        for domain in self.server.backend.data.read().domains.values():
            for row in domain.rows:
                full = domain.name if row.name == "@" else f"{row.name}.{domain.name}"
                if row.type in ("URL", "URL301", "FRAME") and host == full and row.address.isprintable():
                    status = 301 if row.type == "URL301" else 302
                    self._send(status, b"", "text/plain", location=row.address.encode("ascii", "ignore").decode())
                    return
        self._send(404, b"", "text/plain")

    def _wait(self, seconds: float) -> None:
        """Wait, but not longer than the peer stays connected or the server runs."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self.server.backend.stopping.is_set():
            readable, _, _ = select.select([self.connection], [], [], min(left, 0.05))
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                return

    def _send(self, status: int, body: bytes, kind: str, *, location: str = "") -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Cache-Control", "private")
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # the peer has gone

    def version_string(self) -> str:
        """What the recordings show."""
        return "Microsoft-IIS/8.5"


class HttpServer(ThreadingHTTPServer):
    """The API server; `close` returns at once, whatever is still being answered."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, backend: Backend) -> None:
        self.backend = backend
        super().__init__(("127.0.0.1", port), Handler)
        self._thread = Thread(target=self.serve_forever, args=(0.02,), name="sandbox-http", daemon=True)

    def server_bind(self) -> None:
        """Bind without asking a resolver for our own name, as the base class does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing when a peer goes away in the middle."""

    def start(self) -> None:
        """Serve from a thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self.backend.stopping.set()
        self.shutdown()
        self.server_close()
        self._thread.join()
