"""Look-ups of any name through one resolver. Holds nothing beyond one run; follows what the resolver follows."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sophia_cli.core.dns_facts import Answer, Question
from sophia_cli.core.errors import UsageError
from sophia_cli.providers.dns_survey.answers import answer_of
from sophia_cli.providers.dns_survey.exchange import Exchange, Party

if TYPE_CHECKING:
    from sophia_cli.core.ports import Clock

RESOLV_CONF = Path("/etc/resolv.conf")
NONE = "no resolver is known"


class Resolver:
    """Asks the first of some resolvers that answers. Without one every look-up fails, and says so."""

    def __init__(self, parties: Iterable[Party], exchange: Exchange, clock: Clock, *, why_none: str = NONE) -> None:
        self._parties = tuple(parties)
        self._exchange = exchange
        self._clock = clock
        self._why_none = why_none

    @property
    def why_none(self) -> str | None:
        """Why there is no resolver; None when there is one."""
        return None if self._parties else self._why_none

    async def look_up(self, questions: Iterable[Question]) -> dict[Question, Answer]:
        """The answers to questions, asked all at once."""
        asked = tuple(dict.fromkeys(questions))
        return dict(zip(asked, await asyncio.gather(*map(self.one, asked)), strict=True))

    async def one(self, question: Question) -> Answer:
        """The answer to one question."""
        found = Answer(question, "failed", why=self._why_none)
        for party in self._parties:
            reply = await self._exchange.ask(party, question, recurse=True)
            found = answer_of(reply, question, f"resolver {shown(party)}", self._clock.now())
            if found.status != "failed":
                break
        return found

    async def addresses(self, host: str) -> tuple[str, ...]:
        """The IPv4 and then the IPv6 addresses of a host; an address stands for itself."""
        literal = address_in(host)
        if literal is not None:
            return (literal,)
        questions = [Question(host, "A"), Question(host, "AAAA")]
        answers = await self.look_up(questions)
        return tuple(value for question in questions for value in answers[question].values)


def system_resolvers(file: Path = RESOLV_CONF) -> tuple[Party, ...]:
    """The resolvers that this machine is set up to ask; none where that cannot be told."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return _registered()
    words = (line.split() for line in lines)
    named = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
    return tuple(Party(address) for text in named if (address := address_in(text.partition("%")[0])) is not None)


def _registered() -> tuple[Party, ...]:
    """The resolvers of a machine without resolv.conf, as dnspython finds them (Windows)."""
    import dns.exception
    import dns.resolver

    try:
        found = dns.resolver.Resolver().nameservers
    except (dns.exception.DNSException, OSError):
        return ()
    return tuple(Party(str(address)) for address in found if address_in(str(address)) is not None)


def resolver_at(text: str) -> Party:
    """The resolver that `--resolver HOST[:PORT]` names. Raises `UsageError`."""
    try:
        host, port = host_port(text)
        address = address_in(host) or str(socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][4][0])
    except (ValueError, OSError, UnicodeError) as exc:
        raise UsageError(
            f"--resolver {text!a}: not a host that can be asked", hint="such as 9.9.9.9 or [::1]:5353"
        ) from exc
    return Party(address, port)


def host_port(text: str) -> tuple[str, int]:
    """`HOST[:PORT]`, an IPv6 address with a port in brackets. Raises `ValueError`."""
    host, port = text, "53"
    if text.startswith("["):
        host, closing, rest = text[1:].partition("]")
        if not closing or (rest and not rest.startswith(":")):
            raise ValueError(text)
        port = rest.removeprefix(":") or "53"
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(text)
    return host, int(port)


def address_in(text: str) -> str | None:
    """An address in its canonical form; None for any other text."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def shown(party: Party) -> str:
    """How evidence names a party that has no name."""
    where = f"[{party.address}]" if ":" in party.address else party.address
    return where if party.port == 53 else f"{where}:{party.port}"
