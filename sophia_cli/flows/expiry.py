"""Expired environments: reported by heal, and taken down where the autonomy lets it and nothing is lost by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sophia_cli.core.errors import Refused, SophiaError
from sophia_cli.core.findings import Finding
from sophia_cli.core.history import Run, timestamp
from sophia_cli.core.ports import EnvironmentFile, StackPort
from sophia_cli.core.risk import critical_rule
from sophia_cli.core.rotation import Seals
from sophia_cli.core.settings import Settings, Stack
from sophia_cli.flows.apply import apply_locked
from sophia_cli.flows.deploy import remember_run
from sophia_cli.flows.desk import Desk
from sophia_cli.flows.environments import forget_empty, plan_destruction
from sophia_cli.flows.ground import Ground
from sophia_cli.flows.links import target_of
from sophia_cli.flows.mending import Mended
from sophia_cli.flows.plan import Judged

REMOVING = "autonomous"
SOURCE = "rule:ENV-EXPIRED"


async def end_expired(
    settings: Settings, ground: Ground, file: EnvironmentFile | None, seals: Seals | None, *, dry_run: bool
) -> Mended:
    """Report the environments whose end has come; under autonomy `autonomous` take down those that lose nothing by it.

    A person set the end, and with it agreed to the removal of the stack as such. A resource that is protected or holds
    data, or anything else that is critical, still waits for a person.
    """
    now = ground.clock.now()
    findings: list[Finding] = []
    repaired: list[Finding] = []
    open_: list[tuple[Finding, str]] = []
    runs: list[Run] = []
    for stack in settings.pulumi.stacks:
        if stack.expires is None or stack.expires > now:
            continue
        finding = _finding(stack, target_of(stack.name, settings.pulumi, ground.targets))
        findings.append(finding)
        why: str | None = "needs approval"
        if settings.intelligence.autonomy == REMOVING and not dry_run and not ground.guard.stop_requested():
            try:
                why, run = await _end(stack, settings, ground, file, seals)
            except SophiaError as exc:
                why, run = exc.message, None
            runs += [] if run is None else [run]
        if why is None:
            repaired.append(finding)
        else:
            open_.append((finding, why))
    return Mended(tuple(findings), tuple(repaired), tuple(open_), tuple(runs))


async def _end(
    stack: Stack, settings: Settings, ground: Ground, file: EnvironmentFile | None, seals: Seals | None
) -> tuple[str | None, Run | None]:
    """Why an environment could not be taken down, or None; and the run that did it."""

    async def standing(wanted: Stack, config: Mapping[str, Any]) -> StackPort:
        port = ground.targets.get(target_of(wanted.name, settings.pulumi, ground.targets) or "")
        if not isinstance(port, StackPort):
            raise Refused(f"stack {wanted.name} was left out", hint="sophia doctor")
        return port

    desk = Desk(settings, file, ground.store, standing, ground.clock.now(), ground.targets, seals)
    found = await plan_destruction(stack, desk, SOURCE)
    if found.verdict.denials():
        return "over limit", None
    if _loses_something(found):
        return "needs approval", None
    await ground.stream.say("heal.judged", outcome="allow", digest=found.plan.digest, expired=stack.name)
    run = await apply_locked(found.plan, None, ground)
    await remember_run(run, found.seen, settings, ground.store)
    if run.outcome != "applied":
        return f"taking it down ended as {run.outcome}", run
    target = target_of(stack.name, settings.pulumi, ground.targets)
    problems = await forget_empty([target] if target else [], ground)
    return (problems[0] if problems else None), run


def _loses_something(found: Judged) -> bool:
    return any(
        not change.reversible
        or critical_rule(change, found.plan.zones.get(change.target)) not in (None, "stack-destroyed")
        for change in found.plan.changes
    )


def _finding(stack: Stack, target: str | None) -> Finding:
    assert stack.expires is not None
    return Finding(
        id="ENV-EXPIRED",
        agent="cost",
        severity="medium",
        target=target or f"stack:{stack.name}",
        title=f"the environment {stack.environment} expired at {timestamp(stack.expires)} and is still there",
        evidence={"environment": stack.environment, "expires": timestamp(stack.expires)},
        help=f"sophia stack destroy {stack.environment}, or give it more time: "
        f"sophia stack expire --at TIME {stack.environment}",
        source=f"pulumi.stacks.{stack.environment}.expires of the environment",
        no_fix="an environment is taken down by a person, or by heal under autonomy autonomous",
    )
