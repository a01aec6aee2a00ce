"""Providers: what `fn::open` and `fn::rotate` may call. Ships `env` and `file`; never runs a command."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sophia_cli.esc.schema import STRING
from sophia_cli.esc.values import Schema

MAX_FILE_BYTES = 1024 * 1024


class ProviderError(Exception):
    """A provider could not give its value; becomes a diagnostic at the call."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What a provider gave: plain data, secret unless it says otherwise."""

    data: Any
    secret: bool = True


class Provider(Protocol):
    """Something that `fn::open` can ask. `inputs` and `outputs` are JSON schemas."""

    @property
    def inputs(self) -> Schema: ...

    @property
    def outputs(self) -> Schema: ...

    def open(self, inputs: Mapping[str, Any]) -> Opened:
        """The value for these inputs. Raises ProviderError."""
        ...


class Rotator(Protocol):
    """Something that `fn::rotate` can ask for the value of a state."""

    @property
    def inputs(self) -> Schema: ...

    @property
    def state(self) -> Schema: ...

    @property
    def outputs(self) -> Schema: ...

    def open(self, inputs: Mapping[str, Any], state: Mapping[str, Any] | None) -> Opened:
        """The value for these inputs and this state. Raises ProviderError."""
        ...


@dataclass(frozen=True, slots=True)
class EnvProvider:
    """`fn::open::env: {KEY: VARIABLE}` gives a map of KEY to the text of the process variable."""

    variables: Mapping[str, str]
    outputs: Schema = field(default_factory=lambda: {"type": "object", "additionalProperties": STRING})

    @property
    def inputs(self) -> Schema:
        """Any keys, each with the name of a variable."""
        return {"type": "object", "additionalProperties": STRING}

    def open(self, inputs: Mapping[str, Any]) -> Opened:
        """The named variables; every one must be set and not empty."""
        lost = [str(name) for name in inputs.values() if not self.variables.get(str(name))]
        if lost:
            raise ProviderError(f"not set or empty: {', '.join(f'environment variable {name}' for name in lost)}")
        return Opened({key: self.variables[str(name)] for key, name in inputs.items()})


@dataclass(frozen=True, slots=True)
class FileProvider:
    """`fn::open::file: {path: NAME}` gives the text of a file below the environment's folder."""

    folder: Path
    outputs: Schema = field(default_factory=lambda: STRING)

    @property
    def inputs(self) -> Schema:
        """One key, `path`."""
        return {"type": "object", "properties": {"path": STRING}, "required": ["path"], "additionalProperties": False}

    def open(self, inputs: Mapping[str, Any]) -> Opened:
        """The file's UTF-8 text. Refuses absolute names, `..`, and links that lead out of the folder."""
        name = str(inputs.get("path", ""))
        root = self.folder.resolve()
        try:
            target = (root / name).resolve(strict=True)
            if not target.is_relative_to(root) or target == root:
                raise ProviderError(f"{name!r} is not below the environment's folder {self.folder}")
            return Opened(_text_of(target, name))
        except FileNotFoundError as exc:
            raise ProviderError(f"there is no file {name!r} in {self.folder}") from exc
        except (OSError, RuntimeError, ValueError) as exc:
            raise ProviderError(f"{name!r} cannot be read: {_reason(exc)}") from exc


def _text_of(target: Path, name: str) -> str:
    descriptor = os.open(target, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as handle:
        status = os.fstat(handle.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ProviderError(f"{name!r} is not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            raise ProviderError(f"{name!r} is larger than {MAX_FILE_BYTES // 1024} KiB")
        return handle.read(MAX_FILE_BYTES + 1).decode("utf-8")


def _reason(exc: Exception) -> str:
    if isinstance(exc, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return (exc.strerror or str(exc)) if isinstance(exc, OSError) else str(exc)


def shipped(folder: Path, variables: Mapping[str, str]) -> dict[str, Provider]:
    """The providers sophia has without an account: `env` and `file`."""
    return {"env": EnvProvider(variables), "file": FileProvider(folder)}
