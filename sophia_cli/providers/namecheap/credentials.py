"""Who calls, and where: credentials and endpoint, checked before anything is sent. Never shows a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pydantic import SecretStr

from sophia_cli.core.errors import CredentialsMissing, UsageError
from sophia_cli.core.settings import Namecheap
from sophia_cli.providers.namecheap.client_ip import client_ip

PRODUCTION = "https://api.namecheap.com/xml.response"
SANDBOX = "https://api.sandbox.namecheap.com/xml.response"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """What every call carries. `client_ip` is sent as ClientIp."""

    api_user: SecretStr = field(repr=False)
    api_key: SecretStr = field(repr=False)
    username: SecretStr = field(repr=False)
    client_ip: str = "127.0.0.1"

    def parameters(self) -> dict[str, str]:
        """The global parameters, in the clear: for the request body only."""
        return {
            "ApiUser": self.api_user.get_secret_value(),
            "ApiKey": self.api_key.get_secret_value(),
            "UserName": self.username.get_secret_value(),
            "ClientIp": self.client_ip,
        }

    def secrets(self) -> tuple[str, ...]:
        """The texts that must not be shown, the longest first."""
        texts = {item.get_secret_value() for item in (self.api_key, self.api_user, self.username)}
        return tuple(sorted(filter(None, texts), key=len, reverse=True))


def is_loopback(endpoint: str) -> bool:
    """Whether an endpoint is this machine."""
    try:
        return urlsplit(endpoint).hostname in _LOOPBACK
    except ValueError:
        return False


def checked_endpoint(endpoint: str) -> str:
    """The endpoint when it is one of Namecheap's two, or loopback; else UsageError (64): the key goes nowhere else."""
    if endpoint in (PRODUCTION, SANDBOX):
        return endpoint
    try:
        parts = urlsplit(endpoint)
        ok = (
            parts.scheme in ("http", "https")
            and parts.hostname in _LOOPBACK
            and parts.username is None
            and parts.password is None
            and not parts.query
            and not parts.fragment
            and (parts.port or 1) > 0
        )
    except ValueError:
        ok = False
    if not ok:
        raise UsageError(
            "namecheap.endpoint: not one of Namecheap's two addresses, nor on this machine",
            hint=f"{PRODUCTION}, {SANDBOX}, or http://127.0.0.1:PORT/xml.response",
            details={"path": "namecheap.endpoint"},
        )
    return endpoint


def endpoint_of(settings: Namecheap) -> str:
    """The endpoint that an environment asks for, checked."""
    return checked_endpoint(settings.endpoint or (SANDBOX if settings.sandbox else PRODUCTION))


def credentials_of(settings: Namecheap, environ: Mapping[str, str]) -> Credentials:
    """The credentials of an environment; raises CredentialsMissing (4) naming each one that is not there."""
    missing = [
        f"namecheap.{name}"
        for name in ("api_user", "api_key")
        if not ((value := getattr(settings, name)) and value.get_secret_value())
    ]
    if missing or settings.api_user is None or settings.api_key is None:
        raise CredentialsMissing(
            f"the environment has no {' and no '.join(missing)}",
            hint="set them in the namecheap section (as fn::secret), or use --sandbox",
            details={"paths": missing},
        )
    # The user name is usually the API user (API reference).
    has_name = settings.username is not None and settings.username.get_secret_value()
    username = settings.username if settings.username is not None and has_name else settings.api_user
    address = client_ip(settings.client_ips, environ, loopback=is_loopback(endpoint_of(settings)))
    return Credentials(settings.api_user, settings.api_key, username, address)
