"""What people were told and when, as files of the state directory: the memory that keeps notifications few."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sophia_cli.core.history import moment, timestamp
from sophia_cli.store.directory import Directory, decoded


class FileTold:
    """One file for all matters, `told.json`, changed under a lock."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def when(self, channel: str, key: str) -> datetime | None:
        """When a matter was last told on a channel."""
        return self._load().get(key, {}).get(channel)

    async def note(self, channel: str, key: str, at: datetime) -> None:
        """Remember it."""
        with self._directory.alone("told.lock"):
            known = self._load()
            known.setdefault(key, {})[channel] = at
            self._save(known)

    async def forget(self, key: str) -> None:
        """Forget it on every channel."""
        if key not in self._load():
            return
        with self._directory.alone("told.lock"):
            known = self._load()
            known.pop(key, None)
            self._save(known)

    def _load(self) -> dict[str, dict[str, datetime]]:
        data = self._directory.read("told.json")
        return {} if data is None else decoded(self._directory.path("told.json"), data, _times)

    def _save(self, known: dict[str, dict[str, datetime]]) -> None:
        self._directory.write(
            {key: {name: timestamp(at) for name, at in sorted(times.items())} for key, times in sorted(known.items())},
            "told.json",
        )


def _times(data: Any) -> dict[str, dict[str, datetime]]:
    return {key: {channel: moment(at) for channel, at in times.items()} for key, times in data.items()}
