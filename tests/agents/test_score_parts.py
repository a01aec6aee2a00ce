"""The parts of the score: every check counts once, the parts make the score, and mending never lowers either."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sophia_cli.agents.orchestrator import SophiaInfrastructureOrchestrator
from sophia_cli.agents.score import CAPS, PARTS, left, part_of, parts, score
from sophia_cli.checks.catalogue import CATALOGUE
from sophia_cli.core.findings import SEVERITIES, Finding, NotTested
from tests.checks.check_cases import a, facts, txt

IDS = [rule.id for rule in CATALOGUE]
pairs = st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(SEVERITIES)), max_size=30)


def found(id: str, severity: str, target: str = "dns:a.example") -> Finding:
    return Finding(id, "dns", severity, target, "t")  # type: ignore[arg-type]


def test_every_check_counts_to_exactly_one_part_and_no_part_is_empty() -> None:
    assert {part_of(id) for id in IDS} == {name for name, _, _ in PARTS}
    assert sum(part.checks for part in parts([])) == len(CATALOGUE)
    expected = {
        "PERF-DNS-RTT": "resolution", "DNS-LAME": "resolution", "PERF-HTTP": "endpoints", "TLS-EXPIRY": "certificates",
        "CAA-BLOCKS": "certificates", "CAA-NONE": "policy", "DNS-DRIFT": "consistency", "MAIL-SPF-ALL": "policy",
        "COST-EXPIRE": "upkeep",
    }  # fmt: skip
    assert {id: part_of(id) for id in expected} == expected


@given(pairs)
def test_the_parts_multiplied_and_capped_are_the_score(rows: list[tuple[str, str]]) -> None:
    findings = [found(*row) for row in rows]
    by_part = [left(severity for id, severity in rows if part_of(id) == name) for name, _, _ in PARTS]
    cap = min((CAPS.get(severity, 100) for _, severity in rows), default=100)
    assert score(findings) == min(cap, int(100 * math.prod(by_part)))


@given(pairs, st.data())
def test_mending_or_easing_a_finding_lowers_no_part(rows: list[tuple[str, str]], data: st.DataObject) -> None:
    findings = [found(*row) for row in rows]
    if not findings:
        return
    index = data.draw(st.integers(0, len(findings) - 1))
    easier = data.draw(st.sampled_from(SEVERITIES[: SEVERITIES.index(findings[index].severity) + 1]))
    before = [part.score for part in parts(findings)]
    without = findings[:index] + findings[index + 1 :]
    for after in (without, [*without, replace(findings[index], severity=easier)]):
        assert score(after) >= score(findings)
        for old, new in zip(before, [part.score for part in parts(after)], strict=True):
            assert old is not None
            assert new is not None
            assert new >= old


def test_a_part_that_nobody_could_look_at_has_no_score() -> None:
    blind = [NotTested(id, "needs a TLS handshake") for id in IDS if part_of(id) == "certificates"]
    by_name = {part.name: part for part in parts([], blind)}
    assert (by_name["certificates"].score, by_name["certificates"].tested) == (None, 0)
    assert by_name["policy"].score == 100
    looked = [replace(entry, why="in part: x.example gave no answer") for entry in blind[:1]]
    several = [replace(entry, why="dns:a.example: in part: no answer") for entry in blind[1:2]]
    again = {part.name: part for part in parts([], [*looked, *several, *blind[2:]])}
    assert (again["certificates"].score, again["certificates"].tested) == (100, 2)


def test_the_parts_of_a_zone_read_without_a_network_say_what_was_not_seen() -> None:
    seen = SophiaInfrastructureOrchestrator().examine_apart(facts(a(), txt("v=spf1 +all")))
    by_name = {part.name: part for part in parts(seen.findings, seen.not_tested)}
    assert by_name["policy"].score is not None
    assert by_name["policy"].score <= 49
    assert by_name["upkeep"].score is None
    assert all(part.tested < part.checks for part in by_name.values())
