"""What policy refuses, whoever agrees: closed doors, limits, and zones that cannot be. Asks nobody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from fnmatch import fnmatchcase

from sophia_cli.core.challenges import is_challenge
from sophia_cli.core.changes import Change, ConfigValue
from sophia_cli.core.dns import HOST_TYPES, MAX_ROWS, Record
from sophia_cli.core.plan import Plan
from sophia_cli.core.risk import Zones, critical_rule
from sophia_cli.core.verdict import Past, Policy, Reason, ids_of, named
from sophia_cli.core.window import window

# What the environment file holds but no tool may edit: only a person does (contract, `--set`).
# `deploy_hook` names a program that is run.
PROTECTED_PATHS = frozenset({"autonomy", "limits", "model", "endpoint", "purge", "protect", "deploy_hook"})

# Limits that `--override cN=RULE` may lift for one change; no flag lifts another deny.
LIMITS = ("max_changes", "max_deletes", "max_percent", "per_day", "protected", "window")


def denials(plan: Plan, policy: Policy, history: Past, now: datetime) -> Iterator[Reason]:
    """Every reason to refuse a plan."""
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
            yield _over("protected", f"{named(change)} is protected", (change,))


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
            message = f"{named(change)}: its {fields} would publish a secret in DNS"
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


# -- pieces -------------------------------------------------------------------------------------------------------------


def _deny(rule: str, message: str, changes: tuple[Change, ...], hint: str = "") -> Reason:
    return Reason(rule, message, None, ids_of(changes), hint)


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
