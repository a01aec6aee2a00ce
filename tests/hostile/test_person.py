"""A person at a terminal and a reading that only a model made: shown in our words, confirmed, and then judged as usual."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.cli.test_terminal import ended, plain, terminal
from tests.hostile.holding import BEFORE, leaks
from tests.hostile.server import Exchange, reads

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


@pytest.mark.parametrize("answer", ["no", ""])
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


def test_ctrl_c_while_a_model_thinks_ends_the_sentence_and_keeps_the_chat_and_its_plan(stage_of: Any) -> None:
    thinking, enough = threading.Event(), threading.Event()

    def thinks(exchange: Exchange) -> None:
        thinking.set()
        enough.wait(10)

    stage = stage_of(play=thinks)
    with terminal(stage.shop, "ask") as child:
        child.expect("> ")
        child.sendline("point api at 203.0.113.99")
        child.expect("Policy:")
        child.expect("> ")
        child.sendline("kindly the blorb thing")
        assert thinking.wait(20)
        child.sendintr()
        child.expect("stopped; nothing was changed")
        enough.set()
        child.expect("> ")
        child.sendline("/plan")
        child.expect("203.0.113.99")
        child.expect("> ")
        child.sendeof()
        assert ended(child) == 0
    assert stage.shop.rows() == BEFORE
