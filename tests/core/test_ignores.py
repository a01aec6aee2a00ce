"""Ignores: a reason and an end date or they do not count; nothing they cover ever vanishes."""

from __future__ import annotations

from datetime import date

import pytest

from sophia_cli.core.findings import Finding
from sophia_cli.core.ignores import EXPIRED, INCOMPLETE, sort_out
from sophia_cli.core.settings import Ignore

TODAY = date(2026, 11, 22)
TARGET = "dns:acme.example"
WHOLE = Ignore("DNS-WILDCARD", TARGET, "the shop needs it", date(2026, 12, 31))


def found(id: str = "DNS-WILDCARD", *names: str) -> Finding:
    rows = [{"name": name, "type": "A", "value": "203.0.113.1", "ttl": 300, "priority": None} for name in names]
    return Finding(id, "dns", "medium", TARGET, "t", {"records": rows})


def test_a_whole_ignore_takes_its_finding_out_and_lists_it() -> None:
    other = found("DNS-DUP")
    result = sort_out([found(), other], [WHOLE], TARGET, TODAY)
    assert result.open == (other,)
    assert [entry.finding.id for entry in result.ignored] == ["DNS-WILDCARD"]
    assert result.ignored[0].data()["reason"] == "the shop needs it"
    assert result.ignored[0].data()["until"] == "2026-12-31"
    assert result.complaints == ()


@pytest.mark.parametrize(
    ("ignore", "id", "said"),
    [
        (Ignore("DNS-WILDCARD", TARGET, "x", date(2026, 11, 21)), EXPIRED, "ended on 2026-11-21"),
        (Ignore("DNS-WILDCARD", TARGET, "", date(2027, 1, 1)), INCOMPLETE, "has no reason"),
        (Ignore("DNS-WILDCARD", TARGET, "x", None), INCOMPLETE, "has no end date"),
        (Ignore("DNS-WILDCARD", TARGET), INCOMPLETE, "has no reason and no end date"),
    ],
)
def test_an_ignore_that_is_not_whole_or_past_hides_nothing_and_is_reported(ignore: Ignore, id: str, said: str) -> None:
    result = sort_out([found()], [ignore], TARGET, TODAY)
    assert [finding.id for finding in result.open] == ["DNS-WILDCARD"]
    assert result.ignored == ()
    ((complaint, by),) = result.complaints
    assert (complaint.id, complaint.target, by) == (id, TARGET, ignore)
    assert said in complaint.title


def test_the_last_day_still_counts() -> None:
    assert sort_out([found()], [Ignore("DNS-WILDCARD", TARGET, "x", TODAY)], TARGET, TODAY).open == ()


@pytest.mark.parametrize(
    ("target", "covered"), [("dns:*", True), ("*", True), ("dns:other.example", False), ("dns:acme.*", True)]
)
def test_a_target_may_be_a_pattern_and_another_target_is_left_alone(target: str, covered: bool) -> None:
    result = sort_out([found()], [Ignore("DNS-WILDCARD", target, "x", TODAY)], TARGET, TODAY)
    assert bool(result.ignored) is covered


def test_an_ignore_of_one_name_covers_no_finding_that_is_also_about_another() -> None:
    narrow = Ignore("DNS-SPECIAL-IP", TARGET, "lab", TODAY, name="lab")
    assert sort_out([found("DNS-SPECIAL-IP", "lab", "lab")], [narrow], TARGET, TODAY).open == ()
    both = sort_out([found("DNS-SPECIAL-IP", "lab", "shop")], [narrow], TARGET, TODAY)
    assert len(both.open) == 1
    assert sort_out([found("DNS-SPECIAL-IP")], [narrow], TARGET, TODAY).ignored == ()
