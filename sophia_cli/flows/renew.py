"""What heal does for a certificate: finish and clean up orders, renew what a person agreed to, report the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from sophia_cli.core.certificates import CHALLENGE_SOURCE, CertificateState, Installed
from sophia_cli.core.changes import Change
from sophia_cli.core.errors import SophiaError
from sophia_cli.core.findings import Finding, Severity
from sophia_cli.core.history import Run
from sophia_cli.core.ports import Part
from sophia_cli.core.renewal import Lifetime
from sophia_cli.flows.apply import apply_locked
from sophia_cli.flows.certificate import CertificateTarget, state_in
from sophia_cli.flows.challenge import sweep
from sophia_cli.flows.ground import Ground
from sophia_cli.flows.issue import abandon, finish
from sophia_cli.flows.plan import assemble, judged, policy_of

Why = Literal["needs approval", "unfixable", "over limit"]
WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Renewed:
    """What one pass found and did for a certificate. `notes` are for the person who looks on."""

    findings: tuple[Finding, ...] = ()
    repaired: tuple[Finding, ...] = ()
    open: tuple[tuple[Finding, Why], ...] = ()
    runs: tuple[Run, ...] = ()
    notes: tuple[str, ...] = ()


async def renew(
    targets: Sequence[CertificateTarget], every: Sequence[CertificateTarget], *, dry_run: bool = False
) -> Renewed:
    """One pass over some certificates of an environment, each under its own lock; zones are locked only while written.

    `observe` finds and reports; every other autonomy also cleans up, and renews what a person agreed to (contract, `heal`).
    `every` are all certificates of the environment: the challenge records of those under way are left alone.
    """
    passes = [await _pass(target, dry_run=dry_run) for target in targets]
    swept = await _swept(every) if any(_acts(target, dry_run) for target in targets) else ()
    return Renewed(
        tuple(finding for one in passes for finding in one.findings),
        tuple(finding for one in passes for finding in one.repaired),
        tuple(entry for one in passes for entry in one.open),
        tuple(run for one in passes for run in one.runs),
        (*(line for one in passes for line in one.notes), *swept),
    )


def _acts(target: CertificateTarget, dry_run: bool) -> bool:
    return not dry_run and target.issuer.settings.intelligence.autonomy != "observe"


async def _pass(target: CertificateTarget, *, dry_run: bool) -> Renewed:
    ground, acts = target.issuer.ground(), _acts(target, dry_run)
    async with ground.store.locks.hold([target.id], ground.command):
        notes = await _cleaned(target) if acts else ()
        found = await _renewed(target, ground, acts=acts)
        return replace(found, notes=(*notes, *found.notes))


# -- cleaning up --------------------------------------------------------------------------------------------------------


async def _cleaned(target: CertificateTarget) -> tuple[str, ...]:
    """Finish what an interrupted run left: the records and the hook of an installed one, an order nobody wants."""
    issuer = target.issuer
    try:
        notes = await finish(target.name, issuer)
        pending = await issuer.certificates.pending(target.name)
        if pending is not None and pending.installed is None and not await _is_wanted(target):
            await abandon(target.name, issuer)
    except SophiaError as exc:
        return (f"{target.id}: not cleaned up yet: {exc.message}",)
    return notes


async def _swept(every: Sequence[CertificateTarget]) -> tuple[str, ...]:
    """Remove challenge records of ours that no order needs, under the locks of all certificates: an order that another
    run, or another machine, is proving now holds one of them, and its records are then left to the next pass.
    """
    issuer, ground = every[0].issuer, every[0].issuer.ground()
    zones = [zone.name for zone in issuer.settings.zones if await _has_ours(zone.name, every[0], ground)]
    if not zones:
        return ()
    try:
        async with ground.store.locks.hold([target.id for target in every], ground.command):
            pending = [await issuer.certificates.pending(target.name) for target in every]
            await sweep(zones, [record for one in pending if one is not None for record in one.records], issuer)
    except SophiaError as exc:
        return (f"challenge records are not cleaned up yet: {exc.message}",)
    return ()


async def _is_wanted(target: CertificateTarget) -> bool:
    """Whether the order under way is still what this pass would order."""
    pending = await target.issuer.certificates.pending(target.name)
    changes = (await target.propose()).changes
    return pending is not None and any(
        change.kind in ("cert.issue", "cert.renew") and pending.order.asks_for_same(target.order) for change in changes
    )


async def _has_ours(zone: str, target: CertificateTarget, ground: Ground) -> bool:
    """Whether a challenge record of ours may be in a zone, told without asking the provider."""
    known = await ground.store.ownerships.load(target.issuer.settings.environment, f"dns:{zone}")
    return f"dns:{zone}" in ground.targets and any(entry.by == CHALLENGE_SOURCE for entry in known.entries)


# -- renewing -----------------------------------------------------------------------------------------------------------


async def _renewed(target: CertificateTarget, ground: Ground, *, acts: bool) -> Renewed:
    part = await target.propose()
    state = state_in(part.snapshot)
    pending = await target.issuer.certificates.pending(target.name)
    change = next(iter(part.changes), None)
    if change is None:
        return await _held_back(part, state, target)
    finding = _finding(change, state, part.snapshot.taken_at, target)
    taken_up = pending is not None and pending.approved is not None and pending.order.asks_for_same(target.order)
    verdict = await _judged(part, change, target, ground)
    if change.kind == "cert.issue" and taken_up and not verdict.denied:
        verdict = replace(verdict, allowed=True)  # a person agreed to this very order; it was interrupted
    if not acts or not verdict.allowed:
        return Renewed((finding,), (), ((finding, "over limit" if verdict.denied else "needs approval"),))
    plan = assemble(target.issuer.settings, [], [change], [], part.snapshot.taken_at, parts=[part])
    run = await apply_locked(plan, None, replace(ground, wait_s=min(ground.wait_s, WAIT_S)))
    finding = replace(finding, title=finding.title + ", automatically renewing")
    if run.outcome == "applied":
        return Renewed((finding,), (finding,), (), (run,))
    message = "; ".join(leg.message for leg in run.legs if leg.message)
    return Renewed((finding,), (), ((finding, "unfixable"),), (run,), (f"{target.id}: {message}",))


async def _held_back(part: Part, state: CertificateState, target: CertificateTarget) -> Renewed:
    """Nothing to do now; but a certificate whose renewal failed and waits for its next attempt stays a finding."""
    there = state.installed
    if there is None:
        return Renewed()
    failures = (await target.issuer.renewals.schedule(target.name, there.serial)).failures
    if not failures:
        return Renewed()
    reason = "; ".join(part.notes) or f"{failures} attempts failed"
    finding = _finding(target.renewal(state, reason), state, part.snapshot.taken_at, target)
    return Renewed((finding,), (), ((finding, "unfixable"),))


@dataclass(frozen=True, slots=True)
class _Answer:
    allowed: bool
    denied: bool


async def _judged(part: Part, change: Change, target: CertificateTarget, ground: Ground) -> _Answer:
    settings, now = target.issuer.settings, part.snapshot.taken_at
    plan = assemble(settings, [], [change], [], now, parts=[part])
    found = await judged(plan, await policy_of(settings, ground.store), [], ground.store, now)
    await ground.stream.say("heal.judged", target=target.id, outcome=found.verdict.decision, digest=plan.digest)
    return _Answer(found.verdict.decision == "allow", found.verdict.decision == "deny")


def _finding(change: Change, state: CertificateState, now: datetime, target: CertificateTarget) -> Finding:
    there = state.installed
    if there is None or change.kind == "cert.issue":
        return Finding(
            "CERT-PENDING",
            "ssl",
            "low" if there is None else "medium",
            target.id,
            change.reason.partition(";")[0],
            {"wanted": target.order.data()},
            "run: sophia cert issue",
            "sophia: the environment against what is installed",
        )
    days = max(0, (there.not_after - now).days)
    title = f"SSL certificate expiring in {days} {'day' if days == 1 else 'days'}"
    if there.not_after <= now:
        title = f"SSL certificate expired on {there.not_after:%Y-%m-%d}"
    return Finding(
        "CERT-DUE",
        "ssl",
        _severity(there, now, target.issuer.wake),
        target.id,
        title,
        {"serial": there.serial, "not_after": there.not_after.isoformat(), "names": list(there.names)},
        f"{change.reason}; run: sophia cert renew",
        "RFC 9773 4.2",
    )


def _severity(there: Installed, now: datetime, wake: timedelta | None) -> Severity:
    lifetime = Lifetime(there.not_before, there.not_after)
    return "critical" if now >= there.not_after else "high" if now >= lifetime.floor(wake) else "medium"
