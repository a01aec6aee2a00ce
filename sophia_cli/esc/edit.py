"""Edits: one value of a YAML text set or removed in place, every other byte kept. Writes no files."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sophia_cli.core.errors import InvalidEnvironment, UsageError
from sophia_cli.esc.definitions import TOP, values_of
from sophia_cli.esc.diagnostics import Report
from sophia_cli.esc.document import Mapping, Number, Scalar, Sequence, format_path, parse, parse_path, resolved

_GONE = object()
Plain = str | int | float | bool | None | list[Any] | dict[str, Any]


def set_value(text: str, path: str, value: Plain) -> str:
    """The text with the value at a path changed or added; comments, order, quoting and line ends stay.

    A text value is written as it is: `${...}` in it becomes a reference, `$$` a dollar sign.

    Only the characters of the value change; a new key is one new line (or one new flow entry) after its siblings.
    Raises UsageError where the path goes through a reference, a built-in or an alias, InvalidEnvironment for a text
    that is not YAML.
    """
    steps, edit = _steps(path), _Edit(text)
    return _checked(text, edit.put(steps, value), steps, value)


def remove_value(text: str, path: str) -> str:
    """The text without the value at a path; what is not there already is no error. Raises as `set_value` does."""
    steps, edit = _steps(path), _Edit(text)
    after = edit.remove(steps)
    return text if after == text else _checked(text, after, steps, _GONE)


def _steps(path: str) -> tuple[str | int, ...]:
    steps = parse_path(path)
    if steps is None:
        raise UsageError(f"{path!r} is not a path", hint="such as dns.records.api.value")
    return steps


@dataclass(frozen=True, slots=True)
class _Found:
    """How far a path leads: the deepest node there is, and the steps that are left."""

    node: Node
    left: tuple[str | int, ...]


class _Edit:
    """Finds the place of a value by the marks of the composed nodes and splices the text there."""

    def __init__(self, text: str) -> None:
        report = Report()
        parse(text, "", report)
        if report.has_errors:
            first = report.sorted()[0]
            raise InvalidEnvironment(f"the file cannot be edited: line {first.at.line}: {first.message}")
        self.text = text
        # The byte-order mark is not part of the YAML stream that marks count in.
        self.shift = 1 if text.startswith("\ufeff") else 0
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self.lines = text.split("\n")
        self.root: Node | None = _composed(text)

    # -- finding ---------------------------------------------------------------------------------------------------------

    def values(self) -> tuple[Node | None, tuple[str, ...]]:
        """The node that paths start from, and the key above it that is missing (`values`), if any."""
        if not isinstance(self.root, MappingNode):
            return self.root, ()
        for key, node in self.root.value:
            if isinstance(key, ScalarNode) and key.value.lower() == "values":
                return node, ()
        has_sections = any(key.value not in TOP for key, _ in self.root.value)
        return self.root, () if has_sections or not self.root.value else ("values",)

    def find(self, start: Node, steps: tuple[str | int, ...]) -> _Found:
        node = start
        for index, step in enumerate(steps):
            self.refuse(node, steps[:index], steps)
            child = _child(node, step)
            if child is None:
                return _Found(node, steps[index:])
            if _is_alias(node, child):
                where = format_path(steps[: index + 1])
                raise UsageError(
                    f"{where} stands under an anchor or alias: other places would change too; edit it by hand"
                )
            node = child
        return _Found(node, ())

    def refuse(self, node: Node, done: tuple[str | int, ...], steps: tuple[str | int, ...]) -> None:
        where = format_path(done) or "it"
        if isinstance(node, MappingNode) and len(node.value) == 1 and str(node.value[0][0].value).startswith("fn::"):
            name = node.value[0][0].value
            if name == "fn::secret" and steps[len(done) :] == (name,):
                return  # its plain text may be replaced: a rotated secret stays one
            raise UsageError(f"{format_path(steps) or 'this value'}: {where} is a call of {name}; edit it by hand")
        if isinstance(node, ScalarNode):
            if node.style is None and resolved(node.value) is None and node.value == "":
                return
            said = "a reference" if "${" in node.value else "a single value"
            raise UsageError(f"{format_path(steps)}: {where} is {said}, so nothing can be set inside it")

    # -- setting ---------------------------------------------------------------------------------------------------------

    def put(self, steps: tuple[str | int, ...], value: Plain) -> str:
        start, above = self.values()
        steps = (*above, *steps)
        if start is None:  # an empty file, or one of comments only
            lines = _block(steps, value, 0)
            return self.text + self._glue(len(self.text)) + self.newline.join(lines) + self.newline
        found = self.find(start, steps)
        if not found.left:
            return self._replaced(found.node, value)
        if isinstance(found.left[0], int):
            if isinstance(found.node, SequenceNode) and found.left[0] == len(found.node.value):
                return self._appended(found.node, found.left[1:], value)
            raise UsageError(f"{format_path(steps)}: there is no element {found.left[0]}")
        if isinstance(found.node, ScalarNode):  # `key:` with nothing behind it
            return self._filled(found.node, found.left, value)
        if not isinstance(found.node, MappingNode):
            raise UsageError(f"{format_path(steps)}: a list has no keys")
        return self._added(found.node, found.left, value)

    def _replaced(self, node: Node, value: Plain) -> str:
        begin, end = self._span(node)
        if isinstance(node, (MappingNode, SequenceNode)):
            if not node.flow_style:
                raise UsageError("a whole block of the file would be replaced; set the values inside it one by one")
            if len(node.value) == 1 and isinstance(node, MappingNode):
                self.refuse(node, (), ())
            return self._spliced(begin, end, _flow(value))
        if isinstance(value, (dict, list)):
            return self._spliced(begin, end, _flow(value))
        assert isinstance(node, ScalarNode)
        if node.style in ("|", ">"):
            raise UsageError("a block text (| or >) stands there; edit it by hand")
        return self._spliced(begin, end, _scalar(value, node.style, self._in_flow(begin)))

    def _filled(self, node: ScalarNode, left: tuple[str | int, ...], value: Plain) -> str:
        begin, end = self._span(node)
        if begin != end or self._in_flow(begin):
            return self._spliced(begin, end, _flow(_nested(left, value)))
        line = self._line_of(self._key_before(begin))
        indent = len(self.lines[line]) - len(self.lines[line].lstrip(" "))
        return self._inserted(line + 1, _block(left, value, indent + self._step()))

    def _added(self, node: MappingNode, left: tuple[str | int, ...], value: Plain) -> str:
        if node.flow_style:
            return self._flow_entry(node, f"{_key_text(str(left[0]), True)}: {_flow(_nested(left[1:], value))}")
        key = node.value[0][0]
        indent = key.start_mark.column
        line = self._last_line(node) + 1
        return self._inserted(line, _block(left, value, indent))

    def _appended(self, node: SequenceNode, left: tuple[str | int, ...], value: Plain) -> str:
        if node.flow_style:
            return self._flow_entry(node, _flow(_nested(left, value)))
        line = self._line_of(self._at(node.value[-1].start_mark.index)) if node.value else 0
        dash = self.lines[line].index("-")
        item = f"{' ' * dash}- {_flow(_nested(left, value))}"
        return self._inserted(self._last_line(node) + 1, [item])

    def _flow_entry(self, node: MappingNode | SequenceNode, entry: str) -> str:
        begin, end = self._span(node)
        if not node.value:
            return self._spliced(begin, end, f"{{{entry}}}" if isinstance(node, MappingNode) else f"[{entry}]")
        last = node.value[-1][1] if isinstance(node, MappingNode) else node.value[-1]
        place = self._span(last)[1]
        return self._spliced(place, place, f", {entry}")

    # -- removing --------------------------------------------------------------------------------------------------------

    def remove(self, steps: tuple[str | int, ...]) -> str:
        start, above = self.values()
        if start is None or above:
            return self.text
        parent = self.find(start, steps[:-1])
        if parent.left:
            return self.text
        self.refuse(parent.node, steps[:-1], steps)
        child = _child(parent.node, steps[-1])
        if child is None:
            return self.text
        if not isinstance(parent.node, (MappingNode, SequenceNode)):
            return self.text
        if parent.node.flow_style:
            return self._without_flow_entry(parent.node, child, steps[-1])
        if len(parent.node.value) == 1:
            # An empty block is not YAML: the place becomes an empty map or list.
            begin, end = self._span(parent.node)
            if parent.node is start and start is self.root:
                return self._cut_lines(0, self._last_line(parent.node) + 1)
            empty = "{}" if isinstance(parent.node, MappingNode) else "[]"
            return self._emptied(begin, end, empty)
        first = self._line_of(self._at(self._entry_mark(parent.node, child, steps[-1])))
        if isinstance(parent.node, MappingNode) and self._shares_line(first):
            raise UsageError(f"{format_path(steps)}: it shares its line with other values; edit it by hand")
        return self._cut_lines(first, self._last_line_of(child, first) + 1)

    def _entry_mark(self, parent: MappingNode | SequenceNode, child: Node, step: str | int) -> int:
        if isinstance(parent, MappingNode):
            index: int = next(key for key, node in parent.value if node is child and key.value == step).start_mark.index
            return index
        place: int = child.start_mark.index
        return place

    def _shares_line(self, line: int) -> bool:
        """Whether the entry begins on the line of a list dash: `- name: x`."""
        return self.lines[line].lstrip(" ").startswith("- ")

    def _emptied(self, begin: int, end: int, empty: str) -> str:
        before = self.text[:begin].rstrip(" \r\n")
        keeps_comment = "#" in self.text[self.text.rfind("\n", 0, len(before)) + 1 : begin]
        if keeps_comment:
            raise UsageError("the last value of a block with a comment above it; edit it by hand")
        last = self._line_end(end)
        return f"{before} {empty}{self.text[last:]}"

    def _without_flow_entry(self, parent: MappingNode | SequenceNode, child: Node, step: str | int) -> str:
        index = self._index_of(parent, child, step)
        begin, end = self._at(self._entry_mark(parent, child, step)), self._span(child)[1]
        if index + 1 < len(parent.value):
            following = parent.value[index + 1]
            end = self._at((following[0] if isinstance(parent, MappingNode) else following).start_mark.index)
        elif index > 0:
            previous = parent.value[index - 1]
            begin = self._span(previous[1] if isinstance(parent, MappingNode) else previous)[1]
        return self._spliced(begin, end, "")

    def _index_of(self, parent: MappingNode | SequenceNode, child: Node, step: str | int) -> int:
        if isinstance(step, int):
            return step
        return next(index for index, (key, node) in enumerate(parent.value) if node is child and key.value == step)

    # -- the text --------------------------------------------------------------------------------------------------------

    def _at(self, index: int) -> int:
        return index + self.shift

    def _span(self, node: Node) -> tuple[int, int]:
        begin, end = self._at(node.start_mark.index), self._at(node.end_mark.index)
        if isinstance(node, (MappingNode, SequenceNode)) and not node.flow_style and node.value:
            last = node.value[-1][1] if isinstance(node, MappingNode) else node.value[-1]
            end = self._span(last)[1]  # the end mark of a block lies behind its comments
        elif begin == end:  # an empty value may be marked at the token after it
            begin = end = len(self.text[:begin].rstrip())
        return begin, end

    def _last_line(self, node: Node) -> int:
        return self._last_line_of(node, self._line_of(self._at(node.start_mark.index)))

    def _last_line_of(self, node: Node, first: int) -> int:
        """The last line of a value, that of a block text without the empty lines behind it."""
        begin, end = self._span(node)
        if isinstance(node, (MappingNode, SequenceNode)) and not node.flow_style and node.value:
            last = node.value[-1][1] if isinstance(node, MappingNode) else node.value[-1]
            key = node.value[-1][0] if isinstance(node, MappingNode) else node.value[-1]
            return self._last_line_of(last, max(first, self._line_of(self._at(key.start_mark.index))))
        if isinstance(node, ScalarNode) and node.style in ("|", ">"):
            return self._line_of(begin + len(self.text[begin:end].rstrip()) - 1)
        if begin == end:  # nothing stands there
            return first
        return max(first, self._line_of(end - 1))

    def _line_of(self, index: int) -> int:
        return self.text.count("\n", 0, max(index, 0))

    def _line_end(self, index: int) -> int:
        found = self.text.find("\n", index)
        end = len(self.text) if found == -1 else found
        return end - 1 if self.text[end - 1 : end] == "\r" else end

    def _key_before(self, index: int) -> int:
        return len(self.text[:index].rstrip()) - 1

    def _in_flow(self, index: int) -> bool:
        """Whether a place lies inside `{...}` or `[...]`."""
        return self.root is not None and _flow_around(self.root, index - self.shift)

    def _step(self) -> int:
        """The indentation the file uses."""
        for line in self.lines:
            width = len(line) - len(line.lstrip(" "))
            if width and not line.lstrip(" ").startswith(("#", "-")):
                return min(width, 8)
        return 2

    def _glue(self, index: int) -> str:
        return "" if index == 0 or self.text[index - 1] == "\n" else self.newline

    def _spliced(self, begin: int, end: int, piece: str) -> str:
        gap = " " if piece and self.text[begin - 1 : begin] in (":", "-") else ""
        return self.text[:begin] + gap + piece + self.text[end:]

    def _inserted(self, line: int, pieces: Many[str]) -> str:
        """The text with whole lines put before line number `line`."""
        index = sum(len(one) + 1 for one in self.lines[:line])
        block = self.newline.join(pieces)
        if index > len(self.text):  # the last line has no end
            return self.text + self.newline + block
        return self.text[:index] + block + self.newline + self.text[index:]

    def _cut_lines(self, first: int, last: int) -> str:
        return "\n".join([*self.lines[:first], *self.lines[last:]])


def _composed(text: str) -> Node | None:
    node: Node | None = YAML(typ="rt", pure=True).compose(io.StringIO(text.removeprefix("\ufeff")))
    return node


def _child(node: Node, step: str | int) -> Node | None:
    if isinstance(node, MappingNode) and isinstance(step, str):
        return next((child for key, child in node.value if isinstance(key, ScalarNode) and key.value == step), None)
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        item: Node = node.value[step]
        return item
    return None


def _is_alias(parent: Node, child: Node) -> bool:
    """Whether the child stands elsewhere in the file: the composer gives an alias the node of its anchor."""
    inside = parent.start_mark.index <= child.start_mark.index and child.end_mark.index <= parent.end_mark.index
    return not inside or child.anchor is not None


def _flow_around(node: Node, index: int) -> bool:
    if not isinstance(node, (MappingNode, SequenceNode)):
        return False
    if not node.start_mark.index <= index <= node.end_mark.index:
        return False
    if node.flow_style and node.start_mark.index < index < node.end_mark.index:
        return True
    children = [part for pair in node.value for part in pair] if isinstance(node, MappingNode) else node.value
    return any(_flow_around(child, index) for child in children)


def _nested(left: tuple[str | int, ...], value: Plain) -> Plain:
    for step in reversed(left):
        if isinstance(step, int):
            raise UsageError(f"there is no element {step} in what is not there yet")
        value = {step: value}
    return value


def _block(left: tuple[str | int, ...], value: Plain, indent: int, step: int = 2) -> list[str]:
    """The lines of new nested keys in block style; the value itself is in flow style."""
    lines = []
    for depth, key in enumerate(left):
        if isinstance(key, int):
            raise UsageError(f"there is no element {key} in what is not there yet")
        lines.append(f"{' ' * (indent + depth * step)}{_key_text(key, False)}:")
    lines[-1] += f" {_flow(value)}"
    return lines


def _flow(value: Plain) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key_text(str(key), True)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return _scalar(value, None, True)


def _key_text(key: str, flow: bool) -> str:
    return _scalar(key, None, flow)


def _scalar(value: str | int | float | bool | None, style: str | None, flow: bool) -> str:
    """The YAML text of a scalar in the quotes that stood there, or the least that it needs."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if any(not character.isprintable() for character in value):
        return _double_quoted(value)
    if style == '"':
        return _double_quoted(value)
    if style == "'":
        return "'" + value.replace("'", "''") + "'"
    return value if _may_stand_plain(value, flow) else _double_quoted(value)


