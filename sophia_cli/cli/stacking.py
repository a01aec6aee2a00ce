"""What every `sophia stack` command needs: the stack it is about, times and sizes as typed, and the way to a write."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sophia_cli.cli.options import Common
from sophia_cli.cli.printing import note
from sophia_cli.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sophia_cli.cli.session import Session
    from sophia_cli.core.changes import Change
    from sophia_cli.core.ports import Part
    from sophia_cli.flows.plan import Judged
    from sophia_cli.providers.pulumi.target import StackTarget

_SPAN = re.compile(r"(?=.)(?:(\d{1,4})d)?(?:(\d{1,4})h)?(?:(\d{1,5})m)?\Z")


@contextlib.asynccontextmanager
async def stacks_alone(common: Common, name: str) -> AsyncIterator[Session]:
    """A session that reaches no zone and asks no authority: for what is about stacks alone."""
    from sophia_cli.cli.environments import load_settings
    from sophia_cli.cli.runtime import connected
    from sophia_cli.core.settings import Ssl

    environment, settings = await load_settings(common)
    bare = replace(settings, zones=(), ssl=Ssl())
    async with connected(common, name, bare, environment.file, environment=environment) as found:
        yield found


@contextlib.asynccontextmanager
async def one_stack(common: Common, name: str, stack: str | None = None) -> AsyncIterator[tuple[Session, StackTarget]]:
    """A session about one stack: the one named, else that of `--stack` or of the environment.

    Raises `UsageError` when it is not plain which, and `InvalidEnvironment` without the engine's command.
    """
    from sophia_cli.cli.stacks import needed

    common = replace(common, stack=stack or common.stack, target=None)
    async with stacks_alone(common, name) as found:
        target = needed(found)
        found.targets[target.id] = target
        yield found, target


async def carried_out(found: Session, part: Part, changes: Sequence[Change] | None = None) -> int:
    """Judge, ask, apply and report what one stack needs."""
    from sophia_cli.cli.applying import carry_out
    from sophia_cli.flows.plan import assemble, judged, parsed_overrides, policy_of

    now = found.clock.now()
    plan = assemble(found.settings, [], part.changes if changes is None else changes, [], now, parts=[part])
    policy = await policy_of(found.settings, found.store, parsed_overrides(found.common.override or ()))
    shown(found, again := await judged(plan, policy, [], found.store, now))
    return await carry_out(found, again)


def shown(found: Session, judged: Judged) -> None:
    """Say on stderr what is going to be done, when nobody will be asked: a terminal shows it before it asks."""
    from sophia_cli.cli.session import may_ask
    from sophia_cli.output import plan as forms

    if found.common.is_quiet or (may_ask(found.common) and not found.common.yes) or judged.plan.is_empty():
        return
    note(found.common, forms.text(judged.plan, judged.verdict, colour=False).rstrip("\n"))


async def forget_empty(found: Session, targets: Iterable[str]) -> None:
    """Remove stacks that hold nothing any more, and say what kept one from going."""
    from sophia_cli.flows import environments

    for problem in await environments.forget_empty(targets, found.ground()):
        note(found.common, problem)


def moment(flag: str, text: str | None) -> datetime | None:
    """A time as RFC 3339 with its offset, such as `2027-01-31T18:00:00Z`. Raises `UsageError`."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as exc:
        raise UsageError(f"{flag} {text}: write a time such as 2027-01-31T18:00:00Z") from exc
    if found.tzinfo is None:
        raise UsageError(f"{flag} {text}: it names no time zone", hint=f"for UTC: {flag} {text}Z")
    return found


def duration(flag: str, text: str) -> timedelta:
    """A length of time such as `90m`, `1h30m` or `2d`. Raises `UsageError`."""
    match = _SPAN.match(text)
    days, hours, minutes = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    found = timedelta(days=days, hours=hours, minutes=minutes)
    if not found:
        raise UsageError(f"{flag} {text}: write a length such as 90m, 1h30m or 2d")
    return found
