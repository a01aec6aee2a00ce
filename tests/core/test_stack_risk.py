"""Risk of stacks and certificates: what is done to a resource, and whether what it holds could come back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sophia_cli.core.certificates import CertificateOrder
from sophia_cli.core.changes import Action, Change
from sophia_cli.core.history import Snapshot
from sophia_cli.core.plan import Plan, TargetBase, finished
from sophia_cli.core.policy import Past, Policy, judge
from sophia_cli.core.risk import rated
from sophia_cli.core.settings import Limits
from sophia_cli.core.stacks import ROOT_TYPE, Resource, StackState
from tests.builders import NOW

TARGET = "stack:organization/shop/prod"


def resource(kind: str = "aws:ec2/instance:Instance", **fields: Any) -> Resource:
    return Resource(f"urn:pulumi:prod::shop::{kind}::one", kind, "one", **fields)


def change(action: Action, before: Resource | None, after: Resource | None, source: str = "config") -> Change:
    return rated(Change(TARGET, "stack.resource", action, before, after, source), None)


PLAIN, GUARDED = resource(), resource(protect=True)
DATABASE = resource("aws:rds/instance:Instance", stateful=True)


@pytest.mark.parametrize(
    ("action", "one", "risk", "reversible"),
    [
        ("update", PLAIN, "medium", True),
        ("replace", PLAIN, "high", True),
        ("delete", PLAIN, "high", True),
        ("unknown", PLAIN, "high", True),
        ("refresh", PLAIN, "low", True),
        ("update", GUARDED, "high", True),
        ("replace", GUARDED, "critical", True),
        ("delete", GUARDED, "critical", True),
        ("update", DATABASE, "high", True),
        ("replace", DATABASE, "critical", False),
        ("delete", DATABASE, "critical", False),
        ("unknown", DATABASE, "critical", False),
    ],
)
def test_losing_a_resource_that_is_protected_or_holds_data_is_critical(
    action: Action, one: Resource, risk: str, reversible: bool
) -> None:
    found = change(action, one, None if action == "delete" else one)
    assert (found.risk, found.reversible) == (risk, reversible)


def test_making_a_resource_is_low_unless_it_will_hold_data() -> None:
    assert change("create", None, PLAIN).risk == "low"
    assert change("create", None, DATABASE).risk == "medium"


def test_nobody_s_own_rating_is_believed() -> None:
    claimed = Change(TARGET, "stack.resource", "delete", DATABASE, None, risk="low", reversible=True)
    assert (rated(claimed, None).risk, rated(claimed, None).reversible) == ("critical", False)


def test_a_revoked_certificate_cannot_come_back_and_a_renewal_is_nothing_to_fear() -> None:
    order = CertificateOrder(("example.com",), "https://acme.example/directory")
    revoked = rated(Change("cert:example.com", "cert.revoke", "delete", order, None), None)
    renewed = rated(Change("cert:example.com", "cert.renew", "update", order, order), None)
    assert (revoked.risk, revoked.reversible) == ("critical", False)
    assert (renewed.risk, renewed.reversible) == ("low", True)


def plan(*changes: Change, blocks: tuple[str, ...] = ()) -> Plan:
    snapshot = Snapshot(TARGET, NOW, StackState("organization/shop/prod"))
    base = TargetBase(TARGET, snapshot.digest, True)
    return Plan("shop", NOW, (base,), finished(changes, {}), blocks={TARGET: blocks} if blocks else {})


@pytest.mark.parametrize("autonomy", ["observe", "suggest", "autonomous-safe", "autonomous"])
def test_destroying_a_stack_wants_its_name_in_every_autonomy(autonomy: str) -> None:
    root = Resource(f"urn:pulumi:prod::shop::{ROOT_TYPE}::shop-prod", ROOT_TYPE, "shop-prod")
    verdict = judge(plan(change("delete", root, None)), Policy(autonomy=autonomy), (), Past(), NOW)
    assert verdict.needs() == "name"
    assert "stack-destroyed" in {reason.rule for reason in verdict.reasons}


def test_replacements_count_as_deletes_against_the_limit() -> None:
    many = [change("replace", PLAIN, PLAIN) for _ in range(4)]
    verdict = judge(plan(*many), Policy(limits=Limits(max_deletes=3)), (), Past(), NOW)
    assert [reason.rule for reason in verdict.denials()] == ["max_deletes"]


def test_what_blocks_a_stack_denies_the_plan_and_no_approval_lifts_it() -> None:
    blocked = plan(change("update", PLAIN, PLAIN), blocks=("policy pack: no public buckets",))
    verdict = judge(blocked, Policy(autonomy="autonomous"), (), Past(), NOW + timedelta(hours=1))
    assert [(reason.rule, reason.message) for reason in verdict.denials()] == [
        ("blocked", "policy pack: no public buckets")
    ]
