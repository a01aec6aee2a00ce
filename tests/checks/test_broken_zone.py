"""The example zone with planted faults: exactly those are found. And a fresh zone, where hardly anything is."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from sophia_cli.agents.orchestrator import SophiaInfrastructureOrchestrator
from sophia_cli.agents.score import score
from sophia_cli.checks.facts import Background, Facts
from sophia_cli.core.plan import applied
from sophia_cli.flows.analyze import Analysis, analyze
from sophia_cli.providers.zone_file import ZoneFileReader, read_zone_file
from tests.checks.check_cases import GOOD_DMARC, GOOD_KEY, IP6, NOW, a, cname, facts, mx, registered, row, txt

PATH = Path(__file__).parents[2] / "examples" / "broken-zone" / "broken.zone"
PLANTED = {
    "CAA-SYNTAX", "DNS-ACME-LEFT", "DNS-CNAME-LOOP", "DNS-CNAME-OTHER", "DNS-DOUBLED", "DNS-DUP", "DNS-MX-CNAME",
    "DNS-MX-IP", "DNS-NAME-SYNTAX", "DNS-SPECIAL-IP", "DNS-TTL-RANGE", "DNS-TTL-SET", "DNS-WILDCARD", "DNS-WILDCARD-GAP",
    "MAIL-DKIM-KEY", "MAIL-DKIM-TEST", "MAIL-DMARC-BLIND", "MAIL-DMARC-OLD", "MAIL-DMARC-SUB", "MAIL-DMARC-SYNTAX",
    "MAIL-DMARC-WEAK", "MAIL-MTASTS", "MAIL-SPF-ALL", "MAIL-SPF-DEAD", "MAIL-SPF-MULTI", "MAIL-SPF-PTR",
    "MAIL-SPF-SYNTAX", "MAIL-SPF-TYPO", "MAIL-SPF-WIDE", "MAIL-TLSRPT", "PERF-CHAIN", "PERF-TTL-LOW", "TXT-SECRET",
    "TXT-STALE",
}  # fmt: skip


@pytest.fixture(scope="module")
def broken() -> tuple[Facts, Analysis]:
    file = read_zone_file(PATH, "acme.example")
    known = Background("zone-file", file=file.path, lines=file.lines, repeated=file.repeated)
    analysis = asyncio.run(analyze([ZoneFileReader(file, NOW)], now=NOW, backgrounds={"dns:acme.example": known}))
    return Facts(file.zone, NOW, None, known), analysis


def test_exactly_the_planted_faults_are_found(broken: tuple[Facts, Analysis]) -> None:
    ids = [finding.id for finding in broken[1].findings]
    assert set(ids) == PLANTED
    assert len(ids) == len(PLANTED)


def test_the_file_names_every_planted_fault(broken: tuple[Facts, Analysis]) -> None:
    named = set(re.findall(r"\b(?:DNS|MAIL|CAA|TXT|PERF)-[A-Z0-9-]+\b", PATH.read_text()))
    assert named == PLANTED


def test_every_finding_points_at_its_lines(broken: tuple[Facts, Analysis]) -> None:
    lines = PATH.read_text().split("\n")
    for finding, places in zip(broken[1].findings, broken[1].places, strict=True):
        assert places, finding.id
        for place, data in zip(places[:1], finding.evidence["records"][:1], strict=True):
            assert place.file == str(PATH)
            assert data["type"] in lines[place.line - 1]


def test_accepting_every_safe_proposal_leaves_only_the_rest(broken: tuple[Facts, Analysis]) -> None:
    known, analysis = broken
    safe = [proposal for proposal in analysis.proposals if proposal.safe]
    assert {proposal.finding for proposal in safe} == {"DNS-TTL-RANGE", "DNS-TTL-SET", "PERF-TTL-LOW"}
    after = applied(known.zone, [change for proposal in safe for change in proposal.changes])
    left = SophiaInfrastructureOrchestrator().examine(replace(known, zone=after)).findings
    assert {finding.id for finding in left} == PLANTED - {"DNS-TTL-RANGE", "DNS-TTL-SET", "PERF-TTL-LOW"}


def test_accepting_every_proposal_raises_the_score_and_leaves_nothing_that_can_be_fixed(
    broken: tuple[Facts, Analysis],
) -> None:
    known, analysis = broken
    assert len({id for proposal in analysis.proposals for id in proposal.finding.split(", ")}) == sum(
        finding.fix is not None for finding in analysis.findings
    )
    after = replace(
        known, zone=applied(known.zone, [change for proposal in analysis.proposals for change in proposal.changes])
    )
    left = SophiaInfrastructureOrchestrator().examine(after).findings
    assert [finding.id for finding in left if finding.fix is not None] == []
    assert score(left) > analysis.score


def test_a_fresh_zone_does_not_drown_in_noise() -> None:
    for mode in ("NONE", "FWD"):
        seen = SophiaInfrastructureOrchestrator().examine(facts(a(), cname("www", "acme.example."), mode=mode)).findings
        assert len(seen) <= 5
        assert {finding.severity for finding in seen} <= {"info", "low", "medium"}
        assert score(seen) >= 80


def test_a_fresh_zone_without_mail_has_low_findings_only() -> None:
    seen = SophiaInfrastructureOrchestrator().examine(facts(a(), a("www"), mode="NONE")).findings
    assert {finding.id: finding.severity for finding in seen} == {
        "MAIL-SPF-NONE": "low", "MAIL-DMARC-NONE": "low", "CAA-NONE": "low", "PERF-V6": "info"
    }  # fmt: skip
    assert [finding.evidence.get("also") for finding in seen if finding.id == "MAIL-SPF-NONE"] == [["DNS-MX-IMPLICIT"]]


def test_a_healthy_zone_has_no_findings() -> None:
    healthy = facts(
        a(), row("@", "AAAA", IP6), cname("www", "acme.example."), mx("mx.acme.example."), a("mx"),
        txt("v=spf1 mx -all"), GOOD_DMARC, GOOD_KEY, txt("v=STSv1; id=1", "_mta-sts"), a("mta-sts"),
        txt("v=TLSRPTv1; rua=mailto:tls@acme.example", "_smtp._tls"),
        row("@", "CAA", '0 issue "letsencrypt.org; validationmethods=dns-01"'),
        background=registered(expires=date(2030, 1, 1), auto_renew=True, locked=True, privacy=True),
    )  # fmt: skip
    seen = SophiaInfrastructureOrchestrator().examine(healthy)
    assert seen.findings == ()
    assert score(seen.findings) == 100


@pytest.mark.parametrize("mode", ["FWD", "OX", "GMAIL"])
def test_the_providers_own_mx_counts_as_mail(mode: str) -> None:
    ids = {finding.id for finding in SophiaInfrastructureOrchestrator().examine(facts(a(), mode=mode)).findings}
    assert "DNS-MX-IMPLICIT" not in ids
    assert "MAIL-SPF-NONE" in ids
    assert ("MAIL-DKIM-NONE" in ids) is (mode != "FWD")


def test_mail_to_an_address_counts_as_mail() -> None:
    seen = SophiaInfrastructureOrchestrator().examine(facts(a(), row("@", "MXE", "185.199.109.9"), mode="MXE")).findings
    spf = next(finding for finding in seen if finding.id == "MAIL-SPF-NONE")
    assert spf.evidence["suggestion"] == "v=spf1 mx ~all"
    assert "DNS-MX-IMPLICIT" not in {finding.id for finding in seen}
