"""Questions sent and answers taken, over UDP and TCP, many at once and bounded. Interprets no answer; never raises on one."""

from __future__ import annotations

import asyncio
import errno
import secrets
import struct
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from time import perf_counter

from sophia_cli.core.dns_facts import Question
from sophia_cli.providers.dns_survey import wire
from sophia_cli.providers.dns_survey.wire import Reply

TIMEOUT_S = 2.0
TRIES = 2
IN_FLIGHT = 32  # questions to one server at a time
SILENT_AFTER = 3  # questions in a row without an answer: the rest is not waited for
MOST_TRANSFER = 64 * 1024 * 1024  # bytes of a zone transfer that are read
TRANSFER_S = 20.0

_NO_ROUTE = {errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPERM, errno.EACCES}


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody to ask: an address and a port."""

    address: str
    port: int = 53


@dataclass(slots=True)
class _Pending:
    section: bytes
    done: asyncio.Future[bytes]


class _Socket(asyncio.DatagramProtocol):
    """One connected UDP socket: answers are told apart by id and question (RFC 5452 9.1), all others are ignored."""

    def __init__(self) -> None:
        self.pending: dict[int, _Pending] = {}
        self.ignored = 0

    def datagram_received(self, data: bytes, addr: object) -> None:
        id = wire.id_of(data)
        waiting = None if id is None else self.pending.get(id)
        if id is None or waiting is None or not wire.answers(data, waiting.section):
            self.ignored += 1
        elif not waiting.done.done():
            waiting.done.set_result(data)

    def error_received(self, exc: Exception) -> None:
        """An ICMP error is about all that is on its way."""
        for waiting in self.pending.values():
            if not waiting.done.done():
                waiting.done.set_exception(exc if isinstance(exc, OSError) else OSError(str(exc)))

    def reserve(self, section: bytes) -> tuple[int, _Pending]:
        """An id that nobody can guess, and what waits for its answer."""
        id = secrets.randbelow(65536)
        while id in self.pending:
            id = secrets.randbelow(65536)
        waiting = _Pending(section, asyncio.get_running_loop().create_future())
        self.pending[id] = waiting
        return id, waiting


@dataclass(slots=True)
class _Line:
    """What is known of one party: its socket, and whether it answers at all."""

    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IN_FLIGHT))
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    socket: tuple[asyncio.DatagramTransport, _Socket] | None = None
    unanswered: int = 0
    is_heard: bool = False
    plain: bool = False
    """Whether it refuses EDNS."""
    lost: Reply | None = None
    """Why nothing can be sent to it."""


class Exchange:
    """Asks many parties at once. Each (party, question, flags) is asked once; ask with `again` to measure."""

    def __init__(self, *, timeout_s: float = TIMEOUT_S, tries: int = TRIES) -> None:
        self._timeout_s = timeout_s
        self._tries = tries
        self._lines: dict[Party, _Line] = {}
        self._asked: dict[tuple[object, ...], asyncio.Task[Reply]] = {}
        self._read: dict[bytes, Reply] = {}
        self.sent = 0

    async def __aenter__(self) -> Exchange:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every socket and drop what is still on its way."""
        for task in self._asked.values():
            task.cancel()
        for line in self._lines.values():
            if line.socket is not None:
                line.socket[0].close()
        self._lines.clear()
        self._asked.clear()

    async def ask(
        self,
        party: Party,
        question: Question,
        *,
        recurse: bool = False,
        tcp: bool = False,
        dnssec: bool = False,
        again: bool = False,
    ) -> Reply:
        """The reply to one question; one without a usable answer says why."""
        key = (party, question, recurse, tcp, dnssec)
        if again:
            return await self._ask(party, question, recurse, tcp, dnssec)
        task = self._asked.get(key)
        if task is None:
            task = asyncio.ensure_future(self._ask(party, question, recurse, tcp, dnssec))
            self._asked[key] = task
        return await asyncio.shield(task)

    async def _ask(self, party: Party, question: Question, recurse: bool, tcp: bool, dnssec: bool) -> Reply:
        try:
            section = wire.body(question)
        except wire.UnaskableName as exc:
            return Reply(why=str(exc))
        line = self._lines.setdefault(party, _Line())
        async with line.gate:
            if tcp:
                return await self._over_tcp(party, section, recurse, dnssec)
            return await self._over_udp(party, line, section, recurse, dnssec)

    # -- UDP ---------------------------------------------------------------------------------------------------------

    async def _over_udp(self, party: Party, line: _Line, section: bytes, recurse: bool, dnssec: bool) -> Reply:
        if line.lost is not None:
            return line.lost
        if not line.is_heard and line.unanswered >= SILENT_AFTER:
            return Reply(why="it answers nothing")
        reply = Reply(why="it was not asked")
        for attempt in range(self._tries):
            data, took_ms, reply = await self._sent(party, line, section, recurse, dnssec, attempt)
            if data is None:
                if reply.no_route:
                    return reply
                continue
            line.is_heard = True
            if wire.is_truncated(data):
                return await self._over_tcp(party, section, recurse, dnssec)
            reply = self._reply(data, section, took_ms)
            if reply.rcode in (wire.FORMERR, wire.NOTIMP) and not line.plain:
                line.plain = True  # an old server: without EDNS it may well answer (RFC 6891 7)
                data, took_ms, again = await self._sent(party, line, section, recurse, dnssec, attempt)
                if data is not None:
                    if wire.is_truncated(data):
                        return await self._over_tcp(party, section, recurse, dnssec)
                    return self._reply(data, section, took_ms)
                reply = again
            return reply
        line.unanswered += 1
        return reply

    async def _sent(
        self, party: Party, line: _Line, section: bytes, recurse: bool, dnssec: bool, attempt: int
    ) -> tuple[bytes | None, float, Reply]:
        """One datagram and what came back in time, with the milliseconds it took."""
        try:
            transport, socket = await self._socket(party, line)
        except OSError as exc:
            line.lost = _failed(exc)
            return None, 0.0, line.lost
        id, waiting = socket.reserve(section)
        self.sent += 1
        patience_s = self._timeout_s * (attempt + 1) / self._tries
        timer = asyncio.get_running_loop().call_later(
            patience_s, _give_up, waiting.done
        )  # wait_for costs a task switch more
        started = perf_counter()
        try:
            transport.sendto(wire.query(id, section, recurse=recurse, edns=not line.plain, dnssec=dnssec))
            data = await waiting.done
        except TimeoutError:
            ignored = f"; {socket.ignored} packets that fit no question were ignored" if socket.ignored else ""
            return None, 0.0, Reply(why=f"no answer over UDP{ignored}")
        except OSError as exc:
            return None, 0.0, _failed(exc)
        finally:
            timer.cancel()
            del socket.pending[id]
        return data, (perf_counter() - started) * 1000, Reply()

    def _reply(self, data: bytes, section: bytes, took_ms: float) -> Reply:
        """A message read; one that differs from an earlier one in nothing but the id (servers of one zone) is not read again."""
        reply = self._read.get(data[2:])
        if reply is None:
            reply = self._read[data[2:]] = wire.read(data, section)
        return replace(reply, rtt_ms=took_ms)

    async def _socket(self, party: Party, line: _Line) -> tuple[asyncio.DatagramTransport, _Socket]:
        async with line.opening:
            if line.socket is None:
                loop = asyncio.get_running_loop()
                address = (party.address, party.port)
                line.socket = await loop.create_datagram_endpoint(_Socket, remote_addr=address)
            return line.socket

    # -- TCP ---------------------------------------------------------------------------------------------------------

    async def _over_tcp(self, party: Party, section: bytes, recurse: bool, dnssec: bool) -> Reply:
        self.sent += 1
        id = secrets.randbelow(65536)
        message = wire.query(id, section, recurse=recurse, edns=not self._lines[party].plain, dnssec=dnssec)
        started = perf_counter()
        try:
            async with asyncio.timeout(self._timeout_s * self._tries), aclosing(_stream(party, message)) as stream:
                async for data in stream:
                    if wire.id_of(data) == id and wire.answers(data, section):
                        return self._reply(data, section, (perf_counter() - started) * 1000)
                    return Reply(why="an answer over TCP that fits no question")
        except TimeoutError:
            return Reply(why="no answer over TCP")
        except (OSError, EOFError) as exc:
            return replace(_failed(exc), why=f"{_failed(exc).why} over TCP")
        return Reply(why="the connection was closed without an answer over TCP")

    async def transfer(self, party: Party, zone: str) -> AsyncGenerator[Reply, None]:
        """The messages of a zone transfer (RFC 5936), as they come. The last one may say `why` there are no more."""
        try:
            section = wire.body(Question(zone, "AXFR"))
        except wire.UnaskableName as exc:
            yield Reply(why=str(exc))
            return
        id, size = secrets.randbelow(65536), 0
        self.sent += 1
        try:
            async with asyncio.timeout(TRANSFER_S):
                async with aclosing(_stream(party, wire.query(id, section, recurse=False, edns=False))) as stream:
                    async for data in stream:
                        size += len(data)
                        if wire.id_of(data) != id:
                            yield Reply(why="an answer that fits no question")
                            return
                        yield (
                            wire.read(data, section, apart=True)
                            if size <= MOST_TRANSFER
                            else Reply(why="it was too long to read")
                        )
                        if size > MOST_TRANSFER:
                            return
        except TimeoutError:
            yield Reply(why="no answer over TCP")
        except (OSError, EOFError) as exc:
            yield replace(_failed(exc), why=f"{_failed(exc).why} over TCP")


