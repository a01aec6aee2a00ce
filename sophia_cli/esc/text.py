"""The text forms of values: interpolation text and Go's JSON. Knows nothing of files or references."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from sophia_cli.esc.document import Number
from sophia_cli.esc.values import Value

_GO_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}
# encoding/json: HTML characters and the two JavaScript line ends are escaped, other control characters as \u00XX.
_JSON_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}
_JSON_SPECIAL = re.compile('["\\\\\x00-\x1f<>&\u2028\u2029\ud800-\udfff]')


def as_text(value: Value) -> tuple[str, bool, bool]:
    """The text of a value inside other text, whether it is unknown, and whether it is secret.

    null is empty, numbers keep their digits, lists are quoted elements and maps `"key"="value"` by key, joined by commas.
    A map's text holds its own keys only, not those it merges with (eval/value.go, toString).
    """
    if value.unknown:
        return "[unknown]", True, value.secret
    content, unknown, secret = value.content, False, value.secret
    if isinstance(content, list):
        pieces = []
        for item in content:
            text, item_unknown, item_secret = as_text(item)
            unknown, secret = unknown or item_unknown, secret or item_secret
            pieces.append(go_quoted(text))
        return ",".join(pieces), unknown, secret
    if isinstance(content, dict):
        pieces = []
        for key in sorted(content):
            text, item_unknown, item_secret = as_text(content[key])
            unknown, secret = unknown or item_unknown, secret or item_secret
            pieces.append(f"{go_quoted(key)}={go_quoted(text)}")
        return ",".join(pieces), unknown, secret
    return scalar_text(content), unknown, secret


def scalar_text(content: bool | Number | str | None) -> str:
    """The text of a scalar."""
    if content is None:
        return ""
    if isinstance(content, bool):
        return "true" if content else "false"
    return content.text if isinstance(content, Number) else content


def go_quoted(text: str) -> str:
    """The text in double quotes as Go's strconv.Quote writes it."""
    return '"' + "".join(map(_go_escaped, text)) + '"'


def _go_escaped(character: str) -> str:
    code = ord(character)
    if character in _GO_ESCAPES:
        return _GO_ESCAPES[character]
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable():
        return character
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_text(value: Value) -> str:
    """The value as Go's json.Marshal writes it: compact, keys sorted, `<`, `>` and `&` escaped, digits as written."""
    if value.unknown:
        return '"[unknown]"'
    content = value.content
    if content is None:
        return "null"
    if isinstance(content, bool):
        return "true" if content else "false"
    if isinstance(content, Number):
        return content.text
    if isinstance(content, str):
        return _json_string(content)
    if isinstance(content, list):
        return "[" + ",".join(json_text(item) for item in content) + "]"
    pairs = []
    for key in value.keys:
        child = value.field(key)
        if child is not None:
            pairs.append(f"{_json_string(key)}:{json_text(child)}")
    return "{" + ",".join(pairs) + "}"


def _json_string(text: str) -> str:
    def escape(found: re.Match[str]) -> str:
        character = found[0]
        if character in _JSON_ESCAPES:
            return _JSON_ESCAPES[character]
        return f"\\u{ord(character):04x}" if ord(character) < 0x20 else "\\ufffd"

    return '"' + _JSON_SPECIAL.sub(escape, text) + '"'


def json_data(text: str) -> Any:
    """The first JSON value of a text, numbers by their digits. Raises ValueError.

    What follows it is not looked at, as Go's Decoder.Decode does not.
    """
    decoder = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=_refused)
    data, _ = decoder.raw_decode(text.lstrip(" \t\r\n"))
    return data


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def printable(text: str) -> str:
    """The text with what was not UTF-8 shown as U+FFFD, as JSON output does."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def is_finite(number: Number) -> bool:
    """Whether a number fits a float."""
    return math.isfinite(float(number.text))
