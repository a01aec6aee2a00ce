"""Live web: what the checks want to know of web servers, asked once, and the times it took kept. Writes measurements only."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from sophia_cli.checks.performance_web import samples
from sophia_cli.checks.web import wishes
from sophia_cli.core.errors import StateError

if TYPE_CHECKING:
    from sophia_cli.agents.base import Facts
    from sophia_cli.core.trends import Measurements
    from sophia_cli.core.web_facts import Fetch, Visits, WebPort

    Wish = Callable[[Facts], tuple[Fetch, ...]]


async def with_web(facts: Sequence[Facts], port: WebPort, wish: Wish = wishes) -> list[Facts]:
    """The facts of several zones with what web servers answered, all asked at once and each address once."""
    wanted = [wish(one) for one in facts]
    visits = await port.visit_all(tuple(fetch for fetches in wanted for fetch in fetches))
    return [
        replace(one, background=replace(one.background, http=_of(fetches, visits)))
        for one, fetches in zip(facts, wanted, strict=True)
    ]


def _of(fetches: tuple[Fetch, ...], visits: Visits) -> Visits | None:
    """The visits of one zone's questions; None, which is *not tested*, where nobody asked any of them."""
    found = {fetch.url: visits[fetch.url] for fetch in fetches if fetch.url in visits}
    return found if found or not fetches else None


async def with_history(facts: Sequence[Facts], store: Measurements, now: datetime) -> list[Facts]:
    """The facts with earlier measurements, after today's were added. A state that cannot be used leaves history out."""
    found = []
    for one in facts:
        with contextlib.suppress(StateError):
            await store.add(one.target, samples(one, now))
            one = replace(one, background=replace(one.background, history=await store.of(one.target)))
        found.append(one)
    return found
