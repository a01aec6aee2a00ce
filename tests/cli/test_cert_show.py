"""`sophia cert show`: endpoints on loopback, in every form, with and without an environment."""

from __future__ import annotations

import contextlib
import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.cli.harness import Shop, run, shop, spawn
from tests.providers.tls.authority import Authority
from tests.providers.tls.responder import places, revocation_list, web
from tests.providers.tls.zoo import Server, hangs, server_context, serving, smtp, tls

HOST = "www.zoo.test"
FORMS = ("text", "json", "markdown")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def good(authority: Authority, tmp_path: Path) -> Iterator[Server]:
    with serving(tls(server_context(authority.issue(HOST).write(tmp_path)))) as server:
        yield server


def test_a_trusted_endpoint_needs_no_environment(authority: Authority, good: Server, work: Path) -> None:
    ran = run(
        "cert", "show", f"{HOST}:{good.port}", "--connect", "127.0.0.1", "--ca-file", str(authority.root_file(work)),
        "--fail-on", "low",
    )  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    assert "; trusted: leads to CN=Test Authority Root,O=Test Authority" in " ".join(ran.out.split())
    assert "versions      TLS 1.2, TLS 1.3; refused: SSL 3.0, TLS 1.0, TLS 1.1" in ran.out
    assert ran.out.endswith("1 endpoint, 1 with TLS; no findings\n")
    assert max(map(len, ran.out.splitlines())) <= 80


def test_without_its_root_it_is_not_trusted_and_fail_on_says_so(good: Server, work: Path) -> None:
    words = ("cert", "show", f"{HOST}:{good.port}", "--connect", "127.0.0.1")
    assert run(*words).code == 0
    ran = run(*words, "--fail-on", "high", "-o", "json")
    assert ran.code == 2
    data = ran.data
    assert json.loads(ran.out)["schema"] == "sophia.certs/1"
    (finding,) = data["findings"]
    assert (finding["id"], finding["severity"]) == ("TLS-CHAIN", "high")
    assert finding["target"] == f"tls:{HOST}:{good.port}"
    (endpoint,) = data["endpoints"]
    (address,) = endpoint["addresses"]
    assert (address["address"], address["name"]) == ("127.0.0.1", {"state": "pass", "why": HOST})
    assert address["chain"]["trust"]["fault"] == "untrusted"
    assert address["versions"]["TLS 1.3"]["state"] == "pass"
    assert data["summary"]["high"] == 1


def test_quick_asks_once(good: Server, work: Path) -> None:
    ran = run("cert", "show", f"{HOST}:{good.port}", "--connect", "127.0.0.1", "--quick")
    assert ran.code == 0
    assert good.connections == 1
    assert "not asked" in ran.out


