"""The audit log: one line an event, each sealed with the hash of the one before. Never rewrites a line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain

from sophia_cli.core.errors import StateError
from sophia_cli.core.history import AuditEvent, AuditHead
from sophia_cli.core.ports import Clock
from sophia_cli.store.chain import (
    against_kept,
    beheaded,
    check,
    continued,
    event_of,
    head_of,
    head_text,
    is_begun,
    line_of,
    recovery,
    sealed,
)
from sophia_cli.store.directory import Directory, replace_text, translated

_BLOCK = 1 << 16


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
        sealed(event, AuditHead())  # what cannot be written is refused before anything is touched
        with self._directory.alone("audit.lock"), translated(self._log):
            return self._append(event)

    def _append(self, event: AuditEvent) -> AuditHead:
        kept = self._kept_head()
        with open(self._log, "ab", buffering=0, opener=_private) as log:
            handle = log.fileno()
            lines = _backwards(handle)
            tail = next(lines)  # what follows the last line end: nothing, unless a crash tore a line
            if tail:
                _write(handle, b"\n")
                lines = chain([tail], lines)
            others: list[bytes] = []
            latest = next(_events(lines, others), None)
            head = continued(kept, chain([] if latest is None else [latest], _events(lines, [])))
            now = self._clock.now()
            # A crash may have torn the line that accounts for a torn line as well; what no crash leaves stays a problem.
            for line in reversed([line for line in others if line is tail or is_begun(line)]):
                head = self._add(handle, recovery(line, now), head)
            if kept is None and head.count > 1:
                head = self._add(handle, beheaded(head, now), head)
            head = self._add(handle, event, head)
        replace_text(self._head, head_text(head) + "\n")
        return head

    @staticmethod
    def _add(handle: int, event: AuditEvent, head: AuditHead) -> AuditHead:
        placed = sealed(event, head)
        _write(handle, line_of(placed) + b"\n")
        return AuditHead(placed.seq + 1, placed.hash)

    async def events(self) -> tuple[AuditEvent, ...]:
        """All events that can be read, oldest first; unreadable lines are `verify`'s business."""
        return tuple(event for event in map(event_of, self._lines()) if event is not None)

    async def verify(self, head: str | None = None) -> tuple[AuditHead, tuple[str, ...]]:
        """The head of the log and every problem of the chain."""
        kept, damage = None, []
        try:
            kept = self._kept_head()  # read before the log: an event added meanwhile is then no problem
        except StateError as exc:
            damage = [exc.message]
        found, problems, seen = check(self._lines(), head)
        return found, (*problems, *(damage or against_kept(found, kept, seen, self._head)))

    def _lines(self) -> list[bytes]:
        """The lines. What a crash tore off the last one is left out: the next event accounts for it, and the kept head
        tells whether anything else is missing there.
        """
        with translated(self._log):
            try:
                content = self._log.read_bytes()
            except FileNotFoundError:
                return []
        *lines, tail = content.split(b"\n")
        return [*lines, tail] if tail and event_of(tail) is not None else lines

    def _kept_head(self) -> AuditHead | None:
        with translated(self._head):
            try:
                content = self._head.read_bytes()
            except FileNotFoundError:
                return None
        return head_of(content, self._head)


def _events(lines: Iterator[bytes], others: list[bytes]) -> Iterator[AuditEvent]:
    """The events of lines; what is none is put with the others."""
    for line in lines:
        event = event_of(line)
        if event is None:
            others.append(line)
        else:
            yield event


def _private(path: str, flags: int) -> int:
    handle = os.open(path, (flags & ~os.O_WRONLY) | os.O_RDWR | os.O_CLOEXEC, 0o600)
    os.fchmod(handle, 0o600)
    return handle


def _write(handle: int, line: bytes) -> None:
    written = os.write(handle, line)
    if written != len(line):
        raise OSError(28, "the line was written only in part (disk full?)")
    os.fsync(handle)


def _backwards(handle: int) -> Iterator[bytes]:
    """The lines of a file from its end, each whole however long it is; the first is what follows the last line end."""
    position = os.fstat(handle).st_size
    parts: list[bytes] = []  # of one line, latest first
    while position > 0:
        size = min(_BLOCK, position)
        position -= size
        *earlier, last = os.pread(handle, size, position).split(b"\n")
        parts.append(last)
        for line in reversed(earlier):
            yield b"".join(reversed(parts))
            parts = [line]
    yield b"".join(reversed(parts))
