"""The forms of the state behind one face, so that the same tests run over each; and a real redis-server to run them on."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from sophia_cli.core.changes import Change
from sophia_cli.core.history import AuditEvent, Leg, Phase, Run, Snapshot
from sophia_cli.core.policy import Approval
from sophia_cli.core.ports import Store
from sophia_cli.store.documents import Documents
from sophia_cli.store.local import local_store
from sophia_cli.store.open import open_documents
from sophia_cli.store.redis import redis_store
from tests.builders import IP, NOW, a, zone

T = TypeVar("T")
MISSING = "needs the Debian package redis-server: make test-servers"


class TestClock:
    """Time that stands still until it is moved."""

    __test__ = False

    def __init__(self, start: datetime = NOW) -> None:
        self.time = start

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        await asyncio.sleep(0)


# -- values -------------------------------------------------------------------------------------------------------------


def change(target: str = "dns:example.com") -> Change:
    return Change(target, "dns.record", "create", None, a("api"))


def run_of(
    name: str, *targets: str, phase: Phase = "pending", closed: bool = False, started: datetime = NOW, note: str = ""
) -> Run:
    named = targets or ("dns:example.com",)
    return Run(
        id=name,
        command="deploy",
        environment="acme",
        actor="ada@test",
        started=started,
        plan="sha256:" + "1" * 64,
        changes=tuple(change(target) for target in named),
        legs=tuple(Leg(target, "sha256:base", phase) for target in named),
        outcome="applied" if closed else "nothing",
        closed=closed,
        notes=(note,) if note else (),
    )


def snapshot(target: str = "dns:example.com", address: str = IP, at: datetime = NOW) -> Snapshot:
    return Snapshot(target, at, zone(a("@", address)), raw=({"HostId": "1"},))


def event(action: str = "test", **fields: Any) -> AuditEvent:
    return AuditEvent(0, fields.pop("time", NOW), fields.pop("actor", "ada@test"), action, **fields)


def approval(digest: str = "sha256:plan", by: str = "ada") -> Approval:
    return Approval(digest, by, "terminal", NOW, NOW + timedelta(hours=24))


# -- processes ----------------------------------------------------------------------------------------------------------


def fork(work: Callable[..., None], *arguments: Any) -> multiprocessing.Process:
    """Start a process of its own; an exception in it shows as its exit code."""
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments, daemon=True)
    process.start()
    return process  # type: ignore[return-value]


def ended(processes: Sequence[Any], timeout_s: float = 30) -> list[int | None]:
    """The exit codes of processes; one that does not end is killed."""
    deadline = time.monotonic() + timeout_s
    for process in processes:
        process.join(max(0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
    return [process.exitcode for process in processes]


def until(holds: Callable[[], bool], timeout_s: float = 10) -> None:
    """Wait for something that is about to be."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.005)


# -- a server -----------------------------------------------------------------------------------------------------------


class RedisProcess:
    """A real redis-server in a folder of its own, on a unix socket, or on a free loopback port when asked."""

    def __init__(self, *options: str, port: bool = False, keep: bool = False) -> None:
        if shutil.which("redis-server") is None:
            pytest.skip(MISSING)
        self.folder = Path(tempfile.mkdtemp(prefix="sophia-redis-", dir="/tmp"))
        self.socket = self.folder / "s"
        self.port = free_port() if port else 0
        self._options = [*options, "--save", "", "--appendonly", "yes" if keep else "no", "--appendfsync", "always"]
        self.process: subprocess.Popen[bytes]
        self.start()

    def start(self) -> None:
        """Start, or start again after `kill`."""
        words = ["--port", str(self.port), "--unixsocket", str(self.socket), "--dir", str(self.folder)]
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", *words, *self._options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._answers)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
            client.settimeout(1)
            client.connect(str(self.socket))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False

    def url(self, prefix: str = "sophia", password: str = "") -> str:
        """The state URL of this server."""
        user = f":{password}@" if password else ""
        if self.port:
            return f"redis://{user}127.0.0.1:{self.port}/0?prefix={prefix}"
        return f"unix://{user}{self.socket}?prefix={prefix}"

    def kill(self) -> None:
        """Kill it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it and remove what it left."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def client(self, password: str | None = None) -> Any:
        """A client of the test's own, to look behind the curtain."""
        from redis import Redis

        return Redis(unix_socket_path=str(self.socket), password=password)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@functools.cache
