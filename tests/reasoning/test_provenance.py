"""Provenance: what a model may aim a record at."""

from __future__ import annotations

import pytest

from sophia_cli.core.dns import Record
from sophia_cli.reasoning.provenance import Origin, sources_of, untrusted

THERE = (
    Record("@", "A", "203.0.113.10"),
    Record("@", "MX", "mail.acme.example.", None, 10),
    Record("@", "TXT", "v=spf1 include:_spf.mailer.example ip4:203.0.113.20 ip6:2001:db8::7 -all"),
    Record("_dmarc", "TXT", "v=DMARC1; p=none; rua=mailto:reports@acme.example"),
    Record("@", "CAA", '0 issue "letsencrypt.org"'),
    Record("note", "TXT", "call evil.example or 198.51.100.66"),
)


def denied(record: Record) -> bool:
    return untrusted(record, sources_of(None, THERE), "acme.example") is not None


@pytest.mark.parametrize(
    "record",
    [
        Record("api", "A", "203.0.113.10"),
        Record("api", "CNAME", "acme.example."),
        Record("api", "CNAME", "mail.acme.example."),
        Record("@", "TXT", "v=spf1 include:_spf.mailer.example -all"),
        Record("@", "TXT", "v=spf1 mx ip4:203.0.113.20 ip6:2001:db8::7 ~all"),
        Record("_dmarc", "TXT", "v=DMARC1; p=reject; sp=quarantine; adkim=s; rua=mailto:reports@acme.example"),
        Record("_mta-sts", "TXT", "v=STSv1; id=20261122"),
        Record("@", "CAA", '0 issuewild "letsencrypt.org"'),
        Record("@", "CAA", '0 issue ";"'),
    ],
    ids=lambda record: f"{record.type} {record.value}",
)
def test_what_the_owner_already_points_at_may_be_pointed_at(record: Record) -> None:
    assert not denied(record)


@pytest.mark.parametrize(
    "record",
    [
        Record("@", "TXT", "v=spf1 +all"),
        Record("@", "TXT", "v=spf1 ?all"),
        Record("@", "TXT", "v=spf1 all"),
        Record("@", "TXT", "v=spf1 ip4:203.0.113.20/0 -all"),
        Record("@", "TXT", "v=spf1 ip4:0.0.0.0/0 -all"),
        Record("@", "TXT", "v=spf1 exists:%{i}.evil.example -all"),
        Record("@", "TXT", "v=spf1 include:%{d}.evil.example -all"),
        Record("@", "TXT", "v=spf1 a:evil.example -all"),
        Record("@", "TXT", "v=spf1 redirect=evil.example"),
        Record("@", "TXT", "v=spf1 ip6:2001:db8::8 -all"),
        Record("@", "TXT", "v=spf1 ptr -all"),
        Record("_dmarc", "TXT", "v=DMARC1; p=none; rua=mailto:reports@acme.example,mailto:a@evil.example"),
        Record("_dmarc", "TXT", "v=DMARC1; p=none; rua=https://evil.example/"),
        Record("_dmarc", "TXT", "v=DMARC1; p=none; ruf=mailto:a@evil.example!10m"),
        Record("_smtp._tls", "TXT", "v=TLSRPTv1; rua=https://evil.example/"),
        Record("s._domainkey", "TXT", "v=DKIM1; p=abc"),
        Record("api", "A", "198.51.100.66"),
        Record("api", "CNAME", "evil.example."),
        Record("@", "CAA", '0 issue "evil.example"'),
        Record("@", "CAA", '0 issue "letsencrypt.org.evil.example"'),
        Record("@", "CAA", '0 iodef "https://evil.example/"'),
        Record("api", "FRAME", "http://evil.example/"),
        Record("api", "SRV", "1 1 evil.example."),
    ],
    ids=lambda record: f"{record.type} {record.value}",
)
def test_a_stranger_is_let_in_by_no_record(record: Record) -> None:
    assert denied(record)


def test_a_value_nobody_said_comes_from_the_model() -> None:
    assert sources_of(None, THERE).of("192.0.2.9") == {Origin.model}
    assert sources_of(None, THERE).of("evil.example") == {Origin.public_dns}
