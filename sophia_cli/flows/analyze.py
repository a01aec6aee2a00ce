"""Analyze: read each target once, let the specialists look, join what they say. Changes nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sophia_cli.agents.base import NO_BACKGROUND, Background, Examination, Facts, Place
from sophia_cli.agents.cost import Figure, figures
from sophia_cli.agents.orchestrator import SophiaInfrastructureOrchestrator, specialists
from sophia_cli.agents.redaction import masks_of, redacted
from sophia_cli.agents.score import Part, parts, score, scores
from sophia_cli.core.baseline import Compared, compared
from sophia_cli.core.changes import SECRET
from sophia_cli.core.dns import Record
from sophia_cli.core.errors import SophiaError
from sophia_cli.core.findings import SEVERITIES, Finding, NotTested, Proposal
from sophia_cli.core.ignores import Ignored, sort_out

if TYPE_CHECKING:
    from sophia_cli.core.ports import ReadPort
    from sophia_cli.core.settings import Settings
    from sophia_cli.flows.counsel import Told

Collector = Callable[[list[Facts]], Awaitable[list[Facts]]]
"""Adds to the background of facts what checks want to know; gives all of them back, in the same order."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the specialists saw. `places` says where the records of each finding are written, finding by finding.

    `proposals` hold the real changes. `masks` are texts that reports must not repeat: `data()` replaces them.
    """

    targets: tuple[str, ...]
    score: int
    findings: tuple[Finding, ...]
    not_tested: tuple[NotTested, ...]
    scores: Mapping[str, int] = field(default_factory=dict)
    places: tuple[tuple[Place, ...], ...] = ()
    proposals: tuple[Proposal, ...] = ()
    runs: tuple[Any, ...] = ()
    masks: frozenset[str] = field(default=frozenset(), repr=False)
    ignored: tuple[Ignored, ...] = ()
    score_with_ignored: int | None = None
    """The score had nothing been ignored; None where nothing is."""
    parts: tuple[Part, ...] = ()
    """What the score is made of."""
    costs: tuple[Figure, ...] = ()
    """What is known to cost what, each figure with its formula and inputs."""
    baseline: Compared | None = None
    """How the findings compare with a former analysis; `findings` then holds the new ones only, the score all."""
    told: tuple[Told, ...] = ()
    """What a language model says of findings (`--ai-enhanced`); not checked, and nothing is computed from it."""
    offered: tuple[Proposal, ...] = ()
    """What a language model proposes; shown here, accepted only beside a plan, with an approval."""

    @property
    def summary(self) -> dict[str, int]:
        """How many findings of each severity, worst first."""
        counts = Counter(finding.severity for finding in self.findings)
        return {severity: counts[severity] for severity in reversed(SEVERITIES)}

    def worst(self) -> str | None:
        """The worst severity found, for `--fail-on`; None without findings."""
        return max((finding.severity for finding in self.findings), key=SEVERITIES.index, default=None)

    def data(self) -> dict[str, Any]:
        """The public shape (contract, `sophia.analysis/1`); `scores` and each finding's `places` are additions to it."""
        findings = [
            {**finding.data(), "places": [place.data() for place in places]}
            for finding, places in zip(self.findings, self.places, strict=True)
        ]
        return {
            "targets": list(self.targets),
            "score": self.score,
            "scores": dict(self.scores),
            "findings": [redacted(finding, self.masks) for finding in findings],
            "not_tested": [redacted(entry.data(), self.masks) for entry in self.not_tested],
            "runs": [run.public() if hasattr(run, "public") else run for run in self.runs],
            "summary": self.summary,
            "ignored": [redacted(entry.data(), self.masks) for entry in self.ignored],
            "score_with_ignored": self.score_with_ignored,
            "baseline": None if self.baseline is None else self.baseline.data(),
            "parts": [part.data() for part in self.parts],
            "costs": [redacted(figure.data(), self.masks) for figure in self.costs],
            **({"model": [redacted(one.data(), self.masks) for one in self.told]} if self.told else {}),
            **({"model_proposals": [redacted(one.data(), self.masks) for one in self.offered]} if self.offered else {}),
        }

    def since(self, document: Any) -> Analysis:
        """What is new since a former analysis (its JSON document); the score stays that of everything open.

        Raises `UsageError` for a document that is no analysis.
        """
        found = compared(self.data()["findings"], document)
        return replace(
            self,
            findings=tuple(self.findings[index] for index in found.new),
            places=tuple(self.places[index] for index in found.new),
            baseline=found,
        )


async def analyze(
    readers: Sequence[ReadPort],
    *,
    now: datetime,
    settings: Settings | None = None,
    backgrounds: Mapping[str, Background] | None = None,
    agents: Sequence[str] | None = None,
    collectors: Sequence[Collector] = (),
) -> Analysis:
    """Every target's findings, worst first, and the score.

    `backgrounds` is what is known beside the zone, by target id; `agents` names the specialists (all: None).
    `collectors` add what they can find out, one after another. A target that cannot be read raises when no other can be;
    else it is *not tested*, with the reason.
    """
    specialists(agents)  # an unknown name is said before anything is read
    facts, unread = await _observed(readers, now, settings, backgrounds or {})
    for collect in collectors:
        facts = await collect(facts)
    return examined(facts, agents=agents, not_tested=unread)


