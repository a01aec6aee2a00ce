"""Broken and hostile hosts: redirects, storms, endless and packed answers. The command goes on without them, and says why."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import pytest

from tests.hostile.holding import BEFORE, assert_held
from tests.hostile.server import Exchange, Play, completion, hostile, says

GOOD = '{"explanations": [], "proposals": []}'


def answers(status: int, body: bytes = b"{}", **headers: str) -> Play:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda exchange: exchange.send(status, body, named)


def choices(*listed: Any) -> Play:
    return answers(200, json.dumps({**completion(GOOD), "choices": list(listed)}).encode())


def breaks_off(exchange: Exchange) -> None:
    exchange.handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
    exchange.handler.connection.close()


PLAYS: dict[str, tuple[Play, str, int]] = {
    "500 for ever": (answers(500, Retry_After="0"), "failed (500)", 3),
    "503 for ever": (answers(503, Retry_After="0"), "failed (503)", 3),
    "429 for ever": (answers(429, Retry_After="0"), "asked too often", 3),
    "401": (answers(401), "does not accept the key", 1),
    "404": (answers(404), "no such model", 1),
    "418": (answers(418), "refused (418)", 1),
    "307 to nowhere": (answers(307, Location="https://evil.example/v1"), "redirects", 1),
    "a web page": (answers(200, b"<html>hello</html>", Content_Type="text/html"), "not a chat completion", 1),
    "half of it": (breaks_off, "broke off", 3),
    "too long": (answers(200, b'{"a": "' + b"x" * 2_000_000 + b'"}'), "longer than", 1),
    "without an end": (lambda exchange: exchange.endless(b" " * 65536), "longer than", 1),
    "packed": (answers(200, gzip.compress(b" " * 50_000_000), Content_Encoding="gzip"), "packed", 1),
    "no choices": (choices(), "not a chat completion", 1),
    "no content": (says("", refusal=None), "empty", 1),
    "a refusal": (says("", refusal="I will not."), "declines", 1),
    "cut off": (
        lambda exchange: exchange.send(200, json.dumps(completion(GOOD, finish="length")).encode()),
        "cut off",
        1,
    ),
    "41 a tool call": (
        says(GOOD, tool_calls=[{"id": "1", "type": "function", "function": {"name": "apply", "arguments": "{}"}}]),
        "calls a tool",
        1,
    ),
    "not utf-8": (answers(200, b'{"choices": "\xff\xfe"}'), "not a chat completion", 1),
}


@pytest.mark.parametrize("name", PLAYS)
def test_a_deploy_goes_on_without_a_broken_model_and_says_why(stage_of: Any, name: str) -> None:
    play, why, requests = PLAYS[name]
    stage = stage_of(play=play)
    ran = stage.run("deploy", "--ai-enhanced", "--yes")
    assert_held(stage, ran)
    assert why in ran.err, ran.err
    assert len(stage.model.requests) == requests
    assert [event["outcome"] for event in stage.audit("model")] == ["silent"]


def test_41_a_307_to_another_host_sends_that_host_nothing(stage_of: Any) -> None:
    with hostile(says(GOOD)) as trap:
        stage = stage_of(play=answers(307, Location=f"{trap.base_url}/chat/completions"))
        ran = stage.run("deploy", "--ai-enhanced", "--yes")
        assert_held(stage, ran)
        assert trap.requests == []


def test_nobody_at_the_address_is_said_and_the_deploy_goes_on(stage_of: Any) -> None:
    with hostile(says(GOOD)) as gone:
        address = gone.base_url
    stage = stage_of(base_url=address)
    ran = stage.run("deploy", "--ai-enhanced", "--yes")
    assert "cannot be reached" in ran.err
    assert ("fresh", "A", "203.0.113.77") in stage.shop.rows()


def test_a_host_that_drips_is_left_after_timeout_s(stage_of: Any) -> None:
    def drips(exchange: Exchange) -> None:
        exchange.handler.send_response(200)
        exchange.handler.send_header("Transfer-Encoding", "chunked")
        exchange.handler.end_headers()
        while True:
            exchange.handler.wfile.write(b"1\r\n \r\n")
            time.sleep(0.05)

    stage = stage_of(play=drips, timeout_s=1)
    ran = stage.run("deploy", "--ai-enhanced", "--yes")
    assert_held(stage, ran)
    assert "no whole answer within 1 s" in ran.err


def test_the_ladder_goes_down_a_rung_and_remembers_it(stage_of: Any) -> None:
    def old(exchange: Exchange) -> None:
        if exchange.got.body["response_format"]["type"] == "json_schema":
            exchange.send(400, b'{"error": {"message": "response_format json_schema is not supported"}}')
        else:
            exchange.completion(GOOD)

    stage = stage_of(play=old)
    first = stage.run("plan", "--ai-enhanced")
    assert_held(stage, first, rows=BEFORE)
    assert [got.body["response_format"]["type"] for got in stage.model.requests] == ["json_schema", "json_object"]
    stage.model.requests.clear()
    stage.run("plan", "--ai-enhanced", "--set", "dns.ttl=600")
    stage.run("ask", "kindly the api thing 203.0.113.9")
    assert {got.body["response_format"]["type"] for got in stage.model.requests} <= {"json_object"}


def test_the_same_question_is_asked_once_and_the_kept_answer_serves(stage_of: Any) -> None:
    stage = stage_of(
        play=says('{"explanations": [{"finding": "CAA-NONE", "rank": 1, "text": "Hm."}], "proposals": []}')
    )
    assert "CAA-NONE: Hm." in stage.run("plan", "--ai-enhanced").err
    ran = stage.run("plan", "--ai-enhanced")
    assert "CAA-NONE: Hm." in ran.err
    assert len(stage.model.requests) == 1
    assert [event["outcome"] for event in stage.audit("model")] == ["answered", "cached"]
    assert_held(stage, ran, rows=BEFORE)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": -5, "completion_tokens": "many"},
        {"prompt_tokens": 10**30, "completion_tokens": True},
        {"prompt_tokens": None},
        "none",
    ],
    ids=str,
)
def test_wrong_usage_counts_are_not_believed(stage_of: Any, usage: Any) -> None:
    stage = stage_of(play=lambda exchange: exchange.completion(GOOD, usage), max_cost_usd=1)
    ran = stage.run("plan", "--ai-enhanced")
    assert_held(stage, ran, rows=BEFORE)
    detail = stage.audit("model")[0]["detail"]
    size = len(stage.model.requests[0].raw)
    assert size / 4 < detail["tokens_in"] < size
    assert 0 < detail["tokens_out"] < 1000
    assert 0 < float(detail["cost_usd_at_most"]) < 1


def test_a_budget_that_one_request_could_break_sends_none(stage_of: Any) -> None:
    stage = stage_of(play=says(GOOD), max_cost_usd="0.0001")
    ran = stage.run("deploy", "--ai-enhanced", "--yes")
    assert_held(stage, ran)
    assert "max_cost_usd" in ran.err
    assert stage.model.requests == []


def test_variables_of_the_sdk_redirect_nothing_and_add_nothing(stage_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with hostile(says(GOOD)) as trap:
        monkeypatch.setenv("OPENAI_BASE_URL", trap.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "another-key")
        monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody")
        monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-somebody")
        monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Leak: something")
        monkeypatch.setenv("HTTP_PROXY", trap.base_url)
        monkeypatch.setenv("ALL_PROXY", trap.base_url)
        stage = stage_of(play=says(GOOD))
        ran = stage.run("plan", "--ai-enhanced")
        assert_held(stage, ran, rows=BEFORE)
        assert trap.requests == []
    sent = stage.model.sent()
    assert not [word for word in ("another-key", "somebody", "X-Leak", "Stainless") if word.lower() in sent.lower()]
