"""Policy: the one pure function that judges a plan, and what it leaves to a person. Asks nobody and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from sophia_cli.core.certificates import RENEWAL_SOURCE
from sophia_cli.core.challenges import is_challenge
from sophia_cli.core.changes import Change
from sophia_cli.core.plan import Plan
from sophia_cli.core.refusals import LIMITS, PROTECTED_PATHS, denials, matches
from sophia_cli.core.risk import critical_rule
from sophia_cli.core.verdict import (
    APPROVAL_HOURS,
    Approval,
    Decision,
    Need,
    Past,
    Policy,
    Reason,
    Verdict,
    ids_of,
    named,
)

__all__ = [
    "APPROVAL_HOURS",
    "LIMITS",
    "PROTECTED_PATHS",
    "Approval",
    "Decision",
    "Need",
    "Past",
    "Policy",
    "Reason",
    "Verdict",
    "judge",
    "matches",
    "with_overrides",
]


def judge(plan: Plan, policy: Policy, approvals: tuple[Approval, ...], history: Past, now: datetime) -> Verdict:
    """The verdict on a plan: deny when any rule refuses, ask when any wants a person, else allow.

    A recorded approval bound to the plan's digest answers every `needs`; nothing answers a deny.
    """
    if plan.is_empty():
        return Verdict("allow")
    refused = tuple(denials(plan, policy, history, now))
    if refused:
        return Verdict("deny", refused + tuple(_asks(plan, policy)))
    approval = next((one for one in approvals if one.counts(plan.digest, policy.limits, now)), None)
    asks = tuple(_asks(plan, policy))
    if approval is not None:
        return Verdict("allow", (), approval)
    return Verdict("ask" if asks else "allow", asks)


# -- what wants a person ------------------------------------------------------------------------------------------------

_CRITICAL: Mapping[str, str] = {
    "apex-address": "changes the address of the domain itself",
    "last-mx": "changes the last mail exchanger",
    "ns": "changes a delegation inside the zone",
    "spf": "changes who may send mail for the domain",
    "mail-mode": "changes how mail for the domain works",
    "delegation": "changes which servers answer for the domain",
    "irreversible": "cannot be undone",
    "stack-destroyed": "deletes every resource of a stack",
    "protected-resource": "deletes or replaces a resource that is protected or holds data",
}


def _asks(plan: Plan, policy: Policy) -> Iterator[Reason]:
    by_rule: dict[str, list[Change]] = {}
    for change in plan.changes:
        rule = critical_rule(change, plan.zones.get(change.target))
        if rule is not None:
            by_rule.setdefault(rule, []).append(change)
    for rule, changes in by_rule.items():
        names = ", ".join(named(change) for change in changes[:5])
        yield Reason(rule, f"{_CRITICAL[rule]}: {names}", "name", ids_of(changes))
    for target in plan.touched():
        zones = plan.zones.get(target)
        if zones is not None and zones.emptied:
            yield Reason(
                "emptied-zone",
                f"{zones.before.name} reads empty although our last snapshot of it had records",
                "name",
                ids_of(plan.of(target)),
            )
    models = [change for change in plan.changes if change.source.startswith("model:")]
    if models:
        yield Reason("model-source", "a language model proposed this; a person decides", "approval", ids_of(models))
    yield from _beyond_autonomy(plan, policy)


def _beyond_autonomy(plan: Plan, policy: Policy) -> Iterator[Reason]:
    allowed = {"autonomous-safe": ("low", "medium"), "autonomous": ("low", "medium", "high")}.get(policy.autonomy, ())
    beyond = [
        change
        for change in plan.changes
        if change.risk != "critical"
        and (change.risk not in allowed or not change.reversible)
        and not is_challenge(change)
        and not _is_agreed_renewal(change, policy)
    ]
    if beyond:
        worst = "high risk" if any(change.risk == "high" for change in beyond) else "a change"
        message = f"{worst} under autonomy {policy.autonomy}: a person decides"
        yield Reason("autonomy", message, "yes", ids_of(beyond))


def _is_agreed_renewal(change: Change, policy: Policy) -> bool:
    """Whether a person agreed to it when the certificate was first issued (contract, `heal`)."""
    return change.kind == "cert.renew" and change.source == RENEWAL_SOURCE and policy.autonomy != "observe"


def with_overrides(policy: Policy, overrides: Mapping[str, frozenset[str]]) -> Policy:
    """The policy with limits lifted for single changes."""
    return replace(policy, overrides=overrides)
