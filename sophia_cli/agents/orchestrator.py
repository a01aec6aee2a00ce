"""The orchestrator: runs the specialists over one set of facts and joins what they say. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sophia_cli.agents.base import Examination, Specialist
from sophia_cli.agents.cost import SophiaCostOptimizationAgent
from sophia_cli.agents.dns import SophiaDNSIntelligenceAgent
from sophia_cli.agents.performance import SophiaPerformanceAgent
from sophia_cli.agents.proposals import Offer, answers, offers
from sophia_cli.agents.security import SophiaSecurityAgent
from sophia_cli.agents.ssl import SophiaSSLOptimizationAgent
from sophia_cli.checks.facts import Facts
from sophia_cli.core.errors import UsageError
from sophia_cli.core.findings import Finding, Proposal

SPECIALISTS: dict[str, type[Specialist]] = {
    agent.name: agent
    for agent in (
        SophiaDNSIntelligenceAgent,
        SophiaSSLOptimizationAgent,
        SophiaPerformanceAgent,
        SophiaSecurityAgent,
        SophiaCostOptimizationAgent,
    )
}

# One cause, told once: the first finding tells the story, the second follows from it where they share a record
# (or, marked `*`, in the whole zone).
_FOLLOWS = {
    ("DNS-CNAME-APEX", "DNS-CNAME-OTHER"): "",
    ("DNS-DOUBLED", "DNS-MX-NOADDR"): "",
    ("DNS-CNAME-LOOP", "DNS-MX-CNAME"): "",
    ("MAIL-SPF-NONE", "DNS-MX-IMPLICIT"): "*",
}


class SophiaInfrastructureOrchestrator(Specialist):
    """All five specialists as one."""

    __slots__ = ()
    name = "orchestrator"

    def examine(self, facts: Facts) -> Examination:
        """What every specialist sees, worst first, consequences joined to their cause."""
        return self.joined(self.examine_apart(facts))

    def examine_apart(self, facts: Facts, names: Sequence[str] | None = None) -> Examination:
        """What some specialists (all: None) see, before anything is joined: what the score is computed from."""
        parts = [agent.examine(facts) for agent in specialists(names)]
        findings = [finding for part in parts for finding in part.findings]
        not_tested = [entry for part in parts for entry in part.not_tested]
        return Examination(
            tuple(sorted(findings, key=Finding.order)), tuple(sorted(not_tested, key=lambda entry: entry.id))
        )

    def joined(self, examination: Examination) -> Examination:
        """The same with consequences told in the evidence (`also`) of their cause."""
        return Examination(_joined(examination.findings), examination.not_tested)

    def propose(self, findings: Sequence[Finding], facts: Facts) -> tuple[Proposal, ...]:
        """The findings with fixes, and what every specialist would tune, as proposals `p1` on."""
        return answers(facts, [*offers(facts, findings), *self.tune(facts)])

    def tune(self, facts: Facts) -> list[Offer]:
        """What the specialists would change although nothing is wrong."""
        return [offer for agent in specialists(None) for offer in agent.tune(facts)]


def specialists(names: Sequence[str] | None) -> list[Specialist]:
    """The specialists of these names, all for None. Raises `UsageError` for a name that none has."""
    for name in names or ():
        if name not in SPECIALISTS:
            raise UsageError(f"no specialist is called {name!a}", hint=f"known: {', '.join(SPECIALISTS)}")
    return [kind() for name, kind in SPECIALISTS.items() if names is None or name in names]


def _joined(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    by_id: dict[str, list[int]] = {}
    for index, finding in enumerate(findings):
        by_id.setdefault(finding.id, []).append(index)
    swallowed: dict[int, int] = {}
    for (cause, effect), reach in _FOLLOWS.items():
        for index in by_id.get(cause, ()):
            for other in by_id.get(effect, ()):
                same = findings[index].target == findings[other].target
                if same and (reach == "*" or _share_a_record(findings[index], findings[other])):
                    swallowed.setdefault(other, index)
    result = []
    for index, finding in enumerate(findings):
        if index in swallowed:
            continue
        also = sorted({findings[other].id for other, by in swallowed.items() if by == index})
        result.append(replace(finding, evidence={**finding.evidence, "also": also}) if also else finding)
    return tuple(result)


def _share_a_record(one: Finding, two: Finding) -> bool:
    return any(row in two.evidence.get("records", ()) for row in one.evidence.get("records", ()))
