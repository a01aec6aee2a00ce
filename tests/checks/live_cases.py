"""One case a check that looks at live DNS: what servers and resolvers said, where it fires and where it stays silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sophia_cli.checks.facts import Background, Facts
from sophia_cli.core.dns import Record
from sophia_cli.core.dns_facts import (
    Answer,
    CutServer,
    Delegation,
    DelegationSigner,
    Dnssec,
    LiveDns,
    Question,
    ServerFacts,
    Signature,
    Soa,
    Transfer,
)
from sophia_cli.core.inventory import Instance
from sophia_cli.core.trends import Sample
from tests.checks.check_cases import IP, MAIL, NOW, Case, a, cname, facts, mx, row, txt

ZONE = "acme.example"
RESOLVER = "resolver 192.0.2.53"
HOSTS = {"ns1.net.test": ("185.199.1.1", "2606:50c0::1"), "ns2.net.test": ("140.82.1.1",)}
SOUND = Soa("ns1.net.test.", "hostmaster.acme.example.", 7, 14400, 3600, 1209600, 3600)


def told(
    text: str,
    *values: str,
    zone: str | None = None,
    chain: tuple[str, ...] = (),
    status: Any = None,
    why: str = "",
) -> Answer:
    """An answer of the resolver to `NAME TYPE`: found with values, else empty unless a status is given."""
    name, _, kind = text.partition(" ")
    found = status or ("found" if values else "empty")
    preferences = tuple(range(10, 10 * len(values) + 10, 10)) if kind == "MX" else ()
    return Answer(Question(name, kind), found, values, preferences, 300, chain, zone, why, RESOLVER, NOW)


def gone(text: str, zone: str = "net") -> Answer:
    """NXDOMAIN, said by a zone."""
    return told(text, status="nxdomain", zone=zone)


def server(name: str, address: str, **more: Any) -> ServerFacts:
    """A sound server, but for what is given."""
    said = Answer(
        Question(ZONE, "SOA"),
        "found",
        ("...",),
        server=f"{name} ({address})",
        at=NOW,
        is_authoritative=True,
        rtt_ms=1.0,
    )
    whole: dict[str, Any] = {
        "soa": said, "values": SOUND, "nameservers": tuple(HOSTS), "tcp": said, "transfer": Transfer(None, 0,
         "REFUSED"),
        "recursion": Answer(Question("a.root-servers.net", "A"), "failed", why="REFUSED"), "rtt_ms": (10.0, 12.0, 11.0),
    }  # fmt: skip
    return ServerFacts(name, address, 53, **{**whole, **more})


def failing(why: str, rtt_ms: float | None = 1.0) -> dict[str, Any]:
    """A server that does not serve the zone."""
    answer = Answer(Question(ZONE, "SOA"), "failed", why=why, server="ns2.net.test (140.82.1.1)", at=NOW, rtt_ms=rtt_ms)
    return {"soa": answer, "values": None, "nameservers": None, "transfer": None, "rtt_ms": ()}


def servers(first: Mapping[str, Any] = {}, second: Mapping[str, Any] = {}) -> tuple[ServerFacts, ...]:
    return (
        server("ns1.net.test", "185.199.1.1", **first),
        server("ns1.net.test", "2606:50c0::1"),
        server("ns2.net.test", "140.82.1.1", **second),
    )


def holding(first: int, second: int) -> tuple[ServerFacts, ...]:
    """Servers of which the second holds another version of the zone."""
    one, two = ({"values": replace(SOUND, serial=serial)} for serial in (first, second))
    return (server("ns1.net.test", "185.199.1.1", **one), server("ns1.net.test", "2606:50c0::1", **one),
            server("ns2.net.test", "140.82.1.1", **two))  # fmt: skip


def looked(hours: int, serial: int) -> Mapping[str, tuple[Sample, ...]]:
    """What the state keeps of an earlier look at the serials."""
    return {"serial ns1.net.test (185.199.1.1)": (Sample(NOW - timedelta(hours=hours), float(serial)),)}


def seen(*answers: Answer, **more: Any) -> LiveDns:
    """Live DNS of a sound zone, but for what is given; `answers` are the resolver's."""
    sound: dict[str, Any] = {
        "delegation": Delegation("example", "a.nic.test (192.0.2.1)", tuple(HOSTS), signers=(DelegationSigner(1, 13,
         2, "ab"),)),
        "servers": servers(), "hosts": HOSTS,
        "dnssec": Dnssec("valid", (), ((1, 13, 257),), (signature(),), None),
        "wildcard": Answer(Question("0123456789abcdef." + ZONE, "A"), "nxdomain",
         server="ns1.net.test (185.199.1.1)", at=NOW),
    }  # fmt: skip
    known = {one.question: one for one in (told("_dmarc.example TXT"), told("ns1.net.test A", "185.199.1.1"), *answers)}
    return LiveDns(ZONE, NOW, answers=known, **{**sound, **more})


