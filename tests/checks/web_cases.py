"""Cases of the checks on web answers, measurements, cloud instances and bought certificates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sophia_cli.checks.facts import Background, Facts, PaidCertificate, Registration
from sophia_cli.core.costs import renewal
from sophia_cli.core.dns import Record
from sophia_cli.core.inventory import Instance
from sophia_cli.core.settings import Monitoring, Ssl
from sophia_cli.core.traffic import Entry, Tally, Traffic
from sophia_cli.core.trends import Sample, Series
from sophia_cli.core.web_facts import Cookie, Hop, Reach, Times, Visit
from tests.checks.check_cases import GOOD_DMARC, IP6, MAIL, NOW, STS, Case, a, cname, facts, row, txt, wanting

HOST = "acme.example"
PLAIN, SECURE = f"http://{HOST}/", f"https://{HOST}/"
LONG_HSTS = "max-age=31536000; includeSubDomains"
GOOD_HEADERS = {
    "content-type": ("text/html; charset=utf-8",),
    "content-encoding": ("gzip",),
    "etag": ('"1"',),
    "content-security-policy": ("default-src 'self'; frame-ancestors 'none'",),
    "x-content-type-options": ("nosniff",),
    "referrer-policy": ("no-referrer",),
}
FAST = Times(0.01, 0.01, 0.02, 0.05, 0.1)
TO_HTTPS = Visit(PLAIN, (Hop(PLAIN, 301, SECURE),))
PAGE = Visit(
    SECURE, (Hop(SECURE, 200, None, LONG_HSTS),), times=FAST, protocol="h2", headers=GOOD_HEADERS, body=b"x" * 4000
)
SECTXT = f"{SECURE}.well-known/security.txt"
GOOD_TXT = Visit(
    SECTXT, (Hop(SECTXT, 200),), headers={"content-type": ("text/plain",)},
    body=b"Contact: mailto:security@acme.example\nExpires: 2027-06-01T00:00:00Z\n",
)  # fmt: skip
POLICY_URL = "https://mta-sts.acme.example/.well-known/mta-sts.txt"
POLICY = "version: STSv1\r\nmode: enforce\r\nmx: mx.acme.example\r\nmax_age: 604800\r\n"
LOGO_URL = "https://x.net/a.svg"
LOGO = '<?xml version="1.0"?><svg version="1.2" baseProfile="tiny-ps" viewBox="0 0 8 8"><title>a</title><path d="M0 0"/></svg>'
ENDPOINT = "https://api.acme.example/health"

PLAIN_API = Visit(ENDPOINT, (Hop(ENDPOINT, 200),), headers={"content-type": ("application/json",)}, body=b"{}")


def visited(*visits: Visit, rows: tuple[Record, ...] = (a(),), **known: Any) -> Facts:
    """Facts with these web answers."""
    settings = known.pop("settings", None)
    background = Background(http={visit.url: visit for visit in visits}, **known)
    return facts(*rows, settings=settings, background=background)


def served(url: str, text: str, kind: str = "text/plain", status: int = 200) -> Visit:
    return Visit(url, (Hop(url, status),), headers={"content-type": (kind,)}, body=text.encode())


def page(**changes: Any) -> Visit:
    return replace(PAGE, **changes)


def without(*names: str) -> Mapping[str, tuple[str, ...]]:
    return {name: values for name, values in GOOD_HEADERS.items() if name not in names}


def watching(*urls: str) -> Any:
    return replace(wanting(), monitoring=Monitoring(ping_endpoints=urls))


def policy(text: str = POLICY, **changes: Any) -> Facts:
    return visited(replace(served(POLICY_URL, text), **changes), rows=(STS, a("mta-sts"), *MAIL))


def logo(text: str = LOGO, kind: str = "image/svg+xml") -> Facts:
    rows = (txt(f"v=BIMI1; l={LOGO_URL}", "default._bimi"), GOOD_DMARC)
    return visited(served(LOGO_URL, text, kind), rows=rows)


def over_time(*seconds: float) -> Series:
    """Samples an hour apart, the last one now."""
    first = NOW - timedelta(hours=len(seconds) - 1)
    return tuple(Sample(first + timedelta(hours=n), value) for n, value in enumerate(seconds))


def machine(**changes: Any) -> Instance:
    made = Instance("i-1", "lambda", "train", "active", "gpu_1x_a100", "us-west-1", "185.199.108.9", 129, NOW)
    return replace(made, **changes)


def cloud(*instances: Instance, traffic: Traffic | None = None) -> Facts:
    return facts(a(), background=Background(inventory={one.id: one for one in instances}, traffic=traffic))


def bought(host: str, status: str = "active", provider: str | None = "letsencrypt") -> Facts:
    paid = PaidCertificate("7", host, "positivessl", status, date(2027, 3, 1))
    settings = wanting(ssl=Ssl(provider=provider, domains=("acme.example", "*.acme.example")))
    return facts(a(), settings=settings, background=Background(certificates=(paid,), registration=Registration()))


def some_traffic() -> Traffic:
    tally = Tally()
    tally.add(Entry("query", "acme.example", 1.0, "9.9.9.9", "A"))
    return tally.traffic()


PARKED = (cname("www", "parkingpage.namecheap.com."),)
PRICE = renewal(Decimal("14.98"), Decimal("0.18"), 1, "USD", "users.getPricing", datetime(2026, 11, 22, tzinfo=UTC))
RENEWS = Registration(auto_renew=True, renewal=PRICE)

WEB_CASES = [
    Case("WEB-HTTPS", visited(Visit(PLAIN, (Hop(PLAIN, 200),)), PAGE), "high",
         {"hosts": [{"host": HOST, "port_80": [{"url": PLAIN, "status": 200, "location": None}], "https": "answers 200"}]},
         visited(TO_HTTPS, PAGE), [("@", "A")]),
    Case("WEB-HTTPS", visited(Visit(PLAIN, (Hop(PLAIN, 301, "http://www.acme.example/"),))), "high", {},
         visited(Visit(PLAIN, (Hop(PLAIN, 403),))), [("@", "A")], label="redirect without TLS"),
    Case("WEB-HTTPS", visited(Visit(PLAIN, (Hop(PLAIN, 301, "https://www.acme.example/?token=x"),)), PAGE), "medium",
         {"hosts": [{"host": HOST, "port_80": [{"url": PLAIN, "status": 301, "location": "https://www.acme.example/?..."}],
                     "https": "answers 200"}]},
         visited(Visit(PLAIN, failure="refused", refused=True), PAGE), [("@", "A")], label="elsewhere first"),
    Case("WEB-HTTPS", visited(Visit(PLAIN, (Hop(PLAIN, 302, "http://b.net/"),)), rows=(row("@", "URL", "http://b.net/"),)),
         "high", {}, visited(TO_HTTPS, rows=(row("@", "URL", "http://b.net/"),)), [("@", "URL")], label="a URL row"),
    Case("WEB-HSTS", visited(page(hops=(Hop(SECURE, 200),))), "medium",
         {"hosts": [{"host": HOST, "header": None, "why": "no Strict-Transport-Security"}]}, visited(PAGE), [("@", "A")]),
    Case("WEB-HSTS", visited(page(hops=(Hop(SECURE, 200, None, "max-age=300"),))), "medium",
         {"hosts": [{"host": HOST, "header": "max-age=300", "why": "Strict-Transport-Security lasts 300 s, less than a year"}]},
         visited(page(hops=(Hop(SECURE, 200, None, 'includeSubDomains ; Max-Age="63072000"'),))), [("@", "A")], label="short"),
    # 10 ms to connect and 50 ms to the redirect are what HSTS saves a visit that begins with http
    Case("WEB-HSTS", visited(replace(TO_HTTPS, times=FAST, received=180), page(hops=(Hop(SECURE, 200),))), "medium",
         {"before": {"bytes": 180, "ms": 60.0}, "after": {"bytes": 0, "ms": 0.0}},
         visited(replace(TO_HTTPS, times=FAST, received=180), PAGE), [("@", "A")], label="measured"),
    Case("WEB-HSTS", visited(page(hops=(Hop(SECURE, 200, None, "max-age=a year"),))), "medium", {},
         visited(Visit(SECURE, failure="refused", refused=True)), [("@", "A")], label="no number"),
    Case("WEB-HSTS", visited(page(hops=(Hop(SECURE, 301, "https://www.acme.example/"),
                                        Hop("https://www.acme.example/", 200, None, LONG_HSTS)))), "medium", {},
         visited(page(hops=(Hop(SECURE, 301, "https://www.acme.example/", LONG_HSTS),
                            Hop("https://www.acme.example/", 200)))), [("@", "A")], label="each host needs its own"),
    Case("WEB-HEADERS", visited(page(headers={"content-type": ("text/html",)})), "low",
         {"pages": [{"url": SECURE, "missing": ["no Content-Security-Policy", "no X-Content-Type-Options: nosniff",
                                               "no frame-ancestors", "no Referrer-Policy"]}]}, visited(PAGE), [("@", "A")]),
    Case("WEB-HEADERS", visited(page(cookies=(Cookie("sid", True, False, "lax"), Cookie("ok", True, True, "lax")))), "low",
         {"pages": [{"url": SECURE, "missing": ["cookies without Secure, HttpOnly or SameSite: sid"]}]},
         visited(page(cookies=(Cookie("ok", True, True, "strict"),))), [("@", "A")], label="cookies"),
    Case("WEB-HEADERS", visited(page(headers=without("referrer-policy"))), "low", {},
         visited(page(headers={"content-type": ("application/json",)})), [("@", "A")], label="pages only"),
    Case("WEB-SECTXT", visited(replace(GOOD_TXT, hops=(Hop(SECTXT, 404),))), "low",
         {"url": SECTXT, "status": 404, "why": "there is none"}, visited(GOOD_TXT), [("@", "A")]),
    Case("WEB-SECTXT", visited(replace(GOOD_TXT, body=b"Contact: mailto:a@b.net\nExpires: 2026-01-01T00:00:00z\n")), "low",
         {"why": "it expired on 2026-01-01"},
         visited(replace(GOOD_TXT, body=b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n" + GOOD_TXT.body)),
         [("@", "A")], label="expired"),
    Case("WEB-SECTXT", visited(replace(GOOD_TXT, body=b"# hi\nContact: mailto:a@b.net\n")), "low",
         {"why": "it needs one Expires"}, visited(Visit(SECTXT, failure="no answer")), [("@", "A")], label="no end"),
    Case("WEB-SECTXT", visited(replace(GOOD_TXT, body=b"Contact: mailto:a@b.net\nExpires: soon\n")), "low",
         {"why": "its Expires is no date of RFC 3339"},
         visited(GOOD_TXT, Visit("https://www.acme.example/.well-known/security.txt", (Hop("x", 404),)), rows=(a(), a("www"))),
         [("@", "A")], label="no date; one of two is enough"),
    Case("PERF-HTTP", visited(page(headers={"content-type": ("text/html",)}, protocol="http/1.1")), "low",
         {"pages": [{"url": SECURE, "wanting": ["no HTTP/2", "no compression", "no cache validators"]}]}, visited(PAGE),
         [("@", "A")]),
    Case("PERF-HTTP", visited(page(hops=(Hop(SECURE, 301, "x"), Hop("x", 302, "y"), Hop("y", 200)))), "low",
         {"pages": [{"url": "://y", "wanting": ["2 redirects"]}]},
         visited(page(headers={**without("etag", "content-encoding"), "cache-control": ("no-store",)}, body=b"short")),
         [("@", "A")], label="redirects"),
    Case("PERF-HTTP", visited(Visit(ENDPOINT, failure="api.acme.example:443 cannot be connected to: refused", refused=True),
                              rows=(a(), a("api")), settings=watching(ENDPOINT)), "high",
         {"url": ENDPOINT, "why": "api.acme.example:443 cannot be connected to: refused"},
         visited(Visit(ENDPOINT, (Hop(ENDPOINT, 204),), times=FAST), rows=(a(), a("api")), settings=watching(ENDPOINT)),
         [("api", "A")], label="an endpoint is down"),
    Case("PERF-HTTP", visited(Visit("https://status.net/?key=hunter2", (Hop("https://status.net/?key=hunter2", 503),)),
                              settings=watching("https://status.net/?key=hunter2")), "high",
         {"url": "https://status.net/?...", "why": "status 503"},
         visited(Visit(ENDPOINT, (Hop(ENDPOINT, 404),)), settings=watching(ENDPOINT)), label="of nobody's zone"),
    Case("PERF-HTTP", visited(replace(PLAIN_API, protocol="http/1.1", cut=True), settings=watching(ENDPOINT)), "low",
         {"pages": [{"url": ENDPOINT, "wanting": ["no HTTP/2", "no compression"]}]},
         visited(replace(PLAIN_API, protocol="h2"), settings=watching(ENDPOINT)), label="settings of an endpoint"),
    Case("PERF-HTTP", visited(page(times=Times(0.1, 0.1, 0.1, 1.75, 9.0))), "medium",
         {"endpoints": [{"url": SECURE, "dns_ms": 100.0, "connect_ms": 100.0, "tls_ms": 100.0, "first_byte_ms": 1750.0,
                         "total_ms": 9000.0}]}, visited(page(times=Times(0.1, 0.1, 0.1, 1.65, 9.0))), [("@", "A")], label="slow"),
    Case("PERF-HTTP", visited(PAGE, history={f"web {SECURE}": over_time(*[0.2] * 20, 0.5, 0.6, 0.55)}), "low",
         {"endpoints": [{"url": SECURE, "regression": {
             "now_ms": 550.0, "normal_ms": 200.0, "limit_ms": 250.0, "since": "2026-11-22T10:00:00+00:00",
             "good_until": "2026-11-22T09:00:00+00:00"}}]},
         visited(PAGE, history={f"web {SECURE}": over_time(*[0.2] * 20, 0.5, 0.6, 0.2)}), [("@", "A")], label="a regression"),
    Case("MAIL-MTASTS", policy(POLICY.replace("mx.acme.example", "mx2.acme.example")), "high",
         {"mode": "enforce", "mx": ["mx2.acme.example"], "unnamed": ["mx.acme.example."]}, policy(),
         [("_mta-sts", "TXT"), ("@", "MX")],
         label="an exchanger is not named"),
    Case("MAIL-MTASTS", policy(POLICY.replace("enforce", "testing").replace("mx.", "a.")), "medium", {"mode": "testing"},
         policy(POLICY.replace("mx: mx.", "mx: *.")), [("_mta-sts", "TXT"), ("@", "MX")], label="testing; a wildcard"),
    Case("MAIL-MTASTS", policy(POLICY.replace("enforce", "testing")), "info", {"mode": "testing"},
         policy(POLICY.replace("\r\n", "\n") + "future: x\n"), [("_mta-sts", "TXT")], label="mode testing"),
    Case("MAIL-MTASTS", policy(POLICY.replace("604800", "99999999").replace("STSv1", "STSv2")), "medium",
         {"errors": ["version: STSv1 must stand there once", "max_age must be a number up to 31557600"]}, policy(),
         [("_mta-sts", "TXT")], label="an invalid policy"),
    Case("MAIL-MTASTS", policy(hops=(Hop(POLICY_URL, 301, "https://x.net/"),)), "medium", {"status": 301, "why": "status 301"},
         policy(), [("_mta-sts", "TXT")], label="a redirect"),
    Case("MAIL-MTASTS", policy(hops=(), failure="its certificate cannot be trusted: expired"), "medium",
         {"why": "its certificate cannot be trusted: expired"}, policy(), [("_mta-sts", "TXT")], label="no trusted TLS"),
    Case("MAIL-BIMI", logo(LOGO.replace("tiny-ps", "full") + "<script/>"), "low",
         {"errors": ["it is not of the profile tiny-ps", "it holds scripts, pictures or animation"]}, logo(),
         [("default._bimi", "TXT")], label="the logo"),
    Case("MAIL-BIMI", logo("<html></html>", "text/html"), "low",
         {"errors": ["its type is text/html, not image/svg+xml", "it is no SVG"]},
         logo(LOGO.replace("<path", '<use href="#a"/><path')),
         [("default._bimi", "TXT")], label="no logo"),
    Case("PERF-V6", visited(page(reach=(Reach(4, "185.199.108.153", 0.01), Reach(6, IP6, None, "refused"))),
                            rows=(a(), row("@", "AAAA", IP6))), "medium",
         {"hosts": [{"host": HOST, "address": IP6, "why": "refused"}]},
         visited(page(reach=(Reach(4, "185.199.108.153", 0.01), Reach(6, IP6, None, "network is unreachable", False))),
                 rows=(a(), row("@", "AAAA", IP6))), [("@", "AAAA")], label="does not answer"),
    Case("COST-GPU", cloud(machine()), "high",
         {"provider": "lambda", "instance": "i-1", "status": "active", "traffic": "not looked at", "cost": {
             "amount": "941.70", "currency": "USD", "formula": "price an hour x hours a month",
             "inputs": {"price an hour": "1.29", "hours a month": "730"}, "source": "lambda price list",
             "read": "2026-11-22T12:00:00+00:00"}},
         cloud(machine(used_by=("gpu.acme.example",)), machine(id="i-2", status="terminated"))),
    Case("COST-GPU", cloud(machine(cents_an_hour=None), traffic=some_traffic()), "high", {"cost": None, "traffic": "looked at"},
         facts(a(), settings=replace(wanting(), zones=(replace(wanting().zones[0], name="first.example"), wanting().zones[0])),
               background=Background(inventory={"i-1": machine()})), label="told once, by the first zone"),
    Case("COST-DUPCERT", bought("shop.acme.example"), "low",
         {"host": "shop.acme.example", "covered_by": "*.acme.example", "provider": "letsencrypt", "expires": "2027-03-01"},
         bought("a.b.acme.example")),
    Case("COST-DUPCERT", bought("acme.example"), "low", {"covered_by": "acme.example"}, bought("acme.example", "expired"),
         label="the apex"),
    Case("COST-DUPCERT", bought("*.acme.example"), "low", {"covered_by": "*.acme.example"}, bought("other.example"),
         label="a wildcard"),
    Case("COST-IDLE", facts(*PARKED, mode="NONE", background=Background(registration=RENEWS)), "low",
         {"renewal": {"amount": "15.16", "currency": "USD", "formula": "(price + fee) x years",
                      "inputs": {"price": "14.98", "fee": "0.18", "years": "1"}, "source": "users.getPricing",
                      "read": "2026-11-22T00:00:00+00:00"}},
         facts(*PARKED, mode="NONE", background=Background(registration=RENEWS, traffic=some_traffic())), [("www", "CNAME")],
         label="with its price; traffic speaks against it"),
]  # fmt: skip
