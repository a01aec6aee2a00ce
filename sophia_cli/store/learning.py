"""Lessons as a file of the state directory: what people answered to proposals, typed. Judges nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sophia_cli.core.learning import Lesson
from sophia_cli.store.directory import Directory, decoded

MOST = 2_000  # lessons kept; the oldest go first


class FileLessons:
    """`learning.json`, changed under a lock and replaced atomically."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def add(self, lessons: Sequence[Lesson]) -> None:
        """Remember them; of two writers none loses the other's."""
        if not lessons:
            return
        with self._directory.alone("learning.lock"):
            known = (*await self.all(), *lessons)
            self._directory.write([lesson.data() for lesson in known[-MOST:]], "learning.json")

    async def all(self) -> tuple[Lesson, ...]:
        """What is remembered, oldest first. Raises `StateError` for a file of somebody else's."""
        data = self._directory.read("learning.json")
        return () if data is None else decoded(self._directory.path("learning.json"), data, _lessons)


def _lessons(data: Any) -> tuple[Lesson, ...]:
    if not isinstance(data, list):
        raise TypeError("a list of lessons is expected")
    return tuple(Lesson.from_data(one) for one in data)
