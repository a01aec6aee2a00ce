"""Asking authorities whether they revoked what is served: OCSP first, which is small, then the list. Trusts no answer unproved.

Only certificates that lead to a trusted root are asked about, so that the addresses asked are an authority's and not a
stranger's; and special-purpose addresses (RFC 6890) only for an endpoint that is at one itself. Plain http is right here: the
answers are signed, and https would want an answer of its own (RFC 5280 4.2.1.13). Redirects are not followed.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from sophia_cli.core.endpoints import Result, untested
from sophia_cli.core.web_facts import Fetch, Visit
from sophia_cli.providers.tls import crl, ocsp
from sophia_cli.providers.tls.addresses import Resolve, by_system
from sophia_cli.providers.tls.certificates import facts
from sophia_cli.providers.web_probe import Resolved, WebProbe, is_public

if TYPE_CHECKING:
    from cryptography import x509

MOST_ANSWER = 64 * 1024  # bytes of an OCSP response; they have one to five thousand
MOST_LIST = 8 << 20  # bytes of a list; the large authorities split theirs into parts of a few hundred thousand
MOST_PLACES = 2  # asked of each kind
MOST_KEPT = 16  # lists kept for the next certificate of the same authority

Proof = Callable[[bytes, "x509.Certificate", "x509.Certificate", datetime], Result]


class Revocations:
    """Asks about each certificate once. `timeout_s` bounds each answer, and twice of it all of them."""

    def __init__(self, now: datetime, resolve: Resolve = by_system, timeout_s: float = 8.0) -> None:
        self._now = now
        self._timeout_s = timeout_s
        self._known: dict[tuple[str, bool], asyncio.Task[Result]] = {}
        self._lists: dict[tuple[str, bool], asyncio.Task[Visit]] = {}

        async def addresses(host: str) -> Resolved:
            found = await resolve(host)
            if not found.addresses:
                raise OSError(0, found.found.why or "it has no address")
            return Resolved(found.addresses)

        self._web = WebProbe(addresses, timeout_s=timeout_s)

    async def of(self, path: Sequence[x509.Certificate], address: str) -> Result:
        """Whether the first certificate of a path to a trusted root is revoked; `address` is where it is served."""
        from cryptography.hazmat.primitives.hashes import SHA256

        if len(path) < 2:
            return untested(
                "no trusted authority stands behind it, whose word would count" if not path else "it is a root"
            )
        is_near = not is_public(address)
        key = (path[0].fingerprint(SHA256()).hex(), is_near)
        if key not in self._known:
            self._known[key] = asyncio.create_task(self._asked(path[0], path[1], is_near))
        return await asyncio.shield(self._known[key])

    async def _asked(self, leaf: x509.Certificate, issuer: x509.Certificate, is_near: bool) -> Result:
        from cryptography.hazmat.primitives.serialization import Encoding

        known = facts(leaf.public_bytes(Encoding.DER))
        responders, lists = _of_web(known.ocsp), _of_web(crl.places(leaf))
        if not responders and not lists:
            return untested("the certificate names no authority's answer: neither OCSP nor a list")
        reasons = []
        try:
            async with asyncio.timeout(2 * self._timeout_s):
                for url in responders:
                    asked = await self._visit(_get(url, ocsp.question(leaf, issuer)), MOST_ANSWER, is_near)
                    said = self._judged(asked, ocsp.proof, leaf, issuer)
                    if said.is_known:
                        return Result(said.state, f"{said.why}, says {url}")
                    reasons.append(f"{url}: {said.why}")
                for url in lists:
                    said = self._judged(await self._list(url, is_near), crl.proof, leaf, issuer)
                    if said.is_known:
                        return Result(said.state, f"{said.why}, says {url}")
                    reasons.append(f"{url}: {said.why}")
        except TimeoutError:
            reasons.append(f"no answer within {2 * self._timeout_s:g} s")
        return untested("; ".join(reasons))

    def _judged(self, visit: Visit, proof: Proof, leaf: x509.Certificate, issuer: x509.Certificate) -> Result:
        if not visit.is_answered:
            return untested(visit.failure or "no answer")
        if visit.status != 200:
            return untested(f"it answers {visit.status}")
        if visit.cut:
            return untested("the answer is longer than is read, or broke off")
        return proof(visit.body, leaf, issuer, self._now)

    async def _visit(self, url: str, most: int, is_near: bool) -> Visit:
        return await self._web.visit(Fetch(url, follow=False, keep=most, trusted=is_near))

    async def _list(self, url: str, is_near: bool) -> Visit:
        key = (url, is_near)
        if key not in self._lists:
            self._lists[key] = asyncio.create_task(self._visit(url, MOST_LIST, is_near))
            for oldest in list(self._lists)[:-MOST_KEPT]:
                del self._lists[oldest]
        return await asyncio.shield(self._lists[key])


def _of_web(urls: Sequence[str]) -> list[str]:
    return [url for url in urls if url.lower().startswith(("http://", "https://"))][:MOST_PLACES]


def _get(url: str, question: bytes) -> str:
    """The address that is the question (RFC 6960 A.1)."""
    return f"{url.removesuffix('/')}/{quote(b64encode(question).decode('ascii'), safe='')}"
