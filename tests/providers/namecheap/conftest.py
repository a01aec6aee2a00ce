"""A running sandbox and a client of it that never really sleeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from namecheap_client import Naps

from sophia_cli import sandbox
from sophia_cli.sandbox import Sandbox


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "sandbox.json"


@pytest.fixture
def box(data: Path) -> Iterator[Sandbox]:
    with sandbox.running(data, domains=["example.com"]) as running:
        yield running


@pytest.fixture
def naps() -> Naps:
    return Naps()
