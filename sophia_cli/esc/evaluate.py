"""Evaluation: a definition and its imports become values, as Pulumi's own evaluator has it. Reads no files, asks no service."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sophia_cli.core.settings import Origin
from sophia_cli.esc import builtins
from sophia_cli.esc.definitions import Definition, Import
from sophia_cli.esc.diagnostics import Report
from sophia_cli.esc.expressions import Call, Expression, Fields, Items, Literal, Symbol, Template, missing
from sophia_cli.esc.providers import Provider, Rotator
from sophia_cli.esc.references import Accessor, written
from sophia_cli.esc.schema import check, item_shape, property_shape
from sophia_cli.esc.spelling import suggestion
from sophia_cli.esc.text import as_text
from sophia_cli.esc.values import Schema, Value, of_plain, shape_of

RESERVED = ("imports", "context", "environments")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class Context:
    """What a run knows beside the files: the stack's names, the user, and outputs of stacks. None is *not known*."""

    stack: str | None = None
    project: str | None = None
    organization: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    """What stands under `${context...}`, such as `{"pulumi": {"user": {"id": "..."}}}`."""
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Outputs of stacks by stack name; a `SecretStr`-free mapping of plain data."""
    secret_outputs: frozenset[tuple[str, str]] = frozenset()
    """Which `(stack, key)` outputs are secret."""


class Library(Protocol):
    """Where definitions come from."""

    def find(self, name: str, importer: Definition) -> Definition | str:
        """The definition an import names, or why there is none."""
        ...


@dataclass(slots=True)
class World:
    """What all definitions of one evaluation share."""

    library: Library
    report: Report
    context: Context
    opened: bool
    root_name: str
    variables: Mapping[str, str] | None = None
    """Process variables for `${NAME}`; None: not looked up, because not every file is local."""
    missing_variables: str = "error"
    providers: Mapping[str, Provider] = field(default_factory=dict)
    rotators: Mapping[str, Rotator] = field(default_factory=dict)
    decrypt: Callable[[bytes], str] | None = None
    evaluated: dict[str, Value | None] = field(default_factory=dict)
    evaluating: list[str] = field(default_factory=list)


class _Lost(Exception):
    """A reference leads nowhere. `depth` counts the steps that were found."""

    def __init__(self, message: str, at: Origin, depth: int) -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.depth = depth


def evaluate(definition: Definition, world: World) -> Value:
    """The root value of a definition; everything wrong stands in the world's report."""
    return Evaluation(definition, world).run()


class Evaluation:
    """The evaluation of one definition. Each expression is evaluated once."""

    def __init__(self, definition: Definition, world: World) -> None:
        self.definition = definition
        self.world = world
        self.report = world.report
        self._root = Expression(Fields(definition.fields), definition.at, "values", "")
        self._imports: Value
        self._context: Value
        self._import_failed = False

    def run(self) -> Value:
        """Evaluates imports, then the definition's own values."""
        world = self.world
        world.evaluating.append(self.definition.identity)
        self.report.extend(self.definition.problems)
        self._context = self._context_value()
        base = self._evaluate_imports()
        _bind(self._root, base)
        result = self.value(self._root)
        world.evaluating.pop()
        world.evaluated[self.definition.identity] = result
        return result

    # -- imports ---------------------------------------------------------------------------------------------------------

    def _context_value(self) -> Value:
        data = {
            **self.world.context.values,
            "currentEnvironment": {"name": self.definition.name},
            "rootEnvironment": {"name": self.world.root_name},
        }
        return of_plain(data, Expression(Fields({}), self.definition.at, "context", "context", note="${context}"))

    def _evaluate_imports(self) -> Value | None:
        found: dict[str, Value] = {}
        base: Value | None = None
        for one in self.definition.imports:
            value = self.imported(one)
            if value is None:
                self._import_failed = True
                continue
            found[one.name] = value
            if one.merge:
                value = value.copy()
                value.merge(base)
                base = value
        place = Expression(Fields({}), self.definition.at, "imports", "imports", note="${imports}")
        self._imports = Value(place, dict(found))
        return base

    def imported(self, one: Import) -> Value | None:
        """The root value of another definition, evaluated once; None when it cannot be had, which is reported."""
        found = self.world.library.find(one.name, self.definition)
        if isinstance(found, str):
            self.report.error(found, one.at, one.path)
            return None
        if found.identity in self.world.evaluating:
            self.report.error(f"cyclic import of {one.name}", one.at, one.path)
            return None
        if found.identity not in self.world.evaluated:
            if found.is_broken:
                self.report.extend(found.problems)
                self.world.evaluated[found.identity] = None
            else:
                Evaluation(found, self.world).run()
        return self.world.evaluated[found.identity]

    # -- expressions -----------------------------------------------------------------------------------------------------

    def value(self, expression: Expression) -> Value:
        """The value of an expression, merged with what it overrides."""
        if expression.value is not None:
            known: Value = expression.value
            return known
        if expression.evaluating:
            self.error(expression, f"cyclic reference to {expression.own_path or '<' + self.definition.name + '>'}")
            return Value(expression, unknown=True)
        expression.evaluating = True
        base: Value | None = expression.base
        if base is not None and base.final:
            self.report.warning("cannot override final value", expression.at, expression.path)
            value = base
        else:
            value = self._compute(expression)
            if expression.secret:
                value.mark_secret()
            value.merge(base)
        expression.value = value
        expression.evaluating = False
        return value

    def typed(self, expression: Expression, schema: Schema) -> tuple[Value, bool]:
        """The value of an expression and whether it conforms; what does not is reported."""
        value = self.value(expression)
        problems = check(value, schema)
        for blamed, message in problems:
            self.error(blamed, message)
        return value, not problems

    def error(self, expression: Expression, message: str) -> None:
        """Reports an error at an expression."""
        self.report.error(message, expression.at, expression.path)

    def _compute(self, expression: Expression) -> Value:
        form = expression.form
        if isinstance(form, Literal):
            return Value(expression, form.value)
        if isinstance(form, Template):
            return self._template(expression, form)
        if isinstance(form, Symbol):
            return self.reference(expression, form.reference)
        if isinstance(form, Items):
            return Value(expression, [self.value(item) for item in form.items])
        if isinstance(form, Fields):
            # In the order of the keys, so that diagnostics of cycles are the same whatever the order of the file.
            return Value(expression, {key: self.value(form.fields[key]) for key in sorted(form.fields)})
        if isinstance(form, Call):
            return builtins.call(self, expression, form)
        return Value(expression, unknown=True)

    def _template(self, expression: Expression, form: Template) -> Value:
        text = ""
        value = Value(expression, shape={"type": "string"})
        for part in form.parts:
            text += part.text
            if part.reference is not None:
                found = self.reference(expression, part.reference)
                piece, unknown, secret = as_text(found)
                value.unknown = value.unknown or unknown
                value.secret = value.secret or secret
                value.uses += found.uses
                text += piece
        value.content = "[unknown]" if value.unknown else text
        return value

    # -- references ------------------------------------------------------------------------------------------------------

    def reference(self, expression: Expression, accessors: tuple[Accessor, ...]) -> Value:
        """A copy of what a reference names, placed at the referring expression."""
        found = self._find(expression, accessors)
        value = found.copy()
        value.expression = expression
        if found.expression is not expression:
            value.uses = (found,)
        return value

    def _find(self, expression: Expression, accessors: tuple[Accessor, ...]) -> Value:
        if accessors[0].step == "":  # broken, and reported when it was read
            return Value(expression, unknown=True)
        try:
            return self._resolve(expression, accessors)
        except _Lost as lost:
            beyond = self._beyond(expression, accessors, lost)
            if beyond is not None:
                return beyond
            if not (lost.depth == 0 and self._import_failed):
                self.report.error(lost.message, lost.at, expression.path)
            return Value(expression, unknown=True)

    def _resolve(self, expression: Expression, accessors: tuple[Accessor, ...]) -> Value:
        first = accessors[0].step
        if first == "imports":
            return self._within(self._imports, accessors, 1)
        if first == "context":
            return self._within(self._context, accessors, 1)
        if first == "environments":
            return self._environment(expression, accessors)
        receiver = self._root
        depth = 0
        while depth < len(accessors):
            form = receiver.form
            accessor = accessors[depth]
            if isinstance(form, Items):
                receiver = form.items[_index(accessor, len(form.items), depth)]
            elif isinstance(form, Fields) and not (receiver.base is not None and receiver.base.final):
                key = _key(accessor, depth)
                if key not in form.fields:
                    if receiver.base is not None and receiver.base.is_object:
                        return self._within(receiver.base, accessors, depth)
                    known = set(form.fields)
                    raise _Lost(f'unknown property "{key}"{suggestion(key, known)}', accessor.at, depth)
                receiver = form.fields[key]
            elif isinstance(form, Call) and "plaintext" in form.operands:
                receiver = form.operands["plaintext"]  # secrets are transparent to references
                continue
            else:
                return self._within(self.value(receiver), accessors, depth)
            depth += 1
        return self.value(receiver)

    def _within(self, receiver: Value, accessors: tuple[Accessor, ...], depth: int) -> Value:
        while depth < len(accessors):
            accessor = accessors[depth]
            if receiver.unknown:
                return _unknown_within(receiver, accessors, depth)
            content = receiver.content
            if isinstance(content, list):
                receiver = content[_index(accessor, len(content), depth)]
            elif isinstance(content, dict):
                key = _key(accessor, depth)
                if key not in content:
                    if receiver.base is not None and receiver.base.is_object:
                        receiver = receiver.base
                        continue
                    known = [] if receiver.secret else receiver.keys
                    raise _Lost(f'unknown property "{key}"{suggestion(key, known)}', accessor.at, depth)
                receiver = content[key]
            else:
                raise _Lost("receiver must be an array or an object", accessor.at, depth)
            depth += 1
        return receiver

    def _environment(self, expression: Expression, accessors: tuple[Accessor, ...]) -> Value:
        """`${environments.PROJECT.NAME...}`: an import that is not merged."""
        if len(accessors) < 3:
            message = "a reference to an environment needs its project and its name: environments.PROJECT.NAME"
            self.report.warning(message, expression.at, expression.path)
            return Value(expression, unknown=True)
        project, name = (_key(accessor, depth) for depth, accessor in enumerate(accessors[1:3], 1))
        value = self.imported(Import(f"{project}/{name}", False, expression.at, expression.path))
        if value is None:
            return Value(expression, unknown=True)
        return self._within(value, accessors, 3)

    # -- beyond Pulumi ---------------------------------------------------------------------------------------------------

    def _beyond(self, expression: Expression, accessors: tuple[Accessor, ...], lost: _Lost) -> Value | None:
        """sophia's own names, which count only where the files do not define them (contract)."""
        steps = tuple(accessor.step for accessor in accessors)
        if len(steps) == 2 and steps[0] == "pulumi" and steps[1] in ("stack", "project", "organization"):
            return self._pulumi_name(str(steps[1]), accessors, expression)
        if len(steps) >= 4 and steps[0] == "stacks" and steps[2] == "outputs":
            return self._output(str(steps[1]), accessors, expression)
        if len(steps) == 1 and lost.depth == 0 and self.world.variables is not None and isinstance(steps[0], str):
            return self._variable(steps[0], accessors[0], expression, self.world.variables)
        return None

    def _pulumi_name(self, name: str, accessors: tuple[Accessor, ...], expression: Expression) -> Value:
        context = self.world.context
        known = {"stack": context.stack, "project": context.project, "organization": context.organization}[name]
        place = self._outside(accessors, expression)
        if known is None:
            self.report.warning(
                f"the {name} is not known here, so ${{pulumi.{name}}} is unknown", accessors[0].at, expression.path
            )
            return Value(place, unknown=True, shape={"type": "string"})
        return Value(place, known)

    def _output(self, stack: str, accessors: tuple[Accessor, ...], expression: Expression) -> Value:
        place = self._outside(accessors, expression)
        outputs = self.world.context.outputs.get(stack)
        key = str(accessors[3].step)
        if outputs is None or key not in outputs:
            return Value(place, unknown=True)
        value = of_plain(outputs[key], place, secret=(stack, key) in self.world.context.secret_outputs)
        return self._within(value, accessors, 4)

    def _variable(
        self, name: str, accessor: Accessor, expression: Expression, variables: Mapping[str, str]
    ) -> Value | None:
        if not _VARIABLE.match(name):
            return None
        place = Expression(Literal(None), accessor.at, expression.path, "", note=f"environment variable {name}")
        text = variables.get(name)
        if text:
            return Value(place, text, secret=True)
        if text is None and name != name.upper():
            return None  # most likely a misspelt key: the plain message helps more
        state = "not set" if text is None else "set but empty"
        hint = f"no key or import defines it and the environment variable {name} is {state}; set it: export {name}=..."
        if self.world.missing_variables == "unknown":
            self.report.warning(f'"{name}" is unknown: {hint}', accessor.at, expression.path)
        else:
            self.report.error(f'unknown property "{name}": {hint}', accessor.at, expression.path)
        return Value(place, unknown=True, secret=True, shape={"type": "string"})

    def _outside(self, accessors: tuple[Accessor, ...], expression: Expression) -> Expression:
        return Expression(Literal(None), accessors[0].at, expression.path, "", note=f"${{{written(accessors)}}}")


