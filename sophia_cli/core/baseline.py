"""Baselines: what a former analysis already said, so that only what is new is reported. Reads no files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sophia_cli.core.canonical import digest_of
from sophia_cli.core.errors import UsageError
from sophia_cli.core.findings import SEVERITIES

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
_MEASURED = re.compile(  # a figure with its unit, or a moment, inside a sentence
    r"\d+(?:\.\d+)? ?(?:ms|s|bytes|seconds|minutes|hours|days)\b|\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?"
)
_IDENTITY = ("name", "type", "value")


@dataclass(frozen=True, slots=True)
class Compared:
    """An analysis held against a baseline: which findings are new (by index), how many were known, what is gone."""

    new: tuple[int, ...]
    known: int
    gone: tuple[str, ...]

    def data(self) -> dict[str, Any]:
        """The public shape (`sophia.analysis/1`, `baseline`)."""
        return {"known": self.known, "gone": list(self.gone)}


def fingerprint(finding: Mapping[str, Any]) -> str:
    """What makes a finding (in its public shape) the same one later: id, target and what it rests on.

    Of records that is name, type and value; of other evidence every text. Numbers, times and measured figures are left
    out, inside sentences too: days left, milliseconds and bytes differ from one look to the next without anything being new.
    """
    evidence = dict(finding.get("evidence") or {})
    rows = [[row.get(key) for key in _IDENTITY] for row in evidence.pop("records", ()) if isinstance(row, Mapping)]
    evidence.pop("also", None)
    rows.sort(key=repr)
    return digest_of({"id": finding["id"], "target": finding["target"], "records": rows, "rest": _lasting(evidence)})


def _lasting(value: Any) -> Any:
    """The part of evidence that stays the same from one look to the next."""
    if isinstance(value, Mapping):
        kept = {str(key): _lasting(part) for key, part in value.items()}
        return {key: part for key, part in sorted(kept.items()) if part is not None}
    if isinstance(value, (list, tuple)):
        return [kept for part in value if (kept := _lasting(part)) is not None]
    return _MEASURED.sub("#", value) if isinstance(value, str) and not _TIME.match(value) else None


def known_findings(document: Any) -> Counter[tuple[str, str]]:
    """(fingerprint, severity) of each finding in a former `sophia analyze -o json`, its ignored ones included.

    Raises `UsageError` when it is something else.
    """
    try:
        if document["schema"] != "sophia.analysis/1":
            raise UsageError(f"--baseline: it is a {document['schema']!s:.60} document, not sophia.analysis/1")
        data = document["data"]
        findings = [*data["findings"], *(entry["finding"] for entry in data.get("ignored", ()))]
        return Counter((fingerprint(finding), str(finding["severity"])) for finding in findings)
    except (KeyError, TypeError, AttributeError) as exc:
        raise UsageError(
            "--baseline: that file is not an analysis", hint="make one with: sophia analyze -o json > baseline.json"
        ) from exc


def compared(findings: Sequence[Mapping[str, Any]], document: Any) -> Compared:
    """The findings (public shape) that a baseline does not hold; one that got worse since is new.

    Raises `UsageError` for a document that is no analysis.
    """
    before = known_findings(document)
    new: list[int] = []
    for index, finding in enumerate(findings):
        key = _match(before, fingerprint(finding), str(finding["severity"]))
        if key is None:
            new.append(index)
        else:
            before[key] -= 1
    seen = {fingerprint(finding) for finding in findings}
    left = [one for one in document["data"]["findings"] if fingerprint(one) not in seen]
    gone = tuple(sorted(f"{one['id']} {one['target']}" for one in left))
    return Compared(tuple(new), len(findings) - len(new), gone)


def _match(before: Counter[tuple[str, str]], print_: str, severity: str) -> tuple[str, str] | None:
    """The entry of the baseline that knew a finding at this severity or a worse one."""
    rank = SEVERITIES.index(severity) if severity in SEVERITIES else 0
    for level in SEVERITIES[rank:]:
        if before[(print_, level)] > 0:
            return (print_, level)
    return None
