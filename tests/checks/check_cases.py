"""One case a check: facts where it fires, with the evidence it must give, and facts where it stays silent."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from sophia_cli.checks.facts import Background, Facts, Registration
from sophia_cli.core.dns import Record, Zone
from sophia_cli.core.settings import DesiredRecord, DesiredZone, Intelligence, Settings, Ssl

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
IP = "185.199.108.153"
IP2 = "185.199.109.153"
IP6 = "2606:50c0:8000::153"


def row(name: str, kind: str, value: str, ttl: int | None = 3600, priority: int | None = None) -> Record:
    return Record(name, kind, value, ttl, 10 if kind == "MX" and priority is None else priority)


def a(name: str = "@", value: str = IP, ttl: int = 3600) -> Record:
    return row(name, "A", value, ttl)


def cname(name: str, value: str, ttl: int = 3600) -> Record:
    return row(name, "CNAME", value, ttl)


def mx(value: str, name: str = "@", priority: int = 10) -> Record:
    return row(name, "MX", value, 3600, priority)


def txt(value: str, name: str = "@") -> Record:
    return row(name, "TXT", value)


def facts(
    *rows: Record,
    mode: str = "MX",
    settings: Settings | None = None,
    background: Background = Background(),  # noqa: B008
) -> Facts:
    return Facts(Zone.of("acme.example", mode, rows), NOW, settings, background)


def wanting(*rows: Record, email_type: str | None = None, ssl: Ssl = Ssl(), **wishes: Any) -> Settings:
    desired = tuple(DesiredRecord(one, f"dns.records.r{n}") for n, one in enumerate(rows))
    zone = DesiredZone("acme.example", "dns", desired, email_type=email_type)
    return Settings("test", "test", zones=(zone,), ssl=ssl, intelligence=Intelligence(**wishes))


def registered(**known: Any) -> Background:
    return Background(registration=Registration(**known))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = size.to_bytes((size.bit_length() + 7) // 8 or 1, "big")
    return bytes([tag]) + (length if size < 128 else bytes([0x80 | len(length)]) + length) + content


def dkim_key(bits: int) -> str:
    """The `p` of an RSA key record of this size (any odd number of that length will do)."""
    modulus = b"\0" + ((1 << bits) - 1).to_bytes(bits // 8, "big")
    key = _der(0x30, _der(0x02, modulus) + _der(0x02, b"\x01\x00\x01"))
    algorithm = _der(0x30, bytes.fromhex("06092a864886f70d0101010500"))
    return base64.b64encode(_der(0x30, algorithm + _der(0x03, b"\0" + key))).decode()


@dataclass
class Case:
    id: str
    fires: Facts
    severity: str
    evidence: dict[str, Any]
    silent: Facts
    rows: Iterable[tuple[str, str]] = field(default_factory=list)
    """(name, type) of the records in the evidence."""
    fix: bool = False
    label: str = ""


SPF = txt("v=spf1 mx ~all")
MAIL = (mx("mx.acme.example."), a("mx"))
DMARC = "_dmarc"
GOOD_DMARC = txt("v=DMARC1; p=reject; rua=mailto:dmarc@acme.example", DMARC)
GOOD_KEY = txt(f"v=DKIM1; k=rsa; p={dkim_key(2048)}", "s1._domainkey")
STS = txt("v=STSv1; id=20261122", "_mta-sts")
LETSENCRYPT = wanting(ssl=Ssl(provider="letsencrypt", domains=("acme.example", "*.acme.example")))
TOKEN = "ghp_EXAMPLEexampleEXAMPLEexample0123456789"

CASES = [
    Case("DNS-CNAME-OTHER", facts(cname("shop", "x.hosted.net."), txt("hello", "shop")), "high", {},
         facts(cname("shop", "x.hosted.net."), txt("hello")), [("shop", "CNAME"), ("shop", "TXT")]),
    Case("DNS-CNAME-APEX", facts(cname("@", "x.hosted.net.")), "high", {}, facts(row("@", "ALIAS", "x.hosted.net.")),
         [("@", "CNAME")], fix=True),
    Case("DNS-CNAME-APEX", facts(cname("@", "x.hosted.net."), a()), "high", {}, facts(cname("www", "x.hosted.net.")),
         [("@", "CNAME")], label="beside an A"),
    Case("DNS-CNAME-MULTI", facts(cname("b", "x.net."), cname("b", "y.net.")), "high", {}, facts(cname("b", "x.net.")),
         [("b", "CNAME"), ("b", "CNAME")]),
    Case("DNS-CNAME-LOOP", facts(cname("a", "b.acme.example."), cname("b", "a.acme.example.")), "high",
         {"path": ["a", "b", "a"]}, facts(cname("a", "b.acme.example."), a("b")), [("a", "CNAME"), ("b", "CNAME")]),
    Case("DNS-MX-CNAME", facts(mx("mail.acme.example."), cname("mail", "x.net.")), "high", {}, facts(*MAIL),
         [("@", "MX"), ("mail", "CNAME")]),
    Case("DNS-NS-CNAME", facts(row("sub", "NS", "ns.acme.example."), cname("ns", "x.net.")), "high", {},
         facts(row("sub", "NS", "ns.acme.example."), a("ns")), [("sub", "NS"), ("ns", "CNAME")]),
    Case("DNS-MX-IP", facts(mx("185.199.109.9.")), "high", {}, facts(*MAIL), [("@", "MX")], fix=True),
    Case("DNS-MX-IP", facts(mx("185.199.109.9.acme.example."), a("mail", "1.1.1.1")), "high", {}, facts(*MAIL), [("@", "MX")],
         fix=True, label="from a master file, and mail is taken"),
    Case("DNS-MX-NOADDR", facts(mx("mx.acme.example.")), "high", {"host": "mx.acme.example."},
         facts(mx("mx.acme.example."), a("*")), [("@", "MX")]),
    Case("DNS-MX-NULL-MIX", facts(mx("."), *MAIL), "high", {}, facts(mx(".", priority=0)), [("@", "MX"), ("@", "MX")], fix=True),
    Case("DNS-MX-NULL-MIX", facts(mx(".", priority=10)), "high", {}, facts(*MAIL), [("@", "MX")], label="preference"),
    Case("DNS-MX-IMPLICIT", facts(a()), "info", {}, facts(a(), mode="FWD"), [("@", "A")]),
    Case("DNS-MX-IMPLICIT", facts(a(), mode="NONE", settings=wanting(email_type="NONE")), "low", {}, facts(a(), *MAIL),
         [("@", "A")], fix=True, label="declared"),
    Case("DNS-DUP", facts(a(), background=Background(repeated=(a(),), lines={a().key: (3, 9)})), "low",
         {"lines": [3, 9], "repeated": [a().data()]}, facts(a()), [("@", "A")]),
    Case("DNS-TTL-SET", facts(a(ttl=600), a(value=IP2, ttl=900)), "medium", {}, facts(a(ttl=600), a("b", IP2, 900)),
         [("@", "A"), ("@", "A")], fix=True),
    Case("DNS-TTL-SET", facts(a(ttl=60), a(value=IP2, ttl=90000)), "medium", {}, facts(a()), [("@", "A"), ("@", "A")], fix=True,
         label="none is good"),
    Case("DNS-TTL-RANGE", facts(a(ttl=86400)), "medium", {}, facts(a(ttl=60000)), [("@", "A")], fix=True),
    Case("DNS-TTL-RANGE", facts(a(ttl=5)), "medium", {}, facts(a(ttl=60)), [("@", "A")], fix=True, label="too low"),
    Case("DNS-SPECIAL-IP", facts(a("x", "192.168.1.1"), a("y", "10.0.0.1")), "high", {"block": "private"}, facts(a("x")),
         [("x", "A"), ("y", "A")]),
    Case("DNS-SPECIAL-IP", facts(row("x", "AAAA", "2001:db8::1")), "medium", {"block": "documentation"},
         facts(row("x", "AAAA", IP6)), [("x", "AAAA")], label="documentation"),
    Case("DNS-NAME-SYNTAX", facts(a("dev_api")), "high", {"name": "dev_api"}, facts(txt("x", "_dmarc"), a("dev-api"), a("*.x")),
         [("dev_api", "A")]),
    Case("DNS-NAME-SYNTAX", facts(mx("mail_1.other.net.")), "high", {"name": "mail_1.other.net."}, facts(mx("mail-1.other.net.")),
         [("@", "MX")], label="target"),
    Case("DNS-NAME-SYNTAX", facts(a("x" * 64)), "high", {"why": "a label is 64 characters long; 63 are allowed"},
         facts(a("x" * 63)), [("x" * 64, "A")], label="long label"),
    Case("DNS-DOUBLED", facts(cname("docs", "guide.acme.example.acme.example."), a("guide")), "high", {},
         facts(cname("docs", "guide.acme.example."), a("guide")), [("docs", "CNAME")], fix=True),
    Case("DNS-DOUBLED", facts(a("www.acme.example")), "high", {"name": "www.acme.example.acme.example"},
         facts(a("www.acme")), [("www.acme.example", "A")], fix=True, label="owner"),
    Case("DNS-DOUBLED", facts(a("www.acme.example"), a("www")), "high", {}, facts(a("www")), [("www.acme.example", "A")],
         fix=True, label="the right one is there"),
    Case("DNS-DOUBLED", facts(a("www.acme.example"), cname("www", "x.net.")), "high", {}, facts(a("www")),
         [("www.acme.example", "A")], label="a CNAME is in the way"),
    Case("DNS-WILDCARD", facts(a("*")), "medium", {"named_by_environment": False}, facts(a("x")), [("*", "A")]),
    Case("DNS-WILDCARD", facts(a("*"), settings=wanting(a("*"))), "info", {"named_by_environment": True}, facts(a("star")),
         [("*", "A")], label="wanted"),
    Case("DNS-WILDCARD-GAP", facts(a("*"), a("db.eu")), "low", {"name": "eu", "wildcard": "*"},
         facts(a("*"), a("db.eu"), a("eu"), txt("x", "s._domainkey")), [("*", "A"), ("db.eu", "A")]),
    Case("DNS-ACME-LEFT", facts(txt("token", "_acme-challenge")), "low", {"age": "not known"},
         facts(cname("_acme-challenge", "x.net.")), [("_acme-challenge", "TXT")], fix=True),
    Case("DNS-ACME-LEFT", facts(txt("token", "_acme-challenge.a")), "low", {},
         facts(txt("t", "_acme-challenge"), background=Background(changed={txt("t", "_acme-challenge").key: NOW})),
         [("_acme-challenge.a", "TXT")], fix=True, label="a fresh one stays"),
    Case("MAIL-SPF-NONE", facts(mode="FWD"), "medium",
         {"suggestion": "v=spf1 include:spf.efwd.registrar-servers.com ~all", "email_type": "FWD"}, facts(SPF), fix=True),
    Case("MAIL-SPF-NONE", facts(mx("aspmx.l.google.com."), mx("alt1.aspmx.l.google.com.", priority=20)), "medium",
         {"suggestion": "v=spf1 include:_spf.google.com ~all"}, facts(SPF, *MAIL), [("@", "MX")] * 2, fix=True, label="google"),
    Case("MAIL-SPF-NONE", facts(*MAIL), "medium", {"suggestion": "v=spf1 mx ~all"}, facts(txt("v=spf1"), *MAIL), [("@", "MX")],
         fix=True, label="own hosts"),
    Case("MAIL-SPF-NONE", facts(mx("mx.unknown.net.")), "medium", {"suggestion": None}, facts(txt("V=SPF1 -all")), [("@", "MX")],
         label="unknown service"),
    Case("MAIL-SPF-NONE", facts(a(), mode="NONE", settings=wanting(email_type="NONE")), "low", {"suggestion": "v=spf1 -all"},
         facts(txt("v=spf 1 -all")), fix=True, label="mail-less"),
    Case("MAIL-SPF-MULTI", facts(SPF, txt("v=spf1 ip4:1.1.1.1 -all")), "high", {}, facts(SPF, txt("v=spf1 -all", "sub")),
         [("@", "TXT")] * 2, fix=True),
    Case("MAIL-SPF-MULTI", facts(SPF, txt("v=spf1 redirect=x.net")), "high", {}, facts(SPF), [("@", "TXT")] * 2,
         label="cannot be merged"),
    Case("MAIL-SPF-SYNTAX", facts(txt("v=spf1 ipv4:1.1.1.1 -all")), "high",
         {"errors": [{"term": "ipv4:1.1.1.1", "why": "unknown mechanism 'ipv4'"}]}, facts(SPF), [("@", "TXT")]),
    Case("MAIL-SPF-TYPO", facts(txt("v=spf 1 mx -all")), "medium", {"meant": "v=spf1 mx -all"}, facts(SPF, txt("spfx")),
         [("@", "TXT")], fix=True),
    Case("MAIL-SPF-TYPO", facts(txt("“v=spf1 mx -all”"), SPF), "medium", {"meant": "v=spf1 mx -all"}, facts(SPF), [("@", "TXT")],
         label="beside a good one"),
    Case("MAIL-SPF-LOOKUPS", facts(txt("v=spf1 " + " ".join(f"include:s{n}.net" for n in range(11)) + " -all")), "high",
         {"at_least": 11}, facts(txt("v=spf1 " + " ".join(f"include:s{n}.net" for n in range(10)) + " -all")), [("@", "TXT")]),
    Case("MAIL-SPF-LOOKUPS",
         facts(txt("v=spf1 include:_a.acme.example -all"), txt("v=spf1 " + "exists:%{i}.x.net " * 10 + "-all", "_a")), "high",
         {"at_least": 11, "terms": [{"term": "include:_a.acme.example", "lookups": 11}]},
         facts(txt("v=spf1 redirect=x.net " + "a:y.net " * 10 + "-all")), [("@", "TXT")], label="nested; redirect beside all"),
    Case("MAIL-SPF-VOID", facts(txt("v=spf1 a:x.acme.example a:y.acme.example exists:z.acme.example -all")), "medium",
         {"terms": ["a:x.acme.example", "a:y.acme.example", "exists:z.acme.example"]},
         facts(txt("v=spf1 a:x.acme.example a:y.acme.example a:z.acme.example -all"), a("z")), [("@", "TXT")]),
    Case("MAIL-SPF-MX10", facts(txt("v=spf1 mx -all"), *(mx(f"m{n}.x.net.") for n in range(11))), "medium",
         {"term": "mx", "hosts": 11}, facts(txt("v=spf1 mx -all"), *(mx(f"m{n}.x.net.") for n in range(10))), [("@", "TXT")]),
    Case("MAIL-SPF-INCLUDE", facts(txt("v=spf1 include:_spf.acme.example -all")), "high",
         {"terms": ["include:_spf.acme.example"]},
         facts(txt("v=spf1 include:_spf.acme.example -all"), txt("v=spf1 a -all", "_spf")), [("@", "TXT")]),
    Case("MAIL-SPF-ALL", facts(txt("v=spf1 mx +all")), "critical", {"all": "+all", "senders": ["mx"]}, facts(SPF),
         [("@", "TXT")], fix=True),
    Case("MAIL-SPF-ALL", facts(txt("v=spf1 mx ?all exp=x.net")), "high", {"all": "?all"}, facts(txt("v=spf1 redirect=x.net")),
         [("@", "TXT")], fix=True, label="neutral"),
    Case("MAIL-SPF-ALL", facts(txt("v=spf1 mx")), "medium", {"all": None}, facts(txt("v=spf1 mx -all")), [("@", "TXT")], fix=True,
         label="no end"),
    Case("MAIL-SPF-DEAD", facts(txt("v=spf1 mx -all include:late.net redirect=x.net")), "low",
         {"terms": ["include:late.net", "redirect=x.net"]}, facts(txt("v=spf1 mx -all exp=x.net")), [("@", "TXT")], fix=True),
    Case("MAIL-SPF-PTR", facts(txt("v=spf1 ptr -all")), "low", {"terms": ["ptr"]}, facts(SPF), [("@", "TXT")]),
    Case("MAIL-SPF-WIDE", facts(txt("v=spf1 ip4:9.0.0.0/8 ip6:2a00::/20 a/8 -all")), "high",
         {"terms": ["ip4:9.0.0.0/8", "ip6:2a00::/20", "a/8"]},
         facts(txt("v=spf1 ip4:9.9.0.0/16 ip6:2a00::/32 -ip4:8.0.0.0/8 -all")),
         [("@", "TXT")]),
    Case("MAIL-DMARC-NONE", facts(*MAIL), "high", {"suggestion": "v=DMARC1; p=none"}, facts(GOOD_DMARC, *MAIL), fix=True),
    Case("MAIL-DMARC-NONE", facts(a()), "low", {}, facts(cname(DMARC, "x.net.")), fix=True, label="no mail; delegated"),
    Case("MAIL-DMARC-NONE", facts(a(), mode="FWD"), "medium", {}, facts(txt("v=dmarc1", DMARC)), fix=True, label="forwarding"),
    Case("MAIL-DMARC-NONE", facts(a(), mode="NONE", settings=wanting(email_type="NONE")), "low",
         {"suggestion": "v=DMARC1; p=reject"}, facts(GOOD_DMARC), fix=True, label="mail-less"),
    Case("MAIL-DMARC-MULTI", facts(GOOD_DMARC, txt("v=DMARC1; p=none", DMARC)), "high", {},
         facts(GOOD_DMARC, txt("v=DMARC1", "_dmarc.sub")), [(DMARC, "TXT")] * 2),
    Case("MAIL-DMARC-SYNTAX", facts(txt("p=reject; v=DMARC1; rua=x@acme.example", DMARC)), "high",
         {"errors": ["it must start with v=DMARC1, in capitals", "rua needs URIs such as mailto:NAME@HOST"]},
         facts(GOOD_DMARC, txt("v=DMARC1; unknown=1; p=NONE; psd=n; t=n; aspf=s;", "_dmarc.sub")), [(DMARC, "TXT")], fix=True),
    Case("MAIL-DMARC-SYNTAX", facts(txt("v=DMARC1; p=rejected", DMARC)), "high",
         {"errors": ["p must be one of none, quarantine, reject"]}, facts(txt("v = DMARC1 ;p=reject", DMARC)), [(DMARC, "TXT")],
         label="not one reading"),
    Case("MAIL-DMARC-WEAK", facts(txt("v=DMARC1; p=none", DMARC), SPF, GOOD_KEY, *MAIL), "medium", {"effective": "none"},
         facts(txt("v=DMARC1; p=quarantine", DMARC)), [(DMARC, "TXT")], fix=True),
    Case("MAIL-DMARC-WEAK", facts(txt("v=DMARC1; rua=mailto:a@b.net", DMARC), SPF, mode="FWD"), "low", {"effective": "none"},
         facts(GOOD_DMARC), [(DMARC, "TXT")], label="not ready for more"),
    Case("MAIL-DMARC-WEAK", facts(txt("v=DMARC1; p=reject; t=y", DMARC), SPF, GOOD_KEY), "info", {"effective": "quarantine"},
         facts(txt("v=DMARC1; p=reject; t=n", DMARC)), [(DMARC, "TXT")], fix=True, label="test mode"),
    Case("MAIL-DMARC-SUB", facts(txt("v=DMARC1; p=reject; sp=none; np=quarantine", DMARC)), "medium", {"tags": ["sp", "np"]},
         facts(txt("v=DMARC1; p=quarantine; sp=reject", DMARC)), [(DMARC, "TXT")], fix=True),
    Case("MAIL-DMARC-OLD", facts(txt("v=DMARC1; p=reject; pct=100; rua=mailto:a@b.net!10m", DMARC)), "low",
         {"tags": ["pct"], "sizes": ["rua"]}, facts(GOOD_DMARC), [(DMARC, "TXT")], fix=True),
    Case("MAIL-DMARC-OLD", facts(txt("v=DMARC1; p=reject; pct=50", DMARC)), "low", {"tags": ["pct"]}, facts(GOOD_DMARC),
         [(DMARC, "TXT")], label="pct below 100"),
    Case("MAIL-DMARC-BLIND", facts(txt("v=DMARC1; p=none", DMARC), *MAIL), "low", {},
         facts(txt("v=DMARC1; p=reject", DMARC), a()), [(DMARC, "TXT")]),
    Case("MAIL-DMARC-BLIND", facts(txt("v=DMARC1; p=quarantine", DMARC), a()), "info", {}, facts(GOOD_DMARC, *MAIL),
         [(DMARC, "TXT")], label="no mail"),
    Case("MAIL-DKIM-NONE", facts(*MAIL), "medium", {"email_type": "MX"}, facts(*MAIL, cname("k1._domainkey", "x.net.")),
         [("@", "MX")]),
    Case("MAIL-DKIM-KEY", facts(txt(f"v=DKIM1; p={dkim_key(512)}", "s._domainkey")), "high", {"bits": 512}, facts(GOOD_KEY),
         [("s._domainkey", "TXT")]),
    Case("MAIL-DKIM-KEY", facts(txt(f"k=rsa; p={dkim_key(1024)}", "s._domainkey")), "medium", {"bits": 1024},
         facts(txt("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "s._domainkey")),
         [("s._domainkey", "TXT")], label="weak"),
    Case("MAIL-DKIM-KEY", facts(txt(f"v=DKIM1; p={dkim_key(2048)}"[:255], "s._domainkey.news")), "high", {"bits": None},
         facts(txt("v=DKIM1; p=", "s._domainkey")), [("s._domainkey.news", "TXT")], label="cut"),
    Case("MAIL-DKIM-TEST", facts(txt("v=DKIM1; p=", "s._domainkey")), "low", {"state": "revoked"}, facts(GOOD_KEY),
         [("s._domainkey", "TXT")], fix=True),
    Case("MAIL-DKIM-TEST", facts(txt(f"v=DKIM1; t=s:y; p={dkim_key(2048)}", "s._domainkey")), "low", {"state": "test"},
         facts(txt(f"v=DKIM1; t=s; p={dkim_key(2048)}", "s._domainkey")), [("s._domainkey", "TXT")], label="test mode"),
    Case("MAIL-MTASTS", facts(*MAIL), "info", {}, facts(a()), [("@", "MX")]),
    Case("MAIL-MTASTS", facts(txt("v=STSv1; id=2026-11", "_mta-sts"), a("mta-sts")), "medium", {},
         facts(STS, cname("mta-sts", "x.net.")), [("_mta-sts", "TXT")], fix=True, label="bad id"),
    Case("MAIL-MTASTS", facts(STS, txt("v=STSv1; id=2", "_mta-sts"), a("mta-sts")), "medium", {}, facts(STS, a("mta-sts")),
         [("_mta-sts", "TXT")] * 2, label="two"),
    Case("MAIL-MTASTS", facts(STS), "medium", {}, facts(STS, a("mta-sts")), [("_mta-sts", "TXT")], label="no host"),
    Case("MAIL-TLSRPT", facts(STS), "low", {}, facts(STS, txt("v=TLSRPTv1; rua=mailto:a@b.net,https://x.net/r", "_smtp._tls")),
         [("_mta-sts", "TXT")]),
    Case("MAIL-TLSRPT", facts(txt("v=TLSRPTv1; rua=a@b.net", "_smtp._tls")), "low", {}, facts(a()), [("_smtp._tls", "TXT")],
         label="invalid"),
    Case("MAIL-BIMI", facts(txt("v=BIMI1; l=http://x.net/a.png", "default._bimi")), "low",
         {"errors": ["l must be the https address of an SVG", "DMARC must quarantine or reject, subdomains too"]},
         facts(txt("v=BIMI1; l=https://x.net/a.svg", "default._bimi"), GOOD_DMARC), [("default._bimi", "TXT")]),
    Case("CAA-NONE", facts(a()), "low", {"issuer": None}, facts(row("@", "CAA", '0 issue ";"'))),
    Case("CAA-NONE", facts(a(), settings=LETSENCRYPT), "low", {"issuer": "letsencrypt.org"},
         facts(row("@", "CAA", '0 issue ";"')), fix=True, label="issuer known"),
    Case("CAA-SYNTAX", facts(row("@", "CAA", '1 issue "letsencrypt.org"')), "high", {"why": "the flags are 1, not 0 or 128"},
         facts(*(row("@", "CAA", value) for value in (
             '0 issue "letsencrypt.org; validationmethods=dns-01; accounturi=https://x.net/1"', '0 issue ";"', '0 other "x"',
             '128 issuewild "pki.goog"', '0 iodef "mailto:a@b.net"', '0 issue ""'))), [("@", "CAA")]),
    Case("CAA-SYNTAX", facts(row("@", "CAA", '0 issue "let us encrypt"')), "high",
         {"why": "issue needs the domain name of an authority"}, facts(a()), [("@", "CAA")], label="issuer"),
    Case("CAA-SYNTAX", facts(row("@", "CAA", '128 future "x"')), "high",
         {"why": "the unknown tag future is critical, so nobody may issue"}, facts(row("@", "CAA", '0 future "x"')),
         [("@", "CAA")], label="critical"),
    Case("CAA-SYNTAX", facts(row("@", "CAA", '0 iodef "a@b.net"')), "high",
         {"why": "iodef needs a mailto, http or https address"},
         facts(row("@", "CAA", '0 iodef "https://x.net"')), [("@", "CAA")], label="iodef"),
    Case("CAA-BLOCKS", facts(row("@", "CAA", '0 issue "pki.goog"'), settings=LETSENCRYPT), "high",
         {"issuer": "letsencrypt.org", "domain": "acme.example"},
         facts(row("@", "CAA", '0 issue "LetsEncrypt.org"'), settings=LETSENCRYPT), [("@", "CAA")], fix=True),
    Case("CAA-BLOCKS",
         facts(row("@", "CAA", '0 issue "letsencrypt.org"'), row("@", "CAA", '0 issuewild ";"'), settings=LETSENCRYPT), "high",
         {"domain": "*.acme.example"}, facts(row("sub", "CAA", '0 issue "pki.goog"'), settings=LETSENCRYPT), [("@", "CAA")],
         fix=True, label="wildcard"),
    Case("CAA-ACCT", facts(row("@", "CAA", '0 issue "pki.goog"')), "info", {},
         facts(row("@", "CAA", '0 issue "letsencrypt.org; validationmethods=dns-01"')), [("@", "CAA")]),
    Case("TXT-SECRET", facts(txt(f"github_token={TOKEN}", "deploy")), "critical", {"kinds": ["GitHub token"], "length": [42]},
         facts(GOOD_KEY, txt("google-site-verification=abcDEF0123456789abcDEF0123456789")), [("deploy", "TXT")], fix=True),
    Case("TXT-SECRET", facts(txt("db password=hG7-kL2_qW9zT4", "x")), "critical", {"kinds": ["named secret"]},
         facts(txt("password: required", "x"), txt("secret=aaaaaaaaaaaa", "y")), [("x", "TXT")], fix=True, label="named"),
    Case("TXT-STALE", facts(txt("MS=ms111"), txt("MS=ms222")), "low", {"service": "ms"},
         facts(txt("MS=ms111"), txt("google-site-verification=x")), [("@", "TXT")] * 2),
    Case("PERF-TTL-LOW", facts(a(ttl=60), a("b", ttl=299)), "low", {"history": "not known"}, facts(a(ttl=300)),
         [("@", "A"), ("b", "A")], fix=True),
    Case("PERF-TTL-LOW", facts(a(ttl=60), background=Background(changed={})), "low", {"history": "known"},
         facts(a(ttl=60), background=Background(changed={a().key: NOW})), [("@", "A")], fix=True, label="changed lately"),
    Case("PERF-TTL-HIGH", facts(a(ttl=7200), settings=wanting(a(value=IP2))), "medium", {},
         facts(a(ttl=7200), settings=wanting(a())), [("@", "A")], fix=True),
    Case("PERF-CHAIN",
         facts(cname("a", "b.acme.example."), cname("b", "c.acme.example."), cname("c", "d.acme.example."), a("d")), "medium",
         {"hops": ["b.acme.example.", "c.acme.example.", "d.acme.example."]},
         facts(cname("b", "c.acme.example."), cname("c", "d.acme.example."), a("d")),
         [("a", "CNAME"), ("b", "CNAME"), ("c", "CNAME")]),
    Case("PERF-V6", facts(a(), a("www")), "info", {}, facts(a(), row("@", "AAAA", IP6), a("api")), [("@", "A"), ("www", "A")]),
    Case("COST-EXPIRE", facts(a(), background=registered(expires=date(2026, 11, 26), auto_renew=False)), "critical",
         {"days_left": 4, "expires": "2026-11-26", "auto_renew": False},
         facts(a(), background=registered(expires=date(2026, 11, 26), auto_renew=True))),
    Case("COST-EXPIRE", facts(a(), background=registered(expires=date(2026, 12, 10), auto_renew=False)), "high",
         {"days_left": 18},
         facts(a(), background=registered(expires=date(2026, 12, 22), auto_renew=False)), label="in a month"),
    Case("COST-IDLE", facts(cname("www", "parkingpage.namecheap.com."), mode="NONE", background=registered(auto_renew=True)),
         "low", {"auto_renew": True}, facts(a(), background=registered(auto_renew=True)), [("www", "CNAME")]),
    Case("REG-LOCK", facts(a(), background=registered(locked=False, privacy=False)), "medium",
         {"off": ["registrar lock", "domain privacy"]}, facts(a(), background=registered(locked=True, privacy=True))),
    Case("REG-LOCK", facts(a(), background=registered(locked=True, privacy=False)), "low", {"off": ["domain privacy"]},
         facts(a(), background=registered())),
]  # fmt: skip
