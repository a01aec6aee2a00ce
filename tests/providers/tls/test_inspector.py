"""The served-certificate zoo: one animal each, all inspected side by side, over real sockets on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509 import ocsp

from sophia_cli.core.endpoints import VERSIONS, Endpoint, Served, Target, failed
from sophia_cli.providers.tls.addresses import Looked, looked
from sophia_cli.providers.tls.inspector import Depth, Limits, inspect
from sophia_cli.providers.tls.trust import Roots
from tests.providers.tls.authority import Authority, rsa_key
from tests.providers.tls.zoo import (
    Handler,
    babbles,
    floods,
    hangs,
    not_tls,
    resets,
    server_context,
    serving,
    smtp,
    tls,
)

HOST = "www.zoo.test"
T = ssl.TLSVersion
LIMIT_S = 2.0


def look(
    authority: Authority,
    handlers: dict[str, Handler],
    *,
    starttls: dict[str, str] | None = None,
    depth: Depth = "all",
    limit_s: float = LIMIT_S,
) -> dict[str, Served]:
    """What each server shows to one inspection of them all."""
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(serving(handler)) for name, handler in handlers.items()}
        plain: dict[str, Any] = starttls or {}
        targets = [
            Target(HOST, server.port, plain.get(name), ("127.0.0.1",)) for name, server in servers.items()
        ]  # fmt: skip
        found = asyncio.run(
            inspect(
                targets,
                now=authority.now,
                roots=Roots([authority.root.certificate]),
                depth=depth,
                limits=Limits(connection_s=limit_s),
            )
        )
    return {name: endpoint.served[0] for name, endpoint in zip(servers, found, strict=True)}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def zoo(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Served]:
    folder = tmp_path_factory.mktemp("zoo")
    count = iter(range(100))

    def serve(issued: Any, **settings: Any) -> Handler:
        return tls(server_context(issued.write(folder, f"s{next(count)}"), **settings))

    good = authority.issue(HOST)
    many = [authority.authority(f"Padding {number}", None) for number in range(40)]
    other = Authority(now=authority.now, organization="Other")
    ended = authority.authority("Ended", authority.root, days=(-800, -3))
    animals = {
        "good": serve(good),
        "expired": serve(authority.issue(HOST, days=(-90, -5))),
        "not yet": serve(authority.issue(HOST, days=(2, 90))),
        "wrong name": serve(authority.issue("other.zoo.test", "192.0.2.7")),
        "no intermediate": serve(authority.issue(HOST, send=[])),
        "ended intermediate": serve(authority.issue(HOST, issuer=ended, send=[ended])),
        "self-signed": serve(authority.issue(HOST, self_signed=True)),
        "foreign root": serve(other.issue(HOST)),
        "foreign root sent": serve(other.issue(HOST, send=[other.intermediate, other.root])),
        "weak key": serve(authority.issue(HOST, key=rsa_key(1024))),
        "ed25519": serve(authority.issue(HOST, key=ed25519.Ed25519PrivateKey.generate())),
        "no names": serve(authority.issue()),
        "1.2 only": serve(good, newest=T.TLSv1_2),
        "1.3 only": serve(good, oldest=T.TLSv1_3),
        "no tickets": serve(good, tickets=False),
        "huge chain": serve(authority.issue(HOST, send=[authority.intermediate, *many])),
        "client certificate 1.2": serve(good, client_roots=authority.root_file(folder), newest=T.TLSv1_2),
        "client certificate 1.3": serve(good, client_roots=authority.root_file(folder), oldest=T.TLSv1_3),
        "hangs": hangs,
        "resets": resets,
        "not TLS": not_tls,
        "babbles": babbles,
        "floods": floods,
    }
    return look(authority, animals)


def states(one: Served) -> dict[str, str]:
    return {version: result.state for version, result in one.versions.items()}


def test_a_good_endpoint_passes_in_everything_it_has(zoo: dict[str, Served]) -> None:
    one = zoo["good"]
    assert all((one.spoken, one.chain.trust, one.resumption, one.client_certificate, one.suites_seen))
    assert (one.name.state, one.name.why) == ("pass", HOST)
    assert [link.subject.split(",")[0] for link in one.chain.verified] == [
        f"CN={HOST}",
        "CN=Test Authority Intermediate",
        "CN=Test Authority Root",
    ]
    assert len(one.chain.served) == 2
    assert one.alpn == "h2"
    assert states(one) == dict(zip(VERSIONS, ("fail", "fail", "fail", "pass", "pass"), strict=True))
    assert one.weak() == ()
    assert one.handshake is not None
    assert one.handshake.version == "TLS 1.3"
    assert one.handshake.received > one.chain.size
    assert one.resumed is not None
    assert one.resumed.received < one.chain.size  # no certificate is sent again
    assert (one.staple.state, one.staple.why) == ("fail", "no OCSP response is stapled")


@pytest.mark.parametrize(
    ("name", "fault", "why"),
    [
        ("expired", "expired", "outside its time of validity"),
        ("not yet", "expired", "outside its time of validity"),
        ("no intermediate", "incomplete", "issued by CN=Test Authority Intermediate"),
        ("ended intermediate", "untrusted", "CN=Test Authority Ended,O=Test Authority in the chain ended on"),
        ("self-signed", "self-signed", "self-signed"),
        ("foreign root", "untrusted", "leads to CN=Other Root,O=Other, which was neither served nor"),
        ("foreign root sent", "untrusted", "leads to CN=Other Root,O=Other, which is not trusted here"),
        ("no names", "rules", "subjectAltName"),
    ],
)
def test_what_is_wrong_with_a_chain_is_told_by_its_kind(
    zoo: dict[str, Served], name: str, fault: str, why: str
) -> None:
    chain = zoo[name].chain
    assert zoo[name].spoken
    assert (chain.trust.state, chain.fault) == ("fail", fault)
    assert why in chain.trust.why
    assert chain.verified == ()


def test_a_wrong_name_is_no_fault_of_the_chain(zoo: dict[str, Served]) -> None:
    one = zoo["wrong name"]
    assert one.chain.trust
    assert (one.name.state, one.name.why) == ("fail", "it is for other.zoo.test, 192.0.2.7")


def test_a_weak_key_is_a_fact_of_its_own(zoo: dict[str, Served]) -> None:
    leaf = zoo["weak key"].leaf
    assert leaf is not None
    assert (leaf.key_type, leaf.key_bits) == ("RSA", 1024)
    weak = {suite.weakness for suite in zoo["weak key"].weak()}
    odd = zoo["ed25519"].leaf
    assert odd is not None
    assert (odd.key_type, odd.key_bits) == ("Ed25519", 256)
    assert weak == {"no forward secrecy"}  # the default list of this library holds RSA key transport


def test_versions_are_told_apart(zoo: dict[str, Served]) -> None:
    assert states(zoo["1.2 only"])["TLS 1.3"] == "fail"
    assert states(zoo["1.2 only"])["TLS 1.2"] == "pass"
    assert states(zoo["1.3 only"])["TLS 1.2"] == "fail"
    assert states(zoo["1.3 only"])["TLS 1.3"] == "pass"
    assert zoo["1.3 only"].chain.trust
    assert zoo["1.3 only"].staple.state == "not tested"
    assert "TLS 1.3" in zoo["1.3 only"].staple.why


def test_a_server_without_tickets_resumes_nothing(zoo: dict[str, Served]) -> None:
    assert zoo["no tickets"].resumption.state == "fail"
    assert zoo["no tickets"].resumed is None


def test_a_huge_chain_is_read_whole(zoo: dict[str, Served]) -> None:
    one = zoo["huge chain"]
    assert len(one.chain.served) == 42
    assert one.chain.trust


@pytest.mark.parametrize("name", ["client certificate 1.2", "client certificate 1.3"])
def test_a_server_that_demands_a_client_certificate_still_shows_its_own(zoo: dict[str, Served], name: str) -> None:
    one = zoo[name]
    assert one.spoken
    assert one.chain.trust
    assert one.name
    assert (one.client_certificate.state, one.client_certificate.why) == ("fail", "a client certificate is required")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("resets", "the connection was reset"),
        ("not TLS", "the peer does not answer with TLS records"),
        ("babbles", "unexpected message"),
        ("floods", "unexpected message"),
    ],
)
def test_who_speaks_no_tls_is_a_fact_and_no_error(zoo: dict[str, Served], name: str, why: str) -> None:
    one = zoo[name]
    assert (one.spoken.state, one.spoken.why) == ("fail", why)
    assert one.leaf is None
    assert not any(one.versions.values())
    assert one.name.state == one.chain.trust.state == "not tested"


def test_who_says_nothing_is_not_tested_and_not_refusing(zoo: dict[str, Served]) -> None:
    one = zoo["hangs"]
    assert (one.spoken.state, one.spoken.why) == ("not tested", f"no answer within {LIMIT_S:g} s")
    assert one.leaf is None


def test_a_server_that_wants_a_name_refuses_a_client_that_gives_none(authority: Authority, tmp_path: Path) -> None:
    context = server_context(authority.issue(HOST).write(tmp_path))

    def named(_sock: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> int | None:
        return None if name == HOST else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    context.sni_callback = named  # type: ignore[assignment]
    with serving(tls(context)) as server:
        by_name = inspect_one(authority, Target(HOST, server.port, None, ("127.0.0.1",)))
        by_address = inspect_one(authority, Target("127.0.0.1", server.port))
    assert by_name.served[0].name
    assert by_address.served[0].spoken == failed("the peer refused: unrecognized name")


def test_a_server_that_takes_its_time_over_every_suite_holds_nobody_up(authority: Authority, tmp_path: Path) -> None:
    inner = tls(server_context(authority.issue(HOST).write(tmp_path)))
    served = threading.Semaphore(5)  # enough for the handshakes and versions, too few for every suite

    def slower(connection: socket.socket) -> None:
        if not served.acquire(blocking=False):
            threading.Event().wait(0.4)
        inner(connection)

    one = look(authority, {"slow": slower}, limit_s=0.5)["slow"]
    assert one.suites
    assert (one.suites_seen.state, one.suites_seen.why) == ("not tested", "the list was not finished within 2 s")


def test_hundreds_of_hosts_at_once(authority: Authority, tmp_path: Path) -> None:
    with serving(tls(server_context(authority.issue("*.zoo.test").write(tmp_path)))) as server:
        targets = [Target(f"h{number}.zoo.test", server.port, None, ("127.0.0.1",)) for number in range(200)]
        roots = Roots([authority.root.certificate])
        found = asyncio.run(inspect(targets, now=authority.now, roots=roots, depth="certificate"))
    assert [one.target for one in found] == targets
    assert all(one.served[0].name and one.served[0].chain.trust for one in found)


# -- what the local library does not speak ---------------------------------------------------------------------------


def _old(connection: socket.socket) -> None:
    """A server that speaks SSL 3.0 and TLS 1.0 with RC4 only: no current OpenSSL can talk to it."""
    hello = connection.recv(4096)
    version = min(struct.unpack_from(">H", hello, 9)[0], 0x0301)
    place = 44 + hello[43]
    size = struct.unpack_from(">H", hello, place)[0]
    suites = struct.unpack_from(f">{size // 2}H", hello, place + 2)
    if 0x0005 in suites and b"\x00\x2b" not in hello[place + size :]:
        body = struct.pack(">H", version) + bytes(32) + b"\x00" + struct.pack(">H", 0x0005) + b"\x00"
        message = b"\x02" + len(body).to_bytes(3, "big") + body
        connection.sendall(b"\x16" + struct.pack(">HH", version, len(message)) + message)
    else:
        connection.sendall(b"\x15" + struct.pack(">HH", version, 2) + b"\x02\x28")


def test_versions_and_suites_this_machine_cannot_speak_are_seen_all_the_same(authority: Authority) -> None:
    one = look(authority, {"old": _old})["old"]
    assert one.spoken
    assert one.handshake is None
    assert states(one) == dict(zip(VERSIONS, ("pass", "pass", "fail", "fail", "fail"), strict=True))
    assert [(suite.name, suite.weakness) for suite in one.suites] == [("TLS_RSA_WITH_RC4_128_SHA", "RC4")]


def _stumbling(connection: socket.socket) -> None:
    """A server of TLS 1.0 that refuses hellos with a newer number instead of answering them with its own."""
    if connection.recv(11, socket.MSG_PEEK | socket.MSG_WAITALL)[9:11] > b"\x03\x01":
        connection.recv(4096)
        connection.sendall(b"\x15\x03\x01\x00\x02\x02\x46")  # protocol_version
    else:
        _old(connection)


def test_a_refusal_of_newer_versions_says_nothing_about_older_ones_of_such_a_server(authority: Authority) -> None:
    one = look(authority, {"stumbling": _stumbling}, depth="weak")["stumbling"]
    assert one.versions["TLS 1.0"]


def test_a_current_server_is_asked_in_five_connections(authority: Authority, tmp_path: Path) -> None:
    with serving(tls(server_context(authority.issue(HOST).write(tmp_path)))) as server:
        target = Target(HOST, server.port, None, ("127.0.0.1",))
        (found,) = asyncio.run(inspect([target], now=authority.now, roots=Roots([authority.root.certificate])))
        assert server.connections == 5
    (one,) = found.served
    assert states(one) == dict(zip(VERSIONS, ("fail", "fail", "fail", "pass", "pass"), strict=True))
    assert one.versions["SSL 3.0"].why == "alert protocol_version, to TLS 1.1 and whatever is older"


def test_tls_1_0_is_seen_whatever_the_local_defaults_are(authority: Authority, tmp_path: Path) -> None:
    file = authority.issue(HOST).write(tmp_path)
    context = server_context(file, oldest=T.TLSv1, newest=T.TLSv1_2, ciphers="ALL:@SECLEVEL=0")
    one = look(authority, {"aged": tls(context)}, depth="weak")["aged"]
    if not one.versions["TLS 1.0"] and "alert" in one.versions["TLS 1.0"].why:
        pytest.skip("the local OpenSSL cannot serve TLS 1.0")
    assert states(one)["TLS 1.0"] == states(one)["TLS 1.1"] == "pass"
    assert {suite.weakness for suite in one.suites} == {"no authentication"}
    assert one.suites_seen.why == "only weak suites were asked for"


def test_a_server_that_ignores_some_hellos_is_not_tested_there_and_not_refusing(
    authority: Authority, tmp_path: Path
) -> None:
    inner = tls(server_context(authority.issue(HOST).write(tmp_path)))

    def picky(connection: socket.socket) -> None:
        start = connection.recv(11, socket.MSG_PEEK | socket.MSG_WAITALL)
        if start[9:11] < b"\x03\x03":  # older than TLS 1.2: not a word
            hangs(connection)
        else:
            inner(connection)

    one = look(authority, {"picky": picky}, depth="weak", limit_s=1.0)["picky"]
    assert states(one) == dict(zip(VERSIONS, ("not tested", "not tested", "not tested", "pass", "pass"), strict=True))
    assert "no answer" in one.versions["TLS 1.0"].why
    assert one.suites_seen.state == "not tested"


def test_one_handshake_is_enough_where_no_more_was_asked(authority: Authority, tmp_path: Path) -> None:
    with serving(tls(server_context(authority.issue(HOST).write(tmp_path)))) as server:
        target = Target(HOST, server.port, None, ("127.0.0.1",))
        roots = Roots([authority.root.certificate])
        (found,) = asyncio.run(inspect([target, target], now=authority.now, roots=roots, depth="certificate"))
        assert server.connections == 1
    assert found.served[0].chain.trust
    assert (found.served[0].resumption.state, found.served[0].staple.state) == ("not tested", "not tested")
    assert found.served[0].versions == {}


# -- STARTTLS --------------------------------------------------------------------------------------------------------


def test_mail_servers_with_without_and_with_the_wrong_name(authority: Authority, tmp_path: Path) -> None:
    good = server_context(authority.issue(HOST).write(tmp_path, "good"))
    other = server_context(authority.issue("mx.other.test").write(tmp_path, "other"))
    found = look(
        authority,
        {
            "good": smtp(good),
            "none": smtp(None),
            "other": smtp(other),
            "busy": smtp(good, greeting=b"554-no\r\n554 service\r\n"),
            "injected": injected,
            "injected in part": injected_in_part,
            "slow lines": smtp(good, greeting=b"220-one\r\n220-two\r\n220 three\r\n"),
            "web": not_tls_at_once,
        },
        starttls=dict.fromkeys(
            ("good", "none", "other", "busy", "injected", "injected in part", "slow lines", "web"), "smtp"
        ),
        depth="weak",
    )
    assert all(found[name].starttls for name in ("good", "other", "slow lines"))
    assert found["good"].chain.trust
    assert found["good"].name
    assert found["good"].versions["TLS 1.2"]
    assert found["good"].resumption
    assert found["other"].name.state == "fail"
    none = found["none"]
    assert none.starttls is not None
    assert (none.starttls.state, none.starttls.why) == ("fail", "the server does not offer STARTTLS")
    assert none.spoken.state == "fail"
    assert "did not greet (reply 554)" in found["busy"].spoken.why
    assert found["web"].spoken.why == "the server does not speak SMTP"
    for name in ("injected", "injected in part"):
        assert found[name].spoken.why == "the server sends more than was asked for, before TLS begins"


def _injecting(words: bytes) -> Handler:
    """A mail server whose answer to STARTTLS somebody on the way has added to."""

    def handle(connection: socket.socket) -> None:
        connection.sendall(b"220 mail.test ESMTP\r\n")
        connection.recv(4096)
        connection.sendall(b"250-mail.test\r\n250 STARTTLS\r\n")
        connection.recv(4096)
        connection.sendall(b"220 go ahead\r\n" + words)
        connection.recv(4096)

    return handle


injected = _injecting(b"250 you are somebody else\r\n")
injected_in_part = _injecting(b"250 you are")


def not_tls_at_once(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


# -- addresses -------------------------------------------------------------------------------------------------------


def inspect_one(authority: Authority, target: Target, **settings: Any) -> Endpoint:
    roots = Roots([authority.root.certificate])
    (found,) = asyncio.run(inspect([target], now=authority.now, roots=roots, depth="certificate", **settings))
    return found


def test_every_address_is_asked_by_itself(authority: Authority, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(serving(tls(server_context(authority.issue(HOST).write(tmp_path, "a")))))
        second = socket.create_server(("127.0.0.2", first.port))
        stack.callback(second.close)
        second.close()  # nothing listens at the second address

        async def resolve(host: str) -> Looked:
            assert host == HOST
            return looked(["127.0.0.2", "127.0.0.1"])

        found = inspect_one(authority, Target(HOST, first.port), resolve=resolve)
    assert [(one.address, one.spoken.state) for one in found.served] == [("127.0.0.1", "pass"), ("127.0.0.2", "fail")]
    assert found.served[1].spoken.why == "connection refused"


def test_an_address_family_without_a_route_is_not_tested(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket.connect

    def connect(self: socket.socket, place: Any) -> Any:
        if self.family == socket.AF_INET6:
            raise OSError(101, "Network is unreachable")  # what Linux says without a route
        return real(self, place)

    monkeypatch.setattr(socket.socket, "connect", connect)
    found = inspect_one(authority, Target(HOST, 443, None, ("2001:db8::1",)))
    assert found.served[0].spoken.state == "not tested"
    assert "no IPv6 route from here" in found.served[0].spoken.why or "IPv6" in found.served[0].spoken.why
    assert found.served[0].family == "IPv6"


def test_a_name_without_an_address_is_a_fact(authority: Authority) -> None:
    async def resolve(host: str) -> Looked:
        return looked([])

    found = inspect_one(authority, Target("nowhere.zoo.test"), resolve=resolve)
    assert (found.served, found.found.state, found.found.why) == ((), "fail", "the name has no address")


# -- stapling --------------------------------------------------------------------------------------------------------


@pytest.fixture
def stapling(authority: Authority, tmp_path: Path) -> Iterator[Callable[[ocsp.OCSPCertStatus], Served]]:
    """A server with a stapled response of a status: OpenSSL's own, as Python's cannot staple."""
    issued = authority.issue(HOST)
    file = issued.write(tmp_path)
    started: list[subprocess.Popen[str]] = []

    def serve(status: ocsp.OCSPCertStatus) -> Served:
        revoked = status is ocsp.OCSPCertStatus.REVOKED
        response = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                issued.certificate, authority.intermediate.certificate, hashes.SHA256(), status, authority.now,
                authority.now + timedelta(days=3), authority.now if revoked else None, None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.NAME, authority.intermediate.certificate)
            .sign(authority.intermediate.key, hashes.SHA256())
        )  # fmt: skip
        path = tmp_path / "response.der"
        path.write_bytes(response.public_bytes(serialization.Encoding.DER))
        words = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", str(file), "-cert_chain", str(file)]
        words += ["-www", "-status_file", str(path)]
        try:
            process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        except FileNotFoundError:
            pytest.skip("the openssl program is not installed")
        started.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ACCEPT "):
                port = int(line.rpartition(":")[2])
                break
        else:
            pytest.skip("openssl s_server cannot staple here")
        target = Target(HOST, port, None, ("127.0.0.1",))
        roots = Roots([authority.root.certificate])
        (found,) = asyncio.run(inspect([target], now=authority.now, roots=roots, depth="weak"))
        return found.served[0]

    yield serve
    for process in started:
        process.kill()
        process.communicate()


def test_a_stapled_response_is_read(stapling: Callable[[ocsp.OCSPCertStatus], Served]) -> None:
    good = stapling(ocsp.OCSPCertStatus.GOOD)
    assert good.staple
    assert good.staple.why.startswith("good until ")
    revoked = stapling(ocsp.OCSPCertStatus.REVOKED)
    assert revoked.staple.state == "fail"
    assert revoked.staple.why.startswith("the stapled response proves nothing good: revoked on 20")


# -- broken and hostile certificates ---------------------------------------------------------------------------------


def test_facts_of_a_full_certificate(authority: Authority, tmp_path: Path) -> None:
    url = x509.UniformResourceIdentifier
    point = x509.DistributionPoint([url("http://crl.test/1")], None, None, None)
    access = [
        x509.AccessDescription(x509.oid.AuthorityInformationAccessOID.OCSP, url("http://ocsp.test")),
        x509.AccessDescription(x509.oid.AuthorityInformationAccessOID.CA_ISSUERS, url("http://ca.test/i.der")),
    ]
    issued = authority.issue(
        HOST, "*.zoo.test", "192.0.2.1", key=ec.generate_private_key(ec.SECP384R1()),
        extensions=[
            x509.CRLDistributionPoints([point]),
            x509.AuthorityInformationAccess(access),
            x509.TLSFeature([x509.TLSFeatureType.status_request]),
        ],
    )  # fmt: skip
    one = look(authority, {"full": tls(server_context(issued.write(tmp_path)))}, depth="certificate")["full"]
    leaf = one.leaf
    assert leaf is not None
    assert (leaf.names, leaf.addresses) == ((HOST, "*.zoo.test"), ("192.0.2.1",))
    assert (leaf.key_type, leaf.curve, leaf.key_bits, leaf.signature) == ("EC", "P-384", 384, "ECDSA with SHA256")
    assert (leaf.crl, leaf.ocsp, leaf.issuer_urls) == (
        ("http://crl.test/1",),
        ("http://ocsp.test",),
        ("http://ca.test/i.der",),
    )
    assert leaf.must_staple
    assert not leaf.is_ca
    assert one.chain.served[1].is_ca
    assert int(leaf.serial, 16) == issued.certificate.serial_number
    assert len(leaf.serial) % 2 == 0
    assert leaf.lifetime_s == 90 * 86_400
    assert leaf.fingerprint == issued.certificate.fingerprint(hashes.SHA256()).hex()
    assert leaf.issuer_organization == "Test Authority"


@pytest.mark.parametrize("damage", [b"", b"\x30\x03\x02\x01\x01", b"\xff" * 500, "cut", "flipped"])
def test_bytes_that_are_no_certificate_are_facts_too(authority: Authority, damage: Any) -> None:
    from sophia_cli.providers.tls.trust import judged

    der = authority.issue(HOST).der[0]
    given = der[:200] if damage == "cut" else der[:150] + b"\x00\x00" + der[152:] if damage == "flipped" else damage
    chain = judged([given, given], Roots([authority.root.certificate]), authority.now).chain
    assert chain.trust.state == "fail"
    assert len(chain.served) == 2


def test_without_roots_trust_is_not_tested(authority: Authority) -> None:
    from sophia_cli.providers.tls.trust import judged

    chain = judged(authority.issue(HOST).der, Roots([], "none here"), authority.now).chain
    assert (chain.trust.state, chain.trust.why) == ("not tested", "none here")


def test_the_order_of_the_sent_chain_does_not_matter(authority: Authority) -> None:
    from sophia_cli.providers.tls.trust import judged

    noise = authority.authority("Noise", None)
    issued = authority.issue(HOST, send=[noise, authority.intermediate])
    chain = judged(issued.der, Roots([authority.root.certificate]), authority.now).chain
    assert chain.trust
    assert len(chain.served) == 3
    assert len(chain.verified) == 3
