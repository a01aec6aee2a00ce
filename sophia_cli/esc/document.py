"""ESC documents: YAML text as a tree in which every key and value knows its place. Evaluates nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)
from ruamel.yaml.reader import ReaderError

from sophia_cli.core.settings import Origin
from sophia_cli.esc.diagnostics import Report

MAX_BYTES = 4 * 1024 * 1024
MAX_NODES = 100_000  # after aliases are written out: what stops a "billion laughs" file
MAX_DEPTH = 64

_YAML_TAG = "tag:yaml.org,2002:"
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")
_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?\Z")
# How Go's yaml.v3 reads plain scalars (resolve.go); `_` is skipped, a leading 0 is octal as in YAML 1.1.
_INTEGER = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_BARE_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class Number:
    """A number by its digits: `text` is always a valid JSON number and is what interpolation writes."""

    text: str

    @property
    def plain(self) -> int | float:
        """The number for Python and JSON."""
        return int(self.text) if re.fullmatch(r"-?[0-9]+", self.text) else float(self.text)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value. `exact` says that columns inside its text can be counted from `at` (plain, on one line)."""

    value: str | bool | Number | None
    at: Origin
    path: str
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    at: Origin
    path: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping with its value; keys are text."""

    key: str
    at: Origin
    value: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping in the order of the file; a key may stand twice, which evaluation reports."""

    entries: tuple[Entry, ...]
    at: Origin
    path: str

    def get(self, key: str) -> Node | None:
        """The value of the first entry with this key."""
        return next((entry.value for entry in self.entries if entry.key == key), None)


Node = Scalar | Sequence | Mapping


def join_key(root: str, key: str) -> str:
    """A path with one more key, quoted where Pulumi quotes it: `a.b`, `a["x-y"]`."""
    if _BARE_KEY.match(key):
        return f"{root}.{key}" if root else key
    escaped = key.replace('"', '\\"')
    return f'{root}["{escaped}"]'


def parse_path(text: str) -> tuple[str | int, ...] | None:
    """The steps of a path such as `dns.records["x-y"].values[0]`; None when it is not one."""
    steps: list[str | int] = []
    position = 0
    pattern = re.compile(r'\[(\d+)\]|\["((?:[^"\\]|\\.)+)"\]|(\.?)([^.\[\]"\s]+)')
    while position < len(text):
        found = pattern.match(text, position)
        if found is None or (found[4] is not None and bool(found[3]) != bool(steps)):
            return None
        if found[1] is not None:
            steps.append(int(found[1]))
        elif found[2] is not None:
            steps.append(found[2].replace('\\"', '"'))
        else:
            steps.append(found[4])
        position = found.end()
    return tuple(steps) or None


def format_path(steps: tuple[str | int, ...]) -> str:
    """The text of a path."""
    text = ""
    for step in steps:
        text = f"{text}[{step}]" if isinstance(step, int) else join_key(text, step)
    return text


def parse(source: str | bytes, file: str, report: Report) -> Node | None:
    """The tree of a YAML text; None when it is empty or cannot be read, which then stands in `report`."""
    text = _decoded(source, file, report)
    if text is None:
        return None
    try:
        return _Builder(YAML(typ="safe", pure=True).parse(text), file, report).document()
    except ReaderError as exc:
        line, column = _place(text, exc.position if isinstance(exc.position, int) else 0)
        character = exc.character if isinstance(exc.character, str) else chr(exc.character)
        report.error(
            f"the character U+{ord(character[:1] or ' '):04X} is not allowed in YAML", Origin(file, line, column)
        )
    except MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        at = Origin(file, mark.line + 1, mark.column + 1) if mark else Origin(file, 1, 1)
        report.error(f"not valid YAML: {_reason(exc)}", at)
    except YAMLError as exc:
        report.error(f"not valid YAML: {str(exc).splitlines()[0]}", Origin(file, 1, 1))
    except _TooBig as exc:
        report.error(exc.message, exc.at)
    except (ValueError, RecursionError) as exc:
        # ruamel lets out e.g. OverflowError's cousins on absurd escapes (\U99999999) and deep flow nesting.
        report.error(f"not valid YAML: {exc or 'nested too deeply'}", Origin(file, 1, 1))
    return None


