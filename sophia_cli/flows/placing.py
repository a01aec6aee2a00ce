"""Placing an order: at the first authority that takes it. What one cannot do, and another can, moves it on to the next."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from sophia_cli.core.acme import Authority, Order
from sophia_cli.core.certificates import CertificateOrder, Installed, certificate_target
from sophia_cli.core.dns import Zone
from sophia_cli.core.errors import (
    BadResponse,
    CredentialsMissing,
    CredentialsRejected,
    OutcomeUnknown,
    ProviderBusy,
    ProviderRefused,
    RateLimited,
    Refused,
    SophiaError,
    StateError,
    Unreachable,
)
from sophia_cli.flows.issuer import Issuer
from sophia_cli.flows.preflight import forbidden, healthy_zones
from sophia_cli.flows.spending import note_ordered, refuse_if_spent, request_of

# What another authority can cure before anything was proved. Our own files, a state that cannot be written and wrong
# usage are the same everywhere.
_CURABLE = (
    BadResponse,
    CredentialsMissing,
    CredentialsRejected,
    OutcomeUnknown,
    ProviderBusy,
    ProviderRefused,
    RateLimited,
    Refused,
    Unreachable,
)
# What an authority may say once the order is placed, and another need not: it is about the authority, not about the proof.
_OF_THE_AUTHORITY = frozenset({"caa", "rateLimited", "rejectedIdentifier", "unsupportedIdentifier", "invalidProfile"})


@dataclass(frozen=True, slots=True)
class Placed:
    """An order and where it was placed; `order.replaces` is what that authority took over of the predecessor."""

    authority: Authority
    order: Order
    wanted: CertificateOrder


def cured_elsewhere(error: SophiaError) -> bool:
    """Whether an order that failed after it was placed may go to another authority; never because a proof failed."""
    problem = error.details.get("problem")
    kinds = {error.details.get("type")}
    if isinstance(problem, Mapping):
        kinds |= {one.get("type") for one in problem.get("subproblems", ()) if isinstance(one, Mapping)}
    return bool(kinds & _OF_THE_AUTHORITY)


async def place(name: str, order: CertificateOrder, there: Installed | None, issuer: Issuer) -> Placed:
    """Place an order at the first of its authorities that takes it; those passed over are said.

    Raises the error of the only authority, or one `ProviderRefused` that lists those of all; and `Refused` for a zone
    that no authority could look into, or the error of reading one, before any is asked.
    """
    zones = await healthy_zones(name, order.names, issuer)
    passed: list[tuple[str, SophiaError]] = []
    for directory in order.authorities:
        try:
            return await _placed_at(directory, order, there, zones, issuer)
        except _CURABLE as error:
            passed.append((directory, error))
        if directory != order.authorities[-1]:
            await passed_over(name, directory, passed[-1][1], issuer)
    if len(passed) == 1:
        raise passed[0][1]
    raise ProviderRefused(
        f"no authority took the order: {'; '.join(error.message for _, error in passed)}",
        hint=next((error.hint for _, error in passed if error.hint), None),
        details={"errors": [{"directory": url, "kind": error.kind, **error.details} for url, error in passed]},
    )


async def passed_over(name: str, directory: str, error: SophiaError, issuer: Issuer) -> None:
    """Say that the next authority is tried, and why."""
    await issuer.ground().stream.say(
        "cert.authority",
        target=certificate_target(name),
        outcome="passed over",
        authority=urlsplit(directory).hostname,
        error=error.kind,
        why=error.message,
    )


async def _placed_at(
    directory: str, order: CertificateOrder, there: Installed | None, zones: Mapping[str, Zone], issuer: Issuer
) -> Placed:
    """One attempt: what was spent there, what its account and CAA allow, then the order. `replaces` is for its own only."""
    authority = issuer.authorities.at(directory)
    if authority is None:
        raise Refused(f"{directory} is not configured any more", hint="name it in ssl.directory")
    is_issuer = there is not None and there.authority == directory
    predecessor = (
        there.certificate_id if there is not None and is_issuer and set(there.names) & set(order.names) else None
    )
    wanted = replace(
        order.beginning_with(directory), others=tuple(one for one in order.authorities if one != directory)
    )
    same = there is not None and is_issuer and there.names == order.names
    request = request_of(wanted, issuer, advised=predecessor is not None, same_names=same)
    await refuse_if_spent(wanted, request, issuer)
    reasons = await forbidden(order.names, zones, authority, issuer)
    if reasons:
        raise Refused("; ".join(reasons), hint="change the record or ssl.provider, then run the command again")
    placed = await authority.order(order.names, profile=order.profile, replaces=predecessor)
    with contextlib.suppress(StateError):  # its URL has to be noted first; the authority counts as well
        await note_ordered(wanted, replace(request, advised=placed.replaces is not None), issuer)
    return Placed(authority, placed, wanted)
