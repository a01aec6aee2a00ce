"""Compliance: findings and evidence mapped to the controls of a framework. Never calls a control met for want of looking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

Status = Literal["attention", "no open finding", "in part", "not assessed", "manual"]
STATUSES: tuple[Status, ...] = ("attention", "in part", "not assessed", "no open finding", "manual")
_GRAVE = ("medium", "high", "critical")


@dataclass(frozen=True, slots=True)
class Control:
    """One control: the checks (ids, `*` for any) and the kinds of evidence that speak of it. With neither it is manual."""

    id: str
    title: str
    text: str
    checks: tuple[str, ...]
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Framework:
    """The controls of one framework, versioned as data."""

    name: str
    title: str
    version: str
    note: str
    controls: tuple[Control, ...]

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Framework:
        """The framework of its data file (`core/frameworks/NAME.json`)."""
        controls = tuple(
            Control(one["id"], one["title"], one["text"], tuple(one["checks"]), tuple(one["evidence"]))
            for one in data["controls"]
        )
        return cls(data["name"], data["title"], data["version"], data["note"], controls)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One kind of evidence that is there: what it says on one line, and whether it wants attention itself."""

    kind: str
    text: str
    file: str
    """Its file in the evidence bundle."""
    attention: bool = False


@dataclass(frozen=True, slots=True)
class Assessed:
    """One control with its status and what that rests on. Findings are `ID target`."""

    control: Control
    status: Status
    findings: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    tested: int = 0
    not_tested: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    missing: tuple[str, ...] = ()

    def data(self) -> dict[str, Any]:
        """The public shape (`sophia.compliance/1`)."""
        return {
            "id": self.control.id,
            "title": self.control.title,
            "text": self.control.text,
            "status": self.status,
            "findings": list(self.findings),
            "ignored": list(self.ignored),
            "checks_tested": self.tested,
            "checks_not_tested": list(self.not_tested),
            "evidence": [{"kind": one.kind, "text": one.text, "file": one.file} for one in self.evidence],
            "evidence_missing": list(self.missing),
        }


@dataclass(frozen=True, slots=True)
class Assessment:
    """A framework held against one analysis and the evidence at hand. `since` and `until` are the log's first and last day."""

    framework: Framework
    controls: tuple[Assessed, ...]
    targets: tuple[str, ...]
    open: tuple[Mapping[str, Any], ...] = ()
    """The open findings in their public shape, each with the `controls` it touches."""
    since: str | None = None
    until: str | None = None

    def data(self) -> dict[str, Any]:
        """The public shape (`sophia.compliance/1`)."""
        counts = {status: sum(one.status == status for one in self.controls) for status in STATUSES}
        return {
            "framework": self.framework.name,
            "title": self.framework.title,
            "version": self.framework.version,
            "note": self.framework.note,
            "targets": list(self.targets),
            "period": {"since": self.since, "until": self.until},
            "controls": [one.data() for one in self.controls],
            "findings": [dict(one) for one in self.open],
            "summary": counts,
        }


def assess(
    framework: Framework,
    analysis: Mapping[str, Any],
    known: Sequence[str],
    evidence: Sequence[Evidence] = (),
    period: tuple[str | None, str | None] = (None, None),
) -> Assessment:
    """The framework held against an analysis (its public shape); `known` are the ids of all checks of the catalogue."""
    there = {one.kind: one for one in evidence}
    controls = tuple(_assessed(control, analysis, known, there) for control in framework.controls)
    return Assessment(framework, controls, tuple(analysis["targets"]), mapped(framework, analysis["findings"]), *period)


def mapped(framework: Framework, findings: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Findings in their public shape, each with the ids of the controls it touches (`controls`)."""
    return tuple(
        {**one, "controls": [control.id for control in framework.controls if _speaks(control, one["id"])]}
        for one in findings
    )


def _assessed(
    control: Control, analysis: Mapping[str, Any], known: Sequence[str], there: Mapping[str, Evidence]
) -> Assessed:
    ids = [id for id in known if _speaks(control, id)]
    gaps = {one["id"]: one["why"] for one in analysis["not_tested"]}
    untested = tuple(id for id in ids if id in gaps)
    blind = [id for id in untested if "in part:" not in gaps[id]]
    open_ = [one for one in analysis["findings"] if _speaks(control, one["id"])]
    ignored = [one["finding"] for one in analysis.get("ignored", ()) if _speaks(control, one["finding"]["id"])]
    present = tuple(there[kind] for kind in control.evidence if kind in there)
    missing = tuple(kind for kind in control.evidence if kind not in there)
    is_grave = any(one["severity"] in _GRAVE for one in open_) or any(one.attention for one in present)
    status: Status
    if not control.checks and not control.evidence:
        status = "manual"
    elif is_grave:
        status = "attention"
    elif len(blind) == len(ids) and not present:
        status = "not assessed"
    elif untested or missing or ignored:
        status = "in part"
    else:
        status = "no open finding"
    return Assessed(
        control, status, _named(open_), _named(ignored), len(ids) - len(blind), untested, present, missing
    )  # fmt: skip


def _speaks(control: Control, id: str) -> bool:
    return any(fnmatchcase(id, pattern) for pattern in control.checks)


def _named(findings: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(sorted({f"{one['id']} {one['target']}" for one in findings}))
