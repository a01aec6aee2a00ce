"""Edits in place: only the lines of the value change, and what cannot be done safely is refused."""

# ruff: noqa: E501  (the tables hold one case a line)

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sophia_cli.core.errors import InvalidEnvironment, UsageError
from sophia_cli.esc.diagnostics import Report
from sophia_cli.esc.document import Mapping, Number, Scalar, Sequence, format_path, parse
from sophia_cli.esc.edit import remove_value, set_value

ROOT = Path(__file__).parents[2]
TEXT = """\
# head
imports:
  - base   # keep
values:
  dns:
    ttl: 300   # seconds
    domain: "example.com"
    records:
      api: {type: A, value: '192.0.2.1', name: api}   # flow
      web:
        type: A
        value: 192.0.2.1

      # trailing
    list:
      - a
      - b: 1
        c: 2
  empty:
  ref: ${dns.ttl}
  sec: {fn::secret: x}
  end: |
    text
    more
  anchored: &x {k: 1}
  alias: *x

# tail
"""


def changes(before: str, after: str) -> list[str]:
    """The lines that differ, as `-old` and `+new`."""
    lines = difflib.unified_diff(before.split("\n"), after.split("\n"), lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


@pytest.mark.parametrize(
    ("path", "value", "diff"),
    [
        ("dns.ttl", 600, ["-    ttl: 300   # seconds", "+    ttl: 600   # seconds"]),
        ("dns.domain", "a.example", ['-    domain: "example.com"', '+    domain: "a.example"']),
        ("dns.records.api.value", "192.0.2.9", ["-      api: {type: A, value: '192.0.2.1', name: api}   # flow", "+      api: {type: A, value: '192.0.2.9', name: api}   # flow"]),
        ("dns.records.api.ttl", 60, ["-      api: {type: A, value: '192.0.2.1', name: api}   # flow", "+      api: {type: A, value: '192.0.2.1', name: api, ttl: 60}   # flow"]),
        ("dns.records.web.ttl", 60, ["+        ttl: 60"]),
        ("dns.records.new", {"name": "nn", "type": "TXT", "value": "v=x, y"}, ['+      new: {name: nn, type: TXT, value: "v=x, y"}']),
        ("dns.purge", True, ["+    purge: true"]),
        ("dns.list[0]", "no", ["-      - a", '+      - "no"']),
        ("dns.list[1].c", None, ["-        c: 2", "+        c: null"]),
        ("dns.list[2]", "z", ["+      - z"]),
        ("empty", "0123", ["-  empty:", '+  empty: "0123"']),
        ("empty.a.b", 1, ["+    a:", "+      b: 1"]),
        ("new.a", ["x", 1], ["+  new:", "+    a: [x, 1]"]),
        ("ref", "${dns.domain}", ["-  ref: ${dns.ttl}", "+  ref: ${dns.domain}"]),
        ('"x"', 1, None),
    ],
)  # fmt: skip
def test_a_value_is_set_by_the_smallest_change(path: str, value: Any, diff: list[str] | None) -> None:
    if diff is None:
        with pytest.raises(UsageError):
            set_value(TEXT, path, value)
    else:
        assert changes(TEXT, set_value(TEXT, path, value)) == diff


@pytest.mark.parametrize(
    ("path", "diff"),
    [
        ("dns.ttl", ["-    ttl: 300   # seconds"]),
        ("dns.records.web.value", ["-        value: 192.0.2.1"]),
        ("dns.records.web", ["-      web:", "-        type: A", "-        value: 192.0.2.1"]),
        ("dns.records.api.type", ["-      api: {type: A, value: '192.0.2.1', name: api}   # flow", "+      api: {value: '192.0.2.1', name: api}   # flow"]),
        ("dns.records.api.name", ["-      api: {type: A, value: '192.0.2.1', name: api}   # flow", "+      api: {type: A, value: '192.0.2.1'}   # flow"]),
        ("dns.list[1]", ["-      - b: 1", "-        c: 2"]),
        ("end", ["-  end: |", "-    text", "-    more"]),
        ("empty", ["-  empty:"]),
        ("nowhere.at.all", []),
        ("dns.nothing", []),
    ],
)  # fmt: skip
def test_a_value_is_removed_with_its_lines_only(path: str, diff: list[str]) -> None:
    assert changes(TEXT, remove_value(TEXT, path)) == diff


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("ref.x", "a reference"),
        ("sec.x", "a call of fn::secret"),
        ("sec", "a call of fn::secret"),
        ("dns.ttl.x", "a single value"),
        ("dns.list.x", "a list has no keys"),
        ("dns.list[9]", "there is no element 9"),
        ("dns.records", "a whole block"),
        ("end", "block text"),
        ("alias.k", "anchor or alias"),
        ("anchored.k", "anchor or alias"),
        ("alias", "anchor or alias"),
        ("a..b", "is not a path"),
    ],
)
def test_what_cannot_be_set_safely_is_refused(path: str, part: str) -> None:
    with pytest.raises(UsageError, match=part):
        set_value(TEXT, path, "x")


@pytest.mark.parametrize("path", ["sec.x", "ref.x", "alias.k", "dns.list[1].b"])
def test_what_cannot_be_removed_safely_is_refused(path: str) -> None:
    with pytest.raises(UsageError):
        remove_value(TEXT, path)


@pytest.mark.parametrize("text", ["a:\n  # why\nb: 1\n", "m: {a}\n"])
def test_an_edit_that_would_not_read_back_as_meant_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="edit the file by hand"):
        set_value(text, "m.a" if text.startswith("m") else "a", "x")


