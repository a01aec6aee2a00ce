"""ClientHello bytes and the plain part of the answer, for questions the local TLS library cannot ask. Opens no connection.

A modern OpenSSL neither speaks SSL 3.0 nor, by default, TLS 1.0 or RC4, so that its refusal says nothing about the peer.
Offering a version or a suite takes no cryptography, only a ClientHello (RFC 5246 7.4.1.2, RFC 8446 4.1.2); what the server
chooses stands in its ServerHello, and up to TLS 1.2 its certificates follow unencrypted. No handshake is ever finished.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sophia_cli.core.endpoints import VERSIONS

NUMBERS: dict[str, int] = {name: 0x0300 + minor for minor, name in enumerate(VERSIONS)}
NAMES: dict[int, str] = {number: name for name, number in NUMBERS.items()}

MOST_BYTES = 1 << 20  # of one answer; a chain of a hundred certificates is smaller

PROTOCOL_VERSION = 70  # the alert that no version offered is spoken (RFC 8446 6.2)

_ALERT, _HANDSHAKE = 21, 22  # record types (RFC 8446 5.1)
_SERVER_HELLO, _CERTIFICATE, _CERTIFICATE_REQUEST, _HELLO_DONE, _CERTIFICATE_STATUS = 2, 11, 13, 14, 22
_SUPPORTED_VERSIONS = 43
_GROUPS = (29, 23, 24, 25, 30, 256, 257)  # x25519, P-256, P-384, P-521, x448, ffdhe2048, ffdhe3072
_SIGNATURES = (
    *(0x0403, 0x0503, 0x0603, 0x0807, 0x0808),  # ECDSA with SHA-256, 384 and 512; Ed25519, Ed448
    *(0x0804, 0x0805, 0x0806, 0x0809, 0x080A, 0x080B),  # RSA-PSS
    *(0x0401, 0x0501, 0x0601, 0x0303, 0x0301, 0x0203, 0x0201, 0x0402, 0x0202),  # RSA PKCS #1, SHA-224, SHA-1, DSA
)

# Alert descriptions that servers end a hello with (RFC 8446 6, RFC 5246 7.2).
_ALERTS = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure",
    42: "bad_certificate", 47: "illegal_parameter", 50: "decode_error", 51: "decrypt_error", PROTOCOL_VERSION: "protocol_version",
    71: "insufficient_security", 80: "internal_error", 86: "inappropriate_fallback", 90: "user_canceled",
    109: "missing_extension", 110: "unsupported_extension", 112: "unrecognized_name", 116: "certificate_required",
    120: "no_application_protocol",
}  # fmt: skip


class NotTls(ValueError):
    """The bytes are no TLS records."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a ClientHello offers: one version at most, some suites, and whether a stapled response is asked for."""

    version: str
    suites: Sequence[int]
    host: str | None = None
    """The server name to send; None for IP addresses (RFC 6066 3)."""
    staple: bool = False


def client_hello(question: Question, chance: Callable[[int], bytes]) -> bytes:
    """The record that asks. `chance` gives that many random bytes (`os.urandom`)."""
    number = NUMBERS[question.version]
    is_modern = number > 0x0303
    body = struct.pack(">H", min(number, 0x0303)) + chance(32)
    body += _short(chance(32) if is_modern else b"")  # a session id, as RFC 8446 D.4 advises against middleboxes
    body += _long(b"".join(struct.pack(">H", code) for code in question.suites))
    body += b"\x01\x00"  # no compression
    if number > 0x0300:
        body += _long(_extensions(question, is_modern, chance))
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return struct.pack(">BHH", _HANDSHAKE, 0x0300 if number == 0x0300 else 0x0301, len(message)) + message


def _extensions(question: Question, is_modern: bool, chance: Callable[[int], bytes]) -> bytes:
    listed: list[tuple[int, bytes]] = []
    if question.host is not None:
        listed.append((0, _long(b"\x00" + _long(question.host.encode("ascii")))))
    if question.staple:
        listed.append((5, b"\x01\x00\x00\x00\x00"))  # status_request: OCSP, any responder
    listed.append((10, _long(b"".join(struct.pack(">H", group) for group in _GROUPS))))
    listed.append((11, b"\x01\x00"))  # uncompressed points
    listed.append((13, _long(b"".join(struct.pack(">H", scheme) for scheme in _SIGNATURES))))
    listed.append((23, b""))  # extended master secret
    if is_modern:
        listed.append((_SUPPORTED_VERSIONS, _short(struct.pack(">H", NUMBERS[question.version]))))
        # Any 32 bytes are an X25519 public key (RFC 7748 6.1); the shared secret is never computed.
        listed.append((51, _long(struct.pack(">H", 29) + _long(chance(32)))))
        listed.append((45, b"\x01\x01"))  # psk_dhe_ke
    else:
        listed.append((0xFF01, b"\x00"))  # renegotiation_info
    return b"".join(struct.pack(">H", kind) + _long(content) for kind, content in listed)


def _short(content: bytes) -> bytes:
    return bytes([len(content)]) + content


