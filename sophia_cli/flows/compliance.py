"""Gathering evidence: what the state can show about changes, approvals, snapshots and the log. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sophia_cli.checks.registry import CHECKS
from sophia_cli.core.canonical import digest_of
from sophia_cli.core.changes import SECRET
from sophia_cli.core.compliance import Assessment, Evidence, Framework, assess
from sophia_cli.core.dns import Zone
from sophia_cli.core.history import AuditEvent, Run, timestamp
from sophia_cli.core.leaks import secrets_in
from sophia_cli.core.ports import Store
from sophia_cli.core.secrets_inventory import Inventory
from sophia_cli.core.settings import Settings
from sophia_cli.flows.threats import look

SNAPSHOTS = 1000  # of each target, the newest


@dataclass(frozen=True, slots=True)
class Gathered:
    """The evidence at hand, and the files of the bundle (JSON data by name) that hold it."""

    evidence: tuple[Evidence, ...] = ()
    files: Mapping[str, Any] | None = None
    since: str | None = None
    until: str | None = None


def assessed(framework: Framework, analysis: Mapping[str, Any], gathered: Gathered) -> Assessment:
    """The framework held against an analysis and what was gathered."""
    known = [check.rule.id for check in CHECKS]
    return assess(framework, analysis, known, gathered.evidence, (gathered.since, gathered.until))


async def gather(store: Store, settings: Settings, targets: Sequence[str]) -> Gathered:
    """Everything the state can show of these targets; no value of a secret, and the same state gives the same bytes."""
    head, problems = await store.audit.verify()
    log, threats = await look(store)
    runs = [
        run for run in log.runs if any(leg.target in targets or leg.target.startswith("config:") for leg in run.legs)
    ]
    approvals = [one.data() for run in runs for one in await store.approvals.of_plan(run.plan)]
    snapshots = await _snapshots(store, targets)
    policy = {
        "environment": settings.environment,
        "autonomy": settings.intelligence.autonomy,
        "limits": asdict(settings.intelligence.limits),
        "frozen": sorted(await store.freezes.patterns()),
        "secret_rotation_days": settings.security.secret_rotation_days,
    }
    drift = [event for event in log.events if event.action == "heal.drift"]
    audit = {
        "ok": not problems,
        "problems": list(problems),
        "head": {"count": head.count, "hash": head.hash},
        "events": [event.data() for event in log.events],
    }
    files = {
        "audit.json": audit,
        "runs.json": [run.data() for run in runs],
        "approvals.json": approvals,
        "snapshots.json": snapshots,
        "policy.json": policy,
        "threats.json": [finding.data() for finding in threats],
    }
    evidence = _evidence(log.events, runs, len(approvals), len(snapshots), problems, policy, drift)
    grave = [one for one in threats if one.severity in ("medium", "high", "critical")]
    said = f"{len(threats)} findings of the threat rules" + (" (still learning)" if log.is_learning else "")
    if log.events:
        evidence.append(Evidence("threats", said, "threats.json", bool(grave)))
    times = [timestamp(event.time)[:10] for event in log.events]
    return Gathered(tuple(evidence), scrubbed(files), times[0] if times else None, times[-1] if times else None)


def with_secrets(gathered: Gathered, inventory: Inventory) -> Gathered:
    """The same with the inventory of secrets, which knows places and ages and no value."""
    data = inventory.data()
    count = data["summary"]
    said = f"{count['secrets']} secrets, {count['due']} due for rotation, {count['exposed']} lying open"
    one = Evidence("secrets", said, "secrets.json", bool(count["due"] or count["exposed"]))
    return replace(gathered, evidence=(*gathered.evidence, one), files={**(gathered.files or {}), "secrets.json": data})


def _evidence(
    events: Sequence[AuditEvent],
    runs: Sequence[Run],
    approvals: int,
    snapshots: int,
    problems: Sequence[str],
    policy: Mapping[str, Any],
    drift: Sequence[AuditEvent],
) -> list[Evidence]:
    """One entry for each kind that is there. An empty log is no evidence: what was never recorded is not assessed."""
    limits = f"autonomy {policy['autonomy']}, {len(policy['frozen'])} targets frozen"
    found = [Evidence("policy", limits, "policy.json"), Evidence("analysis", "this analysis", "analysis.json")]
    if events or problems:
        chain = "its chain holds" if not problems else f"its chain does not hold: {problems[0]}"
        found.append(Evidence("audit", f"{len(events)} events, {chain}", "audit.json", bool(problems)))
    if runs:
        proven = sum(run.verified is True for run in runs)
        ends = {run.outcome for run in runs}
        said = f"{len(runs)} runs, {proven} verified from outside; ends: {', '.join(sorted(ends))}"
        found.append(Evidence("runs", said, "runs.json", bool(ends & {"partial", "unknown"})))
        found.append(Evidence("approvals", f"{approvals} recorded approvals", "approvals.json"))
    if snapshots:
        found.append(Evidence("snapshots", f"{snapshots} snapshots of zones", "snapshots.json"))
    if any(event.action.startswith("heal") for event in events) or drift:
        found.append(Evidence("drift", f"drift seen {len(drift)} times", "audit.json", bool(drift)))
    return found


async def _snapshots(store: Store, targets: Sequence[str]) -> list[dict[str, Any]]:
    listed = []
    for target in sorted(targets):
        for one in await store.snapshots.recent(target, SNAPSHOTS):
            rows = len(one.content.records) if isinstance(one.content, Zone) else None
            listed.append(
                {
                    "target": target,
                    "taken_at": timestamp(one.taken_at),
                    "digest": one.digest,
                    "complete": one.complete,
                    "records": rows,
                }
            )
    return sorted(listed, key=lambda entry: (entry["target"], entry["taken_at"], entry["digest"]))


def scrubbed(data: Any) -> Any:
    """JSON data in which everything that looks like a token is replaced; records in the journal may have held one."""
    if isinstance(data, str):
        for _, token in secrets_in(data):
            data = data.replace(token, SECRET)
        return data
    if isinstance(data, Mapping):
        return {str(key): scrubbed(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [scrubbed(value) for value in data]
    return data


def manifest(files: Mapping[str, bytes], hashes: Mapping[str, str], assessment: Assessment) -> dict[str, Any]:
    """What a bundle holds: every file with its size and SHA-256, and the digest of that list."""
    listed = [{"file": name, "bytes": len(files[name]), "sha256": hashes[name]} for name in sorted(files)]
    return {
        "framework": assessment.framework.name,
        "version": assessment.framework.version,
        "targets": list(assessment.targets),
        "period": {"since": assessment.since, "until": assessment.until},
        "files": listed,
        "digest": digest_of(listed),
    }
