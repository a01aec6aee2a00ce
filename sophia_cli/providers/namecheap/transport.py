"""One call to the API: POST, time limits, retries, what each failure means. Never follows a redirect or logs a body."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sophia_cli.core.dns import shown
from sophia_cli.core.errors import (
    BadResponse,
    OutcomeUnknown,
    ProviderBusy,
    RateLimited,
    SophiaError,
    Unreachable,
)
from sophia_cli.providers.namecheap.budget import Budget
from sophia_cli.providers.namecheap.credentials import Credentials, is_loopback
from sophia_cli.providers.namecheap.refusals import RATE_HINT, Kind, error_of
from sophia_cli.providers.namecheap.xml import Envelope, described, envelope

if TYPE_CHECKING:
    import httpx

MAX_BODY = 32 * 1024 * 1024  # bytes; the TLD and price lists are some MB
CONNECT_S = 10.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between tries: each twice the one before, up to `cap_s`, and at most `tries` calls."""

    first_s: float
    cap_s: float
    tries: int

    def wait_s(self, tried: int, jitter: float) -> float:
        """The wait after `tried` calls; `jitter` in 0..1 takes off up to half."""
        return float(min(self.cap_s, self.first_s * 2 ** (tried - 1)) * (1 - jitter / 2))


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long retryable errors are tried again; no retry starts later than `total_s` after the first call."""

    rate_limited: Backoff = Backoff(5.0, 30.0, 6)
    unreachable: Backoff = Backoff(0.5, 8.0, 4)
    busy: Backoff = Backoff(2.0, 8.0, 5)
    total_s: float = 120.0


DEFAULT_RETRY = RetryPolicy()


class Transport:
    """Sends calls; knows nothing of what they mean."""

    def __init__(
        self,
        credentials: Credentials,
        endpoint: str,
        *,
        http: httpx.AsyncClient | None,
        timeout_s: float,
        budget: Budget,
        retry: RetryPolicy,
        sleep: Callable[[float], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._credentials = credentials
        self._endpoint = endpoint
        self._http = http
        self._owns_http = http is None
        self._timeout_s = timeout_s
        self._budget = budget
        self._retry = retry
        self._sleep = sleep
        self._clock = clock
        self._jitter = jitter
        self.calls = 0

    async def close(self) -> None:
        """Close the connections, unless they were handed in."""
        if self._owns_http and self._http is not None:
            await self._http.aclose()
            self._http = None

    async def call(
        self, command: str, params: Mapping[str, str], *, kind: Kind = Kind.READ, retries_busy: bool = True
    ) -> Envelope:
        """The answer to one command, after the retries that are safe for its kind.

        A rate limit is always tried again, since the call was not executed; for a charge only when it was HTTP 405.
        """
        started, waited, tried = self._clock(), 0.0, 0
        while True:
            tried += 1
            try:
                return await self._once(command, params, kind)
            except (RateLimited, Unreachable, ProviderBusy) as error:
                backoff = self._backoff(error, kind, retries_busy)
                if backoff is None or tried >= backoff.tries:
                    raise
                pause = backoff.wait_s(tried, self._jitter())
                if max(self._clock() - started, waited) + pause > self._retry.total_s:
                    raise
            await self._sleep(pause)
            waited += pause

    def _backoff(self, error: SophiaError, kind: Kind, retries_busy: bool) -> Backoff | None:
        if isinstance(error, RateLimited):
            if "wait_s" in error.details:  # the budget has already waited as long as it may
                return None
            safe = kind is not Kind.CHARGE or error.details.get("number") == 405
            return self._retry.rate_limited if safe else None
        if isinstance(error, Unreachable):
            return self._retry.unreachable if kind is Kind.READ else None
        return self._retry.busy if retries_busy and kind is not Kind.CHARGE else None

    async def _once(self, command: str, params: Mapping[str, str], kind: Kind) -> Envelope:
        await self._budget.spend()
        self.calls += 1
        status, body = await self._exchange(command, params, kind)
        if status == 405:
            details = {"provider": "namecheap", "command": command, "number": 405}
            raise RateLimited(f"{command}: Namecheap said HTTP 405, too many calls", hint=RATE_HINT, details=details)
        try:
            if status != 200:
                raise BadResponse(f"{command}: Namecheap answered HTTP {status} with {described(body)}")
            found = envelope(body, command)
            if found.is_contradictory and kind is not Kind.READ:
                raise BadResponse(f"{command}: the answer says OK and names errors")
        except BadResponse as error:
            raise self._unreadable(error, command, kind, status) from error
        if found.is_ok:
            return found
        raise error_of(
            found.errors,
            command=command,
            kind=kind,
            client_ip=self._credentials.client_ip,
            secrets=self._credentials.secrets(),
        )

    def _unreadable(self, error: BadResponse, command: str, kind: Kind, status: int) -> SophiaError:
        message = error.message if error.message.startswith(command) else f"{command}: {error.message}"
        for secret in self._credentials.secrets():
            message = message.replace(secret, "[secret]")
        details = {"provider": "namecheap", "command": command, "status": status}
        if kind is Kind.READ:
            hint = "this says nothing about what is there; run again, and see whether Namecheap has an outage"
            return BadResponse(message, hint=hint, details=details)
        return OutcomeUnknown(
            f"{message}; the write may or may not have been executed",
            hint="read what is there before writing again",
            details=details,
        )

    async def _exchange(self, command: str, params: Mapping[str, str], kind: Kind) -> tuple[int, bytes]:
        """Status and body; raises Unreachable when nothing can have been executed or a read got no answer."""
        import httpx

        http = self._client()
        data = {**self._credentials.parameters(), "Command": command, **params}
        details = {"provider": "namecheap", "command": command}
        try:
            # httpx limits each step; the whole is limited here, so that a trickling answer ends too.
            async with asyncio.timeout(self._timeout_s + CONNECT_S):
                return await self._post(http, data)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            raise Unreachable(
                f"Namecheap cannot be reached: {shown(str(error) or type(error).__name__, 120)}",
                hint="check the network, and whether Namecheap has an outage",
                details=details,
            ) from error
        except (httpx.DecodingError, _TooLong) as error:
            bad = BadResponse("the answer cannot be decoded or is too long")
            raise self._unreadable(bad, command, kind, 0) from error
        except (TimeoutError, httpx.TransportError) as error:
            lost = "no answer in time" if _is_timeout(error) else "the connection was lost before an answer"
            if kind is Kind.READ:
                raise Unreachable(f"{command}: {lost}", hint="run again", details=details) from error
            raise OutcomeUnknown(
                f"{command}: {lost}; the write may or may not have been executed",
                hint="read what is there before writing again",
                details=details,
            ) from error

    async def _post(self, http: httpx.AsyncClient, data: Mapping[str, str]) -> tuple[int, bytes]:
        # An own time limit per request: a client that was handed in may have another.
        async with http.stream(
            "POST", self._endpoint, data=data, timeout=self._limits(), follow_redirects=False
        ) as got:
            body = bytearray()
            async for part in got.aiter_bytes():
                body += part
                if len(body) > MAX_BODY:
                    raise _TooLong
            return got.status_code, bytes(body)

    def _limits(self) -> httpx.Timeout:
        import httpx

        return httpx.Timeout(self._timeout_s, connect=min(CONNECT_S, self._timeout_s))

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            import ssl

            import httpx

            local = is_loopback(self._endpoint)
            plain = self._endpoint.startswith("http:")
            # Reading the system's certificates takes longer than a call to loopback; plain HTTP needs none.
            verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else True
            self._http = httpx.AsyncClient(
                verify=verify,
                follow_redirects=False,
                trust_env=not local,  # a proxy must not see what is meant for this machine
                headers={"User-Agent": "sophia-cli", "Accept": "text/xml"},
            )
        return self._http


class _TooLong(Exception):
    """The answer is longer than any real one."""


def _is_timeout(error: Exception) -> bool:
    import httpx

    return isinstance(error, (TimeoutError, httpx.TimeoutException))
