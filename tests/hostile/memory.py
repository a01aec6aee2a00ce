"""A memory of models that keeps nothing."""

from __future__ import annotations


class Forgetful:
    """Every question is the first one."""

    async def rung(self, host: str, model: str) -> str | None:
        return None

    async def remember(self, host: str, model: str, rung: str) -> None:
        return None

    async def recall(self, key: str) -> str | None:
        return None

    async def keep(self, key: str, text: str) -> None:
        return None
