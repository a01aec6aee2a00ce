"""Proposals on the environment itself, accepted and rejected one by one, and what is learnt from that."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from sophia_cli.core.changes import Change
from sophia_cli.core.dns import Record
from sophia_cli.core.findings import Proposal
from sophia_cli.flows.learning import Seen, measured
from tests.cli.harness import Shop
from tests.cli.test_terminal import ended, terminal

API = "{type: A, value: 203.0.113.10, name: api, ttl: 1800}"
DMARC = '{type: TXT, name: _dmarc, value: "v=DMARC1; p=none", ttl: 1800}'
DNS = "ttl: 600   # kept short since the move"


def environment(acme: Shop, level: str = "balanced", *, learning: bool = True, more: str = "") -> None:
    wishes = f"ai_infrastructure: {{learning_mode: {str(learning).lower()}, optimization_level: {level}}}"
    acme.environment(API, dns=DNS, more=f"{wishes}\nsecurity: {{secret_rotation_days: 120}}\n{more}")


def rules(acme: Shop) -> dict[str, Any]:
    return {rule["rule"]: rule for rule in acme.run("config", "learning", "-o", "json").data["rules"]}


def offers(acme: Shop) -> dict[str, dict[str, Any]]:
    """The proposals on the environment's own file, by rule."""
    made = acme.run("plan", "--ai-enhanced", "-o", "json").data["proposals"]
    return {one["source"].removeprefix("rule:"): one for one in made if one["source"].startswith("rule:CONFIG-")}


def edits(proposal: dict[str, Any]) -> list[tuple[Any, Any]]:
    return [(change["before"]["value"], change["after"]["value"]) for change in proposal["changes"]]


@pytest.mark.parametrize(
    ("level", "wanted"),
    [
        ("conservative", {}),
        ("balanced", {"CONFIG-TTL-LONG": [(600, 1800)]}),
        ("aggressive", {"CONFIG-TTL-LONG": [(600, 3600)], "CONFIG-SECRET-ROTATION": [(120, 90)]}),
    ],
)
def test_the_levels_propose_differently(acme: Shop, level: str, wanted: dict[str, Any]) -> None:
    environment(acme, level)
    assert {rule: edits(one) for rule, one in offers(acme).items()} == wanted


def test_a_count_outside_its_bounds_is_proposed_back_inside_and_a_reference_is_left_alone(acme: Shop) -> None:
    more = """\
size: 9
pulumi:
  stacks:
    prod: {name: acme/prod, config: {replicas: 9, workers: "${size}"}}
services:
  web: {stack: prod, config_key: replicas, min: 2, max: 4}
  jobs: {stack: prod, config_key: workers, min: 2, max: 4}
"""
    environment(acme, "conservative", more=more)
    (proposal,) = offers(acme).values()
    assert proposal["changes"][0]["after"] == {"path": "pulumi.stacks.prod.config.replicas", "value": 4}
    assert proposal["safe"] is False


def test_an_accepted_proposal_edits_the_file_keeps_its_comments_and_is_learnt_from(acme: Shop) -> None:
    environment(acme)
    proposal = offers(acme)["CONFIG-TTL-LONG"]
    assert proposal["confidence"] == 0.8
    done = acme.run("deploy", "--accept", proposal["id"], "--yes", "-o", "json")
    assert (done.code, done.data["outcome"]) == (0, "applied"), done.err
    assert "ttl: 1800   # kept short since the move" in acme.file.read_text()
    known = rules(acme)["CONFIG-TTL-LONG"]
    assert (known["accepted"], known["held"], known["rejected"], known["undone"]) == (1, 1, 0, 0)
    assert known["confidence"] == 0.85  # (8 + 1 + 2) / (10 + 3), by hand
    assert acme.run("rollback", "--yes").code == 0
    assert "ttl: 600   # kept short since the move" in acme.file.read_text()
    known = rules(acme)["CONFIG-TTL-LONG"]
    assert (known["accepted"], known["held"], known["undone"]) == (1, 0, 1)
    assert known["confidence"] == 0.6  # (8 + 1) / (10 + 1 + 4)
    assert "CONFIG-TTL-LONG" not in offers(acme)  # balanced offers what tunes from 0.70 on


def test_what_a_person_rejects_at_the_prompt_is_learnt_and_what_nobody_was_asked_is_not(acme: Shop) -> None:
    acme.environment(API, DMARC, dns=DNS, more="ai_infrastructure: {learning_mode: true}")
    acme.run("deploy", "--yes")
    assert acme.run("deploy", "--ai-enhanced", "--yes").code == 0
    assert rules(acme)["CONFIG-TTL-LONG"]["rejected"] == 0
    with terminal(acme, "deploy", "--ai-enhanced") as child:
        while child.expect(["Accept this proposal", "Nothing to do"]) == 0:
            child.sendline("no")
        assert ended(child) == 0
    known = rules(acme)["CONFIG-TTL-LONG"]
    assert (known["accepted"], known["rejected"]) == (0, 1)
    assert known["confidence"] == 0.73  # 8 / 11
    assert offers(acme)["CONFIG-TTL-LONG"]["confidence"] == 0.73


def test_a_rule_is_rejected_by_its_name_and_only_a_rule_that_is_there_and_with_learning_on(acme: Shop) -> None:
    environment(acme)
    assert acme.run("config", "learning", "--reject", "rule:CONFIG-TTL-LONG", "--reject", "MAIL-DMARC-NONE").code == 0
    assert rules(acme)["CONFIG-TTL-LONG"]["rejected"] == 1
    assert rules(acme)["MAIL-DMARC-NONE"]["rejected"] == 1
    assert offers(acme)["CONFIG-TTL-LONG"]["confidence"] == 0.73
    assert acme.run("config", "learning", "--reject", "be nice").code == 64
    environment(acme, learning=False)
    ran = acme.run("config", "learning", "--reject", "CONFIG-TTL-LONG")
    assert (ran.code, "learning_mode is off" in ran.err) == (3, True)


