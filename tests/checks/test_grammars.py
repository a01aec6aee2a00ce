"""SPF, DKIM and tag lists: what the grammars take, what they refuse, and that nothing makes them fall over."""

from __future__ import annotations

import base64
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia_cli.checks.dkim import rsa_bits
from sophia_cli.checks.dmarc import policy_of
from sophia_cli.checks.lookup import MAX_HOPS
from sophia_cli.checks.registry import examine
from sophia_cli.checks.spf_terms import is_selected, parse
from sophia_cli.checks.tags import parse as tags
from sophia_cli.core.dns import Record, Zone, normalised
from sophia_cli.flows.analyze import examined
from tests.checks.check_cases import cname, dkim_key, facts, mx, row, txt

GOOD = [
    "v=spf1", "v=spf1 -all", "V=SPF1 -ALL", "v=spf1  a   mx ", "v=spf1 ip4:1.2.3.4 ip4:1.2.3.0/24 ip6:2a00::1 ip6:2a00::/32 ~all",
    "v=spf1 a/24 a//64 a/24//64 mx/0//0 a:x.net/30//128 mx:x.net", "v=spf1 include:_spf.x.net ?include:y-z.net.",
    "v=spf1 exists:%{i}._spf.%{d2} exists:%{l1r+-}.%{o}._x.%{h}", "v=spf1 redirect=%{d}", "v=spf1 ptr ptr:x.net -all",
    "v=spf1 redirect=_spf.x.net exp=%{c}%%%_%-.x.net", "v=spf1 unknown=anything%{s} moo.x-1=", "v=spf1 exists:%{ir}.a/b.x.net",
    "v=spf1 a:xn--bcher-kva.net a:1.x.2b",
]  # fmt: skip
BAD = {
    "v=spf1 a:1.2.3.4": "whole domain", "v=spf1 include": "needs a domain", "v=spf1 include:": "whole domain",
    "v=spf1 include:localhost": "whole domain", "v=spf1 ip4:1.2.3": "not an IPv4", "v=spf1 ip4:1.2.3.4/33": "0..32",
    "v=spf1 ip4:1.2.3.4/08": "0..32", "v=spf1 ip6:1.2.3.4": "not an IPv6", "v=spf1 ip6:2a00::/129": "0..128",
    "v=spf1 ip4": "after a colon", "v=spf1 all:x.net": "no domain", "v=spf1 all/8": "no prefix", "v=spf1 a/33": "too long",
    "v=spf1 a//129": "too long", "v=spf1 ptr/8": "no prefix", "v=spf1 -all.": "not a mechanism", "v=spf1 foo": "unknown",
    "v=spf1 redirect=x.net redirect=y.net": "once", "v=spf1 exp=": "whole domain", "v=spf1 exists:%{z}.x.net": "bad macro",
    "v=spf1 a:%{c}.x.net": "for exp only", "v=spf1 a:x.net%": "bad macro", "v=spf1 --all": "not a mechanism",
    "v=spf1 a\tmx": "not a mechanism", "v=spf1 a:bücher.net": "whole domain", "v=spf1 ip6:fe80::1%eth0": "not an IPv6",
    "v=spf1 v=spf1 -all": "",
}  # fmt: skip


@pytest.mark.parametrize("value", GOOD)
def test_spf_takes_the_whole_grammar(value: str) -> None:
    assert is_selected(value)
    assert parse(value).errors == ()


@pytest.mark.parametrize(("value", "why"), [pair for pair in BAD.items() if pair[1]])
def test_spf_refuses_a_breach_anywhere_with_its_reason(value: str, why: str) -> None:
    assert why in parse(value + " -all").errors[0][1]


@pytest.mark.parametrize("value", [" v=spf1 -all", "v=spf10 -all", "v=spf1-all", "spf1 -all", "v=spf1\t-all", ""])
def test_spf_selects_only_records_that_start_right(value: str) -> None:
    assert not is_selected(value)


def test_spf_keeps_qualifiers_domains_and_widths() -> None:
    spf = parse("v=spf1 ~a:x.net/24//64 -ip6:2a00::/20 Redirect=y.net")
    a, ip6, redirect = spf.terms
    assert (a.qualifier, a.name, a.domain, a.width4, a.width6) == ("~", "a", "x.net", 24, 64)
    assert (ip6.qualifier, ip6.network, ip6.width6) == ("-", "2a00::", 20)
    assert (redirect.name, redirect.domain, redirect.modifier) == ("redirect", "y.net", True)


