"""Loading: finds, reads and evaluates environment files. Reads files below the given folders and nothing else."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sophia_cli.core.errors import InvalidEnvironment, UsageError
from sophia_cli.core.settings import Origin
from sophia_cli.esc.definitions import Definition, define
from sophia_cli.esc.diagnostics import Diagnostic, Report
from sophia_cli.esc.environment import Environment, Node
from sophia_cli.esc.evaluate import Context, World, evaluate
from sophia_cli.esc.expressions import Call, Expression, Fields, Items, Symbol, Template
from sophia_cli.esc.overrides import FILE as OVERRIDE
from sophia_cli.esc.overrides import GUARDED, Override, override
from sophia_cli.esc.providers import Provider, Rotator, shipped
from sophia_cli.esc.values import Value

SUFFIXES = (".yaml", ".yml")
NO_CONTEXT = Context()


def load(
    source: Path | str,
    *,
    variables: Mapping[str, str] | None = None,
    context: Context = NO_CONTEXT,
    overrides: Sequence[str] = (),
    search_path: Sequence[Path] = (),
    opened: bool = True,
    cloud: Mapping[str, str] | None = None,
    providers: Mapping[str, Provider] | None = None,
    rotators: Mapping[str, Rotator] | None = None,
    decrypt: Callable[[bytes], str] | None = None,
    missing_variables: str = "error",
) -> Environment:
    """The environment of a local file, with all that is wrong in its diagnostics (`require()` raises for them).

    `variables` are the process variables; `opened` False leaves providers unasked (*check*); `cloud` holds definitions
    of imports that are not on disk, by name (see `unresolved`); `missing_variables="unknown"` makes variables that are
    not set unknown values with a warning. Raises InvalidEnvironment when the file cannot be read and UsageError for
    overrides that are refused.
    """
    path = Path(source)
    shelf = _Shelf(path.parent, tuple(search_path), dict(cloud or {}))
    laid = tuple(override(text, number) for number, text in enumerate(overrides, 1))
    root = define(_read(path), name=path.stem, identity=_identity(path), file=str(path), overrides=laid)
    _not_whole_sections(root, shelf, laid)
    found, _ = gather(root, shelf)
    local = all(one.local for one in found)
    report = Report()
    named = replace(context, stack=context.stack or root.name)
    world = World(
        library=shelf,
        report=report,
        context=named,
        opened=opened,
        root_name=root.name,
        variables=(variables or {}) if local else None,
        missing_variables=missing_variables,
        # A definition from the cloud must not reach this machine's files and variables.
        providers={**(shipped(path.parent, variables or {}) if local else {}), **(providers or {})},
        rotators=rotators or {},
        decrypt=decrypt,
    )
    try:
        tree = exported(evaluate(root, world))
        if laid:
            _unreached(tree)
    except RecursionError:
        report.error("references nest too deeply to be followed", root.at)
        tree = Node({}, "values", root.at)
    files = tuple(dict.fromkeys(one.file for one in found if one.local))
    return Environment(root.name, tree, report.sorted(), str(path), files, named.stack, local)


def unresolved(
    source: Path | str, *, search_path: Sequence[Path] = (), cloud: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The names of imports that are neither on disk nor in `cloud`: what is left to fetch."""
    path = Path(source)
    shelf = _Shelf(path.parent, tuple(search_path), dict(cloud or {}))
    root = define(_read(path), name=path.stem, identity=_identity(path), file=str(path))
    return gather(root, shelf)[1]


@dataclass(slots=True)
class _Shelf:
    """Where imports of a local file are found: beside the importing file, beside the first one, on the search path, then
    among the definitions fetched from the cloud. A definition from the cloud finds others only there.
    """

    folder: Path
    search_path: tuple[Path, ...]
    cloud: dict[str, str]
    known: dict[str, Definition] = field(default_factory=dict)

    def find(self, name: str, importer: Definition) -> Definition | str:
        """The definition an import names, or why there is none."""
        bare = name.partition("@")[0]
        if not bare or bare.startswith("/") or any(part in ("", ".", "..") for part in bare.split("/")):
            return f'"{name}" is not the name of an environment; write NAME or PROJECT/NAME'
        tried: list[str] = []
        if importer.local:
            for folder in dict.fromkeys((Path(importer.file).parent, self.folder, *self.search_path)):
                for suffix in SUFFIXES:
                    path = folder / f"{bare}{suffix}"
                    tried.append(str(path))
                    if path.exists():
                        return self._from_disk(path, bare)
        if name in self.cloud:
            return self._from_cloud(name)
        where = f": looked for {', '.join(tried)}" if tried else ""
        return f'there is no environment "{name}"{where}; add the file, or set PULUMI_ACCESS_TOKEN to import it from Pulumi Cloud'

    def _from_disk(self, path: Path, name: str) -> Definition | str:
        identity = _identity(path)
        if identity not in self.known:
            try:
                source = _read(path)
            except InvalidEnvironment as exc:
                return exc.message
            self.known[identity] = define(source, name=name, identity=identity, file=str(path))
        return self.known[identity]

    def _from_cloud(self, name: str) -> Definition:
        identity = f"cloud:{name}"
        if identity not in self.known:
            self.known[identity] = define(self.cloud[name], name=name, identity=identity, file=name, local=False)
        return self.known[identity]


def _identity(path: Path) -> str:
    try:
        return str(path.resolve())
    except (OSError, RuntimeError):
        return str(path.absolute())


