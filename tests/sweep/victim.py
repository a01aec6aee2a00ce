"""A command that dies at its n-th event: each rename, fsync, write, removal, lock and packet. Patches no product code."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

_COMMAND = re.compile(rb"Command=namecheap\.(?:[a-z]+\.)*([A-Za-z]+)")


class Fuse:
    """Counts events; at number `kill_at`, or at the first event of that name, this process kills itself with SIGKILL."""

    def __init__(self, kill_at: int | str | None) -> None:
        self.kill_at = kill_at
        self.events: list[tuple[str, float]] = []

    def event(self, name: str) -> None:
        self.events.append((name, time.perf_counter()))
        if self.kill_at in (len(self.events), name):
            die()

    def is_next(self) -> bool:
        """Whether the next event is the last one."""
        return len(self.events) + 1 == self.kill_at


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def install(fuse: Fuse) -> None:
    """Watch the system calls that make a run's steps durable or visible to others."""
    for name in ("replace", "fsync", "unlink"):
        _around(os, name, fuse, f"os.{name}")
    _around(fcntl, "flock", fuse, "flock")
    _writes(fuse)
    _packets(fuse)


def _around(module: Any, name: str, fuse: Fuse, label: str) -> None:
    real: Callable[..., Any] = getattr(module, name)

    def call(*args: Any, **named: Any) -> Any:
        fuse.event(f"{label} before")
        result = real(*args, **named)
        fuse.event(f"{label} after")
        return result

    setattr(module, name, call)


def _writes(fuse: Fuse) -> None:
    """`os.write` is what appends to the audit log; it can also be torn in the middle."""
    real = os.write

    def write(handle: int, data: bytes) -> int:
        fuse.event("os.write before")
        if fuse.is_next():
            real(handle, data[: len(data) // 2])
        fuse.event("os.write torn")
        done = real(handle, data)
        fuse.event("os.write after")
        return done

    os.write = write


def _packets(fuse: Fuse) -> None:
    """Packets to and from the provider and the name servers, through asyncio, and those of a shared state (`sendall`)."""
    for name in ("send", "sendto", "recv", "recvfrom", "sendall"):
        _packet(name, fuse)


def _packet(name: str, fuse: Fuse) -> None:
    real = getattr(socket.socket, name)

    def call(self: socket.socket, *args: Any) -> Any:
        if self.family != socket.AF_INET:
            return real(self, *args)
        found = _COMMAND.search(bytes(args[0])) if name == "send" else None
        label = f"{name} {found.group(1).decode()}" if found else name
        fuse.event(f"{label} before")
        result = real(self, *args)
        fuse.event(f"{label} after")
        return result

    setattr(socket.socket, name, call)
