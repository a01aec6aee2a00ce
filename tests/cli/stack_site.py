"""One stack for tests of commands over a real engine: the example's, deployed once for all of them and copied for each."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import sophia_cli.cli.runtime as runtime
from tests.cli.harness import Ran, run

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "stack-and-zone"
HELD = """
    def _hold(self):
        import time
        (HERE / "begun").touch()
        while (HERE / "hold").exists():
            time.sleep(0.05)
"""
PATIENCE_S = 60


@dataclass
class Site:
    """A copy of the example. `hold` makes the next change of a resource wait until it is let go."""

    root: Path

    @property
    def file(self) -> Path:
        return self.root / "sophia.yaml"

    @property
    def server(self) -> Path:
        return self.root / "servers" / "web-prod.json"

    @property
    def workers(self) -> int:
        return int(json.loads(self.server.read_text())["workers"])

    def run(self, *words: str) -> Ran:
        return run(*words, "-e", str(self.file), "--wait", "0")

    def ok(self, *words: str) -> Ran:
        ran = self.run(*words)
        assert ran.code == 0, ran.out + ran.err
        return ran

    def edit(self, old: str, new: str) -> None:
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))

    def copy(self, root: Path) -> Site:
        shutil.copytree(self.root, root, dirs_exist_ok=True)
        return Site(root)

    def held(self) -> None:
        """Let the program hold its next change."""
        path = self.root / "infra.py"
        text = path.read_text().replace(
            "    def create(self, inputs):\n", HELD.lstrip("\n") + "\n    def create(self, inputs):\n"
        )
        text = text.replace(
            "    def update(self, id_, _olds, news):\n",
            "    def update(self, id_, _olds, news):\n        self._hold()\n",
        )
        path.write_text(text)
        (self.root / "hold").touch()

    def let_go(self) -> None:
        (self.root / "hold").unlink(missing_ok=True)

    @contextlib.contextmanager
    def started(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A command as a process, once the engine is in the middle of a change."""
        process = subprocess.Popen(
            [sys.executable, "-m", "sophia_cli", *words, "-e", str(self.file), "--wait", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        try:
            wait(lambda: (self.root / "begun").exists() or process.poll() is not None)
            assert process.poll() is None, process.communicate()
            yield process
        finally:
            self.let_go()
            if process.poll() is None:
                process.kill()
            process.communicate()
            wait(lambda: not self.engines("pulumi"))

    def engines(self, name: str | None = None) -> list[int]:
        """The engine's processes that work on this site."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                program = folder.joinpath("cmdline").read_bytes().partition(b"\0")[0].decode().rpartition("/")[2]
                mine = f"PULUMI_BACKEND_URL=file://{self.root}/".encode() in folder.joinpath("environ").read_bytes()
                if mine and name in (None, program):
                    found.append(int(folder.name))
        return found


def wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.05)


_once: list[Site] = []


def deployed(folders: pytest.TempPathFactory) -> Site:
    """The example, deployed once; to be looked at and copied only."""
    if _once:
        return _once[0]
    root = folders.mktemp("stack")
    shutil.copytree(
        EXAMPLE, root, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".sophia", "servers", "__pycache__")
    )
    site = Site(root)
    site.ok("deploy", "--yes")
    _once.append(site)
    return site


def move_clock(monkeypatch: pytest.MonkeyPatch, **length: float) -> None:
    """Moves the clock of commands."""

    class Later(runtime.SystemClock):
        def now(self) -> datetime:
            return super().now() + timedelta(**length)

    monkeypatch.setattr(runtime, "SystemClock", Later)


def entry(ran: Ran) -> Any:
    (found,) = ran.data["stacks"]
    return found
