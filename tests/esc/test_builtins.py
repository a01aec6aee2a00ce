"""The built-in functions, each with what it gives and each way it refuses."""

# ruff: noqa: E501  (the tables hold one case a line)

from __future__ import annotations

import base64
import json
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sophia_cli.esc.builtins import _FUNCTIONS
from sophia_cli.esc.environment import Environment
from sophia_cli.esc.load import load
from sophia_cli.esc.providers import Opened, ProviderError

Evaluate = Callable[..., Environment]
Problems = Callable[..., list[tuple[str, int, int, str]]]


def sealed(cipher: bytes = b"12345678", magic: bytes = b"escx", version: int = 1) -> str:
    head = magic + struct.pack(">I", version) + cipher
    return base64.b64encode(head + struct.pack(">I", zlib.crc32(head))).decode()


GIVES: list[tuple[str, str, Any]] = [
    ("join", '{fn::join: [", ", [a, b]]}', "a, b"),
    ("join", '{fn::join: ["", []]}', ""),
    ("split", '{fn::split: [",", "a,b,,c"]}', ["a", "b", "", "c"]),
    ("split", '{fn::split: ["", "aé"]}', ["a", "é"]),
    ("concat", "{fn::concat: [[1, a], [], [{k: v}]]}", [1, "a", {"k": "v"}]),
    (
        "toJSON",
        '{fn::toJSON: {b: [1.50, true, null], a: "<&>\\u2028é\\t"}}',
        '{"a":"\\u003c\\u0026\\u003e\\u2028é\\t","b":[1.50,true,null]}',
    ),
    ("fromJSON", '{fn::fromJSON: \'{"a": [1, 2.50, null, "x"]} trailing\'}', {"a": [1, 2.5, None, "x"]}),
    ("toBase64", "{fn::toBase64: héllo}", "aMOpbGxv"),
    ("fromBase64", '{fn::fromBase64: "aMOp\\nbGxv"}', "héllo"),
    ("fromBase64", '{fn::fromBase64: "/w=="}', "\ufffd"),
    ("toString", "{fn::toString: {a: [1, true]}}", '"a"="\\"1\\",\\"true\\""'),
    ("toString", "{fn::toString: 007}", "7"),
    ("toString", '{fn::toString: {fn::fromJSON: \'{"b": 1, "a": 2}\'}}', '"a"="2","b"="1"'),
    ("secret", "{fn::secret: x}", "[secret]"),
    ("final", "{fn::final: {a: 1}}", {"a": 1}),
    ("validate", "{fn::validate: {schema: {type: string}, value: x}}", "x"),
    ("open", "{fn::open::vault: {x: 1}}", "[unknown]"),
    ("open", "{fn::open: {provider: vault, inputs: {}}}", "[unknown]"),
    ("rotate", "{fn::rotate::aws: {inputs: {}, state: {current: x}}}", "[secret]"),
    ("rotate", "{fn::rotate::aws: {inputs: {}}}", "[unknown]"),
    ("rotate", "{fn::rotate: {provider: aws, inputs: {}, state: null}}", "[unknown]"),
]


@pytest.mark.parametrize(("name", "call", "result"), GIVES)
def test_each_builtin_gives_its_value(evaluate: Evaluate, name: str, call: str, result: Any) -> None:
    found = evaluate(f"values: {{v: {call}}}")
    assert [one for one in found.errors if name not in ("rotate",) or "state" not in one.message] == []
    assert found.values()["v"] == result


def test_every_builtin_stands_in_the_table_above() -> None:
    assert {name for name, _, _ in GIVES} == set(_FUNCTIONS)


