"""A sandbox account for command tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.harness import Shop, shop


@pytest.fixture
def acme(work: Path) -> Iterator[Shop]:
    """The zone acme.example with ten records, mail mode MX."""
    with shop(work) as found:
        yield found
