"""Measurements in the state directory: kept, bounded, safe between processes, and refused when they are not ours."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sophia_cli.core.errors import StateError
from sophia_cli.core.trends import Measurements, Sample
from sophia_cli.store.directory import Directory
from sophia_cli.store.measurements import MOST_SAMPLES, MOST_SERIES, FileMeasurements
from tests.store.forms import ended, fork

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TARGET = "dns:acme.example"


def opened(root: Path) -> Measurements:
    return FileMeasurements(Directory(root))


def sample(minutes: int, seconds: float = 0.125) -> Sample:
    return Sample(NOW + timedelta(minutes=minutes), seconds)


def test_what_was_added_is_there_for_the_next_command(tmp_path: Path) -> None:
    asyncio.run(opened(tmp_path).add(TARGET, {"web https://acme.example/": sample(1, 0.2)}))
    asyncio.run(opened(tmp_path).add(TARGET, {"web https://acme.example/": sample(0, 0.1), "dns ns1": sample(0)}))
    found = asyncio.run(opened(tmp_path).of(TARGET))
    assert found == {"dns ns1": (sample(0),), "web https://acme.example/": (sample(0, 0.1), sample(1, 0.2))}
    assert asyncio.run(opened(tmp_path).of("dns:other.example")) == {}


def test_the_oldest_samples_and_the_stalest_series_go_first(tmp_path: Path) -> None:
    store = opened(tmp_path)
    path = Directory(tmp_path).path("measurements", TARGET + ".json")
    path.parent.mkdir(parents=True)
    rows = ",".join(f'["{sample(n).at.isoformat()}", 1]' for n in range(MOST_SAMPLES))
    path.write_text(f'{{"a": [{rows}]}}')
    asyncio.run(store.add(TARGET, {"a": sample(9999)}))
    kept = asyncio.run(store.of(TARGET))["a"]
    assert (len(kept), kept[0], kept[-1]) == (MOST_SAMPLES, sample(1, 1.0), sample(9999))
    asyncio.run(store.add(TARGET, {f"b{n}": sample(20000 + n) for n in range(MOST_SERIES)}))
    names = asyncio.run(store.of(TARGET))
    assert len(names) == MOST_SERIES
    assert "a" not in names


@pytest.mark.parametrize(
    "text", ['{"a": 1}', '{"a": [["x", 1]]}', '{"a": [["2026-01-01", 1]]}', "[]", "nonsense", '{"a": [[1]]}']
)
def test_a_file_of_somebody_else_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    path = Directory(tmp_path).path("measurements", TARGET + ".json")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(StateError, match=r"measurements"):
        asyncio.run(opened(tmp_path).of(TARGET))


def _add_some(root: Path, first: int) -> None:
    store = opened(root)
    for n in range(first, first + 10):
        asyncio.run(store.add(TARGET, {"a": sample(n)}))


def test_writers_beside_each_other_lose_nothing(tmp_path: Path) -> None:
    assert ended([fork(_add_some, tmp_path, 100 * n) for n in range(4)]) == [0] * 4
    assert len(asyncio.run(opened(tmp_path).of(TARGET))["a"]) == 40
