"""Values under evaluation: what an expression gave, what it overrides, and what it was computed from. Reads no files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sophia_cli.esc.document import Number
from sophia_cli.esc.expressions import Expression

Schema = dict[str, Any] | bool
"""A JSON schema; True accepts anything, False nothing."""

Content = None | bool | Number | str | list["Value"] | dict[str, "Value"]


class Value:
    """The result of one expression. `base` is the imported value below it: maps merge with it, all else hides it.

    Mutable on purpose: a reference is a copy that then merges with the base at its own place (eval/value.go).
    """

    __slots__ = ("access", "base", "content", "expression", "final", "secret", "shape", "unknown", "uses")

    def __init__(
        self,
        expression: Expression,
        content: Content = None,
        *,
        unknown: bool = False,
        secret: bool = False,
        shape: Schema = True,
        uses: tuple[Value, ...] = (),
        base: Value | None = None,
    ) -> None:
        self.expression = expression
        self.content = content
        self.unknown = unknown
        self.secret = secret
        self.final = False
        self.shape = shape
        """What is known of an unknown value."""
        self.uses = uses
        self.base = base
        self.access: tuple[Value, str] | None = None
        """Of an unknown property: whose and which."""

    @property
    def keys(self) -> list[str]:
        """The keys of a map, those of the maps below it included, sorted."""
        if not isinstance(self.content, dict):
            return []
        below = self.base.keys if self.base is not None else []
        return sorted({*below, *self.content})

    def field(self, key: str) -> Value | None:
        """The value of a key as merged; of an unknown value, an unknown."""
        if isinstance(self.content, dict):
            found = self.content.get(key)
            if found is not None:
                return found
            return self.base.field(key) if self.base is not None else None
        if not self.unknown:
            return None
        below = self.base.field(key) if self.base is not None else None
        value = Value(self.expression, unknown=True, secret=self.secret, base=below)
        value.access = (self, key)
        return value

    @property
    def is_object(self) -> bool:
        """Whether this is, or may be, a map."""
        if self.unknown:
            return self.shape is True or (isinstance(self.shape, dict) and self.shape.get("type") == "object")
        return isinstance(self.content, dict)

    @property
    def children(self) -> Iterator[Value]:
        """The merged elements or properties."""
        if isinstance(self.content, list):
            yield from self.content
        elif isinstance(self.content, dict):
            for key in self.keys:
                child = self.field(key)
                if child is not None:
                    yield child

    def any_unknown(self) -> bool:
        """Whether it or anything in it is unknown."""
        return self.unknown or any(child.any_unknown() for child in self.children)

    def any_secret(self) -> bool:
        """Whether it or anything in it is secret."""
        return self.secret or any(child.any_secret() for child in self.children)

    def take_flags(self, *others: Value) -> None:
        """Becomes unknown or secret when any of `others` holds something unknown or secret."""
        for other in others:
            self.unknown = self.unknown or other.any_unknown()
            self.secret = self.secret or other.any_secret()

    def merge(self, base: Value | None) -> None:
        """Puts `base` below this value, and below each of its properties."""
        if base is None or self._is(base):
            return
        if self.base is not None:
            self.base.merge(base)
        else:
            self.base = base
        if isinstance(self.content, dict):
            for key, child in self.content.items():
                child.merge(self.base.field(key))

    def _is(self, other: Value) -> bool:
        if self is other:
            return True
        if self.unknown and other.unknown and self.access is not None and other.access is not None:
            return self.access[1] == other.access[1] and self.access[0]._is(other.access[0])
        return False

    def mark_secret(self) -> None:
        """Makes it and all in it secret. Only for a fresh copy."""
        self.secret = True
        for child in self.children:
            child.mark_secret()

    def copy(self, memo: dict[int, Value] | None = None) -> Value:
        """A copy of the value, its elements and what it overrides; what it was computed from is shared."""
        memo = {} if memo is None else memo
        known = memo.get(id(self))
        if known is not None:
            return known
        twin = Value(self.expression)
        memo[id(self)] = twin
        if isinstance(self.content, list):
            twin.content = [child.copy(memo) for child in self.content]
        elif isinstance(self.content, dict):
            twin.content = {key: child.copy(memo) for key, child in self.content.items()}
        else:
            twin.content = self.content
        twin.base = self.base.copy(memo) if self.base is not None else None
        twin.unknown, twin.secret, twin.final = self.unknown, self.secret, self.final
        twin.shape, twin.uses, twin.access = self.shape, self.uses, self.access
        return twin


def of_plain(data: Any, expression: Expression, *, secret: bool = False) -> Value:
    """The value of plain JSON data; integers and floats become numbers by their text."""
    content: Content
    if isinstance(data, dict):
        content = {str(key): of_plain(item, expression, secret=secret) for key, item in data.items()}
    elif isinstance(data, (list, tuple)):
        content = [of_plain(item, expression, secret=secret) for item in data]
    elif isinstance(data, (bool, str, Number)) or data is None:
        content = data
    elif isinstance(data, (int, float)):
        content = Number(repr(data))
    else:
        content = str(data)
    return Value(expression, content, secret=secret)


def shape_of(value: Value) -> Schema:
    """What is known of a value's type."""
    if value.unknown and not isinstance(value.content, (list, dict)):
        return value.shape
    content = value.content
    if content is None:
        return {"type": "null"}
    if isinstance(content, bool):
        return {"type": "boolean", "const": content}
    if isinstance(content, Number):
        return {"type": "number", "const": content}
    if isinstance(content, str):
        return {"type": "string", "const": content}
    if isinstance(content, list):
        return {"type": "array", "prefixItems": [shape_of(item) for item in content], "items": False}
    properties = {key: shape_of(child) for key in value.keys if (child := value.field(key)) is not None}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
