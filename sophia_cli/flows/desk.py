"""What changes of whole stacks are planned on: the environment, its file, its zones, and stacks made anew. Plans nothing."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sophia_cli.core.errors import Refused
from sophia_cli.core.ports import EnvironmentFile, ReadPort, StackPort, Store
from sophia_cli.core.rotation import Seals
from sophia_cli.core.settings import Settings, Stack

Restack = Callable[[Stack, Mapping[str, Any]], Awaitable[StackPort]]
"""The target of a stack with configuration laid over what the environment gives it; it replaces the command's own."""

_BARE = re.compile(r"[A-Za-z_]\w*\Z")


@dataclass(frozen=True, slots=True)
class Desk:
    """What a plan about stacks is made from. `restack` is None where the engine's command is missing.

    `readers` are the zones that can be read; `seals` stand for secret values of the file that an edit removes.
    """

    settings: Settings
    file: EnvironmentFile | None
    store: Store
    restack: Restack | None
    now: datetime
    readers: Mapping[str, ReadPort] = field(default_factory=dict)
    seals: Seals | None = None
    overrides: Mapping[str, frozenset[str]] = field(default_factory=dict)

    async def stack(self, stack: Stack, config: Mapping[str, Any] | None = None) -> StackPort:
        """The target of a stack with `config` laid over its own. Raises `Refused` without the engine's command."""
        if self.restack is None:
            raise Refused(
                f"stack {stack.name} is left out: the pulumi command is not here", hint="sophia doctor --install-pulumi"
            )
        return await self.restack(stack, config or {})

    def writable(self, by_hand: str) -> EnvironmentFile:
        """The environment's file. Raises `Refused`, with what to do by hand, where it cannot be written."""
        if self.file is None:
            raise Refused(
                f"the environment {self.settings.environment} cannot be written, so the change would not last",
                hint=f"{by_hand}, then run: sophia deploy",
            )
        return self.file


def joined(*keys: str) -> str:
    """A path of keys, quoted where Pulumi quotes them (ESC, "Property access"): `a.b`, `a["x-y"]`."""
    first, *rest = keys
    escaped = ((key, key.replace('"', '\\"')) for key in rest)
    return first + "".join(f".{key}" if _BARE.match(key) else f'["{text}"]' for key, text in escaped)