def _bind(expression: Expression, base: Value | None) -> None:
    """Gives an expression and the properties written out in it what they override."""
    expression.base = base
    if isinstance(expression.form, Fields) and base is not None:
        for key, child in expression.form.fields.items():
            _bind(child, base.field(key))


def _key(accessor: Accessor, depth: int) -> str:
    if isinstance(accessor.step, int):
        raise _Lost("cannot access an object property using an integer index", accessor.at, depth)
    return accessor.step


def _index(accessor: Accessor, length: int, depth: int) -> int:
    if not isinstance(accessor.step, int):
        raise _Lost("cannot access an array element using a property name", accessor.at, depth)
    if accessor.step < 0:
        raise _Lost("array indices must not be negative", accessor.at, depth)
    if length >= 0 and accessor.step >= length:
        message = f"array index {accessor.step} out-of-bounds for array of length {length}"
        raise _Lost(message, accessor.at, depth)
    return accessor.step


def _unknown_within(receiver: Value, accessors: tuple[Accessor, ...], depth: int) -> Value:
    """A property of an unknown value: unknown, with as much of its type as is known."""
    shape = shape_of(receiver)
    while depth < len(accessors):
        accessor = accessors[depth]
        if isinstance(shape, dict):
            kind = shape.get("type")
            if kind == "array":
                closed = shape.get("items", True) is False
                shape = item_shape(shape, _index(accessor, len(shape.get("prefixItems", ())) if closed else -1, depth))
            elif kind in ("object", None):
                shape = property_shape(shape, _key(accessor, depth))
            else:
                raise _Lost("receiver must be an array or an object", accessor.at, depth)
        depth += 1
    value = Value(
        missing(receiver.expression.at, receiver.expression.path), unknown=True, secret=receiver.secret, shape=shape
    )
    value.uses = (receiver,)
    return value