def _long(content: bytes) -> bytes:
    return struct.pack(">H", len(content)) + content


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a server chose, and what it sent in the clear after that (nothing from TLS 1.3 on)."""

    version: str
    suite: int
    certificates: tuple[bytes, ...] = ()
    staple: bytes | None = None
    asks_for_certificate: bool = False


@dataclass(frozen=True, slots=True)
class Alert:
    """A server said no."""

    number: int

    def __str__(self) -> str:
        return f"alert {_ALERTS.get(self.number, self.number)}"


@dataclass(slots=True)
class Answer:
    """Reads an answer piece by piece: `feed` tells when enough is known, `outcome` what it is."""

    wants_all: bool = False
    """Read on to the end of the server's flight, for certificates and the stapled response."""
    _records: bytearray = field(default_factory=bytearray)
    _messages: bytearray = field(default_factory=bytearray)
    _hello: tuple[str, int] | None = None
    _certificates: tuple[bytes, ...] = ()
    _staple: bytes | None = None
    _asks: bool = False
    _alert: Alert | None = None
    _is_done: bool = False
    _count: int = 0

    def feed(self, data: bytes) -> bool:
        """Take more bytes in; whether the answer is complete. Raises `NotTls`."""
        self._count += len(data)
        if self._count > MOST_BYTES:
            raise NotTls(f"an answer of more than {MOST_BYTES} bytes")
        self._records += data
        while not self.is_done and self._one_record():
            while not self.is_done and self._one_message():
                pass
        return self.is_done

    @property
    def is_done(self) -> bool:
        """Whether nothing more has to be read."""
        return self._is_done or self._alert is not None

    def outcome(self) -> Chosen | Alert | None:
        """What the server said; None when the answer was cut off before it said anything."""
        if self._hello is None:
            return self._alert
        return Chosen(*self._hello, self._certificates, self._staple, self._asks)

    def _one_record(self) -> bool:
        if self._records and self._records[0] not in (_ALERT, _HANDSHAKE):
            raise NotTls("the peer does not answer with TLS records")
        if len(self._records) < 5:
            return False
        kind, major, _, size = struct.unpack_from(">BBBH", self._records)
        if major != 3:
            raise NotTls("the peer does not answer with TLS records")
        if len(self._records) < 5 + size:
            return False
        content = bytes(self._records[5 : 5 + size])
        del self._records[: 5 + size]
        if kind == _HANDSHAKE:
            self._messages += content
        elif len(content) >= 2 and (content[0] == 2 or content[1] == 0):  # fatal, or close_notify
            self._alert = Alert(content[1])
        return True

    def _one_message(self) -> bool:
        if len(self._messages) < 4:
            return False
        kind, size = self._messages[0], int.from_bytes(self._messages[1:4], "big")
        if size > MOST_BYTES:
            raise NotTls("a handshake message of impossible length")
        if len(self._messages) < 4 + size:
            return False
        content = bytes(self._messages[4 : 4 + size])
        del self._messages[: 4 + size]
        try:
            self._read(kind, content)
        except (IndexError, struct.error, ValueError) as exc:
            raise NotTls("a handshake message that cannot be read") from exc
        return True

    def _read(self, kind: int, content: bytes) -> None:
        if self._hello is None and kind != _SERVER_HELLO:
            raise NotTls("the first message is no ServerHello")
        if kind == _SERVER_HELLO:
            self._hello = _server_hello(content)
            self._is_done = not self.wants_all or self._hello[0] == "TLS 1.3"
        elif kind == _CERTIFICATE:
            self._certificates = _certificates(content)
        elif kind == _CERTIFICATE_STATUS:
            self._staple = content[4:] if content[:1] == b"\x01" else None
        elif kind == _CERTIFICATE_REQUEST:
            self._asks = True
        elif kind == _HELLO_DONE:
            self._is_done = True


def _server_hello(content: bytes) -> tuple[str, int]:
    """Version and suite of a ServerHello; a HelloRetryRequest has the same form (RFC 8446 4.1.3)."""
    (number,) = struct.unpack_from(">H", content)
    place = 35 + content[34]
    (suite,) = struct.unpack_from(">H", content, place)
    place += 3
    end = place + 2 + struct.unpack_from(">H", content, place)[0] if len(content) > place else place
    place += 2
    while place + 4 <= end:
        kind, size = struct.unpack_from(">HH", content, place)
        if kind == _SUPPORTED_VERSIONS:
            (number,) = struct.unpack_from(">H", content, place + 4)
        place += 4 + size
    return NAMES.get(number, f"0x{number:04X}"), suite


def _certificates(content: bytes) -> tuple[bytes, ...]:
    """The DER forms in a Certificate message up to TLS 1.2 (RFC 5246 7.4.2)."""
    found, place, end = [], 3, 3 + int.from_bytes(content[:3], "big")
    while place + 3 <= min(end, len(content)):
        size = int.from_bytes(content[place : place + 3], "big")
        found.append(content[place + 3 : place + 3 + size])
        place += 3 + size
    return tuple(found)
