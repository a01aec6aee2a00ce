"""Proposals for a plan (`--ai-enhanced`): what the specialists would add to it, kept outside its changes. Applies nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from sophia_cli.agents.base import NO_BACKGROUND, Background, Facts
from sophia_cli.agents.orchestrator import SophiaInfrastructureOrchestrator
from sophia_cli.agents.proposals import claims
from sophia_cli.agents.redaction import masks_of
from sophia_cli.core.changes import Change
from sophia_cli.core.dns import Record, Zone
from sophia_cli.core.findings import Proposal
from sophia_cli.core.plan import Plan, applied, zone_target
from sophia_cli.core.settings import Settings


def proposals(
    settings: Settings | None,
    zones: Iterable[Zone],
    now: datetime,
    plan: Plan | None = None,
    backgrounds: Mapping[str, Background] | None = None,
) -> tuple[Proposal, ...]:
    """What would still be worth changing once the plan is done, numbered `p1` on over all zones.

    `zones` are as they were read. A proposal never touches what the plan itself changes, so that it can be added to it
    as it is; one that would show a secret (`TXT-SECRET`) is left to `analyze`, because a plan is printed and stored.
    """
    orchestrator = SophiaInfrastructureOrchestrator()
    found: list[Proposal] = []
    for zone in zones:
        target = zone_target(zone.name)
        planned = () if plan is None else plan.of(target)
        facts = Facts(applied(zone, planned), now, settings, (backgrounds or {}).get(target, NO_BACKGROUND))
        taken = {claim for change in planned for claim in claims(change)}
        masks = masks_of(facts)
        for proposal in orchestrator.propose(orchestrator.examine(facts).findings, facts):
            touched = {claim for change in proposal.changes for claim in claims(change)}
            if not touched & taken and not any(_shows(change, masks) for change in proposal.changes):
                found.append(replace(proposal, id=f"p{len(found) + 1}"))
    return tuple(found)


def _shows(change: Change, masks: frozenset[str]) -> bool:
    """Whether a change carries a text that must not be shown; the address of an A or AAAA record may be."""
    rows = [row for row in (change.before, change.after) if isinstance(row, Record) and row.type not in ("A", "AAAA")]
    return any(mask in row.value for row in rows for mask in masks)
