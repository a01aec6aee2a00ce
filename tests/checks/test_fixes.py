"""Fixes of the catalogue as a whole: every automatic one is tried, and any two of one zone fit together or are named."""

from __future__ import annotations

import pytest

from sophia_cli.agents.orchestrator import SophiaInfrastructureOrchestrator
from sophia_cli.agents.proposals import claims
from sophia_cli.checks.facts import Background
from sophia_cli.checks.registry import CHECKS, examine
from sophia_cli.core.dns import Zone
from sophia_cli.core.plan import applied
from tests.checks.check_cases import NOW, Case, Facts
from tests.checks.every_case import CASES

# The provider keeps one row by itself, so there is nothing to write: only the master file can be mended, by hand.
WITHOUT_A_CHANGE = {"DNS-DUP"}
FIXED = [case for case in CASES if case.fix and case.fires.background == Background()]
ORCHESTRATOR = SophiaInfrastructureOrchestrator()


def test_every_automatic_fix_that_runs_has_a_case_that_applies_it() -> None:
    """tests/checks/test_each_check.py then proves: the finding is gone, nothing else changed, the inverse restores."""
    automatic = {check.rule.id for check in CHECKS if check.rule.fix == "auto" and check.run is not None}
    assert automatic - {case.id for case in CASES if case.fix} == WITHOUT_A_CHANGE


def both(one: Case, two: Case) -> Facts | None:
    """One zone with the faults of both, where they can stand beside each other."""
    left, right = one.fires, two.fires
    if left.zone.email_type != right.zone.email_type or (left.settings and right.settings):
        return None
    rows = {row.key: row for row in (*left.zone.records, *right.zone.records)}
    zone = Zone.of(left.zone.name, left.zone.email_type, rows.values())
    return Facts(zone, NOW, left.settings or right.settings)


@pytest.mark.parametrize("one", FIXED, ids=lambda case: f"{case.id} {case.label}".strip())
def test_proposals_of_any_two_faults_never_touch_one_record_and_leave_no_silent_loser(one: Case) -> None:
    for two in FIXED:
        seen = both(one, two)
        if seen is None:
            continue
        findings = ORCHESTRATOR.examine(seen).findings
        made = ORCHESTRATOR.propose(findings, seen)
        taken = [claim for each in made for claim in {claim for change in each.changes for claim in claims(change)}]
        assert len(taken) == len(set(taken)), (one.id, two.id)
        told = " ".join(f"{each.finding} {each.reason}" for each in made)
        assert all(finding.id in told for finding in findings if finding.fix is not None), (one.id, two.id)
        changes = [change for each in made for change in each.changes]
        after = applied(seen.zone, changes)
        assert applied(after, [change.inverse() for change in reversed(changes)]) == seen.zone, (one.id, two.id)
        answered = {id for each in made for id in each.finding.split(", ")}
        left = {found.id for found in examine(Facts(after, NOW, seen.settings))[0] if found.fix is not None}
        assert not answered & left - _named_conflicts(told), (one.id, two.id, answered & left)


def _named_conflicts(told: str) -> set[str]:
    """The rules that some proposal says it is in conflict with: they are left for the next look."""
    return {word.strip(",") for part in told.split("in conflict with ")[1:] for word in part.split(" which")[0].split()}
