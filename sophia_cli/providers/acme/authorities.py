"""The authorities that an environment may order from, by directory. Decides nothing."""

from __future__ import annotations

from collections.abc import Sequence

from sophia_cli.core.acme import Authority


class KnownAuthorities:
    """Clients of some authorities. Implements `Authorities`."""

    def __init__(self, authorities: Sequence[Authority]) -> None:
        self._authorities = tuple(authorities)

    def at(self, directory: str) -> Authority | None:
        """The authority with this directory URL."""
        return next((item for item in self._authorities if item.url == directory), None)

    async def close(self) -> None:
        """Close the connections to all."""
        for authority in self._authorities:
            await authority.close()
