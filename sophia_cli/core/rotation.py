"""Rotations: the four steps of replacing a secret, as journalled values, and the ports they need. Holds no secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from sophia_cli.core.history import moment, timestamp

Step = Literal["create", "set", "test", "finish", "done"]
STEPS: tuple[Step, ...] = ("create", "set", "test", "finish", "done")


@dataclass(frozen=True, slots=True)
class Rotation:
    """One rotation, saved before each step, so that a killed one is taken up where it stopped.

    The steps are those of AWS Secrets Manager's rotation functions: create (make the new value, the old stays), set
    (install it), test (use it), finish (only then the old one goes). `pending` and `old` are keyed digests; `ref` and
    `old_ref` are what the provider calls the new and the old value (an id, no secret).
    """

    id: str
    path: str
    kind: str
    started: datetime
    step: Step = "create"
    pending: str | None = None
    old: str | None = None
    ref: str | None = None
    old_ref: str | None = None
    consumers: Mapping[str, str | None] = field(default_factory=dict)
    """Each place the value is handed to, with the mark it carried before (None: not handed over yet)."""
    finished: datetime | None = None
    sealed_by: str = ""
    """The name of the key that the digests were made with, which only the machine that began it has."""

    def data(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "id": self.id,
            "path": self.path,
            "kind": self.kind,
            "started": timestamp(self.started),
            "step": self.step,
            "pending": self.pending,
            "old": self.old,
            "ref": self.ref,
            "old_ref": self.old_ref,
            "consumers": dict(self.consumers),
            "finished": None if self.finished is None else timestamp(self.finished),
            "sealed_by": self.sealed_by,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Rotation:
        """The rotation of its stored form."""
        ended = data["finished"]
        return cls(**{**data, "started": moment(data["started"]), "finished": None if ended is None else moment(ended)})


@dataclass(frozen=True, slots=True, repr=False)
class New:
    """A fresh value and what its provider calls it. Never shown."""

    value: str
    ref: str | None = None


class Seals(Protocol):
    """Keyed digests of secret values, and the values that this process itself has seen."""

    @property
    def name(self) -> str:
        """What tells the key from another machine's."""
        ...

    def seal(self, value: Any) -> str:
        """The keyed digest of a value (JSON data), which is remembered until the process ends."""
        ...

    def opened(self, seal: str) -> Any:
        """The value of a digest; None when this process has not seen it."""
        ...


class Rotations(Protocol):
    """What the state knows of secrets: rotations and when each value was first seen, over all machines that share it."""

    def place(self, path: str) -> str:
        """Where the rotation of a path is kept, as messages name it."""
        ...

    async def load(self, path: str) -> Rotation | None:
        """The newest rotation of a path."""
        ...

    async def save(self, rotation: Rotation) -> None:
        """Store it durably, replacing the earlier form. Raises `Refused` when another one of its path is open."""
        ...

    async def first_seen(self, values: Mapping[str, str], now: datetime) -> Mapping[str, datetime]:
        """When the value at each path was first seen; a value not seen before is noted as of now."""
        ...


class Source(Protocol):
    """Where new values come from and old ones are revoked. `acting` is the value that is in use, which asks for it."""

    @property
    def kind(self) -> str:
        """Its name, such as `generated` or `pulumi-token`."""
        ...

    @property
    def lists(self) -> bool:
        """Whether it knows its values by name, so that an old one can be ended and a lost one be found."""
        ...

    async def refs(self, acting: str) -> Mapping[str, str]:
        """What the provider calls each valid value, with the rotation that made it (empty: none of ours)."""
        ...

    async def create(self, rotation: Rotation, now: datetime, acting: str) -> New:
        """A new value for this rotation; the old one stays valid. What an earlier try of it left behind is removed."""
        ...

    async def test(self, value: str) -> None:
        """Use the value. Raises `CredentialsRejected` when it is refused, another `SophiaError` when nobody could say."""
        ...

    async def revoke(self, value: str, ref: str) -> None:
        """End the value called `ref`, acting with `value`; one that is gone already is no error."""
        ...

    async def abandon(self, rotation: Rotation, acting: str) -> None:
        """Remove what this rotation made; the old value stays."""
        ...


class Consumer(Protocol):
    """A place that needs a copy of the value and never shows it."""

    @property
    def name(self) -> str:
        """Such as `github:owner/repo/NAME`."""
        ...

    async def mark(self) -> str:
        """What tells one copy from the next (a time of change); empty when there is none yet."""
        ...

    async def put(self, value: str) -> None:
        """Hand the value over."""
        ...
