"""A warm interpreter that forks one process a command, so that thousands of real processes can be started and killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACE = 0.01  # waits of the product (retries, repeated reads) take this part of their time here


@dataclass(frozen=True)
class Ended:
    """How a process ended: `code` is None when it was killed."""

    code: int | None
    out: str
    err: str
    events: tuple[tuple[str, float], ...] = ()


class Zygote:
    """The parent's side. One command at a time; use several for several writers."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process, self._folder = process, folder

    def run(self, *words: str, cwd: Path, kill_at: int | str | None = None) -> Ended:
        """Run `sophia WORDS` in a forked process, killed at its n-th event, or at one by name, when one is given."""
        order = {"words": words, "cwd": str(cwd), "kill_at": kill_at, "folder": str(self._folder)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        out, err = ((self._folder / name).read_text() for name in ("out", "err"))
        events = tuple((name, when) for name, when in told["events"])
        return Ended(None if told["status"] < 0 else told["status"], out, err, events)


@contextlib.contextmanager
def zygote() -> Iterator[Zygote]:
    """A running zygote."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.sweep.zygote"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield Zygote(process, Path(folder))
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=30)


# -- the zygote's side ------------------------------------------------------------------------------------------------------


def serve() -> None:
    _hasten()
    _warm()
    channel = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        order = json.loads(line)
        events = Path(order["folder"]) / "events"
        events.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            _child(order, events)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        seen = json.loads(events.read_text()) if events.exists() else []
        channel.write(json.dumps({"status": code, "events": seen}) + "\n")
        channel.flush()


def _hasten() -> None:
    real = asyncio.sleep

    async def sleep(delay: float, result: Any = None) -> Any:
        return await real(delay * PACE, result)

    asyncio.sleep = sleep  # before the product is imported, so that its default arguments see it too


def _warm() -> None:
    """Import what the commands would import on the way."""
    import importlib
    import pkgutil

    import sophia_cli

    for module in pkgutil.walk_packages(sophia_cli.__path__, "sophia_cli."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in (
        "httpx",
        "anyio._backends._asyncio",
        "dns.asyncquery",
        "dns.asyncbackend",
        "dns._asyncio_backend",
        "redis",
        "rich",
    ):
        importlib.import_module(name)


def _child(order: dict[str, Any], events: Path) -> None:
    from tests.sweep.victim import Fuse, install

    folder, code = Path(order["folder"]), 70
    try:
        os.chdir(order["cwd"])
        for number, name in ((1, "out"), (2, "err")):
            handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(handle, number)
        sys.stdin = open(os.devnull)  # noqa: SIM115  (for the rest of this process)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        fuse = Fuse(order["kill_at"])
        install(fuse)
        code = _main(order["words"])
        fuse.kill_at = None
        events.write_text(json.dumps(fuse.events))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _main(words: Sequence[str]) -> int:
    from sophia_cli.cli.app import main

    return main(list(words))


if __name__ == "__main__":
    serve()