def _may_stand_plain(value: str, flow: bool) -> bool:
    """Whether a text means itself without quotes (YAML 1.2 7.3.3, on the safe side)."""
    if (
        not isinstance(resolved(value), str)
        or value != value.strip()
        or value.lower() in ("yes", "no", "on", "off", "y", "n")
        or re.match(r"\d{4}-\d", value)  # other readers take it for a date
    ):
        return False
    if value[0] in "-?:,[]{}#&*!|>'\"%@`<=" or re.search(r":(\s|\Z)|\s#", value):
        return False
    return not (flow and re.search(r"[,\[\]{}]|:", value))


def _double_quoted(value: str) -> str:
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}

    def escaped(character: str) -> str:
        if character in escapes:
            return escapes[character]
        if character.isprintable():
            return character
        code = ord(character)
        return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"

    return '"' + "".join(map(escaped, value)) + '"'


def _checked(before: str, after: str, steps: tuple[str | int, ...], value: Any) -> str:
    """The new text, once it is known to read as the old one but for this value: any other edit is refused."""
    report = Report()
    wanted = _with(_data(_values(before, report)), steps, value)
    if _data(_values(after, report)) == wanted and not report.has_errors:
        return after
    raise UsageError(f"{format_path(steps)} cannot be changed in place here; edit the file by hand")


