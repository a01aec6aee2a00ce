"""One JSON request to an API with a token: time-outs, no redirects, foreign errors translated. Shows neither token nor body."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sophia_cli.core.errors import (
    BadResponse,
    CredentialsRejected,
    OutcomeUnknown,
    ProviderBusy,
    ProviderRefused,
    RateLimited,
    Unreachable,
    UsageError,
)

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 30.0


class Api:
    """One API. Each call opens and closes its connection: a rotation makes a handful of them."""

    def __init__(self, name: str, url: str, headers: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> None:
        self._name = name
        self._url = checked_url(name, url)
        self._headers = headers
        self._timeout_s = timeout_s

    async def call(self, method: str, path: str, authorization: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON (None for an empty answer) of an answer with 2xx or 404.

        Raises `CredentialsRejected` for 401 and 403, `RateLimited`, `ProviderBusy` (5xx), `ProviderRefused`,
        `Unreachable` when the request was not sent, and `OutcomeUnknown` when its answer was lost.
        """
        import httpx

        headers = {**self._headers, "Authorization": authorization, "User-Agent": "sophia-cli"}
        trusted = not is_loopback(self._url)
        with_tls = self._url.startswith("https:")  # plain http is loopback: no certificates need loading
        try:
            async with httpx.AsyncClient(
                timeout=self._timeout_s, follow_redirects=False, trust_env=trusted, verify=with_tls
            ) as client:
                response = await client.request(method, self._url + path, headers=headers, json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            raise Unreachable(f"{self._name} cannot be reached ({type(exc).__name__})", hint="try again") from None
        except httpx.HTTPError as exc:
            message = f"{self._name}: the answer to {method} {path} was lost ({type(exc).__name__})"
            if method == "GET":
                raise Unreachable(message, hint="try again") from None
            raise OutcomeUnknown(message, hint="run the command again; it takes the rotation up there") from None
        return response.status_code, self._answer(response, f"{method} {path}")

    def _answer(self, response: httpx.Response, what: str) -> Any:
        status = response.status_code
        where = f"{self._name}: {what} was answered with {status}"
        if status in (401, 403):
            raise CredentialsRejected(where, hint="check the token and what it may do")
        if status == 429:
            raise RateLimited(where, hint="try again later")
        if status >= 500:
            raise ProviderBusy(where, hint="try again later")
        if not (200 <= status < 300 or status == 404):
            raise ProviderRefused(where, details={"number": status})
        if status == 404 or not response.content.strip():
            return None
        try:
            return json.loads(response.content)
        except (ValueError, RecursionError) as exc:
            raise BadResponse(f"{self._name}: the answer to {what} is not JSON") from exc


def checked_url(name: str, url: str) -> str:
    """The URL without a final slash. Raises `UsageError` unless it is https, or http on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if host and parts.username is None and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(url))):
        return url.rstrip("/")
    raise UsageError(f"the address of {name} must be https (http only on this machine)", hint=f"it is set for {name}")


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def field(data: Any, name: str, kind: type, where: str) -> Any:
    """A field of an answer. Raises `BadResponse` when it is not there or of another kind."""
    value = data.get(name) if isinstance(data, Mapping) else None
    if not isinstance(value, kind) or value == "":
        raise BadResponse(f"{where}: the answer has no {name}")
    return value
