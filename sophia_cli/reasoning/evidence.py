"""Evidence: zones and findings as typed facts for a model, bounded, each row with an id. No free text of others is in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from sophia_cli.core.canonical import canonical
from sophia_cli.core.dns import REDIRECT_TYPES, TARGET_TYPES, Record, Zone, mail_policy, problems
from sophia_cli.core.findings import Finding

MOST_ROWS = 400
MOST_FINDINGS = 60
MOST_BYTES = 24_000  # of all facts: about eight thousand tokens, the context of small local models
_LONGEST_HOST = 253

_CAA = re.compile(r'(\d{1,3}) ([a-z0-9]{1,15}) "([^"]*)"')
_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}")


@dataclass(frozen=True, slots=True)
class Evidence:
    """The facts of one question, and what their ids stand for."""

    facts: Mapping[str, Any]
    rows: Mapping[str, tuple[str, Record]] = field(default_factory=dict)
    """`r7` to its zone's name and the record."""
    findings: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    """The findings that were told, by rule id."""


def evidence(zones: Sequence[Zone], findings: Sequence[Finding], rules: Mapping[str, str]) -> Evidence:
    """What a model may know: `rules` gives each rule's own sentence. What does not fit is left out and counted.

    Rows that a finding rests on come first. TXT values, titles, help texts and evidence of findings stay here: they
    repeat what strangers wrote.
    """
    told = sorted(findings, key=Finding.order)[:MOST_FINDINGS]
    pointed = [(zone.name, row) for finding in told for zone in zones for row in _rows(finding, zone)]
    every = [*dict.fromkeys([*pointed, *((zone.name, row) for zone in zones for row in zone.records)])]
    fit = [(name, row) for name, row in every if not any(problems(row, name))]
    for most in (MOST_ROWS, 200, 100, 50, 20, 0):
        rows = {f"r{number}": pair for number, pair in enumerate(fit[:most], 1)}
        facts = _facts(zones, told, rows, rules, len(every) - len(rows), len(findings) - len(told))
        if len(canonical(facts)) <= MOST_BYTES:
            break
    by_rule: dict[str, tuple[Finding, ...]] = {}
    for finding in told:
        by_rule[finding.id] = (*by_rule.get(finding.id, ()), finding)
    return Evidence(facts, rows, by_rule)


def _facts(
    zones: Sequence[Zone],
    findings: Iterable[Finding],
    rows: Mapping[str, tuple[str, Record]],
    rules: Mapping[str, str],
    rows_left_out: int,
    findings_left_out: int,
) -> dict[str, Any]:
    ids = {pair: id for id, pair in rows.items()}
    by_name = {zone.name: zone for zone in zones}
    listed = []
    for finding in findings:
        zone = by_name.get(finding.target.partition(":")[2])
        named = [] if zone is None else [ids[zone.name, row] for row in _rows(finding, zone) if (zone.name, row) in ids]
        listed.append(
            {
                "finding": finding.id,
                "severity": finding.severity,
                "specialist": finding.agent,
                "zone": "" if zone is None else zone.name,
                "meaning": rules.get(finding.id, ""),
                "rows": named,
            }
        )
    return {
        "zones": [{"zone": zone.name, "mail_mode": zone.email_type} for zone in zones],
        "findings": listed,
        "rows": [
            {
                "row": id,
                "zone": name,
                "name": row.name,
                "type": row.type,
                "ttl": row.ttl,
                "priority": row.priority,
                "is": typed(row),
            }
            for id, (name, row) in rows.items()
        ],
        "left_out": {"rows": rows_left_out, "findings": findings_left_out},
    }


def typed(row: Record) -> Mapping[str, Any]:
    """A record's value as what it is, never as the text it was written as."""
    if row.type in ("A", "AAAA", "MXE"):
        return {"address": row.value}
    if row.type in TARGET_TYPES:
        host = row.value.rstrip(".").lower()
        return {"host": host} if len(host) <= _LONGEST_HOST and _HOST.fullmatch(host) else {"host": None}
    if row.type in REDIRECT_TYPES:
        parts = urlsplit(row.value)
        host = (parts.hostname or "").lower()
        return {"scheme": parts.scheme, "host": host if _HOST.fullmatch(host) else None}
    if row.type == "CAA" and (found := _CAA.fullmatch(row.value)):
        flag, tag, value = found.groups()
        issuer = value.partition(";")[0].strip().lower()
        known = tag in ("issue", "issuewild", "issuemail") and (not issuer or _HOST.fullmatch(issuer))
        return {"flag": int(flag), "tag": tag, "issuer": issuer if known else None}
    return {"policy": mail_policy(row) or "text", "characters": len(row.value)}


def _rows(finding: Finding, zone: Zone) -> tuple[Record, ...]:
    """The rows of a zone that a finding rests on."""
    if finding.target != f"dns:{zone.name}":
        return ()
    listed = finding.evidence.get("records", ())
    named = {(one.get("name"), one.get("type")) for one in listed if isinstance(one, Mapping)}
    exact = {(one.get("name"), one.get("type"), one.get("value")) for one in listed if isinstance(one, Mapping)}
    return tuple(row for row in zone.records if row.key in exact) or tuple(
        row for row in zone.records if (row.name, row.type) in named
    )


rows_of = _rows
