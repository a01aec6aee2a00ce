"""Look-ups for the inspector: this machine's resolver, and a DNS server asked by name."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sophia_cli import sandbox
from sophia_cli.core.errors import UsageError
from sophia_cli.providers.tls.addresses import Looked, by_server, by_system, looked


def test_the_system_knows_localhost_and_not_an_invalid_name() -> None:
    assert "127.0.0.1" in asyncio.run(by_system("localhost")).addresses
    missing = asyncio.run(by_system("nowhere.invalid"))
    assert missing.addresses == ()
    assert not missing.found


def test_a_server_is_asked_for_both_families_and_aliases_are_followed(tmp_path: Path) -> None:
    data = tmp_path / "account.json"
    rows = [
        ("www", "A", "203.0.113.2", 300),
        ("www", "A", "203.0.113.1", 300),
        ("www", "AAAA", "2001:db8::1", 300),
        ("shop", "CNAME", "www.acme.example.", 300),
        ("docs", "CNAME", "pages.hosted.example.", 300),
        ("text", "TXT", "hello", 300),
    ]
    sandbox.seed(data, "acme.example", email_type="NONE", rows=rows)
    asked: list[str] = []

    async def elsewhere(host: str) -> Looked:
        asked.append(host)
        return looked(["198.51.100.1"])

    with sandbox.running(data) as box:
        ask = by_server(box.dns, elsewhere)
        expected = ("203.0.113.1", "203.0.113.2", "2001:db8::1")
        assert asyncio.run(ask("www.acme.example")).addresses == expected
        assert asyncio.run(ask("shop.acme.example")).addresses == expected
        assert asyncio.run(ask("docs.acme.example")).addresses == ("198.51.100.1",)
        assert asked == ["pages.hosted.example"]
        for name in ("text.acme.example", "missing.acme.example"):
            found = asyncio.run(ask(name))
            assert (found.addresses, found.found.state, found.found.why) == ((), "fail", "the name has no address")


def test_a_server_that_cannot_tell_makes_the_name_not_tested() -> None:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = asyncio.run(by_server(f"127.0.0.1:{port}", timeout_s=0.5)("www.acme.example"))
    assert found.addresses == ()
    assert found.found.state == "not tested"
    assert found.found.why.startswith(f"127.0.0.1:{port}: ")


@pytest.mark.parametrize("text", ["", ":53", "127.0.0.1:x", "127.0.0.1:0", "127.0.0.1:99999"])
def test_a_resolver_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="resolver"):
        by_server(text)