def test_a_fix_that_mends_its_finding_speaks_for_its_rule(acme: Shop) -> None:
    environment(acme)
    ran = acme.run("analyze", "--fix", "--accept", "MAIL-DMARC-NONE", "--yes")
    assert ran.code == 0, ran.err
    known = rules(acme)["MAIL-DMARC-NONE"]
    assert (known["accepted"], known["held"], known["mended"], known["lingered"]) == (1, 1, 1, 0)


def test_what_a_person_leaves_when_asked_about_fixes_counts_against_its_rule(acme: Shop) -> None:
    environment(acme)
    with terminal(acme, "analyze", "--fix", "--agent", "security") as child:
        while child.expect(["Accept this proposal", "health \\d+"]) == 0:
            child.sendline("no")
        assert ended(child) == 0
    assert rules(acme)["MAIL-DMARC-NONE"]["rejected"] == 1


def test_with_learning_off_every_rule_is_as_sure_as_it_was_shipped(acme: Shop) -> None:
    environment(acme)
    (state := acme.folder / ".sophia").mkdir(mode=0o700, exist_ok=True)
    lesson = {
        "rule": "CONFIG-TTL-LONG",
        "kind": "rejected",
        "at": "2026-11-22T00:00:00Z",
        "by": "kim",
        "plan": "sha256:0",
    }
    (state / "learning.json").write_text(json.dumps([{**lesson, "run": None}] * 30))
    assert "CONFIG-TTL-LONG" not in offers(acme)
    environment(acme, learning=False)
    assert offers(acme)["CONFIG-TTL-LONG"]["confidence"] == 0.8


def test_ask_explains_why_something_is_suggested_and_cites_the_rule(acme: Shop) -> None:
    environment(acme)
    ran = acme.run("ask", "why do you suggest this?", "-o", "json")
    assert ran.code == 0
    assert "dns.ttl is 600 seconds" in ran.data["answer"]
    assert "(10 x 0.80 + 0) / (10 + 0 + 0)" in ran.data["answer"]
    assert "rule:CONFIG-TTL-LONG" in ran.data["evidence"]
    assert ran.data["plan"] is None
    assert "p99 is not proposed now" in acme.run("ask", "why p99?").out


def test_a_plan_file_cannot_smuggle_an_edit_in_under_a_rules_name(acme: Shop) -> None:
    environment(acme)
    (chosen,) = [one["id"] for rule, one in offers(acme).items() if rule == "CONFIG-TTL-LONG"]
    assert acme.run("plan", "--accept", chosen, "--out", "plan.json").code == 0
    document = json.loads((acme.folder / "plan.json").read_text())
    (change,) = document["data"]["changes"]
    for path, value in (("ai_infrastructure.autonomy", "autonomous"), ("dns.records.r0.value", "198.51.100.66")):
        change["before"], change["after"] = None, {"path": path, "value": value}
        (acme.folder / "forged.json").write_text(json.dumps(document))
        text = acme.file.read_text()
        ran = acme.run("deploy", "forged.json", "--yes", "--confirm", "acme", "-o", "json")
        assert ran.code == 3
        if ran.error["kind"] == "StalePlan":  # a forger knows the digest of what is rebuilt, too
            (acme.folder / "forged.json").write_text(
                json.dumps({**document, "data": {**document["data"], "digest": ran.error["details"]["found"]}})
            )
            acme.run("deploy", "forged.json", "--yes", "--confirm", "acme")
        assert acme.file.read_text() == text
    assert acme.run("deploy", "plan.json", "--yes").code == 0
    assert "ttl: 1800" in acme.file.read_text()


@pytest.mark.parametrize("text", ["{}", "[1]", '[{"rule": "x y"}]', "not json", '[{"rule": "A", "kind": "held"}]'])
def test_a_state_file_of_somebody_elses_is_told_and_not_obeyed(acme: Shop, text: str) -> None:
    environment(acme)
    (state := acme.folder / ".sophia").mkdir(mode=0o700, exist_ok=True)
    (state / "learning.json").write_text(text)
    ran = acme.run("config", "learning")
    assert ran.code == 1
    assert "learning.json" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("left", "score", "kind"),
    [
        ((), 80, ["mended"]),
        (("dns:a.test",), 90, ["lingered"]),
        ((), 60, ["lingered"]),
        (("dns:b.test",), 80, ["mended"]),
    ],
)
def test_a_fix_whose_finding_stays_or_that_lowers_the_score_speaks_against_its_rule(
    left: tuple[str, ...], score: int, kind: list[str]
) -> None:
    row = Record("_dmarc", "TXT", "v=DMARC1; p=none", 1800)
    change = Change("dns:a.test", "dns.record", "create", None, row, "rule:MAIL-DMARC-NONE", "mends")
    fix = Proposal("p1", "MAIL-DMARC-NONE", (change,), "mends", "0.75", "rule:MAIL-DMARC-NONE", "undo")
    before = Seen(frozenset({("MAIL-DMARC-NONE", "dns:a.test")}), 70)
    after = Seen(frozenset(("MAIL-DMARC-NONE", target) for target in left), score)
    at = datetime(2026, 11, 22, tzinfo=UTC)
    assert [one.kind for one in measured([fix], before, after, at, "kim", "sha256:0")] == kind
    assert measured([replace(fix, source="model:127.0.0.1")], before, after, at, "kim", "sha256:0") == ()
