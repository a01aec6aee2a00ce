"""References: `${a.b["c"][0]}` inside text, read into steps with their places. Looks nothing up."""

from __future__ import annotations

from dataclasses import dataclass

from sophia_cli.core.settings import Origin
from sophia_cli.esc.diagnostics import Report
from sophia_cli.esc.document import Scalar


@dataclass(frozen=True, slots=True)
class Accessor:
    """One step of a reference: a key (text) or an index, and where it stands."""

    step: str | int
    at: Origin


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of text, and the reference after it, if any."""

    text: str
    reference: tuple[Accessor, ...] | None = None


def written(reference: tuple[Accessor, ...]) -> str:
    """The reference as text, without `${` and `}`."""
    text = ""
    for accessor in reference:
        step = accessor.step
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.replace("-", "_").isidentifier():
            text += f".{step}" if text else step
        else:
            escaped = step.replace('"', '\\"')
            text += f'["{escaped}"]'
    return text


def split_text(node: Scalar, report: Report) -> tuple[Part, ...]:
    """The parts of a text value; `$$` is a dollar sign, a lone `$` is itself (ast/interpolation.go)."""
    value = node.value
    if not isinstance(value, str):
        return ()
    if "$" not in value:
        return (Part(value),) if value else ()
    parts: list[Part] = []
    text = ""
    offset = 0
    while offset < len(value):
        if value.startswith("$$", offset):
            text += "$"
            offset += 2
        elif value.startswith("${", offset):
            reader = _Reader(node, value, offset + 2, report)
            parts.append(Part(text, reader.read()))
            text = ""
            offset = reader.offset
        else:
            text += value[offset]
            offset += 1
    if text:
        parts.append(Part(text))
    return tuple(parts)


class _Reader:
    """Reads one reference. Broken ones are reported and still give steps, so that reading goes on behind them."""

    def __init__(self, node: Scalar, text: str, offset: int, report: Report) -> None:
        self._node = node
        self._text = text
        self.offset = offset
        self._report = report
        self._found: list[Accessor] = []
        self._broken = False

    def read(self) -> tuple[Accessor, ...]:
        """The steps up to the closing brace; a broken reference is one empty step."""
        while True:
            character = self._peek()
            if character == "}":
                start = self.offset
                self.offset += 1
                if not self._found and not self._broken:
                    self._error(start, "property access expressions cannot be empty")
                break
            if character == "" or character.isspace():
                self._error(self.offset, "missing closing brace '}' in interpolation")
                break
            start = self.offset
            if character == "[":
                self.offset += 1
                self._found.append(Accessor(self._subscript(start), self._at(start)))
            else:
                self.offset += character == "."
                self._found.append(Accessor(self._name(start), self._at(start)))
        if self._broken or not self._found:
            return (Accessor("", self._node.at),)
        return tuple(self._found)

    def _peek(self) -> str:
        return self._text[self.offset : self.offset + 1]

    def _at(self, start: int) -> Origin:
        at = self._node.at
        return Origin(at.file, at.line, at.column + start) if self._node.exact else at

    def _error(self, start: int, message: str) -> None:
        self._broken = True
        self._report.error(message, self._at(start), self._node.path)

    def _name(self, start: int) -> str:
        begin = self.offset
        while (character := self._peek()) and character not in ".[}" and not character.isspace():
            self.offset += 1
        name = self._text[begin : self.offset]
        if not name:
            self._error(start, "property name must not be empty")
        return name

    def _subscript(self, start: int) -> str | int:
        step: str | int
        if self._peek() == '"':
            self.offset += 1
            step = self._quoted(start)
        else:
            step = self._index(start)
        if self._peek() == "]":
            self.offset += 1
        else:
            self._error(start, "subscript is missing closing bracket ']'")
        return step

    def _quoted(self, start: int) -> str:
        key = ""
        while character := self._peek():
            self.offset += 1
            if character == '"':
                if not key:
                    self._error(start + 1, "key subscript must not be empty")
                return key
            if character == "\\" and self._peek() == '"':
                character = '"'
                self.offset += 1
            key += character
        self._error(start + 1, "key subscript is missing closing quote '\"'")
        return key

    def _index(self, start: int) -> str | int:
        begin = self.offset
        while (character := self._peek()) and character not in ".[]}" and not character.isspace():
            self.offset += 1
        text = self._text[begin : self.offset]
        if not (text.lstrip("-").isascii() and text.lstrip("-").isdigit()) or len(text) > 18:
            self._error(start + 1, "numeric subscript must be a positive base-10 integer")
            return text
        if not self._found:
            self._error(start, "the first accessor must be a property name or key subscript, not a numeric subscript")
        return int(text)
