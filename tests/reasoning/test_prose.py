"""Prose word by word: however it is cut into pieces, the same is shown."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sophia_cli.reasoning.prose import LONGEST_PROSE, Prose
from sophia_cli.reasoning.veil import Veil

TEXT = "See [c1], not [c2]:\n\n\n mail [mail-1] or\t[secret-1] at https://evil.example/x, then " + "y" * 500 + " done. "


def told(*pieces: str) -> str:
    veil = Veil(["s3cr3t-value"])
    veil.hide("ada@acme.example s3cr3t-value")
    words = Prose(["c1"], veil.shown)
    return "".join(map(words.feed, pieces)) + words.end()


WHOLE = (
    "See [c1], not [unknown id]:\nmail ada@acme.example or [secret] at [link left out] then [long word left out] done."
)


@given(st.lists(st.integers(0, len(TEXT)), max_size=12))
def test_pieces_of_any_size_come_to_the_same_words(cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), len(TEXT)]
    assert told(*(TEXT[a:b] for a, b in pairwise(ends))) == WHOLE


def test_one_sign_at_a_time_comes_to_the_same_words() -> None:
    assert told(*TEXT) == WHOLE


def test_prose_without_an_end_is_cut_and_says_so() -> None:
    shown = told(*(["word "] * 5000))
    assert shown.endswith("(the rest is left out)")
    assert len(shown) < LONGEST_PROSE + 50
