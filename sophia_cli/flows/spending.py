"""What an authority lets an account do, counted over runs, so that we stop before it does. Orders nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from sophia_cli.core.certificates import CertificateOrder
from sophia_cli.core.challenges import zone_of
from sophia_cli.core.errors import RateLimited
from sophia_cli.core.rate_limits import Ledger, Limit, Request, failed, issued, limits_of, ordered, stop
from sophia_cli.flows.issuer import Issuer

Move = Callable[[Ledger, Sequence[Limit]], Ledger]


async def refuse_if_spent(order: CertificateOrder, request: Request, issuer: Issuer) -> None:
    """Raise `RateLimited` for an order that the authority would refuse, with when it would take it."""
    limits = limits_of(order.authority)
    if not limits:
        return
    spent = await issuer.renewals.spent(_host(order.authority))
    found = stop(spent, limits, request, issuer.ground().clock.now())
    if found is not None:
        raise RateLimited(
            f"{_host(order.authority)}: {found}; the order was not placed",
            hint="wait until then; nothing was asked of the authority",
            details={"retry_at": found.until.isoformat(), "limit": found.limit.kind},
        )


def request_of(order: CertificateOrder, issuer: Issuer, *, advised: bool, same_names: bool) -> Request:
    """An order as the limits see it. The registered domain of a name is the zone it lies in, which is what was bought."""
    zones = [zone.name for zone in issuer.settings.zones]
    return Request(order.names, lambda name: zone_of(name, zones) or name, advised, same_names)


async def note_ordered(order: CertificateOrder, request: Request, issuer: Issuer) -> None:
    """An order was placed."""
    now = issuer.ground().clock.now()
    await _move(order.authority, lambda ledger, limits: ordered(ledger, limits, request, now), issuer)


async def note_issued(order: CertificateOrder, request: Request, issuer: Issuer) -> None:
    """A certificate was issued."""
    now = issuer.ground().clock.now()
    await _move(order.authority, lambda ledger, limits: issued(ledger, limits, request, now), issuer)


async def note_failed(directory: str, identifier: str, issuer: Issuer) -> None:
    """The validation of a name failed."""
    now = issuer.ground().clock.now()
    await _move(directory, lambda ledger, limits: failed(ledger, limits, identifier, now), issuer)


async def _move(directory: str, move: Move, issuer: Issuer) -> None:
    limits = limits_of(directory)
    if limits:
        await issuer.renewals.spend(_host(directory), lambda ledger: move(ledger, limits))


def _host(directory: str) -> str:
    return urlsplit(directory).hostname or ""
