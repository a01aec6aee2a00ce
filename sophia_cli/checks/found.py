"""How checks speak: findings from a rule of the catalogue, and the typed changes that mend them. Applies nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sophia_cli.checks.catalogue import RULES
from sophia_cli.checks.facts import Facts
from sophia_cli.core.changes import Action, Change
from sophia_cli.core.dns import DEFAULT_TTL, Record, Zone, problems
from sophia_cli.core.findings import SEVERITIES, Finding, Fix, Severity
from sophia_cli.core.plan import applied, finished
from sophia_cli.core.risk import Zones

Edit = tuple[Record | None, Record | None]
"""A record before and after: None before creates, None after deletes."""


def finding(
    facts: Facts,
    id: str,
    title: str,
    rows: Iterable[Record] = (),
    help: str = "",
    *,
    severity: str | None = None,
    fix: Fix | None = None,
    no_fix: str | None = None,
    **evidence: Any,
) -> Finding:
    """A finding of a rule; the records it rests on stand first in the evidence. Without a fix it always says why."""
    rule = RULES[id]
    level = rule.severities.split()[0] if severity is None else severity
    return Finding(
        id=id,
        agent=rule.agent,
        severity=_severity(level),
        target=facts.target,
        title=title,
        evidence={"records": [row.data() for row in rows], **evidence},
        help=help,
        source=rule.source,
        fix=fix,
        no_fix=None if fix is not None else no_fix or rule.no_fix(),
    )


def _severity(text: str) -> Severity:
    return next(level for level in SEVERITIES if level == text)


def mend(facts: Facts, id: str, reason: str, *edits: Edit) -> Fix | None:
    """The fix that makes these edits; None when one of them could not be published or would hit another row."""
    gone = {before.key for before, _ in edits if before is not None}
    changes = []
    for before, after in edits:
        if before == after:
            continue
        if before is not None and not _stands(facts, before):
            return None  # it was seen behind an alias or delegation: another zone holds it
        if after is not None:
            after = after if after.ttl is not None else replace(after, ttl=DEFAULT_TTL)
            if any(problems(after, facts.zone.name)) or (after.key not in gone and _stands(facts, after)):
                return None
        action: Action = "create" if before is None else "delete" if after is None else "update"
        changes.append(Change(facts.target, "dns.record", action, before, after, f"rule:{id}", reason))
    if not changes:
        return None
    return fix_of(facts, changes)


def _stands(facts: Facts, record: Record) -> bool:
    return any(row.key == record.key for row in facts.names.at(record.name))


def fix_of(facts: Facts, changes: Iterable[Change]) -> Fix:
    """Changes ordered, rated by code and numbered; safe when all are reversible and of low risk."""
    listed = list(changes)
    near = _near(facts, listed)
    done = finished(listed, {facts.target: Zones(near, applied(near, listed))})
    return Fix(done, all(change.reversible and change.risk == "low" for change in done))


def _near(facts: Facts, changes: list[Change]) -> Zone:
    """The part of the zone that a change's risk can depend on: the names it touches. Large zones stay fast so."""
    payloads = [payload for change in changes for payload in (change.before, change.after)]
    names = {payload.name for payload in payloads if isinstance(payload, Record)}
    rows = [row for name in sorted(names) for row in facts.names.at(name)]
    return Zone.of(facts.zone.name, facts.zone.email_type, rows)


def set_ttl(record: Record, ttl: int) -> Edit:
    """The edit that gives a record another TTL."""
    return record, replace(record, ttl=ttl)


def set_value(record: Record, value: str) -> Edit:
    """The edit that gives a record another value."""
    return record, replace(record, value=value)


def listed(rows: Iterable[Record], limit: int = 3) -> str:
    """The names and types of some records, for a title."""
    texts = list(dict.fromkeys(f"{row.type} {row.name}" for row in rows))
    more = f" and {len(texts) - limit} more" if len(texts) > limit else ""
    return ", ".join(texts[:limit]) + more
