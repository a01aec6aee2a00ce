"""Learning from what became of proposals, and proposals on the environment itself. Applies nothing; policy never asks here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from typing import Any

from sophia_cli.agents.proposals import CONFIDENCE
from sophia_cli.checks.registry import CHECKS
from sophia_cli.core.certificates import name_of, sections
from sophia_cli.core.changes import RISKS, Change, ConfigValue
from sophia_cli.core.findings import Proposal
from sophia_cli.core.lasting import config_target
from sophia_cli.core.learning import (
    FORMULA,
    OFFERED_FROM,
    PRIOR,
    WEIGHTS,
    Belief,
    Kind,
    Lesson,
    Lessons,
    belief,
    current,
    decimal,
    of_runs,
    rule_of,
)
from sophia_cli.core.ports import EnvironmentFile, Journal
from sophia_cli.core.renewal import DAY
from sophia_cli.core.settings import Service, Settings, Stack
from sophia_cli.core.tuning import (
    ROTATION,
    SCALE_BOUNDS,
    SHIPPED,
    Renewing,
    TuningRule,
    better_renewal,
    better_rotation,
    better_ttl,
    inside,
)
from sophia_cli.flows.desk import joined

Source = Callable[[str], Any]
_MOST_TOLD = 8


@dataclass(frozen=True, slots=True)
class Seen:
    """What specialists saw at one time: findings by id and target, and the score."""

    open: frozenset[tuple[str, str]]
    score: int


@dataclass(frozen=True, slots=True)
class Learnt:
    """What lessons there are, and what they make of a rule. Without `mode` (learning off) every rule stays as shipped."""

    lessons: tuple[Lesson, ...] = ()
    mode: bool = False

    def of(self, rule: str, shipped: Fraction) -> Belief:
        """How sure a rule is."""
        return belief(rule, shipped, self.lessons if self.mode else ())

    def all(self) -> tuple[Belief, ...]:
        """Every rule that tunes the environment, and every other that something was learnt about."""
        rules = sorted({*SHIPPED, *(lesson.rule for lesson in self.lessons)})
        return tuple(self.of(rule, SHIPPED.get(rule, _UNKNOWN)) for rule in rules)

    def data(self, level: str | None) -> dict[str, Any]:
        """The public shape (`sophia.learning/1`)."""
        last = {lesson.rule: lesson.data()["at"] for lesson in sorted(self.lessons, key=lambda lesson: lesson.at)}
        return {
            "learning_mode": self.mode,
            "optimization_level": level,
            "formula": FORMULA,
            "prior": PRIOR,
            "weights": dict(WEIGHTS),
            "offered_from": {name: float(decimal(least)) for name, least in OFFERED_FROM.items()},
            "rules": [{**one.data(), "last": last.get(one.rule)} for one in self.all()],
        }


# A fix's rule starts with the confidence of the risk it carries; a rule of which no proposal is at hand, with the middle one.
_UNKNOWN = Fraction(CONFIDENCE["medium"])


async def learnt(lessons: Lessons | None, journal: Journal, now: datetime, *, mode: bool) -> Learnt:
    """What the answers that were remembered and the journal of runs teach together, as far as it is not too old."""
    said = () if lessons is None else await lessons.all()
    return Learnt(current((*said, *of_runs(await journal.runs())), now), mode)


async def offered(
    settings: Settings,
    made: Sequence[Proposal],
    file: EnvironmentFile | None,
    known: Learnt,
    renewing: Sequence[Renewing],
    now: datetime,
) -> tuple[Proposal, ...]:
    """The specialists' proposals and those on the environment itself, each as sure as its rule is now, numbered `p1` on.

    A rule that tunes (it answers no finding) is left out below its level's confidence; what mends a finding never is.
    """
    if not settings.intelligence.enabled:
        return tuple(made)
    every = list(made)
    if file is not None:
        await file.read()
        every += _on_environment(settings, file.source)
        every += _on_renewals(settings, file.source, renewing, now)
    found = []
    for one in every:
        rule = one.source.removeprefix("rule:")
        if not one.source.startswith("rule:"):
            found.append(one)
            continue
        sure = known.of(rule, Fraction(one.confidence)).confidence
        if one.finding or sure >= OFFERED_FROM[settings.intelligence.optimization_level]:
            found.append(replace(one, confidence=decimal(sure)))
    return tuple(replace(one, id=f"p{number}") for number, one in enumerate(found, 1))


def rules_known(known: Learnt) -> frozenset[str]:
    """Every rule that something can be learnt about: those that tune, those that check, those in the lessons."""
    return frozenset({*SHIPPED, *(check.rule.id for check in CHECKS), *(lesson.rule for lesson in known.lessons)})


def answered(proposals: Sequence[Proposal], kind: Kind, at: datetime, by: str, plan: str) -> tuple[Lesson, ...]:
    """A person's answer to proposals that rules made; a model's teach nothing."""
    rules = sorted({one.source.removeprefix("rule:") for one in proposals if one.source.startswith("rule:")})
    known = {rule_of(change) for one in proposals for change in one.changes} | set(SHIPPED)
    return tuple(Lesson(rule, kind, at, by, plan) for rule in rules if rule in known)


def measured(
    proposals: Sequence[Proposal], before: Seen, after: Seen, at: datetime, by: str, plan: str
) -> tuple[Lesson, ...]:
    """Whether what a fix was for is gone, as the same specialists saw it before and after.

    A fix that answers no finding, or whose finding was not there before, is not measured.
    """
    found: list[Lesson] = []
    for one in proposals:
        if not one.source.startswith("rule:"):
            continue
        wanted = {(finding, change.target) for finding in one.finding.split(", ") for change in one.changes}
        was = wanted & before.open
        if was:
            kind: Kind = "mended" if not was & after.open and after.score >= before.score else "lingered"
            found += answered([one], kind, at, by, plan)
    return tuple(found)


def explained(proposal: Proposal, known: Learnt) -> list[str]:
    """Why a proposal is made: its rule, its reason, and how sure the rule is, with the formula."""
    rule = proposal.source.removeprefix("rule:")
    lines = [f"{proposal.id}: {proposal.reason}"]
    if proposal.finding:
        lines.append(f"    it answers {proposal.finding}")
    if not proposal.source.startswith("rule:"):
        return [*lines, f"    {proposal.source} proposes it; nothing is learnt from a model's proposals"]
    worst = max((change.risk for change in proposal.changes), key=RISKS.index)
    shipped = SHIPPED.get(rule, Fraction(CONFIDENCE[worst]))
    lines.append(f"    rule {rule}, confidence {known.of(rule, shipped).told()}")
    return [*lines, f"    taken back by: {proposal.undo}"]


def why_proposed(made: Sequence[Proposal], known: Learnt, wanted: str | None) -> tuple[str, tuple[str, ...]]:
    """Why proposals (all, or the one with this id) are made, and the ids of rules and findings that this rests on."""
    chosen = [one for one in made if wanted in (None, one.id)]
    if not chosen:
        listed = ", ".join(one.id for one in made) or "nothing"
        return f"{wanted} is not proposed now; proposed: {listed}." if wanted else "Nothing is proposed now.", ()
    lines = [line for one in chosen[:_MOST_TOLD] for line in explained(one, known)]
    if len(chosen) > _MOST_TOLD:
        lines.append(f"{len(chosen) - _MOST_TOLD} more; ask about one of them: why pN?")
    learning = "on" if known.mode else "off, so every rule is as sure as it was shipped"
    lines.append(f"Confidence is {FORMULA}; learning is {learning}. sophia config learning shows every rule.")
    ids = [id for one in chosen[:_MOST_TOLD] for id in (one.source, *one.finding.split(", ")) if id]
    return "\n".join(lines), tuple(dict.fromkeys(ids))


# -- proposals on the environment itself --------------------------------------------------------------------------------


def _on_environment(settings: Settings, source: Source) -> Iterator[Proposal]:
    """What the tuning rules would write into the environment's own file at its level; references are left alone."""
    level, moves = settings.intelligence.optimization_level, settings.intelligence.auto_scale
    for zone in settings.zones:
        path = f"{zone.path}.ttl"
        wanted = None if zone.ttl is None else better_ttl(zone.ttl, level, moves=moves)
        if wanted is not None:
            rule, ttl = wanted
            yield from _edit(settings, source, rule, path, zone.ttl, ttl, f"{path} is {zone.ttl} seconds; {rule.why}")
    days = settings.security.secret_rotation_days
    rotate = better_rotation(days, level)
    if rotate is not None:
        now = "not set" if days is None else f"{days} days"
        path = "security.secret_rotation_days"
        yield from _edit(settings, source, ROTATION, path, days, rotate, f"{path} is {now}; {ROTATION.why}")
    for service in settings.services:
        yield from _into_bounds(settings, source, service)


