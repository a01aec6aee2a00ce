"""One request to an authority: nonces, pauses it asks for, what each failure means. Follows no redirect and logs no body."""

from __future__ import annotations

import asyncio
import json
import random
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sophia_cli.core.acme import AcmeProblem
from sophia_cli.core.dns import shown
from sophia_cli.core.errors import BadResponse, OutcomeUnknown, ProviderBusy, SophiaError, Unreachable, UsageError
from sophia_cli.core.ports import Clock
from sophia_cli.providers.acme.jws import SigningKey, compact
from sophia_cli.providers.acme.problems import error_of, problem_of

if TYPE_CHECKING:
    import httpx

MAX_BODY = 1024 * 1024  # bytes; a chain is some KB
CONNECT_S = 10.0
MOST_BAD_NONCES = 25  # at one good nonce in two, fewer than one request in thirty million fails
MOST_POOLED = 32
MOST_TRIES = 5
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 8.0
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_RETRY_AFTER = re.compile(r"retry after (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")
_NONCE = re.compile(r"[A-Za-z0-9_-]{1,512}\Z")  # RFC 8555 6.5.1


def is_loopback(url: str) -> bool:
    """Whether a URL is on this machine."""
    try:
        return urlsplit(url).hostname in _LOOPBACK
    except ValueError:
        return False


