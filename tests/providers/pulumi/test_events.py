"""Streams of engine events as a real engine sent them, and what becomes of them when a newer engine says more."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from sophia_cli.core.stack_steps import ResourceStep, fold
from sophia_cli.providers.pulumi.events import SIGNATURE, Stream, shown
from tests.providers.pulumi.recording import RECORDED


def recorded(scenario: str, command: str, number: int = 0) -> list[dict[str, Any]]:
    """The events of one command of a recorded scenario: the first one with steps, or a later one."""
    calls = [json.loads(line) for line in (RECORDED / f"{scenario}.jsonl").read_text().splitlines()]
    found = [call for call in calls if call["args"][0] == command and any("urn" in line for line in call["stdout"])]
    return [json.loads(line) for line in found[number]["stdout"]]


def read(events: list[dict[str, Any]]) -> Stream:
    stream = Stream()
    for event in events:
        stream.take(json.dumps(event))
    return stream


def steps(events: list[dict[str, Any]]) -> dict[str, ResourceStep]:
    return {step.name: step for step in fold(read(events).steps)}


CHANGES = "changes_name_each_property_and_can_be_taken_back"


def mixed() -> list[dict[str, Any]]:
    """The preview with an update, a replacement and a delete."""
    return recorded(CHANGES, "preview", 2)


def test_a_real_preview_is_folded_to_one_step_a_resource() -> None:
    found = steps(mixed())
    assert {name: step.action for name, step in found.items()} == {
        "page": "update",
        "kept": "replace",
        "gone": "delete",
        "shop-prod": "update",
    }
    assert found["kept"].keys == ("path",)
    assert not any(step.done for step in found.values())
    assert read(mixed()).result == "succeeded"


def test_a_real_update_tells_of_each_step_that_is_done() -> None:
    found = steps(recorded(CHANGES, "up"))
    assert all(step.done for step in found.values())
    assert {step.action for step in found.values()} == {"create"}


@pytest.mark.parametrize("seed", range(10))
def test_the_order_in_which_events_arrive_does_not_matter(seed: int) -> None:
    events = mixed()
    shuffled = list(events)
    random.Random(seed).shuffle(shuffled)
    assert fold(read(shuffled).steps) == fold(read(events).steps)


def test_an_operation_of_a_newer_engine_is_shown_as_unknown() -> None:
    events = mixed()
    for event in events:
        for body in event.values():
            if isinstance(body, dict) and body.get("metadata", {}).get("urn", "").endswith("::page"):
                body["metadata"]["op"] = "transmogrify"
    found = steps(events)["page"]
    assert (found.action, found.ops) == ("unknown", ("transmogrify",))


def test_an_event_of_a_newer_engine_is_noted_and_changes_nothing_else() -> None:
    events = mixed()
    stream = read([*events, {"sequence": 900, "timestamp": 1, "quotaEvent": {"left": 3}}])
    assert stream.unknown == ["quotaEvent"]
    assert fold(stream.steps) == fold(read(events).steps)


def test_an_event_of_a_newer_engine_about_a_resource_is_an_unknown_step() -> None:
    metadata = {"op": "create", "urn": "urn:pulumi:prod::shop::t:t:T::new", "type": "t:t:T"}
    stream = read([{"sequence": 900, "timestamp": 1, "resourceAdoptedEvent": {"metadata": metadata}}])
    assert [step.action for step in fold(stream.steps)] == ["unknown"]


def test_what_is_no_event_is_kept_apart() -> None:
    stream = Stream()
    for line in ("", "warning: something", "[1, 2]", '{"steps": []}'):
        stream.take(line)
    assert (stream.begun, stream.steps, len(stream.garbage)) == (False, [], 3)


def test_policy_violations_and_their_levels_are_read() -> None:
    body = {
        "resourceUrn": "urn:pulumi:p::s::t:t:T::n",
        "message": "is public\n",
        "policyName": "no-public",
        "policyPackName": "house",
        "enforcementLevel": "advisory",
    }
    (found,) = read([{"sequence": 1, "timestamp": 1, "policyEvent": body}]).violations
    assert (found.level, found.text()) == ("advisory", "policy house/no-public (n): is public")


def test_marked_values_are_masked_or_named_and_never_shown_raw() -> None:
    secret = {SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "plaintext": '"hunter2"'}
    output = {SIGNATURE: "d0e6a833031e9bbcd3f4e8bde6ca49a4"}
    asset = {SIGNATURE: "c44067f5952c0a294b673a41bacd8c17", "hash": "abc", "text": "hunter2"}
    found = shown({"a": [secret, 1.0, 1.5], "b": output, "c": asset, "d": "04da6b54-80e4-46f7-96ec-b56ff0331ba9"})
    assert found == {"a": ["[secret]", 1, 1.5], "b": "[unknown]", "c": "[asset abc]", "d": "[unknown]"}
    assert shown({**output, "value": "x", "secret": True}) == "[secret]"
    assert shown({**output, "value": "x"}) == "x"
    assert "hunter2" not in str(shown({SIGNATURE: "of a newer engine", "value": "hunter2"}))


def test_a_secret_that_the_program_passes_on_in_the_clear_is_hidden() -> None:
    stream = Stream(("hunter2",))
    new = {"id": "id-hunter2", "inputs": {"url": "https://u:hunter2@h", "list": [{"a": "hunter2"}]}, "outputs": {}}
    metadata = {"op": "create", "urn": "urn:pulumi:p::s::t:t:T::n", "type": "t:t:T", "new": new}
    stream.take(json.dumps({"sequence": 1, "timestamp": 1, "resOutputsEvent": {"metadata": metadata}}))
    diagnostic = {"severity": "error", "message": "no hunter2 here"}
    stream.take(json.dumps({"sequence": 2, "timestamp": 1, "diagnosticEvent": diagnostic}))
    assert "hunter2" not in repr(stream.steps) + repr(stream.diagnostics)
    (step,) = fold(stream.steps)
    assert step.properties[1].after == "https://u:[secret]@h"


def test_the_recordings_hold_no_place_of_the_machine_they_were_made_on() -> None:
    for path in Path(RECORDED).glob("*.jsonl"):
        text = path.read_text(encoding="utf-8")
        for place in ("/home/", "/root/", "/usr/", "site-packages", "PULUMI_ACCESS_TOKEN"):
            assert place not in text, (path.name, place)
