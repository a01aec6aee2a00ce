"""Stacks of an environment as targets: which one a command means, and what it is made from. Runs no engine yet."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sophia_cli.core.errors import UsageError
from sophia_cli.core.settings import Settings, Stack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sophia_cli.cli.session import Session
    from sophia_cli.core.history import Run
    from sophia_cli.core.ports import StackPort
    from sophia_cli.flows.desk import Desk, Restack
    from sophia_cli.flows.ground import Ground
    from sophia_cli.providers.pulumi.target import StackTarget


def chosen_stack(settings: Settings, named: str | None) -> Stack | None:
    """The stack a command means: the named one, else that of this environment, else the only one; None when none is.

    Raises `UsageError` for a name that no stack of the environment has.
    """
    stacks = settings.pulumi.stacks
    wanted = (named,) if named else (settings.stack, settings.environment)
    found = next((one for name in wanted for one in stacks if name in (one.environment, one.name)), None)
    if found is None and named and stacks:
        known = ", ".join(one.environment for one in stacks)
        raise UsageError(f"--stack {named}: this environment has no such stack", hint=f"it has: {known}")
    return found or (stacks[0] if len(stacks) == 1 else None)


def add_stacks(found: Session) -> None:
    """Make the stack of this command a target, else all that the environment has; or say why they are left out."""
    from sophia_cli.cli.printing import note

    one = chosen_stack(found.settings, found.common.stack)
    stacks = found.settings.pulumi.stacks if one is None else (one,)
    if not has_cli():
        if not found.command.startswith("stack "):  # these say themselves what keeps them from their stack
            names = ", ".join(stack.name for stack in stacks)
            note(found.common, f"stack {names} is left out: the pulumi command is not here (sophia doctor)")
        return
    patterns = found.common.target or ()
    for stack in stacks:
        target = stack_target(found, stack)
        if one is not None:
            found.stack = target
        if not patterns or any(_matches(target.id, pattern) for pattern in patterns):
            found.targets[target.id] = target


def stack_target(found: Session, stack: Stack, config: Mapping[str, Any] | None = None) -> StackTarget:
    """The target of one stack; `config` is laid over what the environment gives it."""
    from pydantic import SecretStr

    from sophia_cli.esc.settings import stack_inputs
    from sophia_cli.providers.pulumi.connect import Given, connect
    from sophia_cli.store.directory import replace_text

    values, variables = ({}, {}) if found.environment is None else stack_inputs(found.environment)
    token = os.environ.get("PULUMI_ACCESS_TOKEN")
    given = Given(
        base=Path(found.settings.writable).absolute().parent if found.settings.writable else Path.cwd(),
        state=found.state,
        process=os.environ,
        config=values,
        variables=variables,
        token=SecretStr(token) if token else None,
        message=f"sophia {found.command}",
    )
    own = replace(stack, config={**stack.config, **(config or {})})
    return connect(found.settings.pulumi, own, given, found.clock, replace_text, on_step=found.on_step)


def restacker(found: Session) -> Restack:
    """Stack targets made anew with other configuration; each takes the place of the one the command had."""

    async def restack(stack: Stack, config: Mapping[str, Any]) -> StackPort:
        target = stack_target(found, stack, config)
        found.targets[target.id] = target
        return target

    return restack


async def with_stacks_of_runs(found: Session, ground: Ground, *, due: bool = False) -> Ground:
    """The ground with the stacks that interrupted runs wrote, whichever one this command is about.

    With `due` also those of timed changes whose end has come, and of environments that have expired.
    """
    from sophia_cli.flows.environments import stack_of

    now, pulumi = found.clock.now(), found.settings.pulumi
    if not pulumi.stacks:
        return ground
    runs = list(await found.store.journal.open_runs())
    expired: list[Stack] = []
    if due:
        runs += [run for run in await found.store.journal.runs() if run.ends is not None and run.ends <= now]
        expired = [stack for stack in pulumi.stacks if stack.expires is not None and stack.expires <= now]
    names = {leg.target for run in runs for leg in run.legs if leg.target.startswith("stack:")} - ground.targets.keys()
    if not (names or expired) or not has_cli():
        return ground
    ports = [stack_target(found, stack) for stack in [*expired, *(stack_of(name, pulumi) for name in sorted(names))]]
    return replace(ground, targets={**{port.id: port for port in ports}, **ground.targets})


def add_stacks_of(found: Session, run: Run) -> None:
    """Make the stacks that a run wrote targets of this command, whichever one it would be about."""
    from sophia_cli.flows.environments import stack_of

    names = {leg.target for leg in run.legs if leg.target.startswith("stack:")} - found.targets.keys()
    if names and found.settings.pulumi.stacks and has_cli():
        for name in sorted(names):
            target = stack_target(found, stack_of(name, found.settings.pulumi))
            found.targets[target.id] = target


def needed(found: Session) -> StackTarget:
    """The stack of this command. Raises what keeps it from being one: no stack, several, or no CLI."""
    if found.stack is not None:
        return found.stack
    stack = chosen_stack(found.settings, found.common.stack)
    if stack is None:
        known = ", ".join(one.environment for one in found.settings.pulumi.stacks)
        hint = f"name one of {known} with --stack" if known else "add pulumi.stacks to it"
        raise UsageError(f"the environment {found.settings.environment} has no one stack", hint=hint)
    from sophia_cli.providers.pulumi.explain import Place, missing_cli

    raise missing_cli(Place(stack.name, found.settings.pulumi.work_dir or ".", found.settings.pulumi.backend or ""))


def desk_of(found: Session) -> Desk:
    """What a plan about whole stacks is made from; without the engine's command it cannot reach any stack."""
    from sophia_cli.flows.desk import Desk
    from sophia_cli.flows.plan import parsed_overrides

    return Desk(
        settings=found.settings,
        file=found.file,
        store=found.store,
        restack=restacker(found) if has_cli() else None,
        now=found.clock.now(),
        readers=found.targets,
        seals=found.seals,
        overrides=parsed_overrides(found.common.override or ()),
    )


def has_cli() -> bool:
    """Whether the engine's command is on this machine."""
    from sophia_cli.providers.pulumi.process import found_cli

    return found_cli(os.environ) is not None


def _matches(target: str, pattern: str) -> bool:
    from fnmatch import fnmatchcase

    return fnmatchcase(target, pattern)
