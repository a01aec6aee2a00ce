"""`sophia audit threats`: what really happened on the sandbox, and what heal saw of others' edits."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.harness import DOMAIN, Shop, run

API = "{type: A, value: 203.0.113.10, name: api}"


def test_an_empty_state_and_ordinary_work_hold_no_threat(acme: Shop, work: Path) -> None:
    ran = run("audit", "threats", "--state", str(work / "nothing"), "-o", "json")
    assert (ran.code, ran.data["findings"], ran.data["events"], ran.data["learning"]) == (0, [], 0, True)
    acme.environment(API)
    assert acme.run("deploy", "--yes").code == 0
    assert acme.run("record", "set", "new", "A", "203.0.113.9", "--yes").code == 0
    assert acme.run("rollback", "--yes").code == 0
    ran = acme.run("audit", "threats", "-o", "json")
    assert (ran.code, ran.data["findings"]) == (0, [])
    assert ran.data["events"] > 10
    assert "still learning" in acme.run("audit", "threats").out


def test_an_edit_behind_our_back_is_noted_once_by_heal_and_shown(acme: Shop) -> None:
    acme.environment(API)
    acme.run("deploy", "--yes")
    acme.sandbox.edit(
        DOMAIN,
        add=[{"name": "api", "type": "A", "address": "198.51.100.66"}],
        remove=[{"name": "api", "type": "A", "address": "203.0.113.10"}],
    )
    for _ in range(3):
        assert acme.run("heal").code == 2
    events = acme.run("audit", "show", "-o", "json").data["events"]
    assert [event["detail"]["records"] for event in events if event["action"] == "heal.drift"] == [["A api"]]
    ran = acme.run("audit", "threats", "-o", "json", "--fail-on", "medium")
    assert ran.code == 2
    (found,) = ran.data["findings"]
    assert (found["id"], found["target"], found["evidence"]["records"]) == (
        "THREAT-BEHIND", f"dns:{DOMAIN}", ["A api"]
    )  # fmt: skip
    assert found["evidence"]["events"] == [event["seq"] for event in events if event["action"] == "heal.drift"]
    assert acme.run("audit", "threats", "--fail-on", "high").code == 0


def test_a_log_that_was_changed_is_a_critical_threat(acme: Shop) -> None:
    acme.environment(API)
    assert acme.run("record", "set", "new", "A", "203.0.113.9", "--yes").code == 0
    log = next((acme.folder / ".sophia").rglob("audit*.jsonl"))
    lines = log.read_text().splitlines()
    changed = json.loads(lines[1])
    changed["actor"] = "somebody\x1b[31m@else"
    lines[1] = json.dumps(changed)
    log.write_text("\n".join(lines) + "\n")
    ran = acme.run("audit", "threats")
    assert "THREAT-LOG" in ran.out
    assert "\x1b" not in ran.out


def test_an_unknown_severity_is_refused(work: Path) -> None:
    assert run("audit", "threats", "--fail-on", "grave", "--state", str(work)).code == 64


def test_the_log_names_the_address_of_a_login_and_the_run_of_a_ci_job(
    acme: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme.environment(API)
    monkeypatch.setenv("SSH_CONNECTION", "203.0.113.99 50000 192.0.2.1 22")
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/site")
    monkeypatch.setenv("GITHUB_RUN_ID", "4711")
    assert acme.run("record", "set", "new", "A", "203.0.113.9", "--yes").code == 0
    details = [event["detail"] for event in acme.run("audit", "show", "-o", "json").data["events"]]
    assert {(one["address"], one["ci"]) for one in details} == {("203.0.113.99", "acme/site#4711")}
    monkeypatch.setenv("SSH_CONNECTION", "\x1b[31m nonsense")
    monkeypatch.setenv("GITHUB_RUN_ID", "${{ evil }}")
    acme.run("freeze")
    last = acme.run("audit", "show", "-o", "json").data["events"][-1]
    assert not {"address", "ci"} & last["detail"].keys()


def test_an_exported_log_is_judged_beside_our_own_and_its_bad_lines_are_told(work: Path) -> None:
    start = datetime(2026, 10, 5, 9, tzinfo=UTC)
    entry = {"actor": "bob", "action": "put", "target": "bucket", "address": "198.51.100.7"}
    lines = [json.dumps({**entry, "time": (start + timedelta(days=day)).isoformat()}) for day in range(20)]
    evil = {**entry, "time": (start + timedelta(days=20)).isoformat(), "actor": "mallory\x1b[31m"}
    (work / "cloud.jsonl").write_text("\n".join([*lines, "no event", json.dumps(evil)]) + "\n")
    words = ("audit", "threats", "--events", "cloud.jsonl", "--state", str(work / "state"))
    ran = run(*words, "-o", "json", "--fail-on", "medium")
    (found,) = ran.data["findings"]
    assert (ran.code, found["id"], found["target"]) == (2, "THREAT-ACTOR", "file:cloud.jsonl")
    assert found["evidence"]["provider_events"] == ["file:cloud.jsonl#22"]
    assert ran.data["sources"] == [
        {
            "name": "file:cloud.jsonl",
            "tested": True,
            "reason": None,
            "events": 21,
            "own": 0,
            "malformed": 1,
            "learning": False,
        }
    ]
    text = run(*words).out
    assert "file:cloud.jsonl: 21 events, 1 line left out" in text
    assert "\x1b" not in text
    assert not (work / "state").exists()


def test_a_file_of_events_that_is_missing_too_large_or_of_another_form_is_never_called_tested(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "notes.txt").write_text("nothing\nof the kind\n")
    ran = run("audit", "threats", "--events", "notes.txt", "-o", "json")
    assert [one["tested"] for one in ran.data["sources"]] == [False]
    assert "file:notes.txt: not tested: none of its 2 lines" in run("audit", "threats", "--events", "notes.txt").out
    (work / "n\x1b[31motes").write_text("nothing")
    assert "\x1b" not in run("audit", "threats", "--events", "n\x1b[31motes").out
    missing = run("audit", "threats", "--events", "gone.jsonl")
    assert (missing.code, "gone.jsonl" in missing.err) == (64, True)
    with (work / "huge.jsonl").open("wb") as file:
        file.truncate(16 * 1024 * 1024 + 1)
    assert run("audit", "threats", "--events", "huge.jsonl").code == 64
    assert run("audit", "threats", "--events", str(work)).code == 64


def test_an_environment_that_cannot_be_used_leaves_its_stacks_untested_and_the_log_judged(work: Path) -> None:
    (work / "sophia.yaml").write_text("values: [")
    ran = run("audit", "threats", "-o", "json")
    assert (ran.code, ran.data["findings"]) == (0, [])
    (source,) = ran.data["sources"]
    assert (source["name"], source["tested"]) == ("pulumi", False)
    assert "the environment cannot be used" in source["reason"]