@pytest.mark.parametrize("bits", [512, 1024, 1536, 2048, 4096])
def test_dkim_reads_the_length_of_a_key_as_cryptography_does(bits: int) -> None:
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    der = base64.b64decode(dkim_key(bits))
    assert rsa_bits(der) == bits
    if bits >= 1024:
        assert load_der_public_key(der).key_size == bits  # type: ignore[union-attr]


def test_dkim_refuses_a_key_that_was_cut_or_is_no_rsa_key() -> None:
    der = base64.b64decode(dkim_key(2048))
    assert all(rsa_bits(der[:size]) is None for size in range(0, len(der), 7))
    assert rsa_bits(der + b"\0") is None
    assert rsa_bits(der.replace(bytes.fromhex("2a864886"), bytes.fromhex("2a864887"))) is None


@pytest.mark.parametrize(
    ("value", "policy"),
    [
        ("v=DMARC1", "none"), ("v=DMARC1; p=REJECT", "reject"), ("v=DMARC1; p=reject; t=y", "quarantine"),
        ("v=DMARC1; p=quarantine; t=y", "none"), ("v=DMARC1; p=rubbish", "none"), ("v=DMARC1; t=y", "none"),
    ],
)  # fmt: skip
def test_dmarc_gives_the_policy_that_receivers_apply(value: str, policy: str) -> None:
    assert policy_of(tags(value)) == policy


texts = st.one_of(
    st.text(max_size=60),
    st.sampled_from(["v=spf1 ", "v=DMARC1;", "v=DKIM1; p=", "v=STSv1;", '0 issue "', "spf1"]).flatmap(
        lambda start: st.text(max_size=40).map(lambda rest: start + rest)
    ),
)
names = st.sampled_from(
    ["@", "www", "*", "*.a", "_dmarc", "_mta-sts", "_smtp._tls", "s._domainkey", "x.acme.example", "ä b", "-"]
)
kinds = st.sampled_from(["A", "AAAA", "CNAME", "ALIAS", "MX", "NS", "TXT", "CAA", "URL", "SRV", "WEIRD"])
rows = st.builds(Record, names, kinds, texts, st.none() | st.integers(-1, 2**31), st.none() | st.integers(0, 70000))


@given(st.lists(rows, max_size=8), st.sampled_from(["MX", "FWD", "NONE", "MXE"]))
def test_no_zone_makes_a_check_fall_over_and_the_order_of_rows_is_no_matter(records: list[Record], mode: str) -> None:
    zone = Zone.of("acme.example", mode, [normalised(record, "acme.example") for record in records])
    known = facts(*zone.records, mode=mode)
    findings, not_tested = examine(known)
    again, _ = examine(facts(*reversed(zone.records), mode=mode))
    assert findings == again
    assert all(finding.fix is not None or finding.no_fix for finding in findings)
    assert {entry.why for entry in not_tested}


def test_a_loop_of_includes_ends() -> None:
    known = facts(txt("v=spf1 include:_a.acme.example -all"), txt("v=spf1 include:acme.example -all", "_a"))
    assert "MAIL-SPF-INCLUDE" in {finding.id for finding in examine(known)[0]}


def test_names_below_a_delegation_are_outside() -> None:
    known = facts(mx("mx.sub.acme.example."), row("sub", "NS", "ns.other.net."))
    assert "DNS-MX-NOADDR" not in {finding.id for finding in examine(known)[0]}
    assert known.names.inside("mx.sub.acme.example.") is None


def test_a_wildcard_answers_only_for_names_that_do_not_exist() -> None:
    known = facts(row("*", "A", "1.1.1.1"), txt("x", "a.b"), cname("*.c", "x.net."))
    assert [one.type for one in known.names.answer("free")] == ["A"]
    assert [one.type for one in known.names.answer("deep.free")] == ["A"]
    assert known.names.answer("b") == ()
    assert known.names.answer("other.b") == ()
    assert [one.type for one in known.names.answer("x.c")] == ["CNAME"]


def test_a_zone_of_five_thousand_records_is_examined_whole() -> None:
    chain = [cname(f"c{n}", f"c{n + 1}.acme.example.") for n in range(2500)]
    sets = [
        row(f"h{n}", "A", address, ttl) for n in range(1250) for address, ttl in (("8.8.8.8", 60), ("8.8.4.4", 90000))
    ]
    known = facts(*chain, *sets)
    ids = Counter(finding.id for finding in examined([known]).findings)
    assert ids["DNS-TTL-SET"] == ids["DNS-TTL-RANGE"] == 1250
    assert (ids["PERF-CHAIN"], ids["PERF-TTL-LOW"]) == (1, 1)
    assert len(known.names.chain("c0")[0]) == MAX_HOPS
