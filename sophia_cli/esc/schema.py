"""JSON schemas as Pulumi ESC uses them: does a value conform, and if not, why. Fetches no remote schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from sophia_cli.core.settings import Origin
from sophia_cli.esc.document import Number, join_key
from sophia_cli.esc.expressions import Expression, Fields, Items, missing
from sophia_cli.esc.text import json_text
from sophia_cli.esc.values import Schema, Value, of_plain

STRING: Schema = {"type": "string"}
STRINGS: Schema = {"type": "array", "items": STRING}
ARRAYS: Schema = {"type": "array", "items": {"type": "array"}}

_SCHEMA_REF = {"$ref": "#/$defs/schema"}
_SCHEMAS = {"type": "array", "items": _SCHEMA_REF}
_SCHEMA_MAP = {"type": "object", "additionalProperties": _SCHEMA_REF}
_NUMBER = {"type": "number"}
OF_SCHEMAS: Schema = {
    "$defs": {
        "schema": {
            "anyOf": [
                {"type": "boolean"},
                {
                    "type": "object",
                    "properties": {
                        "$defs": _SCHEMA_MAP,
                        "$ref": STRING,
                        "anyOf": _SCHEMAS,
                        "oneOf": _SCHEMAS,
                        "prefixItems": _SCHEMAS,
                        "items": _SCHEMA_REF,
                        "additionalProperties": _SCHEMA_REF,
                        "properties": _SCHEMA_MAP,
                        "type": {"type": "string", "enum": ["string", "number", "boolean", "array", "object", "null"]},
                        "enum": {"type": "array"},
                        **dict.fromkeys(("multipleOf", "maximum", "exclusiveMaximum", "minimum"), _NUMBER),
                        **dict.fromkeys(("exclusiveMinimum", "maxLength", "minLength", "maxItems"), _NUMBER),
                        **dict.fromkeys(("minItems", "maxProperties", "minProperties"), _NUMBER),
                        "pattern": STRING,
                        "uniqueItems": {"type": "boolean"},
                        "required": STRINGS,
                        "dependentRequired": {"type": "object", "additionalProperties": STRINGS},
                        "title": STRING,
                        "description": STRING,
                        "deprecated": {"type": "boolean"},
                        "examples": {"type": "array"},
                    },
                },
            ]
        }
    },
    "$ref": "#/$defs/schema",
}

Problem = tuple[Expression, str]


def fault(schema: Schema, root: Schema | None = None, depth: int = 0) -> str | None:
    """Why a schema cannot be used, or None: references that lead nowhere or in a circle, broken patterns."""
    root = schema if root is None else root
    if isinstance(schema, bool) or not isinstance(schema, dict):
        return None
    if depth > 40:
        return "it nests too deeply"
    if "$ref" in schema and _target(schema["$ref"], root) is None:
        return f"the reference {schema['$ref']} leads nowhere"
    if "pattern" in schema:
        try:
            re.compile(str(schema["pattern"]))
        except re.error as exc:
            return f"the pattern {schema['pattern']!r} is not a regular expression ({exc})"
    for part in _parts(schema):
        reason = fault(part, root, depth + 1)
        if reason:
            return reason
    return None


def _parts(schema: dict[str, Any]) -> Iterator[Schema]:
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield schema[key]
    for key in ("anyOf", "oneOf", "prefixItems"):
        yield from schema.get(key, ())
    for key in ("$defs", "properties"):
        yield from schema.get(key, {}).values()


def _target(reference: Any, root: Schema) -> Schema | None:
    """The schema that `#/a/b` names, further references followed."""
    for _ in range(20):
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        found: Any = root
        for step in filter(None, reference[1:].split("/")):
            step = step.replace("~1", "/").replace("~0", "~")
            found = found.get(step) if isinstance(found, dict) else None
        if not isinstance(found, (dict, bool)):
            return None
        if isinstance(found, dict) and set(found) == {"$ref"}:
            reference = found["$ref"]
            continue
        return found
    return None


def property_shape(schema: Schema, key: str) -> Schema:
    """The schema of a property of what `schema` describes; False when there can be none."""
    if isinstance(schema, bool):
        return schema
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            found = [property_shape(part, key) for part in schema[choice]]
            return {"anyOf": [part for part in found if part is not False]} if any(found) else False
    if schema.get("type") not in (None, "object"):
        return False
    properties: dict[str, Schema] = schema.get("properties", {})
    return properties[key] if key in properties else _rest(schema)


def _rest(schema: dict[str, Any]) -> Schema:
    rest: Schema = schema.get("additionalProperties", True)
    return rest


def item_shape(schema: Schema, index: int) -> Schema:
    """The schema of an element of what `schema` describes."""
    if isinstance(schema, bool):
        return schema
    prefix = schema.get("prefixItems", [])
    found: Schema = prefix[index] if index < len(prefix) else schema.get("items", True)
    return found


def check(value: Value, schema: Schema) -> list[Problem]:
    """Why the value does not conform, each with the expression to blame; empty when it does."""
    return list(_Checker(schema).value(value, schema, _Place(value.expression)))


class _Place:
    """Whom to blame: the literal element where the value is written out, else the whole expression with a path."""

    __slots__ = ("expression", "path")

    def __init__(self, expression: Expression, path: str = "") -> None:
        self.expression = expression
        self.path = path

    def item(self, index: int) -> _Place:
        form = self.expression.form
        if not self.path and isinstance(form, Items) and index < len(form.items):
            return _Place(form.items[index])
        return _Place(self.expression, f"{self.path}[{index}]")

    def key(self, key: str) -> _Place:
        form = self.expression.form
        if not self.path and isinstance(form, Fields) and key in form.fields:
            return _Place(form.fields[key])
        return _Place(self.expression, join_key(self.path, key))

    def problem(self, message: str) -> Problem:
        return self.expression, f"{self.path}: {message}" if self.path else message


class _Checker:
    def __init__(self, root: Schema) -> None:
        self._root = root

    def value(self, value: Value, schema: Schema, place: _Place) -> Iterator[Problem]:
        if schema is True:
            return
        if schema is False:
            yield place.problem("no value is allowed here")
            return
        if value.unknown:
            yield from self.shape(value.shape, schema, place)
            return
        if "$ref" in schema:
            yield from self.value(value, _target(schema["$ref"], self._root) or True, place)
        yield from self._choices(value, schema, place)
        if "const" in schema and not _equal(value, schema["const"]):
            yield place.problem(f"expected {_json(schema['const'])}")
        if "enum" in schema and not any(_equal(value, option) for option in schema["enum"]):
            options = schema["enum"]
            yield place.problem(
                f"expected {_json(options[0])}" if len(options) == 1 else f"expected one of {_json(options)}"
            )
        kind = _kind(value)
        if schema.get("type", kind) != kind:
            yield place.problem(f"expected {schema['type']}, got {kind}")
            return
        content = value.content
        if isinstance(content, Number):
            yield from _number(Decimal(content.text), schema, place)
        elif isinstance(content, str):
            yield from _string(content, schema, place)
        elif isinstance(content, list):
            yield from self._array(content, schema, place)
        elif isinstance(content, dict):
            yield from self._object(value, schema, place)

    def _choices(self, value: Value, schema: dict[str, Any], place: _Place) -> Iterator[Problem]:
        if schema.get("anyOf"):
            tries = [list(self.value(value, option, place)) for option in schema["anyOf"]]
            if all(tries):
                for found in tries:
                    yield from found
                yield place.problem("at least one subschema must match")
        if schema.get("oneOf"):
            tries = [list(self.value(value, option, place)) for option in schema["oneOf"]]
            matching = sum(not found for found in tries)
            if matching == 0:
                for found in tries:
                    yield from found
                yield place.problem("exactly one subschema must match")
            elif matching > 1:
                yield place.problem("exactly one subschema may match")

    def _array(self, items: list[Value], schema: dict[str, Any], place: _Place) -> Iterator[Problem]:
        yield from _sizes(len(items), schema, "Items", "an array with at", "items", place)
        for index, item in enumerate(items):  # each is blamed where it is defined (eval_validate.go, validateValue)
            yield from self.value(item, item_shape(schema, index), _Place(item.expression))

    def _object(self, value: Value, schema: dict[str, Any], place: _Place) -> Iterator[Problem]:
        keys = value.keys
        yield from _sizes(len(keys), schema, "Properties", "an object with at", "properties", place)
        properties = schema.get("properties", {})
        for key in keys:
            child = value.field(key)
            if child is not None:
                accepted = properties.get(key, schema.get("additionalProperties", True))
                if accepted is False:
                    yield _Place(child.expression).problem(f"the property {key!r} is not allowed")
                else:
                    yield from self.value(child, accepted, _Place(child.expression))
        missing = [key for key in schema.get("required", ()) if key not in keys]
        for key, others in sorted(schema.get("dependentRequired", {}).items()):
            if key in keys:
                missing.extend(other for other in others if other not in keys)
        if missing:
            yield place.problem(f"missing required properties: {', '.join(missing)}")

    def shape(self, found: Schema, schema: Schema, place: _Place) -> Iterator[Problem]:
        """Checks an unknown value by what is known of its type."""
        if schema is True or found is True:
            return
        if schema is False or found is False:
            return  # Pulumi says nothing of a value it does not know
        if "$ref" in schema:
            yield from self.shape(found, _target(schema["$ref"], self._root) or True, place)
        for choice in ("anyOf", "oneOf"):
            if schema.get(choice):
                tries = [list(self.shape(found, option, place)) for option in schema[choice]]
                if all(tries):
                    yield from (problem for one in tries for problem in one)
                    yield place.problem("at least one subschema must match")
            if found.get(choice):
                tries = [list(self.shape(option, schema, place)) for option in found[choice]]
                if all(tries):
                    yield from (problem for one in tries for problem in one)
                    yield place.problem("at least one subschema must match")
        kind = found.get("type")
        if kind and schema.get("type", kind) != kind:
            yield place.problem(f"expected {schema['type']}, got {kind}")
            return
        if kind == "array" and "items" in schema and found.get("items", True) is not False:
            yield from self.shape(found.get("items", True), schema["items"], place)
        if kind == "object":
            yield from self._object_shape(found, schema, place)

    def _object_shape(self, found: dict[str, Any], schema: dict[str, Any], place: _Place) -> Iterator[Problem]:
        for key, part in sorted(found.get("properties", {}).items()):
            yield from self.shape(part, property_shape(schema, key), place.key(key))
        if found.get("additionalProperties", True) is False:
            there = found.get("required", ())
            needed = list(schema.get("required", ()))
            for key, others in sorted(schema.get("dependentRequired", {}).items()):
                needed.extend(others if key in there else ())
            for key in needed:
                if key not in there:
                    yield place.key(key).problem("missing required property")


def _kind(value: Value) -> str:
    content = value.content
    if content is None:
        return "null"
    if isinstance(content, bool):
        return "boolean"
    if isinstance(content, Number):
        return "number"
    if isinstance(content, str):
        return "string"
    return "array" if isinstance(content, list) else "object"


def _number(number: Decimal, schema: dict[str, Any], place: _Place) -> Iterator[Problem]:
    def limit(key: str) -> Decimal | None:
        return Decimal(_digits(schema[key])) if key in schema else None

    multiple, low, above = limit("multipleOf"), limit("minimum"), limit("exclusiveMinimum")
    high, below = limit("maximum"), limit("exclusiveMaximum")
    if multiple and number % multiple:
        yield place.problem(f"expected a multiple of {multiple}")
    if low is not None and number < low:
        yield place.problem(f"expected a number greater than or equal to {low}")
    if above is not None and number <= above:
        yield place.problem(f"expected a number greater than {above}")
    if high is not None and number > high:
        yield place.problem(f"expected a number less than or equal to {high}")
    if below is not None and number >= below:
        yield place.problem(f"expected a number less than {below}")


def _string(text: str, schema: dict[str, Any], place: _Place) -> Iterator[Problem]:
    length = len(text.encode("utf-8", "surrogateescape"))  # Go counts bytes
    if "minLength" in schema and length < int(_digits(schema["minLength"])):
        yield place.problem(f"expected a string of at least length {_digits(schema['minLength'])}")
    if "maxLength" in schema and length > int(_digits(schema["maxLength"])):
        yield place.problem(f"expected a string of at most length {_digits(schema['maxLength'])}")
    if "pattern" in schema and not re.search(schema["pattern"], text):
        yield place.problem(f'string must match the pattern "{schema["pattern"]}"')


def _sizes(count: int, schema: dict[str, Any], suffix: str, start: str, end: str, place: _Place) -> Iterator[Problem]:
    least, most = schema.get(f"min{suffix}"), schema.get(f"max{suffix}")
    if least is not None and count < int(_digits(least)):
        yield place.problem(f"expected {start} least {_digits(least)} {end}")
    if most is not None and count > int(_digits(most)):
        yield place.problem(f"expected {start} most {_digits(most)} {end}")


def _digits(number: Any) -> str:
    return number.text if isinstance(number, Number) else str(number)


def _equal(value: Value, data: Any) -> bool:
    content = value.content
    if isinstance(content, Number):
        return isinstance(data, (Number, int, float)) and Decimal(content.text) == Decimal(_digits(data))
    if isinstance(content, list):
        return isinstance(data, list) and len(data) == len(content) and all(map(_equal, content, data))
    if isinstance(content, dict):
        if not isinstance(data, dict) or sorted(data) != value.keys:
            return False
        pairs = ((value.field(key), data[key]) for key in value.keys)
        return all(child is not None and _equal(child, item) for child, item in pairs)
    return type(content) is type(data) and content == data


def _json(data: Any) -> str:
    return json_text(of_plain(data, missing(Origin("", 0, 0), "")))


def data_of(value: Value) -> Any:
    """The plain data of a known value, numbers as `Number`: how a schema is read from a file."""
    if isinstance(value.content, list):
        return [data_of(item) for item in value.content]
    if isinstance(value.content, dict):
        return {key: data_of(child) for key in value.keys if (child := value.field(key)) is not None}
    return value.content
