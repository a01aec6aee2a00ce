"""Versions of a secret as values: which one is in use, and which one is still valid beside it. Holds no secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sophia_cli.core.canonical import digest_of

PREVIOUS = "previous_secrets"
"""The section of the environment that holds the old value, as a secret, until the rotation is finished."""
MARKER = "fn::secret"
VALUE, MARKED = "value", "marked"
"""What a rotation publishes for the edit of the environment: the keyed digest of the new text, plain and marked as secret."""


@dataclass(frozen=True, slots=True)
class SecretVersions:
    """The versions of one secret as a payload: names and keyed digests, never a value."""

    path: str
    source: str
    current: str
    beside: str | None = None
    """The version that is valid beside the current one; None when there is one alone."""
    consumers: tuple[str, ...] = ()
    """The places that hold a copy."""

    @property
    def is_alone(self) -> bool:
        """Whether one version alone is valid."""
        return self.beside is None

    def data(self) -> dict[str, Any]:
        """The public shape (`secret.rotate`)."""
        return {
            "path": self.path,
            "source": self.source,
            "current": self.current,
            "beside": self.beside,
            "consumers": list(self.consumers),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> SecretVersions:
        """The payload of its public shape."""
        return cls(data["path"], data["source"], data["current"], data["beside"], tuple(data["consumers"]))


@dataclass(frozen=True, slots=True)
class SecretState:
    """One secret as it was read: what stands in the environment, how far its rotation is, and what lies outside."""

    path: str
    value: str
    """The keyed digest of the text in the environment's file."""
    rotation: str = ""
    """The id of the newest rotation."""
    step: str = "done"
    is_set: bool = False
    """Whether the environment's file holds the value that this rotation made."""
    made: tuple[str, ...] = ()
    """What the provider calls the values that this rotation made and that are valid."""
    old_lives: bool = True
    """Whether the provider still has the old value, where it tells."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """By consumer, what tells its copy from the next one."""

    def data(self) -> dict[str, Any]:
        """The canonical JSON form."""
        return {
            "secret": self.path,
            "value": self.value,
            "rotation": self.rotation,
            "step": self.step,
            "is_set": self.is_set,
            "made": list(self.made),
            "old_lives": self.old_lives,
            "marks": dict(self.marks),
        }

    def digest(self) -> str:
        """`sha256:...` of the content: what a plan is bound to."""
        return digest_of(self.data())

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> SecretState:
        """The state of its stored form."""
        fields = {name: value for name, value in data.items() if name not in ("secret", "made")}
        return cls(path=data["secret"], made=tuple(data["made"]), **fields)


def secret_target(path: str) -> str:
    """The target id of a secret: `secret:app.password`."""
    return f"secret:{path}"


def previous_path(path: str) -> str:
    """Where the old value stands while two are valid."""
    return f"{PREVIOUS}.{path}" if path.isidentifier() else f"{PREVIOUS}[{json.dumps(path)}]"


def text_path(path: str, standing: Any) -> str:
    """The path of the text itself: inside `fn::secret` where the value at `path` is marked so."""
    return f'{path}["{MARKER}"]' if isinstance(standing, dict) and MARKER in standing else path
