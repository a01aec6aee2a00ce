"""Web facts: what one HTTP question to one address showed, as frozen values. Asks nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from urllib.parse import SplitResult, urlsplit

Family = Literal[4, 6]

REDIRECTS = frozenset({301, 302, 303, 307, 308})  # RFC 9110 15.4, those that carry a Location
MOST_HOPS = 10  # redirects followed; browsers give up after 20


@dataclass(frozen=True, slots=True)
class Fetch:
    """One question: a GET of `url`.

    `follow` also asks where redirects lead. `keep` is how many bytes of the body are kept. `trusted` tells that the
    environment itself names the address, so it may lie in a private network; what a zone or a redirect names may not.
    """

    url: str
    follow: bool = True
    keep: int = 0
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds that the steps of the first answer took; None where a step was not reached or not needed."""

    dns_s: float | None = None
    connect_s: float | None = None
    tls_s: float | None = None
    first_byte_s: float | None = None
    """From the request's last byte to the answer's first."""
    total_s: float | None = None
    """Everything, redirects and the body (as far as it was read) included."""

    def data(self) -> dict[str, float | None]:
        """The same in milliseconds, for evidence."""
        names = ("dns", "connect", "tls", "first_byte", "total")
        values = (self.dns_s, self.connect_s, self.tls_s, self.first_byte_s, self.total_s)
        return {
            f"{name}_ms": None if value is None else round(value * 1000, 1)
            for name, value in zip(names, values, strict=True)
        }


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether one address family answers a TCP connection. `here` is False when this machine has no route of that family."""

    family: Family
    address: str
    connect_s: float | None = None
    failure: str | None = None
    here: bool = True


@dataclass(frozen=True, slots=True)
class Hop:
    """One answer on the way: what was asked, its status, and where it sends to."""

    url: str
    status: int
    location: str | None = None
    hsts: str | None = None
    """The first Strict-Transport-Security header (the only one that counts, RFC 6797 8.1)."""


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie without its value, which is a secret (RFC 6265 5.2)."""

    name: str
    secure: bool
    http_only: bool
    same_site: str | None


@dataclass(frozen=True, slots=True)
class Visit:
    """What one `Fetch` showed. `failure` says why there is no final answer; what was seen until then stays.

    `protocol` is the best one that the server chose when offered all (`h2` or `http/1.1`, RFC 7301); header names are
    lower-case, and each header has its values in order; `body` holds the first bytes, decoded, and `cut` tells that
    there was more.
    """

    url: str
    hops: tuple[Hop, ...] = ()
    failure: str | None = None
    refused: bool = False
    """Nothing listens there: the failure says nothing about a web server."""
    times: Times = Times()
    protocol: str | None = None
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cookies: tuple[Cookie, ...] = ()
    body: bytes = field(default=b"", repr=False)
    cut: bool = False
    received: int = 0
    """Bytes of the last answer on the wire, as far as it was read; TLS not counted."""
    reach: tuple[Reach, ...] = ()

    @property
    def status(self) -> int | None:
        """The last answer's status."""
        return self.hops[-1].status if self.hops else None

    @property
    def final_url(self) -> str:
        """Where the last answer came from."""
        return self.hops[-1].url if self.hops else self.url

    @property
    def redirects(self) -> int:
        """How many redirects lay on the way."""
        return sum(hop.status in REDIRECTS and hop.location is not None for hop in self.hops)

    @property
    def is_answered(self) -> bool:
        """Whether there was a final answer of any status."""
        return bool(self.hops) and self.failure is None

    def header(self, name: str) -> str | None:
        """The first value of a header, or None."""
        values = self.headers.get(name.lower(), ())
        return values[0] if values else None

    def text(self) -> str:
        """The kept body as text; what is no UTF-8 is shown as replacement characters."""
        return self.body.decode("utf-8", "replace")


Visits = Mapping[str, Visit]
"""Visits by the URL asked for."""


class WebPort(Protocol):
    """Whoever can ask web servers."""

    async def visit_all(self, fetches: tuple[Fetch, ...]) -> Visits:
        """What each question showed; never raises for what a server does."""
        ...


def host_of(url: str) -> str:
    """The lower-case host of a URL, without a final dot; empty when it has none."""
    parts = _split(url)
    return "" if parts is None else (parts.hostname or "").rstrip(".").lower()


def shown_url(url: str) -> str:
    """A URL as reports show it: without user, query and fragment, which may carry secrets."""
    parts = _split(url)
    if parts is None:
        return url.partition("?")[0].partition("#")[0]
    place = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{place}{parts.path}" + ("?..." if parts.query else "")


def hops_data(visit: Visit) -> list[dict[str, Any]]:
    """The way of a visit, for evidence."""
    return [
        {
            "url": shown_url(hop.url),
            "status": hop.status,
            "location": None if hop.location is None else shown_url(hop.location),
        }
        for hop in visit.hops
    ]


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts
