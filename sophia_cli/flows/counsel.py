"""Counsel: a language model asked through its port, cached, decoded and audited. Writes nothing and approves nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from sophia_cli.agents.base import Facts
from sophia_cli.agents.orchestrator import SophiaInfrastructureOrchestrator
from sophia_cli.agents.proposals import CONFIDENCE, Claim, claims
from sophia_cli.checks.catalogue import RULES
from sophia_cli.checks.found import fix_of
from sophia_cli.core.changes import RISKS
from sophia_cli.core.dns import Zone
from sophia_cli.core.findings import Finding, Proposal
from sophia_cli.core.language import Answered, Hear, LanguageModel, ModelMemory, Prompt, Silent, Usage
from sophia_cli.core.plan import Plan, applied, zone_target
from sophia_cli.core.settings import Settings
from sophia_cli.flows.events import Stream
from sophia_cli.reasoning.decoding import Advice, Undecodable, decoded_advice, decoded_reading, shaped, strict
from sophia_cli.reasoning.evidence import Evidence, evidence
from sophia_cli.reasoning.grounding import LONGEST_SENTENCE, overreach
from sophia_cli.reasoning.intents import Intent
from sophia_cli.reasoning.prompts import advice_prompt, probe_prompt, reading_prompt
from sophia_cli.reasoning.prose import LINK, LINKS
from sophia_cli.reasoning.provenance import sources_of
from sophia_cli.reasoning.reading import Surroundings
from sophia_cli.reasoning.scope import Denied, meant
from sophia_cli.reasoning.veil import Veil

T = TypeVar("T")


@dataclass(slots=True)
class Counsel:
    """A model and what goes with asking it. One for a command; `notes` says, for people, what became of each question."""

    model: LanguageModel
    memory: ModelMemory
    veil: Veil
    stream: Stream
    notes: list[str] = field(default_factory=list)
    was_silent: bool = False
    """Whether it failed once in this command: what is not needed is then not asked."""

    @property
    def engine(self) -> str:
        """`model:HOST`: the source of all that comes of it."""
        return f"model:{self.model.host}"

    async def ask(self, prompt: Prompt, decode: Callable[[str], T]) -> T | None:
        """The decoded answer; None when there is none, with the reason in `notes` and in the audit log."""
        self.model.payload(prompt)  # gives the pseudonyms that a kept answer speaks in
        key = prompt.key(self.model.host, self.model.name)
        kept = await self.memory.recall(key)
        if kept is not None and _flaw(decode)(kept) is None:
            await self._record(prompt, "cached", Usage())
            return decode(kept)
        text = await self._kept(prompt, key, await self.model.answer(prompt, _flaw(decode)))
        return None if text is None else decode(text)

    async def tell(self, prompt: Prompt, hear: Hear) -> bool:
        """Let `hear` have prose as it comes; whether it came whole, with the reason in `notes` where it did not."""
        self.model.payload(prompt)
        key = prompt.key(self.model.host, self.model.name)
        kept = await self.memory.recall(key)
        if kept is not None:
            await self._record(prompt, "cached", Usage())
            hear(kept)
            return True
        return await self._kept(prompt, key, await self.model.tell(prompt, hear)) is not None

    async def _kept(self, prompt: Prompt, key: str, got: Answered | Silent) -> str | None:
        await self.heard(prompt, got)
        if isinstance(got, Silent):
            return None
        await self.memory.keep(key, got.text)
        return got.text

    async def heard(self, prompt: Prompt, got: Answered | Silent) -> None:
        """Put into the audit log, and into `notes`, what became of a question."""
        if isinstance(got, Silent):
            self.was_silent = True
            await self._record(prompt, "silent", got.usage, reason=got.reason)
            self.notes.append(f"{self.engine}: {got.reason}; going on without it ({_spent(got.usage)})")
        else:
            await self._record(prompt, "answered", got.usage, form=got.rung)
            self.notes.append(f"{self.engine} answered ({_spent(got.usage)})")

    async def _record(self, prompt: Prompt, outcome: str, usage: Usage, **detail: Any) -> None:
        await self.stream.say(
            "model",
            outcome=outcome,
            host=self.model.host,
            model=self.model.name,
            task=prompt.task,
            prompt_version=prompt.version,
            prompt=prompt.digest(),
            evidence=prompt.evidence(),
            **usage.data(),
            **detail,
        )

    async def denied(self, task: str, guard: str, why: str) -> None:
        """Put what a guard stopped into the audit log, and say it."""
        await self.stream.say("model_denied", outcome="denied", host=self.model.host, task=task, guard=guard, why=why)
        self.notes.append(f"{self.engine}: left out ({guard}): {why}")


def _flaw(decode: Callable[[str], object]) -> Callable[[str], str | None]:
    def flaw(text: str) -> str | None:
        try:
            decode(text)
        except Undecodable as exc:
            return str(exc)
        return None

    return flaw


def _spent(usage: Usage) -> str:
    return (
        f"{usage.requests} requests, {usage.tokens_in} + {usage.tokens_out} tokens, at most ${usage.cost_usd}, "
        f"{usage.latency_ms / 1000:.1f} s"
    )


async def probed(counsel: Counsel) -> Answered | Silent:
    """One small question, past the kept answers: whether the host answers, and in which form."""
    prompt = probe_prompt()
    got = await counsel.model.answer(prompt, _flaw(lambda text: shaped(strict(text), "the answer", {"ok": bool})))
    await counsel.heard(prompt, got)
    return got


# -- readings -----------------------------------------------------------------------------------------------------------


def reading_question(text: str, around: Surroundings, now: datetime) -> Prompt | None:
    """What a model is asked about a sentence; None for one that is too long to be one: pasted text is no order."""
    if len(text) > LONGEST_SENTENCE or "\n" in text:
        return None
    return reading_prompt(text, around, now.replace(minute=0, second=0))


async def reading(text: str, around: Surroundings, now: datetime, counsel: Counsel) -> tuple[Intent, ...]:
    """The intents a model reads in a sentence; empty when it reads none, or more than the person said."""
    prompt = reading_question(text, around, now)
    if prompt is None:
        return ()
    found = await counsel.ask(prompt, lambda answer: decoded_reading(answer, counsel.veil.shown))
    if not found:
        return ()
    more = overreach(found, text, around)
    if more is not None:
        await counsel.denied("reading", "grounding", more)
        return ()
    return found


# -- advice -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """What a model says of one finding: shown beside it, never acted on."""

    finding: str
    rank: int
    text: str
    by: str
    """`model:HOST`."""

    def data(self) -> dict[str, Any]:
        """The public shape."""
        return {"finding": self.finding, "rank": self.rank, "text": self.text, "by": self.by}


def findings_after(
    settings: Settings | None, zones: Sequence[Zone], now: datetime, plan: Plan | None
) -> tuple[list[Zone], list[Finding]]:
    """The zones as they will be once a plan is done, and what the specialists find about them then."""
    orchestrator = SophiaInfrastructureOrchestrator()
    later: list[Zone] = []
    found: list[Finding] = []
    for zone in zones:
        after = applied(zone, () if plan is None else plan.of(zone_target(zone.name)))
        later.append(after)
        found += orchestrator.examine(Facts(after, now, settings)).findings
    return later, found


def advice_evidence(zones: Sequence[Zone], findings: Sequence[Finding]) -> Evidence:
    """What a model is told of zones and findings."""
    return evidence(zones, findings, {id: rule.text for id, rule in RULES.items()})


async def proposals(
    settings: Settings, zones: Sequence[Zone], now: datetime, plan: Plan, counsel: Counsel
) -> tuple[tuple[Proposal, ...], tuple[Told, ...]]:
    """What a model would add to a plan, behind the rules' proposals and never touching what plan or rules touch.

    Reason, risk, confidence and undo are ours; the model's own are not asked for.
    """
    later, found = findings_after(settings, zones, now, plan)
    seen = advice_evidence(later, found)
    advice = await counsel.ask(advice_prompt(seen.facts), decoded_advice)
    if advice is None:
        return (), ()
    taken = {claim for change in plan.changes for claim in claims(change)}
    taken |= {claim for proposal in plan.proposals for change in proposal.changes for claim in claims(change)}
    made = await _made(advice, seen, later, settings, now, counsel, taken, len(plan.proposals) + 1)
    return made, told(advice, seen, counsel.veil, counsel.engine)


async def _made(
    advice: Advice,
    seen: Evidence,
    zones: Sequence[Zone],
    settings: Settings | None,
    now: datetime,
    counsel: Counsel,
    taken: set[Claim],
    first: int,
) -> tuple[Proposal, ...]:
    """The offers that are typed, in scope, aimed at nobody strange, and touch nothing that is `taken`."""
    by_name = {zone.name: zone for zone in zones}
    sources = sources_of(settings, [row for zone in zones for row in zone.records])
    made: list[Proposal] = []
    for offered in advice.offered:
        typed = meant(offered, seen, by_name, sources, counsel.engine)
        if isinstance(typed, Denied):
            await counsel.denied("advice", typed.guard, f"{typed.why} ({typed.finding})")
            continue
        touched = {claim for change in typed.changes for claim in claims(change)}
        if touched & taken:
            await counsel.denied("advice", "taken", f"plan or rules change that already ({offered.finding})")
            continue
        taken = taken | touched
        facts = Facts(by_name[typed.finding.target.partition(":")[2]], now, settings)
        fix = fix_of(facts, typed.changes)
        worst = max((change.risk for change in fix.changes), key=RISKS.index)
        made.append(
            Proposal(
                id=f"p{first + len(made)}",
                finding=typed.finding.id,
                changes=fix.changes,
                reason=f"{typed.finding.title}: a language model at {counsel.model.host} proposes this",
                confidence=str(min(CONFIDENCE[worst], "0.50")),
                source=counsel.engine,
                undo="sophia rollback",
            )
        )
    return tuple(made)


async def explanations(
    settings: Settings | None,
    zones: Sequence[Zone],
    now: datetime,
    findings: Sequence[Finding],
    by_rules: Sequence[Proposal],
    counsel: Counsel,
) -> tuple[tuple[Told, ...], tuple[Proposal, ...]]:
    """What a model says of findings, in the order it ranks them, and what it proposes beside the rules."""
    seen = advice_evidence(zones, findings)
    advice = await counsel.ask(advice_prompt(seen.facts), decoded_advice)
    if advice is None:
        return (), ()
    taken = {claim for proposal in by_rules for change in proposal.changes for claim in claims(change)}
    made = await _made(advice, seen, zones, settings, now, counsel, taken, len(by_rules) + 1)
    return told(advice, seen, counsel.veil, counsel.engine), made


def told(advice: Advice, seen: Evidence, veil: Veil, by: str) -> tuple[Told, ...]:
    """The explanations of findings that were told, once each, without links."""
    found: dict[str, Told] = {}
    for one in sorted(advice.explained, key=lambda one: (one.rank, one.finding)):
        if one.finding in seen.findings and one.finding not in found and one.text.strip():
            text = LINKS.sub(LINK, veil.shown(one.text))
            found[one.finding] = Told(one.finding, len(found) + 1, text, by)
    return tuple(found.values())


def with_proposals(plan: Plan, made: Sequence[Proposal]) -> Plan:
    """The plan with more proposals beside it."""
    return replace(plan, proposals=(*plan.proposals, *made))


def payloads(model: LanguageModel, prompts: Mapping[str, Prompt]) -> list[Mapping[str, Any]]:
    """What would be sent for each prompt; sends nothing."""
    return [{"task": task, **model.payload(prompt)} for task, prompt in prompts.items()]
