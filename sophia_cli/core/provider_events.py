"""Provider events: what others' logs tell of who did what, as events the threat rules judge. Reads no log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sophia_cli.core.history import AuditEvent, timestamp
from sophia_cli.core.stacks import Update

AUDIT = "audit"  # the source of sophia's own events
SLACK = timedelta(minutes=5)  # between the clock of an engine's backend and this machine's
OPEN_RUN = timedelta(hours=1)  # how long the update of a run that was killed may go on: the engine's time limit
LONGEST = 500  # characters of a text taken from a log

# Where an update names its author, best first: the commit's author, then who committed it (Pulumi, update metadata).
_AUTHORS = ("git.author.email", "git.author", "git.committer.email", "git.committer")


@dataclass(frozen=True, slots=True)
class ProviderEvent(AuditEvent):
    """An event of somebody else's log. It has no place in the chain; `id` names it within its `source`.

    `host` is where it came from, if told; `behind` says that sophia looked after the target and did not do this.
    """

    source: str = ""
    id: str = ""
    host: str = ""
    behind: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """A log that was read, or could not be (`reason`); `malformed` lines of it told nothing.

    `own` counts what sophia did itself, which its own log tells of and `events` leave out.
    """

    name: str
    events: tuple[ProviderEvent, ...] = ()
    malformed: int = 0
    reason: str | None = None
    own: int = 0


def source_of(event: AuditEvent) -> str:
    """The name of the log an event comes from."""
    return event.source if isinstance(event, ProviderEvent) else AUDIT


def stack_source(target: str) -> str:
    """The source that a stack's history is: `pulumi:ORG/PROJECT/NAME`."""
    return f"pulumi:{target.removeprefix('stack:')}"


def update_event(target: str, update: Update) -> ProviderEvent:
    """A stack's update as an event. Git's names are what a machine was set up with, so they are a hint and no proof."""
    known = update.environment
    source = stack_source(target)
    at = f"#{update.version}" if update.version else f"@{timestamp(update.started)}"  # a failed one may have no number
    return ProviderEvent(
        seq=-1,
        time=update.started.astimezone(UTC),
        actor=next((known[name][:LONGEST] for name in _AUTHORS if known.get(name)), "unknown"),
        action=update.kind,
        target=target,
        outcome=update.result,
        detail={"message": update.message[:LONGEST], **_ci(known)},
        source=source,
        id=f"{source}{at}",
        host=known.get("ci.system", "outside CI")[:LONGEST],
    )


def _ci(known: Mapping[str, str]) -> dict[str, str]:
    return {"ci": known["ci.build.id"][:LONGEST]} if known.get("ci.build.id") else {}


def unlogged(told: Iterable[ProviderEvent], log: Sequence[AuditEvent]) -> tuple[ProviderEvent, ...]:
    """A stack's updates without those of sophia's own runs, which the log tells of already.

    An update is sophia's own when a run that wrote the stack was under way and the engine was given sophia's message.
    What is not, and is no older than the log, happened behind its back.
    """
    runs = _spans(log)
    strange = [
        event
        for event in told
        if not (
            str(event.detail.get("message", "")).startswith("sophia ")
            and any(first - SLACK <= event.time <= last + SLACK for first, last in runs.get(event.target, ()))
        )
    ]
    return tuple(replace(event, behind=bool(log) and event.time >= log[0].time) for event in strange)


def _spans(log: Sequence[AuditEvent]) -> dict[str | None, list[tuple[datetime, datetime]]]:
    """When runs were under way, by the targets they wrote. Settling a run that was cut off is a span of its own."""
    spans: dict[str | None, list[tuple[datetime, datetime]]] = {}
    under_way: dict[str, tuple[datetime, set[str | None]]] = {}

    def close(run: str, last: datetime) -> None:
        first, targets = under_way.pop(run, (last, set()))
        for target in targets:
            spans.setdefault(target, []).append((first, last))

    latest: dict[str, datetime] = {}
    for event in log:
        if event.run is None:
            continue
        if event.action in ("apply.begin", "settle.begin"):
            close(event.run, latest.get(event.run, event.time) + OPEN_RUN)
            under_way[event.run] = (event.time, set())
        if event.run in under_way and event.target is not None:
            under_way[event.run][1].add(event.target)
        latest[event.run] = event.time
        if event.action in ("apply.end", "settle.end"):
            close(event.run, event.time)
    for run in list(under_way):
        close(run, latest[run] + OPEN_RUN)
    return spans


def parsed(lines: Iterable[str], source: str) -> Source:
    """An exported log: JSON lines of `time` (RFC 3339 with its offset), `actor`, `action`, `target` and perhaps `address`."""
    events: list[ProviderEvent] = []
    malformed = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        event = _event(line, source, number)
        malformed += event is None
        events += [] if event is None else [event]
    reason = f"none of its {malformed} lines is an event" if malformed and not events else None
    return Source(source, tuple(events), malformed, reason)


def _event(line: str, source: str, number: int) -> ProviderEvent | None:
    try:
        entry: Any = json.loads(line)
        time = datetime.fromisoformat(entry["time"])
        words = [entry["actor"], entry["action"], entry["target"]]
        address = entry.get("address")
        if time.tzinfo is None or not all(isinstance(word, str) and word for word in words):
            return None
        moment = time.astimezone(UTC)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    actor, action, target = (word[:LONGEST] for word in words)
    detail = {"address": address[:LONGEST]} if isinstance(address, str) and address else {}
    return ProviderEvent(
        -1, moment, actor, action, target=target, detail=detail, source=source, id=f"{source}#{number}"
    )