def test_nobody_there_is_exit_1_with_the_reason(work: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ran = run("cert", "show", f"{HOST}:{port}", "--connect", "127.0.0.1")
    assert ran.code == 1
    assert "connection refused" in ran.out
    with serving(hangs) as server:
        ran = run("cert", "show", f"127.0.0.1:{server.port}", "--timeout", "0.3")
    assert ran.code == 1
    assert "no answer within 0.3 s" in ran.out


def test_a_mail_server_by_starttls(authority: Authority, work: Path) -> None:
    context = server_context(authority.issue("mx.other.test").write(work))
    with serving(smtp(context)) as server:
        ran = run(
            "cert", "show", f"{HOST}:{server.port}", "--connect", "127.0.0.1", "--starttls", "smtp", "-o", "json",
            "--ca-file", str(authority.root_file(work)),
        )  # fmt: skip
    assert ran.code == 0
    endpoint = ran.data["endpoints"][0]
    assert endpoint["protocol"] == "smtp+starttls"
    assert endpoint["addresses"][0]["starttls"]["state"] == "pass"
    assert [finding["id"] for finding in ran.data["findings"]] == ["TLS-NAME"]


def test_what_the_authority_has_revoked_is_critical_and_told_in_every_form(authority: Authority, work: Path) -> None:
    with web() as site:
        issued = authority.issue(HOST, extensions=places(site.url("list")))
        site.serve("list", revocation_list(authority, issued))
        with serving(tls(server_context(issued.write(work)))) as server:
            words = (
                "cert", "show", f"{HOST}:{server.port}", "--connect", "127.0.0.1", "--ca-file",
                str(authority.root_file(work)), "--fail-on", "critical",
            )  # fmt: skip
            ran = run(*words, "-o", "json")
            assert ran.code == 2
            assert [(one["id"], one["severity"]) for one in ran.data["findings"]] == [("TLS-REVOKED", "critical")]
            (address,) = ran.data["endpoints"][0]["addresses"]
            assert address["revocation"]["state"] == "fail"
            assert address["revocation"]["why"].endswith(f"says {site.url('list')}")
            for form in ("text", "markdown"):
                assert "revoked on 20" in run(*words, "-o", form).out
            asked = len(site.asked)
            for word in ("--no-revocation", "--quick"):
                assert run(*words, word).code == 0
            assert len(site.asked) == asked


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a b",), "is no host name"),
        (("x:70000",), "the port is a number from 1 to 65535"),
        (("x:http",), "the port is a number from 1 to 65535"),
        (("http://x/",), "only https URLs have TLS"),
        (("",), "is no host name"),
        (("[::1",), "name it as [IPV6]:PORT"),
        (("https://user:hunter2@x:99999/",), "error: 'x:99999': the port"),
        (("x" * 300,), "is no host name"),
        (("x\x1b[2J",), "is no host name"),
        (("x", "--connect", "elsewhere"), "is no IP address"),
        (("x", "--resolver", "127.0.0.1:dns"), "is not HOST[:PORT]"),
        (("x", "--starttls", "imap"), "only smtp is known"),
        (("x", "--fail-on", "bad"), "one of info, low"),
        (("x", "--ca-file", "missing.pem"), "cannot be read"),
        (("x", "--ca-file", "empty.pem"), "holds no PEM certificate"),
        (("x", "-o", "sarif"), "this command has"),
    ],
    ids=str,
)
def test_bad_input_is_told_and_nothing_is_asked(words: tuple[str, ...], said: str, work: Path) -> None:
    (work / "empty.pem").write_text("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n")
    ran = run("cert", "show", *words)
    assert ran.code == 64
    assert said in ran.err
    assert ran.out == ""
    assert "\x1b" not in ran.err


# -- the environment's hosts -----------------------------------------------------------------------------------------


@pytest.fixture
def local(work: Path) -> Iterator[Shop]:
    """A zone whose names lead to loopback."""
    rows = (("api", "A", "127.0.0.8", 300), ("docs", "CNAME", "api.acme.example.", 300))
    with shop(work, *rows, email_type="NONE") as found:
        yield found


def test_the_environment_names_the_hosts_and_whom_to_ask_for_their_addresses(local: Shop) -> None:
    local.environment(
        "{type: A, value: 127.0.0.1, name: api}",
        "{type: CNAME, value: api.acme.example., name: docs}",
        "{type: TXT, value: hello, name: text}",
        more='ssl: {domains: ["shop.acme.example", "*.acme.example"]}\n'
        'monitoring: {ping_endpoints: ["https://127.0.0.1:1/health?token=abc", "http://plain.acme.example/"]}',
    )
    ran = run("cert", "show", "-e", str(local.file), "--quick", "-o", "json", "--connect", "127.0.0.9")
    assert [one["endpoint"] for one in ran.data["endpoints"]] == [
        "shop.acme.example:443",
        "api.acme.example:443",
        "docs.acme.example:443",
        "127.0.0.1:1",
    ]
    assert "token" not in ran.out
    text = run("cert", "show", "-e", str(local.file), "--quick", "--connect", "127.0.0.9")
    assert "*.acme.example: a wildcard has no host of its own" in text.err
    looked = run("cert", "show", "-e", str(local.file), "--quick", "-o", "json")
    addresses = [[one["address"] for one in endpoint["addresses"]] for endpoint in looked.data["endpoints"]]
    assert addresses == [[], ["127.0.0.8"], ["127.0.0.8"], ["127.0.0.1"]]  # the zone's own server was asked
    assert looked.data["endpoints"][0]["found"] == {"state": "fail", "why": "the name has no address"}


