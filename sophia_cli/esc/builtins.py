"""The built-in functions `fn::...` of Pulumi ESC. Each computes one value and reports what it cannot use."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sophia_cli.esc.document import Number
from sophia_cli.esc.expressions import Call, Expression
from sophia_cli.esc.providers import Opened, ProviderError
from sophia_cli.esc.schema import ARRAYS, OF_SCHEMAS, STRING, STRINGS, check, data_of, fault
from sophia_cli.esc.text import as_text, json_data, json_text
from sophia_cli.esc.values import Value, of_plain, shape_of

if TYPE_CHECKING:
    from sophia_cli.esc.evaluate import Evaluation

_ENVELOPE_MAGIC = b"escx"
_ENVELOPE_VERSION = 1


def call(evaluation: Evaluation, expression: Expression, form: Call) -> Value:
    """The value of a call."""
    return _FUNCTIONS[form.name](evaluation, expression, form)


def _secret(evaluation: Evaluation, expression: Expression, form: Call) -> Value:
    plaintext = form.operands.get("plaintext")
    if plaintext is not None:
        inner = evaluation.value(plaintext)
        value = inner.copy()
        value.expression = expression
        return value
    value = Value(expression, unknown=True, secret=True, shape=STRING)
    sealed = evaluation.value(form.operands["ciphertext"]).content
    try:
        ciphertext = _envelope(str(sealed))
        if evaluation.world.decrypt is not None:
            value.content = evaluation.world.decrypt(ciphertext)
            value.unknown = False
    except ValueError as exc:
        evaluation.error(expression, f"invalid ciphertext: {exc}")
    return value


def _envelope(text: str) -> bytes:
    """The cipher bytes of `escx`, version (4 bytes, big endian), bytes, CRC-32 of all before (eval/crypt.go)."""
    raw = _decoded(text)
    if len(raw) < 16:
        raise ValueError("it is too short")
    if raw[:4] != _ENVELOPE_MAGIC:
        raise ValueError("invalid header")
    if zlib.crc32(raw[:-4]) != struct.unpack(">I", raw[-4:])[0]:
        raise ValueError("invalid checksum")
    if struct.unpack(">I", raw[4:8])[0] != _ENVELOPE_VERSION:
        raise ValueError("unsupported version")
    return raw[8:-4]


def _decoded(text: str) -> bytes:
    cleaned = text.replace("\r", "").replace("\n", "")
    try:
        return base64.b64decode(cleaned.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as exc:
        raise ValueError("it is not standard base64") from exc


def _open(evaluation: Evaluation, expression: Expression, form: Call) -> Value:
    provider = evaluation.world.providers.get(form.provider or "")
    if provider is None:  # only its service can open it
        inputs = evaluation.value(form.operands["inputs"])
        return Value(expression, unknown=True, uses=(inputs,))
    inputs, fits = evaluation.typed(form.operands["inputs"], provider.inputs)
    value = Value(expression, unknown=True, shape=provider.outputs, uses=(inputs,))
    if not fits or inputs.any_unknown() or not evaluation.world.opened:
        return value
    return _asked(evaluation, expression, value, lambda: provider.open(_plain(inputs)))


def _rotate(evaluation: Evaluation, expression: Expression, form: Call) -> Value:
    rotator = evaluation.world.rotators.get(form.provider or "")
    if rotator is None and evaluation.world.opened:
        # What only a rotation needs is not evaluated when opening (rotateOnly inputs): it may be out of reach here.
        return _held(expression, evaluation.value(form.operands["state"]))
    inputs, inputs_fit = evaluation.typed(form.operands["inputs"], True if rotator is None else rotator.inputs)
    accepted = True if rotator is None else {"oneOf": [rotator.state, {"type": "null"}]}
    state, state_fits = evaluation.typed(form.operands["state"], accepted)
    shape = True if rotator is None else rotator.outputs
    value = Value(expression, unknown=True, shape=shape, uses=(inputs, state))
    if rotator is None or not (inputs_fit and state_fits and evaluation.world.opened):
        return value
    if state.any_unknown() or inputs.any_unknown():
        return value
    held = None if state.content is None else _plain(state)
    return _asked(evaluation, expression, value, lambda: rotator.open(_plain(inputs), held))


def _held(expression: Expression, state: Value) -> Value:
    """The current state, which is a rotated secret's value; nothing is ever rotated here."""
    if state.content is None or not isinstance(state.content, dict):  # never rotated
        return Value(expression, unknown=True, uses=(state,))
    current = state.copy()
    current.expression = expression
    current.uses = (state,)
    current.mark_secret()
    return current


def _asked(evaluation: Evaluation, expression: Expression, value: Value, ask: Callable[[], Opened]) -> Value:
    try:
        opened = ask()
    except ProviderError as exc:
        named = any(used.any_secret() for used in value.uses)
        evaluation.error(expression, "the provider refused its inputs, which hold a secret" if named else str(exc))
        return value
    found = of_plain(opened.data, expression, secret=opened.secret)
    found.uses = value.uses
    return found


def _plain(value: Value) -> dict[str, Any]:
    def plain(data: Any) -> Any:
        if isinstance(data, Number):
            return data.plain
        if isinstance(data, list):
            return [plain(item) for item in data]
        return {key: plain(item) for key, item in data.items()} if isinstance(data, dict) else data

    data = plain(data_of(value))
    return data if isinstance(data, dict) else {}