def signature(
    covers: str = "SOA", left: timedelta = timedelta(days=9), life: timedelta = timedelta(days=14)
) -> Signature:
    return Signature(covers, 13, 1, NOW + left - life, NOW + left, "ns1.net.test (185.199.1.1)")


def live(*rows: Record, dns: LiveDns | None = None, **background: Any) -> Facts:
    """Facts with live DNS."""
    known = Background(dns=seen() if dns is None else dns, **background)
    return facts(*rows, background=known)


def answer_at(name: str, kind: str, *values: str) -> tuple[tuple[str, str], Answer]:
    """What the zone's own server answers at one of its names."""
    full = ZONE if name == "@" else f"{name}.{ZONE}"
    status: Any = "found" if values else "nxdomain"
    return (name, kind), Answer(Question(full, kind), status, values, server="ns1.net.test (185.199.1.1)", at=NOW)


def cut(status: Any, why: str = "", authoritative: bool = False, rtt_ms: float | None = 2.0) -> CutServer:
    values = ("...",) if status == "found" else ()
    answer = Answer(
        Question("sub." + ZONE, "SOA"), status, values, why=why, server="ns.dns.test", at=NOW,
        is_authoritative=authoritative, rtt_ms=rtt_ms,
    )  # fmt: skip
    return CutServer("sub", "ns.dns.test", answer)


NS = row("sub", "NS", "ns.dns.test.")
NS_THERE = told("ns.dns.test A", "185.199.1.9")
EXT = txt("v=DMARC1; p=reject; rua=mailto:d@reports.net", "_dmarc")
WALK = (told("_dmarc.reports.net TXT"), told("_dmarc.net TXT"), told("reports.net MX", "mx.reports.net."))
PAGES = cname("www", "acme.github.io.")
PAGES_THERE = told("acme.github.io A", IP)


def page(text: bytes) -> dict[str, Any]:
    from sophia_cli.core.web_facts import Hop, Visit

    url = f"https://www.{ZONE}/"
    return {url: Visit(url, hops=(Hop(url, 404),), body=text)}


def instance(status: str) -> dict[str, Instance]:
    return {"i1": Instance("i1", "lambda", "gpu", status, "gpu_1x", "us-east-1", address=IP)}