def _decoded(source: str | bytes, file: str, report: Report) -> str | None:
    if len(source) > MAX_BYTES:
        report.error(f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB", Origin(file, 1, 1))
        return None
    if isinstance(source, str):
        return source.removeprefix("\ufeff")
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        before = source[: exc.start]
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        at = Origin(file, before.count(b"\n") + 1, column)
        report.error(f"not UTF-8 text: byte 0x{source[exc.start]:02x} cannot be read", at)
        return None


def _place(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1


def _reason(exc: MarkedYAMLError) -> str:
    problem = (exc.problem or exc.context or "unreadable").splitlines()[0]
    if "'\\t'" in problem:
        problem = "a tab stands where only spaces may (YAML 1.2, 6.1)"
    if exc.context and exc.context not in problem:
        problem = f"{problem} ({exc.context.splitlines()[0]})"
    return problem


class _TooBig(Exception):
    """Ends the reading of a document that grows beyond a limit."""

    def __init__(self, message: str, at: Origin) -> None:
        super().__init__(message)
        self.message = message
        self.at = at


class _Builder:
    """Turns YAML events into the tree; aliases share the node that they name."""

    def __init__(self, events: Iterator[Event], file: str, report: Report) -> None:
        self._events = events
        self._file = file
        self._report = report
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._count = 0

    def document(self) -> Node | None:
        root: Node | None = None
        seen = False
        for event in self._events:
            if isinstance(event, (StreamStartEvent, StreamEndEvent, DocumentEndEvent)):
                continue
            if isinstance(event, DocumentStartEvent):
                if seen:
                    self._report.warning("only the first YAML document of a file is read", self._at(event))
                    break
                seen = True
                continue
            root = self._node(event, "", 0)
        if isinstance(root, Scalar) and root.value is None:
            return None
        return root

    def _at(self, event: Event) -> Origin:
        mark = event.start_mark
        return Origin(self._file, mark.line + 1, mark.column + 1)

    def _grow(self, nodes: int, at: Origin) -> None:
        self._count += nodes
        if self._count > MAX_NODES:
            raise _TooBig(f"the document has more than {MAX_NODES} values once its aliases are written out", at)

    def _node(self, event: Event, path: str, depth: int) -> Node:
        at = self._at(event)
        if depth > MAX_DEPTH:
            raise _TooBig(f"values nest deeper than {MAX_DEPTH} levels", at)
        if isinstance(event, AliasEvent):
            return self._alias(event, at, path)
        assert isinstance(event, NodeEvent)
        before = self._count
        self._grow(1, at)
        node: Node
        if isinstance(event, ScalarEvent):
            node = self._scalar(event, at, path)
        elif isinstance(event, SequenceStartEvent):
            node = self._sequence(at, path, depth)
        else:
            node = self._mapping(at, path, depth)
        if event.anchor:
            self._anchors[event.anchor] = (node, self._count - before)
        return node

    def _alias(self, event: AliasEvent, at: Origin, path: str) -> Node:
        found = self._anchors.get(event.anchor)
        if found is None:
            self._report.error(f"the alias *{event.anchor} names no anchor above it", at, path)
            return Scalar(None, at, path)
        self._grow(found[1], at)
        return found[0]

    def _sequence(self, at: Origin, path: str, depth: int) -> Sequence:
        items: list[Node] = []
        for event in self._events:
            if isinstance(event, SequenceEndEvent):
                break
            items.append(self._node(event, f"{path}[{len(items)}]", depth + 1))
        return Sequence(tuple(items), at, path)

    def _mapping(self, at: Origin, path: str, depth: int) -> Mapping:
        entries: list[Entry] = []
        merged: list[Entry] = []
        for event in self._events:
            if isinstance(event, MappingEndEvent):
                break
            key, key_at = self._key(event, path, depth)
            following = next(self._events)
            value_path = join_key(path, key) if key is not None else path
            value = self._node(following, value_path, depth + 1)
            if key == "<<" and isinstance(event, ScalarEvent) and event.style is None:
                merged.extend(self._merged(value, key_at, path))
            elif key is not None:
                entries.append(Entry(key, key_at, value))
        own = {entry.key for entry in entries}
        for entry in merged:
            if entry.key not in own:
                own.add(entry.key)
                entries.append(entry)
        return Mapping(tuple(entries), at, path)

    def _key(self, event: Event, path: str, depth: int) -> tuple[str | None, Origin]:
        node = self._node(event, path, depth + 1)
        at = self._at(event)
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return node.value, at
        self._report.error("mapping keys must be strings", at, path)
        return None, at

    def _merged(self, value: Node, at: Origin, path: str) -> list[Entry]:
        sources = value.items if isinstance(value, Sequence) else (value,)
        found: list[Entry] = []
        for source in sources:
            if not isinstance(source, Mapping):
                self._report.error("'<<' needs a mapping or a list of mappings", at, path)
                return []
            found.extend(source.entries)
        return found

    def _scalar(self, event: ScalarEvent, at: Origin, path: str) -> Scalar:
        text: str = event.value
        tag = str(event.tag or "")
        plain = event.style is None and tag in ("", "!")
        one_line = event.start_mark.line == event.end_mark.line
        if tag.startswith(_YAML_TAG):
            return Scalar(self._tagged(tag.removeprefix(_YAML_TAG), text, at, path), at, path)
        if not plain or tag == "!":
            return Scalar(text, at, path)
        if _NOT_FINITE.match(text):
            self._report.error(f"{text} is not a finite number; quote it if it is meant as text", at, path)
            return Scalar(text, at, path)
        return Scalar(resolved(text), at, path, exact=one_line)

    def _tagged(self, tag: str, text: str, at: Origin, path: str) -> str | bool | Number | None:
        if tag in ("str", "timestamp"):
            return text
        value = resolved(text)
        expected: dict[str, type | tuple[type, ...]] = {
            "bool": bool,
            "int": Number,
            "float": Number,
            "null": type(None),
        }
        if tag in expected:
            if isinstance(value, expected[tag]):
                return value
            self._report.error(f"{text!r} is not a !!{tag}", at, path)
            return text
        self._report.error(f"the tag !!{tag} is not supported", at, path)
        return text


def resolved(text: str) -> str | bool | Number | None:
    """What a plain scalar means: YAML 1.2's core schema as Go's yaml.v3 reads it, with the digits kept as written.

    `no`, `yes`, `on`, `off` and dates are text. Numbers that JSON cannot spell (`0x1F`, `0o17`, `1_000`, `+5`) get
    Pulumi's decimal form; all others keep their digits.
    """
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _JSON_NUMBER.match(text):
        return Number(text) if math.isfinite(float(text)) else text
    digits = text.replace("_", "")
    if text[0] != "." and _INTEGER.match(digits):
        return Number(str(_integer(digits)))
    # A number may start with "." but then holds no "_" (resolve.go, hint '.').
    if _FLOAT.match(text if text[0] == "." else digits):
        value = float(digits)
        return Number(_float_text(value)) if math.isfinite(value) else text
    return text


def _integer(digits: str) -> int:
    sign = -1 if digits[0] == "-" else 1
    body = digits.lstrip("+-")
    if len(body) > 1 and body[0] == "0" and body[1].isdigit():
        return sign * int(body, 8)
    return sign * int(body, 0)


def _float_text(value: float) -> str:
    text = repr(value)
    return text.removesuffix(".0")
