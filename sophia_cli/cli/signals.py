"""Signals: Ctrl-C outside a write stops at once; inside one it waits until the write is settled."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SignalGuard:
    """Turns SIGINT, SIGTERM and SIGHUP into a cancelled task, or, inside a write, into a request to stop after it.

    A second signal inside a write gives up waiting; the journal then lets `sophia heal` settle the run.
    """

    def __init__(self) -> None:
        self._writing = 0
        self._stop = False
        self._given_up = False
        self._task: asyncio.Task[object] | None = None

    def stop_requested(self) -> bool:
        """Whether a signal came inside a write."""
        return self._stop

    @property
    def was_torn(self) -> bool:
        """Whether a write was given up in the middle."""
        return self._given_up

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """A part that must not be torn."""
        self._writing += 1
        try:
            yield
        finally:
            self._writing -= 1

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Handle the signals while the running task lasts."""
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._received)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _received(self) -> None:
        if self._writing and not self._stop:
            self._stop = True
            print("stopping when this write is settled; once more to give up waiting", file=sys.stderr)
            return
        self._given_up = bool(self._writing)
        if self._task is not None:
            self._task.cancel()
