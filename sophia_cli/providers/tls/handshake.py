"""One handshake by the local TLS library, over bytes that are counted, trusting everything: judging comes later.

Whatever the library can speak is allowed, so that weak endpoints show what they are; nothing is sent to them but the
handshake and the goodbye. Flags are set here and not taken from Python's defaults, which differ between its releases.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sophia_cli.core.endpoints import Handshake
from sophia_cli.providers.tls.wire import Cut, Silent, Wire

ALPN = ("h2", "http/1.1")
GOODBYE_S = 1.0  # for a peer that never closes; those that do are not waited for

_LEGACY_SERVER_CONNECT = 0x4  # SSL_OP_LEGACY_SERVER_CONNECT; in `ssl` since Python 3.12 only
_IGNORE_UNEXPECTED_EOF = 0x80  # SSL_OP_IGNORE_UNEXPECTED_EOF, of OpenSSL 3.0 and later
_VERSIONS = {"SSLv3": "SSL 3.0", "TLSv1": "TLS 1.0", "TLSv1.1": "TLS 1.1", "TLSv1.2": "TLS 1.2", "TLSv1.3": "TLS 1.3"}

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Shaken:
    """What a handshake gave. `refusal` is why it did not come to its end; certificates may have been seen before.

    `refusal` of a finished handshake is an alert that came after it: in TLS 1.3 a server refuses a missing client
    certificate only then (RFC 8446 4.4.2.4).
    """

    certificates: tuple[bytes, ...]
    handshake: Handshake | None = None
    alpn: str | None = None
    reused: bool = False
    session: ssl.SSLSession | None = None
    refusal: str | None = None
    wants_certificate: bool = False
    is_tls: bool = True


def context(alpn: Sequence[str] = ()) -> ssl.SSLContext:
    """A client that accepts any certificate, version and suite the library has."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    made.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    made.set_ciphers("ALL:@SECLEVEL=0")
    made.options |= _LEGACY_SERVER_CONNECT | _IGNORE_UNEXPECTED_EOF
    if alpn:
        made.set_alpn_protocols(list(alpn))
    return made


class _Talk:
    """The library's two buffers, tied to a wire."""

    def __init__(self, wire: Wire, using: ssl.SSLContext, host: str, session: ssl.SSLSession | None) -> None:
        self._wire = wire
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = using.wrap_bio(self._in, self._out, server_hostname=host, session=session)
        self.first = b""

    async def run(self, step: Callable[[], Value]) -> Value:
        """Call a step of the library until it is content. Raises `ssl.SSLError`, and what the wire raises."""
        while True:
            try:
                value = step()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._wire.receive()
                self.first = self.first or data[:1]
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()
            except ssl.SSLError:
                await self.last_words()
                raise
            else:
                await self._flush()
                return value

    async def _flush(self) -> None:
        if self._out.pending:
            await self._wire.send(self._out.read())

    async def last_words(self) -> None:
        """Send what is left to say; the peer may have closed already, and what it said before can still be read."""
        with contextlib.suppress(Cut, Silent):
            await self._flush()


async def shake(
    wire: Wire, using: ssl.SSLContext, host: str, session: ssl.SSLSession | None = None, *, is_last: bool = False
) -> Shaken:
    """One handshake, and the goodbye during which TLS 1.3 servers send their session tickets. Raises `Silent` or `Cut`.

    The session is copied out unless this is the last handshake with the server.
    """
    started, sent, received = time.perf_counter(), wire.sent, wire.received
    talk = _Talk(wire, using, host, session)
    try:
        await talk.run(talk.tls.do_handshake)
    except ssl.SSLError as exc:
        is_tls = talk.first in (b"\x15", b"\x16")  # an alert, or a handshake message (RFC 8446 5.1)
        silence = "the connection was closed without a word"
        why = _why(exc) if is_tls else "the peer does not answer with TLS records" if talk.first else silence
        return Shaken(_certificates(talk.tls), refusal=why, wants_certificate=_is_demand(exc), is_tls=is_tls)
    ms = (time.perf_counter() - started) * 1000
    cipher = talk.tls.cipher()
    version = talk.tls.version() or ""
    cost = Handshake(
        _VERSIONS.get(version, version), cipher[0] if cipher else "", wire.sent - sent, wire.received - received, ms
    )
    certificates, alpn = _certificates(talk.tls), talk.tls.selected_alpn_protocol()
    refusal = await _goodbye(talk, wire)
    wants = refusal is not None and _is_demand(refusal)
    return Shaken(
        certificates,
        cost,
        alpn,
        bool(talk.tls.session_reused),
        None if is_last else talk.tls.session,
        _why(refusal) if wants and refusal is not None else None,
        wants,
    )


async def _goodbye(talk: _Talk, wire: Wire) -> ssl.SSLError | None:
    """Say that nothing more comes, and read what the server still has to say: tickets, its goodbye, or an alert."""
    wire.hurry(GOODBYE_S)
    with contextlib.suppress(ssl.SSLError):  # the peer's own goodbye is not there yet
        talk.tls.unwrap()
    await talk.last_words()
    wire.finish()
    try:
        await talk.run(lambda: talk.tls.read(1))  # a byte of what it says by itself comes after its tickets
    except ssl.SSLError as exc:
        return exc
    except (Cut, Silent, OSError):
        return None
    return None


def _certificates(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    """The chain as the server sent it, DER; a public call since Python 3.13 only, and there before under another name."""
    public: Any = getattr(tls, "get_unverified_chain", None)
    if public is not None:
        return tuple(bytes(one) for one in public() or ())
    inner: Any = getattr(tls, "_sslobj", None)
    listed = inner.get_unverified_chain() if hasattr(inner, "get_unverified_chain") else None
    if listed is None:
        leaf = None if inner is None else _leaf(tls)
        return () if leaf is None else (leaf,)
    return tuple(bytes(one.public_bytes(2)) for one in listed)  # 2 is ENCODING_DER


def _leaf(tls: ssl.SSLObject) -> bytes | None:
    try:
        return tls.getpeercert(binary_form=True)
    except ValueError:  # the handshake is not done
        return None


def _is_demand(exc: ssl.SSLError) -> bool:
    return "CERTIFICATE_REQUIRED" in (exc.reason or "")


def _why(exc: ssl.SSLError) -> str:
    """An error of the library in words: the alert the peer sent, or what the library did not accept."""
    said = (exc.reason or exc.strerror or "the handshake failed").lower().replace("_", " ")
    for start in ("tlsv13 alert ", "tlsv1 alert ", "sslv3 alert ", "tlsv1 "):  # OpenSSL's names of alerts
        if said.startswith(start):
            return f"the peer refused: {said.removeprefix(start)}"
    return said
