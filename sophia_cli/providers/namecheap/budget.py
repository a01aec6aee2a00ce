"""The rate budget of one account: how many calls may be made, and when. Keeps no record of its own beyond this process."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sophia_cli.core.errors import RateLimited

# Calls per seconds for each user (Namecheap support; facts 1).
WINDOWS = ((20, 60.0), (700, 3600.0), (8000, 86400.0))

Windows = tuple[tuple[int, float], ...]
Calls = tuple[int, ...]
Move = Callable[[int, Calls | None], Calls]


@dataclass(frozen=True, slots=True)
class Used:
    """How much of one window is used now."""

    calls: int
    limit: int
    window_s: float


class Budget(Protocol):
    """What a client asks before each call, retries included."""

    async def spend(self) -> None:
        """Take one call; wait until it may be made. Raises RateLimited when that takes too long."""

    async def spent(self) -> tuple[Used, ...]:
        """How much of each window is used now; nothing when there are no limits."""
        ...

    async def wait_for(self, calls: int) -> float:
        """Seconds until the last of that many calls may start, if nobody else makes any."""
        ...


class Ledger(Protocol):
    """Where calls are written down for all who share them: milliseconds since 1970, ascending. It also tells the time.

    None instead of calls: something stands there that cannot be read.
    """

    async def read(self) -> tuple[int, Calls | None]:
        """The time now and the calls so far."""
        ...

    async def exchange(self, move: Move) -> None:
        """Replace the calls by what `move` makes of the time and the calls, in one step; `move` may be run again."""
        ...


class Unlimited:
    """The budget of a loopback endpoint: the sandbox keeps its own limits."""

    async def spend(self) -> None:
        """Take one call."""

    async def spent(self) -> tuple[Used, ...]:
        """Nothing is counted."""
        return ()

    async def wait_for(self, calls: int) -> float:
        """No wait."""
        return 0.0


class WindowBudget:
    """Sliding windows over the calls of this process."""

    def __init__(
        self,
        windows: Windows = WINDOWS,
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
        at = _next(self._calls, now, self._windows)
        if at - now > self._max_wait_s:
            raise _used_up(at - now)
        self._calls.append(at)
        if at > now:
            await self._sleep(at - now)

    async def spent(self) -> tuple[Used, ...]:
        """How much of each window is used now, reservations included."""
        return _used(sorted(self._calls), self._clock(), self._windows)

    async def wait_for(self, calls: int) -> float:
        """Seconds until the last of that many calls may start."""
        return _wait(sorted(self._calls), self._clock(), calls, self._windows)


class SharedBudget:
    """Sliding windows over the calls of every process that shares a ledger.

    A call is reserved, waited for, and then stamped with the moment it is really made; whoever overslept is checked
    again, so that the stamps never break a window whatever the processes do. A process killed while it waits leaves its
    reservation: the budget errs to the safe side. A clock set forward makes calls look older than they are and cannot be
    noticed; one set backwards is (see `_mended`).
    """

    def __init__(
        self,
        ledger: Ledger,
        windows: Windows = WINDOWS,
        *,
        max_wait_s: float = 120.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._ledger = ledger
        self._windows = tuple((limit, round(window_s * 1000)) for limit, window_s in windows)
        self._max_wait_ms = round(max_wait_s * 1000)
        self._sleep = sleep

    async def spend(self) -> None:
        """Take one call. Raises RateLimited when the wait is too long; nothing stays reserved then."""
        mine: int | None = None
        waited_ms = 0
        while True:
            now, at = await self._take(mine, self._max_wait_ms - waited_ms)
            if at <= now:
                return
            mine = at
            waited_ms += at - now
            await self._sleep((at - now) / 1000)

    async def spent(self) -> tuple[Used, ...]:
        """How much of each window is used now, by all processes, reservations included."""
        now, calls = await self._ledger.read()
        used = _used(self._mended(now, calls), now, self._windows)
        return tuple(Used(one.calls, one.limit, one.window_s / 1000) for one in used)

    async def wait_for(self, calls: int) -> float:
        """Seconds until the last of that many calls may start, if no other process makes any."""
        now, known = await self._ledger.read()
        return _wait(self._mended(now, known), now, calls, self._windows) / 1000

    async def _take(self, mine: int | None, patience_ms: int) -> tuple[int, int]:
        """The time, and the moment this call now has in the ledger; instead of `mine`, its earlier reservation."""
        found = (0, 0)

        def move(now: int, known: Calls | None) -> Calls:
            nonlocal found
            calls = self._mended(now, known)
            if mine is not None and mine in calls:
                calls.remove(mine)
            made = calls[: bisect_right(calls, now)]
            at = round(_next(made, now, self._windows))
            if (
                at > now or mine is None
            ):  # queue up behind those who wait; who has waited does not, or none would ever go
                at = round(_next(calls, now, self._windows))
            found = (now, at)
            if at - now <= patience_ms:
                calls.insert(bisect_right(calls, at), at)
            return tuple(calls)

        await self._ledger.exchange(move)
        now, at = found
        if at - now > patience_ms:
            raise _used_up((at - now) / 1000)
        return now, at

    def _mended(self, now: int, calls: Calls | None) -> list[int]:
        """The calls that still count, sorted; what cannot be true is taken for calls just made, never for none.

        Nobody reserves further ahead than the longest wait, so a later call was written before the clock went back. It is
        put at the present, and from there ages. A ledger that cannot be read counts as a full one: the shortest window
        filled at this moment, the longer ones evenly.
        """
        if calls is None:
            return self._full(now)
        horizon, oldest = now + self._max_wait_ms, now - max(window for _, window in self._windows)
        kept = sorted(now if call > horizon else call for call in calls if call > oldest)
        return kept[-4 * max(limit for limit, _ in self._windows) :]

    def _full(self, now: int) -> list[int]:
        calls: list[int] = []
        inner = 0.0
        for index, (limit, window) in enumerate(sorted(self._windows, key=lambda one: one[1])):
            missing = limit - len(calls)
            step = (window - inner) / max(1, missing)
            calls += [now if index == 0 else round(now - inner - step * count) for count in range(missing)]
            inner = window
        return sorted(calls)


def _next(calls: Sequence[float], now: float, windows: Sequence[tuple[int, float]]) -> float:
    """The first moment at which one more call fits behind the others in every window."""
    at = now
    for limit, window in windows:
        if len(calls) >= limit:
            at = max(at, calls[-limit] + window)
    return at


def _used(calls: Sequence[float], now: float, windows: Sequence[tuple[int, float]]) -> tuple[Used, ...]:
    return tuple(Used(len(calls) - bisect_right(calls, now - window), limit, window) for limit, window in windows)


def _wait(calls: Sequence[float], now: float, more: int, windows: Sequence[tuple[int, float]]) -> float:
    line, at = deque(calls, maxlen=max(limit for limit, _ in windows)), now
    for _ in range(more):
        at = _next(line, now, windows)
        line.append(at)
    return at - now


def _used_up(wait_s: float) -> RateLimited:
    return RateLimited(
        f"Namecheap's rate budget is used up for {wait_s:.0f} s",
        hint="20 calls a minute, 700 an hour, 8000 a day; run again later",
        details={"provider": "namecheap", "wait_s": round(wait_s)},
    )
