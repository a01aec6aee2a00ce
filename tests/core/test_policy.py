"""The judge: what is refused, what wants a person, what may go on by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from sophia_cli.core.changes import Change, ConfigValue, EmailMode
from sophia_cli.core.dns import Record, Zone
from sophia_cli.core.history import Ownership
from sophia_cli.core.plan import Plan, TargetBase, applied, diff_zone, finished
from sophia_cli.core.policy import Approval, Past, Policy, Verdict, judge, matches
from sophia_cli.core.risk import Zones
from sophia_cli.core.settings import DesiredZone, Limits
from tests.builders import DOMAIN, IP, NOW, OTHER_IP, a, cname, desired, mx, owned, txt, zone

TARGET = "dns:example.com"


def plan_of(want: DesiredZone, live: Zone, known: Ownership | None = None, **context: object) -> Plan:
    known = known or Ownership()
    changes = diff_zone(want, live, known).changes
    protected = frozenset((row.record.name, row.record.type) for row in want.records if row.protect)
    zones = Zones(live, applied(live, changes), ownership=known, protected=protected)
    zones = replace(zones, **context)  # type: ignore[arg-type]
    return Plan("acme", NOW, (TargetBase(TARGET, live.digest(), True),), changes, zones={TARGET: zones})


def verdict(
    plan: Plan, policy: Policy | None = None, *approvals: Approval, spent: int = 0, now: datetime = NOW
) -> Verdict:
    return judge(plan, policy or Policy(), approvals, Past(spent), now)


def rules(found: Verdict) -> dict[str, str | None]:
    return {reason.rule: reason.needs for reason in found.reasons}


def filler(count: int) -> list[Record]:
    return [a(f"h{number}") for number in range(count)]


def test_an_empty_plan_is_allowed_without_reasons() -> None:
    assert verdict(plan_of(desired(a("api")), zone(a("api")))) == Verdict("allow")


@pytest.mark.parametrize(
    ("live", "want", "rule"),
    [
        (zone(a("@"), *filler(9)), desired(a("@", OTHER_IP)), "apex-address"),
        (zone(mx(), *filler(9), email_type="MX"), desired(mx("mx2.example.com."), purge=True), "last-mx"),
        (zone(Record("sub", "NS", "ns1.example.net.", 1800), *filler(9)), desired(purge=True), "ns"),
        (zone(txt("v=spf1 a -all"), *filler(9)), desired(txt("v=spf1 mx -all")), "spf"),
        (zone(*filler(9), email_type="FWD"), desired(email_type="NONE"), "mail-mode"),
    ],
)
def test_what_the_contract_calls_critical_wants_the_zones_name(live: Zone, want: DesiredZone, rule: str) -> None:
    unlimited = Policy(limits=Limits(max_deletes=99, max_percent=100))
    found = verdict(plan_of(want, live), unlimited)
    assert found.decision == "ask"
    assert rules(found)[rule] == "name"
    critical = next(reason for reason in found.reasons if reason.rule == rule)
    risks = {change.id: change.risk for change in plan_of(want, live).changes}
    assert {risks[one] for one in critical.changes} == {"critical"}


def test_one_of_two_mx_may_go_without_being_critical() -> None:
    live = zone(mx("mx1.example.com."), mx("mx2.example.com."), *filler(9), email_type="MX")
    plan = plan_of(desired(), live, owned(mx("mx2.example.com.")))
    assert [change.risk for change in plan.changes] == ["high"]
    assert "last-mx" not in rules(verdict(plan))


def test_a_new_preference_for_the_only_mx_is_critical() -> None:
    plan = plan_of(desired(mx(priority=20)), zone(mx(priority=10), *filler(9), email_type="MX"))
    assert [change.risk for change in plan.changes] == ["critical"]


@pytest.mark.parametrize(
    ("live", "want", "known", "risk"),
    [
        ([], [a("api")], [], "low"),
        ([], [a("@")], [], "high"),
        ([], [a("*")], [], "medium"),
        ([], [txt("hello")], [], "low"),
        ([], [txt("v=spf1 -all")], [], "high"),
        ([], [txt("v=DMARC1; p=none", "_dmarc")], [], "high"),
        ([], [txt("v=DKIM1; p=x", "s1._domainkey")], [], "high"),
        ([a("api", ttl=300)], [a("api", ttl=600)], [], "low"),
        ([a("@", ttl=300)], [a("@", ttl=600)], [], "medium"),
        ([a("api")], [a("api", OTHER_IP)], [], "high"),  # a value sophia never wrote
        ([a("api")], [a("api", OTHER_IP)], [a("api")], "medium"),  # one it wrote
        ([a("old")], [], [a("old")], "high"),
    ],
)
def test_risk_is_computed_from_what_a_change_touches(
    live: list[Record], want: list[Record], known: list[Record], risk: str
) -> None:
    plan = plan_of(desired(*want), zone(*live), owned(*known))
    assert [change.risk for change in plan.changes] == [risk]


def test_putting_back_what_was_applied_is_of_medium_risk_though_a_foreign_value_stands_there() -> None:
    [change] = plan_of(desired(a("api")), zone(a("api", "198.51.100.66")), owned(a("api"))).changes
    assert (change.source, change.risk) == ("drift", "medium")


@pytest.mark.parametrize(("count", "decision"), [(50, "ask"), (51, "deny")])
def test_max_changes(count: int, decision: str) -> None:
    assert verdict(plan_of(desired(*filler(count)), zone())).decision == decision


@pytest.mark.parametrize(("count", "decision"), [(3, "ask"), (4, "deny")])
def test_max_deletes(count: int, decision: str) -> None:
    gone = filler(count)
    live = zone(*gone, *(a(f"stay{number}") for number in range(40)))
    found = verdict(plan_of(desired(), live, owned(*gone)))
    assert found.decision == decision
    assert ("max_deletes" in rules(found)) == (decision == "deny")


@pytest.mark.parametrize(
    ("rows", "touched", "decision"), [(10, 3, "ask"), (10, 4, "deny"), (3, 1, "ask"), (3, 2, "deny")]
)
def test_max_percent_counts_updates_and_deletes_and_guards_small_zones_too(
    rows: int, touched: int, decision: str
) -> None:
    live = zone(*filler(rows))
    want = desired(*(a(f"h{number}", OTHER_IP) for number in range(touched)), *(a(f"new{n}") for n in range(30)))
    found = verdict(plan_of(want, live))
    assert found.decision == decision
    assert ("max_percent" in rules(found)) == (decision == "deny")


def test_a_days_changes_count_over_all_runs() -> None:
    plan = plan_of(desired(a("api")), zone())
    assert verdict(plan, spent=99).decision == "ask"
    assert rules(verdict(plan, spent=100)) == {"per_day": None, "autonomy": "yes"}


def test_an_override_lifts_one_limit_for_one_change_and_nothing_else() -> None:
    gone = filler(4)
    live = zone(*gone, *(a(f"stay{number}") for number in range(40)))
    plan = plan_of(desired(), live, owned(*gone))
    lifted = Policy(overrides={"c1": frozenset({"max_deletes"})})
    assert verdict(plan, lifted).decision == "ask"
    other = Policy(overrides={"c1": frozenset({"max_percent"})})
    assert verdict(plan, other).decision == "deny"
    frozen = Policy(frozen=frozenset({"*"}), overrides={"c1": frozenset({"frozen"})})
    assert "frozen" in rules(verdict(plan, frozen))


@pytest.mark.parametrize("pattern", ["A @", "@ A", "A *", "* *"])
def test_protected_names_refuse_updates_and_deletes(pattern: str) -> None:
    policy = Policy(limits=Limits(protected=(pattern,), max_percent=100))
    assert verdict(plan_of(desired(a("@", OTHER_IP)), zone(a("@"))), policy).decision == "deny"
    assert verdict(plan_of(desired(a("@")), zone()), policy).decision == "ask"


def test_protect_in_the_environment_is_the_same() -> None:
    found = verdict(plan_of(desired(a("@", OTHER_IP), protect=["@"]), zone(a("@"))))
    assert rules(found)["protected"] is None


def test_a_pattern_matches_type_and_name_in_either_order() -> None:
    assert matches("MX *", mx())
    assert not matches("MX *", a("mx"))
    assert matches("api A", a("api"))
    assert not matches("api AAAA", a("api"))


@pytest.mark.parametrize(
    ("text", "now", "decision"),
    [
        ("Mon-Fri 09:00-17:00 Europe/Berlin", NOW, "deny"),  # a Sunday
        ("Mon-Fri 09:00-17:00 Europe/Berlin", NOW + timedelta(days=1), "ask"),  # Monday 13:00 in Berlin
        ("Mon-Fri 09:00-17:00 Europe/Berlin", NOW + timedelta(days=1, hours=4), "deny"),  # 17:00 is outside
        ("Sun 22:00-13:00 UTC", NOW, "deny"),  # Sunday noon belongs to Saturday's night
        ("Sat 22:00-13:00 UTC", NOW, "ask"),
    ],
)
def test_a_change_window_is_kept(text: str, now: datetime, decision: str) -> None:
    policy = Policy(limits=Limits(window=text))
    assert verdict(plan_of(desired(a("api")), zone()), policy, now=now).decision == decision


def test_only_listed_environments_may_be_written() -> None:
    plan = plan_of(desired(a("api")), zone())
    policy = Policy(environment="acme", stack="dev", limits=Limits(environments=("prod",)))
    assert rules(verdict(plan, policy))["environments"] is None
    assert verdict(plan, replace(policy, stack="prod")).decision == "ask"


def test_mx_records_under_another_mail_mode_are_refused_with_the_hint() -> None:
    found = verdict(plan_of(desired(mx()), zone(email_type="FWD")))
    [denial] = found.denials()
    assert (denial.rule, "email_type: MX" in denial.hint) == ("mx-mode", True)
    assert verdict(plan_of(desired(mx(), email_type="MX"), zone(email_type="FWD"))).decision == "ask"


def test_leaving_the_mx_mode_while_mx_records_stay_is_refused() -> None:
    found = verdict(plan_of(desired(email_type="FWD"), zone(mx(), email_type="MX")))
    assert "mx-mode" in rules(found)


def test_a_cname_beside_what_is_kept_is_refused_and_says_how_to_go_on() -> None:
    [denial] = verdict(plan_of(desired(a("www")), zone(cname("www", "example.net.")))).denials()
    assert (denial.rule, denial.hint) == ("cname-conflict", "sophia record remove www CNAME")


def test_more_than_150_rows_together_with_kept_ones_is_refused() -> None:
    live = zone(*(txt(f"kept {number}") for number in range(120)))
    found = verdict(plan_of(desired(*filler(31)), live))
    assert rules(found)["row-limit"] is None
    assert "151 rows" in found.denials()[0].message
    assert verdict(plan_of(desired(*filler(30)), live)).decision == "ask"


def test_a_secret_in_dns_is_refused() -> None:
    plan = plan_of(desired(txt("x")), zone())
    hidden = replace(plan, changes=tuple(replace(change, hidden=frozenset({"value"})) for change in plan.changes))
    assert rules(verdict(hidden))["secret-in-dns"] is None


def test_a_zone_that_reads_empty_though_it_had_rows_is_critical() -> None:
    found = verdict(plan_of(desired(a("api")), zone(), emptied=True))
    assert rules(found)["emptied-zone"] == "name"


def test_a_block_of_the_read_refuses_the_zone() -> None:
    found = verdict(plan_of(desired(a("api")), zone(), blocks=("dynamic DNS is on",)))
    assert rules(found)["blocked"] is None


@pytest.mark.parametrize(
    ("autonomy", "decisions"),
    [
        ("observe", {"low": "ask", "medium": "ask", "high": "ask", "critical": "ask"}),
        ("suggest", {"low": "ask", "medium": "ask", "high": "ask", "critical": "ask"}),
        ("autonomous-safe", {"low": "allow", "medium": "allow", "high": "ask", "critical": "ask"}),
        ("autonomous", {"low": "allow", "medium": "allow", "high": "allow", "critical": "ask"}),
    ],
)
def test_autonomy_allows_what_its_phase_says_and_critical_never(autonomy: str, decisions: dict[str, str]) -> None:
    plans = {
        "low": plan_of(desired(a("api")), zone()),
        "medium": plan_of(desired(a("*")), zone()),
        "high": plan_of(desired(a("@")), zone()),
        "critical": plan_of(desired(a("@", OTHER_IP)), zone(a("@"), *filler(5))),
    }
    for risk, plan in plans.items():
        assert {change.risk for change in plan.changes} == {risk}
    found = {risk: verdict(plan, Policy(autonomy=autonomy)).decision for risk, plan in plans.items()}
    assert found == decisions


def test_what_a_model_proposed_wants_a_recorded_approval_in_every_autonomy() -> None:
    plan = plan_of(desired(a("api")), zone())
    made = replace(plan, changes=tuple(replace(change, source="model:host") for change in plan.changes))
    assert verdict(made, Policy(autonomy="autonomous")).needs() == "approval"


def approval(of: Plan, **fields: object) -> Approval:
    given = Approval(of.digest, "ada", "terminal", NOW, NOW + timedelta(hours=24))
    return replace(given, **fields)  # type: ignore[arg-type]


def test_an_approval_answers_every_need_of_exactly_its_plan() -> None:
    plan = plan_of(desired(a("@", OTHER_IP)), zone(a("@"), *filler(5)))
    assert verdict(plan, None, approval(plan)).decision == "allow"
    for other in (
        approval(plan, plan="sha256:other"),
        approval(plan, used=True),
        approval(plan, until=NOW),
        approval(plan, at=NOW + timedelta(seconds=1)),
        approval(plan, how="unattended"),
    ):
        assert verdict(plan, None, other).decision == "ask"
    listed = Policy(limits=Limits(approvals=("terminal", "unattended")))
    assert verdict(plan, listed, approval(plan, how="unattended")).decision == "allow"


def test_no_approval_lifts_a_deny() -> None:
    plan = plan_of(desired(mx()), zone(email_type="FWD"))
    assert verdict(plan, None, approval(plan)).decision == "deny"


@pytest.mark.parametrize(
    "path",
    [
        "ai_infrastructure.autonomy",
        "ai_infrastructure.limits.max_deletes",
        "dns.purge",
        "dns.records.api.protect",
        "namecheap.endpoint",
        "ai_infrastructure.model.base_url",
        'dns.domains["example.com"].purge',
    ],
)
def test_no_tool_edits_what_only_a_person_may(path: str) -> None:
    change = Change("config:acme", "config.value", "update", ConfigValue(path, 1), ConfigValue(path, 2))
    plan = Plan("acme", NOW, (TargetBase("config:acme", "sha256:x", True),), finished([change], {}))
    assert rules(verdict(plan))["protected-setting"] is None


def test_only_ttl_changes_at_the_apex_are_not_critical() -> None:
    plan = plan_of(desired(a("@", IP, 600)), zone(a("@", IP, 300), *filler(5)))
    assert [change.risk for change in plan.changes] == ["medium"]


def test_a_mail_mode_change_is_never_allowed_by_itself() -> None:
    plan = plan_of(desired(email_type="MX"), zone(email_type="FWD", name=DOMAIN))
    assert isinstance(plan.changes[0].after, EmailMode)
    assert verdict(plan, Policy(autonomy="autonomous")).needs() == "name"
