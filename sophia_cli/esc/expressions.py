"""Expressions: what each value of a document asks for (text, reference, list, map, call), as parsed. Computes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sophia_cli.core.settings import Origin
from sophia_cli.esc.diagnostics import Report
from sophia_cli.esc.document import Entry, Mapping, Node, Number, Scalar, Sequence, join_key
from sophia_cli.esc.references import Accessor, Part, split_text


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that is what it says."""

    value: str | bool | Number | None


@dataclass(frozen=True, slots=True)
class Template:
    """Text with references in it."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Symbol:
    """Exactly one reference: keeps the type of what it names."""

    reference: tuple[Accessor, ...]


@dataclass(frozen=True, slots=True)
class Items:
    """A list of expressions."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Fields:
    """A map of expressions."""

    fields: dict[str, Expression]


@dataclass(frozen=True, slots=True)
class Call:
    """A built-in with its operands by name; `provider` is set for open and rotate."""

    name: str
    operands: dict[str, Expression]
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """What could not be parsed (reported already); its value is unknown."""


Form = Literal | Template | Symbol | Items | Fields | Call | Missing


@dataclass(slots=True, eq=False)
class Expression:
    """One expression with its place, and the slots that evaluation fills: `base` is what it overrides.

    `own_path` is the path inside the environment (`dns.ttl`), `path` the one inside the document (`values.dns.ttl`).
    """

    form: Form
    at: Origin
    path: str
    own_path: str
    note: str = ""
    base: Any = None
    value: Any = None
    evaluating: bool = False
    secret: bool = field(default=False)


_ONE_OPERAND = ("concat", "final", "fromBase64", "fromJSON", "toBase64", "toJSON", "toString")
_PAIRS = {"join": ("delimiter", "values"), "split": ("delimiter", "string")}


def expression(node: Node, own_path: str, report: Report) -> Expression:
    """The expression of a document node and of all below it."""
    if isinstance(node, Scalar):
        return _scalar(node, own_path, report)
    if isinstance(node, Sequence):
        items = tuple(expression(item, f"{own_path}[{index}]", report) for index, item in enumerate(node.items))
        return Expression(Items(items), node.at, node.path, own_path)
    call = _call(node, own_path, report)
    if call is not None:
        return call
    return Expression(Fields(_fields(node, own_path, report)), node.at, node.path, own_path)


def literal(value: str | bool | Number | None, at: Origin, path: str, own_path: str) -> Expression:
    """An expression that is a plain value."""
    return Expression(Literal(value), at, path, own_path)


def missing(at: Origin, path: str, own_path: str = "") -> Expression:
    """An expression whose value is unknown because it could not be parsed."""
    return Expression(Missing(), at, path, own_path)


def _scalar(node: Scalar, own_path: str, report: Report) -> Expression:
    if not isinstance(node.value, str):
        return literal(node.value, node.at, node.path, own_path)
    parts = split_text(node, report)
    if all(part.reference is None for part in parts):
        return literal("".join(part.text for part in parts), node.at, node.path, own_path)
    if len(parts) == 1 and not parts[0].text and parts[0].reference is not None:
        return Expression(Symbol(parts[0].reference), node.at, node.path, own_path, note=node.value)
    return Expression(Template(parts), node.at, node.path, own_path, note=node.value)


def _fields(node: Mapping, own_path: str, report: Report) -> dict[str, Expression]:
    fields: dict[str, Expression] = {}
    for entry in node.entries:
        key = _key(entry, node, report)
        if key is None:
            continue
        if key in fields:
            report.error(f'duplicate key "{key}"', entry.at, entry.value.path)
            expression(entry.value, join_key(own_path, key), report)
        else:
            fields[key] = expression(entry.value, join_key(own_path, key), report)
    return fields


def _key(entry: Entry, node: Mapping, report: Report) -> str | None:
    """The text of a key: `$$` counts as in any text, and a reference is refused (ast/expr.go, ParseExpr)."""
    if "$" not in entry.key:
        return entry.key
    parts = split_text(Scalar(entry.key, entry.at, node.path), report)
    if any(part.reference is not None for part in parts):
        report.error("object keys must be strings", entry.at, entry.value.path)
        return None
    return "".join(part.text for part in parts)


def _call(node: Mapping, own_path: str, report: Report) -> Expression | None:
    if len(node.entries) != 1:
        for entry in node.entries:
            if entry.key.startswith("fn::"):
                report.error(
                    f'illegal call to builtin function: "{entry.key}" must be the only key within its containing object',
                    node.at,
                    node.path,
                )
        return None
    entry = node.entries[0]
    name = entry.key.removeprefix("fn::")
    if name == entry.key or not _is_known(name):
        if entry.key.lower().startswith("fn::"):
            report.error(f"'fn::' is a reserved prefix: {entry.key} is not a built-in", entry.at, node.path)
        return None
    kind, _, provider = name.partition("::")
    operands, named = _operands(kind, provider, node, entry, own_path, report)
    if operands is None:
        return Expression(Missing(), node.at, node.path, own_path, note=entry.key, secret=kind == "secret")
    return Expression(Call(kind, operands, named), node.at, node.path, own_path, note=entry.key)


