"""Challenge records and users' records: policy lets the first come and go, and treats nothing else that way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sophia_cli.core.certificates import CHALLENGE_SOURCE, RENEWAL_SOURCE, CertificateOrder, ChallengeRecord
from sophia_cli.core.challenges import creations, is_challenge, leftovers, removals, zone_of
from sophia_cli.core.changes import Change
from sophia_cli.core.dns import Record, Zone
from sophia_cli.core.history import Ownership
from sophia_cli.core.plan import Plan, TargetBase, applied, finished
from sophia_cli.core.policy import Past, Policy, Verdict, judge
from sophia_cli.core.risk import Zones
from sophia_cli.core.settings import Limits
from tests.builders import DOMAIN, NOW, a, owned, zone

ONE, TWO = "gfj9Xq_Rg85nM0Zc8eMBx3y7QkH4Yc5bQv0aZ1s2d3E", "B" * 43
NAME = f"_acme-challenge.{DOMAIN}"
RECORDS = tuple(ChallengeRecord(DOMAIN, NAME, value, DOMAIN) for value in (ONE, TWO))
TIGHT = Limits(
    max_changes=0, max_deletes=0, max_percent=0, per_day=0, window="Mon 00:00-00:01 UTC", protected=("TXT *",)
)


def verdict(live: Zone, changes: tuple[Change, ...], limits: Limits = TIGHT, **policy: object) -> Verdict:
    target = f"dns:{DOMAIN}"
    zones = {target: Zones(live, applied(live, changes))}
    plan = Plan("acme", NOW, (TargetBase(target, "sha256:0", True),), finished(changes, zones), zones=zones)
    return judge(plan, Policy(limits=limits, **policy), (), Past(1000), NOW)  # type: ignore[arg-type]


def test_both_values_are_put_in_by_one_plan_and_no_limit_stands_in_the_way() -> None:
    live = zone(a("@", "203.0.113.1"))
    changes = creations(RECORDS, live)
    assert [(change.action, change.after.value) for change in changes if isinstance(change.after, Record)] == [
        ("create", ONE),
        ("create", TWO),
    ]
    assert verdict(live, changes, autonomy="observe").decision == "allow"
    assert {change.risk for change in finished(changes, {})} == {"low"}


def test_exactly_those_values_are_taken_out_and_others_at_the_name_stay() -> None:
    theirs = Record("_acme-challenge", "TXT", "C" * 43, 300)
    live = applied(zone(theirs, a("@", "203.0.113.1")), creations(RECORDS, zone()))
    changes = removals(RECORDS, live)
    assert verdict(live, changes).decision == "allow"
    assert applied(live, changes).records == zone(theirs, a("@", "203.0.113.1")).records


def test_what_is_there_already_is_not_written_again() -> None:
    live = applied(zone(), creations(RECORDS[:1], zone()))
    assert [change.after.value for change in creations(RECORDS, live) if isinstance(change.after, Record)] == [TWO]
    assert removals(RECORDS, zone()) == ()


@pytest.mark.parametrize(
    "disguise",
    [
        {"source": "user"},
        {"source": "config"},
        {"source": "model:localhost"},
        {"source": "rule:CAA-NONE"},
        {"after": Record("_acme-challenge", "TXT", "v=spf1 -all", 60)},
        {"after": Record("_acme-challenge", "A", "203.0.113.1", 60)},
        {"after": Record("_acme-challenge", "TXT", ONE + "=", 60)},
        {"action": "update", "before": Record("_acme-challenge", "TXT", TWO, 60)},
    ],
    ids=str,
)
def test_nothing_else_passes_for_a_challenge(disguise: dict[str, object]) -> None:
    real = creations(RECORDS[:1], zone())[0]
    assert is_challenge(real)
    assert not is_challenge(replace(real, **disguise))  # type: ignore[arg-type]
    assert verdict(zone(), (replace(real, **disguise),)).decision == "deny"  # type: ignore[arg-type]


def test_a_frozen_zone_takes_no_challenge_either() -> None:
    changes = creations(RECORDS, zone())
    assert verdict(zone(), changes, frozen=frozenset({"dns:*"})).decision == "deny"


def test_leftovers_are_known_by_who_made_them_and_never_taken_from_an_order_under_way() -> None:
    rows = [Record("_acme-challenge", "TXT", value, 60) for value in (ONE, TWO, "C" * 43)]
    known: Ownership = owned(*rows[:2], by=CHALLENGE_SOURCE)
    live = zone(*rows)
    assert {change.before for change in leftovers(live, known, ())} == set(rows[:2])
    assert {change.before for change in leftovers(live, known, RECORDS[:1])} == {rows[1]}
    assert leftovers(live, owned(*rows, by="user"), ()) == ()


def test_a_name_belongs_to_the_longest_zone_it_lies_in() -> None:
    zones = ("acme.example", "dev.acme.example", "example.org")
    assert zone_of("_acme-challenge.api.dev.acme.example", zones) == "dev.acme.example"
    assert zone_of("acme.example", zones) == "acme.example"
    assert zone_of("notacme.example", zones) is None


# -- renewals ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("autonomy", "source", "decision"),
    [
        ("observe", RENEWAL_SOURCE, "ask"),
        ("suggest", RENEWAL_SOURCE, "allow"),
        ("autonomous", RENEWAL_SOURCE, "allow"),
        ("suggest", "config", "ask"),
        ("suggest", "user", "ask"),
    ],
)
def test_only_what_a_person_agreed_to_renews_by_itself(autonomy: str, source: str, decision: str) -> None:
    order = CertificateOrder.of([DOMAIN], "https://ca.example/dir")
    change = Change(f"cert:{DOMAIN}", "cert.renew", "update", replace(order, serial="0a"), order, source)
    plan = Plan("acme", NOW, (TargetBase(f"cert:{DOMAIN}", "sha256:0", True),), finished([change], {}))
    assert judge(plan, Policy(autonomy=autonomy), (), Past(), NOW).decision == decision


def test_a_revocation_is_critical_because_nobody_takes_it_back() -> None:
    order = replace(CertificateOrder.of([DOMAIN], "https://ca.example/dir"), serial="0a")
    [change] = finished([Change(f"cert:{DOMAIN}", "cert.revoke", "delete", order, None, "user")], {})
    assert (change.risk, change.reversible) == ("critical", False)


def test_an_order_keeps_its_form_over_json() -> None:
    order = replace(CertificateOrder.of(["B.acme.example.", "a.acme.example"], "https://ca.example/dir"), not_after=NOW)
    assert order.names == ("a.acme.example", "b.acme.example")
    change = Change("cert:acme.example", "cert.issue", "create", None, order)
    assert Change.from_data(change.data()) == change
