"""What the commands that only look at stacks have in common: values for the renderers, and the form that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sophia_cli.cli.options import Common, Output
from sophia_cli.cli.printing import result, said

if TYPE_CHECKING:
    from sophia_cli.cli.session import Session
    from sophia_cli.core.stacks import StackState, Update
    from sophia_cli.output.stacks import Past, Stack
    from sophia_cli.providers.pulumi.target import StackTarget


def pasts(updates: Sequence[Update]) -> tuple[Past, ...]:
    """The engine's history as it is shown."""
    from sophia_cli.output.stacks import Past

    return tuple(
        Past(one.version, one.kind, one.result, one.started, one.ended, one.message, tuple(sorted(one.changes.items())))
        for one in updates
    )


async def viewed(found: Session, target: StackTarget) -> Stack:
    """A stack as it is shown, with what it holds. Raises `Refused` for one that was never made."""
    from sophia_cli.cli.stacks import chosen_stack
    from sophia_cli.core.errors import Refused
    from sophia_cli.output.stacks import Stack

    state = await state_of(target)
    if not state.exists:
        raise Refused(
            f"{target.id} is not there yet", hint="sophia deploy makes it; sophia plan shows what it will hold"
        )
    stack = chosen_stack(found.settings, found.common.stack)
    assert stack is not None
    return Stack(stack.environment, target.id, stack.expires, state)


async def state_of(target: StackTarget) -> StackState:
    """What a stack holds now."""
    from sophia_cli.core.stacks import StackState

    content = (await target.read()).content
    assert isinstance(content, StackState)
    return content


def printed(common: Common, stacks: Sequence[Stack], text: Callable[..., str]) -> int:
    """Print stacks in the form that was asked for; `text` takes them all, or the only one."""
    from sophia_cli.cli.printing import wants_colour
    from sophia_cli.output.json_v1 import envelope
    from sophia_cli.output.stacks import data, listed

    if common.output is Output.json:
        result(envelope("stack", data(stacks)))
    else:
        said(common, text(stacks if text is listed else stacks[0], colour=wants_colour(common)))
    return 0
