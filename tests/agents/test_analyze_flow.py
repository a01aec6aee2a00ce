"""The analyze flow and the proposals for plans: what is read, what is said of the unread, what is never shown."""

from __future__ import annotations

import asyncio
import json

import pytest
from pydantic import SecretStr

from sophia_cli.agents.redaction import redacted
from sophia_cli.checks.facts import Background, Facts
from sophia_cli.core.dns import Record, Zone
from sophia_cli.core.errors import Unreachable, UsageError
from sophia_cli.core.history import Ownership
from sophia_cli.core.plan import Plan, TargetBase, applied, diff_zone
from sophia_cli.core.settings import DesiredRecord, DesiredZone, Origin, Settings
from sophia_cli.flows.analyze import analyze, examined
from sophia_cli.flows.proposals import proposals
from tests.agents.test_specialists import Reader, reader
from tests.checks.check_cases import IP2, MAIL, NOW, SPF, TOKEN, a, facts, txt, wanting

DOWN = Reader(Unreachable("b.example: no answer"), "dns:b.example")


def test_every_target_is_read_once_and_findings_are_ordered_over_all() -> None:
    ports = [reader(a(), SPF), reader(txt("v=spf1 +all"), name="other.example")]
    analysis = asyncio.run(analyze(ports, now=NOW))
    assert [port.reads for port in ports] == [1, 1]
    assert analysis.targets == ("dns:acme.example", "dns:other.example")
    assert (analysis.findings[0].id, analysis.findings[0].target) == ("MAIL-SPF-ALL", "dns:other.example")
    assert list(analysis.findings) == sorted(analysis.findings, key=lambda one: one.order())
    assert analysis.score == min(analysis.scores.values()) == analysis.scores["dns:other.example"]
    assert analysis.worst() == "critical"


def test_a_target_that_cannot_be_read_is_an_error_when_it_is_the_only_one() -> None:
    with pytest.raises(Unreachable, match=r"b\.example"):
        asyncio.run(analyze([DOWN], now=NOW))
    with pytest.raises(Unreachable):
        asyncio.run(analyze([DOWN, DOWN], now=NOW))


def test_a_target_that_cannot_be_read_beside_others_is_not_tested_and_never_healthy() -> None:
    analysis = asyncio.run(analyze([reader(a()), DOWN], now=NOW))
    assert analysis.targets == ("dns:acme.example",)
    assert {entry.id: entry.why for entry in analysis.not_tested}["dns:b.example"] == (
        "could not be read: b.example: no answer"
    )
    assert "dns:b.example" not in analysis.scores


def test_only_the_named_specialists_run() -> None:
    analysis = asyncio.run(analyze([reader(a(ttl=60), txt("v=spf1 +all"))], now=NOW, agents=["performance"]))
    assert {finding.agent for finding in analysis.findings} == {"performance"}
    assert {entry.id.split("-")[0] for entry in analysis.not_tested} == {"PERF"}
    port = reader(a())
    with pytest.raises(UsageError, match="seo"):
        asyncio.run(analyze([port], now=NOW, agents=["seo"]))
    assert port.reads == 0


def test_a_reason_that_holds_for_every_target_is_said_once() -> None:
    analysis = examined([facts(a()), Facts(Zone.of("b.example", "MX", [Record("@", "MX", "mx.net.", 60, 1)]), NOW)])
    whys = [(entry.id, entry.why) for entry in analysis.not_tested]
    assert ("DNS-LAME", "needs live DNS") in whys
    assert ("DNS-MX-CNAME", "dns:b.example: in part: MX targets outside the zone were not looked up (1)") in whys
    assert len(whys) == len(set(whys))


def test_the_public_shape_is_that_of_the_contract() -> None:
    data = examined([facts(a(), *MAIL)]).data()
    assert list(data)[:7] == ["targets", "score", "scores", "findings", "not_tested", "runs", "summary"]
    assert list(data)[7:] == ["ignored", "score_with_ignored", "baseline", "parts", "costs"]
    assert list(data["summary"]) == ["critical", "high", "medium", "low", "info"]
    assert sum(data["summary"].values()) == len(data["findings"])
    keys = {"id", "agent", "severity", "target", "title", "evidence", "help", "source", "fix", "no_fix", "places"}
    assert all(set(finding) == keys for finding in data["findings"])
    assert all(set(entry) == {"id", "why"} for entry in data["not_tested"])
    assert json.loads(json.dumps(data)) == data
    assert examined([facts(a(), *MAIL)]).data() == data


