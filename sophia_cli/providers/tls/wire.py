"""A TCP connection to one address that counts what passes, with a limit on every wait. Knows nothing of TLS.

Plain sockets instead of asyncio's streams: a peer that says why it refuses and then resets the connection has its last
words read before the reset is noticed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from types import TracebackType

from sophia_cli.core.errors import Unreachable

CHUNK = 1 << 16

# This machine has no way to the address: says nothing about the peer.
_NO_WAY = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETDOWN})


class NoRoute(Unreachable):
    """This machine cannot reach addresses of that kind."""


class Silent(Unreachable):
    """The peer did not answer in time."""


class Cut(Unreachable):
    """The peer refused, closed or reset the connection."""


class Wire:
    """One connection that ends `timeout_s` after it began, however slowly the peer drips. Use it as a context manager."""

    def __init__(self, connected: socket.socket, timeout_s: float) -> None:
        self._socket = connected
        self._timeout_s = timeout_s
        self._until = asyncio.get_running_loop().time() + timeout_s
        self.sent = 0
        self.received = 0

    @property
    def own_address(self) -> str:
        """The address of this end."""
        return str(self._socket.getsockname()[0])

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it at once."""
        self._socket.close()

    async def send(self, data: bytes) -> None:
        """Send everything. Raises `Silent` or `Cut`."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(self._until):
                await loop.sock_sendall(self._socket, data)
        except TimeoutError as exc:
            raise Silent(f"took nothing more for {self._timeout_s:g} s") from exc
        except OSError as exc:
            raise Cut(reason(exc)) from exc
        self.sent += len(data)

    async def receive(self) -> bytes:
        """The next bytes; empty at the end. Raises `Silent` or `Cut`."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(self._until):
                data = await loop.sock_recv(self._socket, CHUNK)
        except TimeoutError as exc:
            raise Silent(f"no answer within {self._timeout_s:g} s") from exc
        except OSError as exc:
            raise Cut(reason(exc)) from exc
        self.received += len(data)
        return data

    def hurry(self, seconds: float) -> None:
        """Wait no longer than this from now on."""
        self._until = min(self._until, asyncio.get_running_loop().time() + seconds)

    def finish(self) -> None:
        """Tell the peer that nothing more will be sent."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)


async def connect(address: str, port: int, timeout_s: float) -> Wire:
    """A connection to an IP address. Raises `NoRoute`, `Silent` or `Cut`."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = "IPv6" if family == socket.AF_INET6 else "IPv4"
    try:
        made = socket.socket(family, socket.SOCK_STREAM)
    except OSError as exc:
        raise NoRoute(f"this machine opens no {kind} connection ({reason(exc)})") from exc
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await _reach(made, (address, port), kind, timeout_s)
    except BaseException:
        made.close()
        raise
    return Wire(made, timeout_s)


async def _reach(made: socket.socket, place: tuple[str, int], kind: str, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().sock_connect(made, place)
    except TimeoutError as exc:
        raise Silent(f"no connection within {timeout_s:g} s") from exc
    except OSError as exc:
        if exc.errno in _NO_WAY:
            raise NoRoute(f"no {kind} route from here ({reason(exc)})") from exc
        raise Cut(reason(exc)) from exc


def reason(exc: OSError) -> str:
    """An operating system error in words."""
    if isinstance(exc, ConnectionResetError):
        return "the connection was reset"
    if isinstance(exc, ConnectionRefusedError):
        return "connection refused"
    return (exc.strerror or type(exc).__name__).lower()