async def _observed(
    readers: Sequence[ReadPort], now: datetime, settings: Settings | None, backgrounds: Mapping[str, Background]
) -> tuple[list[Facts], list[NotTested]]:
    agent = SophiaInfrastructureOrchestrator()
    tasks = [
        agent.observe(reader, now=now, settings=settings, background=backgrounds.get(reader.id, NO_BACKGROUND))
        for reader in readers
    ]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    facts: list[Facts] = []
    unread: list[NotTested] = []
    first: SophiaError | None = None
    for reader, result in zip(readers, results, strict=True):
        if isinstance(result, SophiaError):
            first = first or result
            unread.append(NotTested(reader.id, f"could not be read: {result.message}"))
        elif isinstance(result, BaseException):
            raise result
        else:
            facts.append(result)
    if first is not None and not facts:
        raise first
    return facts, unread


def examined(
    facts: Sequence[Facts], *, agents: Sequence[str] | None = None, not_tested: Sequence[NotTested] = ()
) -> Analysis:
    """The analysis of facts that are there already; `not_tested` are targets that could not be read."""
    orchestrator = SophiaInfrastructureOrchestrator()
    every: list[Finding] = []
    shown: list[tuple[Finding, tuple[Place, ...]]] = []
    gaps: list[NotTested] = list(not_tested)
    proposals: list[Proposal] = []
    ignored: list[Ignored] = []
    for one in facts:
        apart = orchestrator.examine_apart(one, agents)
        # Before anything is joined: a consequence must not vanish with the ignored cause that would have told it.
        apart, complaints, hidden = _without_ignored(apart, one)
        shown += complaints
        every += [finding for finding, _ in complaints]
        ignored += hidden
        joined = orchestrator.joined(apart).findings
        every += apart.findings
        shown += [(finding, one.places(_rows(finding, one))) for finding in joined]
        gaps += [
            entry if len(facts) == 1 else replace(entry, why=f"{one.target}: {entry.why}") for entry in apart.not_tested
        ]
        offered = orchestrator.propose(joined, one)
        proposals += [replace(proposal, id=f"p{len(proposals) + n}") for n, proposal in enumerate(offered, 1)]
    shown.sort(key=lambda pair: pair[0].order())
    targets = tuple(one.target for one in facts)
    return Analysis(
        targets=targets,
        score=score(every),
        findings=tuple(finding for finding, _ in shown),
        not_tested=_together(gaps, [one.target for one in facts]),
        scores=scores(every, targets),
        parts=parts(every, gaps),
        costs=figures(facts) if agents is None or "cost" in agents else (),
        places=tuple(places for _, places in shown),
        proposals=tuple(proposals),
        masks=frozenset[str]().union(*(masks_of(one) for one in facts)),
        ignored=tuple(sorted(ignored, key=lambda entry: entry.finding.order())),
        score_with_ignored=score([*every, *(entry.finding for entry in ignored)]) if ignored else None,
    )


def _without_ignored(
    apart: Examination, facts: Facts
) -> tuple[Examination, list[tuple[Finding, tuple[Place, ...]]], tuple[Ignored, ...]]:
    """The findings that no ignore covers, what is wrong with the ignores themselves, and what is ignored."""
    ignores = () if facts.settings is None else facts.settings.ignores
    found = sort_out(apart.findings, ignores, facts.target, facts.now.date())
    complaints: list[tuple[Finding, tuple[Place, ...]]] = [
        (finding, () if by.origin is None else (Place(by.origin.file, by.origin.line),))
        for finding, by in found.complaints
    ]
    return replace(apart, findings=found.open), complaints, found.ignored


def _rows(finding: Finding, facts: Facts) -> tuple[Record, ...]:
    """The records a finding rests on; those whose value is masked are found by name and type."""
    rows: list[Record] = []
    for data in finding.evidence.get("records", ()):
        row = Record.from_data(data)
        there = facts.names.at(row.name, row.type)
        rows += [row] if row in there else [other for other in there if SECRET in row.value]
    return tuple(rows)


def _together(gaps: Sequence[NotTested], targets: Sequence[str]) -> tuple[NotTested, ...]:
    """Each reason once: what is the same for every target is said without naming them."""
    if len(targets) < 2:
        return tuple(gaps)
    by_reason: dict[tuple[str, str], list[str]] = {}
    for gap in gaps:
        target, _, why = gap.why.partition(": ")
        if target in targets:
            by_reason.setdefault((gap.id, why), []).append(target)
        else:
            by_reason.setdefault((gap.id, gap.why), [])
    found = []
    for (id, reason), who in by_reason.items():
        everywhere = not who or set(who) == set(targets)
        found.append(NotTested(id, reason if everywhere else f"{', '.join(who)}: {reason}"))
    return tuple(found)
