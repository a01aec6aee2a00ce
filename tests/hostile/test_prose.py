"""A model's prose: streamed on a terminal only, bounded, escaped, marked, after our own facts; it decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from sophia_cli.cli.clock import SystemClock
from sophia_cli.core.language import Answered, Prompt, Silent
from sophia_cli.providers.model.client import HostedModel
from tests.cli.test_terminal import ended, plain, terminal
from tests.hostile.conftest import SECRETS
from tests.hostile.holding import BEFORE, FRESH, assert_held, leaks
from tests.hostile.memory import Forgetful
from tests.hostile.server import DONE, Exchange, Play, completion, hostile, piece

PROMPT = Prompt("summary", "1", "Sum it up.", {"run": "r1"}, {}, max_tokens=50, streamed=True)
NOTHING: dict[str, list[Any]] = {"explanations": [], "proposals": []}


def tells(*events: str, whole: str = "One record was made [c1].", ends: bool = True) -> Play:
    """Advice without proposals, and prose: as a stream of these events where one is asked for, else `whole`."""

    def play(exchange: Exchange) -> None:
        if "findings" in exchange.got.facts:
            exchange.completion(json.dumps(NOTHING))
        elif exchange.got.body.get("stream"):
            exchange.stream(*events, ends=ends)
        else:
            exchange.completion(whole)

    return play


def heard(play: Play, *, timeout_s: float = 5) -> tuple[Answered | Silent, str, int]:
    """What a stream comes to: the end, the pieces that were handed on, and the requests it took."""
    pieces: list[str] = []

    async def go(base_url: str) -> Answered | Silent:
        model = HostedModel(base_url, "hostile", str, Forgetful(), SystemClock(), timeout_s=timeout_s)
        try:
            return await model.tell(PROMPT, pieces.append)
        finally:
            await model.close()

    with hostile(play) as server:
        return asyncio.run(go(server.base_url)), "".join(pieces), len(server.requests)


# -- streams ------------------------------------------------------------------------------------------------------------


def test_a_stream_is_handed_on_piece_by_piece_and_counted_by_us() -> None:
    usage = 'data: {"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0}}'
    events = (
        ": hello",
        piece(role="assistant"),
        piece("One "),
        piece("record [c1]."),
        piece(finish="stop"),
        usage,
        DONE,
    )
    got, told, requests = heard(lambda exchange: exchange.stream(*events))
    assert isinstance(got, Answered)
    assert (got.text, told, requests) == ("One record [c1].", "One record [c1].", 1)
    assert got.usage.tokens_out >= 5
    assert got.usage.tokens_in > 10


def test_a_host_that_does_not_stream_is_heard_as_a_whole() -> None:
    got, told, _ = heard(lambda exchange: exchange.completion("One record."))
    assert isinstance(got, Answered)
    assert told == "One record."


def endless(event: str) -> Play:
    def play(exchange: Exchange) -> None:
        exchange.stream(ends=False)
        raw = event.encode()
        with contextlib.suppress(OSError):
            while True:
                exchange.handler.wfile.write(b"%x\r\n%s\r\n" % (len(raw), raw))

    return play


BROKEN: dict[str, tuple[Play, str, str]] = {
    "an endless stream": (endless(piece("word ") + "\n\n"), "longer than 8000 characters", "word"),
    "an endless line": (endless("data: " + "x" * 4096), "longer than 1024 KiB", ""),
    "endless comments": (endless(": nothing\n" * 400), "longer than 1024 KiB", ""),
    "endless empty pieces": (endless((piece("") + "\n\n") * 100), "longer than 1024 KiB", ""),
    "cut in the middle": (lambda exchange: exchange.stream(piece("half ")), "broke off in the middle", "half "),
    "the line cut": (lambda exchange: exchange.stream(piece("half "), ends=False), "broke off", "half "),
    "garbage": (lambda exchange: exchange.stream(piece("a "), "data: {nonsense"), "not one of a chat completion", "a "),
    "another shape": (lambda exchange: exchange.stream('data: {"choices": 7}', DONE), "not one of a chat", ""),
    "nested": (lambda exchange: exchange.stream("data: " + "[" * 9000, DONE), "not one of a chat", ""),
    "a tool call": (
        lambda exchange: exchange.stream(piece("ok "), piece(tool_calls=[{"function": {"name": "apply"}}]), DONE),
        "calls a tool",
        "ok ",
    ),
    "a tool call as the end": (lambda exchange: exchange.stream(piece("ok", "tool_calls"), DONE), "calls a tool", ""),
    "cut by length": (lambda exchange: exchange.stream(piece("so ", "length"), DONE), "cut off (length)", ""),
    "a refusal": (lambda exchange: exchange.stream(piece(refusal="no"), DONE), "declines", ""),
    "an error inside": (
        lambda exchange: exchange.stream('data: {"error": {"message": "x"}}'),
        "failed in the middle",
        "",
    ),
    "nothing": (lambda exchange: exchange.stream(DONE), "empty", ""),
    "a redirect": (lambda exchange: exchange.send(307, b"{}", {"Location": "http://127.0.0.1:9/"}), "redirects", ""),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_stream_ends_and_what_was_heard_is_not_asked_for_again(name: str) -> None:
    play, why, told_first = BROKEN[name]
    got, told, requests = heard(play)
    assert isinstance(got, Silent)
    assert why in got.reason
    assert told.startswith(told_first)
    assert len(told) <= 8000
    assert requests == 1
    assert got.usage.requests == 1


def test_a_stream_that_drips_is_left_after_timeout_s() -> None:
    def drips(exchange: Exchange) -> None:
        exchange.stream(piece("a "), ends=False)
        time.sleep(2)

    got, told, requests = heard(drips, timeout_s=0.4)
    assert isinstance(got, Silent)
    assert "no whole answer within" in got.reason
    assert (told, requests) == ("a ", 1)


def test_a_storm_before_the_first_piece_is_retried_and_after_it_never() -> None:
    def stormy(exchange: Exchange) -> None:
        if exchange.number == 1:
            return exchange.send(503, b"{}", {"Retry-After": "0"})
        return exchange.stream(piece("fine"), DONE)

    got, told, requests = heard(stormy)
    assert (type(got), told, requests) == (Answered, "fine", 2)


def storm(status: int, *, timeout_s: float = 20, limit: str | None = None, wait: str = "99999") -> tuple[Any, int]:
    """What a question comes to at a host that only ever answers so, and the requests it took."""

    async def go(base_url: str) -> Any:
        money = None if limit is None else Decimal(limit)
        model = HostedModel(
            base_url, "hostile", str, Forgetful(), SystemClock(), timeout_s=timeout_s, max_cost_usd=money
        )
        try:
            return await model.answer(replace(PROMPT, streamed=False, schema={"type": "object"}), lambda text: None)
        finally:
            await model.close()

    with hostile(lambda exchange: exchange.send(status, b"{}", {"Retry-After": wait})) as server:
        return asyncio.run(go(server.base_url)), len(server.requests)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_41_a_storm_ends_with_the_time_or_the_money_whatever_wait_it_asks_for(status: int) -> None:
    begun = time.monotonic()
    got, requests = storm(status, timeout_s=0.3)
    assert (type(got), requests) == (Silent, 1)
    assert "no whole answer within 0.3 s" in got.reason
    assert time.monotonic() - begun < 3
    got, requests = storm(status, limit="0.006", wait="0")
    assert (type(got), requests) == (Silent, 1)
    assert "max_cost_usd" in got.reason
    assert got.usage.cost_usd < Decimal("0.006")


# -- on the screen ------------------------------------------------------------------------------------------------------

CUT_UP = (
    piece("Fine \x1b"),
    piece("[2J\u202e"),
    piece("Policy: all"),
    piece("owed\n\nPolicy: nothing to approve. Mail [ma"),
    piece("il-9] and [sec"),
    piece("ret-1], see htt"),
    piece("ps://evil.example/?d=1 or [c1"),
    piece("] and [c99]. \ud83d"),
    piece("\ude00 " + "x" * 400),
    piece("yyyyevil.example end.", "stop"),
    DONE,
)


def test_on_a_terminal_a_stream_is_escaped_marked_and_restored_across_its_pieces(stage_of: Any) -> None:
    stage = stage_of(play=tells(*CUT_UP))
    with terminal(stage.shop, "deploy", "--ai-enhanced", "--yes") as child:
        child.expect("sophia did not check it:")
        before = plain(child.before)
        assert ended(child) == 0
        shown = str(child.before)
    assert "applied" in before  # our own facts stand first
    lines = shown.replace("\r", "").strip().split("\n")
    assert lines[0].startswith("| Fine \\x1b[2J\\u202ePolicy: allowed")
    assert lines[1].startswith("| Policy: nothing to approve. Mail [secret] and [secret], see [link left out] or [c1]")
    assert "[unknown id]" in lines[1]
    assert "\U0001f600 [long word left out] end." in lines[1]
    assert "evil.example" not in shown
    assert "\x1b[2J" not in shown
    assert stage.model.requests[-1].body["stream"] is True
    assert leaks(stage.model) == []
    assert stage.shop.rows() == BEFORE | {FRESH}


def test_away_from_a_terminal_and_in_json_nothing_is_streamed(stage_of: Any) -> None:
    stage = stage_of(play=tells())
    ran = stage.run("deploy", "--ai-enhanced", "--yes")
    assert_held(stage, ran)
    head, _, told = ran.err.partition("sophia did not check it:\n")
    assert f"What model:{stage.model.host} says of run" in head
    assert told.startswith("| One record was made [c1].\n")
    assert "| " not in ran.out
    assert not [got for got in stage.model.requests if "stream" in got.body]
    asked = len(stage.model.requests)
    stage.environment("{type: A, value: 203.0.113.10, name: api}", "{type: A, value: 203.0.113.78, name: fresh}")
    document = stage.run("deploy", "--ai-enhanced", "--yes", "-o", "json")
    assert document.code == 0
    assert "summary" not in document.data
    assert len(stage.model.requests) - asked == 1  # the proposals; a document never waits for prose


def test_a_run_is_summed_up_with_the_ids_it_cites_under_a_key_of_its_own(stage_of: Any) -> None:
    stage = stage_of(play=tells(whole="Made [c1] and [c7], all\nsafe."))
    run = stage.run("deploy", "--yes", "-o", "json").data["run"]
    assert stage.model.requests == []
    plain_log = stage.run("audit", "show", "--run", run, "-o", "json")
    assert "summary" not in plain_log.data
    shown = stage.run("audit", "show", "--run", run, "--ai-enhanced", "--show-payload")
    assert stage.model.requests == []
    ran = stage.run("audit", "show", "--run", run, "--ai-enhanced", "-o", "json")
    assert ran.data["summary"] == {
        "text": "Made [c1] and [unknown id], all\nsafe.",
        "by": f"model:{stage.model.host}",
        "cites": ["c1"],
        "whole": True,
    }
    assert {**ran.data, "summary": None}["events"][: len(plain_log.data["events"])] == plain_log.data["events"]
    (request,) = shown.data["requests"]
    assert request["body"] == stage.model.requests[0].body
    facts = stage.model.requests[0].facts
    assert facts["changes"][0]["after"]["is"] == {"address": "203.0.113.77"}
    assert "reason" not in json.dumps(facts)
    assert stage.run("audit", "show", "--run", "none", "--ai-enhanced").code == 0
    assert_held(stage, ran)


@pytest.mark.parametrize("status", [500, 401])
def test_a_summary_that_fails_changes_no_exit_code_and_is_said(stage_of: Any, status: int) -> None:
    def play(exchange: Exchange) -> None:
        if "findings" in exchange.got.facts:
            return exchange.completion(json.dumps(NOTHING))
        return exchange.send(status, SECRETS[0].encode(), {"Retry-After": "0"})

    stage = stage_of(play=play)
    ran = stage.run("deploy", "--ai-enhanced", "--yes")
    assert_held(stage, ran)
    assert "going on without it" in ran.err
    assert SECRETS[0] not in ran.err


def test_prose_that_comes_whole_is_bounded_too(stage_of: Any) -> None:
    stage = stage_of(play=tells(whole="word " * 2000))
    ran = stage.run("deploy", "--ai-enhanced", "--yes")
    assert_held(stage, ran)
    assert "longer than 8000 characters" in ran.err
    assert "word word" not in ran.err


def test_a_model_that_was_silent_about_the_plan_is_not_asked_about_the_run(stage_of: Any) -> None:
    stage = stage_of(play=lambda exchange: exchange.send(401, b"{}"))
    assert_held(stage, stage.run("deploy", "--ai-enhanced", "--yes"))
    assert len(stage.model.requests) == 1


def test_ctrl_c_in_a_summary_leaves_the_run_applied_and_the_exit_code_alone(stage_of: Any) -> None:
    def hangs(exchange: Exchange) -> None:
        if "findings" in exchange.got.facts:
            return exchange.completion(json.dumps(NOTHING))
        exchange.stream(piece("One "), piece("thing "), ends=False)
        time.sleep(5)
        return None

    stage = stage_of(play=hangs)
    with terminal(stage.shop, "deploy", "--ai-enhanced", "--yes") as child:
        child.expect("One")
        child.sendintr()
        assert ended(child) == 0
    assert stage.shop.rows() == BEFORE | {FRESH}


# -- the forms a host takes ----------------------------------------------------------------------------------------------


def test_a_host_that_takes_no_form_at_all_is_asked_in_words_and_doctor_says_so(stage_of: Any) -> None:
    def old(exchange: Exchange) -> None:
        if "response_format" in exchange.got.body:
            return exchange.send(400, b'{"error": {"message": "unknown field response_format"}}')
        return exchange.completion('{"ok": true}' if exchange.got.facts == {} else json.dumps(NOTHING))

    def look(*words: str) -> dict[str, Any]:
        ran = stage.run("doctor", "-o", "json", *words)
        found: dict[str, Any] = next(one for one in ran.data["checks"] if one["name"] == "language model")
        assert "key-for-the-model" not in ran.out + ran.err
        return found

    stage = stage_of(play=old, max_cost_usd=2)
    assert "not asked yet" in look()["message"]
    assert stage.model.requests == []  # it asks nobody unless it is told to
    told = look("--ai-enhanced")
    assert "it answers in the form plain" in told["message"]
    assert "at most $2 a command" in told["message"]
    assert len(stage.model.requests) == 3
    stage.run("plan", "--ai-enhanced")
    assert len(stage.model.requests) == 4  # the form is remembered
    assert "in the form plain" in look()["message"]
    stage.model.play = lambda exchange: exchange.send(401, completion("x").__str__().encode())
    gone = look("--ai-enhanced")
    assert gone["ok"] is False
    assert "does not accept the key" in gone["message"]
    assert leaks(stage.model) == []
