"""Servers on loopback that behave as servers do, well and badly: each is a real socket with a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Handler = Callable[[socket.socket], None]


class Server:
    """Accepts until it is closed; every connection is handled in a thread."""

    def __init__(self, handler: Handler, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=256)
        self._handler = handler
        self._open: set[socket.socket] = set()
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(connection)
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            connection.settimeout(20)
            self._handler(connection)
        with contextlib.suppress(OSError):
            connection.close()
        self._open.discard(connection)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            connection.close()


@contextmanager
def serving(handler: Handler, host: str = "127.0.0.1") -> Iterator[Server]:
    server = Server(handler, host)
    try:
        yield server
    finally:
        server.close()


def server_context(
    file: Path,
    *,
    oldest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
    ciphers: str | None = None,
    client_roots: Path | None = None,
    tickets: bool = True,
    alpn: tuple[str, ...] = ("h2", "http/1.1"),
) -> ssl.SSLContext:
    import warnings

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.set_ciphers(ciphers or "DEFAULT:@SECLEVEL=0")
    made.load_cert_chain(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TLS 1.0 is wanted here
        made.minimum_version = oldest
        made.maximum_version = newest
    if client_roots is not None:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(client_roots)
    if not tickets:
        made.num_tickets = 0
        made.options |= ssl.OP_NO_TICKET
    made.set_alpn_protocols(list(alpn))
    return made


def tls(context: ssl.SSLContext) -> Handler:
    """Speaks TLS, reads to the end, says goodbye."""

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            while wrapped.recv(4096):
                pass
            with contextlib.suppress(OSError):
                wrapped.unwrap()

    return handle


def hangs(connection: socket.socket) -> None:
    """Takes everything and never answers."""
    while connection.recv(4096):
        pass


def resets(connection: socket.socket) -> None:
    """Reads the hello and resets the connection."""
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def closes(connection: socket.socket) -> None:
    """Closes at once."""


def not_tls(connection: socket.socket) -> None:
    """A web server without TLS."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


def babbles(connection: socket.socket) -> None:
    """Answers with a record header and noise."""
    connection.recv(4096)
    connection.sendall(b"\x16\x03\x03\x00\x40" + bytes(range(64)))
    connection.recv(4096)


def floods(connection: socket.socket) -> None:
    """Sends handshake records without end."""
    connection.recv(4096)
    while True:
        connection.sendall(b"\x16\x03\x03\x40\x00" + b"\x0b\xff\xff\xff" + b"\x00" * 16380)


def smtp(context: ssl.SSLContext | None, *, greeting: bytes = b"220 mail.test ESMTP\r\n") -> Handler:
    """A mail server; without a context it has no STARTTLS."""

    def handle(connection: socket.socket) -> None:
        connection.sendall(greeting)
        reader = connection.makefile("rb", buffering=0)
        while line := reader.readline():
            verb = line.strip().upper()
            if verb.startswith(b"EHLO"):
                offer = b"250-STARTTLS\r\n" if context else b""
                connection.sendall(b"250-mail.test\r\n" + offer + b"250 SIZE 1000000\r\n")
            elif verb == b"STARTTLS" and context:
                connection.sendall(b"220 go ahead\r\n")
                tls(context)(connection)
                return
            else:
                connection.sendall(b"502 no\r\n")

    return handle