CASES = [
    Case("DNS-LAME", live(dns=seen(servers=servers(second=failing("REFUSED")))), "high", {"host": "ns2.net.test"},
         live()),
    Case("DNS-LAME", live(dns=seen(hosts={**HOSTS, "ns3.net.test": ()})), "high", {"host": "ns3.net.test"},
         live(dns=seen(servers=(server("ns1.net.test", "185.199.1.1", **failing("no answer over UDP", None)),),
                       hosts={"ns1.net.test": ("185.199.1.1",)})), label="no address; all silent is no verdict"),
    Case("DNS-DELEG-DIFF", live(dns=seen(delegation=Delegation("example", "a.nic.test", ("ns1.net.test",
         "old.net.test")))),
         "medium", {"parent": ["ns1.net.test", "old.net.test"], "zone": list(HOSTS), "parent_server": "a.nic.test"},
         live()),
    Case("DNS-DELEG-DIFF",
         live(dns=seen(delegation=Delegation("example", "a.nic.test", tuple(HOSTS), {"ns1.acme.example": ("1.1.1.1",)},
                                             {"ns1.acme.example": ("1.1.1.2",)}))),
         "medium", {"host": "ns1.acme.example", "parent": ["1.1.1.1"], "zone": ["1.1.1.2"]},
         live(dns=seen(delegation=Delegation("example", "a.nic.test", tuple(HOSTS), {"ns1.acme.example": ("1.1.1.1",)},
                                             {"ns1.acme.example": ("1.1.1.1",)}))), label="glue"),
    Case("DNS-NS-FEW", live(dns=seen(hosts={"ns1.net.test": ("1.1.1.1",)})), "medium",
         {"nameservers": ["ns1.net.test"]}, live()),
    Case("DNS-NS-ONE-NET", live(dns=seen(hosts={"a.test": ("1.1.1.1",), "b.test": ("1.1.1.9",)})), "low",
         {"network": "1.1.1.0/24"}, live()),
    Case("DNS-NS-V6", live(dns=seen(servers=(servers()[0], servers()[2]))), "low", {"servers": []}, live()),
    Case("DNS-NS-TCP", live(dns=seen(servers=servers(second={"tcp": told(f"{ZONE} SOA", status="failed",
         why="refused")}))),
         "medium", {"why": "refused", "question": f"{ZONE} SOA"}, live()),
    Case("DNS-AXFR", live(dns=seen(servers=servers(first={"transfer": Transfer((a(),), 5)}))), "high",
         {"server": "ns1.net.test (185.199.1.1)", "count": 5},
         live(dns=seen(servers=servers(first={"transfer": Transfer((), 1)})))),
    Case("DNS-OPEN-REC", live(dns=seen(servers=servers(first={"recursion": told("a.root-servers.net A",
         "198.41.0.4")}))),
         "medium", {"values": ["198.41.0.4"]}, live()),
    Case("DNS-SOA", live(dns=seen(told("ns1.net.test A", "1.1.1.1", chain=("x.net.test.",)), servers=servers(
             first={"values": Soa("ns1.net.test.", "x.", 7, 600, 900, 3600, 99)}))), "info",
         {"values": ["refresh 600 is below 14400", "retry 900 is not from 3600 up to refresh",
         "expire 3600 is below 604800",
                     "minimum 99 is not within 300..86400", "RNAME x. is no mailbox",
         "MNAME ns1.net.test. is an alias"]}, live()),
    Case("DNS-SERIAL", live(dns=seen(servers=holding(2026010102, 2026010101))), "low",
         {"behind": {"ns2.net.test (140.82.1.1)": "2026-01-03T00:00:00+00:00"}, "allowed_s": 18000},
         live(dns=seen(servers=holding(7, 6))), label="the serial is a date; one look at plain numbers tells nothing"),
    Case("DNS-SERIAL", live(dns=seen(servers=holding(8, 6)), history=looked(hours=6, serial=7)), "low",
         {"behind": {"ns2.net.test (140.82.1.1)": (NOW - timedelta(hours=6)).isoformat()}},
         live(dns=seen(servers=holding(8, 7)), history=looked(hours=6, serial=7)), label="an earlier look saw what it lacks"),
    Case("DNS-SERIAL", live(dns=seen(servers=holding(3, 4294967290)), history=looked(hours=6, serial=1)), "low",
         {"serials": {"ns1.net.test (185.199.1.1)": 3, "ns1.net.test ([2606:50c0::1])": 3,
                      "ns2.net.test (140.82.1.1)": 4294967290}},
         live(dns=seen(servers=holding(8, 6)), history=looked(hours=4, serial=7)),
         label="past the largest serial; not before refresh and retry are over"),
    Case("DNS-DRIFT", live(a(), dns=seen(rows=dict([answer_at("@", "A", "1.1.1.1")]))), "high",
         {"live": ["1.1.1.1"], "wanted": [IP], "server": "ns1.net.test (185.199.1.1)", "at": NOW.isoformat()},
         live(a(), dns=seen(rows=dict([answer_at("@", "A", IP)]))), [("@", "A")]),
    Case("DNS-INVISIBLE", live(a(), dns=seen(rows=dict([answer_at("_sip._tcp", "SRV", "0 5060 x.net.")]))), "critical",
         {"hidden": ["SRV _sip._tcp 0 5060 x.net."]}, live(a(), dns=seen(rows=dict([answer_at("_sip._tcp", "SRV")])))),
    Case("DNS-WILDCARD", live(dns=seen(wildcard=told("feedbeef." + ZONE + " A", IP))), "medium", {"values": [IP]},
         live(),
         label="the servers have one"),
    Case("SEC-DNSSEC-NONE", live(dns=seen(dnssec=Dnssec("unsigned"))), "medium", {"keys": [],
         "server": "a.nic.test (192.0.2.1)"},
         live()),
    Case("SEC-DNSSEC-BOGUS", live(dns=seen(dnssec=Dnssec("bogus", ("no DNSKEY fits",)))), "critical",
         {"why": ["no DNSKEY fits"], "ds": [[1, 13, 2, "ab"]]}, live()),
    Case("SEC-DNSSEC-ALG", live(dns=seen(dnssec=Dnssec("valid", (), ((9, 7, 257),)), delegation=Delegation(
             "example", "a.nic.test", tuple(HOSTS), signers=(DelegationSigner(9, 7, 1, "ab"),)))), "medium",
         {"weak": ["DNSKEY 9: RSASHA1-NSEC3-SHA1", "DS 9: SHA-1"]}, live()),
    Case("SEC-DNSSEC-SOON", live(dns=seen(dnssec=Dnssec("valid", (), (), (signature(), signature("NS",
         timedelta(hours=11)))))),
         "high", {"covers": "NS"}, live(dns=seen(dnssec=Dnssec("valid", (), (),
         (signature(left=timedelta(hours=13)),))))),
    Case("SEC-DNSSEC-SOON", live(dns=seen(dnssec=Dnssec("valid", (), (), (signature(life=timedelta(days=181)),)))),
         "high",
         {"covers": "SOA"}, live(dns=seen(dnssec=Dnssec("valid", (), (), (signature(life=timedelta(days=180)),)))),
         label="long"),
    Case("SEC-NSEC3", live(dns=seen(dnssec=Dnssec("valid", nsec3=(1, "aabb")))), "low", {"iterations": 1,
         "salt": "aabb"},
         live(dns=seen(dnssec=Dnssec("valid", nsec3=(0, ""))))),
    Case("PERF-DNS-RTT", live(dns=seen(servers=servers(second={"rtt_ms": (90.0, 120.0, 101.0)}))), "info",
         {"median_ms": {"ns1.net.test (185.199.1.1)": 11.0, "ns1.net.test ([2606:50c0::1])": 11.0,
                        "ns2.net.test (140.82.1.1)": 101.0}},
         live(dns=seen(servers=servers(second={"rtt_ms": (15.0, 19.0, 19.0)})))),
    Case("PERF-DNS-RTT", live(dns=seen(servers=servers(second={"rtt_ms": (40.0,)}))), "info", {}, live(),
         label="three times"),
    Case("DNS-DANGLE-NX", live(cname("shop", "shop.free.net."), dns=seen(gone("shop.free.net A"))), "critical",
         {"registrable": "free.net", "question": "shop.free.net A", "server": RESOLVER, "at": NOW.isoformat()},
         live(cname("shop", "shop.free.net."), dns=seen(told("shop.free.net A", IP))), [("shop", "CNAME")], fix=True),
    Case("DNS-DANGLE-NX", live(cname("shop", "x.owned.co.uk."), dns=seen(gone("x.owned.co.uk A", "owned.co.uk"))),
         "high",
         {"registrable": None}, live(cname("shop", "x.owned.co.uk."), dns=seen(told("x.owned.co.uk A"))), [("shop",
         "CNAME")],
         fix=True, label="owned by somebody"),
    Case("DNS-DANGLE-NX", live(mx("mx.free.co.uk."), dns=seen(gone("mx.free.co.uk A", "co.uk"))), "critical",
         {"registrable": "free.co.uk"}, live(mx("."), dns=seen()), [("@", "MX")],
         label="the only MX; country registry"),
    Case("DNS-DANGLE-NX", live(txt("v=spf1 include:_spf.free.net mx -all"), dns=seen(gone("_spf.free.net TXT"))),
         "critical",
         {"registrable": "free.net"}, live(txt("v=spf1 include:_spf.free.net -all"),
         dns=seen(told("_spf.free.net TXT", "v=spf1 -all"))),
         [("@", "TXT")], fix=True, label="include"),
    Case("DNS-DANGLE-NX", live(EXT, dns=seen(*WALK[:2], gone("reports.net MX"),
         gone(f"{ZONE}._report._dmarc.reports.net TXT"))),
         "critical", {"registrable": "reports.net"},
         live(EXT, dns=seen(*WALK, told(f"{ZONE}._report._dmarc.reports.net TXT", "v=DMARC1"))), [("_dmarc", "TXT")],
         label="rua"),
    Case("DNS-DANGLE-SVC", live(cname("app", "x.azurewebsites.net."), dns=seen(gone("x.azurewebsites.net A",
         "azurewebsites.net"))),
         "critical", {"service": "Microsoft Azure", "server": RESOLVER},
         live(cname("app", "x.azurewebsites.net."), dns=seen(told("x.azurewebsites.net A", IP))), [("app", "CNAME")],
         fix=True),
    Case("DNS-DANGLE-SVC", live(PAGES, dns=seen(PAGES_THERE),
         http=page(b"<p>There isn't a GitHub Pages site here.</p>")), "medium",
         {"service": "GitHub Pages", "grade": "edge", "server": f"https://www.{ZONE}/"},
         live(PAGES, dns=seen(PAGES_THERE), http=page(b"welcome")), [("www", "CNAME")], fix=True, label="page"),
    Case("DNS-DANGLE-SVC", live(cname("www", "acme.bitbucket.io."), dns=seen(told("acme.bitbucket.io A", IP)),
         http=page(b"<title>Repository not found</title>")), "critical", {"service": "Bitbucket", "grade": "open"},
         live(cname("www", "acme.cloudfront.net."), dns=seen(told("acme.cloudfront.net A", IP)),
              http=page(b"Repository not found")), [("www", "CNAME")], fix=True,
         label="open to anybody; a service that asks for a proof"),
    Case("DNS-DANGLE-NS", live(NS, dns=seen(NS_THERE, cuts=(cut("failed", "REFUSED"),))), "critical", {},
         live(NS, dns=seen(NS_THERE, cuts=(cut("failed", "REFUSED"), cut("found", authoritative=True)))), [("sub",
         "NS")], fix=True),
    Case("DNS-DANGLE-IP", live(a(), inventory=instance("terminated")), "high", {"instance": "i1",
         "status": "terminated"},
         live(a(), inventory=instance("active")), [("@", "A")]),
    Case("MAIL-DMARC-EXT", live(EXT, dns=seen(*WALK, gone(f"{ZONE}._report._dmarc.reports.net TXT", "reports.net"))),
         "medium",
         {"host": "reports.net", "question": f"{ZONE}._report._dmarc.reports.net TXT"},
         live(EXT, dns=seen(*WALK, told(f"{ZONE}._report._dmarc.reports.net TXT", "v=DMARC1;"))), [("_dmarc", "TXT")]),
    # -- what the zone alone could tell only in part -------------------------------------------------------------------
    Case("DNS-CNAME-LOOP", live(cname("a", "x.net."), dns=seen(told("x.net A", status="failed",
         why="aliases lead in a circle"))),
         "high", {"path": ["a", "x.net."]}, live(cname("a", "x.net."), dns=seen(told("x.net A", IP))), [("a", "CNAME")],
         label="outside"),
    Case("DNS-MX-CNAME", live(mx("mx.net."), dns=seen(told("mx.net A", IP, chain=("y.net.",)))), "high",
         {"aliases": ["y.net."]},
         live(mx("mx.net."), dns=seen(told("mx.net A", IP))), [("@", "MX")], label="outside"),
    Case("DNS-NS-CNAME", live(NS, dns=seen(told("ns.dns.test A", IP, chain=("y.net.",)))), "high",
         {"aliases": ["y.net."]},
         live(NS, dns=seen(NS_THERE)), [("sub", "NS")], label="outside"),
    Case("DNS-MX-NOADDR", live(mx("mx.net."), dns=seen(told("mx.net A"), told("mx.net AAAA"))), "high",
         {"host": "mx.net."},
         live(mx("mx.net."), dns=seen(told("mx.net A"), told("mx.net AAAA", "2606:50c0::1"))), [("@", "MX")],
         label="outside"),
    Case("DNS-SPECIAL-IP", live(cname("in", "x.net."), dns=seen(told("x.net A", "10.0.0.1"))), "high",
         {"block": "private"},
         live(cname("in", "x.net."), dns=seen(told("x.net A", IP))), [("in", "CNAME")], label="outside"),
    Case("PERF-CHAIN", live(cname("a", "b.net."), dns=seen(told("b.net A", IP, chain=("c.net.", "d.net.")))), "medium",
         {"hops": ["b.net.", "c.net.", "d.net."], "server": RESOLVER},
         live(cname("a", "b.net."), dns=seen(told("b.net A", IP, chain=("c.net.",)))), [("a", "CNAME")],
         label="outside"),
    Case("MAIL-SPF-LOOKUPS",
         live(txt("v=spf1 include:a.net include:b.net -all"), dns=seen(
             told("a.net TXT", "v=spf1 " + "exists:%{i}.x.net " * 9 + "-all"), told("b.net TXT", "x",
         "v=spf1 ip4:1.1.1.1 -all"))),
         "high", {"at_least": 11, "terms": [{"term": "include:a.net", "lookups": 10}, {"term": "include:b.net",
         "lookups": 1}],
                  "server": RESOLVER},
         live(txt("v=spf1 include:a.net include:b.net -all"), dns=seen(
             told("a.net TXT", "v=spf1 " + "exists:%{i}.x.net " * 8 + "-all"), told("b.net TXT",
         "v=spf1 ip4:1.1.1.1 -all a mx ptr"))),
         [("@", "TXT")], label="tree"),
    Case("MAIL-SPF-INCLUDE", live(txt("v=spf1 include:a.net -all"), dns=seen(told("a.net TXT", "v=spf1 -all",
         "v=spf1 ~all"))), "high",
         {"terms": ["include:a.net"]}, live(txt("v=spf1 include:a.net -all"), dns=seen(told("a.net TXT",
         "v=spf1 -all"))),
         [("@", "TXT")], label="two of them"),
    Case("MAIL-SPF-MX10", live(txt("v=spf1 mx:a.net -all"), dns=seen(told("a.net MX",
         *(f"m{n:02}.a.net." for n in range(11))))),
         "medium", {"term": "mx:a.net", "hosts": 11}, live(), [("@", "TXT")], label="outside"),
    Case("MAIL-DKIM-KEY", live(cname("s._domainkey", "s.keys.net."), dns=seen(
             told("s.keys.net A", IP), told("s.keys.net TXT", "v=DKIM1; p=AAAA"))), "high", {"bits": None},
         live(cname("s._domainkey", "s.keys.net."), dns=seen(told("s.keys.net A", IP), told("s.keys.net TXT",
         "v=DKIM1; p="))),
         [("s._domainkey", "TXT")], label="in another zone"),
    Case("MAIL-DMARC-WEAK", live(cname("_dmarc", "d.net."), *MAIL, dns=seen(told("d.net A"), told("d.net AAAA"),
             told("d.net TXT", "v=DMARC1; p=none; rua=mailto:d@acme.example"))), "medium", {"effective": "none"},
         live(cname("_dmarc", "d.net."), dns=seen(told("d.net TXT", "v=DMARC1; p=reject"))), [("_dmarc", "TXT")],
         label="in another zone"),
    Case("MAIL-DMARC-NONE", live(*MAIL, cname("_dmarc", "d.net."), dns=seen(told("d.net TXT"))), "high", {},
         live(*MAIL, dns=seen(told("_dmarc.example TXT", "v=DMARC1; p=reject; psd=y"))),
         label="behind an alias; inherited"),
]  # fmt: skip
