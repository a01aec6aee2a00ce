"""The deploy hook: a command of the user's, run without a shell, with paths in its environment and a time limit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from sophia_cli.core.issuance import HookResult

TIME_LIMIT_S = 120.0
MOST_OUTPUT = 4000  # characters
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME", "XDG_RUNTIME_DIR")


class CommandHook:
    """One command. `environ` is the machine's: only what a program needs to start is passed on, never our secrets."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, environ: Mapping[str, str], time_limit_s: float = TIME_LIMIT_S
    ) -> None:
        self._arguments = tuple(arguments)
        self._folder = folder
        self._environ = {key: environ[key] for key in _KEPT if key in environ}
        self._time_limit_s = time_limit_s

    async def run(self, name: str, paths: Mapping[str, Path]) -> HookResult:
        """Run it in a process group of its own, which is ended as a whole when the time is over."""
        own = {f"SOPHIA_CERTIFICATE_{kind.upper()}": str(path) for kind, path in paths.items()}
        program = self._arguments[0]
        try:
            process = await asyncio.create_subprocess_exec(
                *self._arguments,
                cwd=self._folder,
                env={**self._environ, "SOPHIA_CERTIFICATE_NAME": name, **own},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as exc:
            return HookResult(False, f"the deploy hook {program} cannot be started: {exc.strerror}")
        try:
            async with asyncio.timeout(self._time_limit_s):
                output, _ = await process.communicate()
        except TimeoutError:
            await _end(process)
            return HookResult(False, f"the deploy hook {program} took longer than {self._time_limit_s:.0f} s")
        except BaseException:
            await _end(process)
            raise
        text = output.decode("utf-8", "replace")[-MOST_OUTPUT:]
        if process.returncode:
            return HookResult(False, f"the deploy hook {program} ended with code {process.returncode}", text)
        return HookResult(True, f"the deploy hook {program} ran", text)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
