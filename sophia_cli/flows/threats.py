"""Threat detection: the audit log, the runs it tells of and the logs of providers, held against the rules. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sophia_cli.core.errors import SophiaError
from sophia_cli.core.findings import Finding
from sophia_cli.core.ports import StackHistory, Store
from sophia_cli.core.provider_events import ProviderEvent, Source, stack_source, unlogged, update_event
from sophia_cli.core.threat_rules import Log
from sophia_cli.core.threats import threats

UPDATES = 500  # of each stack, the newest


async def look(
    store: Store, since: datetime | None = None, stacks: Sequence[StackHistory] = (), others: Sequence[Source] = ()
) -> tuple[Log, tuple[Finding, ...]]:
    """The log, and what the rules see in it (`since`: only what rests on an event of then or later).

    `stacks` are asked for their updates; `others` are logs that were read already, or could not be.
    """
    told = [await _updates(stack) for stack in stacks]
    _, problems = await store.audit.verify()
    runs = (*await store.journal.runs(), *await store.journal.open_runs())
    events = await store.audit.events()
    sources = [_beside(one, unlogged(one.events, events)) for one in told]
    log = Log(events, tuple(sorted(runs, key=lambda run: run.started)), problems, (*sources, *others))
    return log, threats(log, since)


def _beside(whole: Source, events: tuple[ProviderEvent, ...]) -> Source:
    return replace(whole, events=events, own=len(whole.events) - len(events))


async def _updates(stack: StackHistory) -> Source:
    """A stack's history, oldest first; one that cannot be read says why, and is not tested."""
    name = stack_source(stack.id)
    try:
        updates = await stack.history(UPDATES)
    except SophiaError as exc:
        return Source(name, reason=exc.message)
    return Source(name, tuple(update_event(stack.id, one) for one in reversed(updates)))
