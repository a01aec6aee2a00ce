"""Real web servers on loopback for tests: any bytes as the answer, over TCP or TLS, with a certificate of their own."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from sophia_cli.providers.web_probe import Resolved, WebProbe

PUBLIC = "185.199.108.153"
PUBLIC6 = "2606:50c0:8000::153"

Serve = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


def answer(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """The bytes of an answer; `_` in a header's name is a hyphen."""
    rows = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    rows += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(rows).encode() + b"\r\n\r\n" + body


def redirect(to: str, status: int = 301) -> bytes:
    return answer(status, Location=to)


def says(text: bytes | Callable[[bytes], bytes]) -> Serve:
    """A server that gives this answer, or what a function makes of the request."""

    async def serve(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(text if isinstance(text, bytes) else text(request))
        await writer.drain()

    return serve


@contextlib.asynccontextmanager
async def listening(serve: Serve, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """A server on a free port; gives the port."""

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ssl.SSLError):
            await serve(await reader.readuntil(b"\r\n\r\n"), writer)
        with contextlib.suppress(OSError, ssl.SSLError):
            writer.close()

    server = await asyncio.start_server(client, host, 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def probe(
    hosts: Mapping[str, Sequence[str]],
    ports: Mapping[tuple[str, int] | int, int],
    *,
    context: Callable[[], ssl.SSLContext] | None = None,
    timeout_s: float = 10.0,
) -> WebProbe:
    """A probe for which `hosts` resolve to public addresses, all of which are loopback; other ports are closed."""

    async def resolve(host: str) -> Resolved:
        if host not in hosts:
            raise OSError(f"no such name: {host}")
        return Resolved(tuple(hosts[host]))

    def dial(address: str, port: int) -> tuple[str, int]:
        real = ports.get((address, port), ports.get(port, 1))
        return ("::1" if ":" in address else "127.0.0.1"), real

    return WebProbe(resolve, dial=dial, context=context, timeout_s=timeout_s)


def certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, Callable[[], ssl.SSLContext]]:
    """A server context with a self-made certificate for these names, and a maker of client contexts that trust it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), False)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / f"{names[0]}.pem", folder / f"{names[0]}.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem, secret)
    return server, lambda: ssl.create_default_context(cafile=str(pem))