def test_a_broken_file_is_refused() -> None:
    with pytest.raises(InvalidEnvironment, match="line 2"):
        set_value("a: [1\n", "a", 1)


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ("", "a.b", "a:\n  b: 1\n"),
        ("# only\n", "a.b", "# only\na:\n  b: 1\n"),
        ("a:\n  b: 0", "a.c", "a:\n  b: 0\n  c: 1"),
        ("imports: [x]\n", "a", "imports: [x]\nvalues:\n  a: 1\n"),
        ("values: {}\n", "a", "values: {a: 1}\n"),
        ("values:\n", "a", "values:\n  a: 1\n"),
        ("values:\r\n  a: 0\r\n", "a", "values:\r\n  a: 1\r\n"),
        ("values:\r\n  b: 0 # c\r\n", "a", "values:\r\n  b: 0 # c\r\n  a: 1\r\n"),
        ("\ufeffa: 0\n", "a", "\ufeffa: 1\n"),
        ("b: é\na: 0 # ü\n", "a", "b: é\na: 1 # ü\n"),
        ("a:\n    b: 0\n", "c.d", "a:\n    b: 0\nc:\n  d: 1\n"),
        ("a:\n- x\n- y\n", "a[2]", "a:\n- x\n- y\n- 1\n"),
        ("a:\n  -\n  - x\n", "a[0]", "a:\n  - 1\n  - x\n"),
        ("a:\n  b:   # c\n  d: 0\n", "a.b", "a:\n  b: 1   # c\n  d: 0\n"),
        ("l: [x]\n", "l[1]", "l: [x, 1]\n"),
        ('"a b": {c: 0}\n', '["a b"].c', '"a b": {c: 1}\n'),
        ("a: >\n  folded\nb: 0\n", "b", "a: >\n  folded\nb: 1\n"),
        ("a: one\n  two\n", "a", "a: 1\n"),
    ],
)
def test_files_of_every_style_keep_their_style(before: str, path: str, after: str) -> None:
    assert set_value(before, path, 1) == after


def test_removing_the_last_key_of_a_block_leaves_an_empty_map() -> None:
    assert remove_value("a:\n  b: 1\nc: 2\n", "a.b") == "a: {}\nc: 2\n"
    assert remove_value("a: {b: 1}\n", "a.b") == "a: {}\n"
    assert remove_value("a:\n  - x\nc: 2\n", "a[0]") == "a: []\nc: 2\n"


def leaves(node: Any, steps: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of all plain scalars below a node, those inside calls left out."""
    if isinstance(node, Mapping):
        if any(entry.key.startswith("fn::") for entry in node.entries):
            return []
        return [path for entry in node.entries for path in leaves(entry.value, (*steps, entry.key))]
    if isinstance(node, Sequence):
        return [path for index, item in enumerate(node.items) for path in leaves(item, (*steps, index))]
    return [steps]


def data(text: str) -> Any:
    def plain(node: Any) -> Any:
        if isinstance(node, Mapping):
            return {entry.key: plain(entry.value) for entry in node.entries}
        if isinstance(node, Sequence):
            return [plain(item) for item in node.items]
        return node.value.plain if isinstance(node.value, Number) else node.value if isinstance(node, Scalar) else None

    report = Report()
    tree = parse(text, "", report)
    assert not report.has_errors
    return plain(tree)


FIXTURES = [
    (ROOT / "examples/acme/infrastructure/esc" / name).read_text() for name in ("production.yaml", "platform-base.yaml")
]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.sampled_from(["no", "0123", "1e3", "~", "a: b", "a #b", "- x", "@", "*", "{a}", "x,y", "'q'", '"q"', " sp ", "${a.b}", "a\\n", "#", "%", "null", "\x85", "\u2028"]),
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.data(), st.sampled_from(FIXTURES), VALUES)
def test_setting_any_scalar_changes_one_line_and_reads_back_as_meant(choose: Any, text: str, value: Any) -> None:
    report = Report()
    tree = parse(text, "", report)
    assert isinstance(tree, Mapping)
    steps = choose.draw(st.sampled_from(leaves(tree.get("values"))))
    after = set_value(text, format_path(steps), value)
    old, new = text.split("\n"), after.split("\n")
    assert len(old) == len(new)
    assert sum(one != other for one, other in zip(old, new, strict=True)) <= 1
    node = data(after)["values"]
    for step in steps:
        node = node[step]
    assert node == value
    assert type(node) is type(value)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(FIXTURES), st.text("abcé-. ", min_size=1, max_size=6), VALUES)
def test_adding_and_removing_a_key_gives_back_the_bytes(text: str, key: str, value: Any) -> None:
    path = format_path(("security" if "security:" in text else "dns", "zz" + key))
    added = set_value(text, path, value)
    assert len(changes(text, added)) == 1
    assert remove_value(added, path) == text


@settings(max_examples=50, deadline=None)
@given(st.data(), st.sampled_from(FIXTURES))
def test_removing_any_scalar_removes_nothing_else(choose: Any, text: str) -> None:
    report = Report()
    tree = parse(text, "", report)
    assert isinstance(tree, Mapping)
    steps = choose.draw(st.sampled_from(leaves(tree.get("values"))))
    after = remove_value(text, format_path(steps))
    wanted = data(text)
    parent = wanted["values"]
    for step in steps[:-1]:
        parent = parent[step]
    del parent[steps[-1]]
    assert data(after) == wanted
