"""Names of certificates against hosts (RFC 9525), and which endpoints a zone has."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sophia_cli.core.dns import Record, Zone
from sophia_cli.core.endpoints import CertificateFacts, Chain, Target, match, name_result, tls_targets

CERTIFICATE = CertificateFacts(
    "CN=x", "CN=y", "Y", (), (), "01", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC),
    "EC", 256, "P-256", "ECDSA with SHA256", "ab" * 32, 500,
)  # fmt: skip


@pytest.mark.parametrize(
    ("host", "names", "expected"),
    [
        ("www.example.com", ("www.example.com",), "www.example.com"),
        ("WWW.Example.COM.", ("www.example.com",), "www.example.com"),
        ("www.example.com", ("WWW.EXAMPLE.COM",), "WWW.EXAMPLE.COM"),
        ("www.example.com", ("example.com", "*.example.com"), "*.example.com"),
        ("example.com", ("*.example.com",), None),
        ("a.b.example.com", ("*.example.com",), None),  # one label, no more
        ("www.example.com", ("w*.example.com", "*w.example.com"), None),  # only a whole label
        ("www.example.com", ("www.*.com", "*"), None),
        ("*.example.com", ("www.example.com",), None),
        ("192.0.2.1", ("192.0.2.1", "*.0.2.1"), None),  # addresses are no DNS names
        ("www.example.com", (), None),
    ],
)
def test_dns_names(host: str, names: tuple[str, ...], expected: str | None) -> None:
    assert match(replace(CERTIFICATE, names=names), host) == expected


def test_addresses_are_matched_by_value() -> None:
    one = replace(CERTIFICATE, addresses=("192.0.2.1", "2001:db8::1"))
    assert match(one, "2001:DB8:0::0:1") == "2001:db8::1"
    assert match(one, "192.0.2.1") == "192.0.2.1"
    assert match(one, "192.0.2.2") is None


def test_the_common_name_never_counts() -> None:
    result = name_result(Chain((replace(CERTIFICATE, subject="CN=www.example.com"),)), "www.example.com")
    assert (result.state, result.why) == ("fail", "it has no subjectAltName")
    assert name_result(Chain(), "www.example.com").state == "not tested"


def test_the_endpoints_of_a_zone() -> None:
    rows = [
        Record("@", "A", "203.0.113.1"),
        Record("@", "AAAA", "2001:db8::1"),
        Record("www", "CNAME", "example.com."),
        Record("shop", "ALIAS", "shops.example.net."),
        Record("*", "A", "203.0.113.1"),
        Record("s1._domainkey", "CNAME", "dkim.example.net."),
        Record("old", "URL301", "https://elsewhere.example/"),
        Record("mail", "TXT", "hello"),
        Record("@", "MX", "mx1.example.com.", priority=10),
        Record("lists", "MX", "mx1.example.com.", priority=10),
        Record("none", "MX", ".", priority=0),
    ]
    assert tls_targets(Zone.of("example.com", "MX", rows)) == (
        Target("example.com"),
        Target("shop.example.com"),
        Target("www.example.com"),
        Target("mx1.example.com", 25, "smtp"),
    )


def test_a_lifetime_counts_both_ends() -> None:
    assert CERTIFICATE.lifetime_s == 364 * 86_400 + 1
