"""Checks of MTA-STS (RFC 8461), TLS reporting (RFC 8460) and BIMI as far as the zone can tell. Asks no server."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sophia_cli.checks import dmarc
from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding, mend, set_value
from sophia_cli.checks.tags import parse
from sophia_cli.core.dns import Record
from sophia_cli.core.findings import Finding

_RECORD = re.compile(
    r"v=STSv1[ \t]*(?:;[ \t]*[A-Za-z0-9][A-Za-z0-9_.-]{0,31}=[\x21-\x3a\x3c\x3e-\x7e]+[ \t]*)+;?[ \t]*\Z"
)
_ID = re.compile(r"[A-Za-z0-9]{1,32}\Z")
_REPORT = re.compile(r"mailto:[^\s,!;]+@[^\s,!;]+|https://[^\s,!;]+", re.I)


def mta_sts(facts: Facts) -> Iterator[Finding]:
    """The record that announces a policy, and the host that must serve it."""
    rows = facts.names.at("_mta-sts", "TXT")
    announced = [row for row in rows if row.value.startswith("v=STSv1")]
    if any(row.type in ("CNAME", "NS") for row in facts.names.answer("_mta-sts")):
        return
    if not rows:
        if facts.has_mail:
            yield finding(
                facts, "MAIL-MTASTS", "no MTA-STS: senders may be talked out of TLS", facts.exchangers,
                "Serve a policy at https://mta-sts.DOMAIN/.well-known/mta-sts.txt and announce it at _mta-sts.",
                severity="info", no_fix="needs a web host that serves the policy",
            )  # fmt: skip
        return
    if len(announced) != 1:
        yield finding(
            facts, "MAIL-MTASTS", f"{len(announced)} MTA-STS records where there must be one: senders use none", rows,
            "Keep exactly one that starts with v=STSv1;", severity="medium", no_fix="which one is right needs a person",
        )  # fmt: skip
        return
    row = announced[0]
    if not _RECORD.match(row.value) or not _ID.match(parse(row.value).get("id") or ""):
        value = f"v=STSv1; id={facts.now:%Y%m%d%H%M%S}"
        yield finding(
            facts, "MAIL-MTASTS", "the MTA-STS record is invalid: it needs v=STSv1; id= with letters and digits", (row,),
            "Correct it; until then senders see no policy.", severity="medium",
            fix=mend(facts, "MAIL-MTASTS", "a valid id; its text only has to change with the policy", set_value(row, value)),
        )  # fmt: skip
    if not facts.names.has_address("mta-sts"):
        yield finding(
            facts, "MAIL-MTASTS", "MTA-STS is announced, but mta-sts has no address to serve the policy", (row,),
            "Add the web host that serves /.well-known/mta-sts.txt at mta-sts.", severity="medium",
            no_fix="needs the address of that host",
        )  # fmt: skip


def tls_reports(facts: Facts) -> Iterator[Finding]:
    """Where senders report failed TLS; without it an MTA-STS policy fails unseen."""
    rows = facts.names.at("_smtp._tls", "TXT")
    if any(row.type in ("CNAME", "NS") for row in facts.names.answer("_smtp._tls")):
        return
    if not rows and facts.names.at("_mta-sts"):
        yield _tls(facts, "MTA-STS is announced, but no reports about TLS are asked for", facts.names.at("_mta-sts"))
    elif len(rows) > 1:
        yield _tls(facts, f"{len(rows)} TLS reporting records where there must be one", rows)
    elif rows and not _reports(rows[0]):
        yield _tls(facts, "the TLS reporting record is invalid: it needs v=TLSRPTv1; rua=mailto:... or https:...", rows)


def _tls(facts: Facts, title: str, rows: tuple[Record, ...]) -> Finding:
    help = "Publish one record: sophia record set _smtp._tls TXT 'v=TLSRPTv1; rua=mailto:ADDRESS'"
    return finding(facts, "MAIL-TLSRPT", title, rows, help)


def _reports(row: Record) -> bool:
    uris = (parse(row.value).get("rua") or "").split(",")
    return re.match(r"v=TLSRPTv1[ \t]*;", row.value) is not None and all(_REPORT.fullmatch(uri.strip()) for uri in uris)


def bimi(facts: Facts) -> Iterator[Finding]:
    """A logo is shown only with a strict DMARC policy and an https SVG."""
    for row in facts.zone.records:
        labels = row.name.split(".")
        if row.type != "TXT" or labels[1:2] != ["_bimi"]:
            continue
        tags = parse(row.value)
        logo = tags.get("l")
        errors = [] if re.match(r"v=BIMI1[ \t]*;", row.value) else ["it must start with v=BIMI1"]
        if logo is None or (logo and not re.match(r"https://[^\s]+\.svg(?:\.gz)?\Z", logo, re.I)):
            errors.append("l must be the https address of an SVG")
        if logo and not _strict(facts):
            errors.append("DMARC must quarantine or reject, subdomains too")
        if errors:
            yield finding(
                facts, "MAIL-BIMI", f"the BIMI record {row.name} shows no logo: {errors[0]}", (row,),
                "Correct it, or delete the record.", errors=errors,
            )  # fmt: skip


def _strict(facts: Facts) -> bool:
    rows = dmarc.selected(facts)
    if len(rows) != 1:
        return any(row.type in ("CNAME", "NS") for row in facts.names.answer("_dmarc"))
    tags = parse(rows[0].value)
    return dmarc.policy_of(tags) != "none" and (tags.get("sp") or "reject").lower() != "none"