def _read(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as handle:
            if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
                raise _unreadable(path, "is not a regular file")
            return handle.read()
    except FileNotFoundError as exc:
        raise _unreadable(path, "there is no such file") from exc
    except IsADirectoryError as exc:
        raise _unreadable(path, "is a directory, not an environment file") from exc
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise _unreadable(path, f"cannot be read: {reason}") from exc


def _unreadable(path: Path, why: str) -> InvalidEnvironment:
    diagnostic = Diagnostic("error", why, "", Origin(str(path), 1, 1))
    return InvalidEnvironment(
        f"{path}: {why}",
        hint="name an environment file with -e FILE, or run: sophia doctor",
        details={"diagnostics": [diagnostic.data()]},
    )


def gather(root: Definition, shelf: _Shelf) -> tuple[tuple[Definition, ...], tuple[str, ...]]:
    """The definition with all that it imports or refers to, and the names that cannot be found."""
    found = {root.identity: root}
    lost: dict[str, None] = {}
    queue = [root]
    while queue:
        current = queue.pop(0)
        for name in (*(one.name for one in current.imports), *_referred(current)):
            other = shelf.find(name, current)
            if isinstance(other, str):
                lost[name] = None
            elif other.identity not in found:
                found[other.identity] = other
                queue.append(other)
    return tuple(found.values()), tuple(lost)


def _referred(definition: Definition) -> Iterator[str]:
    """The environments named by `${environments.PROJECT.NAME}`."""
    stack = list(definition.fields.values())
    while stack:
        form = stack.pop().form
        references = [form.reference] if isinstance(form, Symbol) else []
        if isinstance(form, Template):
            references = [part.reference for part in form.parts if part.reference is not None]
        for reference in references:
            if len(reference) >= 3 and reference[0].step == "environments":
                yield f"{reference[1].step}/{reference[2].step}"
        stack.extend(_inside(form))


def _inside(form: object) -> Sequence[Expression]:
    if isinstance(form, Items):
        return form.items
    if isinstance(form, Fields):
        return tuple(form.fields.values())
    return tuple(form.operands.values()) if isinstance(form, Call) else ()


def exported(value: Value) -> Node:
    """The frozen form of an evaluated value, maps merged and in the order of their keys."""
    return _Export().node(value)


class _Export:
    def __init__(self) -> None:
        self._done: dict[int, Node] = {}
        self._alive: list[Value] = []  # keeps ids from being reused
        self._open: set[int] = set()

    def node(self, value: Value) -> Node:
        known = self._done.get(id(value))
        if known is not None:
            return known
        place = value.expression
        if id(value) in self._open:  # a cycle, which is reported elsewhere
            return Node(None, place.own_path, place.at, unknown=True)
        self._open.add(id(value))
        self._alive.append(value)
        content: object = value.content
        if isinstance(value.content, list):
            content = tuple(self.node(item) for item in value.content)
        elif isinstance(value.content, dict):
            children = ((key, value.field(key)) for key in value.keys)
            content = {key: self.node(child) for key, child in children if child is not None}
        note = place.note or (OVERRIDE if place.at.file == OVERRIDE else "")
        node = Node(
            content,  # type: ignore[arg-type]  # narrowed above, which mypy cannot follow through `object`
            place.own_path,
            place.at,
            value.secret,
            value.unknown,
            note,
            self.node(value.base) if value.base is not None else None,
            tuple(self.node(one) for one in value.uses),
        )
        self._open.discard(id(value))
        self._done[id(value)] = node
        return node


def _not_whole_sections(root: Definition, shelf: _Shelf, overrides: Sequence[Override]) -> None:
    """Refuses overrides that would hide a map or list that an import holds."""
    if not overrides:
        return
    for other in gather(root, shelf)[0][1:]:
        for one in overrides:
            form = _form_at(other, one.steps)
            if isinstance(form, (Fields, Items)):
                raise UsageError(f"--set {one.path}: this is a whole section of {other.file}; name one value inside it")


def _form_at(definition: Definition, steps: Sequence[str | int]) -> object:
    form: object = Fields(definition.fields)
    for step in steps:
        if isinstance(form, Fields) and isinstance(step, str) and step in form.fields:
            form = form.fields[step].form
        elif isinstance(form, Items) and isinstance(step, int) and step < len(form.items):
            form = form.items[step].form
        else:
            return None
    return form


def _unreached(tree: Node) -> None:
    """Refuses overrides that a guarded value is computed from, however far away."""
    for path, node in _guarded(tree):
        if _is_overridden(node, set()):
            raise UsageError(
                f"--set: {path} is computed from a value set on the command line, and it cannot be reached from there",
                hint="change the environment file",
            )


def _guarded(tree: Node) -> Iterator[tuple[str, Node]]:
    for inner, found in tree.walk():
        if isinstance(found.value, Mapping):
            for key, child in found.value.items():
                if key in GUARDED:
                    yield f"{inner}.{key}" if inner else key, child


def _is_overridden(node: Node, seen: set[int]) -> bool:
    if id(node) in seen:
        return False
    seen.add(id(node))
    if node.origin.file == OVERRIDE:
        return True
    inside: list[Node] = [*node.sources]
    if isinstance(node.value, tuple):
        inside.extend(node.value)
    elif isinstance(node.value, Mapping):
        inside.extend(node.value.values())
    return any(_is_overridden(child, seen) for child in inside)
