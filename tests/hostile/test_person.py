"""A person at a terminal and a reading that only a model made: shown in our words, confirmed, and then judged as usual."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.test_terminal import ended, plain, terminal
from tests.hostile.holding import BEFORE, leaks
from tests.hostile.server import reads

STRANGE = "api ought 203.0.113.9 now"
GOOD = reads("set_record", domain="acme.example", record="api", type="A", value="203.0.113.9")


def test_a_confirmed_reading_is_the_persons_and_its_plan_is_asked_for_again(stage_of: Any) -> None:
    stage = stage_of(play=GOOD)
    with terminal(stage.shop, "ask", STRANGE) as child:
        child.expect("Is it what you mean")
        assert "set the A record api.acme.example to 203.0.113.9" in plain(child.before)
        child.sendline("y")
        child.expect(r"\[a\]pply")
        assert "203.0.113.10 -> 203.0.113.9" in plain(child.before)
        child.sendline("a")
        assert ended(child) == 0
    assert ("api", "A", "203.0.113.9") in stage.shop.rows()
    assert [event["outcome"] for event in stage.audit("ask")] == ["read", "confirmed"]


@pytest.mark.parametrize("answer", ["n", "no", ""])
def test_a_reading_that_is_not_meant_changes_nothing(stage_of: Any, answer: str) -> None:
    stage = stage_of(play=GOOD)
    with terminal(stage.shop, "ask", STRANGE) as child:
        child.expect("Is it what you mean")
        child.sendline(answer)
        if not answer:
            child.sendline("n")
        assert ended(child) == 3
    assert stage.shop.rows() == BEFORE
    assert leaks(stage.model) == []
