"""Risk: how much a change could hurt, computed from what it touches. Believes nobody's own rating."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sophia_cli.core.challenges import is_challenge
from sophia_cli.core.changes import Change, Risk
from sophia_cli.core.dns import ADDRESS_TYPES, APEX, Record, Zone, is_parking_pair, mail_policy
from sophia_cli.core.history import Ownership
from sophia_cli.core.secret_versions import SecretVersions
from sophia_cli.core.stacks import Resource


@dataclass(frozen=True, slots=True)
class Zones:
    """A zone before and after a plan. `emptied`: it reads empty although our last snapshot of it had rows."""

    before: Zone
    after: Zone
    blocks: tuple[str, ...] = ()
    emptied: bool = False
    protected: frozenset[tuple[str, str]] = frozenset()
    ownership: Ownership = Ownership()


def rated(change: Change, zones: Zones | None) -> Change:
    """The change with its risk and reversibility, and with nothing else touched."""
    change = replace(change, reversible=not _is_irreversible(change))
    return replace(change, risk=risk_of(change, zones))


def _is_irreversible(change: Change) -> bool:
    """Whether undoing it cannot bring back what was there: a lost resource's data, a certificate or a secret that ended."""
    if change.kind == "cert.revoke":
        return True
    if isinstance(change.after, SecretVersions):
        return change.after.is_alone
    lost = change.before
    return isinstance(lost, Resource) and lost.stateful and change.action in ("delete", "replace", "unknown")


def risk_of(change: Change, zones: Zones | None) -> Risk:
    """Critical is what the contract lists; apex, mail, policy records and deletes rank high; the rest by what it replaces."""
    if critical_rule(change, zones) is not None:
        return "critical"
    if change.kind in ("config.value", "stack.config") or is_challenge(change):
        return "low"
    if change.kind in ("cert.issue", "cert.renew"):
        return "low" if change.kind == "cert.renew" else "medium"
    if change.kind == "stack.resource":
        return _risk_of_resource(change)
    touched = change.before if change.before is not None else change.after
    if not isinstance(touched, Record):
        return "high"
    if _only_ttl(change):
        return "medium" if _ranks_high(touched) else "low"
    if change.action == "delete" and zones is not None and touched in is_parking_pair(zones.before):
        return "medium"
    if change.action == "delete" or _ranks_high(touched):
        return "high"
    if change.action == "create":
        return "medium" if touched.name.startswith("*") else "low"
    return "medium" if change.source == "drift" or _was_written(touched, zones) else "high"


def critical_rule(change: Change, zones: Zones | None) -> str | None:
    """The name of the rule that makes a change critical, or None."""
    if change.kind == "dns.email_type":
        return "mail-mode"
    if change.kind == "dns.nameservers":
        return "delegation"
    before = change.before
    if isinstance(before, Resource) and before.is_root and change.action == "delete":
        return "stack-destroyed"
    if isinstance(before, Resource) and before.ranks_high and change.action in ("delete", "replace", "unknown"):
        return "protected-resource"
    if not change.reversible:
        return "irreversible"
    if not isinstance(before, Record) or _only_ttl(change):
        return None
    if before.type in ADDRESS_TYPES and before.name == APEX:
        return "apex-address"
    if before.type == "NS":
        return "ns"
    if mail_policy(before) == "spf":
        return "spf"
    if before.type == "MX" and zones is not None and _loses_last_mx(before, zones):
        return "last-mx"
    return None


def _risk_of_resource(change: Change) -> Risk:
    """A resource's risk by what is done to it; protected and stateful ones rank one higher."""
    sides = [side for side in (change.before, change.after) if isinstance(side, Resource)]
    if all(side.is_root for side in sides):
        return "low"
    ranks_high = any(side.ranks_high for side in sides)
    if change.action in ("create", "import", "refresh"):
        return "medium" if ranks_high else "low"
    if change.action == "update":
        return "high" if ranks_high else "medium"
    return "high"


def _loses_last_mx(before: Record, zones: Zones) -> bool:
    """Whether no mail exchanger that was there before stays at that name."""
    staying = {row.key for row in zones.after.at(before.name, "MX")}
    return not any(row.key in staying for row in zones.before.at(before.name, "MX") if row.key != before.key)


def _only_ttl(change: Change) -> bool:
    before, after = change.before, change.after
    return (
        isinstance(before, Record)
        and isinstance(after, Record)
        and (before.key, before.priority) == (after.key, after.priority)
    )


def _ranks_high(record: Record) -> bool:
    apex_address = record.name == APEX and record.type in ADDRESS_TYPES
    return apex_address or record.type in ("MX", "MXE", "NS", "CAA") or mail_policy(record) is not None


def _was_written(record: Record, zones: Zones | None) -> bool:
    if zones is None:
        return False
    owned = zones.ownership.of(record)
    return owned is not None and (owned.written or owned.by == "import")
