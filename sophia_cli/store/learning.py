"""Lessons: what people answered to proposals, typed, over all machines that share a state. Judges nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sophia_cli.core.learning import Lesson
from sophia_cli.store.directory import decoded
from sophia_cli.store.documents import Documents

MOST = 2_000  # lessons kept; the oldest go first


class StoredLessons:
    """One document, `learning`."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def add(self, lessons: Sequence[Lesson]) -> None:
        """Remember them; of two writers none loses the other's."""
        if lessons:
            await self._documents.change(
                lambda data: [lesson.data() for lesson in (*self._lessons(data), *lessons)[-MOST:]], "learning"
            )

    async def all(self) -> tuple[Lesson, ...]:
        """What is remembered, oldest first. Raises `StateError` for a document of somebody else's."""
        return self._lessons(await self._documents.read("learning"))

    def _lessons(self, data: Any) -> tuple[Lesson, ...]:
        return () if data is None else decoded(self._documents.place("learning"), data, _lessons)


def _lessons(data: Any) -> tuple[Lesson, ...]:
    if not isinstance(data, list):
        raise TypeError("a list of lessons is expected")
    return tuple(Lesson.from_data(one) for one in data)
