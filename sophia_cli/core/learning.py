"""Learning: how sure a rule is, told from typed lessons by one written formula. Reads nothing and remembers nothing itself.

Confidence is the mean of a Beta distribution: (10 x shipped + a) / (10 + a + b). `shipped` is what the rule starts with and
counts like ten lessons. `a` grows by 1 for each proposal a person accepted, by 2 for each run of it that held and by 1 for each
fix after which its finding was gone; `b` by 1 for each proposal a person rejected, by 2 for each fix after which its finding
was still there or the score was lower, and by 4 for each run of it that was taken back. A lesson counts for a year.
Nothing else is learnt, no text of anybody's, and no lesson changes what a rule may do: autonomy, limits and the approval
stay what they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Literal, Protocol, get_args

from sophia_cli.core.changes import Change
from sophia_cli.core.history import Run, moment, timestamp

Kind = Literal["accepted", "rejected", "held", "undone", "mended", "lingered"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PRIOR = 10
WEIGHTS: Mapping[Kind, int] = {"accepted": 1, "rejected": 1, "held": 2, "undone": 4, "mended": 1, "lingered": 2}
FOR: frozenset[Kind] = frozenset({"accepted", "held", "mended"})
LASTS = timedelta(days=365)  # what was right for the zone of years ago need not be right for the one of today
FORMULA = (
    f"({PRIOR} x shipped + a) / ({PRIOR} + a + b); a = accepted + 2 x held + mended, "
    f"b = rejected + 4 x undone + 2 x lingered; lessons of the last {LASTS.days} days"
)
# From which confidence on a rule that tunes, rather than mends, is offered at a level.
OFFERED_FROM: Mapping[str, Fraction] = {
    "conservative": Fraction(9, 10),
    "balanced": Fraction(7, 10),
    "aggressive": Fraction(1, 2),
}

_RULE = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)*")
_UNDOES = re.compile(r"undoes \S+ of run (\S+)")


@dataclass(frozen=True, slots=True)
class Lesson:
    """One thing that happened to a rule's proposal, and how that is known: by a person's answer, or by a run's end."""

    rule: str
    kind: Kind
    at: datetime
    by: str
    """Who answered, or whose run it was."""
    plan: str
    """The digest of the plan it was about."""
    run: str | None = None

    def __post_init__(self) -> None:
        """Refuse anything that is not of these types. Raises `ValueError`."""
        texts = (self.by, self.plan, *(() if self.run is None else (self.run,)))
        if self.kind not in KINDS or not all(isinstance(text, str) for text in texts) or self.at.tzinfo is None:
            raise ValueError("a lesson has a rule, a kind, a time with zone, who, and a plan")
        if not isinstance(self.rule, str) or _RULE.fullmatch(self.rule) is None or len(self.rule) > 60:
            raise ValueError(f"{self.rule!r} is no rule")

    def data(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "rule": self.rule,
            "kind": self.kind,
            "at": timestamp(self.at),
            "by": self.by,
            "plan": self.plan,
            "run": self.run,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Lesson:
        """The lesson of its stored form. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
        return cls(**{**data, "at": moment(data["at"])})


class Lessons(Protocol):
    """What people answered to proposals, durably."""

    async def add(self, lessons: Sequence[Lesson]) -> None:
        """Remember them; of two writers none loses the other's."""
        ...

    async def all(self) -> tuple[Lesson, ...]:
        """What is remembered, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Belief:
    """How sure a rule is, with all that it rests on."""

    rule: str
    shipped: Fraction
    counts: Mapping[Kind, int]

    @property
    def a(self) -> int:
        """What speaks for it."""
        return sum(WEIGHTS[kind] * self.counts.get(kind, 0) for kind in KINDS if kind in FOR)

    @property
    def b(self) -> int:
        """What speaks against it."""
        return sum(WEIGHTS[kind] * self.counts.get(kind, 0) for kind in KINDS if kind not in FOR)

    @property
    def confidence(self) -> Fraction:
        """The mean of Beta(10 x shipped + a, 10 x (1 - shipped) + b)."""
        return (PRIOR * self.shipped + self.a) / (PRIOR + self.a + self.b)

    def told(self) -> str:
        """The formula with this rule's numbers in it."""
        counts = ", ".join(f"{self.counts.get(kind, 0)} {kind}" for kind in KINDS)
        sums = f"({PRIOR} x {decimal(self.shipped)} + {self.a}) / ({PRIOR} + {self.a} + {self.b})"
        return f"{decimal(self.confidence)} = {sums}: {counts}"

    def data(self) -> dict[str, Any]:
        """The public shape (`sophia.learning/1`)."""
        return {
            "rule": self.rule,
            "shipped": float(decimal(self.shipped)),
            **{kind: self.counts.get(kind, 0) for kind in KINDS},
            "a": self.a,
            "b": self.b,
            "confidence": float(decimal(self.confidence)),
            "offered": {level: self.confidence >= least for level, least in OFFERED_FROM.items()},
        }


def decimal(value: Fraction) -> str:
    """Two decimals, as proposals carry their confidence."""
    return f"{float(value):.2f}"


def current(lessons: Iterable[Lesson], now: datetime) -> tuple[Lesson, ...]:
    """The lessons that still count; one from a clock that runs ahead counts too."""
    return tuple(lesson for lesson in lessons if now - lesson.at <= LASTS)


def belief(rule: str, shipped: Fraction, lessons: Iterable[Lesson]) -> Belief:
    """What these lessons say of a rule; those of other rules do not count."""
    return Belief(rule, shipped, Counter(lesson.kind for lesson in lessons if lesson.rule == rule))


def of_runs(runs: Sequence[Run]) -> tuple[Lesson, ...]:
    """What the journal teaches: whose proposals were accepted, and whether their runs held or were taken back.

    A run holds when it was applied and what the outside shows does not contradict it; it was taken back when it rolled
    back by itself or a later rollback undid changes of it. What heal repaired by itself nobody accepted.
    """
    undone = {
        match[1]
        for run in runs
        if run.outcome == "applied"
        for change in run.changes
        if (match := _UNDOES.match(change.reason)) is not None
    }
    found = []
    for run in runs:
        if any(_UNDOES.match(change.reason) for change in run.changes):
            continue
        for rule in sorted({rule for change in run.changes if (rule := rule_of(change)) is not None}):
            kinds: list[Kind] = [] if run.command == "heal" else ["accepted"]
            if run.outcome == "rolled_back" or run.id in undone:
                kinds.append("undone")
            elif run.outcome == "applied" and run.verified is not False:
                kinds.append("held")
            elif run.outcome != "applied":
                continue
            found += [Lesson(rule, kind, run.started, run.actor, run.plan, run.id) for kind in kinds]
    return tuple(found)


def rule_of(change: Change) -> str | None:
    """The rule that made a change; None when none did, or when it is none whose name is a rule's."""
    name = change.source.removeprefix("rule:")
    return name if change.source.startswith("rule:") and _RULE.fullmatch(name) and len(name) <= 60 else None
