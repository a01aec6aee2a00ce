"""Healing: settle what was interrupted, find drift, repair what the autonomy allows, report the rest. Made for cron."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sophia_cli.core.canonical import digest_of
from sophia_cli.core.changes import Change
from sophia_cli.core.dns import Record
from sophia_cli.core.findings import Finding
from sophia_cli.core.history import Run
from sophia_cli.core.ports import EnvironmentFile, StackPort
from sophia_cli.core.rotation import Seals
from sophia_cli.core.settings import Settings
from sophia_cli.flows.apply import apply_locked
from sophia_cli.flows.deploy import remember_run
from sophia_cli.flows.drift import Fault, examine
from sophia_cli.flows.expiry import end_expired
from sophia_cli.flows.ground import Ground
from sophia_cli.flows.links import with_current_outputs
from sophia_cli.flows.mending import REPAIRED_RISKS, mend
from sophia_cli.flows.plan import Judged, Seen, assemble, judged, policy_of
from sophia_cli.flows.settle import settle_open_runs, verify_again
from sophia_cli.flows.timed import end_due

UNVERIFIED_FOR = timedelta(days=7)

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


async def heal(
    settings: Settings,
    ground: Ground,
    score: Score,
    *,
    dry_run: bool = False,
    file: EnvironmentFile | None = None,
    seals: Seals | None = None,
) -> Healed:
    """One pass, under the locks of all targets: a second heal or a deploy at the same time raises `Locked`."""
    async with ground.store.locks.hold(sorted(ground.targets), ground.command):
        settled = () if dry_run else await settle_open_runs(ground)
        if not dry_run:
            await _verify_late(ground)
        ended = await end_due(settings, ground, file, dry_run=dry_run)
        wanted, settings = settings, await with_current_outputs(settings, ground.targets)
        examined = await examine(settings, ground, remember=not dry_run)
        faults = examined.faults
        if not dry_run:
            await _note_drift(faults, ground)
        runs, repaired = await _repair(settings, examined.seen, faults, ground, dry_run=dry_run)
        stacks = [port for _, port in sorted(ground.targets.items()) if isinstance(port, StackPort)]
        mended = [await mend(port, settings, ground, dry_run=dry_run) for port in stacks]
        # Last, for what it takes down is wanted by the settings that all of the above was held against.
        mended.append(await end_expired(wanted, ground, file, seals, dry_run=dry_run))
    beside = [*ended.open, *(pair for one in mended for pair in one.open)]
    overdue = [finding for finding, _ in ended.open]
    findings = [fault.finding for fault in faults] + [one for found in mended for one in found.findings] + overdue
    repaired += [finding for one in mended for finding in one.repaired]
    open_ = [Open(fault.finding, _why_open(fault, settings)) for fault in faults if fault.finding not in repaired]
    open_ += [Open(finding, why) for finding, why in beside]
    open_.sort(key=lambda entry: entry.finding.order())
    findings.sort(key=Finding.order)
    left = [entry.finding for entry in open_]
    runs = [*settled, *ended.runs, *runs, *(run for one in mended for run in one.runs)]
    return Healed(tuple(findings), tuple(repaired), tuple(open_), tuple(runs), score(findings), score(left), dry_run)


async def _note_drift(faults: Sequence[Fault], ground: Ground) -> None:
    """Put drift into the audit log once for what it is: records that somebody else changed."""
    drifted: dict[str, list[Change]] = {}
    for fault in faults:
        if fault.change is not None and fault.change.source == "drift":
            drifted.setdefault(fault.finding.target, []).append(fault.change)
    events = await ground.store.audit.events() if drifted else ()
    for target, changes in sorted(drifted.items()):
        drift = digest_of([change.stored() for change in changes])
        noted = next((one for one in reversed(events) if (one.action, one.target) == ("heal.drift", target)), None)
        if noted is None or noted.detail.get("drift") != drift:
            rows = [change.before or change.after for change in changes]
            records = [f"{row.type} {row.name}" for row in rows if isinstance(row, Record)]
            await ground.stream.say("heal.drift", target=target, drift=drift, records=records[:10])


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
    risks = REPAIRED_RISKS.get(settings.intelligence.autonomy, ())
    return change is not None and change.source == "drift" and change.reversible and change.risk in risks


def _why_open(fault: Fault, settings: Settings) -> str:
    if fault.change is None:
        return "unfixable"
    return "over limit" if _may_repair(fault, settings) else "needs approval"