def shared_server() -> RedisProcess:
    """One server for the tests of this process; each test has a prefix of its own."""
    server = RedisProcess()
    atexit.register(server.close)
    return server


# -- the forms ----------------------------------------------------------------------------------------------------------


class Files:
    """The local form."""

    def __init__(self, root: Path) -> None:
        self.root = root / "state"

    def open(self, clock: TestClock | None = None) -> Store:
        return local_store(self.root, clock or TestClock())

    def documents(self) -> Documents:
        return open_documents(self.root)

    def end_lease(self, target: str) -> None:
        """A killed holder's lock ends with its process."""

    def lines(self) -> list[bytes]:
        return (self.root / "audit.jsonl").read_bytes().split(b"\n")[:-1]

    def rewrite(self, lines: Sequence[bytes]) -> None:
        (self.root / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))

    def head(self) -> bytes | None:
        path = self.root / "audit.head.json"
        return path.read_bytes() if path.exists() else None

    def set_head(self, content: bytes | None) -> None:
        path = self.root / "audit.head.json"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)

    def spoil(self, content: bytes) -> None:
        """Put something else wherever JSON is kept (the log apart)."""
        for path in self.root.rglob("*.json"):
            if path.name != "audit.head.json":
                path.write_bytes(content)


class OnRedis:
    """The Redis form."""

    def __init__(self, root: Path, server: RedisProcess, prefix: str) -> None:
        self.root = root / "local"
        self.server = server
        self.prefix = prefix
        self.url = server.url(prefix)

    def open(self, clock: TestClock | None = None, **options: Any) -> Store:
        return redis_store(self.url, clock or TestClock(), self.root, **options)

    def documents(self) -> Documents:
        return open_documents(self.url)

    def end_lease(self, target: str) -> None:
        """Let the lease of a lock run out now: what time would do."""
        with self.server.client() as client:
            for key in client.keys(f"{self.prefix}:lock:*"):
                if target.split(":")[-1].encode() in key:
                    client.pexpire(key, 1)
            until(
                lambda: not any(target.split(":")[-1].encode() in key for key in client.keys(f"{self.prefix}:lock:*"))
            )

    def lines(self) -> list[bytes]:
        with self.server.client() as client:
            return [fields[b"event"] for _, fields in client.xrange(f"{self.prefix}:log")]

    def rewrite(self, lines: Sequence[bytes]) -> None:
        with self.server.client() as client:
            client.delete(f"{self.prefix}:log")
            for line in lines:
                client.xadd(f"{self.prefix}:log", {"event": line})

    def head(self) -> bytes | None:
        with self.server.client() as client:
            found: bytes | None = client.get(f"{self.prefix}:head")
            return found

    def set_head(self, content: bytes | None) -> None:
        with self.server.client() as client:
            client.delete(f"{self.prefix}:head")
            if content is not None:
                client.set(f"{self.prefix}:head", content)

    def spoil(self, content: bytes) -> None:
        with self.server.client() as client:
            for key in client.keys(f"{self.prefix}:*"):
                if client.type(key) == b"hash":
                    for name in client.hkeys(key):
                        client.hset(key, name, content)
                elif client.type(key) == b"string" and not key.endswith(b"head"):
                    client.set(key, content)


Form = Files | OnRedis
FORMS = ("files", pytest.param("redis", marks=pytest.mark.server))


def form_of(name: str, root: Path) -> Form:
    """A fresh state of a form."""
    if name == "files":
        return Files(root)
    return OnRedis(root, shared_server(), "t" + os.urandom(6).hex())


def do(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end."""
    return asyncio.run(work)


def later(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def jsoned(line: bytes) -> Any:
    return json.loads(line)


@contextlib.contextmanager
def served(*options: str, port: bool = False, keep: bool = False) -> Iterator[RedisProcess]:
    """A server of one test's own."""
    server = RedisProcess(*options, port=port, keep=keep)
    try:
        yield server
    finally:
        server.close()