def _is_known(name: str) -> bool:
    if name.startswith(("open::", "rotate::")):
        return True
    return name in _ONE_OPERAND or name in _PAIRS or name in ("open", "rotate", "secret", "validate")


def _operands(
    kind: str, provider: str, node: Mapping, entry: Entry, own_path: str, report: Report
) -> tuple[dict[str, Expression] | None, str | None]:
    argument = entry.value
    if kind in ("open", "rotate"):
        return _provider_call(kind, provider, node, entry, report)
    if kind == "secret":
        return _secret(argument, own_path, report), None
    if kind == "validate":
        return _validate(argument, report), None
    if kind in _PAIRS:
        if isinstance(argument, Sequence) and len(argument.items) == 2:
            first, second = (expression(item, "", report) for item in argument.items)
            return dict(zip(_PAIRS[kind], (first, second), strict=True)), None
        expression(argument, "", report)
        report.error(f"the argument to fn::{kind} must be a two-valued list", argument.at, argument.path)
        return None, None
    if kind == "concat" and not isinstance(argument, Sequence):
        expression(argument, "", report)
        report.error("the argument to fn::concat must be an array of arrays", argument.at, argument.path)
        return None, None
    return {"value": expression(argument, own_path if kind == "final" else "", report)}, None


def _secret(argument: Node, own_path: str, report: Report) -> dict[str, Expression] | None:
    if isinstance(argument, Mapping) and len(argument.entries) == 1 and argument.entries[0].key == "ciphertext":
        text = argument.entries[0].value
        if isinstance(text, Scalar) and isinstance(text.value, str):
            return {"ciphertext": expression(text, "", report)}
    inner = expression(argument, own_path, report)
    # Pulumi takes string literals only; a reference or text with references is sophia's (contract).
    is_text = isinstance(inner.form, Literal) and isinstance(inner.form.value, str)
    if not (is_text or isinstance(inner.form, (Symbol, Template))):
        report.error("secret values must be string literals", argument.at, argument.path)
        return None
    inner.secret = True
    return {"plaintext": inner}


def _validate(argument: Node, report: Report) -> dict[str, Expression] | None:
    if not isinstance(argument, Mapping):
        message = "the argument to fn::validate must be an object containing 'schema' and 'value'"
        report.error(message, argument.at, argument.path)
        return None
    found = {}
    for name in ("schema", "value"):
        operand = argument.get(name)
        if operand is None:
            report.error(f"missing required property '{name}'", argument.at, argument.path)
        else:
            found[name] = expression(operand, "", report)
    return found if len(found) == 2 else None


def _provider_call(
    kind: str, provider: str, node: Mapping, entry: Entry, report: Report
) -> tuple[dict[str, Expression] | None, str | None]:
    argument = entry.value
    if kind == "open" and provider:
        return {"inputs": expression(argument, "", report)}, provider
    parts = ["inputs"] if provider else ["provider", "inputs"]
    if not isinstance(argument, Mapping):
        names = [*parts, "state"] if kind == "rotate" else parts
        listed = " and ".join(filter(None, (", ".join(f"'{name}'" for name in names[:-1]), f"'{names[-1]}'")))
        report.error(f"the argument to fn::{kind} must be an object containing {listed}", argument.at, argument.path)
        return None, None
    named = provider or None
    if not provider:
        named = _provider_name(argument, report)
    inputs = argument.get("inputs")
    if inputs is None:
        report.error("missing provider inputs ('inputs')", argument.at, argument.path)
        return None, named
    operands = {"inputs": expression(inputs, "", report)}
    if kind == "rotate":
        state = argument.get("state")
        if state is None:
            operands["state"] = literal(None, node.at, node.path, "")
        else:
            operands["state"] = expression(state, "", report)
            if not isinstance(operands["state"].form, Fields):
                report.error("rotation state must be an object literal", state.at, state.path)
    return (operands if named else None), named


def _provider_name(argument: Mapping, report: Report) -> str | None:
    name = argument.get("provider")
    if name is None:
        report.error("missing provider name ('provider')", argument.at, argument.path)
        return None
    if not isinstance(name, Scalar) or not isinstance(name.value, str) or "${" in name.value:
        report.error("provider name must be a string literal", name.at, name.path)
        return None
    return name.value
