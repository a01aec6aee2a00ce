"""Live TLS for a zone's checks: which endpoints are looked at, all of them at once. Connects to nobody itself, writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from sophia_cli.checks.tls_mail import is_enforced
from sophia_cli.checks.web import endpoints as watched
from sophia_cli.core.dns import ascii_name
from sophia_cli.core.endpoints import HTTPS, Endpoint, Target, merged, tls_targets, untested

if TYPE_CHECKING:
    from sophia_cli.agents.base import Facts

MOST_TARGETS = 100  # of one zone; what is left over is not tested


class TlsPort(Protocol):
    """What live TLS must be able to tell. It never raises for what a peer does."""

    async def look(self, targets: Sequence[Target], trusted: frozenset[str]) -> Sequence[Endpoint]:
        """What targets showed, in their order. Only `trusted` hosts may be asked at special-purpose addresses (RFC 6890)."""
        ...


async def with_tls(facts: Sequence[Facts], port: TlsPort) -> list[Facts]:
    """The facts of several zones with what their endpoints showed; an endpoint of two zones is looked at once."""
    wanted = [wishes(one) for one in facts]
    trusted = frozenset(target.host for one in facts for target in _watched(one))
    asked = merged(target for targets in wanted for target in targets[:MOST_TARGETS])
    found = dict(zip(asked, await port.look(asked, trusted), strict=True))
    return [
        replace(one, background=replace(one.background, tls=tuple(_of(target, found) for target in targets)))
        for one, targets in zip(facts, wanted, strict=True)
    ]


def _of(target: Target, found: dict[Target, Endpoint]) -> Endpoint:
    too_many = untested(f"the zone has more than {MOST_TARGETS} endpoints")
    return found[target] if target in found else Endpoint(target, (), too_many)


def wishes(facts: Facts) -> tuple[Target, ...]:
    """The endpoints that checks want to know of: those watched, the zone's web names, and the MX where MTA-STS enforces.

    Only there a sender looks at the certificate of a mail server (RFC 8461 4); elsewhere none is bothered.
    """
    asks_mail = is_enforced(facts)
    found = [one for one in tls_targets(facts.zone) if one.starttls is None or asks_mail]
    return merged([*_watched(facts), *found])


def _watched(facts: Facts) -> list[Target]:
    """The `https` addresses of `monitoring.ping_endpoints` that are this zone's to answer for."""
    return [target for url in watched(facts) if (target := target_of(url)) is not None]


def target_of(url: str) -> Target | None:
    """The endpoint of an `https` address; None for any other, about which the check of its answers speaks."""
    try:
        parts = urlsplit(url)
        host, port = ascii_name(parts.hostname or "").rstrip("."), parts.port or HTTPS
    except ValueError:
        return None
    return Target(host, port) if parts.scheme == "https" and host else None
