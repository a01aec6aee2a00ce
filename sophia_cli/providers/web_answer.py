"""HTTP/1.1 requests and answers over a stream: bounded in headers, body and decoding. Opens no connection."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sophia_cli.core.web_facts import Cookie

CHUNK = 16 * 1024
MOST_HEADER_BYTES = 64 * 1024  # of one answer; servers refuse more than 8 to 16 KiB themselves
MOST_BODY_BYTES = 64 * 1024  # read of a body of which nothing is kept, to see that it comes
MOST_VALUE = 2048  # characters kept of one header value
MOST_VALUES = 20  # of one header

# What the checks look at; nothing else is kept, so that no token in a header of somebody's own is.
KEPT = frozenset(
    {
        "cache-control", "content-encoding", "content-length", "content-security-policy", "content-type", "etag", "expires",
        "last-modified", "location", "referrer-policy", "server", "strict-transport-security", "vary",
        "x-content-type-options", "x-frame-options",
    }
)  # fmt: skip
AGENT = "sophia-cli"


class Garbled(Exception):
    """What came is not HTTP (RFC 9112), or more of it than is taken."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; `first_byte_at` is the clock's reading when it began to arrive."""

    status: int
    headers: Mapping[str, tuple[str, ...]]
    cookies: tuple[Cookie, ...]
    body: bytes
    cut: bool
    first_byte_at: float
    received: int = 0


def request_of(host: str, port: int, is_tls: bool, path: str) -> bytes:
    """A GET, as a visitor without cookies sends it (RFC 9112 3.2)."""
    shown = f"[{host}]" if ":" in host else host
    place = shown if port == (443 if is_tls else 80) else f"{shown}:{port}"
    safe = "".join(character if "!" <= character <= "~" else _quoted(character) for character in path)
    lines = [
        f"GET {safe} HTTP/1.1",
        f"Host: {place}",
        f"User-Agent: {AGENT}",
        "Accept: text/html,application/xhtml+xml,text/plain;q=0.9,*/*;q=0.8",
        "Accept-Encoding: gzip",
        "Connection: close",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii", "replace")


def _quoted(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


async def read_answer(reader: asyncio.StreamReader, keep: int, clock: Callable[[], float]) -> Answer:
    """The answer to one GET. Reads no more of the body than `keep` needs. Raises Garbled, OSError or EOFError."""
    import h11

    wire = h11.Connection(our_role=h11.CLIENT, max_incomplete_event_size=MOST_HEADER_BYTES)
    wire.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    wire.send(h11.EndOfMessage())
    first_byte_at: float | None = None
    head: h11.Response | None = None
    body, limit, cut, came = bytearray(), max(keep, MOST_BODY_BYTES), False, 0
    while True:
        try:
            event = wire.next_event()
            if event is h11.NEED_DATA:
                data = await reader.read(CHUNK)
                if first_byte_at is None:
                    if not data:
                        raise EOFError("the server closed it before it answered")
                    first_byte_at = clock()
                came += len(data)
                wire.receive_data(data)
                if head is None and came > 2 * MOST_HEADER_BYTES:
                    raise Garbled("its headers never end")
                continue
        except h11.RemoteProtocolError as exc:
            if head is None:
                raise Garbled(str(exc)[:200]) from exc
            cut = True  # the head stands; a body that breaks off is what it is
            break
        if isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > limit:
                cut = True
                break
        elif isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)) or event is h11.PAUSED:
            break
    if head is None or first_byte_at is None:
        raise Garbled("no answer came")
    answer = _answer(head.status_code, list(head.headers), bytes(body), keep, cut, first_byte_at)
    return replace(answer, received=came)


def _answer(status: int, rows: list[Any], body: bytes, keep: int, cut: bool, at: float) -> Answer:
    headers: dict[str, tuple[str, ...]] = {}
    cookies: list[Cookie] = []
    for raw_name, raw_value in rows:
        name, value = raw_name.decode("ascii", "replace").lower(), raw_value.decode("utf-8", "replace")
        if name == "set-cookie" and len(cookies) < MOST_VALUES:
            cookies.append(cookie_of(value))
        elif name in KEPT and len(headers.get(name, ())) < MOST_VALUES:
            headers[name] = (*headers.get(name, ()), value[:MOST_VALUE])
    text, more = decoded(body, headers.get("content-encoding", ("",))[0], keep)
    return Answer(status, headers, tuple(cookies), text, cut or more, at)


def cookie_of(value: str) -> Cookie:
    """A Set-Cookie without the cookie's value (RFC 6265 5.2)."""
    pair, *attributes = value.split(";")
    known = {}
    for attribute in attributes:
        key, _, setting = attribute.partition("=")
        known[key.strip().lower()] = setting.strip()
    same_site = known.get("samesite")
    name = pair.partition("=")[0].strip()[:100]
    return Cookie(name, "secure" in known, "httponly" in known, None if same_site is None else same_site[:20].lower())


def decoded(body: bytes, encoding: str, keep: int) -> tuple[bytes, bool]:
    """The first `keep` bytes of a body, unpacked where it is gzip; and whether there was more. A bomb unpacks no further."""
    if encoding.strip().lower() not in ("gzip", "x-gzip"):
        return body[:keep], len(body) > keep
    if keep == 0:
        return b"", True
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        text = unpacker.decompress(body, keep)
    except zlib.error:
        return b"", True
    return text, bool(unpacker.unconsumed_tail) or not unpacker.eof
