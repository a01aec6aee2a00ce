"""The real Pulumi CLI for tests, or the reason why there is none."""

from __future__ import annotations

import os
import shutil

import pytest

CLI = shutil.which(os.environ.get("SOPHIA_PULUMI") or "pulumi")

needs_engine = [
    pytest.mark.engine,
    pytest.mark.skipif(CLI is None, reason="no pulumi CLI on PATH or in SOPHIA_PULUMI"),
]


def has_host(language: str) -> bool:
    """Whether the language host of a program is beside the CLI or on PATH."""
    beside = os.path.dirname(os.path.realpath(CLI)) if CLI else ""
    return (
        shutil.which(f"pulumi-language-{language}", path=os.pathsep.join([beside, os.environ.get("PATH", "")]))
        is not None
    )
