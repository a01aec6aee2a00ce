"""Builders for the client's tests: credentials, clients, answers as bytes, and a sleep that only counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from pydantic import SecretStr

from sophia_cli.providers.namecheap.client import NamecheapClient
from sophia_cli.providers.namecheap.credentials import PRODUCTION, Credentials
from sophia_cli.providers.namecheap.values import HostRow
from sophia_cli.sandbox import Sandbox

T = TypeVar("T")
KEY, USER, NAME = "k3y-4711-secret", "api-user-secret", "user-name-secret"
NS = "http://api.namecheap.com/xml.response"


class Naps(list[float]):
    """The pauses a client asked for; none is taken."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


class Spent:
    """A budget that counts."""

    calls = 0

    async def spend(self) -> None:
        self.calls += 1


def credentials() -> Credentials:
    return Credentials(SecretStr(USER), SecretStr(KEY), SecretStr(NAME), "203.0.113.7")


def of_box(box: Sandbox) -> Credentials:
    return Credentials(SecretStr(box.api_user), SecretStr(box.api_key), SecretStr(box.username), "127.0.0.1")


def with_box(box: Sandbox, work: Callable[[NamecheapClient], Coroutine[Any, Any, T]], **options: Any) -> T:
    """Run some work with a client of the sandbox."""
    options.setdefault("sleep", Naps())
    options.setdefault("jitter", lambda: 0.0)

    async def go() -> T:
        async with NamecheapClient(of_box(box), box.endpoint, **options) as client:
            return await work(client)

    return asyncio.run(go())


def with_mock(work: Callable[[NamecheapClient], Coroutine[Any, Any, T]], **options: Any) -> T:
    """Run some work with a client of the production endpoint, which respx stands in for."""
    options.setdefault("sleep", Naps())
    options.setdefault("jitter", lambda: 0.0)
    options.setdefault("budget", Spent())

    async def go() -> T:
        async with NamecheapClient(credentials(), PRODUCTION, **options) as client:
            return await work(client)

    return asyncio.run(go())


def ok(command: str, result: str, *, namespace: str = NS) -> bytes:
    """A whole answer to a command."""
    return (
        f'<?xml version="1.0" encoding="utf-8"?><ApiResponse Status="OK" xmlns="{namespace}"><Errors /><Warnings />'
        f'<RequestedCommand>{command.lower()}</RequestedCommand><CommandResponse Type="namecheap.{command}">{result}'
        "</CommandResponse><Server>S</Server><GMTTimeDifference>--4:00</GMTTimeDifference></ApiResponse>"
    ).encode()


def failed(*errors: tuple[int, str]) -> bytes:
    """An error answer."""
    rows = "".join(f'<Error Number="{number}">{text}</Error>' for number, text in errors)
    return (
        f'<?xml version="1.0" encoding="utf-8"?><ApiResponse Status="ERROR" xmlns="{NS}"><Errors>{rows}</Errors>'
        "<Warnings /><RequestedCommand /></ApiResponse>"
    ).encode()


HOST = '<host HostId="1" Name="@" Type="A" Address="192.0.2.1" MXPref="10" TTL="1800" IsActive="true" />'


def hosts_answer(rows: str = HOST, *, attributes: str = 'EmailType="FWD" IsUsingOurDNS="true"') -> bytes:
    """A getHosts answer for example.com."""
    result = f'<DomainDNSGetHostsResult Domain="example.com" {attributes}>{rows}</DomainDNSGetHostsResult>'
    return ok("domains.dns.getHosts", result)


def row(name: str, kind: str, address: str, ttl: int = 1800, mx_pref: int = 10) -> HostRow:
    return HostRow("", name, kind, address, mx_pref, ttl)


A = row("@", "A", "192.0.2.1")
