"""Notifications: what is told to people who are not looking, when it is told again, and the port that tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

Level = Literal["info", "warning", "critical"]

AGAIN_AFTER = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to tell. `key` names the matter: the same key is told once in `AGAIN_AFTER`, whatever its words.

    `details` is JSON data. Nothing in it is secret; texts of others are shown by the reader's program as plain text.
    """

    key: str
    level: Level
    title: str
    text: str
    target: str
    at: datetime
    details: Mapping[str, Any] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        """The public shape (`sophia.notification/1`)."""
        return {
            "key": self.key,
            "level": self.level,
            "title": self.title,
            "text": self.text,
            "target": self.target,
            "at": self.at.isoformat().replace("+00:00", "Z"),
            "details": dict(self.details),
        }


def is_news(last: datetime | None, now: datetime) -> bool:
    """Whether a matter told at `last` may be told now. A time in the future is a clock that was set back: it is told."""
    return last is None or last > now or now - last >= AGAIN_AFTER


class Notifier(Protocol):
    """One way to reach people."""

    @property
    def name(self) -> str:
        """What it is called in the log: without addresses or keys."""
        ...

    async def send(self, message: Message) -> None:
        """Tell it. Raises `Unreachable`, `ProviderRefused`, `CredentialsRejected` or `BadResponse`."""
        ...


class Told(Protocol):
    """What was told and when, over all processes that share a state."""

    async def when(self, channel: str, key: str) -> datetime | None:
        """When a matter was last told this way."""
        ...

    async def note(self, channel: str, key: str, at: datetime) -> None:
        """Remember it durably."""
        ...

    async def forget(self, key: str) -> None:
        """The matter is settled: when it comes back it is news on every channel."""
        ...
