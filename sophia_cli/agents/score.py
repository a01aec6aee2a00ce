"""The health score: 0..100, from findings alone. The same findings give the same score, whoever found them.

Each open finding takes a part of what is left: critical 35 %, high 15 %, medium 6 %, low 2 %, info nothing. An open
critical finding caps the score at 49, an open high one at 79. Several targets have the score of the worst of them.
So mending a finding, or making it less severe, never lowers the score: each part and each cap only falls away.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from sophia_cli.core.findings import Finding

LEFT = {
    "critical": Fraction(65, 100),
    "high": Fraction(85, 100),
    "medium": Fraction(94, 100),
    "low": Fraction(98, 100),
    "info": Fraction(1),
}
CAPS = {"critical": 49, "high": 79}


def score(findings: Iterable[Finding]) -> int:
    """The score of the worst target; 100 without findings."""
    return min(scores(findings).values(), default=100)


def scores(findings: Iterable[Finding], targets: Iterable[str] = ()) -> dict[str, int]:
    """The score of each target, those without findings too."""
    found: dict[str, list[str]] = {target: [] for target in targets}
    for finding in findings:
        found.setdefault(finding.target, []).append(finding.severity)
    return {target: _of(severities) for target, severities in sorted(found.items())}


def _of(severities: list[str]) -> int:
    left, cap = Fraction(100), 100
    for severity in severities:
        left *= LEFT[severity]
        cap = min(cap, CAPS.get(severity, 100))
    return min(cap, int(left))