def test_an_environment_without_hosts_says_what_to_do(work: Path) -> None:
    (work / "sophia.yaml").write_text("values: {}\n")
    ran = run("cert", "show")
    assert ran.code == 64
    assert "sophia cert show HOST[:PORT]" in ran.err


# -- hostile text ----------------------------------------------------------------------------------------------------

EVIL = "\x1b[2J\x9b31m\u202eevil\u2066\x07\r\n|`<script>@everyone</script>[x](http://y)"


@pytest.mark.parametrize("form", FORMS)
def test_hostile_certificate_text_steers_no_reader(authority: Authority, work: Path, form: str) -> None:
    attributes = [
        x509.NameAttribute(NameOID.COMMON_NAME, "long" * 16),
        *(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "y" * 64) for _ in range(60)),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, EVIL[:60]),  # the last comes first in RFC 4514's text
    ]
    sans = [x509.DNSName("\x1b]0;owned\x07.test"), *(x509.DNSName(f"{'z' * 300}{number}.test") for number in range(80))]
    issued = authority.issue(subject=x509.Name(attributes), sans=sans)
    with serving(tls(server_context(issued.write(work)))) as server:
        ran = run("cert", "show", f"{HOST}:{server.port}", "--connect", "127.0.0.1", "-o", form, "--no-color")
    assert ran.code == 0
    shown = ran.out + ran.err
    steering = {one for one in shown if unicodedata.category(one) in ("Cc", "Cf", "Zl", "Zp")} - {"\n"}
    assert steering == set()
    if form == "json":
        subject = ran.data["endpoints"][0]["addresses"][0]["chain"]["served"][0]["subject"]
        assert len(subject) <= 500
        assert "\u202eevil" in subject  # the value is whole; only its spelling in the document is safe
        assert "z" * 200 in ran.out
    else:
        assert len(shown) < 20_000
        assert "u202eevil" in shown
        assert "z" * 200 not in shown
    if form == "markdown":
        assert "<script>" not in re.sub(r"`[^`]*`", "", shown)
        assert "@everyone" not in shown
        assert "](http" not in shown.replace("\\", "@")


def test_no_peer_makes_a_traceback_or_a_hang(work: Path) -> None:
    from tests.providers.tls.zoo import babbles, closes, floods, not_tls, resets

    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(serving(one)) for one in (hangs, resets, closes, not_tls, babbles, floods)]
        words = [f"127.0.0.1:{server.port}" for server in servers]
        ran = spawn("cert", "show", *words, "--timeout", "1", cwd=work, timeout=30)
    assert ran.code == 1
    assert "Traceback" not in ran.err
    assert ran.out.count("tls           no: ") == 5
    assert ran.out.count("tls           not tested: no answer within 1 s") == 1


def test_a_named_host_that_speaks_no_tls_is_exit_1_beside_one_that_does(good: Server, work: Path) -> None:
    here = f"{HOST}:{good.port}"
    with serving(lambda connection: connection.close()) as dead:
        ran = run("cert", "show", here, f"{HOST}:{dead.port}", "--connect", "127.0.0.1", "--quick")
    assert (ran.code, ran.out.splitlines()[-1].split(";")[0]) == (1, "2 endpoints, 1 with TLS")
    assert run("cert", "show", here, "--connect", "127.0.0.1", "--quick").code == 0


def test_certificates_sent_for_nothing_are_a_finding(authority: Authority, work: Path) -> None:
    extra = [authority.authority(f"Padding {number}", None) for number in range(3)]
    issued = authority.issue(HOST, send=[authority.intermediate, *extra])
    with serving(tls(server_context(issued.write(work)))) as server:
        ran = run(
            "cert", "show", f"{HOST}:{server.port}", "--connect", "127.0.0.1", "-o", "json",
            "--ca-file", str(authority.root_file(work)),
        )  # fmt: skip
    (finding,) = ran.data["findings"]
    assert (finding["id"], len(finding["evidence"]["extra"])) == ("TLS-TUNE-CHAIN", 3)
