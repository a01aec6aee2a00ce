"""Analyses as SARIF 2.1.0 (OASIS), for code scanning: each result points at a line of the zone or environment file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from sophia_cli.output.analysis import Analysed, evidence_text, fix_text
from sophia_cli.output.foreign import escaped

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
# GitHub ranks alerts by this number (its `security-severity`): above 9 critical, above 7 high, above 4 medium.
_RANKS = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "3.0", "info": "0.0"}
_FINGERPRINT = "sophiaFinding/v1"


def sarif(analysis: Analysed, *, version: str, file: str | None = None, base: str | None = None) -> str:
    """The SARIF log. `file` is what results point at (line 1) when no line is known: the zone or environment file.

    `base` is the working directory: files below it are named relative to it, as code scanning wants them.
    """
    data = analysis.data()
    ignored = [entry["finding"] for entry in data.get("ignored", ())]
    findings = [*data["findings"], *ignored]
    ids = sorted({finding["id"] for finding in findings})
    near = None if base is None else base.rstrip("/") + "/"
    run = {
        "tool": {
            "driver": {
                "name": "sophia",
                "version": version,
                "semanticVersion": version,
                "rules": [_rule(id, [one for one in findings if one["id"] == id]) for id in ids],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [
                    {"level": "note", "message": {"text": escaped(f"{entry['id']} was not tested: {entry['why']}")}}
                    for entry in data["not_tested"]
                ],
            }
        ],
        "results": [
            *(_result(finding, ids, file, near) for finding in data["findings"]),
            *(_suppressed(entry, ids, file, near) for entry in data.get("ignored", ())),
        ],
        "properties": {"score": data["score"], "targets": [escaped(target) for target in data["targets"]]},
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _rule(id: str, findings: list[Mapping[str, Any]]) -> dict[str, Any]:
    first = findings[0]
    return {
        "id": id,
        "shortDescription": {"text": f"{id} ({first['agent']})"},
        "fullDescription": {"text": f"{id}, after {escaped(first['source'])}"},
        "help": {"text": f"Rule: {escaped(first['source'])}. The check catalogue explains it."},
        "defaultConfiguration": {"level": _LEVELS[first["severity"]]},
        "properties": {"tags": [first["agent"]], "security-severity": _RANKS[first["severity"]]},
    }


def _suppressed(entry: Mapping[str, Any], ids: list[str], file: str | None, near: str | None) -> dict[str, Any]:
    """An ignored finding: a result suppressed outside the code, with its reason (SARIF 2.1.0, 3.35)."""
    why = escaped(f"{entry['reason']} (until {entry['until']})")
    suppression = {"kind": "external", "status": "accepted", "justification": why}
    return {**_result(entry["finding"], ids, file, near), "suppressions": [suppression]}


def _result(finding: Mapping[str, Any], ids: list[str], file: str | None, near: str | None) -> dict[str, Any]:
    text = ". ".join(part.rstrip(".") for part in (finding["title"], evidence_text(finding), finding["help"]) if part)
    places = finding.get("places") or ([] if file is None else [{"file": file, "line": 1}])
    logical = {"fullyQualifiedName": escaped(finding["target"]), "kind": "resource"}
    locations: list[dict[str, Any]] = [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": quote(place["file"].removeprefix(near or ""))},
                "region": {"startLine": place["line"]},
            },
            "logicalLocations": [logical],
        }
        for place in places
    ]
    return {
        "ruleId": finding["id"],
        "ruleIndex": ids.index(finding["id"]),
        "level": _LEVELS[finding["severity"]],
        "message": {"text": escaped(text) + f". {fix_text(finding)}"},
        "locations": locations[:1] or [{"logicalLocations": [logical]}],
        "relatedLocations": [{**location, "id": number} for number, location in enumerate(locations[1:], 1)],
        "partialFingerprints": {_FINGERPRINT: _fingerprint(finding)},
        "properties": {"severity": finding["severity"], "target": escaped(finding["target"])},
    }


def _fingerprint(finding: Mapping[str, Any]) -> str:
    """The same finding keeps it when lines move: the id, the target and the names it is about."""
    names = sorted({f"{row['type']} {row['name']}" for row in finding["evidence"].get("records", ())})
    return hashlib.sha256(json.dumps([finding["id"], finding["target"], names]).encode()).hexdigest()
