"""Several authorities in order: the next one takes an order that the one before could not. Never after a validation."""

from __future__ import annotations

from collections.abc import Sequence

from sophia_cli.core.acme import Authority, Placed, Predecessor
from sophia_cli.core.errors import (
    BadResponse,
    CredentialsMissing,
    CredentialsRejected,
    OutcomeUnknown,
    ProviderBusy,
    ProviderRefused,
    RateLimited,
    SophiaError,
    Unreachable,
    UsageError,
)

# What another authority can cure. Terms that nobody agreed to, our own files and wrong usage are the same everywhere.
_CURABLE = (
    BadResponse,
    CredentialsMissing,
    CredentialsRejected,
    OutcomeUnknown,
    ProviderBusy,
    ProviderRefused,
    RateLimited,
    Unreachable,
)


class OrderedAuthorities:
    """Authorities, the preferred one first. Implements `Authorities`."""

    def __init__(self, authorities: Sequence[Authority]) -> None:
        if not authorities:
            raise UsageError("no certificate authority is configured", hint="ssl.provider or ssl.directory")
        self._authorities = tuple(authorities)

    async def place(
        self,
        names: Sequence[str],
        *,
        terms_agreed: bool,
        profile: str | None = None,
        predecessor: Predecessor | None = None,
    ) -> Placed:
        """Place the order at the first authority that takes it."""
        passed: list[tuple[str, SophiaError]] = []
        for authority in self._authorities:
            knows = predecessor is not None and predecessor.directory == authority.url
            try:
                await authority.account(terms_agreed=terms_agreed)
                order = await authority.order(
                    names, profile=profile, replaces=predecessor.certificate_id if predecessor and knows else None
                )
            except _CURABLE as error:
                passed.append((authority.url, error))
            else:
                return Placed(authority, order, tuple(passed))
        if len(passed) == 1:
            raise passed[0][1]
        raise ProviderRefused(
            f"no authority took the order: {'; '.join(error.message for _, error in passed)}",
            hint=next((error.hint for _, error in passed if error.hint), None),
            details={"errors": [{"directory": url, "kind": error.kind, **error.details} for url, error in passed]},
        )

    def at(self, directory: str) -> Authority | None:
        """The authority with this directory URL."""
        return next((item for item in self._authorities if item.url == directory), None)

    async def close(self) -> None:
        """Close the connections to all."""
        for authority in self._authorities:
            await authority.close()
