"""The official CLI: what is here of it, and its installation through the SDK. The only module that imports the SDK."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sophia_cli.core.errors import Unreachable
from sophia_cli.providers.pulumi.explain import MINIMUM
from sophia_cli.providers.pulumi.process import Call, Cli
from sophia_cli.providers.pulumi.variables import child_environment

HOST = "pulumi-language-"


@dataclass(frozen=True, slots=True)
class Installation:
    """A CLI as `sophia doctor` shows it. `version` is empty for a build that names none."""

    path: str
    version: str
    languages: tuple[str, ...]

    @property
    def is_old(self) -> bool:
        """Whether it is older than what is needed."""
        numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", self.version)
        return numbers is not None and tuple(map(int, numbers.groups())) < MINIMUM


async def inspected(cli: Cli, path: str, environ: Mapping[str, str], limit_s: float = 30.0) -> Installation:
    """The CLI at a path: its version and the language hosts beside it and on PATH."""
    variables = child_environment(environ, {}, backend=None, secrets_provider=None, forced={})
    call = Call(("version",), Path(path).parent, variables, limit_s)
    finished = await cli.run(call)
    folders = [str(Path(path).resolve().parent), *environ.get("PATH", os.defpath).split(os.pathsep)]
    return Installation(path, finished.stdout.strip().removeprefix("v"), _languages(folders))


def _languages(folders: list[str]) -> tuple[str, ...]:
    found = set()
    for folder in folders:
        for path in Path(folder).glob(f"{HOST}*") if folder else ():
            name = path.stem.removeprefix(HOST)
            if "-" not in name and shutil.which(path.name, path=folder):
                found.add(name)
    return tuple(sorted(found))


async def install(root: Path) -> str:
    """Install the official CLI below a folder, which takes the network; its path. Raises `Unreachable`."""

    def installed() -> str:
        from pulumi.automation import CommandError, PulumiCommand

        try:
            return str(PulumiCommand.install(root=str(root)).command)
        except CommandError as exc:
            raise ChildProcessError(str(exc)) from exc

    try:
        return await asyncio.to_thread(installed)
    except (OSError, subprocess.SubprocessError, RuntimeError, ValueError) as exc:
        raise Unreachable(
            f"the pulumi CLI could not be installed: {exc}", hint="see https://www.pulumi.com/docs/install/"
        ) from exc
