"""What the commands tell the learning flow: what is offered, what a person answered. Decides nothing by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sophia_cli.cli.runtime import Session
    from sophia_cli.core.findings import Proposal
    from sophia_cli.flows.learning import Learnt


async def known(found: Session) -> Learnt:
    """What was learnt so far in this state."""
    from sophia_cli.cli.runtime import lessons_of
    from sophia_cli.flows.learning import learnt

    return await learnt(lessons_of(found.state), found.store.journal, mode=found.settings.intelligence.learning_mode)


async def offered(found: Session, made: Sequence[Proposal]) -> tuple[Proposal, ...]:
    """The specialists' proposals and those on the environment itself, as sure as their rules are now."""
    from sophia_cli.flows import learning

    return await learning.offered(found.settings, made, found.file, await known(found))


async def rejected(found: Session, proposals: Sequence[Proposal], plan: str) -> None:
    """Remember that a person at the terminal said no to these, when learning is on."""
    from sophia_cli.cli.runtime import actor, lessons_of
    from sophia_cli.flows.learning import answered

    if found.settings.intelligence.learning_mode:
        await lessons_of(found.state).add(answered(proposals, "rejected", found.clock.now(), actor(), plan))
