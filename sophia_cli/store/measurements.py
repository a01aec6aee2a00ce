"""Measurements, one document a target: bounded, over all machines that share a state. Judges nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sophia_cli.core.trends import Sample, Series
from sophia_cli.store.directory import decoded
from sophia_cli.store.documents import Documents

MOST_SAMPLES = 500  # of one series; the oldest go first
MOST_SERIES = 100  # of one target; those measured longest ago go first


class StoredMeasurements:
    """Measurements: `measurements/TARGET`, each series as [time, seconds] pairs, oldest first."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def add(self, target: str, samples: Mapping[str, Sample]) -> None:
        """Add one sample to each named series; of two writers none loses the other's."""
        if not samples:
            return

        def move(data: Any) -> Any:
            known = self._known(target, data)
            for name, sample in samples.items():
                known[name] = tuple(sorted({*known.get(name, ()), sample}))[-MOST_SAMPLES:]
            return _data(known)

        await self._documents.change(move, "measurements", target)

    async def of(self, target: str) -> Mapping[str, Series]:
        """The series of a target by name; empty when there are none. Raises `StateError` for what is somebody else's."""
        return self._known(target, await self._documents.read("measurements", target))

    def _known(self, target: str, data: Any) -> dict[str, Series]:
        return {} if data is None else decoded(self._documents.place("measurements", target), data, _series)


def _data(known: Mapping[str, Series]) -> dict[str, Any]:
    freshest = sorted(known, key=lambda name: (known[name][-1].at, name), reverse=True)[:MOST_SERIES]
    return {
        name: [[sample.at.isoformat(), round(sample.seconds, 6)] for sample in known[name]] for name in sorted(freshest)
    }


def _series(data: Any) -> dict[str, Series]:
    found = {}
    for name, rows in data.items():
        samples = [Sample(datetime.fromisoformat(at), float(seconds)) for at, seconds in rows]
        if not all(sample.at.tzinfo is not None and math.isfinite(sample.seconds) for sample in samples):
            raise ValueError("a time without zone, or no number")
        if samples:
            found[name] = tuple(sorted(samples))
    return found