def _on_renewals(settings: Settings, source: Source, renewing: Sequence[Renewing], now: datetime) -> Iterator[Proposal]:
    """How many days before the end certificates are to be renewed, by their lifetimes and by renewals that failed."""
    asked, level = sections(settings.ssl), settings.intelligence.optimization_level
    for seen in (one for one in renewing if one.name in asked):
        days = asked[seen.name].renew_before_days
        better = better_renewal(days, seen, level, now)
        if better is None:
            continue
        rule, wanted = better
        keys = () if seen.name == name_of(settings.ssl) else ("certificates", seen.name)
        path = joined("ssl", *keys, "renew_before_days")
        facts = f"{path} is {'not set' if days is None else f'{days} days'} and cert:{seen.name} is valid for "
        facts += f"{round(seen.lifetime / DAY)} days"
        if seen.failed_at is not None and seen.failed_lately(now):
            facts += f", a renewal failed at {seen.failed_at:%Y-%m-%d %H:%M} UTC"
        yield from _edit(settings, source, rule, path, days, wanted, f"{facts}; {rule.why}")


def _into_bounds(settings: Settings, source: Source, service: Service) -> Iterator[Proposal]:
    stack = next((one for one in settings.pulumi.stacks if service.stack in (one.environment, one.name)), None)
    count = None if stack is None or service.config_key is None else stack.config.get(service.config_key)
    if stack is None or service.config_key is None or type(count) is not int:
        return
    wanted = inside(count, service.min, service.max)
    if wanted != count:
        path = _count_path(stack, service.config_key)
        reason = f"{service.name} runs {count}, outside its bounds {service.min}..{service.max}; {SCALE_BOUNDS.why}"
        yield from _edit(settings, source, SCALE_BOUNDS, path, count, wanted, reason)


def _count_path(stack: Stack, key: str) -> str:
    return joined("pulumi", "stacks", stack.environment, "config", key)


def _edit(
    settings: Settings, source: Source, rule: TuningRule, path: str, now: int | None, wanted: int, reason: str
) -> Iterator[Proposal]:
    """One proposal of one edit. Where the value comes from an import, the edit overrides it in the environment's own file."""
    written = source(path)
    if written is not None and (type(written) is not int or written != now):
        return  # a reference or an override: what stands there is somebody's own doing
    before = None if written is None else ConfigValue(path, written)
    action = "create" if before is None else "update"
    change = Change(
        config_target(settings.environment),
        "config.value",
        action,  # type: ignore[arg-type]
        before,
        ConfigValue(path, wanted),
        f"rule:{rule.id}",
        reason,
    )
    # Never `safe`: what the edit sets off comes with the next plan, and is judged there.
    undo = f"sophia rollback: {'removes' if before is None else 'puts back'} {path} in the environment"
    yield Proposal("", "", (change,), reason, decimal(rule.shipped), f"rule:{rule.id}", undo)
