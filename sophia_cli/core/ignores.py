"""Ignores: findings that a person accepted, with a reason and an end date. Hides nothing: what is ignored is listed apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from sophia_cli.core.findings import Finding

if TYPE_CHECKING:
    from sophia_cli.core.settings import Ignore

EXPIRED = "IGNORE-EXPIRED"
INCOMPLETE = "IGNORE-INCOMPLETE"
SOURCE = "analysis.ignore of the environment"


@dataclass(frozen=True, slots=True)
class Ignored:
    """A finding that an ignore covers. It counts neither for `--fail-on` nor for the score, and is always listed."""

    finding: Finding
    by: Ignore

    def data(self) -> dict[str, Any]:
        """The public shape (`sophia.analysis/1`, `ignored`)."""
        until = None if self.by.until is None else self.by.until.isoformat()
        return {"finding": self.finding.data(), "reason": self.by.reason, "until": until}


@dataclass(frozen=True, slots=True)
class Sorted:
    """Findings split by the ignores in force, and what is wrong with the ignores themselves."""

    open: tuple[Finding, ...]
    ignored: tuple[Ignored, ...]
    complaints: tuple[tuple[Finding, Ignore], ...]


def sort_out(findings: Sequence[Finding], ignores: Iterable[Ignore], target: str, today: date) -> Sorted:
    """The findings of one target, those left open and those ignored.

    An ignore counts while it has a reason and an end date that is not past (the day itself still counts, UTC). One that
    has not is a finding of its own, and what it named stays open.
    """
    mine = [one for one in ignores if fnmatchcase(target, one.target)]
    valid = [one for one in mine if _flaw(one, today) is None]
    open_: list[Finding] = []
    ignored: list[Ignored] = []
    for finding in findings:
        by = next((one for one in valid if covers(one, finding)), None)
        if by is None:
            open_.append(finding)
        else:
            ignored.append(Ignored(finding, by))
    complaints = tuple((_complaint(one, flaw, target), one) for one in mine if (flaw := _flaw(one, today)) is not None)
    return Sorted(tuple(open_), tuple(ignored), complaints)


def covers(ignore: Ignore, finding: Finding) -> bool:
    """Whether an ignore is about a finding: the same id and target and, where it names a record name, that one alone."""
    if ignore.id != finding.id or not fnmatchcase(finding.target, ignore.target):
        return False
    if ignore.name is None:
        return True
    names = {row.get("name") for row in finding.evidence.get("records", ())}
    return names == {ignore.name}


def _flaw(ignore: Ignore, today: date) -> str | None:
    """What keeps an ignore from counting, or None."""
    missing = [what for what, given in (("reason", ignore.reason), ("end date (until)", ignore.until)) if not given]
    if missing:
        return f"has no {' and no '.join(missing)}"
    if ignore.until is not None and ignore.until < today:
        return f"ended on {ignore.until.isoformat()}"
    return None


def _complaint(ignore: Ignore, flaw: str, target: str) -> Finding:
    is_expired = flaw.startswith("ended")
    return Finding(
        id=EXPIRED if is_expired else INCOMPLETE,
        agent="security",
        severity="low",
        target=target,
        title=f"the ignore of {ignore.id} {flaw}, so it does not count",
        evidence={"ignore": ignore.id, "name": ignore.name, "reason": ignore.reason},
        help="Mend the finding and remove the ignore, or decide again: a reason, and a date when to look again.",
        source=SOURCE,
        no_fix="whether the risk is still accepted is a person's decision",
    )
