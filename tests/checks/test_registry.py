"""The catalogue as data, what counts as tested, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from sophia_cli.checks.catalogue import CATALOGUE, NEEDS, RULES
from sophia_cli.checks.registry import CHECKS, catalogue_markdown, examine
from sophia_cli.core.findings import SEVERITIES
from tests.checks.check_cases import MAIL, SPF, a, cname, facts, registered, row, txt

ROOT = Path(__file__).parents[2]


def test_the_catalogue_holds_101_rules_of_five_agents() -> None:
    assert len(CATALOGUE) == len(RULES) == len(CHECKS) == 101
    assert Counter(rule.agent for rule in CATALOGUE) == {
        "security": 47,
        "dns": 29,
        "ssl": 15,
        "performance": 6,
        "cost": 4,
    }


@pytest.mark.parametrize("rule", CATALOGUE, ids=lambda rule: rule.id)
def test_a_rule_is_complete(rule: object) -> None:
    rule = RULES[rule.id]  # type: ignore[attr-defined]
    levels = rule.severities.split()
    assert levels == sorted(levels, key=SEVERITIES.index, reverse=True)
    assert set(rule.needs.split()) <= set(NEEDS)
    assert rule.text[0].isupper() or rule.text[0] in "`"
    assert rule.source
    assert rule.fix in ("auto", "ask", "ui", "none")


def test_the_catalogue_page_is_what_the_registry_generates() -> None:
    assert (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8") == catalogue_markdown()


def test_a_check_that_cannot_run_is_not_tested_and_never_passed() -> None:
    known = {entry.id: entry.why for entry in examine(facts(a()))[1]}
    ran = {check.rule.id for check in CHECKS if check.run is not None and set(check.needs) <= {"Z"}}
    assert {rule.id for rule in CATALOGUE} - ran <= set(known)
    assert known["DNS-LAME"] == "needs live DNS"
    assert known["DNS-DANGLE-SVC"] == "needs live DNS"
    assert known["COST-EXPIRE"] == "needs registrar facts"
    assert known["PERF-TTL-HIGH"] == "no environment says what is planned for this zone"
    assert known["CAA-BLOCKS"].startswith("no authority in use is known")


def test_registrar_facts_make_their_checks_tested() -> None:
    whole = registered(expires=date(2030, 1, 1), auto_renew=True, locked=True, privacy=True)
    known = {entry.id: entry.why for entry in examine(facts(a(), background=whole))[1]}
    assert not {"COST-EXPIRE", "REG-LOCK"} & set(known)
    assert known["COST-IDLE"] == "in part: traffic was not looked at"
    some = {entry.id: entry.why for entry in examine(facts(a(), background=registered(locked=True)))[1]}
    assert some["REG-LOCK"] == "in part: the registrar did not tell both lock and privacy"
    assert some["COST-EXPIRE"].startswith("the registrar did not say")


def test_what_lies_outside_the_zone_is_tested_in_part() -> None:
    outside = facts(cname("a", "x.net."), row("@", "MX", "mx.net.", priority=1), txt("v=spf1 include:x.net -all"))
    known = {entry.id: entry.why for entry in examine(outside)[1]}
    assert known["DNS-CNAME-LOOP"] == "in part: CNAME/ALIAS targets outside the zone were not looked up (1)"
    assert known["DNS-MX-NOADDR"] == "in part: MX targets outside the zone were not looked up (1)"
    assert known["MAIL-SPF-LOOKUPS"] == "in part: SPF terms outside the zone were not followed (1)"
    inside = {entry.id for entry in examine(facts(SPF, *MAIL))[1]}
    assert not {"DNS-CNAME-LOOP", "DNS-MX-NOADDR", "MAIL-SPF-LOOKUPS", "MAIL-DMARC-NONE"} & inside


def test_a_delegated_dmarc_record_is_not_tested() -> None:
    known = {entry.id: entry.why for entry in examine(facts(cname("_dmarc", "x.net."), *MAIL))[1]}
    assert (
        known["MAIL-DMARC-NONE"]
        == known["MAIL-DMARC-WEAK"]
        == "_dmarc is delegated to another zone, which needs live DNS"
    )


def test_agents_split_the_catalogue_without_overlap() -> None:
    whole = examine(facts(a(), txt("v=spf1 +all")))
    parts = [
        examine(facts(a(), txt("v=spf1 +all")), agent) for agent in ("dns", "ssl", "security", "performance", "cost")
    ]
    assert sorted(one.id for one in whole[0]) == sorted(one.id for part in parts for one in part[0])
    assert sorted(one.id for one in whole[1]) == sorted(one.id for part in parts for one in part[1])


def test_checks_and_agents_import_no_network_or_crypto_library() -> None:
    code = (
        "import sys, sophia_cli.checks.registry, sophia_cli.agents.orchestrator, sophia_cli.flows.proposals\n"
        "print([name for name in ('dns', 'httpx', 'cryptography', 'rich', 'typer', 'openai', 'pulumi') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
