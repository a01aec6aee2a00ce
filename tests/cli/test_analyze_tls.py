"""`sophia analyze` with TLS: what a zone's names really serve on loopback, and whom it leaves alone."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from sophia_cli.checks.facts import Background, Facts
from sophia_cli.checks.tls_tuning import resumption
from sophia_cli.core.dns import Zone
from sophia_cli.core.endpoints import Target, failed
from sophia_cli.providers.tls.inspector import inspect
from sophia_cli.providers.tls.trust import Roots
from sophia_cli.sandbox import seed
from tests.cli.harness import DOMAIN, ROWS, Ran, Shop, shop
from tests.providers.tls.authority import Authority, rsa_key
from tests.providers.tls.zoo import not_tls, server_context, serving, tls

WWW = f"www.{DOMAIN}"
LOCAL = [(name, kind, "127.0.0.1" if kind == "A" else value, *rest) for name, kind, value, *rest in ROWS]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def acme(work: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A zone whose names lie on loopback, and a machine that trusts the tests' authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.root_file(work)))
    with shop(work, *LOCAL) as found:
        yield found


def watching(acme: Shop, *urls: str, more: str = "") -> Ran:
    acme.environment(
        "{name: api, type: A, value: 127.0.0.1}", more=f"monitoring:\n  ping_endpoints: [{', '.join(urls)}]\n{more}"
    )
    ran = acme.run("analyze", "--agent", "ssl", "-o", "json")
    assert ran.code == 0, ran.err
    return ran


def found(ran: Ran, id: str) -> list[dict[str, Any]]:
    return [one for one in ran.data["findings"] if one["id"] == id]


def why(ran: Ran, id: str) -> str:
    return next((one["why"] for one in ran.data["not_tested"] if one["id"] == id), "")


def test_a_name_that_serves_a_bad_certificate_is_found_and_scored(acme: Shop, authority: Authority, work: Path) -> None:
    bad = authority.issue("other.example", days=(-90, -2)).write(work)
    with serving(tls(server_context(bad))) as server:
        ran = watching(acme, f"https://{WWW}:{server.port}/health")
    (ended,) = found(ran, "TLS-EXPIRY")
    assert ended["severity"] == "critical"
    assert f"{WWW}:{server.port} ended 2 days ago" in ended["title"]
    assert [row["name"] for row in ended["evidence"]["records"]] == ["www"]
    (name,) = found(ran, "TLS-NAME")
    assert "it is for other.example" in name["title"]
    parts = {part["name"]: part for part in ran.data["parts"]}
    assert parts["certificates"]["score"] <= 49
    assert ran.data["score"] <= 49


def test_a_good_certificate_is_tested_and_gives_no_finding(acme: Shop, authority: Authority, work: Path) -> None:
    with serving(tls(server_context(authority.issue(WWW).write(work)))) as server:
        ran = watching(acme, f"https://{WWW}:{server.port}/")
    assert [one["id"] for one in ran.data["findings"] if one["severity"] != "info"] == []
    assert why(ran, "TLS-NAME").startswith("in part: ")  # port 443 of the zone's names has nobody
    assert f"{WWW}:{server.port}" not in why(ran, "TLS-NAME")


def test_what_answers_without_tls_or_hangs_is_told_and_not_passed(acme: Shop) -> None:
    with serving(not_tls) as plain:
        ran = watching(acme, f"https://{WWW}:{plain.port}/")
    assert f"{WWW}:{plain.port} (127.0.0.1: the peer does not answer with TLS records)" in why(ran, "TLS-EXPIRY")
    assert why(ran, "TLS-EXPIRY").startswith("no endpoint could be judged: ")
    parts = {part["name"]: part for part in ran.data["parts"]}
    assert parts["certificates"]["tested"] == 1  # TLS-MX, which no policy asks for here


def test_a_sandbox_is_asked_on_loopback_and_a_private_address_only_where_it_is_named(
    acme: Shop, authority: Authority, work: Path
) -> None:
    rows = [*LOCAL, ("inner", "A", "10.1.2.3", 1800)]
    seed(acme.data_file, DOMAIN, rows=rows)
    with serving(tls(server_context(authority.issue(WWW).write(work)))) as server:
        ran = watching(acme, f"https://{WWW}:{server.port}/", f"https://inner.{DOMAIN}/")
        assert server.connections > 0
    known = ran.data["not_tested"]
    text = next(one["why"] for one in known if one["id"] == "TLS-EXPIRY")
    assert f"inner.{DOMAIN}:443 (10.1.2.3: the provider here is a " in text
    assert "so only loopback is asked" in text
    assert f"{DOMAIN}:443 (127.0.0.1: a special-purpose address is asked only where monitoring.ping_endpoints" in text


def test_only_specialists_that_look_at_certificates_shake_hands(acme: Shop, authority: Authority, work: Path) -> None:
    with serving(tls(server_context(authority.issue(WWW).write(work)))) as server:
        acme.environment(more=f"monitoring:\n  ping_endpoints: ['https://{WWW}:{server.port}/']")
        ran = acme.run("analyze", "--agent", "dns", "-o", "json")
        assert (ran.code, server.connections) == (0, 0)


def test_a_named_resolver_says_where_a_host_is(acme: Shop, authority: Authority, work: Path) -> None:
    with serving(tls(server_context(authority.issue(WWW).write(work)))) as server:
        acme.environment(more=f"monitoring:\n  ping_endpoints: ['https://{WWW}:{server.port}/']")
        text = acme.file.read_text().replace(f'    nameservers: ["{acme.sandbox.dns}"]\n', "")
        acme.file.write_text(text)
        ran = acme.run("analyze", "--agent", "ssl", "-o", "json", "--resolver", acme.sandbox.dns)
    assert ran.code == 0, ran.err
    assert f"{WWW}:{server.port}" not in why(ran, "TLS-EXPIRY")


def test_mail_servers_are_asked_where_the_policy_enforces(acme: Shop, authority: Authority, work: Path) -> None:
    """The policy cannot be served at its own port here, so nobody is bothered on port 25."""
    seed(acme.data_file, DOMAIN, rows=[*LOCAL, ("_mta-sts", "TXT", "v=STSv1; id=1", 1800)])
    ran = watching(acme)
    assert why(ran, "TLS-MX") == "the policy behind _mta-sts was not fetched"
    assert ":25" not in str(ran.data["not_tested"])


def test_a_certificate_of_the_environment_is_no_zone_that_could_not_be_read(acme: Shop) -> None:
    local = "directory: https://127.0.0.1:9/dir"
    acme.environment(more=f"ssl: {{{local}, email: ops@acme.example, domains: [www.acme.example]}}")
    ran = acme.run("analyze", "--agent", "dns", "-o", "json")
    assert (ran.code, ran.data["targets"]) == (0, ["dns:acme.example"])
    assert [one for one in ran.data["not_tested"] if one["id"].startswith("cert:")] == []
    named = acme.run("analyze", "--target", "cert:www.acme.example")
    assert (named.code, "only zones" in named.err) == (64, True)


# -- what would be cheaper -----------------------------------------------------------------------------------------------


def test_an_rsa_key_that_the_environment_orders_is_measured_and_changed_by_a_proposal(
    acme: Shop, authority: Authority, work: Path
) -> None:
    rsa = authority.issue(WWW, key=rsa_key(2048)).write(work)
    ssl = f"usual: rsa-2048\nssl:\n  domains: [{WWW}]\n  key_type: ${{usual}}"
    with serving(tls(server_context(rsa, tickets=False))) as server:
        ran = watching(acme, f"https://{WWW}:{server.port}/", more=ssl)
        (key,) = found(ran, "TLS-TUNE-KEY")
        evidence = key["evidence"]
        assert evidence["before"]["bytes"] - evidence["after"]["bytes"] == (256 + 38 - 91) + (256 - 72)
        assert (evidence["before"]["version"], evidence["before"]["ms"] > 0) == ("TLS 1.3", True)
        assert str(evidence["before"]["bytes"]) in evidence["formula"]
        (change,) = key["fix"]["changes"]
        assert (change["kind"], change["after"]) == ("config.value", {"path": "ssl.key_type", "value": "ec-p256"})
        (resume,) = found(ran, "TLS-TUNE-RESUME")
        assert "ssl_session_cache" in resume["help"]
        assert resume["evidence"]["after"]["bytes"] < resume["evidence"]["before"]["bytes"]
        said = acme.run("ask", "Optimize our SSL certificate configuration for performance", "-o", "json")
        assert said.code == 0, said.err
        (offer,) = [one for one in said.data["plan"]["proposals"] if one["finding"] == "TLS-TUNE-KEY"]
        accepted = acme.run(
            "analyze", "--agent", "ssl", "--agent", "security", "--fix", "--accept", offer["id"], "--yes"
        )
        assert accepted.code == 0, accepted.err
    assert "key_type: ec-p256" in acme.file.read_text()
    back = acme.run("rollback", "--yes")
    assert back.code == 0, back.err
    assert "key_type: ${usual}" in acme.file.read_text()
    assert said.data["plan"]["changes"] == []
    assert f"Measured {evidence['before']['bytes']} bytes" in said.data["answer"]
    assert "TLS-TUNE-RESUME" in said.data["evidence"]


def test_a_lean_server_gets_no_advice(acme: Shop, authority: Authority, work: Path) -> None:
    with serving(tls(server_context(authority.issue(WWW).write(work)))) as server:
        ran = watching(acme, f"https://{WWW}:{server.port}/")
    assert [one["id"] for one in ran.data["findings"] if one["id"].startswith("TLS-TUNE")] == []
    assert "TLS-TUNE-RESUME" not in [one["id"] for one in ran.data["findings"]]


# -- asking --------------------------------------------------------------------------------------------------------------


def test_asking_for_a_certificate_that_nobody_serves_tells_what_is_missing(acme: Shop) -> None:
    acme.environment()
    ran = acme.run("ask", f"check the certificate of {WWW}", "-o", "json")
    assert ran.data["intent"]["name"] == "inspect_certificate"
    assert f"No certificate was seen: {WWW}:443 (127.0.0.1: connection refused)" in ran.data["answer"]


def test_what_another_key_is_expected_to_save_is_what_it_saves(acme: Shop, authority: Authority, work: Path) -> None:
    """The same server with an ECDSA key is measured, and held against what was expected of it."""
    received: list[int] = []
    expected = 0
    for key in (rsa_key(2048), None):
        leaf = authority.issue(WWW, key=key).write(work)
        with serving(tls(server_context(leaf, tickets=False))) as server:
            ran = watching(acme, f"https://{WWW}:{server.port}/")
            (resume,) = found(ran, "TLS-TUNE-RESUME")
            received.append(resume["evidence"]["before"]["bytes"])
            for one in found(ran, "TLS-TUNE-KEY"):
                expected = one["evidence"]["after"]["bytes"]
    assert received[0] > received[1]
    assert abs(received[1] - expected) <= 12  # the lengths of ECDSA signatures and of what encloses them vary


@pytest.mark.parametrize(
    ("newest", "before", "more"), [(ssl.TLSVersion.TLSv1_2, 2, 300), (ssl.TLSVersion.TLSv1_3, 1, 100)]
)
def test_what_resumption_is_expected_to_save_is_saved_at_least(
    authority: Authority, work: Path, newest: ssl.TLSVersion, before: int, more: int
) -> None:
    """The resumed handshake is measured beside the first: it leaves out the exchange of keys and the ticket as well."""
    file = authority.issue(WWW, key=rsa_key(2048)).write(work)
    with serving(tls(server_context(file, newest=newest))) as server:
        target = Target(WWW, server.port, None, ("127.0.0.1",))
        (endpoint,) = asyncio.run(inspect([target], now=authority.now, roots=Roots((), "")))
    (one,) = endpoint.served
    assert one.handshake is not None
    assert one.resumed is not None
    refusing = replace(one, resumption=failed("the server gave no session ticket"))
    facts = Facts(
        Zone.of(DOMAIN, "NONE", ()), authority.now, None, Background(tls=(replace(endpoint, served=(refusing,)),))
    )
    (advice,) = resumption(facts)
    after = advice.evidence["after"]
    assert (advice.evidence["before"]["round_trips"], after["round_trips"]) == (before, 1)
    assert 0 <= after["bytes"] - one.resumed.received <= more


@pytest.mark.parametrize("text", [f"check the certificate of {WWW}", f"when does the certificate of {WWW} expire?"])
def test_a_question_about_a_certificate_is_answered_from_what_is_served(
    acme: Shop, authority: Authority, work: Path, text: str
) -> None:
    leaf = authority.issue(WWW, days=(-88, 2))
    with serving(tls(server_context(leaf.write(work)))) as server:
        acme.environment(more=f"monitoring:\n  ping_endpoints: ['https://{WWW}:{server.port}/']")
        ran = acme.run("ask", text, "-o", "json")
    assert ran.code == 0, ran.err
    assert f"{WWW}:{server.port} at 127.0.0.1: issued by Test Authority, valid until " in ran.data["answer"]
    assert "critical: the certificate of" in ran.data["answer"]
    assert f"{WWW}:443 at 127.0.0.1: connection refused" in ran.data["answer"]
    assert ran.data["evidence"] == [f"sha256:{leaf.certificate.fingerprint(SHA256()).hex()}"]
    assert ran.data["command"] == f"sophia cert show {WWW}"
    assert ran.data["plan"] is None
