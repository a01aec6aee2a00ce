"""What people were told and when: the memory that keeps notifications few, over all machines that share a state."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sophia_cli.core.history import moment, timestamp
from sophia_cli.core.notifications import may_tell
from sophia_cli.store.directory import decoded
from sophia_cli.store.documents import Documents

_Matters = dict[str, dict[str, tuple[datetime, bool]]]


class StoredTold:
    """One document for all matters, `alerts`: by matter and channel the time, and whether it was delivered then."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def take(self, channel: str, key: str, now: datetime) -> bool:
        """Whether a matter is ours to tell now; of several who ask at the same moment one is given it."""
        is_ours = False

        def move(data: Any) -> Any:
            nonlocal is_ours
            # What may be told again need not be remembered.
            live = {
                matter: {name: entry for name, entry in times.items() if not may_tell(*entry, now)}
                for matter, times in self._matters(data).items()
            }
            is_ours = channel not in live.get(key, {})
            if is_ours:
                live.setdefault(key, {})[channel] = (now, False)
            return _data(live)

        await self._documents.change(move, "alerts")
        return is_ours

    async def note(self, channel: str, key: str, at: datetime) -> None:
        """It was delivered."""

        def move(data: Any) -> Any:
            matters = self._matters(data)
            matters.setdefault(key, {})[channel] = (at, True)
            return _data(matters)

        await self._documents.change(move, "alerts")

    async def let_go(self, channel: str, key: str, at: datetime) -> None:
        """It could not be delivered; what somebody else took or told meanwhile stays."""

        def move(data: Any) -> Any:
            matters = self._matters(data)
            if matters.get(key, {}).get(channel) == (at, False):
                del matters[key][channel]
            return _data(matters)

        await self._documents.change(move, "alerts")

    async def forget(self, key: str) -> None:
        """Forget a matter on every channel."""
        if await self._documents.read("alerts") is not None:
            await self._documents.change(
                lambda data: _data({name: times for name, times in self._matters(data).items() if name != key}),
                "alerts",
            )

    def _matters(self, data: Any) -> _Matters:
        return {} if data is None else decoded(self._documents.place("alerts"), data, _matters)


def _data(matters: _Matters) -> dict[str, Any]:
    return {
        key: {name: {"at": timestamp(at), "told": told} for name, (at, told) in sorted(times.items())}
        for key, times in sorted(matters.items())
        if times
    }


def _matters(data: Any) -> _Matters:
    return {
        key: {channel: (moment(entry["at"]), bool(entry["told"])) for channel, entry in times.items()}
        for key, times in data.items()
    }
