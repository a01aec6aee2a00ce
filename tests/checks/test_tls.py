"""What the TLS checks leave untested, join and leave alone; and who may be told that an authority is in use."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sophia_cli.checks.registry import examine
from sophia_cli.checks.tls import of_endpoints, urgency
from sophia_cli.checks.tls_offer import RULES
from sophia_cli.core.endpoints import Chain, Endpoint, Served, Target, failed, untested
from tests.checks.check_cases import IP, IP6, NOW, a, facts, row
from tests.checks.tls_cases import (
    HOST,
    MAIL_ROWS,
    NO_STARTTLS,
    at,
    certificate,
    exchanger,
    leaf,
    offers,
    policy,
    seen,
    shown,
)

DAY = 86_400.0


def gaps(found: object) -> dict[str, str]:
    return {entry.id: entry.why for entry in examine(found)[1]}  # type: ignore[arg-type]


def ids(found: object) -> list[str]:
    return [one.id for one in examine(found)[0]]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("days", "levels"),
    [  # days left -> level, right below and at each border
        (200, {2.9: "critical", 3.1: "high", 33: "high", 34: "medium", 66: "medium", 67: None}),
        (90, {2.9: "critical", 3.0: "high", 14.9: "high", 15.0: "medium", 29.9: "medium", 30.0: None}),
        (47, {2.9: "critical", 7.7: "high", 7.9: "medium", 15.6: "medium", 15.7: None}),
        (6, {0.9: "critical", 1.1: "medium", 1.9: "medium", 2.1: None, 3.1: None}),
    ],
)
def test_urgency_follows_the_lifetime(days: int, levels: dict[float, str | None]) -> None:
    assert {left: urgency(left * DAY, int(days * DAY)) for left in levels} == levels


def test_without_tls_facts_nothing_counts_as_passed() -> None:
    known = gaps(facts(a()))
    for id in ("TLS-EXPIRY", "TLS-NAME", "TLS-CHAIN", "TLS-KEY", "TLS-LIFE", "TLS-PROTO", "TLS-CIPHER", "TLS-MX"):
        assert known[id] == "needs a TLS handshake"


def test_an_endpoint_that_showed_nothing_is_not_tested_with_its_reason() -> None:
    silent = Served(IP6, untested("no IPv6 route from here"))
    known = gaps(seen(at(shown(), silent), Endpoint(Target("x.acme.example"), (), failed("the name has no address"))))
    expected = (
        f"in part: 2 of 2 endpoints could not be judged: {HOST}:443 ({IP6}: no IPv6 route from here), "
        "x.acme.example:443 (the name has no address)"
    )
    assert known["TLS-EXPIRY"] == known["TLS-CHAIN"] == expected
    assert "no IPv6 route" in known["TLS-PROTO"]
    assert "no IPv6 route" in known["TLS-CIPHER"]


def test_a_version_that_could_not_be_asked_is_a_gap_and_no_finding() -> None:
    versions = {**offers("TLS 1.2", "TLS 1.3"), "TLS 1.0": untested("no answer within 8 s")}
    found = seen(at(shown(versions=versions)))
    assert "TLS-PROTO" not in ids(found)
    assert gaps(found)["TLS-PROTO"].endswith(f"{HOST}:443 ({IP}: TLS 1.0: no answer within 8 s)")


def test_trust_without_roots_is_a_gap_and_no_finding() -> None:
    one = certificate()
    found = seen(at(shown(chain=Chain((one,), (), untested("no trusted roots are installed on this machine")))))
    assert "TLS-CHAIN" not in ids(found)
    assert "no trusted roots" in gaps(found)["TLS-CHAIN"]
    assert "TLS-EXPIRY" not in gaps(found)


def test_one_certificate_on_many_hosts_is_one_finding() -> None:
    old = shown(certificate(left=timedelta(days=1)))
    names = [HOST, *(f"{name}.{HOST}" for name in ("a", "b", "c"))]
    rows = (a(), *(a(name) for name in ("a", "b", "c")))
    found = examine(seen(*(at(old, host=name) for name in names), rows=rows))[0]
    (one,) = [finding for finding in found if finding.id == "TLS-EXPIRY"]
    assert one.title == f"the certificate of {HOST}:443, a.{HOST}:443, b.{HOST}:443 and 1 more ends in 24 hours"
    assert len(one.evidence["records"]) == 4


def test_different_certificates_at_two_addresses_are_judged_apart() -> None:
    good, old = shown(), shown(certificate(left=timedelta(days=1), fingerprint="ee" * 32))
    found = examine(seen(at(good, replace(old, address=IP6))))[0]
    (one,) = [finding for finding in found if finding.id == "TLS-EXPIRY"]
    assert one.evidence["endpoints"] == [f"{HOST}:443 ({IP6})"]


def test_mail_servers_are_held_against_their_own_rule_only() -> None:
    bad = replace(shown(certificate(left=timedelta(days=-9)), versions=offers("TLS 1.0")), starttls=None)
    endpoint = at(bad, host="mail.acme.example", port=25, starttls="smtp")
    found = seen(endpoint, rows=MAIL_ROWS, http=policy("testing"))
    assert not [id for id in ids(found) if id.startswith("TLS-")]
    asked = of_endpoints(found, (endpoint,), RULES)
    assert [(one.id, one.target) for one in asked[:2]] == [
        ("TLS-EXPIRY", "tls:mail.acme.example:25"),
        ("TLS-PROTO", "tls:mail.acme.example:25"),
    ]


def test_an_unread_policy_and_an_exchanger_that_was_not_seen_are_gaps() -> None:
    endpoint = at(NO_STARTTLS, host="mail.acme.example", port=25, starttls="smtp")
    assert gaps(seen(endpoint, rows=MAIL_ROWS))["TLS-MX"] == "the policy behind _mta-sts was not fetched"
    unseen = seen(rows=MAIL_ROWS, http=policy("enforce"))
    assert "mail.acme.example (not looked at)" in gaps(unseen)["TLS-MX"]
    blocked = Served(IP, untested("no connection within 8 s"), untested("not asked"))
    assert "no connection within 8 s" in gaps(exchanger(blocked))["TLS-MX"]
    assert "TLS-MX" not in ids(exchanger(blocked))


# -- the authority in use --------------------------------------------------------------------------------------------

CAA = row("@", "CAA", '0 issue "digicert.com"')


def test_a_name_that_anybody_can_write_into_a_certificate_puts_no_authority_into_use() -> None:
    one = certificate()
    fake = shown(chain=Chain((one,), (), failed("the certificate is self-signed"), "self-signed"))
    found = seen(at(fake), rows=(a(), CAA))
    assert "CAA-BLOCKS" not in ids(found)
    assert gaps(found)["CAA-BLOCKS"].startswith("no authority in use is known")


def test_any_of_an_authoritys_names_in_caa_will_do() -> None:
    theirs = shown(certificate(issuer_organization="Amazon"))
    rows = (a(), row("@", "CAA", '0 issue "awstrust.com"'))
    assert "CAA-BLOCKS" not in ids(seen(at(theirs), rows=rows))
    assert "CAA-BLOCKS" in ids(seen(at(theirs), rows=(a(), CAA)))


def test_a_served_wildcard_is_held_against_issuewild() -> None:
    from sophia_cli.core.endpoints import passed

    wild = shown(name=passed("*.acme.example"))
    rows = (a("www"), row("@", "CAA", '0 issue "letsencrypt.org"'), row("@", "CAA", '0 issuewild ";"'))
    found = examine(seen(at(wild, host="www.acme.example"), rows=rows))[0]
    (one,) = [finding for finding in found if finding.id == "CAA-BLOCKS"]
    assert one.evidence["domain"] == "*.acme.example"
    assert "issuewild" in one.help


def test_healthy_endpoints_have_no_finding_at_all() -> None:
    found = [id for id in ids(leaf()) if id.startswith("TLS-")]
    assert found == []
    assert certificate().not_after > NOW
