"""The Pulumi CLI as a child process: bounded in time, stopped cleanly, leaving no file behind. Understands no output.

sophia talks to the CLI itself and not through `pulumi.automation`, for four reasons. The SDK's classes are behind the
engine: an event with an operation they do not know is dropped, and an exception in a callback is swallowed. It lays its
variables over the whole of `os.environ`, so the child inherits every secret there. It has neither a time limit nor a way
to stop an operation. And it keeps decrypted state in temporary files. The CLI gives the same events as JSON lines on
its standard output (`--json`; for previews `PULUMI_ENABLE_STREAMING_JSON_PREVIEW`), masked, and in full.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import tempfile
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

GRACE_S = 20.0  # after a first interrupt the engine finishes the operations in flight and releases its lock
LAST_WORDS_S = 2.0  # for what was printed last, when something else still holds the output open
POLL_S = 0.02
CHUNK = 1 << 16
SCRATCH_PREFIX = "run-"


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ended. `timed_out`: it was stopped because its time was over; then `code` means nothing."""

    code: int
    stdout: str = ""
    stderr: str = ""
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One command for the CLI. `environment` is the whole environment of the child; `stdin` never shows in a process list.

    `killed` is set when the command had to be killed: it could not release its lock then.
    """

    args: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str]
    limit_s: float
    stdin: str | None = None
    killed: asyncio.Event = field(default_factory=asyncio.Event, compare=False)


class Cli(Protocol):
    """Whoever runs commands of the Pulumi CLI."""

    async def run(self, call: Call, on_line: Callable[[str], None] | None = None) -> Finished:
        """Run a command to its end; with `on_line`, each line of its output is handed on and none is kept.

        A cancelled caller stops the command cleanly first; `call.killed` is set when that did not work. Raises
        `FileNotFoundError` when there is no CLI.
        """
        ...


class PulumiCli:
    """The CLI at a path. Each command gets a private folder for its temporary files, removed whatever happens.

    `logs` is where the CLI keeps its own logs; they are removed after each command. None: they are the user's.
    """

    def __init__(self, path: str | Path, scratch: Path, logs: Path | None = None, grace_s: float = GRACE_S) -> None:
        self._path = str(path)
        self._scratch = scratch
        self._logs = logs
        self._grace_s = grace_s

    async def run(self, call: Call, on_line: Callable[[str], None] | None = None) -> Finished:
        """Run a command to its end, or to the end of its time."""
        with private_folder(self._scratch) as folder:
            process = await self._started(call, folder)
            try:
                return await self._to_the_end(process, call, on_line)
            finally:
                if self._logs is not None:
                    shutil.rmtree(self._logs, ignore_errors=True)

    async def _started(self, call: Call, folder: Path) -> asyncio.subprocess.Process:
        """The running CLI. One cancelled while it starts is stopped like any other: asyncio would wait for its plugins."""
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                self._path,
                *call.args,
                cwd=call.cwd,
                env={**call.environment, "TMPDIR": str(folder)},
                stdin=asyncio.subprocess.DEVNULL if call.stdin is None else asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # a Ctrl-C of the terminal reaches sophia, which stops the CLI in its own time
            )
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                await self._stop(await starting, asyncio.ensure_future(asyncio.sleep(0)), call.killed)
            raise

    async def _to_the_end(
        self, process: asyncio.subprocess.Process, call: Call, on_line: Callable[[str], None] | None
    ) -> Finished:
        out: list[str] = []
        err: list[str] = []
        work = asyncio.ensure_future(
            _worked(
                process, call.stdin, _drain(process.stdout, on_line or out.append), _drain(process.stderr, err.append)
            )
        )
        try:
            done, _ = await asyncio.wait({work}, timeout=call.limit_s)
            if not done:
                await self._stop(process, work, call.killed)
            else:
                work.result()
        except BaseException:
            await asyncio.shield(self._stop(process, work, call.killed))
            raise
        finally:
            _end_group(process)
        return Finished(process.returncode or 0, "\n".join(out), "\n".join(err), timed_out=not done)

    async def _stop(
        self, process: asyncio.subprocess.Process, work: asyncio.Future[Any], killed: asyncio.Event
    ) -> None:
        """Interrupt, wait, and kill what is left with all its plugins."""
        for number, patience_s in ((signal.SIGINT, self._grace_s), (signal.SIGTERM, 1.0), (signal.SIGKILL, 5.0)):
            if process.returncode is None:
                if number != signal.SIGINT:
                    killed.set()
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(number)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(_exited(process), patience_s)
        _end_group(process)
        await asyncio.wait({work}, timeout=LAST_WORDS_S)
        work.cancel()
        await asyncio.wait({work})


async def _worked(process: asyncio.subprocess.Process, text: str | None, *drains: Coroutine[Any, Any, None]) -> None:
    """Feed the CLI, wait for its end, and read what it said; a plugin that outlives it cannot hold its output open."""
    reading = asyncio.gather(*drains)
    try:
        await asyncio.gather(_feed(process, text), _exited(process))
        done, _ = await asyncio.wait({reading}, timeout=LAST_WORDS_S)
        if not done:
            _end_group(process)
        await reading
    finally:
        reading.cancel()


async def _exited(process: asyncio.subprocess.Process) -> None:
    """The end of the process itself; `Process.wait` also waits for whoever else holds its pipes."""
    while process.returncode is None:  # noqa: ASYNC110 - asyncio tells of the exit by this attribute alone
        await asyncio.sleep(POLL_S)


def _end_group(process: asyncio.subprocess.Process) -> None:
    """Kill what the CLI left running in its group: plugins outlive a CLI that was killed."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def _feed(process: asyncio.subprocess.Process, text: str | None) -> None:
    if process.stdin is None or text is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(text.encode())
        await process.stdin.drain()
    process.stdin.close()


async def _drain(stream: asyncio.StreamReader | None, take: Callable[[str], object]) -> None:
    async for line in _lines(stream):
        take(line)


async def _lines(stream: asyncio.StreamReader | None) -> AsyncIterator[str]:
    """Lines of any length: one event may hold a whole program."""
    rest = b""
    while stream is not None and (chunk := await stream.read(CHUNK)):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


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
    """Remove what a process of this machine that was killed left in the folder for temporary files."""
    for folder in parent.glob(f"{SCRATCH_PREFIX}*-{_machine()}-*"):
        number = folder.name.removeprefix(SCRATCH_PREFIX).partition("-")[0]
        if number.isdecimal() and not is_alive(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


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


def found_cli(environ: Mapping[str, str], named: Sequence[str] = ()) -> str | None:
    """The path of the CLI: what was named, else `SOPHIA_PULUMI`, else `pulumi` on PATH, else the official installer's place."""
    home = Path(environ.get("HOME", "~")).expanduser() / ".pulumi" / "bin" / "pulumi"
    for candidate in (*named, environ.get("SOPHIA_PULUMI")):
        if candidate:
            return shutil.which(candidate, path=environ.get("PATH"))
    return shutil.which("pulumi", path=environ.get("PATH")) or (str(home) if os.access(home, os.X_OK) else None)
