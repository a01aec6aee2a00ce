"""Pages of tool results: everything can be reached, nothing is cut in silence, and no page is larger than it may be."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from sophia_cli.providers.mcp.pages import MOST_CHARACTERS, MOST_ENTRIES, page


@given(st.lists(st.text(max_size=300), max_size=400))
def test_the_pages_together_are_the_whole_list_in_order(values: list[str]) -> None:
    rows = [{"value": value} for value in values]
    found, offset = [], 0
    while True:
        one = page({"records": rows, "target": "dns:x"}, "records", offset)
        assert one.data["target"] == "dns:x"
        found += one.data["records"]
        if one.next_offset is None:
            break
        assert one.next_offset > offset
        assert [(cut.path, cut.of) for cut in one.cuts] == [("records", len(rows))]
        offset = one.next_offset
    assert found == rows


def test_a_page_is_never_larger_than_a_client_can_hold() -> None:
    rows = [{"evidence": ["x" * 5_000] * 100} for _ in range(3)]
    data = {"findings": rows, "kept": [{"value": "y" * 1_000}] * 500, "deep": {"more": ["z" * 9_000] * 90}}
    one = page(data, "findings", 0)
    assert len(json.dumps(one.data)) <= MOST_CHARACTERS * 1.1
    assert {cut.path for cut in one.cuts} >= {"findings", "kept", "deep.more"}


def test_a_side_list_is_cut_and_counted_and_a_long_text_says_how_much_is_missing() -> None:
    one = page({"kept": list(range(120)), "text": "a" * 2_500}, None, 0)
    assert one.data["kept"] == list(range(MOST_ENTRIES))
    assert [(cut.path, cut.shown, cut.of) for cut in one.cuts] == [("kept", MOST_ENTRIES, 120)]
    assert one.data["text"].endswith("(500 more characters are left out)")


def test_an_entry_too_large_for_any_page_is_named_and_passed() -> None:
    rows = [{"notes": [{"text": "t" * 1_900}] * 50}, {"id": "next"}]
    first = page({"rows": rows}, "rows", 0)
    assert first.data["rows"][0]["too_large"] is True
    assert {"id": "next"} in first.data["rows"] or first.next_offset == 1