def _give_up(waiting: asyncio.Future[bytes]) -> None:
    if not waiting.done():
        waiting.set_exception(TimeoutError())


async def _stream(party: Party, message: bytes) -> AsyncGenerator[bytes, None]:
    """The messages that come over one connection (RFC 7766 8)."""
    reader, writer = await asyncio.open_connection(party.address, party.port)
    try:
        writer.write(struct.pack("!H", len(message)) + message)
        await writer.drain()
        while True:
            try:
                length = struct.unpack("!H", await reader.readexactly(2))[0]
            except asyncio.IncompleteReadError:
                return
            data = await reader.readexactly(length)
            if wire.id_of(data) is None:
                raise EOFError("an answer that is none")
            yield data
    finally:
        writer.close()


def _failed(exc: OSError | EOFError) -> Reply:
    if isinstance(exc, asyncio.IncompleteReadError):
        return Reply(why="the connection ended in the middle of an answer")
    if isinstance(exc, ConnectionRefusedError):
        return Reply(why="connection refused")
    no_route = isinstance(exc, OSError) and exc.errno in _NO_ROUTE
    words = (exc.strerror or str(exc)) if isinstance(exc, OSError) else str(exc)
    return Reply(why=(words or type(exc).__name__).lower(), no_route=no_route)
