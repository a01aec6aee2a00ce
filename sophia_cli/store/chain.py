"""The chain of audit events as bytes: one event a line, what is wrong with a log, where it goes on. Stores nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sophia_cli.core.canonical import canonical
from sophia_cli.core.errors import StateError
from sophia_cli.core.history import GENESIS, AuditEvent, AuditHead

_RECOVERED = "audit.recovered"


def line_of(event: AuditEvent) -> bytes:
    """The line of an event. Raises `StateError` when it holds what JSON cannot."""
    try:
        return canonical(event.data())
    except (ValueError, TypeError, RecursionError) as exc:
        raise StateError(f"the audit event {event.action} cannot be written: {exc}") from exc


def sealed(event: AuditEvent, head: AuditHead) -> AuditEvent:
    """The event as the next one after a head."""
    try:
        return event.sealed(head.count, head.hash)
    except (ValueError, TypeError, RecursionError) as exc:
        raise StateError(f"the audit event {event.action} cannot be written: {exc}") from exc


def event_of(line: bytes) -> AuditEvent | None:
    """The event of a line, or None when the line is none, whatever else it is."""
    try:
        event = AuditEvent.from_data(json.loads(line))
        texts = (event.actor, event.action, event.prev, event.hash)
        named = (event.run, event.target, event.plan, event.outcome)
        fits = (
            type(event.seq) is int
            and isinstance(event.time, datetime)
            and isinstance(event.detail, dict)
            and all(isinstance(text, str) for text in texts)
            and all(text is None or isinstance(text, str) for text in named)
        )
        if fits:
            canonical(event.data())
        return event if fits else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def head_text(head: AuditHead) -> str:
    """The kept form of a head."""
    return json.dumps({"count": head.count, "hash": head.hash})


def head_of(content: str | bytes | None, place: object) -> AuditHead | None:
    """The kept head, or None when there is none. Raises `StateError` when something else stands there."""
    if not content:
        return None
    try:
        data = json.loads(content)
        head = AuditHead(data["count"], data["hash"])
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise StateError(f"{place} is not an audit head", hint=_HEAD_HINT) from exc
    if type(head.count) is not int or head.count < 0 or not isinstance(head.hash, str):
        raise StateError(f"{place} is not an audit head", hint=_HEAD_HINT)
    return head


_HEAD_HINT = (
    "hold the log against a head that an earlier run printed (sophia audit verify --head HASH), then move it away"
)


def continued(kept: AuditHead | None, latest: Iterable[AuditEvent]) -> AuditHead:
    """Where the chain goes on, given the kept head and the log's events, newest first (no more are read than needed).

    That is the log's end, unless it is not the one the kept head speaks of: a log that lost or exchanged lines is never
    taken up silently; the next event then follows the kept head, and the break stays visible. (A crash between line and
    head leaves the log ahead of the head; that is no break.)
    """
    end: AuditEvent | None = None
    for event in latest:
        end = end or event
        if kept is None or kept.count == 0 or (event.seq, event.hash) == (kept.count - 1, kept.hash):
            return AuditHead(end.seq + 1, end.hash)
        if event.seq < kept.count - 1:
            break
    return kept or AuditHead()


def is_begun(line: bytes) -> bool:
    """Whether a line is the beginning of one that sophia writes, such as a crash leaves."""
    start = b'{"action":'
    return bool(line) and line.startswith(start[: len(line)])


def recovery(torn: bytes, now: datetime) -> AuditEvent:
    """The event that accounts for a line torn by a crash."""
    detail = {"sha256": hashlib.sha256(torn).hexdigest(), "bytes": len(torn)}
    return AuditEvent(0, now, "sophia", _RECOVERED, outcome="recovered", detail=detail)


def beheaded(found: AuditHead, now: datetime) -> AuditEvent:
    """The event that notes a log of several events whose kept head was gone."""
    detail = {"lost": "head", "found": found.hash}
    return AuditEvent(0, now, "sophia", _RECOVERED, outcome="recovered", detail=detail)


def check(lines: Iterable[bytes], asked: str | None = None) -> tuple[AuditHead, list[str], frozenset[str]]:
    """The head of a log, every problem of its chain, and the hashes it runs through."""
    problems: list[str] = []
    count, last = 0, GENESIS
    seen = {GENESIS}
    torn: list[tuple[str, str]] = []  # digests of torn lines that no event accounts for yet, with their problems
    for number, line in enumerate(lines, 1):
        event = event_of(line)
        if event is None:
            problems.append(f"line {number} is not an event")
            torn.append((hashlib.sha256(line).hexdigest(), problems[-1]))
            continue
        if event.action != _RECOVERED:
            torn.clear()
        for entry in [entry for entry in torn if entry[0] == event.detail.get("sha256")][:1]:
            torn.remove(entry)
            problems.remove(entry[1])  # accounted for by one of the recovery events that follow it
        problems += _line_problems(number, event, line, count, last)
        count, last = event.seq + 1, event.hash
        seen.add(event.hash)
    if asked is not None and asked not in seen:
        problems.append(f"the head {asked} that was asked for is not in the log")
    return AuditHead(count, last), problems, frozenset(seen)


def against_kept(found: AuditHead, kept: AuditHead | None, seen: frozenset[str], place: object) -> list[str]:
    """What a log lacks when it is held against the head kept apart from it."""
    if kept is None:
        # The very first event may have been written and its head not yet: one event without a head is no problem.
        return [f"the kept head {place} is missing"] if found.count > 1 else []
    if kept.count > found.count:
        return [f"{kept.count - found.count} events at the end are missing: the kept head counts {kept.count}"]
    return [] if kept.hash in seen else [f"the kept head {kept.hash} is not in the log"]


def _line_problems(number: int, event: AuditEvent, line: bytes, count: int, last: str) -> list[str]:
    problems = []
    if event.sealed(event.seq, event.prev).hash != event.hash:
        problems.append(f"line {number} was changed: its hash does not fit its text")
    elif line_of(event) != line:
        problems.append(f"line {number} was changed: it is not the text that sophia writes")
    if event.prev != last:
        problems.append(f"line {number} does not follow the line before it")
    elif event.seq != count:
        problems.append(f"line {number} has number {event.seq}; {count} was due")
    return problems


def json_data(content: str | bytes, place: Any) -> Any:
    """Stored JSON. Raises `StateError` naming the place."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise StateError(f"{place} is not readable state", hint="restore it from a backup, or remove it") from exc
