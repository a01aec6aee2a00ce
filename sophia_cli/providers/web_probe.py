"""Asking web servers as a visitor would: addresses, connection, TLS, redirects, headers, a bounded body. Judges nothing."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urljoin, urlsplit

from sophia_cli.core.web_facts import MOST_HOPS, REDIRECTS, Family, Fetch, Hop, Reach, Times, Visit, Visits, shown_url
from sophia_cli.providers.web_answer import Answer, Garbled, read_answer, request_of

VISIT_TIMEOUT_S = 10.0  # for everything, redirects included
CONNECT_TIMEOUT_S = 4.0
IN_FLIGHT = 32


@dataclass(frozen=True, slots=True)
class Resolved:
    """A host's addresses, those to be tried first first. `took_s` is given where the answer was known already."""

    addresses: tuple[str, ...]
    took_s: float | None = None


Resolve = Callable[[str], Awaitable[Resolved]]
"""Looks a host up. Raises OSError."""
Dial = Callable[[str, int], tuple[str, int]]
"""Where to really connect for an address and port; tests use it to stay on loopback."""

_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})


class _Failed(Exception):
    """A visit that cannot go on; the text says why."""

    def __init__(self, why: str, *, refused: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.refused = refused


@dataclass(slots=True)
class _Trip:
    """What one visit has seen so far."""

    fetch: Fetch
    hops: list[Hop] = field(default_factory=list)
    times: Times = field(default_factory=Times)
    protocol: str | None = None
    reach: tuple[Reach, ...] = ()
    was_private: bool = False
    answer: Answer | None = None

    def visit(self, failure: str | None = None, *, refused: bool = False) -> Visit:
        answer = self.answer
        return Visit(
            url=self.fetch.url,
            hops=tuple(self.hops),
            failure=failure,
            refused=refused,
            times=self.times,
            protocol=self.protocol,
            headers={} if answer is None else answer.headers,
            cookies=() if answer is None else answer.cookies,
            body=b"" if answer is None else answer.body,
            cut=answer is not None and answer.cut,
            received=0 if answer is None else answer.received,
            reach=self.reach,
        )


class WebProbe:
    """Visits addresses over HTTP/1.1, and sees by ALPN whether HTTP/2 is spoken. Sends no cookies and no credentials.

    Certificates are verified by `context` (None: the system's authorities): a server that cannot prove who it is gets no
    request. Addresses in special-purpose blocks (RFC 6890) are asked only for trusted fetches, and are never reached
    by a redirect from a public address; loopback and link-local ones are reached by none to another host.
    """

    def __init__(
        self,
        resolve: Resolve | None = None,
        *,
        dial: Dial | None = None,
        context: Callable[[], ssl.SSLContext] | None = None,
        timeout_s: float = VISIT_TIMEOUT_S,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._resolve = resolve or system_addresses
        self._dial = dial or (lambda address, port: (address, port))
        self._make_context = context or ssl.create_default_context
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._timeout_s = timeout_s
        self._clock = clock

    async def visit_all(self, fetches: Sequence[Fetch]) -> Visits:
        """What each question showed, by URL; the same URL is asked once. Never raises for what a server does."""
        gate = asyncio.Semaphore(IN_FLIGHT)

        async def one(fetch: Fetch) -> Visit:
            async with gate:
                return await self.visit(fetch)

        wanted: dict[str, Fetch] = {}
        for fetch in fetches:
            known = wanted.setdefault(fetch.url, fetch)
            wanted[fetch.url] = replace(
                known,
                follow=known.follow or fetch.follow,
                keep=max(known.keep, fetch.keep),
                trusted=known.trusted or fetch.trusted,
            )
        found = await asyncio.gather(*(one(fetch) for fetch in wanted.values()))
        return dict(zip(wanted, found, strict=True))

    async def visit(self, fetch: Fetch) -> Visit:
        """One question, with whatever redirects follow."""
        trip, begun = _Trip(fetch), self._clock()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._travel(trip)
        except TimeoutError:
            return self._ended(trip, begun, f"no whole answer within {self._timeout_s:g} s")
        except _Failed as failed:
            return self._ended(trip, begun, failed.why, refused=failed.refused)
        return self._ended(trip, begun, None)

    def _ended(self, trip: _Trip, begun: float, failure: str | None, *, refused: bool = False) -> Visit:
        trip.times = replace(trip.times, total_s=self._clock() - begun)
        return trip.visit(failure, refused=refused)

    async def _travel(self, trip: _Trip) -> None:
        url, seen = trip.fetch.url, set[str]()
        while True:
            if url in seen:
                raise _Failed(f"redirects lead in a circle (without cookies) to {shown_url(url)}")
            if len(seen) > MOST_HOPS:
                raise _Failed(f"more than {MOST_HOPS} redirects")
            seen.add(url)
            answer = await self._ask(trip, url)
            location = answer.headers.get("location", (None,))[0] if answer.status in REDIRECTS else None
            target = None if location is None else _joined(url, location)
            hsts = answer.headers.get("strict-transport-security", (None,))[0]
            trip.hops.append(Hop(url, answer.status, target, hsts))
            trip.answer = answer
            if target is None or not trip.fetch.follow:
                return
            url = target

    async def _ask(self, trip: _Trip, url: str) -> Answer:
        host, port, is_tls, path = _parts(url)
        addresses, dns_s = await self._addresses(host)
        self._guard(trip, host, addresses)
        streams, reach, connect_s = await self._connect(addresses, port)
        first = not trip.hops
        if first:
            trip.reach = reach
            trip.times = Times(dns_s=dns_s, connect_s=connect_s)
        if streams is None:
            known = [one for one in reach if one.here] or list(reach)
            refused = all(one.failure == "refused" for one in known)
            why = ", ".join(dict.fromkeys(one.failure or "no answer" for one in known))
            raise _Failed(f"{host}:{port} cannot be connected to: {why}", refused=refused)
        reader, writer = streams
        try:
            if is_tls:
                protocol, tls_s = await self._secured(writer, host, h2=True)
                if protocol == "h2":  # seen; the request itself is made in HTTP/1.1, which every such server speaks too
                    writer.transport.abort()
                    again, _, _ = await self._connect(addresses, port)
                    if again is None:
                        raise _Failed(f"{host}:{port} takes no second connection")
                    reader, writer = again
                    await self._secured(writer, host, h2=False)
                if first:
                    trip.protocol = protocol or "http/1.1"
                    trip.times = replace(trip.times, tls_s=tls_s)
            sent = self._clock()
            try:
                writer.write(request_of(host, port, is_tls, path))
                await writer.drain()
                answer = await read_answer(reader, trip.fetch.keep, self._clock)
            except (OSError, EOFError) as exc:
                raise _Failed(f"{host}:{port} broke the connection off: {_why(exc)}") from exc
            except Garbled as exc:
                raise _Failed(f"{host}:{port} does not answer in HTTP: {exc}") from exc
            if first:
                trip.protocol = trip.protocol or "http/1.1"
                trip.times = replace(trip.times, first_byte_s=answer.first_byte_at - sent)
            return answer
        finally:
            writer.transport.abort()  # a close would wait for servers that never stop sending

    async def _addresses(self, host: str) -> tuple[tuple[str, ...], float | None]:
        literal = _literal(host)
        if literal is not None:
            return (literal,), None
        begun = self._clock()
        try:
            resolved = await self._resolve(host)
        except (OSError, UnicodeError) as exc:
            raise _Failed(f"{host} does not resolve: {_why(exc)}") from exc
        found = tuple(dict.fromkeys(resolved.addresses))
        if not found:
            raise _Failed(f"{host} has no address")
        return found, self._clock() - begun if resolved.took_s is None else resolved.took_s

    def _guard(self, trip: _Trip, host: str, addresses: Sequence[str]) -> None:
        """Keep a zone or a redirect from making this machine ask its own network."""
        special = [address for address in addresses if not is_public(address)]
        if special and trip.hops and not trip.was_private:
            raise _Failed(f"a redirect from a public address leads to {host} at {special[0]}, which was not followed")
        inner = [address for address in special if _is_inner(address)]
        if inner and trip.hops and host != _parts(trip.fetch.url)[0]:
            raise _Failed(
                f"a redirect leads to {host} at {inner[0]}, on this machine or its link, and was not followed"
            )
        if special and not trip.hops and not trip.fetch.trusted:
            raise _Failed(f"{host} is at {special[0]}, a special-purpose address, which is not asked")
        trip.was_private = bool(special)

    async def _connect(
        self, addresses: Sequence[str], port: int
    ) -> tuple[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None, tuple[Reach, ...], float | None]:
        """One connection, and how the first address of each family took it. The resolver's order decides which is used."""
        firsts: dict[Family, str] = {}
        for address in addresses:
            firsts.setdefault(_family(address), address)
        tries = await asyncio.gather(*(self._try(family, address, port) for family, address in firsts.items()))
        chosen, connect_s = None, None
        for streams, reach in tries:
            if streams is not None and chosen is None:
                chosen, connect_s = streams, reach.connect_s
            elif streams is not None:
                streams[1].transport.abort()
        return chosen, tuple(reach for _, reach in tries), connect_s

    async def _try(
        self, family: Family, address: str, port: int
    ) -> tuple[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None, Reach]:
        begun = self._clock()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                streams = await asyncio.open_connection(*self._dial(address, port))
        except TimeoutError:
            return None, Reach(family, address, None, f"no answer within {CONNECT_TIMEOUT_S:g} s")
        except OSError as exc:
            refused = isinstance(exc, ConnectionRefusedError)
            why = "refused" if refused else _why(exc)
            return None, Reach(family, address, None, why, exc.errno not in _NO_ROUTE)
        return streams, Reach(family, address, self._clock() - begun)

    async def _secured(self, writer: asyncio.StreamWriter, host: str, *, h2: bool) -> tuple[str | None, float]:
        begun = self._clock()
        try:
            await writer.start_tls(self._context(h2), server_hostname=host)
        except ssl.SSLCertVerificationError as exc:
            raise _Failed(f"{host}: its certificate cannot be trusted: {exc.verify_message or exc.reason}") from exc
        except ssl.SSLError as exc:
            raise _Failed(f"{host}: TLS failed: {exc.reason or exc}") from exc
        except (OSError, EOFError, ValueError) as exc:
            raise _Failed(f"{host}: TLS failed: {_why(exc)}") from exc
        tls = writer.get_extra_info("ssl_object")
        return None if tls is None else tls.selected_alpn_protocol(), self._clock() - begun

    def _context(self, h2: bool) -> ssl.SSLContext:
        if h2 not in self._contexts:
            context = self._make_context()
            context.set_alpn_protocols(["h2", "http/1.1"] if h2 else ["http/1.1"])
            self._contexts[h2] = context
        return self._contexts[h2]


async def system_addresses(host: str) -> Resolved:
    """A host's addresses as this machine resolves them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return Resolved(tuple(str(entry[4][0]) for entry in found))


def _is_inner(address: str) -> bool:
    """Whether an address is this machine's own or its link's, where clouds answer with credentials (RFC 3927)."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.is_loopback or found.is_link_local or found.is_unspecified


def is_public(address: str) -> bool:
    """Whether an address is of the public internet; an IPv4 address inside IPv6 counts as what it is (RFC 4291 2.5.5.2)."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if inner is not None:
            return inner.is_global
    return parsed.is_global and not parsed.is_multicast


def _parts(url: str) -> tuple[str, int, bool, str]:
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as exc:
        raise _Failed(f"{shown_url(url)} is no address of a web server") from exc
    if parts.scheme not in ("http", "https") or not host:
        raise _Failed(f"{shown_url(url)} is no http or https address")
    is_tls = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return host, port or (443 if is_tls else 80), is_tls, path


def _joined(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
    except ValueError as exc:
        raise _Failed("a redirect names no usable address") from exc
    return target.partition("#")[0]


def _literal(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def _family(address: str) -> Family:
    return 6 if ":" in address else 4


def _why(exc: BaseException) -> str:
    if isinstance(exc, socket.gaierror):
        return "no such name, or no answer from the resolver"
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror.lower()
    return str(exc) or type(exc).__name__
