"""Frozen targets, over all machines that share a state. Judges nothing."""

from __future__ import annotations

from typing import Any

from sophia_cli.store.directory import decoded
from sophia_cli.store.documents import Documents


class StoredFreezes:
    """One document, `freezes`: the patterns, sorted."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def patterns(self) -> frozenset[str]:
        """The frozen patterns. Raises `StateError` for a document of somebody else's: nobody may take it for a thaw."""
        return self._known(await self._documents.read("freezes"))

    async def freeze(self, pattern: str) -> None:
        """Add a pattern."""
        await self._documents.change(lambda data: sorted(self._known(data) | {pattern}), "freezes")

    async def thaw(self, pattern: str) -> bool:
        """Remove a pattern; False when it was not there."""
        was_there = False

        def move(data: Any) -> Any:
            nonlocal was_there
            patterns = self._known(data)
            was_there = pattern in patterns
            return sorted(patterns - {pattern}) if was_there else data

        await self._documents.change(move, "freezes")
        return was_there

    def _known(self, data: Any) -> frozenset[str]:
        return frozenset() if data is None else decoded(self._documents.place("freezes"), data, _patterns)


def _patterns(data: Any) -> frozenset[str]:
    if not isinstance(data, list) or not all(isinstance(pattern, str) for pattern in data):
        raise TypeError("not a list of patterns")
    return frozenset(data)
