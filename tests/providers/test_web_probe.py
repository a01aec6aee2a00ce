"""The web probe against real servers on loopback: what it sees, what it stands, where it refuses to go."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from sophia_cli.core.web_facts import Cookie, Fetch, Hop, Visit
from sophia_cli.providers.web_answer import MOST_BODY_BYTES, MOST_HEADER_BYTES
from sophia_cli.providers.web_probe import is_public
from tests.providers.web_servers import PUBLIC, PUBLIC6, Serve, answer, certificate, listening, probe, redirect, says

T = TypeVar("T")
NAME = "acme.example"
URL = f"http://{NAME}/"


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


async def seen(serve: Serve, fetch: Fetch = Fetch(URL), timeout_s: float = 10.0) -> Visit:  # noqa: B008
    async with listening(serve) as port:
        return await probe({NAME: [PUBLIC]}, {80: port}, timeout_s=timeout_s).visit(fetch)


def test_a_visit_tells_status_headers_times_and_the_kept_body() -> None:
    page = b"<!doctype html>" + b"x" * 5000
    visit = run(seen(says(answer(200, page, ETag='"1"', Content_Type="text/html")), Fetch(URL, keep=100)))
    assert (visit.failure, visit.status, visit.protocol) == (None, 200, "http/1.1")
    assert visit.header("ETag") == '"1"'
    assert (visit.body, visit.cut) == (page[:100], True)
    for seconds in (visit.times.dns_s, visit.times.connect_s, visit.times.first_byte_s, visit.times.total_s):
        assert seconds is not None
        assert seconds >= 0
    assert visit.times.tls_s is None


def test_a_request_names_the_host_and_carries_no_cookie_and_no_credentials() -> None:
    asked: list[bytes] = []

    def keep(request: bytes) -> bytes:
        asked.append(request)
        return answer()

    run(seen(says(keep), Fetch(f"http://user:pass@{NAME}/a b?x=1#part")))
    lines = asked[0].decode().split("\r\n")
    assert lines[0] == "GET /a%20b?x=1 HTTP/1.1"
    assert f"Host: {NAME}" in lines
    assert not [line for line in lines if line.lower().startswith(("cookie", "authorization"))]


def test_cookies_are_kept_without_their_values_and_unknown_headers_not_at_all() -> None:
    text = answer(200, b"", Set_Cookie="sid=hunter2; Secure; HttpOnly; SameSite=Lax", X_Token="hunter2")
    visit = run(seen(says(text)))
    assert visit.cookies == (Cookie("sid", True, True, "lax"),)
    assert "hunter2" not in repr(visit)


def test_redirects_are_followed_over_schemes_and_hosts(tmp_path: Path) -> None:
    server, trusting = certificate(tmp_path, NAME, f"www.{NAME}")

    def secure(request: bytes) -> bytes:
        if f"Host: www.{NAME}".encode() in request:
            return answer(200, b"here", Server="end")
        return redirect(f"https://www.{NAME}/")

    async def scene() -> Visit:
        async with listening(says(redirect(f"https://{NAME}/"))) as plain, listening(says(secure), tls=server) as tls:
            hosts = {NAME: [PUBLIC], f"www.{NAME}": [PUBLIC]}
            return await probe(hosts, {80: plain, 443: tls}, context=trusting).visit(Fetch(URL, keep=10))

    visit = run(scene())
    assert visit.failure is None
    assert visit.hops == (
        Hop(URL, 301, f"https://{NAME}/"),
        Hop(f"https://{NAME}/", 301, f"https://www.{NAME}/"),
        Hop(f"https://www.{NAME}/", 200, None),
    )
    assert (visit.redirects, visit.body, visit.header("server")) == (2, b"here", "end")


def test_a_redirect_that_is_not_to_be_followed_is_told() -> None:
    visit = run(seen(says(redirect("/there")), Fetch(URL, follow=False)))
    assert visit.hops == (Hop(URL, 301, f"{URL}there"),)
    assert visit.is_answered


def test_a_circle_of_redirects_ends() -> None:
    visit = run(seen(says(redirect(URL))))
    assert visit.failure == f"redirects lead in a circle (without cookies) to {URL}"


def test_redirects_without_end_end() -> None:
    count = 0

    def further(_: bytes) -> bytes:
        nonlocal count
        count += 1
        return redirect(f"/{count}", 302)

    visit = run(seen(says(further)))
    assert visit.failure == "more than 10 redirects"
    assert count == 11


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest", "http://[::ffff:10.0.0.1]/", "http://inner.example/"]
)
def test_a_redirect_from_a_public_address_into_a_private_network_is_not_followed(target: str) -> None:
    asked: list[bytes] = []

    def keep(request: bytes) -> bytes:
        asked.append(request)
        return redirect(target)

    async def scene() -> Visit:
        async with listening(says(keep)) as port:
            hosts = {NAME: [PUBLIC], "inner.example": ["192.168.1.1"]}
            return await probe(hosts, {80: port}).visit(Fetch(URL, trusted=True))

    visit = run(scene())
    assert "from a public address" in (visit.failure or "")
    assert "not followed" in (visit.failure or "")
    assert len(asked) == 1
    assert visit.status == 301


def test_a_private_address_is_asked_only_where_the_environment_names_it() -> None:
    async def scene(trusted: bool) -> Visit:
        async with listening(says(answer())) as port:
            return await probe({NAME: ["10.0.0.7"]}, {80: port}).visit(Fetch(URL, trusted=trusted))

    assert run(scene(True)).status == 200
    refused = run(scene(False))
    assert refused.failure == f"{NAME} is at 10.0.0.7, a special-purpose address, which is not asked"
    assert refused.reach == ()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        (PUBLIC, True), (PUBLIC6, True), ("127.0.0.1", False), ("10.1.2.3", False), ("100.64.0.1", False), ("::1", False),
        ("169.254.169.254", False), ("::ffff:127.0.0.1", False), ("2002:7f00:1::", False), ("fe80::1%eth0", False),
        ("224.0.0.1", False), ("not an address", False),
    ],
)  # fmt: skip
def test_what_counts_as_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_a_body_without_end_is_cut() -> None:
    async def endless(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
            await writer.drain()

    visit = run(seen(endless, Fetch(URL, keep=1000)))
    assert (visit.failure, visit.status, len(visit.body), visit.cut) == (None, 200, 1000, True)


def test_headers_without_end_are_refused() -> None:
    async def endless(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-More: " + b"x" * 4096 + b"\r\n")
            await writer.drain()

    visit = run(seen(endless))
    assert "does not answer in HTTP" in (visit.failure or "")
    assert MOST_HEADER_BYTES >= MOST_BODY_BYTES


def test_a_server_that_says_nothing_is_left() -> None:
    async def silent(_: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    visit = run(seen(silent, timeout_s=0.2))
    assert visit.failure == "no whole answer within 0.2 s"
    assert visit.times.connect_s is not None


def test_a_server_that_dribbles_is_left() -> None:
    async def slow(_: bytes, writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n\r\n" * 1000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)

    assert run(seen(slow, timeout_s=0.3)).failure == "no whole answer within 0.3 s"


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00", b"SSH-2.0-OpenSSH_9\r\n\r\n", b"\x00" * 100_000, b"HTTP/1.1 abc\r\n\r\n", b""]
)
def test_what_is_no_http_is_said_to_be_none(garbage: bytes) -> None:
    visit = run(seen(says(garbage)))
    assert visit.failure is not None
    assert "does not answer in HTTP" in visit.failure or "broke the connection off" in visit.failure
    assert visit.status is None


def test_a_body_that_breaks_off_leaves_the_head() -> None:
    visit = run(seen(says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nETag: x\r\n\r\nhalf"), Fetch(URL, keep=100)))
    assert (visit.status, visit.header("etag"), visit.body, visit.cut) == (200, "x", b"half", True)


def test_a_compressed_body_is_read_and_a_bomb_unpacks_no_further_than_asked() -> None:
    good = run(seen(says(answer(200, gzip.compress(b"hello"), Content_Encoding="gzip")), Fetch(URL, keep=100)))
    assert (good.body, good.cut) == (b"hello", False)
    bomb = gzip.compress(b"\0" * 20_000_000)
    big = run(seen(says(answer(200, bomb, Content_Encoding="gzip")), Fetch(URL, keep=100)))
    assert (len(big.body), big.cut) == (100, True)
    broken = run(seen(says(answer(200, b"no gzip", Content_Encoding="gzip")), Fetch(URL, keep=100)))
    assert (broken.status, broken.body, broken.cut) == (200, b"", True)


def test_http2_is_seen_by_alpn_and_the_answer_still_read(tmp_path: Path) -> None:
    server, trusting = certificate(tmp_path, NAME)

    async def scene(*protocols: str) -> Visit:
        server.set_alpn_protocols(list(protocols))
        async with listening(says(answer(204)), tls=server) as port:
            return await probe({NAME: [PUBLIC]}, {443: port}, context=trusting).visit(Fetch(f"https://{NAME}/"))

    both, old = run(scene("h2", "http/1.1")), run(scene("http/1.1"))
    assert (both.protocol, both.status) == ("h2", 204)
    assert (old.protocol, old.status) == ("http/1.1", 204)
    assert both.times.tls_s is not None


def test_a_certificate_that_cannot_be_trusted_gets_no_request(tmp_path: Path) -> None:
    server, _ = certificate(tmp_path, NAME)
    other, trusting = certificate(tmp_path, "other.example")
    asked: list[bytes] = []

    def keep(request: bytes) -> bytes:
        asked.append(request)
        return answer()

    async def scene(tls: Any) -> Visit:
        async with listening(says(keep), tls=tls) as port:
            return await probe({NAME: [PUBLIC]}, {443: port}, context=trusting).visit(Fetch(f"https://{NAME}/"))

    for visit in (run(scene(server)), run(scene(other))):
        assert (visit.failure or "").startswith(f"{NAME}: its certificate cannot be trusted: ")
        assert not visit.refused
    assert asked == []


def test_a_closed_port_is_told_apart_from_a_broken_server() -> None:
    async def scene() -> Visit:
        return await probe({NAME: [PUBLIC]}, {}).visit(Fetch(URL))

    visit = run(scene())
    assert visit.refused
    assert visit.failure == f"{NAME}:80 cannot be connected to: refused"
    assert [(one.family, one.failure) for one in visit.reach] == [(4, "refused")]


def test_a_name_that_does_not_resolve_is_said() -> None:
    async def scene() -> Visit:
        return await probe({}, {}).visit(Fetch(URL))

    assert f"{NAME} does not resolve" in (run(scene()).failure or "")


@pytest.mark.parametrize("url", ["ftp://acme.example/", "http://[bad/", "http:///x", "http://acme.example:99999/"])
def test_what_is_no_web_address_is_said(url: str) -> None:
    async def scene() -> Visit:
        return await probe({}, {}).visit(Fetch(url))

    assert "is no" in (run(scene()).failure or "")


def test_both_address_families_are_tried_and_told_apart() -> None:
    async def scene() -> Visit:
        async with listening(says(answer())) as port:
            ports: dict[tuple[str, int] | int, int] = {(PUBLIC, 80): port}
            return await probe({NAME: [PUBLIC6, PUBLIC]}, ports).visit(Fetch(URL))

    visit = run(scene())
    assert visit.status == 200
    by_family = {one.family: one for one in visit.reach}
    assert by_family[4].connect_s is not None
    assert by_family[6].failure is not None


def test_each_address_is_asked_once_with_what_all_askers_want() -> None:
    count = 0

    def counted(_: bytes) -> bytes:
        nonlocal count
        count += 1
        return answer(200, b"0123456789")

    async def scene() -> Any:
        async with listening(says(counted)) as port:
            asked = (Fetch(URL, keep=4), Fetch(URL, keep=8), Fetch(f"{URL}other"))
            return await probe({NAME: [PUBLIC]}, {80: port}).visit_all(asked)

    found = run(scene())
    assert count == 2
    assert list(found) == [URL, f"{URL}other"]
    assert found[URL].body == b"01234567"
