"""The course of a run: its value as its targets move on side by side, saved in the journal at each step."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from sophia_cli.core.changes import Change
from sophia_cli.core.history import Phase, Run
from sophia_cli.core.ports import Journal


class Course:
    """One run while it moves. Each step is durable before its method returns; steps made at once share one save."""

    def __init__(self, run: Run, journal: Journal) -> None:
        self.run = run
        self._journal = journal
        self._saved: Run | None = None
        self._saving = asyncio.Lock()

    async def to(self, target: str, phase: Phase, message: str = "", notes: Sequence[str] = ()) -> None:
        """Move one target's part on. Raises `StateError` when it cannot be recorded."""
        self.run = replace(self.run.with_leg(target, phase, message), notes=(*self.run.notes, *notes))
        await self.save()

    async def know(self, changes: Sequence[Change]) -> None:
        """Replace changes, by id, with the same ones whose values have become known."""
        known = {change.id: change for change in changes}
        self.run = replace(self.run, changes=tuple(known.get(change.id, change) for change in self.run.changes))
        await self.save()

    async def save(self) -> None:
        """Store the run as it is now, unless another step's save already held it."""
        async with self._saving:
            run = self.run
            if self._saved is not run:
                await self._journal.save(run)
                self._saved = run
