"""Builders for environment tests: files in a folder, and their evaluation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sophia_cli.esc.environment import Environment
from sophia_cli.esc.load import load

Evaluate = Callable[..., Environment]


@pytest.fixture
def evaluate(tmp_path: Path) -> Evaluate:
    """`evaluate(text, base="...", **options)`: the environment of a text, other files beside it by keyword-free mapping."""

    def run(text: str, files: dict[str, str] | None = None, **options: Any) -> Environment:
        for name, content in (files or {}).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        root = tmp_path / "env.yaml"
        root.write_text(text, encoding="utf-8")
        return load(root, **options)

    return run


@pytest.fixture
def problems(evaluate: Evaluate) -> Callable[..., list[tuple[str, int, int, str]]]:
    """Like `evaluate`, but gives (file, line, column, message) of each diagnostic."""

    def run(text: str, files: dict[str, str] | None = None, **options: Any) -> list[tuple[str, int, int, str]]:
        found = evaluate(text, files, **options).diagnostics
        return [(Path(one.at.file).name, one.at.line, one.at.column, one.message) for one in found]

    return run
