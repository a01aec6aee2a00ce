"""`sophia stack destroy`: an environment taken down, its records first. Wants the stack's name typed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only
from sophia_cli.cli.stack_show import Name


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "destroy")
    def destroy(common: Common, name: Name = None) -> int:
        """Delete the records that take a stack's outputs, every resource, its settings, and the empty stack."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_destroy(common, name))


async def _destroy(common: Common, name: str | None) -> int:
    from sophia_cli.cli.applying import carry_out, settle, take_approval
    from sophia_cli.cli.runtime import session
    from sophia_cli.cli.stacking import forget_empty, shown
    from sophia_cli.cli.stacks import chosen_stack, desk_of, needed
    from sophia_cli.flows.environments import find_stack, plan_destruction

    common = replace(common, stack=name or common.stack)
    async with session(common, "stack destroy") as found:
        target = needed(found)
        found.targets[target.id] = target
        await settle(found)
        await take_approval(found, common.approval)
        stack = chosen_stack(found.settings, common.stack) or find_stack(found.settings, common.stack or "")
        judged = await plan_destruction(stack, desk_of(found))
        shown(found, judged)
        code = await carry_out(found, judged)
        await forget_empty(found, [target.id])
        return code
