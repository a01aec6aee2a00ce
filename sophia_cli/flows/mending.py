"""Stacks in heal: what drifted by resource and property, and what of it the autonomy lets go back. Adopts nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sophia_cli.core.changes import Change
from sophia_cli.core.errors import SophiaError
from sophia_cli.core.findings import Finding, Severity
from sophia_cli.core.history import Run
from sophia_cli.core.ignores import sort_out
from sophia_cli.core.ports import Part, StackPort
from sophia_cli.core.risk import risk_of
from sophia_cli.core.settings import Settings
from sophia_cli.core.stacks import Resource
from sophia_cli.flows.apply import apply_locked
from sophia_cli.flows.ground import Ground
from sophia_cli.flows.plan import Judged, assemble, judged, policy_of

REPAIRED_RISKS: Mapping[str, tuple[str, ...]] = {
    "autonomous-safe": ("low", "medium"),
    "autonomous": ("low", "medium", "high"),
}
"""The risks of drift that each level of autonomy puts back by itself (contract, what heal may do)."""

_SEVERITY: dict[str, Severity] = {"low": "low", "medium": "medium", "high": "high", "critical": "critical"}


@dataclass(frozen=True, slots=True)
class Mended:
    """What heal found of one stack: its findings, those that were put back, and why the others were not."""

    findings: tuple[Finding, ...] = ()
    repaired: tuple[Finding, ...] = ()
    open: tuple[tuple[Finding, str], ...] = ()
    runs: tuple[Run, ...] = ()


async def mend(port: StackPort, settings: Settings, ground: Ground, *, dry_run: bool) -> Mended:
    """Find one stack's drift and put back what policy and autonomy allow; a stack that cannot be read is a finding."""
    try:
        drift = await port.drift()
    except SophiaError as exc:
        return _left_open((_unreadable(port.id, exc),), (), "unfixable")
    by_urn = {_urn(change): _findings(change) for change in drift.changes if change.kind == "stack.resource"}
    every = tuple(finding for findings in by_urn.values() for finding in findings)
    left = sort_out(every, settings.ignores, port.id, ground.clock.now().date()).open
    by_urn = {urn: [one for one in findings if one in left] for urn, findings in by_urn.items()}
    if not left:
        return Mended()
    restore = await port.propose_restore([urn for urn, findings in by_urn.items() if findings])
    allowed = REPAIRED_RISKS.get(settings.intelligence.autonomy, ())
    urns = sorted({_urn(change) for change in restore.changes if risk_of(change, None) in allowed} - {""})
    mending = [finding for urn in urns for finding in by_urn.get(urn, ())]
    if not mending or dry_run or ground.guard.stop_requested():
        return _left_open(left, (), "needs approval")
    part = restore if len(urns) == len({_urn(one) for one in restore.changes}) else await port.propose_restore(urns)
    found = await judged_part(part, settings, ground)
    await ground.stream.say("heal.judged", target=port.id, outcome=found.verdict.decision, digest=found.plan.digest)
    if found.verdict.decision != "allow":
        return _left_open(left, (), "over limit" if found.verdict.decision == "deny" else "needs approval")
    run = await apply_locked(found.plan, None, ground)
    repaired = tuple(mending) if run.outcome == "applied" else ()
    return replace(_left_open(left, repaired, "needs approval"), runs=(run,))


def _left_open(findings: Sequence[Finding], repaired: Sequence[Finding], why: str) -> Mended:
    open_ = tuple((one, why) for one in findings if one not in repaired)
    return Mended(tuple(findings), tuple(repaired), open_)


async def judged_part(part: Part, settings: Settings, ground: Ground, source: str | None = None) -> Judged:
    """One target's part as a judged plan of its own; `source` replaces that of its changes."""
    now = ground.clock.now()
    changes = [change if source is None else replace(change, source=source) for change in part.changes]
    plan = assemble(settings, [], changes, [], now, parts=[part])
    return await judged(plan, await policy_of(settings, ground.store), [], ground.store, now)


def _urn(change: Change) -> str:
    resource = change.after if change.after is not None else change.before
    return resource.urn if isinstance(resource, Resource) else ""


def _findings(change: Change) -> list[Finding]:
    """One finding a property; a resource that is gone is one finding."""
    return [_finding(change, *one) for one in _properties(change)]


def _properties(change: Change) -> Iterator[tuple[str, Any, Any]]:
    recorded, there = (
        dict(side.properties) if isinstance(side, Resource) else None for side in (change.before, change.after)
    )
    if recorded is None or there is None:
        yield "", recorded, there
        return
    for path in sorted({*recorded, *there}):
        yield path, recorded.get(path), there.get(path)


def _finding(change: Change, path: str, recorded: Any, there: Any) -> Finding:
    resource = change.before if isinstance(change.before, Resource) else change.after
    assert isinstance(resource, Resource)
    what = f"{resource.type} {resource.name}"
    return Finding(
        id="STACK-DRIFT",
        agent="security",
        severity=_SEVERITY[risk_of(replace(change, action="update", source="drift"), None)],
        target=change.target,
        title=f"{what}: {path} is not as last applied" if path else f"{what} is gone",
        evidence={"urn": resource.urn, "property": path, "recorded": recorded, "there": there},
        help="sophia heal puts it back where the autonomy allows; sophia stack adopt records it as it is",
        source="sophia: the engine's refresh against the stack's state",
    )


def _unreadable(target: str, exc: SophiaError) -> Finding:
    hint = exc.hint or "run the command again"
    return Finding(
        "STACK-UNREADABLE", "security", "high", target, f"cannot be read: {exc.message}", {"error": exc.kind}, hint
    )


def only(changes: Sequence[Change], names: Sequence[str]) -> tuple[str, ...]:
    """The URNs of the changed resources that `names` mean, by URN or by their own name; all of them without names."""
    found = [side for change in changes for side in (change.after or change.before,) if isinstance(side, Resource)]
    return tuple(dict.fromkeys(one.urn for one in found if not names or one.urn in names or one.name in names))
