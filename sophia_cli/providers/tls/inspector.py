"""The inspector: what hosts show on each of their addresses, many side by side. Never raises for what a peer does.

found = await inspect([Target("www.example.com")], now=clock.now(), roots=system_roots())
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from sophia_cli.core.endpoints import (
    Endpoint,
    Handshake,
    Result,
    Served,
    Target,
    failed,
    merged,
    name_result,
    passed,
    untested,
)
from sophia_cli.core.errors import Unreachable
from sophia_cli.providers.tls.addresses import Looked, Resolve, by_system
from sophia_cli.providers.tls.handshake import ALPN, Shaken, context, shake
from sophia_cli.providers.tls.probe import Offered, Prober, opened
from sophia_cli.providers.tls.staple import read_staple
from sophia_cli.providers.tls.starttls import NoStarttls
from sophia_cli.providers.tls.trust import Roots, judged
from sophia_cli.providers.tls.wire import Cut

Depth = Literal["certificate", "weak", "all"]
"""How much is asked: one handshake; also resumption, versions and suites that should not be offered; every suite."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of an inspection: seconds for each connection, addresses looked at side by side (six sockets each).

    Once `total_s` seconds are over, no other address is begun with: those left are *not tested* (None: no such bound).
    """

    connection_s: float = 8.0
    addresses: int = 32
    total_s: float | None = None


async def inspect(
    targets: Sequence[Target],
    *,
    now: datetime,
    roots: Roots,
    resolve: Resolve = by_system,
    depth: Depth = "weak",
    limits: Limits = Limits(),
) -> tuple[Endpoint, ...]:
    """The endpoints, in the order of the targets, each target once. `now` is the time certificates are held against."""
    listed = merged(targets)
    gate = asyncio.Semaphore(limits.addresses)
    begun = time.monotonic()
    over = untested("" if limits.total_s is None else f"not looked at within {limits.total_s:g} s")

    def is_over() -> bool:
        return limits.total_s is not None and time.monotonic() - begun >= limits.total_s

    async def addresses(target: Target) -> Looked:
        if target.addresses or target.is_address:
            return Looked(target.addresses or (target.host,), passed())
        async with gate:
            return Looked((), over) if is_over() else await resolve(target.host)

    async def one(target: Target, address: str) -> Served:
        async with gate:
            if is_over():
                return Served(address, over)
            return await _Look(target, address, now, roots, limits.connection_s).served(depth)

    async def whole(target: Target) -> Endpoint:
        looked = await addresses(target)
        found = await asyncio.gather(*(one(target, address) for address in looked.addresses))
        return Endpoint(target, tuple(found), looked.found)

    return tuple(await asyncio.gather(*(whole(target) for target in listed)))


@dataclass(frozen=True, slots=True)
class _Look:
    """One address of one target."""

    target: Target
    address: str
    now: datetime
    roots: Roots
    timeout_s: float

    async def served(self, depth: Depth) -> Served:
        """What the address shows. The handshake comes first; what does not speak TLS is asked nothing more."""
        plain = self.target.starttls is not None
        blank = Served(self.address, untested("not asked"), untested("not asked") if plain else None)
        try:
            wire = await opened(self.target, self.address, self.timeout_s)
        except NoStarttls as exc:
            return replace(blank, spoken=failed(exc.message), starttls=failed(exc.message))
        except Cut as exc:
            return replace(blank, spoken=failed(exc.message))
        except Unreachable as exc:
            return replace(blank, spoken=untested(exc.message))
        using = context(() if plain else ALPN)
        ready = replace(blank, starttls=passed() if plain else None)
        try:
            with wire:
                shaken = await shake(wire, using, self.target.host)
        except Unreachable as exc:
            return replace(ready, spoken=failed(exc.message))
        if not shaken.is_tls:
            return replace(ready, spoken=failed(shaken.refusal or "the peer does not speak TLS"))
        if depth == "certificate":
            return self._told(ready, shaken, Offered())
        prober = Prober(self.target, self.address, self.timeout_s)
        asked, again = await asyncio.gather(prober.offered(every=depth == "all"), self._resumed(shaken, using))
        told = self._told(ready, shaken, asked)
        return replace(told, resumption=again[0], resumed=again[1], staple=_staple(asked))

    async def _resumed(self, first: Shaken, using: ssl.SSLContext) -> tuple[Result, Handshake | None]:
        """A second handshake with the first one's session (RFC 8446 2.2, RFC 5077)."""
        if first.handshake is None or first.refusal is not None:
            return untested("there is no finished handshake to resume"), None
        session = first.session
        if session is None or (first.handshake.version == "TLS 1.3" and not session.has_ticket):
            return failed("the server gave no session ticket"), None
        try:
            with await opened(self.target, self.address, self.timeout_s) as wire:
                second = await shake(wire, using, self.target.host, session)
        except Unreachable as exc:
            return untested(exc.message), None
        if second.handshake is None:
            return untested(second.refusal or "the second handshake failed"), None
        if not second.reused:
            return failed("the server began a new session instead"), None
        return passed(), second.handshake

    def _told(self, ready: Served, shaken: Shaken, asked: Offered) -> Served:
        plain = () if asked.plain is None else asked.plain.certificates
        chain = judged(shaken.certificates or plain, self.roots, self.now)
        speaks = shaken.handshake is not None or bool(chain.served) or asked.is_tls
        why = shaken.refusal or ""
        return replace(
            ready,
            spoken=passed(why) if speaks else failed(why),
            chain=chain,
            name=name_result(chain, self.target.host),
            handshake=shaken.handshake,
            alpn=shaken.alpn,
            versions=asked.versions,
            suites=asked.suites,
            suites_seen=asked.seen,
            client_certificate=_demand(shaken, asked),
        )


def _demand(shaken: Shaken, asked: Offered) -> Result:
    """Whether the server wants a certificate of its client. TLS 1.3 asks for it encrypted, and requires it afterwards."""
    asks = asked.plain is not None and asked.plain.asks_for_certificate
    if shaken.wants_certificate or (asks and shaken.handshake is None):
        return failed("a client certificate is required")
    if asks:
        return failed("a client certificate is asked for, and not required")
    if shaken.handshake is None:
        return untested("the handshake did not come to its end")
    return passed() if asked.plain is not None else passed("none is required; TLS 1.3 hides whether one is asked for")


def _staple(asked: Offered) -> Result:
    """Whether an OCSP response comes with the certificate, and what it says."""
    if asked.plain is None and not asked.is_tls:
        return untested("there was no handshake to see it in")
    if asked.plain is None:
        return untested("TLS 1.3 alone is offered, which sends it encrypted, and the local library does not show it")
    if asked.plain.staple is None:
        return failed("no OCSP response is stapled")
    return read_staple(asked.plain.staple)
