"""What live DNS could not tell is not tested, with its reason, and never counts as passed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sophia_cli.checks.facts import Background, Facts
from sophia_cli.checks.questions import at_servers, elsewhere
from sophia_cli.checks.registry import CHECKS, examine
from sophia_cli.core.dns import Zone
from sophia_cli.core.dns_facts import GIVEN, Delegation, Dnssec, LiveDns, Question
from tests.checks.check_cases import IP, NOW, a, cname, facts, mx, row, txt
from tests.checks.live_cases import ZONE, answer_at, cut, failing, gone, live, page, seen, server, told

LIVE = {check.rule.id for check in CHECKS if "D" in check.needs}
DEAD = LiveDns(
    ZONE,
    NOW,
    Delegation(why="the resolver is silent"),
    gaps=dict.fromkeys(("parent", "servers", "rows", "wildcard", "outside", "cuts"), "the resolver is silent"),
)


def whys(found: Facts) -> dict[str, str]:
    return {entry.id: entry.why for entry in examine(found)[1]}


def test_nothing_that_needs_a_server_passes_when_none_answered() -> None:
    found, untested = examine(live(a(), cname("x", "x.net."), row("sub", "NS", "ns.net."), dns=DEAD))
    nothing_to_ask = {"MAIL-DMARC-EXT", "DNS-DANGLE-SVC"}  # no reports, no service in this zone
    assert LIVE - nothing_to_ask <= {entry.id for entry in untested}
    assert not LIVE & {one.id for one in found}


@pytest.mark.parametrize(
    "id", ["DNS-LAME", "DNS-NS-TCP", "DNS-SOA", "DNS-SERIAL", "SEC-DNSSEC-ALG", "SEC-NSEC3", "DNS-AXFR"]
)
def test_silent_servers_are_a_reason_and_no_verdict(id: str) -> None:
    silent = (server("ns1.net.test", "185.199.1.1", **failing("no answer over UDP", None)),)
    found = live(dns=seen(servers=silent, hosts={"ns1.net.test": ("185.199.1.1",)}, dnssec=Dnssec()))
    assert "authoritative answer" in whys(found)[id]
    assert id not in {one.id for one in examine(found)[0]}


def test_a_server_that_this_machine_cannot_reach_is_named() -> None:
    six = server("ns1.net.test", "2606:50c0::1", soa=None, values=None, unreachable_here="network is unreachable")
    found = live(dns=seen(servers=(server("ns1.net.test", "185.199.1.1"), server("ns2.net.test", "140.82.1.1"), six)))
    assert whys(found)["DNS-NS-V6"] == "in part: this machine cannot reach ns1.net.test ([2606:50c0::1])"
    assert "DNS-NS-V6" not in {one.id for one in examine(found)[0]}


def test_given_servers_tell_nothing_of_the_delegation() -> None:
    found = live(
        dns=seen(delegation=Delegation(why=GIVEN), gaps={"parent": GIVEN}, hosts={"127.0.0.1": ("127.0.0.1",)})
    )
    known = whys(found)
    assert {known[id] for id in ("DNS-DELEG-DIFF", "DNS-NS-FEW", "DNS-NS-ONE-NET", "DNS-NS-V6")} == {GIVEN}
    assert "DNS-NS-FEW" not in {one.id for one in examine(found)[0]}


def test_a_failed_look_up_is_named_with_its_reason() -> None:
    found = live(cname("a", "x.net."), mx("mx.net."), txt("v=spf1 include:i.net -all"), dns=seen(
        *(told(text, status="failed", why="SERVFAIL") for text in ("x.net A", "mx.net A", "i.net TXT"))))  # fmt: skip
    known = whys(found)
    assert known["DNS-CNAME-LOOP"].endswith("(1): x.net A: SERVFAIL")
    assert known["DNS-MX-NOADDR"].endswith("(1): mx.net A: SERVFAIL")
    assert known["MAIL-SPF-LOOKUPS"].endswith("(1): i.net TXT: SERVFAIL")
    assert known["DNS-DANGLE-NX"].startswith("in part: hosts outside the zone")


def test_an_include_that_depends_on_the_message_is_said_to_be_open() -> None:
    found = live(txt("v=spf1 include:%{i}.x.net -all"))
    assert whys(found)["MAIL-SPF-LOOKUPS"] == "in part: SPF terms that depend on the message were not followed (1)"


def test_a_delegation_whose_servers_are_silent_is_no_takeover() -> None:
    rows = row("sub", "NS", "ns.dns.test.")
    found = live(rows, dns=seen(told("ns.dns.test A", IP), cuts=(cut("failed", "no answer over UDP", rtt_ms=None),)))
    assert whys(found)["DNS-DANGLE-NS"] == "in part: no server of sub answered"


def test_a_service_whose_page_nobody_read_is_not_cleared() -> None:
    known = cname("www", "acme.github.io.")
    unread = whys(live(known, dns=seen(told("acme.github.io A", IP))))
    assert unread["DNS-DANGLE-SVC"] == "in part: no page was read at CNAME www"
    read = live(known, dns=seen(told("acme.github.io A", IP)), http=page(b"hello"))
    assert "DNS-DANGLE-SVC" not in whys(read)


def test_sound_live_facts_leave_nothing_open_and_find_nothing_grave() -> None:
    found = live(a(), dns=seen(rows=dict([answer_at("@", "A", IP)])))
    known = whys(found)
    assert not (LIVE - {"DNS-DANGLE-IP", "DNS-NS-ONE-NET"}) & set(known)
    assert "autonomous system (AS) was not tested" in known["DNS-NS-ONE-NET"]
    assert not {one.id for one in examine(found)[0]} & LIVE


# -- a zone known by DNS alone ------------------------------------------------------------------------------------------


def by_dns(*rows: object, whole: bool = False, **known: object) -> Facts:
    zone = Zone.of(ZONE, "MX", rows)  # type: ignore[arg-type]
    return Facts(zone, NOW, None, Background(source="dns", is_whole=whole, dns=seen(**known)))  # type: ignore[arg-type]


def test_dns_alone_says_what_it_cannot_show() -> None:
    known = whys(by_dns(a(ttl=5), a("x", ttl=9), rows=dict([answer_at("www", "A")])))
    assert known["DNS-DUP"] == "DNS shows each record once"
    assert known["DNS-TTL-RANGE"].startswith("the limits of the zone's provider")
    assert known["DNS-DRIFT"] == known["DNS-INVISIBLE"] == "there are no provider's rows to compare with"
    assert known["TXT-SECRET"] == "in part: the zone cannot be listed by DNS, so 1 usual names were asked for"
    found = {one.id for one in examine(by_dns(a(ttl=5)))[0]}
    assert not found & {"DNS-TTL-RANGE", "DNS-TTL-SET", "DNS-DUP", "DNS-DRIFT"}


def test_a_transferred_zone_is_whole() -> None:
    assert "TXT-SECRET" not in whys(by_dns(a(), whole=True))


@pytest.mark.parametrize(("status", "fires"), [("nxdomain", True), ("empty", False)])
def test_selectors_cannot_be_listed_and_only_nxdomain_says_that_there_are_none(status: str, fires: bool) -> None:
    answer = replace(answer_at("_domainkey", "TXT")[1], status=status)  # type: ignore[arg-type]
    found = by_dns(mx("mx.acme.example."), a("mx"), rows={("_domainkey", "TXT"): answer})
    assert ("MAIL-DKIM-NONE" in {one.id for one in examine(found)[0]}) is fires
    assert ("MAIL-DKIM-NONE" in whys(found)) is not fires


# -- what is asked ------------------------------------------------------------------------------------------------------


def test_questions_follow_from_answers_level_by_level() -> None:
    rows = (txt("v=spf1 include:a.net -all"), cname("x", "x.net."))
    first = elsewhere(facts(*rows))
    assert {Question("a.net", "TXT"), Question("x.net", "A"), Question("_dmarc.example", "TXT")} <= set(first)
    second = elsewhere(live(*rows, dns=seen(told("a.net TXT", "v=spf1 include:b.net mx:c.net -all"), told("x.net A"))))
    assert set(second) == {Question("b.net", "TXT"), Question("c.net", "MX"), Question("x.net", "AAAA")}


def test_an_include_loop_or_a_bomb_ends() -> None:
    loop = live(txt("v=spf1 include:a.net -all"), dns=seen(told("a.net TXT", "v=spf1 include:a.net -all")))
    assert elsewhere(loop) == ()
    bomb = {f"n{n}.net": " ".join(f"include:n{n + 1}.net" for _ in range(12)) for n in range(12)}
    answers = [told(f"{name} TXT", f"v=spf1 {terms} -all") for name, terms in bomb.items()]
    found = live(txt("v=spf1 include:n0.net -all"), dns=seen(*answers, gone("n12.net TXT")))
    finding = next(one for one in examine(found)[0] if one.id == "MAIL-SPF-LOOKUPS")
    assert finding.evidence["at_least"] == 60
    assert "at least 60" in finding.title


def test_the_servers_are_asked_about_what_the_rows_foretell() -> None:
    rows = (
        a(),
        a("*.x"),
        cname("w", "x.net."),
        row("go", "URL", "https://x.net/"),
        row("go", "A", IP),
        row("s", "NS", "n.net."),
    )
    wanted = at_servers(facts(*rows, a("below.s")), ("127.0.0.1:53",))
    assert wanted.rows == (("@", "A"), ("w", "CNAME"))
    assert wanted.cuts == (("s", ("n.net.",)),)
    assert (wanted.servers, wanted.foreign) == (("127.0.0.1:53",), True)