def _values(text: str, report: Report) -> Any:
    tree = parse(text, "", report)
    return values_of(tree)[0] if isinstance(tree, Mapping) else None


def _data(node: Any) -> Any:
    """Plain data, in which numbers and booleans are told apart from text and from each other."""
    if isinstance(node, Mapping):
        return {entry.key: _data(entry.value) for entry in node.entries}
    if isinstance(node, Sequence):
        return [_data(item) for item in node.items]
    if isinstance(node, Scalar):
        return (
            ("number", float(node.value.text))
            if isinstance(node.value, Number)
            else (type(node.value).__name__, node.value)
        )
    return None


def _meant(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _meant(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_meant(item) for item in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return ("number", float(value))
    return (type(value).__name__, value)


def _with(data: Any, steps: tuple[str | int, ...], value: Any) -> Any:
    """The data with the value at a path replaced, added, or (for `_GONE`) taken out."""
    step, rest = steps[0], steps[1:]
    if isinstance(step, int):
        items = list(data)
        if value is _GONE and not rest:
            return [*items[:step], *items[step + 1 :]]
        items[step : step + 1] = [
            _with(items[step] if step < len(items) else None, rest, value) if rest else _meant(value)
        ]
        return items
    fields = dict(data) if isinstance(data, dict) else {}
    if value is _GONE and not rest:
        fields.pop(step, None)
    else:
        fields[step] = _with(fields.get(step), rest, value) if rest else _meant(value)
    return fields
