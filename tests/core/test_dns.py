"""Names, records and zones: normalised once, compared by value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia_cli.core.dns import Record, Zone, mail_policy, normalised, problems, published, relative
from tests.builders import DOMAIN, IP, a, cname, mx, txt, zone


@pytest.mark.parametrize(
    ("given_", "name"),
    [
        ("@", "@"),
        ("", "@"),
        ("example.com", "@"),
        ("example.com.", "@"),
        ("EXAMPLE.com", "@"),
        ("api", "api"),
        ("API.Example.COM.", "api"),
        ("a.b.example.com", "a.b"),
        ("notexample.com", "notexample.com"),
        ("bücher", "xn--bcher-kva"),
        ("*", "*"),
    ],
)
def test_names_are_relative_lower_cased_and_in_a_labels(given_: str, name: str) -> None:
    assert relative(given_, DOMAIN) == name


@pytest.mark.parametrize(
    ("record", "value"),
    [
        (Record("x", "AAAA", "2001:DB8:0:0::1"), "2001:db8::1"),
        (Record("x", "CNAME", "Docs.Example.NET"), "docs.example.net."),
        (Record("x", "CNAME", "@"), "example.com."),
        (Record("x", "MX", "mail.example.com."), "mail.example.com."),
        (Record("@", "CAA", "0 ISSUE letsencrypt.org"), '0 issue "letsencrypt.org"'),
        (Record("@", "CAA", '128 iodef "mailto:a@b.example"'), '128 iodef "mailto:a@b.example"'),
        (Record("x", "TXT", '  spaces and "quotes" stay '), '  spaces and "quotes" stay '),
        (Record("x", "A", "not an address"), "not an address"),
    ],
)
def test_values_are_canonical_and_what_is_not_understood_stays(record: Record, value: str) -> None:
    assert normalised(record, DOMAIN).value == value


@given(
    st.text(max_size=40), st.sampled_from(["A", "AAAA", "CNAME", "MX", "TXT", "CAA", "URL", "SRV", "WEIRD"]), st.text()
)
def test_normalising_twice_is_normalising_once(name: str, kind: str, value: str) -> None:
    once = normalised(Record(name, kind, value, 300), DOMAIN)
    assert normalised(once, DOMAIN) == once


@pytest.mark.parametrize(
    ("record", "part"),
    [
        (Record("x", "SRV", "0 5 host.example.net."), "SRV"),
        (Record("x", "PTR", "host.example.net."), "unknown record type"),
        (Record("@", "NS", "ns1.example.net."), "apex"),
        (Record("@", "CNAME", "example.net."), "ALIAS"),
        (Record("@", "MX", ".", None, 0), "null MX"),
        (Record("x", "A", "203.0.113.300"), "IPv4"),
        (Record("x", "AAAA", "203.0.113.3"), "IPv6"),
        (Record("x", "MX", "203.0.113.3.", None, 10), "is an address"),
        (Record("x", "CNAME", "www."), "write it in full"),
        (Record("x", "URL", "example.net"), "scheme"),
        (Record("x", "TXT", "y" * 2501), "2500"),
        (Record("x", "A", IP, 59), "TTL 59"),
        (Record("x", "A", IP, 60001), "TTL 60001"),
        (Record("a" * 64, "A", IP), "63"),
        (Record(".".join(["abcdefghij"] * 6), "A", IP), "60"),
        (Record("a b", "A", IP), "host name"),
        (Record("x", "TXT", "bell\x07"), "control"),
        (Record("x", "CNAME", "a" * 60 + "." + ".".join(["b" * 60] * 4) + "."), "255"),
        (Record("x", "TXT", ""), "empty"),
    ],
)
def test_what_the_provider_cannot_hold_is_said_before_any_call(record: Record, part: str) -> None:
    found = list(problems(normalised(record, DOMAIN), DOMAIN))
    assert any(part in problem for problem in found), found


@pytest.mark.parametrize(
    "record",
    [
        a("*"),
        a("*.dev"),
        txt("v=DMARC1; p=none", "_dmarc"),
        Record("sub", "NS", "ns1.example.net.", 1800),
        Record("@", "ALIAS", "example.net.", 60),
        Record("x", "URL301", "https://example.net/a?b=c", 60000),
        txt("x" * 2500),
        mx(priority=0),
    ],
)
def test_what_the_provider_holds_has_no_problems(record: Record) -> None:
    assert list(problems(normalised(record, DOMAIN), DOMAIN)) == []


def test_the_digest_is_of_the_content_not_of_order_or_duplicates() -> None:
    one = Zone.of(DOMAIN, "MX", [mx(), a("api"), a("www")])
    two = Zone.of(DOMAIN, "MX", [a("www"), a("api"), mx(), a("api")])
    assert one.digest() == two.digest()
    assert one.digest() != Zone.of(DOMAIN, "FWD", one.records).digest()
    assert Zone.from_data(one.data()) == one


@pytest.mark.parametrize(
    ("record", "policy"),
    [
        (txt("v=spf1"), "spf"),
        (txt("v=SPF1 -all"), "spf"),
        (txt("v=spf10"), None),
        (txt("v=DMARC1; p=none", "_dmarc"), "dmarc"),
        (txt("v=DMARC1; p=none", "www"), None),
        (txt("v=STSv1; id=1", "_mta-sts"), "mta-sts"),
        (txt("v=TLSRPTv1; rua=mailto:a@b.c", "_smtp._tls"), "tls-rpt"),
        (txt("v=DKIM1; p=x", "k1._domainkey"), "dkim"),
        (a("_dmarc"), None),
    ],
)
def test_mail_policies_are_known_by_name_and_tag(record: Record, policy: str | None) -> None:
    assert mail_policy(record) == policy


def test_wildcards_answer_only_for_names_that_do_not_exist() -> None:
    held = zone(a("*", IP), a("*.dev", "203.0.113.9"), a("x.y"), txt("t", "api"), cname("www", "example.net."))
    values = {
        name: {value for value, _ in published(held, name, "A")}
        for name in ("new", "api", "y", "n.dev", "a.x.y", "www")
    }
    assert values == {"new": {IP}, "api": set(), "y": set(), "n.dev": {"203.0.113.9"}, "a.x.y": set(), "www": set()}
