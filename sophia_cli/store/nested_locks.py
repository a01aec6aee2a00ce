"""Locks that a task may take again while it holds them: a write inside a write does not wait for itself."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar

from sophia_cli.core.ports import Locks

_HELD: ContextVar[frozenset[str]] = ContextVar("held_targets", default=frozenset())


class NestedLocks:
    """Other locks, of which only those that this task and its callers do not hold yet are taken.

    Tasks that run side by side below one holder count as one: they keep out of each other's way by themselves.
    """

    def __init__(self, locks: Locks) -> None:
        self._locks = locks

    def hold(self, targets: Sequence[str], purpose: str) -> AbstractAsyncContextManager[None]:
        """Hold what is not held yet."""
        return self._hold(frozenset(targets), purpose)

    async def assure(self, timeout_s: float) -> None:
        """As the locks below do."""
        await self._locks.assure(timeout_s)

    @contextlib.asynccontextmanager
    async def _hold(self, targets: frozenset[str], purpose: str) -> AsyncIterator[None]:
        held = _HELD.get()
        async with self._locks.hold(sorted(targets - held), purpose):
            token = _HELD.set(held | targets)
            try:
                yield
            finally:
                _HELD.reset(token)
