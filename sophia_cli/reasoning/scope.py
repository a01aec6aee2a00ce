"""Scope: what a proposal may touch, by the finding it answers. Everything beyond is over-reach. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sophia_cli.core.changes import Change
from sophia_cli.core.dns import APEX, DEFAULT_TTL, Record, Zone, mail_policy, normalised, problems
from sophia_cli.core.findings import Finding
from sophia_cli.core.plan import zone_target
from sophia_cli.reasoning.decoding import Draft, Offered
from sophia_cli.reasoning.evidence import Evidence, rows_of
from sophia_cli.reasoning.provenance import Sources, untrusted

MOST_DELETES = 1  # of one proposal


@dataclass(frozen=True, slots=True)
class Denied:
    """A proposal that is not shown, and the guard that stopped it."""

    finding: str
    guard: str
    why: str


@dataclass(frozen=True, slots=True)
class Meant:
    """A proposal's changes, typed and within scope."""

    finding: Finding
    changes: tuple[Change, ...]


class OutOfScope(Exception):
    """A draft that may not become a change."""

    def __init__(self, guard: str, why: str) -> None:
        super().__init__(why)
        self.guard = guard


def meant(offered: Offered, seen: Evidence, zones: dict[str, Zone], sources: Sources, source: str) -> Meant | Denied:
    """An offer as changes of `source`; `Denied` where anything of it reaches beyond its finding or aims at a stranger."""
    findings = seen.findings.get(offered.finding, ())
    if not findings:
        return Denied(offered.finding[:60], "unknown-finding", "it answers a finding that was not told")
    try:
        targets = {zone_target(draft.zone) for draft in offered.drafts}
        finding = next((one for one in findings if {one.target} == targets), None)
        if finding is None:
            raise OutOfScope("over-reach", "it touches another zone than its finding")
        zone = zones[finding.target.partition(":")[2]]
        changes = tuple(_change(draft, finding, zone, seen, sources, source) for draft in offered.drafts)
        if sum(change.action == "delete" for change in changes) > MOST_DELETES:
            raise OutOfScope("over-reach", "it deletes more than one record")
        keys = [side.key for change in changes for side in (change.before,) if isinstance(side, Record)]
        if len(keys) != len(set(keys)):
            raise OutOfScope("over-reach", "it changes one record twice")
    except OutOfScope as exc:
        return Denied(offered.finding, exc.guard, str(exc))
    return Meant(finding, changes)


def _change(draft: Draft, finding: Finding, zone: Zone, seen: Evidence, sources: Sources, source: str) -> Change:
    before = _row(draft, zone, seen)
    after = _after(draft, before, zone)
    outside = beyond(before, after, finding, zone)
    if outside is not None:
        raise OutOfScope("over-reach", outside)
    if after is not None and (before is None or before.value != after.value):
        stranger = untrusted(after, sources, zone.name)
        if stranger is not None:
            raise OutOfScope("provenance", stranger)
    action = draft.verb
    return Change(zone_target(zone.name), "dns.record", action, before, after, source, f"answers {finding.id}")


def _row(draft: Draft, zone: Zone, seen: Evidence) -> Record | None:
    if draft.verb == "create":
        if draft.row is not None:
            raise OutOfScope("typed", "a new record has no row")
        return None
    name, row = seen.rows.get(draft.row or "", ("", None))
    if row is None or name != zone.name:
        raise OutOfScope("typed", "it names a row that was not told")
    return row


def _after(draft: Draft, before: Record | None, zone: Zone) -> Record | None:
    if draft.verb == "delete":
        return None
    if before is None:
        if draft.name is None or draft.type is None or draft.value is None:
            raise OutOfScope("typed", "a new record wants name, type and value")
        wanted = Record(draft.name, draft.type, draft.value, draft.ttl or DEFAULT_TTL, draft.priority)
        row = normalised(wanted, zone.name)
    else:
        if draft.name not in (None, before.name) or draft.type not in (None, before.type):
            raise OutOfScope("typed", "an update keeps name and type")
        row = replace(
            before,
            value=before.value if draft.value is None else draft.value,
            ttl=before.ttl if draft.ttl is None else draft.ttl,
            priority=before.priority if draft.priority is None else draft.priority,
        )
        row = normalised(row, zone.name)
    if row == before:
        raise OutOfScope("typed", "it changes nothing")
    wrong = next(iter(problems(row, zone.name)), None)
    if wrong is not None:
        raise OutOfScope("typed", "the record cannot be published")
    if row != before and before is None and any(other.key == row.key for other in zone.records):
        raise OutOfScope("typed", "the record is there already")
    return row


def beyond(before: Record | None, after: Record | None, finding: Finding, zone: Zone) -> str | None:
    """Why a change is no answer to its finding: only rows that it rests on, their names, and for policies their places."""
    rests_on = rows_of(finding, zone)
    if before is not None:
        return None if before in rests_on else "it changes a record that its finding does not rest on"
    assert after is not None
    if after.name == "*" or after.name.startswith("*."):
        return "it makes a wildcard"
    if after.type == "NS":
        return "it delegates a name"
    names = {row.name for row in rests_on}
    if after.name in names:
        return None
    places = {"spf": APEX, "dmarc": "_dmarc", "mta-sts": "_mta-sts", "tls-rpt": "_smtp._tls"}
    if after.type == "TXT" and places.get(mail_policy(after) or "") == after.name:
        return None
    if after.type == "CAA" and after.name == APEX and finding.id.startswith("CAA-"):
        return None
    return "it makes a record at a name that its finding is not about"
