"""Overrides: `--set path=value`, laid over an environment before it is evaluated. They never reach what guards writes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sophia_cli.core.errors import UsageError
from sophia_cli.core.settings import Origin
from sophia_cli.esc.diagnostics import Report
from sophia_cli.esc.document import (
    Entry,
    Mapping,
    Node,
    Number,
    Scalar,
    Sequence,
    format_path,
    join_key,
    parse,
    parse_path,
    resolved,
)

FILE = "--set"
"""What stands for a file in the origin of an override."""
GUARDED = frozenset({"autonomy", "limits", "model", "endpoint", "purge", "protect"})
# Where sections hold guarded keys ("*" is any one key): replacing such a section whole would reach them.
_HOLDERS = (
    ("ai_infrastructure",),
    ("namecheap",),
    ("dns",),
    ("dns", "records"),
    ("dns", "records", "*"),
    ("dns", "domains"),
    ("dns", "domains", "*"),
    ("dns", "domains", "*", "records"),
    ("dns", "domains", "*", "records", "*"),
)


@dataclass(frozen=True, slots=True)
class Override:
    """One `--set`: the steps of its path, its literal value, and the place it was given at."""

    steps: tuple[str | int, ...]
    value: Scalar

    @property
    def path(self) -> str:
        """The path as text."""
        return format_path(self.steps)


def override(text: str, number: int = 1) -> Override:
    """The override of `path=value`; `number` is its place among the overrides. Raises UsageError.

    The value is one YAML scalar and is taken literally: `${...}` in it is text.
    """
    path, equals, value = text.partition("=")
    steps = parse_path(path.strip())
    if not equals or steps is None:
        raise UsageError(f"--set {text}: not of the form path=value", hint="such as: --set dns.ttl=600")
    guarded = [step for step in steps if step in GUARDED]
    if guarded:
        raise UsageError(
            f"--set {path}: {guarded[0]} cannot be set on the command line", hint="change the environment file"
        )
    if any(_is_holder(steps, holder) for holder in _HOLDERS):
        raise UsageError(
            f"--set {path}: this would replace a section that holds {', '.join(sorted(GUARDED))}",
            hint="set one value inside it, or change the environment file",
        )
    place = Origin(FILE, number, 1)
    content = _literal(value, text)
    return Override(steps, Scalar(content, place, f"values.{format_path(steps)}"))


def _is_holder(steps: tuple[str | int, ...], holder: tuple[str, ...]) -> bool:
    return len(steps) == len(holder) and all(name in ("*", step) for step, name in zip(steps, holder, strict=True))


def _literal(value: str, text: str) -> str | bool | Number | None:
    stripped = value.strip()
    content = resolved(stripped)
    if stripped[:1] in ("'", '"'):
        report = Report()
        node = parse(stripped, FILE, report)
        if report.has_errors or not isinstance(node, Scalar):
            raise UsageError(f"--set {text}: the value is not one quoted text")
        content = node.value
    elif stripped[:1] in ("[", "{"):
        raise UsageError(
            f"--set {text}: takes one plain value; quote it if it is text, else put it in the environment file"
        )
    return content.replace("$", "$$") if isinstance(content, str) else content


def laid_over(values: Mapping, overrides: tuple[Override, ...], at: Origin) -> Mapping:
    """The values with each override in its place, the later ones last. Raises UsageError where one cannot be placed."""
    for one in overrides:
        node = _placed(values, one.steps, one, "")
        assert isinstance(node, Mapping)
        values = replace(node, at=values.at if values.at.line else at)
    return values


def _placed(node: Node | None, steps: tuple[str | int, ...], one: Override, path: str) -> Node:
    if not steps:
        if isinstance(node, (Mapping, Sequence)) and not _is_call(node):
            raise UsageError(f"--set {one.path}: this is a whole section; name one value inside it")
        return one.value
    step, rest = steps[0], steps[1:]
    if isinstance(step, int):
        if not isinstance(node, Sequence) or step >= len(node.items):
            raise UsageError(f"--set {one.path}: {path or 'the environment'} has no element {step} in this file")
        items = list(node.items)
        items[step] = _placed(items[step], rest, one, f"{path}[{step}]")
        return replace(node, items=tuple(items))
    if node is None:
        node = Mapping((), one.value.at, f"values.{path}" if path else "values")
    if not isinstance(node, Mapping) or _is_call(node):
        raise UsageError(f"--set {one.path}: {path} is not a map written out in this file, so nothing in it can be set")
    inner = join_key(path, step)
    entries = list(node.entries)
    for index, entry in enumerate(entries):
        if entry.key == step:
            entries[index] = replace(entry, value=_placed(entry.value, rest, one, inner))
            return replace(node, entries=tuple(entries))
    entries.append(Entry(step, one.value.at, _placed(None, rest, one, inner)))
    return replace(node, entries=tuple(entries))


def _is_call(node: Node) -> bool:
    return isinstance(node, Mapping) and len(node.entries) == 1 and node.entries[0].key.startswith("fn::")
