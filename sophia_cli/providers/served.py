"""The serial of the certificate that a TLS endpoint serves, by inspection. Judges nothing else about it and trusts nobody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sophia_cli.core.endpoints import Endpoint, Target
from sophia_cli.core.endpoints import Served as Shown
from sophia_cli.core.issuance import Served
from sophia_cli.providers.tls.inspector import Limits, inspect
from sophia_cli.providers.tls.trust import Roots

LIMITS = Limits(connection_s=5.0)


class Handshakes:
    """Shakes hands with endpoints side by side."""

    async def served(self, endpoints: Sequence[tuple[str, int, str]]) -> tuple[Served, ...]:
        """What each (name, port, address) serves; an empty address is looked up, and each of those found is told."""
        targets = [Target(name, port, None, (address,) if address else ()) for name, port, address in endpoints]
        nobody = Roots((), "trust was not asked about")
        found = await inspect(targets, now=datetime.now(UTC), roots=nobody, depth="certificate", limits=LIMITS)
        return tuple(one for endpoint in found for one in _told(endpoint))


def _told(endpoint: Endpoint) -> list[Served]:
    if not endpoint.served:
        return [Served(endpoint.label, None, endpoint.found.why)]
    return [_one(endpoint, one) for one in endpoint.served]


def _one(endpoint: Endpoint, one: Shown) -> Served:
    where = endpoint.label if one.address == endpoint.target.host else f"{endpoint.label} at {one.address}"
    if one.leaf is None:
        return Served(where, None, one.spoken.why or "it showed no certificate")
    if not one.leaf.serial:
        return Served(where, None, "its certificate cannot be read")
    return Served(where, one.leaf.serial)
