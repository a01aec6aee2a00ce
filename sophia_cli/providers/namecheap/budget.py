"""The rate budget of one account: how many calls may be made, and when. Counts in this process only."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from sophia_cli.core.errors import RateLimited

# Calls per seconds for each user (Namecheap support; facts 1).
WINDOWS = ((20, 60.0), (700, 3600.0), (8000, 86400.0))


class Budget(Protocol):
    """What a client asks before each call, retries included."""

    async def spend(self) -> None:
        """Take one call; wait until it may be made. Raises RateLimited when that takes too long."""


class Unlimited:
    """The budget of a loopback endpoint: the sandbox keeps its own limits."""

    async def spend(self) -> None:
        """Take one call."""


class WindowBudget:
    """Sliding windows over the calls of this process."""

    def __init__(
        self,
        windows: tuple[tuple[int, float], ...] = WINDOWS,
        *,
        max_wait_s: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._windows = windows
        self._max_wait_s = max_wait_s
        self._clock = clock
        self._sleep = sleep
        self._calls: deque[float] = deque(maxlen=max(limit for limit, _ in windows))

    async def spend(self) -> None:
        """Reserve the next free moment at once, then wait for it: callers side by side queue up behind each other."""
        now = self._clock()
        at = self._next(now)
        if at - now > self._max_wait_s:
            raise RateLimited(
                f"Namecheap's rate budget is used up for {at - now:.0f} s",
                hint="20 calls a minute, 700 an hour, 8000 a day; run again later",
                details={"provider": "namecheap", "wait_s": round(at - now)},
            )
        self._calls.append(at)
        if at > now:
            await self._sleep(at - now)

    def _next(self, now: float) -> float:
        at = now
        for limit, window in self._windows:
            if len(self._calls) >= limit:
                at = max(at, self._calls[-limit] + window)
        return at
