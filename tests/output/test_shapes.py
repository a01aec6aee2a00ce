"""The public shapes of version 1: their keys as the contract lists them, and whole documents held byte for byte.

A golden file changes only together with a decision: the shapes may grow, never change meaning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sophia_cli.core.changes import Change
from sophia_cli.core.findings import Proposal
from sophia_cli.core.plan import Kept, Plan, TargetBase, diff_zone
from sophia_cli.core.policy import Past, Policy, judge
from sophia_cli.core.risk import Zones
from sophia_cli.output import plan as forms
from sophia_cli.output.json_v1 import envelope, plan_data
from tests.builders import IP, NOW, OTHER_IP, a, desired, mx, owned, txt, zone
from tests.cli.harness import DOMAIN, Shop, shop

GOLDEN = Path(__file__).parent / "golden"

RECORD = {"name", "type", "value", "ttl", "priority"}
CHANGE = {"id", "target", "kind", "action", "before", "after", "risk", "reversible", "source", "reason"}
FINDING = {"id", "agent", "severity", "target", "title", "evidence", "help", "source", "fix"}
RUN = {"run", "plan", "outcome", "verified", "steps", "api_calls", "duration_s", "undo"}


@pytest.fixture
def acme(work: Path) -> Iterator[Shop]:
    with shop(work) as found:
        found.environment("{type: A, value: 203.0.113.99, name: api}")
        yield found


def data(ran: Any, schema: str) -> Any:
    document = json.loads(ran.out)
    assert set(document) == {"schema", "data"}
    assert document["schema"] == f"sophia.{schema}/1"
    return document["data"]


def test_plan(acme: Shop) -> None:
    plan = data(acme.run("plan", "-o", "json"), "plan")
    assert set(plan) >= {
        *("digest", "environment", "created", "targets", "changes", "kept", "proposals", "verdict", "summary")
    }
    assert set(plan["targets"][0]) == {"id", "base", "complete"}
    assert set(plan["changes"][0]) >= CHANGE
    assert set(plan["changes"][0]["after"]) == RECORD
    assert set(plan["kept"][0]) == {"target", "record", "why"}
    assert set(plan["verdict"]) == {"decision", "reasons"}
    assert set(plan["verdict"]["reasons"][0]) == {"rule", "message", "needs", "changes"}
    assert set(plan["summary"]) == {"create", "update", "delete", "unchanged", "kept"}
    assert plan["created"].endswith("Z")


def test_run_and_heal_and_audit(acme: Shop) -> None:
    run = data(acme.run("deploy", "--yes", "-o", "json"), "run")
    assert set(run) >= RUN
    assert set(run["steps"][0]) == {"change", "outcome", "message"}
    acme.sandbox.edit(DOMAIN, remove=[{"name": "api", "type": "A"}])
    healed = data(acme.run("heal", "-o", "json"), "heal")
    assert set(healed) >= {"findings", "repaired", "open", "runs", "score_before", "score_after"}
    assert set(healed["findings"][0]) >= FINDING
    assert set(healed["open"][0]) == {"finding", "why"}
    assert healed["open"][0]["why"] in ("needs approval", "unfixable", "over limit")
    audit = data(acme.run("audit", "show", "-o", "json"), "audit")
    assert set(audit) == {"events", "head", "ok", "problems"}
    assert audit["ok"] is True


def test_analysis(acme: Shop) -> None:
    analysis = data(acme.run("analyze", "-o", "json"), "analysis")
    assert set(analysis) >= {"targets", "score", "findings", "not_tested", "runs", "summary"}
    assert set(analysis["findings"][0]) >= FINDING
    assert set(analysis["not_tested"][0]) == {"id", "why"}
    assert set(analysis["summary"]) == {"critical", "high", "medium", "low", "info"}
    assert 0 <= analysis["score"] <= 100
    fix = next(finding["fix"] for finding in analysis["findings"] if finding["fix"])
    assert set(fix) == {"changes", "safe"}


def test_ask_and_config_and_approval_and_error(acme: Shop) -> None:
    asked = data(acme.run("ask", "point api at 203.0.113.5", "-o", "json"), "ask")
    assert set(asked) >= {
        *("text", "reading", "intent", "command", "clarify", "answer", "evidence", "plan", "runs", "engine", "refused")
    }
    assert set(asked["intent"]) == {"name", "slots"}
    config = data(acme.run("config", "show", "-o", "json"), "config")
    assert set(config) == {*("environment", "values", "environment_variables", "pulumi_config", "files", "diagnostics")}
    assert config["values"]["namecheap"]["api_key"] == "[secret]"
    acme.run("plan", "--out", "plan.json")
    approval = data(acme.run("approve", "plan.json", "--confirm", DOMAIN, "--by", "ada", "-o", "json"), "approval")
    assert set(approval) == {"plan", "by", "how", "at", "until", "used"}
    refused = acme.run("deploy", "-o", "json")
    assert refused.out == ""
    assert set(refused.error) == {"code", "kind", "message", "hint", "details"}


def test_stdout_is_exactly_one_document_and_progress_goes_to_stderr(acme: Shop) -> None:
    ran = acme.run("deploy", "--yes", "-o", "json", "-v")
    assert json.loads(ran.out)["schema"] == "sophia.run/1"
    assert "writing 1 change" in ran.err
    undone = acme.run("rollback", "--yes", "-o", "json")
    assert (json.loads(undone.out)["schema"], undone.err) == ("sophia.run/1", "")


def test_under_json_an_error_is_the_only_thing_on_stderr(acme: Shop) -> None:
    acme.sandbox.fault("rows_dropped", rows=2, count=1)
    ran = acme.run("deploy", "--yes", "-o", "json")
    assert ran.code == 5
    assert json.loads(ran.err)["schema"] == "sophia.error/1"


def sample() -> tuple[Plan, Any]:
    """A plan that shows every form of a change, with text that tries to escape from each form."""
    evil = "a|b <script>alert(1)</script> `x` \x1b[2J\u202e @everyone"
    live = zone(a("api"), a("old"), txt(evil), mx(), email_type="MX")
    known = owned(a("old"))
    want = desired(a("api", OTHER_IP), txt("new | text"), mx(priority=20))
    diff = diff_zone(want, live, known)
    proposal = Proposal(
        *(
            "p1",
            "MAIL-SPF-NONE",
            (Change("dns:example.com", "dns.record", "create", None, txt("v=spf1 -all"), "rule:X"),),
        ),
        *("no SPF record", "0.75", "rule:MAIL-SPF-NONE", "deletes TXT @ again"),
    )
    plan = Plan(
        environment="acme",
        created=NOW,
        targets=(TargetBase("dns:example.com", live.digest(), True),),
        changes=diff.changes,
        kept=(*diff.kept, Kept("dns:example.com", a("x", IP), "made by run r (user), not by this environment")),
        proposals=(proposal,),
        zones={"dns:example.com": Zones(live, live)},
    )
    return plan, judge(plan, Policy(), (), Past(), NOW)


@pytest.mark.parametrize("form", ["plan.json", "plan.txt", "plan.md", "plan.html"])
def test_a_plan_is_rendered_byte_for_byte_as_agreed(form: str) -> None:
    plan, verdict = sample()
    rendered = {
        "plan.json": lambda: envelope("plan", plan_data(plan, verdict)),
        "plan.txt": lambda: forms.text(plan, verdict, verbose=True),
        "plan.md": lambda: forms.markdown(plan, verdict),
        "plan.html": lambda: forms.html(plan, verdict),
    }[form]()
    path = GOLDEN / form
    if not path.exists():
        path.write_text(rendered)
        pytest.fail(f"{path} was missing and is written now: read it, then commit it")
    assert rendered == path.read_text()


def test_foreign_text_is_harmless_in_every_form() -> None:
    plan, verdict = sample()
    for text in (forms.text(plan, verdict, verbose=True), forms.markdown(plan, verdict), forms.html(plan, verdict)):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "<script>" not in forms.html(plan, verdict)
    markdown = forms.markdown(plan, verdict)
    assert "<script>" not in markdown
    assert "@everyone" not in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| ") and "---" not in line]
    assert {line.replace("\\|", "").count("|") for line in rows} == {8}
