"""Cases of the checks on served certificates and on what TLS endpoints offer."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from sophia_cli.checks.facts import Background, Facts, PaidCertificate, Registration
from sophia_cli.core.dns import Record
from sophia_cli.core.endpoints import (
    VERSIONS,
    CertificateFacts,
    Chain,
    Endpoint,
    Handshake,
    Result,
    Served,
    Suite,
    Target,
    failed,
    passed,
    untested,
)
from sophia_cli.core.web_facts import Hop, Visit
from tests.checks.check_cases import IP, NOW, STS, Case, a, facts, mx, row

HOST = "acme.example"
POLICY_URL = f"https://mta-sts.{HOST}/.well-known/mta-sts.txt"


def certificate(
    left: timedelta = timedelta(days=60), lifetime: timedelta = timedelta(days=90), **known: Any
) -> CertificateFacts:
    """A certificate that ends in so long and lasts so long (both ends included, so a second less)."""
    end = NOW + left
    one = CertificateFacts(
        f"CN={HOST}", "CN=R11,O=Let's Encrypt", "Let's Encrypt", (HOST, f"www.{HOST}"), (), "0badcafe",
        end - lifetime + timedelta(seconds=1), end, "EC", 256, "P-256", "ECDSA with SHA384", "ab" * 32, 900, 2,
    )  # fmt: skip
    return replace(one, **known)


ISSUER = certificate(subject="CN=R11,O=Let's Encrypt", issuer="CN=Root", is_ca=True, names=(), fingerprint="cd" * 32)


def offers(*versions: str) -> dict[str, Result]:
    return {version: passed() if version in versions else failed("alert protocol_version") for version in VERSIONS}


def shown(leaf: CertificateFacts | None = None, **known: Any) -> Served:
    """What a good address shows, with some of it changed."""
    leaf = leaf or certificate()
    settings: dict[str, Any] = {
        "chain": Chain((leaf, ISSUER), (leaf, ISSUER), passed("leads to a root")),
        "name": passed(HOST),
        "versions": offers("TLS 1.2", "TLS 1.3"),
        "suites": (Suite("TLS_AES_128_GCM_SHA256"),),
        "suites_seen": passed(),
        "client_certificate": passed(),
        **known,
    }
    return Served(IP, passed(), **settings)


def at(*served: Served, host: str = HOST, **target: Any) -> Endpoint:
    return Endpoint(Target(host, **target), served)


def seen(*endpoints: Endpoint, rows: tuple[Record, ...] = (a(),), **background: Any) -> Facts:
    return facts(*rows, background=Background(tls=endpoints, **background))


GOOD = seen(at(shown()))
APEX = [("@", "A")]


def leaf(**known: Any) -> Facts:
    return seen(at(shown(certificate(**known))))


def untrusted(fault: str, why: str) -> Facts:
    one = certificate()
    return seen(at(shown(one, chain=Chain((one,), (), failed(why), fault))))  # type: ignore[arg-type]


# -- mail ------------------------------------------------------------------------------------------------------------

MAIL_ROWS = (mx("mail.acme.example."), a("mail"), STS)


def policy(mode: str) -> dict[str, Visit]:
    body = f"version: STSv1\nmode: {mode}\nmx: mail.acme.example\nmax_age: 604800\n".encode()
    headers = {"content-type": ("text/plain",)}
    return {POLICY_URL: Visit(POLICY_URL, (Hop(POLICY_URL, 200),), headers=headers, body=body)}


def exchanger(one: Served, mode: str = "enforce") -> Facts:
    endpoint = at(one, host="mail.acme.example", port=25, starttls="smtp")
    return seen(endpoint, rows=MAIL_ROWS, http=policy(mode))


NO_STARTTLS = Served(IP, failed("the server does not offer STARTTLS"), failed("the server does not offer STARTTLS"))
OTHER_NAME = shown(starttls=passed(), name=failed("it is for mx.other.example"))
DAYS = timedelta(days=1)


def issued(when: datetime, lifetime: timedelta) -> Facts:
    return leaf(left=when + lifetime - NOW - timedelta(seconds=1), lifetime=lifetime)


CAA = row("@", "CAA", '0 issue "digicert.com"')
ROOT = certificate(subject="CN=Root", issuer="CN=Root", is_ca=True, names=(), fingerprint="ef" * 32, size=1000)
RSA = certificate(key_type="RSA", key_bits=2048, curve=None, size=1200)
WIDE = certificate(names=(HOST, *(f"{n:02}.shop.example" for n in range(36))))
OCSP = certificate(ocsp=("http://ocsp.authority.example",))


def cost(received: int = 4000, ms: float = 40.0, version: str = "TLS 1.3") -> Handshake:
    return Handshake(version, "TLS_AES_128_GCM_SHA256", 500, received, ms)


def chained(*served: CertificateFacts, verified: tuple[CertificateFacts, ...]) -> Facts:
    return seen(at(shown(chain=Chain(served, verified, passed("leads to a root")), handshake=cost())))


def bought(*served: Served, host: str = HOST) -> Facts:
    """A bought certificate in the account, and what is served at its host."""
    paid = PaidCertificate("7", host, "positivessl", "active", date(2027, 3, 1))
    return seen(at(*served), certificates=(paid,), registration=Registration())


SECTIGO = shown(certificate(issuer_organization="Sectigo Limited"))
LEAF = certificate()
NO_TICKET = failed("the server gave no session ticket")

TLS_CASES = [
    Case("TLS-EXPIRY", leaf(left=2.5 * DAYS), "critical", {"hours_left": 60, "lifetime_days": 90.0}, GOOD, APEX),
    Case("TLS-EXPIRY", leaf(left=-1 * DAYS), "critical", {"hours_left": -24}, leaf(left=31 * DAYS), APEX, label="ended"),
    Case("TLS-EXPIRY", leaf(left=100 * DAYS), "critical", {}, leaf(left=89 * DAYS), APEX, label="not valid yet"),
    Case("TLS-EXPIRY", leaf(left=14 * DAYS), "high", {"hours_left": 336}, leaf(left=30 * DAYS), APEX, label="a sixth"),
    Case("TLS-EXPIRY", leaf(left=29 * DAYS), "medium", {"hours_left": 696}, leaf(left=30 * DAYS), APEX, label="a third"),
    Case("TLS-EXPIRY", leaf(left=0.9 * DAYS, lifetime=6 * DAYS), "critical", {"lifetime_days": 6.0},
         leaf(left=2.1 * DAYS, lifetime=6 * DAYS), APEX, label="six days"),
    Case("TLS-REVOKED", seen(at(shown(revocation=failed("revoked on 2026-11-20 (keyCompromise), says http://crl.test/1")))),
         "critical", {"said": "revoked on 2026-11-20 (keyCompromise), says http://crl.test/1"},
         seen(at(shown(revocation=passed("good until 2026-11-25, says http://crl.test/1")))), APEX),
    Case("TLS-NAME", seen(at(shown(name=failed("it is for other.example")))), "high",
         {"names": [HOST, f"www.{HOST}"], "endpoints": [f"{HOST}:443 ({IP})"]}, GOOD, APEX),
    Case("TLS-CHAIN", untrusted("self-signed", "the certificate is self-signed"), "high", {"fault": "self-signed"}, GOOD, APEX),
    Case("TLS-CHAIN", untrusted("incomplete", "it was issued by X"), "high", {"fault": "incomplete", "served": [f"CN={HOST}"]},
         untrusted("expired", "it ended"), APEX, label="incomplete"),
    Case("TLS-KEY", leaf(key_type="RSA", key_bits=1024, curve=None), "high", {"why": ["has an RSA key of 1024 bits"]},
         leaf(key_type="RSA", key_bits=2048, curve=None), APEX),
    Case("TLS-KEY", leaf(curve="secp256k1"), "high", {"why": ["has a key on the curve secp256k1"]}, leaf(curve="P-521"), APEX,
         label="curve"),
    Case("TLS-KEY", leaf(signature="RSA with SHA1"), "high", {"why": ["is signed by RSA with SHA1"]},
         leaf(signature="RSA with SHA1", issuer=f"CN={HOST}"), APEX, label="signature"),
    Case("TLS-LIFE", issued(datetime(2026, 3, 15, tzinfo=NOW.tzinfo), 300 * DAYS), "info", {"most_days": 200, "days": 300},
         issued(datetime(2026, 3, 14, tzinfo=NOW.tzinfo), 300 * DAYS), APEX),
    Case("TLS-LIFE", issued(datetime(2026, 10, 1, tzinfo=NOW.tzinfo), 200 * DAYS + timedelta(seconds=1)), "info",
         {"most_days": 200, "days": 201}, issued(datetime(2026, 10, 1, tzinfo=NOW.tzinfo), 200 * DAYS), APEX, label="over"),
    Case("TLS-PROTO", seen(at(shown(versions=offers("TLS 1.0", "TLS 1.2")))), "high",
         {"outdated": ["TLS 1.0"], "offered": ["TLS 1.0", "TLS 1.2"]}, GOOD, APEX),
    Case("TLS-PROTO", seen(at(shown(versions=offers("TLS 1.2"), handshake=cost(version="TLS 1.2")))), "low",
         {"outdated": [], "offered": ["TLS 1.2"], "after": {"bytes": 4000, "ms": 20.0, "round_trips": 1}},
         seen(at(shown(versions={**offers("TLS 1.2"), "TLS 1.3": untested("no answer within 8 s")}))), APEX, label="no TLS 1.3"),
    Case("TLS-CIPHER", seen(at(shown(suites=(Suite("TLS_RSA_WITH_RC4_128_SHA", "RC4"),)))), "medium",
         {"suites": ["TLS_RSA_WITH_RC4_128_SHA"], "weaknesses": ["RC4"]}, GOOD, APEX),
    # 256 + 38 bytes of key become 91, and a signature of 256 becomes at most 72
    Case("TLS-TUNE-KEY", seen(at(shown(RSA, handshake=cost()))), "info",
         {"before": {"bytes": 4000, "ms": 40.0, "round_trips": 1, "version": "TLS 1.3"},
          "after": {"bytes": 4000 - 203 - 184, "ms": 40.0, "round_trips": 1}},
         seen(at(shown(handshake=cost()))), APEX),
    Case("TLS-TUNE-CHAIN", chained(LEAF, ISSUER, ROOT, verified=(LEAF, ISSUER, ROOT)), "info",
         {"extra": ["CN=Root"], "needed": 2, "after": {"bytes": 4000 - 1005, "ms": 40.0, "round_trips": 1}},
         chained(LEAF, ISSUER, verified=(LEAF, ISSUER, ROOT)), APEX),
    Case("TLS-TUNE-CHAIN", chained(LEAF, ISSUER, ISSUER, verified=(LEAF, ISSUER, ROOT)), "info", {"extra": [ISSUER.subject]},
         chained(LEAF, ISSUER, ROOT, verified=()), APEX, label="twice"),
    Case("TLS-TUNE-SPLIT", seen(at(shown(WIDE, handshake=cost()))), "info",
         {"names": 37, "after": {"bytes": 4000 - 36 * (len("00.shop.example") + 2), "ms": 40.0, "round_trips": 1}},
         seen(at(shown(handshake=cost()))), APEX),
    # TLS 1.2: two round trips, one when it is resumed; two certificates of 900 bytes and a signature are not sent again
    Case("TLS-TUNE-RESUME", seen(at(shown(handshake=cost(version="TLS 1.2"), resumption=NO_TICKET))), "info",
         {"before": {"bytes": 4000, "ms": 40.0, "round_trips": 2, "version": "TLS 1.2"},
          "after": {"bytes": 4000 - 2 * 903 - 72, "ms": 20.0, "round_trips": 1}},
         seen(at(shown(handshake=cost(), resumption=passed()))), APEX),
    Case("TLS-TUNE-STAPLE", seen(at(shown(OCSP, handshake=cost(), staple=failed("no OCSP response is stapled")))), "info",
         {"ocsp": ["http://ocsp.authority.example"]},
         seen(at(shown(handshake=cost(), staple=failed("no OCSP response is stapled")))), APEX),
    Case("COST-DUPCERT", bought(shown()), "low",
         {"provider": "Let's Encrypt", "known_by": f"the certificate of {HOST}:443", "expires": "2027-03-01"},
         bought(SECTIGO), label="by what is served"),
    Case("COST-DUPCERT", bought(shown(), shown()), "low", {"covered_by": HOST}, bought(shown(), SECTIGO),
         label="on every address"),
    Case("COST-DUPCERT", bought(shown()), "low", {}, bought(shown(chain=Chain((LEAF,), (), failed("unknown"), "untrusted"))),
         label="and trusted"),
    Case("TLS-MX", exchanger(NO_STARTTLS), "medium", {"why": ["the server does not offer STARTTLS"], "mode": "enforce"},
         exchanger(NO_STARTTLS, "testing"), [("@", "MX")]),
    Case("TLS-MX", exchanger(OTHER_NAME), "medium", {"why": ["it is for mx.other.example"]},
         exchanger(shown(starttls=passed())), [("@", "MX")], label="name"),
    Case("CAA-BLOCKS", seen(at(shown()), rows=(a(), CAA)), "high",
         {"issuer": "letsencrypt.org", "known_by": f"the certificate of {HOST}:443"},
         seen(at(shown()), rows=(a(), row("@", "CAA", '0 issue "letsencrypt.org"'))), [("@", "CAA")], fix=True,
         label="by the served certificate"),
]  # fmt: skip
