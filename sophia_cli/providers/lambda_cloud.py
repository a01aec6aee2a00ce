"""Lambda Cloud: which instances run and what they cost by the list. Reads only; never keeps the tokens the API gives."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sophia_cli.core.errors import (
    BadResponse,
    CredentialsRejected,
    ProviderRefused,
    RateLimited,
    Unreachable,
    UsageError,
)
from sophia_cli.core.inventory import Instance

if TYPE_CHECKING:
    import httpx
    from pydantic import SecretStr

ENDPOINT = "https://cloud.lambda.ai"  # Lambda Cloud API 1.10, `servers`
TIMEOUT_S = 20.0
MAX_BODY = 8 * 1024 * 1024  # bytes
MOST_INSTANCES = 10_000
_LONGEST = 200  # characters of any text that is kept


class LambdaCloud:
    """One account. The key is sent to Lambda's own address, or to loopback, and nowhere else."""

    def __init__(self, key: SecretStr, endpoint: str = ENDPOINT) -> None:
        self._key = key
        self._endpoint = _checked(endpoint)

    def __repr__(self) -> str:
        return f"LambdaCloud({self._endpoint!r})"

    async def instances(self, now: datetime) -> tuple[Instance, ...]:
        """The account's instances with their list prices (`GET /api/v1/instances`, `GET /api/v1/instance-types`).

        Raises CredentialsRejected, RateLimited, ProviderRefused, Unreachable, or BadResponse for what is no list.
        """
        import httpx

        headers = {"Authorization": f"Bearer {self._key.get_secret_value()}", "Accept": "application/json"}
        async with httpx.AsyncClient(
            base_url=self._endpoint, headers=headers, timeout=TIMEOUT_S, follow_redirects=False, trust_env=False
        ) as client:
            rows = await _get(client, "/api/v1/instances")
            if not isinstance(rows, list):
                raise BadResponse("Lambda Cloud: the answer to instances is no list")
            found = [_instance(row, now) for row in rows[:MOST_INSTANCES]]
            if any(one.cents_an_hour is None for one in found):
                prices = _prices(await _get(client, "/api/v1/instance-types"))
                found = [_priced(one, prices) for one in found]
        return tuple(sorted(found, key=lambda one: one.id))


async def _get(client: httpx.AsyncClient, path: str) -> Any:
    """The `data` of one answer."""
    import httpx

    body = bytearray()
    try:
        async with client.stream("GET", path) as answer:
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > MAX_BODY:
                    raise BadResponse(f"Lambda Cloud: the answer to {path} is larger than {MAX_BODY} bytes")
    except httpx.HTTPError as exc:
        raise Unreachable(
            f"Lambda Cloud: no answer to {path}: {type(exc).__name__}", hint="see whether the network is there"
        ) from exc
    data = _json(bytes(body))
    if answer.status_code == 200 and isinstance(data, dict) and "data" in data:
        return data["data"]
    raise _refused(answer.status_code, data, path)


def _refused(status: int, data: Any, path: str) -> Exception:
    error = data.get("error") if isinstance(data, dict) else None
    code = str(error.get("code", ""))[:_LONGEST] if isinstance(error, dict) else ""
    said = f" ({code!a})" if code else ""
    if status in (401, 403):
        return CredentialsRejected(
            f"Lambda Cloud does not take the API key{said}", hint="make one at https://cloud.lambda.ai/api-keys"
        )
    if status == 429:
        return RateLimited("Lambda Cloud: too many calls", hint="it takes about one a second; try again")
    if status >= 500:
        return Unreachable(f"Lambda Cloud: status {status} for {path}{said}")
    if 400 <= status < 500:
        return ProviderRefused(f"Lambda Cloud refused {path}: status {status}{said}")
    return BadResponse(f"Lambda Cloud: the answer to {path} is not what its API says (status {status})")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _instance(row: Any, now: datetime) -> Instance:
    """One instance, of the fields that are named here only: `jupyter_token` and `jupyter_url` are secrets."""
    if not isinstance(row, Mapping) or not isinstance(row.get("id"), str) or not isinstance(row.get("status"), str):
        raise BadResponse("Lambda Cloud: an instance without id or status")
    kind, region = row.get("instance_type"), row.get("region")
    kind = kind if isinstance(kind, Mapping) else {}
    region = region if isinstance(region, Mapping) else {}
    return Instance(
        id=_text(row["id"]),
        provider="Lambda Cloud",
        name=_text(row.get("name")),
        status=_text(row["status"]),
        kind=_text(kind.get("name")) or "instance",
        region=_text(region.get("name")),
        address=_address(row.get("ip")),
        cents_an_hour=_cents(kind.get("price_cents_per_hour")),
        read=now,
    )


def _prices(data: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, entry in data.items() if isinstance(data, Mapping) else ():
        kind = entry.get("instance_type") if isinstance(entry, Mapping) else None
        cents = _cents(kind.get("price_cents_per_hour")) if isinstance(kind, Mapping) else None
        if cents is not None:
            found[str(name)] = cents
    return found


def _priced(instance: Instance, prices: Mapping[str, int]) -> Instance:
    from dataclasses import replace

    if instance.cents_an_hour is not None:
        return instance
    return replace(instance, cents_an_hour=prices.get(instance.kind))


def _cents(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 10**9 else None


def _text(value: Any) -> str:
    return value[:_LONGEST] if isinstance(value, str) else ""


def _address(value: Any) -> str | None:
    try:
        return str(ipaddress.ip_address(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def _checked(endpoint: str) -> str:
    """Where the key may go. Raises `UsageError` without repeating what was given."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    if endpoint == ENDPOINT or (parts.scheme == "http" and host in ("127.0.0.1", "::1", "localhost")):
        return endpoint
    raise UsageError(f"Lambda Cloud is at {ENDPOINT}; the key is sent nowhere else")
