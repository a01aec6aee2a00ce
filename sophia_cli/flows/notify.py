"""Telling people: each matter once a day on each channel, and never at the cost of the work it is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sophia_cli.core.errors import SophiaError
from sophia_cli.core.findings import Finding
from sophia_cli.core.notifications import Level, Message, Notifier, Told, is_news
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

    A channel that failed is tried again at the next call, for only what was delivered is remembered.
    """
    failures = []
    for notifier in alerts.notifiers:
        now = alerts.clock.now()
        if not is_news(await alerts.told.when(notifier.name, message.key), now):
            continue
        try:
            await notifier.send(message)
        except SophiaError as exc:
            failures.append(f"{message.title}: could not be told by {notifier.name}: {exc.message}")
            await alerts.stream.say("notify", target=message.target, outcome="failed", by=notifier.name, error=exc.kind)
            continue
        await alerts.told.note(notifier.name, message.key, now)
        await alerts.stream.say("notify", target=message.target, outcome="sent", by=notifier.name, matter=message.key)
    return tuple(failures)


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
    """A matter is over: when it comes back it is told at once."""
    if alerts.notifiers:
        await alerts.told.forget(key)
