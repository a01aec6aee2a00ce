"""The audit log: one line an event, each sealed with the hash of the one before. Never rewrites a line."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator

from sophia_cli.core.canonical import canonical
from sophia_cli.core.errors import StateError
from sophia_cli.core.history import GENESIS, AuditEvent, AuditHead
from sophia_cli.core.ports import Clock
from sophia_cli.store.directory import Directory, replace_text, translated


class FileAudit:
    """`audit.jsonl` (0600, fsynced) with its count and head hash kept apart in `audit.head.json`.

    Changed, reordered and cut lines show, the tail included. Whoever rewrites both files wins: keep the head that each
    run prints somewhere else, and hold the log against it with `sophia audit verify --head HASH`.
    """

    def __init__(self, directory: Directory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._log = directory.path("audit.jsonl")
        self._head = directory.path("audit.head.json")

    async def append(self, event: AuditEvent) -> AuditHead:
        """Add an event; a line torn by a crash is closed first by a recovery event that carries its digest."""
        self._directory.make()
        with translated(self._log), self._locked():
            return self._append(event)

    def _append(self, event: AuditEvent) -> AuditHead:
        with open(self._log, "ab+", buffering=0) as log:
            os.fchmod(log.fileno(), 0o600)
            events, torn = _tail(log.fileno())
            whole = _event(torn) if torn else None
            if whole is not None:  # only the line's end was lost
                log.write(b"\n")
                events, torn = [*events, whole], b""
            head = self._continued(events)
            if torn:
                log.write(b"\n")
                head = self._write(log.fileno(), self._recovery(torn).sealed(head.count, head.hash))
            head = self._write(log.fileno(), event.sealed(head.count, head.hash))
        replace_text(self._head, json.dumps({"count": head.count, "hash": head.hash}) + "\n")
        return head

    def _continued(self, events: list[AuditEvent]) -> AuditHead:
        """Where the chain goes on: at the log's end, unless that end is not the one the kept head speaks of.

        A log that lost or exchanged lines is never taken up silently: the next event then follows the kept head, and
        the break stays visible. (A crash between line and head leaves the log ahead of the head; that is no break.)
        """
        kept = self._kept_head()
        anchored = kept.count == 0 or any((one.seq, one.hash) == (kept.count - 1, kept.hash) for one in events)
        if not anchored or not events:
            return kept
        return AuditHead(events[-1].seq + 1, events[-1].hash)

    async def events(self) -> tuple[AuditEvent, ...]:
        """All events that can be read, oldest first; unreadable lines are `verify`'s business."""
        return tuple(event for event, _ in self._lines() if event is not None)

    async def verify(self, head: str | None = None) -> tuple[AuditHead, tuple[str, ...]]:
        """The head of the log and every problem of the chain."""
        problems: list[str] = []
        count, last, torn_digest = 0, GENESIS, ""
        seen = {GENESIS}
        for number, (event, text) in enumerate(self._lines(), 1):
            if event is None:
                torn_digest = hashlib.sha256(text).hexdigest()
                problems.append(f"line {number} is not an event")
                continue
            if torn_digest and event.action == "audit.recovered" and event.detail.get("sha256") == torn_digest:
                problems.pop()  # the torn line is accounted for by the recovery event that follows it
            torn_digest = ""
            problems += _line_problems(number, event, count, last)
            count, last = event.seq + 1, event.hash
            seen.add(event.hash)
        kept = self._kept_head()
        if kept.count > count:
            problems.append(f"{kept.count - count} events at the end are missing: the kept head counts {kept.count}")
        elif kept.hash not in seen:
            problems.append(f"the kept head {kept.hash} is not in the log")
        if head is not None and head not in seen:
            problems.append(f"the head {head} that was asked for is not in the log")
        return AuditHead(count, last), tuple(problems)

    def _lines(self) -> Iterator[tuple[AuditEvent | None, bytes]]:
        with translated(self._log):
            content = self._log.read_bytes() if self._log.exists() else b""
        for line in content.splitlines():
            yield _event(line), line

    def _kept_head(self) -> AuditHead:
        with translated(self._head):
            text = self._head.read_text() if self._head.exists() else ""
        if not text:
            return AuditHead()
        try:
            data = json.loads(text)
            return AuditHead(int(data["count"]), str(data["hash"]))
        except (ValueError, KeyError, TypeError) as exc:
            raise StateError(f"{self._head} is not an audit head", hint="sophia audit verify") from exc

    def _recovery(self, torn: bytes) -> AuditEvent:
        return AuditEvent(
            seq=0,
            time=self._clock.now(),
            actor="sophia",
            action="audit.recovered",
            outcome="recovered",
            detail={"sha256": hashlib.sha256(torn).hexdigest(), "bytes": len(torn)},
        )

    @staticmethod
    def _write(handle: int, event: AuditEvent) -> AuditHead:
        line = canonical(event.data()) + b"\n"
        written = os.write(handle, line)
        if written != len(line):
            raise OSError(28, "the line was written only in part (disk full?)")
        os.fsync(handle)
        return AuditHead(event.seq + 1, event.hash)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        handle = os.open(self._directory.path("audit.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)  # held for one line only, so waiting is right
            yield
        finally:
            os.close(handle)


def _line_problems(number: int, event: AuditEvent, count: int, last: str) -> list[str]:
    problems = []
    if event.sealed(event.seq, event.prev).hash != event.hash:
        problems.append(f"line {number} was changed: its hash does not fit its text")
    if event.prev != last:
        problems.append(f"line {number} does not follow the line before it")
    elif event.seq != count:
        problems.append(f"line {number} has number {event.seq}; {count} was due")
    return problems


def _event(line: bytes) -> AuditEvent | None:
    try:
        return AuditEvent.from_data(json.loads(line))
    except (ValueError, TypeError, KeyError):
        return None


def _tail(handle: int) -> tuple[list[AuditEvent], bytes]:
    """The last events of the log, oldest first, and, when it does not end with a whole line, the torn bytes after them."""
    size = os.fstat(handle).st_size
    start = max(0, size - (1 << 16))
    lines = os.pread(handle, size - start, start).split(b"\n")
    torn = lines.pop()
    events = [_event(line) for line in (lines if start == 0 else lines[1:])]
    return [event for event in events if event is not None], torn
