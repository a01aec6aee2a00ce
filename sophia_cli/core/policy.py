"""Policy: rules as data, and the one pure function that judges a plan. Asks nobody and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Literal

from sophia_cli.core.certificates import RENEWAL_SOURCE, CertificateOrder
from sophia_cli.core.challenges import is_challenge
from sophia_cli.core.changes import SECRET, Change, ConfigValue, Delegation
from sophia_cli.core.dns import HOST_TYPES, MAX_ROWS, Record
from sophia_cli.core.history import moment, timestamp
from sophia_cli.core.plan import Plan
from sophia_cli.core.risk import Zones, critical_rule
from sophia_cli.core.settings import Limits
from sophia_cli.core.stacks import Resource
from sophia_cli.core.window import window

Decision = Literal["allow", "ask", "deny"]
Need = Literal["yes", "name", "approval"]

APPROVAL_HOURS = 24

# What the environment file holds but no tool may edit: only a person does (contract, `--set`).
# `deploy_hook` names a program that is run.
PROTECTED_PATHS = frozenset({"autonomy", "limits", "model", "endpoint", "purge", "protect", "deploy_hook"})

# Limits that `--override cN=RULE` may lift for one change; no flag lifts another deny.
LIMITS = ("max_changes", "max_deletes", "max_percent", "per_day", "protected", "window")


@dataclass(frozen=True, slots=True)
class Policy:
    """What one environment allows. `overrides` maps a change id to the limits lifted for it."""

    autonomy: str = "suggest"
    limits: Limits = field(default_factory=Limits)
    environment: str = ""
    stack: str = ""
    frozen: frozenset[str] = frozenset()
    overrides: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Past:
    """What the history contributes to a judgement: the changes applied in the last 24 hours, over all runs."""

    changes_last_day: int = 0


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's consent to exactly one plan digest, for one use, until a time."""

    plan: str
    by: str
    how: str
    at: datetime
    until: datetime
    used: bool = False

    def counts(self, plan: str, limits: Limits, now: datetime) -> bool:
        """Whether it covers a plan now, under these limits."""
        until = min(self.until, self.at + timedelta(hours=APPROVAL_HOURS))
        return self.plan == plan and not self.used and self.at <= now < until and self.how in limits.approvals

    def data(self) -> dict[str, Any]:
        """The public shape (contract, `sophia.approval/1`)."""
        return {
            "plan": self.plan,
            "by": self.by,
            "how": self.how,
            "at": timestamp(self.at),
            "until": timestamp(self.until),
            "used": self.used,
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Approval:
        """The approval of its public shape."""
        found = cls(**{**data, "at": moment(data["at"]), "until": moment(data["until"])})
        if not all(isinstance(text, str) for text in (found.plan, found.by, found.how)) or found.used not in (
            True,
            False,
        ):
            raise TypeError("plan, by and how are texts, used is true or false")
        return found


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a verdict is what it is. `needs` is None for a deny: nothing a person types lifts it."""

    rule: str
    message: str
    needs: Need | None
    changes: tuple[str, ...] = ()
    hint: str = ""

    def data(self) -> dict[str, Any]:
        """The public shape (contract, `verdict.reasons`)."""
        return {"rule": self.rule, "message": self.message, "needs": self.needs, "changes": list(self.changes)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What policy says of a plan, with all its reasons."""

    decision: Decision
    reasons: tuple[Reason, ...] = ()
    approved: Approval | None = None

    def needs(self) -> Need | None:
        """The strongest thing asked for: `approval` over `name` over `yes`; None when nothing is."""
        asked = {reason.needs for reason in self.reasons}
        strongest: tuple[Need, ...] = ("approval", "name", "yes")
        return next((need for need in strongest if need in asked), None)

    def denials(self) -> tuple[Reason, ...]:
        """The reasons that refuse."""
        return tuple(reason for reason in self.reasons if reason.needs is None)

    def data(self) -> dict[str, Any]:
        """The public shape (contract, `verdict`)."""
        return {"decision": self.decision, "reasons": [reason.data() for reason in self.reasons]}


def judge(plan: Plan, policy: Policy, approvals: tuple[Approval, ...], history: Past, now: datetime) -> Verdict:
    """The verdict on a plan: deny when any rule refuses, ask when any wants a person, else allow.

    A recorded approval bound to the plan's digest answers every `needs`; nothing answers a deny.
    """
    if plan.is_empty():
        return Verdict("allow")
    denials = tuple(_denials(plan, policy, history, now))
    if denials:
        return Verdict("deny", denials + tuple(_asks(plan, policy)))
    approval = next((one for one in approvals if one.counts(plan.digest, policy.limits, now)), None)
    asks = tuple(_asks(plan, policy))
    if approval is not None:
        return Verdict("allow", (), approval)
    return Verdict("ask" if asks else "allow", asks)


# -- what is refused ----------------------------------------------------------------------------------------------------


def _denials(plan: Plan, policy: Policy, history: Past, now: datetime) -> Iterator[Reason]:
    yield from _closed_doors(plan, policy, now)
    yield from _limits(plan, policy, history)
    yield from _impossible(plan)


def _closed_doors(plan: Plan, policy: Policy, now: datetime) -> Iterator[Reason]:
    for target in plan.touched():
        if any(fnmatchcase(target, pattern) for pattern in policy.frozen):
            yield _deny("frozen", f"{target} is frozen", plan.of(target), "sophia thaw " + target)
    environments = policy.limits.environments
    if environments and not {policy.environment, policy.stack} & set(environments):
        yield _deny(
            "environments",
            f"{policy.stack or policy.environment} is not among limits.environments ({', '.join(environments)})",
            plan.changes,
        )
    text = policy.limits.window
    if text is not None and not window(text).contains(now):
        left = _not_lifted([change for change in plan.changes if not is_challenge(change)], "window", policy)
        if left:
            yield _deny("window", f"outside the change window {text}", left, _override("window", left))
    for change in plan.changes:
        path = change.after.path if isinstance(change.after, ConfigValue) else ""
        if set(path.replace("[", ".").replace('"', "").split(".")) & PROTECTED_PATHS:
            yield _deny("protected-setting", f"{path}: only a person edits this, in the file", (change,))


def _limits(plan: Plan, policy: Policy, history: Past) -> Iterator[Reason]:
    limits = policy.limits
    # Our own challenge records are no user's records: they come and go with an issue that is judged by itself.
    records = tuple(change for change in plan.changes if change.kind != "config.value" and not is_challenge(change))
    counted = _not_lifted(records, "max_changes", policy)
    if len(counted) > limits.max_changes:
        yield _over("max_changes", f"{len(counted)} changes; limits.max_changes is {limits.max_changes}", counted)
    counted = _not_lifted(records, "per_day", policy)
    if counted and history.changes_last_day + len(counted) > limits.per_day:
        message = (
            f"{history.changes_last_day} changes in the last 24 hours and {len(counted)} now; "
            f"limits.per_day is {limits.per_day}"
        )
        yield _over("per_day", message, counted)
    # What goes with a whole stack is asked for by the stack's name (`stack-destroyed`), not counted one by one.
    ended = {change.target for change in plan.changes if critical_rule(change, None) == "stack-destroyed"}
    deletes = [
        change
        for change in records
        if change.action in ("delete", "replace") and not _is_parking(change) and change.target not in ended
    ]
    left = _not_lifted(deletes, "max_deletes", policy)
    if len(left) > limits.max_deletes:
        yield _over("max_deletes", f"{len(left)} deletes; limits.max_deletes is {limits.max_deletes}", left)
    for target in plan.touched():
        yield from _percent(plan, target, policy)
    for change in _not_lifted(records, "protected", policy):
        if change.action != "create" and _is_protected(change, plan, policy):
            yield _over("protected", f"{_named(change)} is protected", (change,))


def _percent(plan: Plan, target: str, policy: Policy) -> Iterator[Reason]:
    zones = plan.zones.get(target)
    if zones is None:
        return
    rows = len(zones.before.records)
    touched = [
        change
        for change in plan.of(target)
        if change.kind == "dns.record"
        and change.action != "create"
        and not _is_parking(change)
        and not is_challenge(change)
    ]
    left = _not_lifted(touched, "max_percent", policy)
    # One record may always change: otherwise a zone of three could never be edited at all.
    allowed = max(1, rows * policy.limits.max_percent // 100)
    if len(left) > allowed:
        message = (
            f"{len(left)} of {rows} records of {zones.before.name} would be updated or deleted; "
            f"limits.max_percent {policy.limits.max_percent} allows {allowed}"
        )
        yield _over("max_percent", message, left)


def _impossible(plan: Plan) -> Iterator[Reason]:
    for change in plan.changes:
        if change.hidden:
            fields = ", ".join(sorted(change.hidden))
            message = f"{_named(change)}: its {fields} would publish a secret in DNS"
            yield _deny("secret-in-dns", message, (change,), "take the value from something that is not a secret")
    for target in plan.touched():
        for block in plan.blocks.get(target, ()):
            yield _deny("blocked", block, plan.of(target))
        zones = plan.zones.get(target)
        if zones is not None:
            yield from _impossible_zone(plan, target, zones)


def _impossible_zone(plan: Plan, target: str, zones: Zones) -> Iterator[Reason]:
    changes, after = plan.of(target), zones.after
    for block in zones.blocks:
        yield _deny("blocked", block, changes)
    mail_rows = [row for row in after.records if row.type == "MX"]
    if mail_rows and after.email_type != "MX":
        yield _deny(
            "mx-mode",
            f"{after.name} has MX records while its mail mode is {after.email_type}: the provider would drop them",
            tuple(change for change in changes if _touches(change, "MX") or change.kind == "dns.email_type") or changes,
            "set email_type: MX in the environment's dns section",
        )
    if any(row.type == "MXE" for row in after.records) and after.email_type != "MXE":
        yield _deny(
            "mxe-mode",
            f"{after.name} has an MXE record while its mail mode is {after.email_type}",
            tuple(change for change in changes if _touches(change, "MXE")) or changes,
            "set email_type: MXE in the environment's dns section",
        )
    if len(after.records) > MAX_ROWS:
        kept = sum(1 for kept in plan.kept if kept.target == target)
        yield _deny(
            "row-limit",
            f"{after.name} would have {len(after.records)} rows, {kept} of them kept; the provider allows {MAX_ROWS}",
            changes,
            "remove records that are no longer needed: sophia record remove NAME TYPE",
        )
    yield from _cname_conflicts(changes, zones)


def _cname_conflicts(changes: tuple[Change, ...], zones: Zones) -> Iterator[Reason]:
    """A CNAME stands alone at its name (RFC 1034 3.6.2); only names that this plan touches are judged."""
    made = [(change, change.after) for change in changes if isinstance(change.after, Record)]
    touched = {row.name for _, row in made}
    at: dict[str, list[Record]] = {}
    for other in zones.after.records:
        if other.name in touched:
            at.setdefault(other.name, []).append(other)
    for change, row in made:
        others = [other for other in at.get(row.name, ()) if other.key != row.key]
        rivals = others if row.type == "CNAME" else [other for other in others if other.type == "CNAME"]
        if rivals:
            rival = rivals[0]
            yield _deny(
                "cname-conflict",
                f"{zones.after.fqdn(row.name)}: {row.type} cannot stand beside {rival.type} "
                f"{rival.value[:60]} (RFC 1034 3.6.2)",
                (change,),
                f"sophia record remove {rival.name} {rival.type}",
            )


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
        names = ", ".join(_named(change) for change in changes[:5])
        yield Reason(rule, f"{_CRITICAL[rule]}: {names}", "name", _ids(changes))
    for target in plan.touched():
        zones = plan.zones.get(target)
        if zones is not None and zones.emptied:
            yield Reason(
                "emptied-zone",
                f"{zones.before.name} reads empty although our last snapshot of it had records",
                "name",
                _ids(plan.of(target)),
            )
    models = [change for change in plan.changes if change.source.startswith("model:")]
    if models:
        yield Reason("model-source", "a language model proposed this; a person decides", "approval", _ids(models))
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
        yield Reason("autonomy", message, "yes", _ids(beyond))


def _is_agreed_renewal(change: Change, policy: Policy) -> bool:
    """Whether a person agreed to it when the certificate was first issued (contract, `heal`)."""
    return change.kind == "cert.renew" and change.source == RENEWAL_SOURCE and policy.autonomy != "observe"


# -- pieces -------------------------------------------------------------------------------------------------------------


def _deny(rule: str, message: str, changes: tuple[Change, ...], hint: str = "") -> Reason:
    return Reason(rule, message, None, _ids(changes), hint)


def _over(rule: str, message: str, changes: tuple[Change, ...]) -> Reason:
    way = f"raise ai_infrastructure.limits.{rule}"
    if rule == "protected":
        way = "take `protect` or limits.protected off"
    hint = f"{way} in the environment, or {_override(rule, changes)}"
    return _deny(rule, message, changes, hint)


def _override(rule: str, changes: tuple[Change, ...]) -> str:
    return f"lift it for each change that is meant, such as --override {changes[0].id}={rule}"


def _not_lifted(changes: tuple[Change, ...] | list[Change], rule: str, policy: Policy) -> tuple[Change, ...]:
    return tuple(change for change in changes if rule not in policy.overrides.get(change.id, frozenset()))


def _is_parking(change: Change) -> bool:
    return change.action == "delete" and change.reason.startswith("the provider's own parking record")


def _is_protected(change: Change, plan: Plan, policy: Policy) -> bool:
    row = change.before
    if not isinstance(row, Record):
        return False
    zones = plan.zones.get(change.target)
    if zones is not None and (row.name, row.type) in zones.protected:
        return True
    return any(matches(pattern, row) for pattern in policy.limits.protected)


def matches(pattern: str, row: Record) -> bool:
    """Whether a pattern such as `A @` or `MX *` names a record: a type and a name, `*` for any.

    `NAME TYPE` is taken as well where only the second word is a type.
    """
    first, _, second = pattern.partition(" ")
    kind, name = (first, second.strip() or "*")
    if kind.upper() not in (*HOST_TYPES, "*") and name.upper() in HOST_TYPES:
        kind, name = name, kind
    return fnmatchcase(row.type, kind.upper()) and fnmatchcase(row.name, name.lower())


def _touches(change: Change, kind: str) -> bool:
    return any(isinstance(side, Record) and side.type == kind for side in (change.before, change.after))


def _ids(changes: tuple[Change, ...] | list[Change]) -> tuple[str, ...]:
    return tuple(change.id for change in changes)


def _named(change: Change) -> str:
    row = change.after if change.after is not None else change.before
    if isinstance(row, Record):
        return f"{row.type} {SECRET if 'name' in change.hidden else row.name}"
    if isinstance(row, Resource):
        return f"{change.action} {row.type} {row.name}"
    if isinstance(row, Delegation):
        return f"to {', '.join(row.nameservers) or 'the provider itself'}"
    return ", ".join(row.names) if isinstance(row, CertificateOrder) else change.kind


def with_overrides(policy: Policy, overrides: Mapping[str, frozenset[str]]) -> Policy:
    """The policy with limits lifted for single changes."""
    return replace(policy, overrides=overrides)
