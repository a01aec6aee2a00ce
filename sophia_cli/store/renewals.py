"""What renewing remembers between runs, over all machines that share a state: schedules and what was spent. Renews nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sophia_cli.core.rate_limits import Ledger
from sophia_cli.core.renewal import RenewalState
from sophia_cli.store.directory import decoded
from sophia_cli.store.documents import Documents

MOST_SCHEDULES = 20  # of one name: its certificates on all machines; those changed longest ago go first

_Schedules = dict[str, RenewalState]


class StoredRenewals:
    """`renewals/NAME`, the schedules by serial, and `authorities/HOST`, what was spent there."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def schedule(self, name: str, serial: str | None) -> RenewalState:
        """The schedule of one certificate; an empty one when there is none."""
        known = self._schedules(name, await self._documents.read("renewals", name))
        return known.get(serial or "", RenewalState())

    async def reschedule(
        self, name: str, serial: str | None, move: Callable[[RenewalState], RenewalState]
    ) -> RenewalState:
        """Change it; what stands there afterwards."""
        after = RenewalState()

        def step(data: Any) -> Any:
            nonlocal after
            known = self._schedules(name, data)
            before = known.get(serial or "", RenewalState())
            after = move(before)
            if after == before:
                return data
            kept = [(other, state) for other, state in known.items() if other != (serial or "")]
            latest = [*kept[1 - MOST_SCHEDULES :], (serial or "", after)]
            return [[other, state.data()] for other, state in latest]

        await self._documents.change(step, "renewals", name)
        return after

    async def spent(self, host: str) -> Ledger:
        """What was spent at an authority."""
        return self._ledger(host, await self._documents.read("authorities", host))

    async def spend(self, host: str, move: Callable[[Ledger], Ledger]) -> None:
        """Count something."""
        await self._documents.change(lambda data: move(self._ledger(host, data)).data(), "authorities", host)

    def _schedules(self, name: str, data: Any) -> _Schedules:
        return {} if data is None else decoded(self._documents.place("renewals", name), data, _schedules)

    def _ledger(self, host: str, data: Any) -> Ledger:
        return Ledger() if data is None else decoded(self._documents.place("authorities", host), data, Ledger.from_data)


def _schedules(data: Any) -> _Schedules:
    if not isinstance(data, list):
        raise TypeError("a list of schedules is expected")
    return {serial: RenewalState.from_data(state) for serial, state in data}
