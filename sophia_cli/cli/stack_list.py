"""`sophia stack list`: the environment's stacks, which of them exist, and when they were last updated."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import note, only

if TYPE_CHECKING:
    from sophia_cli.cli.session import Session
    from sophia_cli.core.settings import Stack
    from sophia_cli.output.stacks import Stack as Shown


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "list")
    def list_(common: Common) -> int:
        """List the environment's stacks: which exist, what they hold, their last update."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_list(common))


async def _list(common: Common) -> int:
    from sophia_cli.cli.stack_views import printed
    from sophia_cli.cli.stacking import stacks_alone
    from sophia_cli.cli.stacks import has_cli
    from sophia_cli.output import stacks as forms

    async with stacks_alone(common, "stack list") as found:
        stacks = found.settings.pulumi.stacks
        if stacks and not has_cli():
            note(common, "whether they exist cannot be told: the pulumi command is not here (sophia doctor)")
        entries = [await _entry(found, stack) for stack in stacks]
        return printed(common, entries, forms.listed)


async def _entry(found: Session, stack: Stack) -> Shown:
    from sophia_cli.cli.stack_views import pasts
    from sophia_cli.cli.stacks import has_cli, stack_target
    from sophia_cli.core.errors import SophiaError
    from sophia_cli.core.stacks import StackState
    from sophia_cli.output.stacks import Stack as Shown

    shown = Shown(stack.environment, f"stack:{stack.name}", stack.expires, with_resources=False)
    if not has_cli():
        return Shown(stack.environment, shown.target, stack.expires, problem="unknown: the pulumi command is not here")
    try:
        target = stack_target(found, stack)
        state = (await target.read()).content
        assert isinstance(state, StackState)
        updates = pasts(await target.history(1)) if state.exists else ()
    except SophiaError as exc:
        return Shown(stack.environment, shown.target, stack.expires, problem=exc.message)
    return Shown(stack.environment, target.id, stack.expires, state, updates, with_resources=False)
