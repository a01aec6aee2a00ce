"""Documents: small JSON values that several processes change, as files or on a Redis server. Knows nothing of what they mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from sophia_cli.core.errors import StateError
from sophia_cli.store.chain import json_data
from sophia_cli.store.directory import Directory
from sophia_cli.store.redis_server import Server

Move = Callable[[Any], Any]
"""From what stands there (None: nothing) to what shall stand there; called again when another process came between."""

_TRIES = 500  # each failed one means that another process went on


class Documents(Protocol):
    """Values by name. What cannot be read is a `StateError` that names its place, and is never taken for nothing."""

    def place(self, *name: str) -> str:
        """Where a document stands, as messages name it."""
        ...

    async def read(self, *name: str) -> Any | None:
        """What stands there, or None."""
        ...

    async def change(self, move: Move, *name: str) -> None:
        """Replace what stands there durably, no other process coming between. What `move` raises leaves it as it was."""
        ...


class FileDocuments:
    """One file a document, changed under a lock file beside it and replaced atomically."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def place(self, *name: str) -> str:
        """The path."""
        return str(self._directory.path(*_entry(name)))

    async def read(self, *name: str) -> Any | None:
        """The content of the file."""
        return self._directory.read(*_entry(name))

    async def change(self, move: Move, *name: str) -> None:
        """Read, move and write under the lock."""
        *folder, last = name
        with self._directory.alone(*folder, last + ".lock"):
            before = await self.read(*name)
            after = move(before)
            if after != before:
                self._directory.write(after, *_entry(name))


class RedisDocuments:
    """One key a document, replaced only where it still holds what was read (a script compares and sets in one step)."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def place(self, *name: str) -> str:
        """Server and key."""
        return self._server.place(*name)

    async def read(self, *name: str) -> Any | None:
        """The value of the key."""
        return self._data(await self._content(name), name)

    async def change(self, move: Move, *name: str) -> None:
        """Read, move and set, again from the start when another process was faster."""
        key = self._server.key(*name)
        for _ in range(_TRIES):
            content = await self._content(name)
            before = self._data(content, name)
            after = move(before)
            if after == before or await self._server.swap(key, content, json.dumps(after)):
                return
        raise StateError(f"{self.place(*name)}: too many processes change it", hint="run the command again")

    async def _content(self, name: tuple[str, ...]) -> bytes | None:
        content: bytes | None = await self._server.command("GET", self._server.key(*name))
        return content

    def _data(self, content: bytes | None, name: tuple[str, ...]) -> Any | None:
        if content is None:
            return None
        data = json_data(content, self.place(*name))
        if data is None:
            raise StateError(f"{self.place(*name)} holds null", hint="restore it from a backup, or remove it")
        return data


def _entry(name: tuple[str, ...]) -> tuple[str, ...]:
    return (*name[:-1], name[-1] + ".json")
