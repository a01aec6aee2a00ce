"""Locks between processes by flock(2): a killed holder lets go by itself, so no lock is ever stale."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from sophia_cli.core.errors import Locked
from sophia_cli.core.history import timestamp
from sophia_cli.core.ports import Clock
from sophia_cli.store.directory import Directory, translated


class FileLocks:
    """One lock file a target; it is never removed, because removing a locked file lets two holders in."""

    def __init__(self, directory: Directory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock

    def hold(self, targets: Sequence[str], purpose: str) -> AbstractAsyncContextManager[None]:
        """Hold the locks of these targets, taken in sorted order so that two runs cannot wait for each other."""
        return self._hold(sorted(set(targets)), purpose)

    async def assure(self, timeout_s: float) -> None:
        """Nothing to do: a lock of this form is held until it is let go, however long a write takes."""

    @contextlib.asynccontextmanager
    async def _hold(self, targets: Sequence[str], purpose: str) -> AsyncIterator[None]:
        with contextlib.ExitStack() as stack:
            for target in targets:
                stack.callback(_let_go, self._take(target, purpose))
            yield

    def _take(self, target: str, purpose: str) -> int:
        path = self._directory.path("locks", target + ".lock")
        self._directory.folder(path.parent)
        with translated(path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                holder = os.pread(handle, 4096, 0)
                os.close(handle)
                raise locked(target, holder) from exc
            except BaseException:
                os.close(handle)
                raise
        with contextlib.suppress(OSError):  # the note is a courtesy; the lock itself is held
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(note_of(purpose, self._clock)).encode(), 0)
        return handle


def _let_go(handle: int) -> None:
    with contextlib.suppress(OSError):  # the next holder is never mistaken for this one
        os.ftruncate(handle, 0)
    os.close(handle)


def note_of(purpose: str, clock: Clock) -> dict[str, Any]:
    """Who holds a lock, for the message to those who find it held."""
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "purpose": purpose,
        "since": timestamp(clock.now()),
    }


def locked(target: str, holder: bytes) -> Locked:
    """The error of who finds a lock held; `holder` is the holder's note, if it can be read."""
    try:
        note = json.loads(holder)
        who = f"{note['purpose']} (process {note['pid']} on {note['host']}, since {note['since']})"
    except (ValueError, KeyError, TypeError, RecursionError):
        note, who = {}, "another run"
    return Locked(
        f"{target}: {who} holds the lock", hint="wait for it to end, then run again", details={"holder": note}
    )
