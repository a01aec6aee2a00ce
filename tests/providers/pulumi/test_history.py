"""A stack's history as the CLI prints it: read page by page, with what the engine noted of its surroundings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sophia_cli.core.errors import BadResponse
from sophia_cli.core.stacks import Update
from sophia_cli.providers.pulumi.engine import Engine
from sophia_cli.providers.pulumi.explain import Place
from sophia_cli.providers.pulumi.process import Call, Finished

# As `pulumi stack history --json` prints it (3.2xx), shortened.
ENTRY: dict[str, Any] = {
    "version": 3,
    "kind": "update",
    "startTime": "2026-11-22T23:27:56.000Z",
    "message": "tweak the size",
    "environment": {"exec.kind": "cli", "git.author.email": "eve@x.example", "ci.system": "GitHub Actions"},
    "config": {},
    "result": "succeeded",
    "endTime": "2026-11-22T23:28:01.000Z",
    "resourceChanges": {"same": 2},
}


class Pages:
    """A CLI whose stack has this history, newest first."""

    def __init__(self, entries: list[Any]) -> None:
        self.entries = entries
        self.calls = 0

    async def run(self, call: Call, on_line: Callable[[str], None] | None = None) -> Finished:
        self.calls += 1
        size, page = (int(call.args[call.args.index(name) + 1]) for name in ("--page-size", "--page"))
        return Finished(0, json.dumps(self.entries[(page - 1) * size : page * size]))


def history(entries: list[Any], count: int, folder: Path) -> tuple[tuple[Update, ...], int]:
    pages = Pages(entries)
    engine = Engine(pages, Place("organization/shop/prod", "."), folder, {})
    return asyncio.run(engine.history(count)), pages.calls


def test_an_update_names_its_surroundings(tmp_path: Path) -> None:
    ((one,), _) = history([ENTRY], 10, tmp_path)
    assert (one.version, one.message, one.environment["git.author.email"]) == (3, "tweak the size", "eve@x.example")


@pytest.mark.parametrize(
    ("there", "count", "calls"), [(250, 500, 3), (250, 120, 2), (200, 500, 3), (5, 1, 1), (0, 10, 1)]
)
def test_a_long_history_is_read_by_pages_and_no_further_than_asked(
    there: int, count: int, calls: int, tmp_path: Path
) -> None:
    entries = [{**ENTRY, "version": number} for number in range(there, 0, -1)]
    found, asked = history(entries, count, tmp_path)
    assert ([one.version for one in found], asked) == ([one["version"] for one in entries[:count]], calls)


@pytest.mark.parametrize(
    "bad", [None, 7, {}, {**ENTRY, "startTime": "soon"}, {**ENTRY, "startTime": 5}, {**ENTRY, "environment": ["x"]}]
)
def test_an_entry_that_is_no_update_is_a_bad_answer_and_no_empty_history(bad: Any, tmp_path: Path) -> None:
    with pytest.raises(BadResponse, match="no update"):
        history([ENTRY, bad], 10, tmp_path)
