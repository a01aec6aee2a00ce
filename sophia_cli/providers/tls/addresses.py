"""Host names to addresses: by this machine's resolver, or by a named DNS server. Opens no TLS connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sophia_cli.core.endpoints import Result, failed, passed, untested
from sophia_cli.core.errors import UsageError

LOOKUP_TIMEOUT_S = 5.0
MOST_ADDRESSES = 16  # of one host
MOST_HOPS = 8  # aliases followed by us, where a server answers with the alias alone


@dataclass(frozen=True, slots=True)
class Looked:
    """The addresses of a host, IPv4 first, and whether it has any."""

    addresses: tuple[str, ...]
    found: Result


Resolve = Callable[[str], Awaitable[Looked]]


async def by_system(host: str) -> Looked:
    """What this machine's resolver says, `/etc/hosts` included."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT_S):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except TimeoutError:
        return Looked((), untested(f"the name was not resolved within {LOOKUP_TIMEOUT_S:g} s"))
    except socket.gaierror as exc:
        if exc.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
            return Looked((), failed("the name has no address"))
        return Looked((), untested(f"the name could not be resolved ({(exc.strerror or 'resolver error').lower()})"))
    except (OSError, UnicodeError):
        return Looked((), failed("the name cannot be resolved"))
    return looked([str(entry[4][0]) for entry in found])


def looked(addresses: list[str]) -> Looked:
    """Addresses in a stable order, bounded; without any, the name has none."""
    ordered = sorted(dict.fromkeys(addresses), key=lambda text: (":" in text, text))[:MOST_ADDRESSES]
    return Looked(tuple(ordered), passed() if ordered else failed("the name has no address"))


def by_server(text: str, aliases: Resolve | None = None, timeout_s: float = LOOKUP_TIMEOUT_S) -> Resolve:
    """A look-up at one DNS server (`HOST[:PORT]`).

    `aliases` resolves the end of an alias that the server does not answer for itself, as authoritative servers do not
    (None: the same server is asked). Raises `UsageError` when the text is no server.
    """
    host, port = _host_port(text)

    async def resolve(name: str) -> Looked:
        server = host if _is_address(host) else next(iter((await by_system(host)).addresses), None)
        if server is None:
            return Looked((), untested(f"the resolver {text} has no address"))
        for _ in range(MOST_HOPS):
            found, alias, why = await _asked(name, server, port, timeout_s)
            if found or alias is None:
                return looked(found) if not why else Looked((), untested(f"{text}: {why}"))
            name = alias
            if aliases is not None:
                return await aliases(name)
        return Looked((), failed("the name is an alias without an end"))

    return resolve


async def _asked(name: str, server: str, port: int, timeout_s: float) -> tuple[list[str], str | None, str]:
    """Addresses, else the alias they would be at, else why the server could not tell."""
    import dns.asyncresolver
    import dns.exception
    import dns.resolver

    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [server]
    resolver.port = port
    found: list[str] = []
    alias = None
    for kind in ("A", "AAAA"):
        try:
            answer = await resolver.resolve(name, kind, lifetime=timeout_s, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN:
            return [], None, ""
        except (dns.exception.DNSException, OSError) as exc:
            return [], None, " ".join(str(exc).split())[:200] or type(exc).__name__
        found += [str(rdata) for rdata in answer.rrset or ()]
        end = str(answer.canonical_name).rstrip(".").lower()
        alias = end if end != name.rstrip(".").lower() else alias
    return found, alias, ""


def _host_port(text: str) -> tuple[str, int]:
    host, port = text, "53"
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or "53"
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"the resolver {text!r} is not HOST[:PORT]", hint="such as 1.1.1.1 or 127.0.0.1:5353")
    return host, int(port)


def _is_address(text: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except OSError:
            continue
        return True
    return False
