"""Environments: evaluated values with flags, origins and contributors, and the views of them. Evaluates nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sophia_cli.core.errors import InvalidEnvironment
from sophia_cli.core.settings import Origin
from sophia_cli.esc.diagnostics import Diagnostic
from sophia_cli.esc.document import Number, join_key, parse_path
from sophia_cli.esc.text import printable, scalar_text

SECRET = "[secret]"
UNKNOWN = "[unknown]"
MAX_LISTED = 50
RESERVED_SECTIONS = ("environmentVariables", "files", "pulumiConfig")


@dataclass(frozen=True, slots=True)
class Node:
    """One evaluated value. Of an unknown value, `value` says nothing.

    `below` is what it overrides in an import; `sources` are the values it was computed from; `note` tells how it was
    written: `${...}`, `fn::join`, `environment variable X`, `--set ...`, or nothing for a plain value.
    """

    value: bool | Number | str | tuple[Node, ...] | Mapping[str, Node] | None
    path: str
    origin: Origin
    secret: bool = False
    unknown: bool = False
    note: str = ""
    below: Node | None = None
    sources: tuple[Node, ...] = ()

    def plain(self, *, reveal: bool = False) -> Any:
        """Plain data for JSON, with `[secret]` (unless revealed) and `[unknown]` in the place of values."""
        if self.secret and not reveal:
            return SECRET
        if self.unknown:
            return UNKNOWN
        if isinstance(self.value, Number):
            return self.value.plain
        if isinstance(self.value, str):
            return printable(self.value)
        if isinstance(self.value, tuple):
            return [item.plain(reveal=reveal) for item in self.value]
        if isinstance(self.value, Mapping):
            return {key: item.plain(reveal=reveal) for key, item in self.value.items()}
        return self.value

    def text(self) -> str | None:
        """The text of a known scalar; None of anything else."""
        if self.unknown or isinstance(self.value, (tuple, Mapping)):
            return None
        return scalar_text(self.value)

    def child(self, step: str | int) -> Node | None:
        """The element or property at a step."""
        if isinstance(self.value, tuple) and isinstance(step, int):
            return self.value[step] if 0 <= step < len(self.value) else None
        if isinstance(self.value, Mapping) and isinstance(step, str):
            return self.value.get(step)
        return None

    def walk(self, path: str = "") -> Iterator[tuple[str, Node]]:
        """Itself and everything in it, each with its path in the environment."""
        yield path, self
        if isinstance(self.value, tuple):
            for index, item in enumerate(self.value):
                yield from item.walk(f"{path}[{index}]")
        elif isinstance(self.value, Mapping):
            for key, item in self.value.items():
                yield from item.walk(join_key(path, key))


@dataclass(frozen=True, slots=True)
class Step:
    """One file and line that contributed to a value.

    `role` is `value` (it decides), `from` (the value above was computed from it) or `overridden` (it lost).
    `depth` is how many steps of computing lie between it and the value. `shown` is the masked value.
    """

    role: str
    path: str
    file: str
    line: int
    column: int
    note: str
    secret: bool
    unknown: bool
    depth: int
    shown: Any


@dataclass(frozen=True, slots=True)
class Environment:
    """An evaluated ESC environment. `file` is the file that edits go to; None when it lives in the cloud."""

    name: str
    root: Node
    diagnostics: tuple[Diagnostic, ...] = ()
    file: str | None = None
    files: tuple[str, ...] = ()
    """Every file that was read, in the order of reading."""
    stack: str | None = None
    local: bool = True

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that make it unusable."""
        return tuple(one for one in self.diagnostics if one.severity == "error")

    def get(self, path: str) -> Node | None:
        """The value at a path such as `dns.records.api.value`; None when there is none."""
        steps = parse_path(path)
        node: Node | None = self.root
        for step in steps or ():
            if node is None or node.unknown:
                return None
            node = node.child(step)
        return node if steps else None

    def values(self, *, reveal: bool = False) -> dict[str, Any]:
        """All values as plain data (contract, `sophia.config/1`)."""
        data = self.root.plain(reveal=reveal)
        return data if isinstance(data, dict) else {}

    def environment_variables(self, *, reveal: bool = False) -> dict[str, str]:
        """The scalars of `environmentVariables` as text; lists and maps are skipped, as in Pulumi."""
        return self._texts("environmentVariables", reveal)

    def temporary_files(self, *, reveal: bool = False) -> dict[str, str]:
        """The scalars of `files` as text: variable name to the content of the file whose path it will hold."""
        return self._texts("files", reveal)

    def pulumi_config(self, *, reveal: bool = False) -> dict[str, Any]:
        """The stack configuration `pulumiConfig`, nested as it is."""
        node = self.root.child("pulumiConfig")
        if node is None or not isinstance(node.value, Mapping):
            return {}
        return {key: item.plain(reveal=reveal) for key, item in node.value.items()}

    def config_entries(self) -> dict[str, Node]:
        """`pulumiConfig` with flags: what is handed to a stack, secrets kept."""
        node = self.root.child("pulumiConfig")
        return dict(node.value) if node is not None and isinstance(node.value, Mapping) else {}

    def secret_texts(self) -> tuple[str, ...]:
        """Every secret text in it, sorted: what redaction looks for."""
        found: set[str] = set()
        for _, node in self.root.walk():
            if node.secret:
                for _, part in node.walk():
                    text = part.text()
                    if text:
                        found.add(text)
        return tuple(sorted(found))

    def require(self) -> Environment:
        """Itself when it has no errors. Raises InvalidEnvironment, which names the first and carries all."""
        if self.errors:
            raise invalid(self.name, self.diagnostics)
        return self

    def explain(self, path: str) -> tuple[Step, ...]:
        """Each file and line that contributed to a value, the deciding one first; empty when there is no such value."""
        node = self.get(path)
        if node is None:
            return ()
        steps: list[Step] = []
        _explain(node, "value", 0, steps, set())
        return tuple(steps)

    def _texts(self, section: str, reveal: bool) -> dict[str, str]:
        node = self.root.child(section)
        if node is None or not isinstance(node.value, Mapping):
            return {}
        found = {}
        for key, item in node.value.items():
            if isinstance(item.value, (tuple, Mapping)):
                continue
            if item.secret and not reveal:
                found[key] = SECRET
            else:
                found[key] = UNKNOWN if item.unknown else printable(scalar_text(item.value))
        return found


