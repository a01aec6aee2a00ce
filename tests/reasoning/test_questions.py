"""Questions on fixed facts: nothing is claimed that is not so, and most of what is asked is answered with its sources."""

from __future__ import annotations

from pathlib import Path

from tests.evaluation.questions import asked, facts, prepared, questions


def test_no_answer_claims_what_is_not_so_and_most_hold_their_facts_and_cite_their_sources(work: Path) -> None:
    assert len(questions()) == 90
    with facts(work) as there:
        run = prepared(there)
        before = there.rows()
        scores = asked(there, run, questions())
        assert there.rows() == before
    assert scores["all"].wrong_claims == []
    assert scores["all"].right >= 88, scores["all"].missed
    assert scores["unknown"].right == scores["unknown"].questions
    assert scores["hypothetical"].right == scores["hypothetical"].questions
