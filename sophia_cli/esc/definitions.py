"""Definitions: one ESC file as description, imports and values. Evaluates nothing and reads no files."""

from __future__ import annotations

from dataclasses import dataclass

from sophia_cli.core.settings import Origin
from sophia_cli.esc.diagnostics import Diagnostic, Report
from sophia_cli.esc.document import Mapping, Node, Scalar, Sequence, join_key, parse
from sophia_cli.esc.expressions import Expression, expression
from sophia_cli.esc.overrides import Override, laid_over

RESERVED = ("imports", "context", "environments")
TOP = ("description", "imports", "values")


@dataclass(frozen=True, slots=True)
class Import:
    """One import: the environment's name as written, whether it is merged, and where it is asked for."""

    name: str
    merge: bool
    at: Origin
    path: str


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """A parsed ESC file. `identity` is what makes two imports the same environment."""

    name: str
    identity: str
    file: str
    imports: tuple[Import, ...]
    fields: dict[str, Expression]
    problems: tuple[Diagnostic, ...]
    local: bool = True

    @property
    def at(self) -> Origin:
        """The start of the file."""
        return Origin(self.file, 1, 1)

    @property
    def is_broken(self) -> bool:
        """Whether something in it could not be parsed, so that nothing may import it."""
        return any(problem.severity == "error" for problem in self.problems)


def define(
    source: str | bytes,
    *,
    name: str,
    identity: str,
    file: str,
    local: bool = True,
    overrides: tuple[Override, ...] = (),
) -> Definition:
    """The definition that a text holds; `overrides` are laid over its values before anything is evaluated."""
    report = Report()
    tree = parse(source, file, report)
    if tree is not None and not isinstance(tree, Mapping):
        report.error("environment must be an object", tree.at, "")
        tree = None
    if tree is None and not report.has_errors:
        report.warning("the environment is empty", Origin(file, 1, 1))
    imports, values = _sections(tree, report)
    if overrides:
        values = laid_over(values, overrides, Origin(file, 1, 1))
    fields = _values(values, report)
    return Definition(name, identity, file, imports, fields, report.sorted(), local)


def values_of(tree: Mapping) -> tuple[Node | None, bool]:
    """The values of a document and whether they stand under `values:`; else its other top keys are the values."""
    for entry in reversed(tree.entries):  # of two, the last counts, as in Pulumi
        if entry.key.lower() == "values":
            return entry.value, True
    own = tuple(entry for entry in tree.entries if entry.key.lower() not in TOP)
    return Mapping(own, tree.at, "values"), False


def _sections(tree: Mapping | None, report: Report) -> tuple[tuple[Import, ...], Mapping]:
    if tree is None:
        return (), Mapping((), Origin("", 1, 1), "values")
    values, explicit = values_of(tree)
    imports: tuple[Import, ...] = ()
    seen: set[str] = set()
    for entry in tree.entries:
        key = entry.key.lower()
        if entry.key in seen:
            report.warning(f'duplicate key "{entry.key}"', entry.at, entry.key)
        seen.add(entry.key)
        if key == "imports":
            imports = _imports(entry.value, report)
        elif key == "description":
            if not (isinstance(entry.value, Scalar) and isinstance(entry.value.value, str)):
                report.error("description must be a string", entry.value.at, entry.key)
        elif key != "values" and explicit:
            fields = ", ".join(f"'{name}'" for name in TOP)
            message = f"Field '{entry.key}' does not exist on Object 'environment'. Existing fields are: {fields}"
            report.warning(message, entry.at, entry.key)
    if not isinstance(values, Mapping):
        report.error("values must be an object", values.at if values else tree.at, "values")
        return imports, Mapping((), tree.at, "values")
    return imports, values


def _imports(node: Node, report: Report) -> tuple[Import, ...]:
    if isinstance(node, Scalar) and node.value is None:
        return ()
    if not isinstance(node, Sequence):
        report.error("imports must be a list", node.at, node.path)
        return ()
    return tuple(found for item in node.items if (found := _import(item, report)) is not None)


def _import(node: Node, report: Report) -> Import | None:
    if isinstance(node, Scalar) and isinstance(node.value, str):
        return Import(node.value, True, node.at, node.path)
    if not isinstance(node, Mapping):
        report.error("import must be a string or an object", node.at, node.path)
        return None
    if len(node.entries) != 1:
        report.error("import must have a single key", node.at, node.path)
        return None
    entry = node.entries[0]
    merge = True
    if not isinstance(entry.value, Mapping):
        if not (isinstance(entry.value, Scalar) and entry.value.value is None):
            report.error("import must be an object", entry.value.at, entry.value.path)
    else:
        for option in entry.value.entries:
            if option.key.lower() != "merge":
                continue
            if isinstance(option.value, Scalar) and isinstance(option.value.value, bool):
                merge = option.value.value
            else:
                report.error("merge must be a boolean value", option.value.at, option.value.path)
    return Import(entry.key, merge, entry.at, node.path)


def _values(node: Mapping, report: Report) -> dict[str, Expression]:
    fields: dict[str, Expression] = {}
    for entry in node.entries:
        parsed = expression(entry.value, join_key("", entry.key), report)
        if entry.key.startswith("fn::"):
            report.error(
                f'builtin function call "{entry.key}" not allowed at the top level', entry.at, entry.value.path
            )
        elif entry.key in RESERVED:
            report.error(f'"{entry.key}" is a reserved key', entry.at, entry.value.path)
        elif entry.key in fields:
            report.error(f'duplicate key "{entry.key}"', entry.at, entry.value.path)
        else:
            fields[entry.key] = parsed
    return fields
