"""Notifications: what is told to people who are not looking, when it is told again, and the port that tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol
from unicodedata import category

Level = Literal["info", "warning", "critical"]

AGAIN_AFTER = timedelta(hours=24)
TELLING = timedelta(minutes=5)
"""How long who took a matter keeps others off; longer than a delivery takes, and what a killed process leaves ends with it."""


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


def visible(message: Message) -> Message:
    """The message with every control, steering and surrogate character written as its escape, so that each way can carry it.

    Certificates and authorities write parts of it. The text keeps its line ends; the title and the target have none.
    """
    text = "\n".join(map(_visible, message.text.splitlines()))
    details = {_visible(key): _visible_value(value) for key, value in message.details.items()}
    title, target = (" ".join(_visible(" ".join(one.split())).split()) for one in (message.title, message.target))
    return replace(message, title=title, text=text, target=target, details=details)


def _visible_value(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else _visible(str(value))


def _visible(text: str) -> str:
    return "".join(
        character.encode("unicode_escape").decode("ascii") if category(character)[0] == "C" else character
        for character in text
    )


def is_news(last: datetime | None, now: datetime) -> bool:
    """Whether a matter told at `last` may be told now. A time in the future is a clock that was set back: it is told."""
    return last is None or last > now or now - last >= AGAIN_AFTER


def may_tell(at: datetime, told: bool, now: datetime) -> bool:
    """Whether a matter that was told at that time, or else only taken, is anybody's again."""
    return is_news(at, now) if told else at > now or now - at >= TELLING


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

    async def take(self, channel: str, key: str, now: datetime) -> bool:
        """Whether a matter is ours to tell now: nobody told it this way lately, and nobody else is about to."""
        ...

    async def note(self, channel: str, key: str, at: datetime) -> None:
        """It was delivered: remember it durably."""
        ...

    async def let_go(self, channel: str, key: str, at: datetime) -> None:
        """What was taken at that time could not be delivered: whoever comes next may try."""
        ...

    async def forget(self, key: str) -> None:
        """The matter is settled: when it comes back it is news on every channel."""
        ...
