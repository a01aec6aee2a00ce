"""The contract of the stack port, over its three forms."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.providers.pulumi.cli import needs_engine
from tests.providers.pulumi.contract import SCENARIOS, SECRET_CONFIG
from tests.providers.pulumi.memory_stack import MemoryStack
from tests.providers.pulumi.recording import RECORDED, Replay
from tests.providers.pulumi.stacks import Site


@pytest.mark.parametrize("name", SCENARIOS)
class TestAgainstTheEngine:
    pytestmark = needs_engine

    def test_the_real_engine(self, name: str, tmp_path: Path) -> None:
        asyncio.run(SCENARIOS[name](Site.at(tmp_path)))


@pytest.mark.parametrize("name", SCENARIOS)
def test_in_memory(name: str) -> None:
    asyncio.run(SCENARIOS[name](MemoryStack(config=dict(SECRET_CONFIG))))


@pytest.mark.parametrize("name", SCENARIOS)
def test_against_what_a_real_engine_said(name: str, tmp_path: Path) -> None:
    replay = Replay(RECORDED / f"{name}.jsonl", tmp_path)
    asyncio.run(SCENARIOS[name](Site.at(tmp_path, replay)))
    assert replay.is_over()
