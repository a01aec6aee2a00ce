"""Live analysis of 1 and 20 domains on loopback servers, beside checkdmarc. Needs port 53 and the test servers."""

from __future__ import annotations

import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

RUNS = 5
MANY = 20


def measure(row: Callable[..., None], process: Callable[..., Any]) -> None:
    """Print the figures; says why where they cannot be had."""
    from tests.providers.dns_survey.servers import BIND, missing
    from tests.providers.dns_survey.world import world

    why = f"not installed: {', '.join(missing())}" if missing() else _why_no_port(BIND)
    if why:
        row("live analysis", f"not measured: {why}")
        return
    row("zonemaster-cli", "not measured: it starts at root servers, and there are none here")
    with tempfile.TemporaryDirectory() as name, world(Path(name), port=53, copies=MANY):
        folder = Path(name) / "empty"
        folder.mkdir()
        for count in (1, MANY):
            domains = [f"d{number}.example" for number in range(count)]
            words = (sys.executable, "-m", "sophia_cli", "analyze", *domains, "--resolver", BIND, "-o", "json")
            ours = process(words, RUNS, folder)
            row(f"sophia analyze, {count} by DNS alone", _figure(ours))
            _beside(row, process, folder, "checkdmarc", ("checkdmarc", *domains, "-n", BIND), ours)


def _beside(
    row: Callable[..., None], process: Callable[..., Any], folder: Path, name: str, words: Sequence[str], ours: Any
) -> None:
    program = shutil.which(name, path=f"{Path(sys.executable).parent}:/usr/bin:/usr/local/bin")
    if program is None:
        row(name, "not measured: not installed")
        return
    theirs = process((program, *words[1:]), RUNS, folder)
    row(f"{words[0]}, the same", _figure(theirs), f"{min(theirs.wall_s) / min(ours.wall_s):.1f} x our time")


def _figure(cost: Any) -> str:
    return f"{min(cost.wall_s):6.3f} s wall {min(cost.cpu_s):6.3f} s CPU"


def _why_no_port(address: str) -> str:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as sock:
            try:
                sock.bind((address, 53))
            except OSError as exc:
                return f"port 53 of loopback: {exc.strerror}"
    return ""
