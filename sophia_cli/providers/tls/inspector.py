"""The inspector: what hosts show on each of their addresses, many side by side. Never raises for what a peer does.

found = await inspect([Target("www.example.com")], now=clock.now(), roots=system_roots())
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from sophia_cli.core.endpoints import (
    NOT_ASKED,
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
from sophia_cli.providers.tls import ocsp
from sophia_cli.providers.tls.addresses import Looked, Resolve, by_system
from sophia_cli.providers.tls.handshake import ALPN, Shaken, context, shake
from sophia_cli.providers.tls.probe import Offered, Prober, opened
from sophia_cli.providers.tls.starttls import NoStarttls
from sophia_cli.providers.tls.trust import Judged, Roots, judged
from sophia_cli.providers.tls.wire import Cut, Silent

if TYPE_CHECKING:
    from cryptography import x509

Depth = Literal["certificate", "weak", "all"]
"""How much is asked: one handshake; also resumption, versions and suites that should not be offered; every suite."""


class Authorities(Protocol):
    """Whoever can tell whether certificates are revoked."""

    async def of(self, path: Sequence[x509.Certificate], address: str) -> Result:
        """What is known of the first certificate of a path to a root; `address` is where it is served."""
        ...


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
    authorities: Authorities | None = None,
) -> tuple[Endpoint, ...]:
    """The endpoints, in the order of the targets, each target once. `now` is the time certificates are held against.

    Authorities are asked about revocation where somebody to ask them is given, and more than one handshake is wanted.
    """
    listed = merged(targets)
    gate = asyncio.Semaphore(limits.addresses)
    begun = time.monotonic()
    desk = _Desk(roots, now, authorities, context(ALPN), context())
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
            return await _Look(target, address, desk, limits.connection_s).served(depth)

    async def whole(target: Target) -> Endpoint:
        looked = await addresses(target)
        found = await asyncio.gather(*(one(target, address) for address in looked.addresses))
        return Endpoint(target, tuple(found), looked.found)

    return tuple(await asyncio.gather(*(whole(target) for target in listed)))


@dataclass(frozen=True, slots=True)
class _Desk:
    """What all looks of an inspection share. A chain that many hosts serve is judged once."""

    roots: Roots
    now: datetime
    authorities: Authorities | None
    web: ssl.SSLContext
    mail: ssl.SSLContext
    _judged: dict[tuple[bytes, ...], Judged] = field(default_factory=dict)

    def judged(self, certificates: tuple[bytes, ...]) -> Judged:
        """The chain, and its path to a root."""
        if certificates not in self._judged:
            self._judged[certificates] = judged(certificates, self.roots, self.now)
        return self._judged[certificates]

    async def revoked(self, path: Sequence[x509.Certificate], address: str) -> Result:
        """What the authority says of the first certificate of a path."""
        return NOT_ASKED if self.authorities is None else await self.authorities.of(path, address)

    def staple(self, asked: Offered) -> Result:
        """Whether an OCSP response comes with the certificate, and what it proves."""
        if asked.plain is None and not asked.is_tls:
            return untested("there was no handshake to see it in")
        if asked.plain is None:
            return untested(
                "TLS 1.3 alone is offered, which sends it encrypted, and the local library does not show it"
            )
        if asked.plain.staple is None:
            return failed("no OCSP response is stapled")
        path = self.judged(asked.plain.certificates).path
        if len(path) < 2:
            return untested("an OCSP response is stapled, and no trusted authority is known that could have signed it")
        said = ocsp.proof(asked.plain.staple, path[0], path[1], self.now)
        return said if said else failed(f"the stapled response proves nothing good: {said.why}")


@dataclass(frozen=True, slots=True)
class _Look:
    """One address of one target."""

    target: Target
    address: str
    desk: _Desk
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
        using = self.desk.mail if plain else self.desk.web
        ready = replace(blank, starttls=passed() if plain else None)
        try:
            with wire:
                shaken = await shake(wire, using, self.target.host, is_last=depth == "certificate")
        except Silent as exc:  # busy, or behind something that swallows hellos: no refusal
            return replace(ready, spoken=untested(exc.message))
        except Unreachable as exc:
            return replace(ready, spoken=failed(exc.message))
        if not shaken.is_tls:
            return replace(ready, spoken=failed(shaken.refusal or "the peer does not speak TLS"))
        if depth == "certificate":
            return self._told(ready, shaken, Offered())
        prober = Prober(self.target, self.address, self.timeout_s)
        known = None if shaken.handshake is None else shaken.handshake.version
        offered = prober.offered(every=depth == "all", known=known)
        path = self.desk.judged(shaken.certificates).path
        asked, again, revoked = await asyncio.gather(
            offered, self._resumed(shaken, using), self.desk.revoked(path, self.address)
        )
        told = self._told(ready, shaken, asked)
        staple = self.desk.staple(asked)
        return replace(told, resumption=again[0], resumed=again[1], staple=staple, revocation=revoked)

    async def _resumed(self, first: Shaken, using: ssl.SSLContext) -> tuple[Result, Handshake | None]:
        """A second handshake with the first one's session (RFC 8446 2.2, RFC 5077)."""
        if first.handshake is None or first.refusal is not None:
            return untested("there is no finished handshake to resume"), None
        session = first.session
        if session is None or (first.handshake.version == "TLS 1.3" and not session.has_ticket):
            return failed("the server gave no session ticket"), None
        try:
            with await opened(self.target, self.address, self.timeout_s) as wire:
                second = await shake(wire, using, self.target.host, session, is_last=True)
        except Unreachable as exc:
            return untested(exc.message), None
        if second.handshake is None:
            return untested(second.refusal or "the second handshake failed"), None
        if not second.reused:
            return failed("the server began a new session instead"), None
        return passed(), second.handshake

    def _told(self, ready: Served, shaken: Shaken, asked: Offered) -> Served:
        plain = () if asked.plain is None else asked.plain.certificates
        chain = self.desk.judged(shaken.certificates or plain).chain
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
