"""Each check: where it fires with its evidence, where it stays silent, and what its fix does to the zone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sophia_cli.agents.score import score
from sophia_cli.checks.registry import CHECKS, examine
from sophia_cli.core.changes import Change
from sophia_cli.core.dns import Record
from sophia_cli.core.findings import Finding
from sophia_cli.core.plan import applied
from tests.checks.check_cases import TOKEN, Case
from tests.checks.every_case import CASES

RUNNING = {check.rule.id: check for check in CHECKS if check.run is not None}
NAMED = [pytest.param(case, id=f"{case.id} {case.label}".strip()) for case in CASES]
FIXED = [pytest.param(case, id=f"{case.id} {case.label}".strip()) for case in CASES if case.fix]


def only(case: Case) -> Finding:
    found = [finding for finding in examine(case.fires)[0] if finding.id == case.id]
    assert len(found) == 1
    return found[0]


def test_every_check_that_runs_has_a_case() -> None:
    assert {case.id for case in CASES} == set(RUNNING)


@pytest.mark.parametrize("case", NAMED)
def test_check_fires_with_its_evidence(case: Case) -> None:
    finding = only(case)
    rule = RUNNING[case.id].rule
    assert finding.severity == case.severity
    assert finding.severity in rule.severities.split()
    assert (finding.agent, finding.source, finding.target) == (rule.agent, rule.source, "dns:acme.example")
    assert sorted((one["name"], one["type"]) for one in finding.evidence["records"]) == sorted(case.rows)
    assert case.evidence.items() <= dict(finding.evidence).items()
    assert finding.help.strip()
    assert (finding.fix is not None) is case.fix
    assert (finding.no_fix is None) is case.fix


@pytest.mark.parametrize("case", NAMED)
def test_check_stays_silent(case: Case) -> None:
    assert case.id not in {finding.id for finding in examine(case.silent)[0]}


@pytest.mark.parametrize("case", FIXED)
def test_fix_mends_its_finding_changes_nothing_else_and_can_be_undone(case: Case) -> None:
    finding = only(case)
    assert finding.fix is not None
    changes = finding.fix.changes
    before = case.fires.zone
    after = applied(before, changes)
    mended = replace(case.fires, zone=after)
    assert case.id not in {one.id for one in examine(mended)[0]}
    touched = {row.key for change in changes for row in (change.before, change.after) if isinstance(row, Record)}
    assert {row for row in before.records if row.key not in touched} == {
        row for row in after.records if row.key not in touched
    }
    about = {(one["name"], one["type"]) for one in finding.evidence["records"]}
    assert all(
        (change.before.name, change.before.type) in about for change in changes if isinstance(change.before, Record)
    )
    assert after.email_type == before.email_type
    assert applied(after, [change.inverse() for change in reversed(changes)]) == before
    assert all(change.source == f"rule:{case.id}" and change.id and change.reason for change in changes)


@pytest.mark.parametrize("case", FIXED)
def test_a_fix_never_lowers_the_score(case: Case) -> None:
    finding = only(case)
    assert finding.fix is not None
    before = examine(case.fires)[0]
    after = examine(replace(case.fires, zone=applied(case.fires.zone, finding.fix.changes)))[0]
    assert score(after) >= score(before), [one.id for one in after]


def test_only_reversible_low_risk_fixes_are_safe() -> None:
    fixes = {case.id: only(case).fix for case in CASES if case.fix}
    assert {id for id, fix in fixes.items() if fix is not None and fix.safe} == {
        "DNS-TTL-SET", "DNS-TTL-RANGE", "PERF-TTL-LOW", "PERF-TTL-HIGH"
    } - {id for id, fix in fixes.items() if fix is not None and any(_is_apex(change) for change in fix.changes)}  # fmt: skip
    for fix in fixes.values():
        assert fix is not None
        assert fix.safe == all(change.risk == "low" and change.reversible for change in fix.changes)


def _is_apex(change: Change) -> bool:
    """A TTL change of an apex address is of medium risk."""
    return isinstance(change.before, Record) and change.before.name == "@"


def test_evidence_never_shows_a_token() -> None:
    for case in CASES:
        for finding in examine(case.fires)[0]:
            if finding.id == "TXT-SECRET":
                assert TOKEN not in str(finding.evidence) + finding.title + finding.help
                assert "[secret]" in str(finding.evidence)