def test_findings_point_into_the_environment_where_there_is_no_zone_file() -> None:
    wanted = DesiredRecord(a(ttl=60), "dns.records.root", origin=Origin("env/acme.yaml", 12, 5))
    settings = Settings("acme", "acme", zones=(DesiredZone("acme.example", "dns", (wanted,)),))
    analysis = examined([facts(a(ttl=60), settings=settings)])
    finding = next(one for one in analysis.data()["findings"] if one["id"] == "PERF-TTL-LOW")
    assert finding["places"] == [{"file": "env/acme.yaml", "line": 12}]


def test_no_token_and_no_secret_of_the_environment_is_shown() -> None:
    settings = Settings(
        "t", "t", secrets=(SecretStr("hunter2-hunter2"), SecretStr("185.199.108.153"), SecretStr("abc"))
    )
    rows = (
        txt(f"github_token={TOKEN}", "deploy"),
        txt(f"k={TOKEN} abc", "deploy"),
        a(ttl=60),
        txt("v=spf1 a:hunter2-hunter2.net +all"),
    )
    rows += (txt("v=spf1 a:hunter2-hunter2.net +all"),)
    short = (Record("deploy", "TXT", f"x={TOKEN}", 60),)
    analysis = examined([facts(*rows, *short, txt("v=spf1 ip4:185.199.108.153 ?all", "news"), settings=settings)])
    shown = json.dumps(analysis.data())
    assert TOKEN not in shown
    assert "hunter2" not in shown
    assert "ip4:185.199" not in shown
    assert '"value": "185.199.108.153"' in shown  # an A record: serving it publishes it
    assert "abc" in shown  # too short to be taken out of every text
    secret = [one for one in analysis.findings if one.id == "TXT-SECRET"]
    assert len(secret) == 3
    assert any(TOKEN in change.before.value for change in secret[0].fix.changes)  # type: ignore[union-attr]
    assert all(places is not None for places in analysis.places)


def test_redaction_takes_the_longest_secret_first() -> None:
    assert redacted({"x": ["abcd-efgh"]}, frozenset({"abcd", "abcd-efgh"})) == {"x": ["[secret]"]}
    assert (
        redacted({"type": "A", "value": "not an address abcd"}, frozenset({"abcd"}))["value"]
        == "not an address [secret]"
    )


# -- proposals for a plan ----------------------------------------------------------------------------------------------


def plan_of(live: Zone, *wanted: Record) -> tuple[Plan, Settings]:
    settings = wanting(*wanted)
    diff = diff_zone(settings.zones[0], live, Ownership())
    base = TargetBase("dns:acme.example", live.digest(), True)
    return Plan("test", NOW, (base,), diff.changes), settings


def test_proposals_keep_off_what_the_plan_changes_and_what_it_mends() -> None:
    live = facts(a("api", ttl=60), a("web", ttl=60), txt("v=spf1 +all")).zone
    plan, settings = plan_of(live, a("api", IP2, 1800))
    made = proposals(settings, [live], NOW, plan)
    touched = {change.before.name for one in made for change in one.changes if isinstance(change.before, Record)}
    assert "web" in touched
    assert "api" not in touched
    after = applied(live, [*plan.changes, *(change for one in made for change in one.changes)])
    assert {one.name: one.value for one in after.records if one.type == "A"} == {"api": IP2, "web": a().value}
    assert [one.id for one in made] == [f"p{n}" for n in range(1, len(made) + 1)]


def test_proposals_without_a_plan_are_about_the_zone_as_it_is() -> None:
    live = facts(a("api", ttl=60)).zone
    made = proposals(None, [live], NOW)
    assert "PERF-TTL-LOW" in {one.finding for one in made}


def test_proposals_never_carry_a_secret() -> None:
    live = facts(txt(f"github_token={TOKEN}", "deploy"), a("api", ttl=60)).zone
    made = proposals(None, [live], NOW)
    assert made
    assert TOKEN not in json.dumps([one.data() for one in made])


def test_proposals_go_through_plans_outside_the_digest() -> None:
    live = facts(a("api", ttl=60)).zone
    plan, settings = plan_of(live, a("api", IP2, 1800))
    from dataclasses import replace

    assert replace(plan, proposals=proposals(settings, [live], NOW, plan)).digest == plan.digest


def test_background_reaches_the_checks() -> None:
    known = Background("zone-file", file="z", lines={a().key: (4,)}, repeated=(a(),))
    analysis = asyncio.run(analyze([reader(a())], now=NOW, backgrounds={"dns:acme.example": known}))
    finding = next(one for one in analysis.data()["findings"] if one["id"] == "DNS-DUP")
    assert finding["places"] == [{"file": "z", "line": 4}]
