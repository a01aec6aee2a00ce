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
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sophia_cli.providers.pulumi.scratch import CHANGES, private_folder, working_in

GRACE_S = 20.0  # after a first interrupt the engine finishes the operations in flight and releases its lock
LAST_WORDS_S = 2.0  # for what was printed last, when something else still holds the output open
POLL_S = 0.02
CHUNK = 1 << 16
OUT, ERR = "out", "err"


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

    `killed` is set when the command had to be killed: it could not release its lock then. `changes` names the stack that the
    command changes: such a one is not cut off when sophia itself is killed, but goes on to its end.
    """

    args: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str]
    limit_s: float
    stdin: str | None = None
    changes: str | None = None
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

    `logs` is where the CLI keeps its own logs; they are removed after each command, and the login that it would keep in its
    home goes into the private folder. None: the home is the user's, with its logs and logins.
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
                return await self._to_the_end(process, call, on_line, folder)
            finally:
                if self._logs is not None:
                    shutil.rmtree(self._logs, ignore_errors=True)

    async def _started(self, call: Call, folder: Path) -> asyncio.subprocess.Process:
        """The running CLI. One cancelled while it starts is stopped like any other: asyncio would wait for its plugins."""
        # The CLI stores every token it is given in the clear (Pulumi, "credentials.json").
        login = {} if self._logs is None else {"PULUMI_CREDENTIALS_PATH": str(folder)}
        with contextlib.ExitStack() as files:
            out, err = (_output(folder, name, call, files) for name in (OUT, ERR))
            starting = asyncio.ensure_future(
                asyncio.create_subprocess_exec(
                    self._path,
                    *call.args,
                    cwd=call.cwd,
                    env={**call.environment, "TMPDIR": str(folder), **login},
                    stdin=asyncio.subprocess.DEVNULL if call.stdin is None else asyncio.subprocess.PIPE,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,  # a terminal's Ctrl-C reaches sophia, which stops the CLI in its own time
                )
            )
            try:
                return await asyncio.shield(starting)
            except asyncio.CancelledError:
                with contextlib.suppress(OSError):
                    idle = asyncio.ensure_future(asyncio.sleep(0))
                    await self._stop(await starting, idle, call.killed, folder)
                raise

    async def _to_the_end(
        self, process: asyncio.subprocess.Process, call: Call, on_line: Callable[[str], None] | None, folder: Path
    ) -> Finished:
        out: list[str] = []
        err: list[str] = []
        drains = (
            _drain(_said(process, process.stdout, folder / OUT), on_line or out.append),
            _drain(_said(process, process.stderr, folder / ERR), err.append),
        )
        work = asyncio.ensure_future(_worked(process, call.stdin, folder, *drains))
        try:
            done, _ = await asyncio.wait({work}, timeout=call.limit_s)
            if not done:
                await self._stop(process, work, call.killed, folder)
            else:
                work.result()
        except BaseException:
            await asyncio.shield(self._stop(process, work, call.killed, folder))
            raise
        finally:
            _end_all(process, folder)
        return Finished(process.returncode or 0, "\n".join(out), "\n".join(err), timed_out=not done)

    async def _stop(
        self, process: asyncio.subprocess.Process, work: asyncio.Future[Any], killed: asyncio.Event, folder: Path
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
        _end_all(process, folder)
        await asyncio.wait({work}, timeout=LAST_WORDS_S)
        work.cancel()
        await asyncio.wait({work})


async def _worked(
    process: asyncio.subprocess.Process, text: str | None, folder: Path, *drains: Coroutine[Any, Any, None]
) -> None:
    """Feed the CLI, wait for its end, and read what it said; a plugin that outlives it cannot hold its output open."""
    reading = asyncio.gather(*drains)
    try:
        await asyncio.gather(_feed(process, text), _exited(process))
        done, _ = await asyncio.wait({reading}, timeout=LAST_WORDS_S)
        if not done:
            _end_all(process, folder)
        await reading
    finally:
        reading.cancel()


async def _exited(process: asyncio.subprocess.Process) -> None:
    """The end of the process itself; `Process.wait` also waits for whoever else holds its pipes."""
    while process.returncode is None:  # noqa: ASYNC110 - asyncio tells of the exit by this attribute alone
        await asyncio.sleep(POLL_S)


def _end_all(process: asyncio.subprocess.Process, folder: Path) -> None:
    """Kill what the CLI left running: plugins outlive a CLI that was killed, each in a process group of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for pid in working_in(folder):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _output(folder: Path, name: str, call: Call, files: contextlib.ExitStack) -> Any:
    """Where the CLI writes: a pipe; or a file, when it must not die of a broken pipe should sophia be killed."""
    if call.changes is None:
        return asyncio.subprocess.PIPE
    (folder / CHANGES).write_text(call.changes, encoding="utf-8")
    return files.enter_context(open(folder / name, "wb"))


async def _feed(process: asyncio.subprocess.Process, text: str | None) -> None:
    if process.stdin is None or text is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(text.encode())
        await process.stdin.drain()
    process.stdin.close()


async def _drain(chunks: AsyncIterator[bytes], take: Callable[[str], object]) -> None:
    async for line in _lines(chunks):
        take(line)


async def _said(
    process: asyncio.subprocess.Process, pipe: asyncio.StreamReader | None, path: Path
) -> AsyncIterator[bytes]:
    """What the CLI writes, as it writes it: from its pipe, or from the file that stands for one."""
    if pipe is not None:
        while chunk := await pipe.read(CHUNK):
            yield chunk
        return
    with open(path, "rb") as file:
        while True:
            is_over = process.returncode is not None
            if chunk := file.read(CHUNK):
                yield chunk
            elif is_over:
                return
            else:
                await asyncio.sleep(POLL_S)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Lines of any length: one event may hold a whole program."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


def found_cli(environ: Mapping[str, str], named: Sequence[str] = ()) -> str | None:
    """The path of the CLI: what was named, else `SOPHIA_PULUMI`, else `pulumi` on PATH, else the official installer's place."""
    home = Path(environ.get("HOME", "~")).expanduser() / ".pulumi" / "bin" / "pulumi"
    for candidate in (*named, environ.get("SOPHIA_PULUMI")):
        if candidate:
            return shutil.which(candidate, path=environ.get("PATH"))
    return shutil.which("pulumi", path=environ.get("PATH")) or (str(home) if os.access(home, os.X_OK) else None)
