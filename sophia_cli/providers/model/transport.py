"""The guarded connection: one origin, no redirects, known headers, bounded answers. Knows nothing of what is said."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

from sophia_cli.providers.model.address import is_loopback

LONGEST_BODY = 1024 * 1024  # bytes of one answer
CONNECT_S = 10.0
# The SDK adds headers of its own and whatever OPENAI_CUSTOM_HEADERS, OPENAI_ORG_ID and OPENAI_PROJECT_ID hold;
# none of them is sent.
HEADERS = ("host", "accept", "content-type", "content-length", "authorization")


class Withheld(Exception):
    """A request that was not made, or an answer that is not taken; the text says why."""


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends to one origin only and takes plain answers of bounded length. Raises `Withheld`."""

    def __init__(self, origin: str, inner: httpx2.AsyncBaseTransport | None = None) -> None:
        self._origin = origin
        self._inner = inner or _connection(origin)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One exchange."""
        if origin(request.url) != self._origin:
            raise Withheld("a request to another host was stopped")
        kept = [(name, value) for name, value in request.headers.items() if name.lower() in HEADERS]
        sent = httpx2.Request(
            request.method,
            request.url,
            headers=[*kept, ("accept-encoding", "identity"), ("user-agent", "sophia-cli")],
            stream=request.stream,
            extensions=request.extensions,
        )
        got = await self._inner.handle_async_request(sent)
        try:
            check_head(got.status_code, got.headers.get("content-encoding"))
        except Withheld:
            await got.aclose()
            raise
        assert isinstance(got.stream, httpx2.AsyncByteStream)
        return httpx2.Response(
            got.status_code, headers=got.headers, stream=Bounded(got.stream), extensions=got.extensions
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class Bounded(httpx2.AsyncByteStream):
    """A body that ends in `Withheld` once it is longer than an answer may be."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._stream:
            size += len(part)
            if size > LONGEST_BODY:
                raise Withheld(f"the answer is longer than {LONGEST_BODY // 1024} KiB")
            yield part

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()


def check_head(status: int, encoding: str | None) -> None:
    """Refuse redirects (their body would be the whole prompt, sent again elsewhere) and packed answers."""
    if 300 <= status < 400:
        raise Withheld("the host redirects; it was not followed")
    if (encoding or "identity").lower() != "identity":
        raise Withheld("the answer is packed although that was not asked for")


def origin(url: httpx2.URL) -> str:
    """`SCHEME://HOST:PORT` of a request."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.scheme}://{host}:{url.port or (443 if url.scheme == 'https' else 80)}"


def _connection(place: str) -> httpx2.AsyncBaseTransport:
    """Connections by the system's trust store; proxies of the process environment are not used: they are other hosts."""
    import ssl

    url = httpx2.URL(place)
    verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if url.scheme == "http" and is_loopback(url.host) else True
    return httpx2.AsyncHTTPTransport(verify=verify, retries=0)
