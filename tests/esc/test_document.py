"""YAML as sophia reads it: places of keys and values, plain scalars as Go's yaml.v3 has them, broken files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia_cli.esc.diagnostics import Report
from sophia_cli.esc.document import (
    MAX_NODES,
    Mapping,
    Number,
    Scalar,
    Sequence,
    format_path,
    parse,
    parse_path,
    resolved,
)


def tree(text: str | bytes) -> Mapping:
    report = Report()
    node = parse(text, "env.yaml", report)
    assert not report.has_errors, [one.line for one in report]
    assert isinstance(node, Mapping)
    return node


def errors(text: str | bytes) -> list[tuple[int, int, str]]:
    report = Report()
    parse(text, "env.yaml", report)
    return [(one.at.line, one.at.column, one.message) for one in report.sorted() if one.severity == "error"]


def test_keys_and_values_know_their_line_and_column_from_one() -> None:
    root = tree("a: 1\nb:\n  - x\n  - {c: 2}\n")
    (a, b) = root.entries
    assert (a.at.line, a.at.column, a.value.at.line, a.value.at.column) == (1, 1, 1, 4)
    assert isinstance(b.value, Sequence)
    inner = b.value.items[1]
    assert isinstance(inner, Mapping)
    assert (inner.entries[0].value.at.line, inner.entries[0].value.at.column) == (4, 9)
    assert inner.entries[0].value.path == "b[1].c"


@pytest.mark.parametrize("text", ['"0123"', "'1e3'", '"no"', '"true"', '"null"', '"~"', "!!str 12", '""'])
def test_quoted_text_stays_text(text: str) -> None:
    value = tree(f"a: {text}").entries[0].value
    assert isinstance(value, Scalar)
    assert value.value == text.removeprefix("!!str ").strip("'\"")


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("2024-01-02", "2024-01-02"),
        ("12:30:45", "12:30:45"),
        ("1.2.3.4", "1.2.3.4"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("Null", None),
        ("", None),
        ("12", Number("12")),
        ("1.10", Number("1.10")),
        ("-0.50", Number("-0.50")),
        ("1e3", Number("1e3")),
        ("12345678901234567890123", Number("12345678901234567890123")),
        ("0x1F", Number("31")),
        ("0o17", Number("15")),
        ("0123", Number("83")),  # YAML 1.1 octal, which yaml.v3 still reads
        ("089", Number("89")),
        ("1_000", Number("1000")),
        ("+5", Number("5")),
        (".5", Number("0.5")),
        ("1.", Number("1")),
        ("0b101", Number("5")),
        ("1e999", "1e999"),
        ("--1", "--1"),
    ],
)
def test_plain_scalars_mean_what_yaml_v3_says(text: str, meaning: object) -> None:
    assert resolved(text) == meaning
    assert type(resolved(text)) is type(meaning)


@given(st.one_of(st.integers(), st.decimals(allow_nan=False, allow_infinity=False, places=3)))
def test_decimal_numbers_keep_their_digits(number: object) -> None:
    assert resolved(str(number)) == Number(str(number))


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_any_text_gives_a_tree_or_a_diagnostic_and_never_a_traceback(text: str) -> None:
    parse(text, "env.yaml", Report())


@given(st.binary(max_size=60))
def test_any_bytes_give_a_tree_or_a_diagnostic(data: bytes) -> None:
    parse(data, "env.yaml", Report())


@pytest.mark.parametrize(
    ("text", "line", "column", "part"),
    [
        ("a: [1, 2\n", 2, 1, "',' or ']'"),
        ("a:\n\tb: 1\n", 2, 1, "tab"),
        ("a: 1\n b: 2\n", 2, 3, "mapping values"),
        ("a: *nowhere\n", 1, 4, "*nowhere names no anchor"),
        ("1: a\n", 1, 1, "mapping keys must be strings"),
        ("? [a]\n: b\n", 1, 3, "mapping keys must be strings"),
        ("a: .nan\n", 1, 4, "not a finite number"),
        ("a: !!binary aGk=\n", 1, 4, "!!binary is not supported"),
        ("a: !!int x\n", 1, 4, "not a !!int"),
        ("a: b\x01\n", 1, 5, "U+0001"),
    ],
)
def test_broken_yaml_is_named_with_its_place(text: str, line: int, column: int, part: str) -> None:
    assert [(found[0], found[1]) for found in errors(text)] == [(line, column)]
    assert part in errors(text)[0][2]


def test_bytes_that_are_not_utf8_are_named_with_their_place() -> None:
    assert errors("a: 1\nbä: ".encode() + b"\xff") == [(2, 5, "not UTF-8 text: byte 0xff cannot be read")]


def test_anchors_aliases_and_merge_keys_are_written_out() -> None:
    root = tree("base: &b {x: 1, y: 2}\nuse: *b\nmore:\n  <<: *b\n  y: 3\n")
    more = root.get("more")
    assert isinstance(more, Mapping)
    assert {entry.key: entry.value.value for entry in more.entries if isinstance(entry.value, Scalar)} == {
        "x": Number("1"),
        "y": Number("3"),
    }
    assert root.get("use") == root.get("base")


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert f"more than {MAX_NODES} values" in errors("\n".join(lines))[0][2]


def test_deep_nesting_is_refused() -> None:
    assert "nest deeper" in errors("a: " + "[" * 90 + "]" * 90)[0][2]


def test_a_huge_file_is_refused() -> None:
    assert "larger than 4 MiB" in errors("a: " + "x" * (4 * 1024 * 1024))[0][2]


def test_a_byte_order_mark_is_skipped() -> None:
    assert tree(b"\xef\xbb\xbfa: 1").entries[0].at.column == 1


@given(st.lists(st.one_of(st.integers(0, 99), st.text(min_size=1, alphabet='abc-.:[]"é ')), min_size=1, max_size=5))
def test_paths_read_back_as_written(steps: list[str | int]) -> None:
    if isinstance(steps[0], str):
        assert parse_path(format_path(tuple(steps))) == tuple(steps)


@pytest.mark.parametrize("text", ["", ".a", "a..b", "a[", "a[x]", "a b", "a."])
def test_what_is_not_a_path_is_none(text: str) -> None:
    assert parse_path(text) is None
