"""The health score: 0..100, from findings alone. The same findings give the same score, whoever found them.

Each open finding takes a part of what is left: critical 35 %, high 15 %, medium 6 %, low 2 %, info nothing. An open
critical finding caps the score at 49, an open high one at 79. Several targets have the score of the worst of them.
Findings that the environment ignores (with a reason and an end date) do not count; the score with them is told beside.
So mending a finding, or making it less severe, never lowers the score: each part and each cap only falls away.

The score has parts, each with its own goal and made by the same formula from its own findings: what the parts leave,
multiplied, is what the score leaves, before the caps. A part of which no check could look has no score, rather than 100.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sophia_cli.checks.catalogue import CATALOGUE
from sophia_cli.core.findings import Finding, NotTested

LEFT = {
    "critical": Fraction(65, 100),
    "high": Fraction(85, 100),
    "medium": Fraction(94, 100),
    "low": Fraction(98, 100),
    "info": Fraction(1),
}
CAPS = {"critical": 49, "high": 79}

# Each part with its goal and the beginnings of the ids of its checks; the first part that fits has the check.
PARTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("resolution", "every name server answers, rightly and within 100 ms",
     ("PERF-DNS-RTT", "PERF-TTL", "PERF-CHAIN", "DNS-LAME", "DNS-DELEG", "DNS-NS-FEW", "DNS-NS-ONE", "DNS-NS-V6", "DNS-NS-TCP")),
    ("endpoints", "every endpoint answers within 2 s", ("PERF-HTTP", "PERF-V6")),
    ("certificates", "every certificate fits, is trusted, and has more than a third of its days left", ("TLS-", "CAA-BLOCKS")),
    ("consistency", "the zone means what it says, and its servers say what it means", ("DNS-",)),
    ("policy", "mail, web and issuance are closed to impostors", ("MAIL-", "SEC-", "CAA-", "WEB-", "TXT-")),
    ("upkeep", "nothing ends unseen, stands open or is paid for in vain", ("COST-", "REG-")),
)  # fmt: skip
OTHER = "policy"  # where a finding of no check of the catalogue counts


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the score. `score` is None when none of its checks could look; `checks` and `tested` count checks."""

    name: str
    goal: str
    score: int | None
    findings: int
    checks: int
    tested: int

    def data(self) -> dict[str, Any]:
        """The public shape."""
        return {
            "name": self.name,
            "goal": self.goal,
            "score": self.score,
            "findings": self.findings,
            "checks": self.checks,
            "tested": self.tested,
        }


def score(findings: Iterable[Finding]) -> int:
    """The score of the worst target; 100 without findings."""
    return min(scores(findings).values(), default=100)


def scores(findings: Iterable[Finding], targets: Iterable[str] = ()) -> dict[str, int]:
    """The score of each target, those without findings too."""
    found: dict[str, list[str]] = {target: [] for target in targets}
    for finding in findings:
        found.setdefault(finding.target, []).append(finding.severity)
    return {target: _of(severities) for target, severities in sorted(found.items())}


def part_of(id: str) -> str:
    """The part that a check counts to."""
    return next((name for name, _, starts in PARTS if id.startswith(starts)), OTHER)


def parts(findings: Iterable[Finding], not_tested: Iterable[NotTested] = ()) -> tuple[Part, ...]:
    """The score's parts, each that of its worst target. A check that looked in part has looked."""
    by_part: dict[str, list[Finding]] = {}
    for finding in findings:
        by_part.setdefault(part_of(finding.id), []).append(finding)
    blind = {entry.id for entry in not_tested if not _looked(entry.why)}
    return tuple(_part(name, goal, by_part.get(name, []), blind) for name, goal, _ in PARTS)


def _part(name: str, goal: str, found: Sequence[Finding], blind: set[str]) -> Part:
    ids = [rule.id for rule in CATALOGUE if part_of(rule.id) == name]
    tested = sum(id not in blind for id in ids)
    return Part(name, goal, score(found) if found or tested else None, len(found), len(ids), tested)


def _looked(why: str) -> bool:
    """Whether a reason tells of a look in part, alone or behind the names of targets."""
    return why.startswith("in part: ") or ": in part: " in why


def left(severities: Iterable[str]) -> Fraction:
    """What open findings of these severities leave of one."""
    whole = Fraction(1)
    for severity in severities:
        whole *= LEFT[severity]
    return whole


def _of(severities: Sequence[str]) -> int:
    cap = min((CAPS.get(severity, 100) for severity in severities), default=100)
    return min(cap, int(100 * left(severities)))
