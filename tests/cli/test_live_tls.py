"""Whom live TLS shakes hands with, and whom it leaves alone: on loopback, with servers that count."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sophia_cli.cli.clock import SystemClock
from sophia_cli.cli.live_tls import LiveTls
from sophia_cli.core.endpoints import Endpoint, Target, failed, passed
from sophia_cli.providers.served import Handshakes
from sophia_cli.providers.tls.addresses import Looked
from sophia_cli.providers.tls.inspector import Limits, inspect
from sophia_cli.providers.tls.trust import Roots
from tests.providers.tls.authority import Authority
from tests.providers.tls.responder import places, revocation_list, web
from tests.providers.tls.zoo import Server, closes, not_tls, server_context, serving, tls

HOST = "www.acme.example"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def looked(
    server: Server, *trusted: str, boxed: bool = False, host: str = HOST, more: tuple[str, ...] = ()
) -> Endpoint:
    async def resolve(name: str) -> Looked:
        return Looked(("127.0.0.1", *more), passed()) if name == HOST else Looked((), failed("the name has no address"))

    async def run() -> Endpoint:
        look = LiveTls(SystemClock(), resolve, boxed).look
        (endpoint,) = await look([Target(host, server.port)], frozenset(trusted))
        return endpoint

    return asyncio.run(run())


@pytest.mark.parametrize("boxed", [False, True], ids=["the internet", "sandbox"])
def test_a_special_purpose_address_is_asked_only_for_a_host_that_the_environment_watches(
    authority: Authority, tmp_path: Path, boxed: bool
) -> None:
    with serving(tls(server_context(authority.issue(HOST).write(tmp_path)))) as server:
        (alone,) = looked(server, boxed=boxed).served
        assert (alone.address, alone.spoken.is_known, server.connections) == ("127.0.0.1", False, 0)
        assert "special-purpose address" in alone.spoken.why
        (asked,) = looked(server, HOST, boxed=boxed).served
        assert asked.name
        assert server.connections > 0


@pytest.mark.parametrize("address", ["10.0.0.1", "203.0.113.9", "8.8.8.8", "fe80::1"])
def test_a_sandbox_never_reaches_beyond_loopback(authority: Authority, tmp_path: Path, address: str) -> None:
    """The sockets of these tests refuse to connect elsewhere, so an attempt would be an error."""
    with serving(tls(server_context(authority.issue(HOST).write(tmp_path)))) as server:
        found = looked(server, HOST, boxed=True, more=(address,))
        assert [one.address for one in found.served if one.leaf] == ["127.0.0.1"]
        (left,) = [one for one in found.served if one.address == address]
        assert not left.spoken.is_known
        assert looked(server, address, boxed=True, host=address).served[0].spoken.why == left.spoken.why


def test_a_sandbox_asks_no_authority_and_everybody_else_does(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.root_file(tmp_path)))
    with web() as site:
        issued = authority.issue(HOST, extensions=places(site.url("list")))
        site.serve("list", revocation_list(authority, issued))
        with serving(tls(server_context(issued.write(tmp_path)))) as server:
            (boxed,) = looked(server, HOST, boxed=True).served
            assert (boxed.revocation.state, site.asked) == ("not tested", [])
            assert "is a sandbox, so no authority is asked" in boxed.revocation.why
            (free,) = looked(server, HOST).served
            assert free.revocation.state == "fail"


def test_a_host_without_an_address_says_so(authority: Authority, tmp_path: Path) -> None:
    with serving(closes) as server:
        found = looked(server, host="nowhere.acme.example")
    assert (found.served, found.found) == ((), failed("the name has no address"))


def test_an_inspection_whose_time_is_over_begins_with_no_other_address() -> None:
    with serving(closes) as server:
        targets = [Target(HOST, server.port, None, ("127.0.0.1",)), Target(HOST, server.port)]
        limits = Limits(total_s=0)
        found = asyncio.run(inspect(targets, now=datetime.now(UTC), roots=Roots(()), limits=limits))
        assert server.connections == 0
    assert found[0].served[0].spoken.why == "not looked at within 0 s"
    assert found[1].found.why == "not looked at within 0 s"


def test_the_serial_that_is_served_is_told_and_what_serves_none_says_why(authority: Authority, tmp_path: Path) -> None:
    leaf = authority.issue(HOST)
    with serving(tls(server_context(leaf.write(tmp_path)))) as server, serving(not_tls) as plain:
        asked = [(HOST, server.port, "127.0.0.1"), (HOST, plain.port, "127.0.0.1"), ("127.0.0.1", server.port, "")]
        good, bad, literal = asyncio.run(Handshakes().served(asked))
    text = f"{leaf.certificate.serial_number:x}"
    assert good.serial == literal.serial == text.rjust(len(text) + len(text) % 2, "0")
    assert (good.endpoint, literal.endpoint) == (f"{HOST}:{server.port} at 127.0.0.1", f"127.0.0.1:{server.port}")
    assert (bad.serial, bad.detail) == (None, "the peer does not answer with TLS records")
