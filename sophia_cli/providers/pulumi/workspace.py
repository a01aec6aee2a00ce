"""A stack's configuration put together for one operation: a copy to preview with, and the user's file when it is written."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sophia_cli.core.errors import Locked, StateError
from sophia_cli.providers.pulumi.configuration import (
    Setting,
    differing,
    edited,
    restored,
    secrets_in,
    setting,
)
from sophia_cli.providers.pulumi.engine import Engine
from sophia_cli.providers.pulumi.project import DIY_ORGANIZATION, PROJECT_FILES, Project, project_file
from sophia_cli.providers.pulumi.scratch import changing, private_folder

Replace = Callable[[Path, str, int], None]
"""Replaces a file's text atomically and durably, with a mode; raises `OSError`."""

_NEW_MODE = 0o644  # secrets stand in it as ciphertext; it belongs into version control


@dataclass(frozen=True, slots=True)
class Copy:
    """The configuration an operation runs with: a copy of the user's file in which only the differing values are set.

    `there` is what the file holds now, `sets` what the copy has otherwise (None: not at all). `folder` is private and
    gone when the operation is over; `engine` is the one to ask.
    """

    engine: Engine
    folder: Path
    file: Path
    there: Mapping[str, Setting]
    sets: Mapping[str, Setting | None]

    @property
    def plan(self) -> Path:
        """Where the engine's update plan is kept for as long as the copy exists."""
        return self.folder / "plan.json"

    def text(self) -> str:
        """The copy's text: what the user's file becomes when the operation is made for good."""
        return self.file.read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Workspace:
    """One stack's program, configuration file and private folder."""

    engine: Engine
    project: Project
    scratch: Path
    replace_text: Replace

    @property
    def file(self) -> Path:
        """The user's configuration file of the stack; it need not be there."""
        return self.project.config_file(self.engine.place.stack)

    def refuse_while_changing(self) -> None:
        """Raises `Locked` while an update goes on that was begun by a sophia which was killed since."""
        stack = self.engine.place.stack
        if (pid := changing(self.scratch, stack)) is not None:
            raise Locked(
                f"{stack}: an update goes on whose sophia was killed (process {pid})",
                hint=f"wait until it ends, then run: sophia heal; to stop it between two resources: kill -INT {pid}",
                details={"pid": pid},
            )

    def text(self) -> str | None:
        """The text of the user's file, or None. Raises `StateError`."""
        try:
            with open(self.file, encoding="utf-8", newline="") as stream:
                return stream.read()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as exc:
            raise StateError(f"{self.file} cannot be read: {exc}", hint="mend it, or restore it") from exc

    def write(self, text: str) -> None:
        """Put a text into the user's file, when it is another one. Raises `StateError`."""
        if text == self.text():
            return
        real = self.file.resolve()
        try:
            mode = stat.S_IMODE(real.stat().st_mode) if real.exists() else _NEW_MODE
            self.replace_text(real, text, mode)
        except OSError as exc:
            raise StateError(f"{self.file} cannot be written: {exc.strerror or exc}", hint="edit it by hand") from exc

    @contextlib.asynccontextmanager
    async def copied(self, asked: Mapping[str, Any], former: str | None = None) -> AsyncIterator[Copy]:
        """A copy with the asked values set; with `former`, an earlier text of the file, exactly as that had them."""
        self.project.require_prepared()
        with private_folder(self.scratch) as folder:
            copy = await self._copied_to(folder)
            there = await self.engine.configuration(copy)
            if former is None:
                sets = await self._set(self.engine, folder, copy, there, asked)
            else:
                sets = await self._restore(folder, copy, there, former)
            yield Copy(self.engine, folder, copy, there, sets)

    @contextlib.asynccontextmanager
    async def rehearsed(self, asked: Mapping[str, Any]) -> AsyncIterator[Copy]:
        """The same for a stack that does not exist yet: made in a throw-away file backend, so that nothing is made for real."""
        self.project.require_prepared()
        with private_folder(self.scratch) as folder:
            backend, home = folder / "backend", folder / "project"
            backend.mkdir()
            home.mkdir()
            shutil.copyfile(project_file(self.project.folder), home / PROJECT_FILES[0])
            _without_backend(home / PROJECT_FILES[0])
            stack = f"{DIY_ORGANIZATION}/{self.engine.place.stack.partition('/')[2]}"
            place = replace(self.engine.place, stack=stack)
            passphrase = self.engine.environment.get("PULUMI_CONFIG_PASSPHRASE") or secrets.token_hex(16)
            variables = {"PULUMI_BACKEND_URL": f"file://{backend}", "PULUMI_CONFIG_PASSPHRASE": passphrase}
            maker = replace(self.engine.elsewhere(home, variables), place=place)
            text = self.text()
            copy = replace(self.project, config_folder=home).config_file(stack)
            if text is not None:
                copy.write_text(text, encoding="utf-8")
            await maker.init("passphrase")
            engine = replace(maker, cwd=self.project.folder)
            there = await engine.configuration(copy)
            sets = await self._set(engine, folder, copy, there, asked)
            yield Copy(engine, folder, copy, {}, {**there, **sets})

    async def _copied_to(self, folder: Path) -> Path:
        """The user's file, or what the stack was last updated with where there is none, or where it is only this machine's."""
        copy, text = folder / self.file.name, self.text()
        if (text is None or self.project.is_made) and await self.engine.recorded_configuration(copy):
            return copy
        copy.write_text(text or "", encoding="utf-8")
        return copy

    async def _set(
        self, engine: Engine, folder: Path, copy: Path, there: Mapping[str, Setting], asked: Mapping[str, Any]
    ) -> dict[str, Setting | None]:
        values = differing(there, asked)
        if values:
            aside = folder / "sealing.yaml"
            shutil.copyfile(copy, aside)
            texts = [secret.get_secret_value() for value in values.values() for secret in secrets_in(value)]
            sealed = await engine.encrypted(texts, aside)
            copy.write_text(edited(copy.read_text(encoding="utf-8"), values, sealed), encoding="utf-8")
        return {key: setting(value) for key, value in values.items()}

    async def _restore(
        self, folder: Path, copy: Path, there: Mapping[str, Setting], former: str
    ) -> dict[str, Setting | None]:
        aside = folder / "former.yaml"
        aside.write_text(former, encoding="utf-8")
        earlier = await self.engine.configuration(aside)
        copy.write_text(former, encoding="utf-8")
        return restored(there, earlier)


def _without_backend(path: Path) -> None:
    """Take the backend out of a copied project file: the throw-away one is named by a variable."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    data = yaml.load(path)
    if isinstance(data, dict) and data.pop("backend", None) is not None:
        with open(path, "w", encoding="utf-8") as stream:
            yaml.dump(data, stream)
