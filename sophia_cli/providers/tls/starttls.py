"""The plain words before TLS: SMTP's STARTTLS (RFC 3207), as far as the 220 that lets the handshake begin. Sends no mail."""

from __future__ import annotations

from sophia_cli.core.errors import Unreachable
from sophia_cli.providers.tls.wire import Wire

MOST_BYTES = 1 << 16  # of one reply; EHLO lists a few dozen lines


class NoStarttls(Unreachable):
    """The peer speaks the plain protocol and offers no TLS in it, or does not speak the protocol."""


async def smtp(wire: Wire) -> None:
    """Bring an SMTP connection to where TLS starts. Raises `NoStarttls`, and what the wire raises."""
    await _reply(wire, b"220", "greet")
    own = wire.own_address
    literal = f"[IPv6:{own}]" if ":" in own else f"[{own}]"  # RFC 5321 4.1.4, for a host that may have no name
    await wire.send(f"EHLO {literal}\r\n".encode("ascii"))
    offered = await _reply(wire, b"250", "accept EHLO")
    if b"STARTTLS" not in {line[4:].strip().upper() for line in offered[1:]}:
        raise NoStarttls("the server does not offer STARTTLS")
    await wire.send(b"STARTTLS\r\n")
    await _reply(wire, b"220", "accept STARTTLS")


async def _reply(wire: Wire, code: bytes, what: str) -> list[bytes]:
    """The lines of one reply (RFC 5321 4.2.1)."""
    data = b""
    while True:
        more = await wire.receive()
        if not more:
            raise NoStarttls(f"the server closed the connection and did not {what}")
        data += more
        if len(data) > MOST_BYTES:
            raise NoStarttls(f"the server's reply is longer than {MOST_BYTES} bytes")
        *lines, rest = data.split(b"\r\n")
        for line in lines:
            if not line[:3].isdigit() or line[3:4] not in (b" ", b"-", b""):
                raise NoStarttls("the server does not speak SMTP")
        if not lines and len(data) > 512:  # RFC 5321 4.5.3.1.5
            raise NoStarttls("the server does not speak SMTP")
        last = next((place for place, line in enumerate(lines) if line[3:4] != b"-"), None)
        if last is None:
            continue
        if not lines[last].startswith(code):
            raise NoStarttls(f"the server did not {what} (reply {lines[last][:3].decode('ascii')})")
        if rest or lines[last + 1 :]:
            # Whoever stands on the way can put words here that a client would take for those of the encrypted part
            # (RFC 3207 6; CVE-2011-0411).
            raise NoStarttls("the server sends more than was asked for, before TLS begins")
        return lines
