"""The orchestrator: runs the specialists over one set of facts and joins what they say. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from sophia_cli.agents.base import Examination, Specialist
from sophia_cli.agents.cost import SophiaCostOptimizationAgent
from sophia_cli.agents.dns import SophiaDNSIntelligenceAgent
from sophia_cli.agents.performance import SophiaPerformanceAgent
from sophia_cli.agents.proposals import Offer, answers, offers
from sophia_cli.agents.security import SophiaSecurityAgent
from sophia_cli.agents.ssl import SophiaSSLOptimizationAgent
from sophia_cli.agents.stories import joined
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
        """The same with consequences told in the evidence (`also`, `story`) of their cause."""
        return Examination(joined(examination.findings), examination.not_tested)

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