REFUSED = [
    ("{fn::join: a}", 12, "the argument to fn::join must be a two-valued list"),
    ("{fn::join: [a, b]}", 16, "expected array, got string"),
    ("{fn::join: [1, [a]]}", 13, "expected string, got number"),
    ("{fn::join: [a, [1]]}", 17, "expected string, got number"),
    ("{fn::split: [a]}", 13, "the argument to fn::split must be a two-valued list"),
    ("{fn::split: [a, 1]}", 17, "expected string, got number"),
    ("{fn::concat: x}", 14, "the argument to fn::concat must be an array of arrays"),
    ("{fn::concat: [1]}", 15, "expected array, got number"),
    ("{fn::toBase64: 1}", 16, "expected string, got number"),
    ("{fn::fromBase64: '%'}", 1, "decoding base64 string: it is not standard base64"),
    ("{fn::fromJSON: [1]}", 16, "expected string, got array"),
    ("{fn::fromJSON: '{'}", 1, "decoding JSON string: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    ("{fn::fromJSON: NaN}", 1, "decoding JSON string: NaN is not JSON"),
    ("{fn::secret: [a]}", 14, "secret values must be string literals"),
    ("{fn::secret: {a: b}}", 14, "secret values must be string literals"),
    ("{fn::secret: 1}", 14, "secret values must be string literals"),
    ("{fn::secret: {ciphertext: '%'}}", 1, "invalid ciphertext: it is not standard base64"),
    ("{fn::secret: {ciphertext: YWJj}}", 1, "invalid ciphertext: it is too short"),
    (f"{{fn::secret: {{ciphertext: {sealed(magic=b'escy')}}}}}", 1, "invalid ciphertext: invalid header"),
    (f"{{fn::secret: {{ciphertext: {sealed(version=2)}}}}}", 1, "invalid ciphertext: unsupported version"),
    (f"{{fn::secret: {{ciphertext: {sealed()[:-4]}AAAA}}}}", 1, "invalid ciphertext: invalid checksum"),
    ("{fn::open: x}", 12, "the argument to fn::open must be an object containing 'provider' and 'inputs'"),
    ("{fn::open: {inputs: {}}}", 12, "missing provider name ('provider')"),
    ("{fn::open: {provider: x}}", 12, "missing provider inputs ('inputs')"),
    ("{fn::open: {provider: [x], inputs: {}}}", 23, "provider name must be a string literal"),
    ("{fn::rotate::p: x}", 17, "the argument to fn::rotate must be an object containing 'inputs' and 'state'"),
    ("{fn::rotate: x}", 14, "the argument to fn::rotate must be an object containing 'provider', 'inputs' and 'state'"),
    ("{fn::rotate::p: {state: {}}}", 17, "missing provider inputs ('inputs')"),
    ("{fn::rotate::p: {inputs: {}, state: x}}", 37, "rotation state must be an object literal"),
    ("{fn::validate: x}", 16, "the argument to fn::validate must be an object containing 'schema' and 'value'"),
    ("{fn::validate: {value: x}}", 16, "missing required property 'schema'"),
    ("{fn::validate: {schema: true}}", 16, "missing required property 'value'"),
    ("{fn::validate: {schema: {pattern: '('}, value: x}}", 25, "invalid schema: the pattern '(' is not a regular expression (missing ), unterminated subpattern at position 0)"),
    ("{fn::validate: {schema: {$ref: '#/$defs/no'}, value: x}}", 25, "invalid schema: the reference #/$defs/no leads nowhere"),
    ("{fn::join: [a, []], other: 1}", 1, 'illegal call to builtin function: "fn::join" must be the only key within its containing object'),
]  # fmt: skip


@pytest.mark.parametrize(("call", "column", "message"), REFUSED)
def test_each_builtin_names_what_it_cannot_use_with_its_place(
    problems: Problems, call: str, column: int, message: str
) -> None:
    found = problems(f"values:\n  v: {call}\n")
    assert ("env.yaml", 2, column + 5, message) in found


SCHEMAS = [
    ("{type: number}", "x", "expected number, got string"),
    ("{type: 'null'}", "x", "expected null, got string"),
    ("{type: boolean}", "1", "expected boolean, got number"),
    ("{type: object}", "[1]", "expected object, got array"),
    ("{const: 1}", "2", "expected 1"),
    ("{enum: [a, b]}", "c", 'expected one of ["a","b"]'),
    ("{enum: [a]}", "c", 'expected "a"'),
    ("{minimum: 2}", "1", "expected a number greater than or equal to 2"),
    ("{exclusiveMinimum: 2}", "2", "expected a number greater than 2"),
    ("{maximum: 2}", "2.1", "expected a number less than or equal to 2"),
    ("{exclusiveMaximum: 2}", "2", "expected a number less than 2"),
    ("{multipleOf: 0.1}", "0.25", "expected a multiple of 0.1"),
    ("{minLength: 2}", "x", "expected a string of at least length 2"),
    ("{maxLength: 1}", "é", "expected a string of at most length 1"),
    ("{pattern: '^a'}", "b", 'string must match the pattern "^a"'),
    ("{minItems: 1}", "[]", "expected an array with at least 1 items"),
    ("{maxItems: 1}", "[1, 2]", "expected an array with at most 1 items"),
    ("{items: {type: string}}", "[a, 1]", "expected string, got number"),
    ("{prefixItems: [{type: string}], items: false}", "[a, 1]", "no value is allowed here"),
    ("{minProperties: 1}", "{}", "expected an object with at least 1 properties"),
    ("{maxProperties: 0}", "{a: 1}", "expected an object with at most 0 properties"),
    ("{required: [a, b]}", "{a: 1}", "missing required properties: b"),
    ("{dependentRequired: {a: [b]}}", "{a: 1}", "missing required properties: b"),
    ("{properties: {a: {type: string}}}", "{a: 1}", "expected string, got number"),
    ("{additionalProperties: false}", "{a: 1}", "the property 'a' is not allowed"),
    ("{anyOf: [{type: string}, {type: number}]}", "true", "at least one subschema must match"),
    ("{oneOf: [{type: string}, {type: number}]}", "true", "exactly one subschema must match"),
    ("{oneOf: [true, {type: number}]}", "1", "exactly one subschema may match"),
    ("{$defs: {s: {type: string}}, $ref: '#/$defs/s'}", "1", "expected string, got number"),
]


@pytest.mark.parametrize(("schema", "value", "message"), SCHEMAS)
def test_validate_reports_a_mismatch_and_still_gives_the_value(
    evaluate: Evaluate, schema: str, value: str, message: str
) -> None:
    found = evaluate(f"values: {{v: {{fn::validate: {{schema: {schema}, value: {value}}}}}, plain: {value}}}")
    assert message in [one.message for one in found.errors]
    assert found.values()["v"] == found.values()["plain"]


def test_validate_blames_the_place_of_the_wrong_property(problems: Problems) -> None:
    text = "values:\n  v:\n    fn::validate:\n      schema: {properties: {a: {type: string}}}\n      value:\n        a: 1\n"
    assert problems(text) == [("env.yaml", 6, 12, "expected string, got number")]


def test_a_schema_that_is_none_is_reported(problems: Problems) -> None:
    found = problems("values: {v: {fn::validate: {schema: {type: nonsense}, value: x}}}")
    assert any("expected one of" in message for _, _, _, message in found)


def test_a_final_value_cannot_be_overridden_and_says_so(evaluate: Evaluate) -> None:
    found = evaluate("imports: [a]\nvalues:\n  v: own\n  r: ${v}\n", {"a.yaml": "values: {v: {fn::final: base}}"})
    assert found.values() == {"v": "base", "r": "base"}
    assert [(one.severity, one.message, one.at.line) for one in found.diagnostics] == [
        ("warning", "cannot override final value", 3)
    ]


def test_a_ciphertext_is_an_unknown_secret_and_never_a_failure(evaluate: Evaluate) -> None:
    found = evaluate(f"values: {{v: {{fn::secret: {{ciphertext: {sealed()}}}}}, t: 'x ${{v}}'}}")
    assert found.errors == ()
    assert found.get("v").unknown  # type: ignore[union-attr]
    assert found.values() == {"v": "[secret]", "t": "[secret]"}


def test_a_ciphertext_can_be_opened_by_whoever_holds_the_key(evaluate: Evaluate) -> None:
    text = f"values: {{v: {{fn::secret: {{ciphertext: {sealed(b'secret00')}}}}}}}"
    found = evaluate(text, decrypt=lambda cipher: cipher.decode().upper())
    assert found.values(reveal=True) == {"v": "SECRET00"}


def test_bytes_that_are_not_utf8_survive_the_way_through_base64(evaluate: Evaluate) -> None:
    assert evaluate("values: {v: {fn::toBase64: {fn::fromBase64: /w==}}}").values() == {"v": "/w=="}


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(st.characters(codec="utf-8"), max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), inner, max_size=3),
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(JSON)
def test_json_goes_through_to_json_and_back_unchanged(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    path = tmp_path_factory.mktemp("json") / "env.yaml"
    text = json.dumps(data).replace("'", "''").replace("$", "$$")
    path.write_text(
        f"values:\n  a: {{fn::fromJSON: '{text}'}}\n  b: {{fn::toJSON: '${{a}}'}}\n  c: {{fn::fromJSON: '${{b}}'}}\n"
    )
    found = load(path)
    assert found.errors == ()
    assert found.values()["a"] == data
    assert found.values()["c"] == data
    assert json.loads(found.values()["b"]) == data


# -- providers -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Doubled:
    """A provider for tests: doubles a number."""

    inputs: Any
    outputs: Any

    def open(self, inputs: Mapping[str, Any]) -> Opened:
        if inputs["n"] > 100:
            raise ProviderError("too large")
        return Opened({"n": inputs["n"] * 2}, secret=False)


PROVIDERS = {"double": Doubled({"properties": {"n": {"type": "number"}}, "required": ["n"]}, {"type": "object"})}


def test_a_provider_is_asked_only_when_opening(evaluate: Evaluate) -> None:
    text = "values: {v: {fn::open::double: {n: 4}}, n: '${v.n}'}"
    assert evaluate(text, providers=PROVIDERS).values()["n"] == 8
    assert evaluate(text, providers=PROVIDERS, opened=False).values() == {"v": "[unknown]", "n": "[unknown]"}


def test_what_a_provider_refuses_stands_at_the_call(problems: Problems) -> None:
    found = problems(
        "values:\n  a: {fn::open::double: {n: 400}}\n  b: {fn::open::double: {n: x}}\n", providers=PROVIDERS
    )
    assert found == [("env.yaml", 2, 6, "too large"), ("env.yaml", 3, 29, "expected number, got string")]


def test_a_provider_with_unknown_inputs_is_not_asked(evaluate: Evaluate) -> None:
    found = evaluate("values: {v: {fn::open::double: {n: '${u.n}'}}, u: {fn::open::other: {}}}", providers=PROVIDERS)
    assert found.values()["v"] == "[unknown]"


def test_env_gives_variables_as_secrets_and_names_the_missing(evaluate: Evaluate, problems: Problems) -> None:
    text = "values: {v: {fn::open::env: {k: MY_A, l: MY_B}}, w: '${v.k}'}"
    found = evaluate(text, variables={"MY_A": "1", "MY_B": "2"})
    assert found.values(reveal=True) == {"v": {"k": "1", "l": "2"}, "w": "1"}
    assert found.values()["w"] == "[secret]"
    (problem,) = problems(text, variables={"MY_A": ""})
    assert problem[3] == "not set or empty: environment variable MY_A, environment variable MY_B"


def test_file_gives_the_text_of_a_file_below_the_environments_folder(evaluate: Evaluate) -> None:
    found = evaluate("values: {v: {fn::open::file: {path: certs/ca.pem}}}", {"certs/ca.pem": "PEM\n"})
    assert found.values(reveal=True) == {"v": "PEM\n"}
    assert found.values() == {"v": "[secret]"}


def test_file_refuses_whatever_lies_outside(problems: Problems, tmp_path: Path) -> None:
    outside = tmp_path.parent / "outside.txt"
    outside.write_text("hush")
    (tmp_path / "link").symlink_to(outside)
    (tmp_path / "folder").symlink_to(tmp_path.parent)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("../outside.txt", str(outside), "link", "folder/outside.txt", ".", "", "loop", "no-such", "sub\\0"):
        (found,) = problems(f'values: {{v: {{fn::open::file: {{path: "{name}"}}}}}}')
        assert "hush" not in found[3]
        assert any(part in found[3] for part in ("is not below", "there is no file", "cannot be read")), (name, found)


def test_file_refuses_what_is_no_regular_text_file(problems: Problems, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "big").write_bytes(b"x" * (1024 * 1024 + 1))
    text = "values: {a: {fn::open::file: {path: pipe}}, b: {fn::open::file: {path: binary}}, c: {fn::open::file: {path: big}}, d: {fn::open::file: {path: sub}}}"
    messages = " ".join(one[3] for one in problems(text))
    for part in (
        "'pipe' is not a regular file",
        "it is not UTF-8 text",
        "larger than 1024 KiB",
        "'sub' cannot be read: Is a directory",
    ):
        assert part in messages


def test_no_provider_runs_commands(evaluate: Evaluate, tmp_path: Path) -> None:
    evaluate("values: {v: {fn::open::command: {command: [touch, made]}}, w: {fn::open::exec: {command: touch made}}}")
    assert not (tmp_path / "made").exists()


def test_a_rotated_secret_is_its_current_state_and_is_never_rotated(evaluate: Evaluate) -> None:
    text = "values: {v: {fn::rotate::aws: {inputs: {who: '${environments.no.where}'}, state: {current: {id: x}}}}, id: '${v.current.id}'}"
    found = evaluate(text)
    assert found.values(reveal=True)["id"] == "x"
    assert found.values()["id"] == "[secret]"
    assert evaluate(text.replace("'${environments.no.where}'", "x"), opened=False).values()["v"] == "[unknown]"
