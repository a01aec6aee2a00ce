"""Healing: settle what was interrupted, find drift, repair what the autonomy allows, report the rest. Made for cron."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sophia_cli.core.findings import Finding
from sophia_cli.core.history import Run
from sophia_cli.core.settings import Settings
from sophia_cli.flows.apply import Ground, apply_locked
from sophia_cli.flows.deploy import remember_run
from sophia_cli.flows.drift import Fault, examine
from sophia_cli.flows.plan import Judged, Seen, assemble, judged, policy_of
from sophia_cli.flows.settle import settle_open_runs, verify_again

UNVERIFIED_FOR = timedelta(days=7)

_REPAIRED_RISKS = {"autonomous-safe": ("low", "medium"), "autonomous": ("low", "medium", "high")}

Score = Callable[[Sequence[Finding]], int]


@dataclass(frozen=True, slots=True)
class Open:
    """A finding that was not repaired, and why."""

    finding: Finding
    why: str

    def data(self) -> dict[str, Any]:
        """The public shape (contract, `sophia.heal/1`)."""
        return {"finding": self.finding.data(), "why": self.why}


@dataclass(frozen=True, slots=True)
class Healed:
    """One pass of heal."""

    findings: tuple[Finding, ...]
    repaired: tuple[Finding, ...]
    open: tuple[Open, ...]
    runs: tuple[Run, ...]
    score_before: int
    score_after: int
    dry_run: bool = False

    def data(self) -> dict[str, Any]:
        """The public shape (contract, `sophia.heal/1`)."""
        return {
            "findings": [finding.data() for finding in self.findings],
            "repaired": [finding.data() for finding in self.repaired],
            "open": [entry.data() for entry in self.open],
            "runs": [run.public() for run in self.runs],
            "score_before": self.score_before,
            "score_after": self.score_after,
            "dry_run": self.dry_run,
        }


async def heal(settings: Settings, ground: Ground, score: Score, *, dry_run: bool = False) -> Healed:
    """One pass, under the locks of all targets: a second heal or a deploy at the same time raises `Locked`."""
    async with ground.store.locks.hold(sorted(ground.targets), ground.command):
        settled = () if dry_run else await settle_open_runs(ground)
        if not dry_run:
            await _verify_late(ground)
        examined = await examine(settings, ground, remember=not dry_run)
        faults = examined.faults
        runs, repaired = await _repair(settings, examined.seen, faults, ground, dry_run=dry_run)
    findings = tuple(sorted((fault.finding for fault in faults), key=Finding.order))
    open_ = tuple(
        Open(fault.finding, _why_open(fault, settings))
        for fault in sorted(faults, key=lambda fault: fault.finding.order())
        if fault.finding not in repaired
    )
    left = [entry.finding for entry in open_]
    return Healed(findings, tuple(repaired), open_, (*settled, *runs), score(findings), score(left), dry_run)


async def _verify_late(ground: Ground) -> None:
    since = ground.clock.now() - UNVERIFIED_FOR
    for run in await ground.store.journal.runs(since=since):
        if run.outcome == "applied" and run.verified is None:
            await verify_again(run, ground)


# -- repairing ----------------------------------------------------------------------------------------------------------


async def _repair(
    settings: Settings, seen: Sequence[Seen], faults: Sequence[Fault], ground: Ground, *, dry_run: bool
) -> tuple[list[Run], list[Finding]]:
    """Apply the drift each zone's verdict allows by itself; nothing else is touched."""
    runs: list[Run] = []
    repaired: list[Finding] = []
    for one in seen:
        mine = [fault for fault in faults if fault.finding.target == one.target and _may_repair(fault, settings)]
        if not mine or dry_run or ground.guard.stop_requested():
            continue
        changes = [fault.change for fault in mine if fault.change is not None]
        plan = assemble(settings, [one], changes, [], ground.clock.now())
        found = await judged(plan, await policy_of(settings, ground.store), [one], ground.store, ground.clock.now())
        await ground.stream.say("heal.judged", target=one.target, outcome=found.verdict.decision, digest=plan.digest)
        if found.verdict.decision != "allow":
            continue
        run = await _apply(found, settings, ground)
        runs.append(run)
        if run.outcome == "applied":
            repaired += [fault.finding for fault in mine]
    return runs, repaired


async def _apply(found: Judged, settings: Settings, ground: Ground) -> Run:
    run = await apply_locked(found.plan, None, replace(ground, wait_s=min(ground.wait_s, 10.0)))
    await remember_run(run, found.seen, settings, ground.store)
    return run


def _may_repair(fault: Fault, settings: Settings) -> bool:
    change = fault.change
    risks = _REPAIRED_RISKS.get(settings.intelligence.autonomy, ())
    return change is not None and change.source == "drift" and change.reversible and change.risk in risks


def _why_open(fault: Fault, settings: Settings) -> str:
    if fault.change is None:
        return "unfixable"
    return "over limit" if _may_repair(fault, settings) else "needs approval"
