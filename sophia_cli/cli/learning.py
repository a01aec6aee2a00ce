"""What the commands tell the learning flow: what is offered, what a person answered. Decides nothing by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sophia_cli.cli.session import Session
    from sophia_cli.cli.state import LocalState
    from sophia_cli.core.findings import Proposal
    from sophia_cli.flows.analyze import Analysis
    from sophia_cli.flows.learning import Learnt


async def known(found: Session) -> Learnt:
    """What was learnt so far in this state."""
    from sophia_cli.cli.state import lessons_of
    from sophia_cli.flows.learning import learnt

    return await learnt(
        lessons_of(found.documents),
        found.store.journal,
        found.clock.now(),
        mode=found.settings.intelligence.learning_mode,
    )


async def offered(found: Session, made: Sequence[Proposal]) -> tuple[Proposal, ...]:
    """The specialists' proposals and those on the environment itself, as sure as their rules are now."""
    from sophia_cli.flows import learning
    from sophia_cli.flows.schedule import renewing

    seen = await renewing(found.certificates)
    return await learning.offered(found.settings, made, found.file, await known(found), seen, found.clock.now())


async def measured(found: Session, accepted: Sequence[Proposal], before: Analysis, after: Analysis, plan: str) -> None:
    """Remember whether what was accepted mended what it was for, when learning is on."""
    from sophia_cli.cli.actor import actor
    from sophia_cli.cli.state import lessons_of
    from sophia_cli.flows import learning

    if found.settings.intelligence.learning_mode:
        then, now = (
            learning.Seen(frozenset((finding.id, finding.target) for finding in one.findings), one.score)
            for one in (before, after)
        )
        lessons = learning.measured(accepted, then, now, found.clock.now(), actor(), plan)
        await lessons_of(found.documents).add(lessons)


async def reject(found: LocalState, rules: Sequence[str], *, mode: bool) -> None:
    """Remember a person's no to rules by their names. Raises `Refused` with learning off, `UsageError` for no rule."""
    from sophia_cli.cli.actor import actor
    from sophia_cli.cli.clock import SystemClock
    from sophia_cli.cli.state import lessons_of
    from sophia_cli.core.errors import Refused, UsageError
    from sophia_cli.core.learning import Lesson
    from sophia_cli.flows import learning

    lessons, now = lessons_of(found.documents), SystemClock().now()
    if not mode:
        raise Refused(
            "nothing is learnt: ai_infrastructure.learning_mode is off",
            hint="sophia config set ai_infrastructure.learning_mode true",
        )
    names = [name.removeprefix("rule:") for name in rules]
    there = learning.rules_known(await learning.learnt(lessons, found.store.journal, now, mode=mode))
    for name in names:
        if name not in there:
            raise UsageError(
                f"--reject {name}: there is no such rule",
                hint="a proposal names its rule in brackets: sophia plan --ai-enhanced",
            )
    await lessons.add([Lesson(name, "rejected", now, actor(), "") for name in dict.fromkeys(names)])


async def rejected(found: Session, proposals: Sequence[Proposal], plan: str) -> None:
    """Remember that a person at the terminal said no to these, when learning is on."""
    from sophia_cli.cli.actor import actor
    from sophia_cli.cli.state import lessons_of
    from sophia_cli.flows.learning import answered

    if found.settings.intelligence.learning_mode:
        await lessons_of(found.documents).add(answered(proposals, "rejected", found.clock.now(), actor(), plan))
