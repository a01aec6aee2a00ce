"""What is remembered of language models, as files in the state directory: answer forms and answers. Judges nothing."""

from __future__ import annotations

from typing import Any

from sophia_cli.core.errors import StateError
from sophia_cli.core.language import LONGEST_ANSWER
from sophia_cli.store.directory import Directory

MOST_ANSWERS = 200  # the rest go, in the order of their names


class FileModelMemory:
    """`models/rungs.json` and `models/answers/KEY.json`. Answers are kept as they came: with pseudonyms, without secrets.

    A file that cannot be read or written counts as not there: it costs one more request.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def rung(self, host: str, model: str) -> str | None:
        """The best form of answer that a host was found to take."""
        found = self._read("models", "rungs.json").get(f"{host} {model}")
        return found if isinstance(found, str) else None

    async def remember(self, host: str, model: str, rung: str) -> None:
        """Note it, unless it is known."""
        known = self._read("models", "rungs.json")
        if known.get(f"{host} {model}") != rung:
            self._write({**known, f"{host} {model}": rung}, "models", "rungs.json")

    async def recall(self, key: str) -> str | None:
        """A kept answer."""
        found = self._read("models", "answers", key + ".json").get("answer")
        return found if isinstance(found, str) and len(found) <= LONGEST_ANSWER else None

    async def keep(self, key: str, text: str) -> None:
        """Keep an answer; past `MOST_ANSWERS` others go."""
        self._write({"answer": text}, "models", "answers", key + ".json")
        try:
            for path in self._directory.names("models", "answers")[MOST_ANSWERS:]:
                path.unlink(missing_ok=True)
        except (StateError, OSError):
            return

    def _read(self, *parts: str) -> dict[str, Any]:
        try:
            data = self._directory.read(*parts)
        except StateError:
            return {}
        return data if isinstance(data, dict) else {}

    def _write(self, data: dict[str, Any], *parts: str) -> None:
        try:
            self._directory.write(data, *parts)
        except StateError:
            return