def _is_sound(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_ok = (parts.port or 1) > 0
    except ValueError:
        return False
    secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    plain = url.isascii() and url.isprintable() and " " not in url
    return secure and plain and port_ok and bool(parts.hostname) and parts.username is None and parts.password is None


def checked_directory(url: str) -> str:
    """A directory URL when it is HTTPS, or on this machine; else UsageError (64)."""
    if not _is_sound(url):
        raise UsageError(
            f"ssl.directory: {shown(url, 200)} is no HTTPS address",
            hint="https://acme-v02.api.letsencrypt.org/directory, for example",
            details={"path": "ssl.directory"},
        )
    return url


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `retry_after_s` is from now; None when it was missing or unreadable, or lies in the past."""

    url: str
    status: int
    body: bytes
    location: str | None = None
    links: tuple[str, ...] = ()
    retry_after_s: float | None = None

    def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises `BadResponse`."""
        try:
            data = json.loads(self.body)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            text = shown(self.body[:200].decode("utf-8", "replace"), 120)
            raise BadResponse(
                f"{self.url} answered with no JSON object: {text}",
                hint="see whether the address is that of an ACME directory, and whether the authority has an outage",
            )
        return data


class Transport:
    """Requests to one authority. Remembers nonces and nothing else."""

    def __init__(
        self,
        directory: str,
        *,
        clock: Clock,
        http: httpx.AsyncClient | None = None,
        ca_file: Path | None = None,
        timeout_s: float = 30.0,
        patience_s: float = 60.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.directory = checked_directory(directory)
        self.host = urlsplit(directory).netloc
        self._clock = clock
        self._http = http
        self._owns_http = http is None
        self._ca_file = ca_file
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._jitter = jitter
        self._nonces: list[str] = []
        self.new_nonce: str | None = None
        self.requests = 0

    async def close(self) -> None:
        """Close the connections, unless they were handed in."""
        if self._owns_http and self._http is not None:
            await self._http.aclose()
            self._http = None

    async def get(self, url: str, *, what: str, retries: bool = True) -> Answer:
        """An unsigned GET: of the directory, and of renewal information."""
        return await self._patiently(lambda: self._exchange("GET", url), what=what, is_safe=True, retries=retries)

    async def post(
        self,
        url: str,
        payload: object | None,
        key: SigningKey,
        *,
        what: str,
        key_id: str | None = None,
        is_safe: bool = False,
        during: str = "",
        accept: str = "application/json",
    ) -> Answer:
        """A signed POST; a payload of None is a POST-as-GET (RFC 8555 6.3), which is always safe to repeat.

        Raises `OutcomeUnknown` when the answer to what is not safe to repeat was lost.
        """
        content = b"" if payload is None else compact(payload)

        async def once() -> Answer:
            header = {"nonce": await self._nonce(what), "url": url}
            if key_id is not None:
                header["kid"] = key_id
            return await self._exchange("POST", url, compact(key.jws(content, **header)), accept)

        return await self._patiently(once, what=what, is_safe=is_safe or payload is None, during=during)

    async def _patiently(
        self, once: Any, *, what: str, is_safe: bool, retries: bool = True, during: str = ""
    ) -> Answer:
        """Try until there is an answer that means something, as long as that is safe and patience lasts."""
        waited, tried, bad_nonces = 0.0, 0, 0
        while True:
            pause: float | None = None
            try:
                answer: Answer = await once()
            except (Unreachable, OutcomeUnknown) as lost:
                error: SophiaError = self._lost(lost, what, is_safe)
                pause = self._pause(tried) if isinstance(error, Unreachable) else None
            else:
                if answer.status < 300:
                    return answer
                problem = _problem(answer)
                if problem.type == "badNonce" and bad_nonces < MOST_BAD_NONCES:
                    bad_nonces += 1  # it was not executed (RFC 8555 6.5), and the answer brought a fresh one
                    continue
                error = self._refused(answer, problem, what, is_safe, during)
                pause = self._wanted_pause(answer, error, tried)
            tried += 1
            if not retries or pause is None or tried >= MOST_TRIES or waited + pause > self._patience_s:
                raise error
            waited += pause
            await self._clock.sleep(pause)

    def _lost(self, error: SophiaError, what: str, is_safe: bool) -> SophiaError:
        message, details = f"{what}: {error.message}", error.details
        if isinstance(error, OutcomeUnknown) and not is_safe:
            return OutcomeUnknown(
                f"{message}; it may or may not have been executed",
                hint="run again: what was done is looked up first",
                details=details,
            )
        return Unreachable(message, hint="check the network, and whether the authority has an outage", details=details)

    def _refused(self, answer: Answer, problem: AcmeProblem, what: str, is_safe: bool, during: str) -> SophiaError:
        if answer.status < 400:
            return BadResponse(
                f"{what}: {self.host} answered with a redirect (HTTP {answer.status}), which is not followed",
                hint="configure the address it redirects to, if you trust it",
            )
        if answer.status >= 500 and answer.status != 503 and not is_safe:
            return OutcomeUnknown(
                f"{what}: {self.host} failed with HTTP {answer.status}; it may or may not have been executed",
                hint="run again: what was done is looked up first",
                details={"provider": self.host, "number": answer.status, "type": problem.type},
            )
        retry_at = _named_time(problem)
        if answer.retry_after_s is not None:
            retry_at = _later(self._clock.now(), answer.retry_after_s)
        error = error_of(problem, what=what, authority=self.host, retry_at=retry_at, during=during)
        if retry_at is not None:
            error.details.setdefault("retry_at", retry_at.isoformat())
        return error

    def _wanted_pause(self, answer: Answer, error: SophiaError, tried: int) -> float | None:
        """How long to wait before trying again, or None: then it is no use."""
        if answer.status in (429, 503) and answer.retry_after_s is not None:
            return answer.retry_after_s
        return self._pause(tried) if isinstance(error, ProviderBusy) else None

    def _pause(self, tried: int) -> float:
        return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**tried) * (1 - self._jitter() / 2))

    # -- nonces ------------------------------------------------------------------------------------------------------

    async def _nonce(self, what: str) -> str:
        if not self._nonces:
            if self.new_nonce is None:
                raise BadResponse(f"{what}: the directory of {self.host} was not read yet")
            # Some proxies drop the header of an answer to HEAD; GET gives one as well (RFC 8555 7.2).
            for method in ("HEAD", "GET"):
                answer = await self._exchange(method, self.new_nonce)
                if answer.status >= 400:
                    raise self._refused(answer, _problem(answer), f"{what}: a nonce", is_safe=True, during="")
                if self._nonces:
                    break
        if not self._nonces:
            raise BadResponse(
                f"{what}: {self.host} gives no usable Replay-Nonce",
                hint="see whether a proxy on the way removes headers",
            )
        return self._nonces.pop()  # the newest: authorities forget old ones

    # -- HTTP --------------------------------------------------------------------------------------------------------

    async def _exchange(
        self, method: str, url: str, body: bytes | None = None, accept: str = "application/json"
    ) -> Answer:
        """One request. Raises `Unreachable` when nothing can have been executed, `OutcomeUnknown` when that is open."""
        import httpx

        self._check(url)
        http = self._client()
        self.requests += 1
        try:
            # httpx limits each step; the whole is limited here, so that a trickling answer ends too.
            async with asyncio.timeout(self._timeout_s + CONNECT_S):
                return await self._sent(http, method, url, body, accept)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            reason = shown(str(error) or type(error).__name__, 200)
            raise Unreachable(
                f"{self.host} cannot be reached: {reason}", details={"provider": self.host, "cause": "connect"}
            ) from error
        except (httpx.InvalidURL, UnicodeError) as error:
            raise BadResponse(
                f"{self.host} names an address that is not used: {shown(url, 200)}",
                hint="see whether the authority has an outage",
            ) from error
        except (httpx.DecodingError, _TooLong) as error:
            raise OutcomeUnknown("the answer cannot be decoded or is too long", details={"cause": "body"}) from error
        except (TimeoutError, httpx.TransportError) as error:
            is_timeout = isinstance(error, (TimeoutError, httpx.TimeoutException))
            lost = "no answer in time" if is_timeout else "the connection was lost before an answer"
            details = {"provider": self.host, "cause": "timeout" if is_timeout else "lost"}
            raise OutcomeUnknown(f"{self.host}: {lost}", details=details) from error

    async def _sent(self, http: httpx.AsyncClient, method: str, url: str, body: bytes | None, accept: str) -> Answer:
        import httpx

        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = "application/jose+json"
        limits = httpx.Timeout(self._timeout_s, connect=min(CONNECT_S, self._timeout_s))
        async with http.stream(
            method, url, content=body, headers=headers, timeout=limits, follow_redirects=False
        ) as got:
            content = bytearray()
            async for part in got.aiter_bytes():
                content += part
                if len(content) > MAX_BODY:
                    raise _TooLong
            nonce = got.headers.get("replay-nonce", "")
            if _NONCE.match(nonce) and len(self._nonces) < MOST_POOLED:
                self._nonces.append(nonce)
            return Answer(
                url=url,
                status=got.status_code,
                body=bytes(content),
                location=got.headers.get("location"),
                links=tuple(got.headers.get_list("link")),
                retry_after_s=self._retry_after(got.headers.get("retry-after")),
            )

    def _retry_after(self, text: str | None) -> float | None:
        """Seconds or a date (RFC 9110 10.2.3)."""
        if text is None:
            return None
        text = text.strip()
        if text.isascii() and text.isdigit():
            return float(text[:12])
        try:
            when = parsedate_to_datetime(text)
        except ValueError:
            return None
        if when.tzinfo is None:
            return None
        seconds = (when - self._clock.now()).total_seconds()
        return seconds if seconds >= 0 else None

    def _check(self, url: str) -> None:
        """Addresses come from the authority: it may name other hosts, but nothing plain and nothing on this machine."""
        if not _is_sound(url) or (is_loopback(url) and not is_loopback(self.directory)):
            raise BadResponse(
                f"{self.host} names an address that is not used: {shown(url, 200)}",
                hint="addresses of an authority are HTTPS and not on this machine",
            )

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            import httpx

            local = is_loopback(self.directory)
            verify: ssl.SSLContext
            if self._ca_file is not None:
                try:
                    verify = ssl.create_default_context(cafile=self._ca_file)
                except (OSError, ssl.SSLError) as error:
                    raise UsageError(
                        f"{self._ca_file} holds no certificates that can be read", hint="a PEM file with the root"
                    ) from error
            elif self.directory.startswith("http:"):
                verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # reading the roots takes longer than all requests
            else:
                verify = httpx.create_ssl_context()  # also the roots that SSL_CERT_FILE names
            self._http = httpx.AsyncClient(
                verify=verify,
                follow_redirects=False,
                trust_env=not local,  # a proxy must not see what is meant for this machine
                headers={"User-Agent": "sophia-cli", "Accept-Language": "en"},
            )
        return self._http


class _TooLong(Exception):
    """The answer is longer than any real one."""


def _problem(answer: Answer) -> AcmeProblem:
    """The problem document of a refusal; one is made up where the body holds none."""
    try:
        found = problem_of(json.loads(answer.body), answer.status)
    except (ValueError, RecursionError):
        found = None
    if found is not None:
        return found
    text = answer.body[:200].decode("utf-8", "replace")
    return AcmeProblem(f"HTTP {answer.status}", text, answer.status)


def _named_time(problem: AcmeProblem) -> datetime | None:
    """When a rate limit ends, as the text of Let's Encrypt names it where the header is missing."""
    found = _RETRY_AFTER.search(problem.detail) if problem.type == "rateLimited" else None
    try:
        return None if found is None else datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    except ValueError:
        return None


def _later(now: datetime, seconds: float) -> datetime | None:
    try:
        return now + timedelta(seconds=seconds)
    except OverflowError:
        return None
