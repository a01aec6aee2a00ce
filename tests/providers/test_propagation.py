"""Challenge records seen as an authority sees them: each server, each address, both transports, on real sockets."""

from __future__ import annotations

import asyncio
import errno
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from sophia_cli.cli.clock import SystemClock
from sophia_cli.core.errors import BadResponse
from sophia_cli.core.issuance import Sighting
from sophia_cli.providers.dns_survey.health import ChainWitness
from sophia_cli.providers.propagation import Propagation
from sophia_cli.sandbox import Sandbox, running, seed

ZONE, NAME = "acme.example", "_acme-challenge.acme.example"
ONE, TWO = "A" * 43, "B" * 43
NO_CHAIN = ChainWitness(SystemClock(), ())
ALIASES = (
    ("_acme-challenge.www", "CNAME", "www.validation.example.", 60),
    ("_acme-challenge.loop", "CNAME", "_acme-challenge.ring.acme.example.", 60),
    ("_acme-challenge.ring", "CNAME", "_acme-challenge.loop.acme.example.", 60),
    ("at", "CNAME", "x.validation.example.", 60),
    ("*.wild", "CNAME", "caught.validation.example.", 60),
)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[Sandbox, Sandbox]]:
    """A primary and a secondary that got only one of two values yet."""
    with ExitStack() as stack:
        boxes = []
        for number, values in enumerate(((ONE, TWO), (ONE,))):
            data = tmp_path / f"{number}.json"
            rows = [("_acme-challenge", "TXT", value, 60) for value in values]
            seed(data, ZONE, email_type="NONE", rows=[*rows, *ALIASES])
            seed(data, "validation.example", email_type="NONE", rows=[("x", "A", "203.0.113.1", 60)])
            boxes.append(stack.enter_context(running(data)))
        yield boxes[0], boxes[1]


def look(*servers: str) -> tuple[Sighting, ...]:
    witness = Propagation({ZONE: servers}, SystemClock(), NO_CHAIN)
    return asyncio.run(witness.look(ZONE, {NAME: frozenset({ONE, TWO})}))


def test_a_server_that_lags_is_named_and_the_other_shows_over_both_transports(servers: tuple[Sandbox, Sandbox]) -> None:
    first, second = servers
    found = look(first.dns, second.dns)
    assert [(one.transport, one.sight) for one in found] == [
        ("udp", "shows"),
        ("tcp", "shows"),
        ("udp", "lags"),
        ("tcp", "lags"),
    ]
    assert second.dns in str(found[2])
    assert "1 of 2" in str(found[2])


@contextmanager
def over_udp_alone(authoritative: str) -> Iterator[str]:
    """A server that passes questions on over UDP, and where nothing listens for TCP."""
    host, port = authoritative.split(":")

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.settimeout(5)
                other.sendto(self.request[0], (host, int(port)))
                self.request[1].sendto(other.recv(4096), self.client_address)

    with socketserver.ThreadingUDPServer(("127.0.0.1", 0), Relay) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_each_transport_is_asked_by_itself(servers: tuple[Sandbox, Sandbox]) -> None:
    with over_udp_alone(servers[0].dns) as dns:
        assert [(one.transport, one.sight) for one in look(dns)] == [("udp", "shows"), ("tcp", "silent")]


def test_silence_and_refusals_are_not_taken_for_an_answer(servers: tuple[Sandbox, Sandbox]) -> None:
    first, second = servers
    first.fault("dns_servfail", count=None)
    second.fault("dns_refused", count=None)
    assert {(one.sight, one.detail.split()[1]) for one in look(first.dns, second.dns)} == {
        ("silent", "SERVFAIL"),
        ("silent", "REFUSED"),
    }


def test_where_nothing_listens_is_silent_and_what_has_no_route_is_not_tested(
    servers: tuple[Sandbox, Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.socket.connect

    def without_ipv6(self: socket.socket, address: Any) -> Any:
        if self.family == socket.AF_INET6:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        return real(self, address)

    monkeypatch.setattr(socket.socket, "connect", without_ipv6)
    found = look("127.0.0.1:9", "[2001:db8::53]:53")
    assert [one.sight for one in found] == ["silent", "silent", "untested", "untested"]


def test_names_are_followed_into_other_zones(servers: tuple[Sandbox, Sandbox]) -> None:
    dns = servers[0].dns
    witness = Propagation({ZONE: [dns], "validation.example": [dns]}, SystemClock(), NO_CHAIN)
    zones = [ZONE, "validation.example"]

    def end(name: str) -> str:
        return asyncio.run(witness.written_at(name, zones))

    assert end(f"_acme-challenge.www.{ZONE}") == "www.validation.example"
    assert end(f"_acme-challenge.wild.{ZONE}") == "caught.validation.example"
    assert end(NAME) == NAME
    assert asyncio.run(witness.addresses("x.validation.example", zones)) == ("203.0.113.1",)
    assert asyncio.run(witness.addresses(f"at.{ZONE}", zones)) == ("203.0.113.1",)
    assert asyncio.run(witness.addresses(f"_acme-challenge.loop.{ZONE}", zones)) == ()
    with pytest.raises(BadResponse, match="circle"):
        end(f"_acme-challenge.loop.{ZONE}")
