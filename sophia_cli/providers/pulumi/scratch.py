"""Private folders for what a command of the CLI keeps while it runs, and what is left of those whose sophia was killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

SCRATCH_PREFIX = "run-"
CHANGES = "changes"  # names the stack that the CLI of this folder changes


@contextlib.contextmanager
def private_folder(parent: Path) -> Iterator[Path]:
    """A folder that only this user can read and that is gone afterwards; those of dead processes go as well."""
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=f"{SCRATCH_PREFIX}{os.getpid()}-{_machine()}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Remove what a process of this machine that was killed left here: plugins that nobody uses, and its files.

    A CLI that still changes a stack is left to end; so are its files.
    """
    for folder in _orphaned(parent):
        if unattended(folder) is not None:
            continue
        for pid in working_in(folder):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def changing(parent: Path, stack: str) -> int | None:
    """The process of a CLI that still changes a stack although the sophia that began it was killed."""
    found = (unattended(folder) for folder in _orphaned(parent) if _text(folder / CHANGES) == stack)
    return next((pid for pid in found if pid is not None), None)


def unattended(folder: Path) -> int | None:
    """The CLI that still changes a stack from this folder: it leads the session that its plugins are in."""
    if _text(folder / CHANGES) is None:
        return None
    for pid in working_in(folder):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == pid:
                return pid
    return None


def working_in(folder: Path) -> list[int]:
    """The processes whose temporary folder this is: a CLI and its plugins. None can be found where there is no /proc."""
    mark = f"TMPDIR={folder}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # of another user, or gone by now
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def _orphaned(parent: Path) -> Iterator[Path]:
    """The folders of processes of this machine that are gone."""
    for folder in parent.glob(f"{SCRATCH_PREFIX}*-{_machine()}-*"):
        number = folder.name.removeprefix(SCRATCH_PREFIX).partition("-")[0]
        if number.isdecimal() and not is_alive(int(number)):
            yield folder


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def _machine() -> str:
    """A short name of this machine: process ids of another one mean nothing here."""
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def is_alive(pid: int) -> bool:
    """Whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
