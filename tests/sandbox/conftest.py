"""A running sandbox for each test that asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sandbox_api import Api

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
def api(box: Sandbox) -> Api:
    return Api(box)


@pytest.fixture
def boxes(tmp_path: Path) -> Callable[..., Any]:
    """Another sandbox, over the same data or its own."""

    @contextmanager
    def make(**options: Any) -> Iterator[Sandbox]:
        with sandbox.running(options.pop("data", tmp_path / "other.json"), **options) as running:
            yield running

    return make
