"""Baselines: the same finding later is known, whatever numbers moved; anything else is new."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_cli.core.baseline import compared, fingerprint
from sophia_cli.core.errors import UsageError


def found(id: str = "X", severity: str = "low", value: str = "1.1.1.1", **evidence: Any) -> dict[str, Any]:
    row = {"name": "api", "type": "A", "value": value, "ttl": 60, "priority": None}
    return {
        "id": id,
        "severity": severity,
        "target": "dns:a.example",
        "title": "t",
        "evidence": {"records": [row], **evidence},
    }


def document(*findings: dict[str, Any], ignored: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    listed = [{"finding": finding} for finding in ignored]
    return {"schema": "sophia.analysis/1", "data": {"findings": list(findings), "ignored": listed}}


def test_numbers_times_and_ttls_may_move() -> None:
    before = found(days_left=4, at="2026-11-22T10:00:00Z", server="ns1", rtt={"ns1": 20.5})
    after = found(days_left=3, at="2026-11-23T10:00:00Z", server="ns1", rtt={"ns1": 3.25})
    after["evidence"]["records"][0]["ttl"] = 30
    assert fingerprint(before) == fingerprint(after)
    assert compared([after], document(before)).new == ()


def test_figures_inside_sentences_may_move_and_other_words_may_not() -> None:
    before = found(
        formula="10.0 ms to connect + 50.0 ms to the redirect of 180 bytes", said="seen 2026-11-22T10:00:00Z"
    )
    after = found(formula="9.2 ms to connect + 61.5 ms to the redirect of 181 bytes", said="seen 2026-11-23T11:30:02Z")
    assert fingerprint(before) == fingerprint(after)
    assert fingerprint(found(said="TLS 1.0 of 192.0.2.1")) != fingerprint(found(said="TLS 1.1 of 192.0.2.1"))


@pytest.mark.parametrize(
    "other",
    [found("Y"), found(value="1.1.1.2"), found(server="ns2"), {**found(), "target": "dns:b.example"}],
    ids=["id", "record", "evidence", "target"],
)
def test_another_id_target_record_or_text_is_new(other: dict[str, Any]) -> None:
    result = compared([found(server="ns1"), other], document(found(server="ns1")))
    assert (result.new, result.known) == ((1,), 1)


def test_a_second_finding_of_the_same_kind_is_new() -> None:
    assert compared([found(), found()], document(found())).new == (1,)


def test_what_got_worse_is_new_and_what_got_milder_is_known() -> None:
    assert compared([found(severity="high")], document(found(severity="low"))).new == (0,)
    assert compared([found(severity="low")], document(found(severity="high"))).new == ()


def test_what_is_gone_is_named_and_what_was_ignored_before_is_known() -> None:
    result = compared([found()], document(found("Z"), ignored=(found(),)))
    assert (result.new, result.gone) == ((), ("Z dns:a.example",))


@pytest.mark.parametrize("wrong", [None, [], 1, {}, {"schema": "sophia.plan/1", "data": {}},
                                   {"schema": "sophia.analysis/1", "data": {"findings": [1]}}])  # fmt: skip
def test_another_document_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError, match="baseline"):
        compared([found()], wrong)
