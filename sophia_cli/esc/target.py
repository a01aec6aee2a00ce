"""The environment's own file as a target: edited in place, byte for byte the same elsewhere. Evaluates nothing."""

from __future__ import annotations

import io
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sophia_cli.core.changes import Change, ConfigValue
from sophia_cli.core.comparison import Comparison
from sophia_cli.core.errors import InvalidEnvironment, StateError, UsageError
from sophia_cli.core.history import Snapshot, TextFile
from sophia_cli.core.lasting import config_target
from sophia_cli.core.plan import State
from sophia_cli.core.ports import Clock, Evidence
from sophia_cli.core.rotation import Seals
from sophia_cli.esc.document import Number, join_key, parse_path, resolved
from sophia_cli.esc.edit import remove_value, set_value

_NEW_MODE = 0o644  # an environment holds references to secrets, not secrets; it belongs into version control

Replace = Callable[[Path, str, int], None]
"""Replaces a file's text atomically and durably, with a mode; raises `OSError`."""


class EnvironmentFileTarget:
    """One environment file. Its snapshot is the text; its changes are `config.value`."""

    def __init__(
        self, environment: str, path: Path, clock: Clock, replace_text: Replace, seals: Seals | None = None
    ) -> None:
        self._seals = seals
        self._environment = environment
        self._path = path
        self._replace_text = replace_text
        self._clock = clock
        self._text = ""

    @property
    def id(self) -> str:
        """`config:NAME`."""
        return config_target(self._environment)

    async def read(self) -> Snapshot:
        """The file's text. Raises `InvalidEnvironment` when it cannot be read."""
        self._text = _read(self._path)
        return Snapshot(self.id, self._clock.now(), TextFile(self._path.name, self._text))

    def source(self, path: str) -> Any:
        """The unevaluated value at a path of the text as last read, or None; references stay references."""
        return value_at(self._text, path)

    async def preflight(self, fresh: Snapshot) -> tuple[str, ...]:
        """Nothing outside knows of a file."""
        return ()

    async def write(self, changes: Sequence[Change], fresh: Snapshot) -> None:
        """Make the edits and replace the file a path leads to (through links) atomically; its mode stays."""
        real = self._path.resolve()
        try:
            mode = stat.S_IMODE(real.stat().st_mode) if real.exists() else _NEW_MODE
            self._replace_text(real, edited(_text(fresh), self._opened(changes)), mode)
        except OSError as exc:
            raise StateError(f"{self._path} cannot be written: {exc.strerror or exc}", hint="edit it by hand") from exc

    def compare(self, changes: Sequence[Change], before: Snapshot, after: Snapshot) -> Comparison:
        """Hold the text now against what was planned, value by value."""
        return Comparison(tuple(_state(change, _text(after), self._seals) for change in changes))

    async def verify(
        self, changes: Sequence[Change], before: Snapshot, earlier: Sequence[Snapshot], wait_s: float
    ) -> Evidence:
        """A file has no outside: reading it back was the proof."""
        return Evidence(True)

    def undo(self, changes: Sequence[Change], before: Snapshot, now: Snapshot) -> tuple[Change, ...]:
        """The inverse of the edits that are not as before."""
        text = _text(now)
        return tuple(change.inverse() for change in reversed(changes) if _state(change, text, self._seals) != "before")

    def _opened(self, changes: Sequence[Change]) -> list[Change]:
        """The changes with sealed values put in. Raises `StateError` for one that this process does not know."""
        opened = []
        for change in changes:
            after = change.after
            if isinstance(after, ConfigValue) and after.seal is not None:
                value = None if self._seals is None else self._seals.opened(after.seal)
                if value is None:
                    raise StateError(
                        f"{self._path}: the secret value of {after.path} is not known to this process",
                        hint="run: sophia secrets rotate, which takes the rotation up where it stopped",
                    )
                change = replace(change, after=ConfigValue(after.path, value))
            opened.append(change)
        return opened


def edited(text: str, changes: Sequence[Change]) -> str:
    """The text with the edits made."""
    for change in changes:
        if isinstance(change.after, ConfigValue):
            text = set_value(text, change.after.path, change.after.value)
        elif isinstance(change.before, ConfigValue):
            text = _pruned(remove_value(text, change.before.path), change.before.path)
    return text


def _pruned(text: str, path: str) -> str:
    """The text without the maps that a removal left empty: they would be sections that say nothing."""
    steps = (parse_path(path) or ())[:-1]
    while steps:
        above = ""
        for step in steps:
            above = f"{above}[{step}]" if isinstance(step, int) else join_key(above, step)
        if value_at(text, above) not in ({}, None):
            break
        text, steps = remove_value(text, above), steps[:-1]
    return text


def value_at(text: str, path: str) -> Any:
    """The unevaluated value at a path of an environment's text, as JSON data; None where there is nothing."""
    node: Any = _plain(text) or {}
    if isinstance(node, Mapping) and isinstance(node.get("values"), Mapping):
        node = node["values"]
    for step in parse_path(path) or ():
        if isinstance(node, Mapping) and step in node:
            node = node[step]
        elif isinstance(node, list) and isinstance(step, int) and step < len(node):
            node = node[step]
        else:
            return None
    return node


def _state(change: Change, text: str, seals: Seals | None = None) -> State:
    payload = change.after if change.after is not None else change.before
    if not isinstance(payload, ConfigValue):
        return "neither"
    found = value_at(text, payload.path)
    if _is(found, change.after, seals):
        return "after"
    return "before" if _is(found, change.before, seals) else "neither"


def _is(found: Any, side: object, seals: Seals | None) -> bool:
    """Whether what stands in the file is one side of a change; a sealed value is known by its keyed digest alone."""
    if not isinstance(side, ConfigValue):
        return found is None
    if side.seal is None:
        return bool(found == side.value)
    return found is not None and seals is not None and seals.seal(found) == side.seal


def _text(snapshot: Snapshot) -> str:
    if not isinstance(snapshot.content, TextFile):
        raise TypeError(f"{snapshot.target} is not a file")
    return snapshot.content.text


def _read(path: Path) -> str:
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""  # a new environment begins empty
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidEnvironment(f"{path} cannot be read: {exc}", hint="name the environment with -e FILE") from exc


def parsed_value(text: str) -> Any:
    """A value typed on a command line, read as YAML. Raises `UsageError`."""
    from ruamel.yaml.error import YAMLError

    try:
        return _plain(text)
    except YAMLError as exc:
        raise UsageError(f"{text!r} is not a YAML value", hint="put texts with special characters into quotes") from exc


def _plain(text: str) -> Any:
    """YAML as JSON data, scalars resolved as ESC resolves them: a date is a text (YAML 1.2.2, 10.3)."""
    from ruamel.yaml import YAML

    node = YAML(typ="rt", pure=True).compose(io.StringIO(text.removeprefix("\ufeff")))
    return None if node is None else _data(node)


def _data(node: Any) -> Any:
    from ruamel.yaml.nodes import MappingNode, SequenceNode

    if isinstance(node, MappingNode):
        return {str(key.value): _data(value) for key, value in node.value}
    if isinstance(node, SequenceNode):
        return [_data(item) for item in node.value]
    if node.style in ("'", '"', "|", ">"):
        return node.value
    value = resolved(node.value)
    return value.plain if isinstance(value, Number) else value
