"""Telling people: each matter once a day on each channel, and never at the cost of the work it is about."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sophia_cli.core.errors import SophiaError, StateError
from sophia_cli.core.findings import Finding
from sophia_cli.core.notifications import Level, Message, Notifier, Told
from sophia_cli.core.ports import Clock
from sophia_cli.flows.events import Stream


@dataclass(frozen=True, slots=True)
class Alerts:
    """Who is told, and the memory of what was. Without notifiers nothing is told and nothing remembered."""

    notifiers: Sequence[Notifier]
    told: Told
    clock: Clock
    stream: Stream


async def tell(message: Message, alerts: Alerts) -> tuple[str, ...]:
    """Tell a matter on every channel that has not heard of it today; the reasons of the channels that failed.

    It is taken first, so that of several machines one tells it. A channel that failed is tried again at the next call. A
    memory that cannot be read tells nobody: each pass would tell everything again.
    """
    failures = []
    for notifier in alerts.notifiers:
        now = alerts.clock.now()
        try:
            if not await alerts.told.take(notifier.name, message.key, now):
                continue
            await _sent(message, notifier, alerts, now)
        except SophiaError as exc:
            failures.append(f"{message.title}: could not be told by {notifier.name}: {exc.message}")
            await alerts.stream.say("notify", target=message.target, outcome="failed", by=notifier.name, error=exc.kind)
            continue
        await alerts.stream.say("notify", target=message.target, outcome="sent", by=notifier.name, matter=message.key)
    return tuple(failures)


async def _sent(message: Message, notifier: Notifier, alerts: Alerts, now: datetime) -> None:
    try:
        await notifier.send(message)
    except SophiaError:
        await alerts.told.let_go(notifier.name, message.key, now)
        raise
    await alerts.told.note(notifier.name, message.key, now)


async def tell_open(findings: Iterable[Finding], alerts: Alerts) -> tuple[str, ...]:
    """Tell what a pass of heal left open and should not wait for somebody to look: high and critical findings."""
    failures: list[str] = []
    for finding in findings:
        if finding.severity in ("high", "critical"):
            level: Level = "critical" if finding.severity == "critical" else "warning"
            title, now = f"{finding.target}: {finding.title}", alerts.clock.now()
            key = f"{finding.target}:{finding.id}"
            failures += await tell(Message(key, level, title, finding.help, finding.target, now), alerts)
    return tuple(failures)


async def settled(key: str, alerts: Alerts) -> None:
    """A matter is over: when it comes back it is told at once. A memory that cannot be changed is said when it is told."""
    if alerts.notifiers:
        with contextlib.suppress(StateError):
            await alerts.told.forget(key)
