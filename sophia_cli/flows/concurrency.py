"""Work side by side, bounded: the first failure stops the rest and is raised as it is. Orders nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

IN_FLIGHT = 16

Item = TypeVar("Item")
Result = TypeVar("Result")


async def side_by_side(
    work: Callable[[Item], Awaitable[Result]], items: Iterable[Item], *, limit: int = IN_FLIGHT
) -> tuple[Result, ...]:
    """The results in the order of the items, at most `limit` at a time."""
    gate = asyncio.Semaphore(limit)

    async def one(item: Item) -> Result:
        async with gate:
            return await work(item)

    tasks = [asyncio.ensure_future(one(item)) for item in items]
    try:
        return tuple(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