def _explain(node: Node, role: str, depth: int, steps: list[Step], seen: set[int]) -> None:
    if id(node) in seen or depth > 40:
        return
    seen.add(id(node))
    at = node.origin
    if at.line:
        shown = node.plain()
        step = Step(role, node.path, at.file, at.line, at.column, node.note, node.secret, node.unknown, depth, shown)
        if step not in steps:
            steps.append(step)
    for source in node.sources:
        _explain(source, "from", depth + 1, steps, seen)
    if node.below is not None:
        _explain(node.below, "overridden", depth, steps, seen)


def invalid(name: str, diagnostics: tuple[Diagnostic, ...], hint: str | None = None) -> InvalidEnvironment:
    """The error for an environment with these diagnostics."""
    lines = [one.line for one in diagnostics if one.severity == "error"]
    listed = lines[:MAX_LISTED] + ([f"... and {len(lines) - MAX_LISTED} more"] if len(lines) > MAX_LISTED else [])
    message = f"{name}: {lines[0] if len(lines) == 1 else 'it cannot be used'}"
    if len(lines) > 1:
        message = f"{name}: {len(lines)} errors:" + "".join(f"\n  {line}" for line in listed)
    return InvalidEnvironment(
        message,
        hint=hint or "correct the file and run: sophia config check",
        details={"diagnostics": [one.data() for one in diagnostics]},
    )