def _concat(evaluation: Evaluation, expression: Expression, form: Call) -> Value:
    lists, fits = evaluation.typed(form.operands["value"], ARRAYS)
    value = Value(expression, unknown=not fits, shape={"type": "array"}, uses=(lists,))
    value.take_flags(lists)
    if not value.unknown and isinstance(lists.content, list):
        value.content = [item for part in lists.content if isinstance(part.content, list) for item in part.content]
    return value


def _join(evaluation: Evaluation, expression: Expression, form: Call) -> Value:
    delimiter, first_fits = evaluation.typed(form.operands["delimiter"], STRING)
    items, second_fits = evaluation.typed(form.operands["values"], STRINGS)
    value = Value(expression, unknown=not (first_fits and second_fits), shape=STRING, uses=(delimiter, items))
    value.take_flags(delimiter, items)
    if not value.unknown and isinstance(items.content, list):
        value.content = str(delimiter.content).join(str(item.content) for item in items.content)
    return value


def _split(evaluation: Evaluation, expression: Expression, form: Call) -> Value:
    delimiter, first_fits = evaluation.typed(form.operands["delimiter"], STRING)
    text, second_fits = evaluation.typed(form.operands["string"], STRING)
    value = Value(expression, unknown=not (first_fits and second_fits), shape=STRINGS, uses=(delimiter, text))
    value.take_flags(delimiter, text)
    if not value.unknown:
        whole, mark = str(text.content), str(delimiter.content)
        parts = whole.split(mark) if mark else list(whole)
        # Pulumi leaves the pieces of a secret bare inside their secret list; here they stay secret when referred to.
        value.content = [Value(expression, part, secret=value.secret) for part in parts]
    return value


def _from_base64(evaluation: Evaluation, expression: Expression, form: Call) -> Value:
    text, fits = evaluation.typed(form.operands["value"], STRING)
    value = Value(expression, unknown=not fits, shape=STRING, uses=(text,))
    value.take_flags(text)
    if not value.unknown:
        try:
            # Bytes that are not UTF-8 are kept, so that fn::toBase64 gives them back (Go strings hold any bytes).
            value.content = _decoded(str(text.content)).decode("utf-8", "surrogateescape")
        except ValueError as exc:
            evaluation.error(expression, f"decoding base64 string: {exc}")
            value.unknown = True
    return value


def _to_base64(evaluation: Evaluation, expression: Expression, form: Call) -> Value:
    text, fits = evaluation.typed(form.operands["value"], STRING)
    value = Value(expression, unknown=not fits, shape=STRING, uses=(text,))
    value.take_flags(text)
    if not value.unknown:
        value.content = base64.b64encode(str(text.content).encode("utf-8", "surrogateescape")).decode("ascii")
    return value


def _from_json(evaluation: Evaluation, expression: Expression, form: Call) -> Value:
    text, fits = evaluation.typed(form.operands["value"], STRING)
    value = Value(expression, unknown=not fits, uses=(text,))
    value.take_flags(text)
    if value.unknown:
        return value
    try:
        data = json_data(str(text.content))
    except (ValueError, RecursionError) as exc:
        # The text may be a secret and json's message shows none of it, only where it breaks.
        evaluation.error(expression, f"decoding JSON string: {exc}")
        value.unknown = True
        return value
    found = of_plain(data, expression, secret=value.secret)
    found.uses = value.uses
    return found


def _to_json(evaluation: Evaluation, expression: Expression, form: Call) -> Value:
    inner = evaluation.value(form.operands["value"])
    value = Value(expression, shape=STRING, uses=(inner,))
    value.take_flags(inner)
    if not value.unknown:
        value.content = json_text(inner)
    return value


def _to_string(evaluation: Evaluation, expression: Expression, form: Call) -> Value:
    inner = evaluation.value(form.operands["value"])
    text, unknown, secret = as_text(inner)
    return Value(expression, None if unknown else text, unknown=unknown, secret=secret, shape=STRING, uses=(inner,))


def _final(evaluation: Evaluation, expression: Expression, form: Call) -> Value:
    value = _passed(expression, evaluation.value(form.operands["value"]))
    value.final = True
    return value


def _validate(evaluation: Evaluation, expression: Expression, form: Call) -> Value:
    """The value always; what does not conform is an error beside it."""
    schema, fits = evaluation.typed(form.operands["schema"], OF_SCHEMAS)
    inner = evaluation.value(form.operands["value"])
    if fits and not schema.any_unknown():
        data = data_of(schema)
        reason = fault(data)
        if reason:
            evaluation.error(form.operands["schema"], f"invalid schema: {reason}")
        else:
            for blamed, message in check(inner, data):
                hidden = "the value does not conform to its schema, which holds a secret"
                evaluation.error(blamed, hidden if schema.any_secret() else message)
    return _passed(expression, inner)


def _passed(expression: Expression, inner: Value) -> Value:
    value = Value(expression, inner.content, shape=shape_of(inner), uses=(inner,))
    value.take_flags(inner)
    return value


_FUNCTIONS: dict[str, Callable[[Evaluation, Expression, Call], Value]] = {
    "concat": _concat,
    "final": _final,
    "fromBase64": _from_base64,
    "fromJSON": _from_json,
    "join": _join,
    "open": _open,
    "rotate": _rotate,
    "secret": _secret,
    "split": _split,
    "toBase64": _to_base64,
    "toJSON": _to_json,
    "toString": _to_string,
    "validate": _validate,
}
