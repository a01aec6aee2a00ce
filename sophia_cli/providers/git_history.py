"""The git history of a folder: the lines that were ever added to its files, by the git command line. Changes nothing."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COMMITS = 2000
BYTES = 32 * 1024 * 1024
TIMEOUT_S = 30.0
_COMMIT = re.compile(r"\x01([0-9a-f]{40,64})\Z")
_HUNK = re.compile(r"@@ -\d+(?:,\d+)? \+(\d+)(?:,\d+)? @@")


@dataclass(frozen=True, slots=True, repr=False)
class Added:
    """A line that a commit added to a file. `text` may hold a secret and is never shown."""

    commit: str
    file: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """Why a history was not, or not wholly, looked at."""

    why: str


@dataclass(frozen=True, slots=True, repr=False)
class History:
    """The added lines, newest commit first, and what was left out, if anything was."""

    lines: tuple[Added, ...]
    cut: str | None = None


async def history(folder: Path, *, commits: int = COMMITS, limit: int = BYTES) -> History | Skipped:
    """The lines added to files below a folder, in at most so many commits and bytes. Runs no hook, pager or filter."""
    git = shutil.which("git")
    if git is None:
        return Skipped("git is not installed")
    if not folder.is_dir():
        return Skipped(f"{folder} is no folder")
    # Every branch and tag: what was pushed to one of them was published as well.
    words = (git, "-C", str(folder), "--no-pager", "-c", "core.quotePath=false", "-c", "log.showSignature=false", "log",
             "--all", "-p", "-U0", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--src-prefix=a/",
             "--dst-prefix=b/", f"--max-count={commits}", "--format=%x01%H", "--", ".")  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        stdin=asyncio.subprocess.DEVNULL,
        env={**os.environ, "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0"},  # a partial clone asks no server
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(TIMEOUT_S):
            content, cut = await _read(process.stdout, limit)
            if cut is None and await process.wait() != 0:
                return Skipped("the folder is not in a git repository, has no commit, or git may not read it")
    except TimeoutError:
        return Skipped(f"git did not end within {TIMEOUT_S:.0f} s")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = tuple(_added(content.decode("utf-8", "replace")))
    seen = content.count(b"\n\x01") + content.startswith(b"\x01")
    return History(lines, cut or (f"only the newest {commits} commits were looked at" if seen >= commits else None))


async def _read(stream: asyncio.StreamReader, limit: int) -> tuple[bytes, str | None]:
    parts: list[bytes] = []
    size = 0
    while chunk := await stream.read(1 << 16):
        parts.append(chunk)
        size += len(chunk)
        if size > limit:
            return b"".join(parts)[:limit], f"only the first {limit // 1024 // 1024} MB of it were looked at"
    return b"".join(parts), None


def _added(text: str) -> Iterator[Added]:
    commit, file, line, in_hunk = "", "", 0, False
    for row in text.split("\n"):
        if found := _COMMIT.match(row):
            commit, in_hunk = found.group(1), False
        elif row.startswith("diff --git "):
            file, in_hunk = "", False
        elif not in_hunk and row.startswith("+++ "):
            file = row[4:].removeprefix("b/").rstrip("\t")
        elif hunk := _HUNK.match(row):
            line, in_hunk = int(hunk.group(1)), True
        elif in_hunk and row.startswith("+"):
            yield Added(commit, file, line, row[1:])
            line += 1
