"""Times in plain language, read at a fixed moment."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia_cli.reasoning.moments import Facing
from sophia_cli.reasoning.times import When, duration, find

NOW = datetime(2026, 11, 18, 9, 0, tzinfo=UTC)  # A Wednesday, 10:00 in Berlin.


_PIECES = (
    *(
        "the",
        "last",
        "next",
        "3",
        "half",
        "an",
        "hour",
        "days",
        "friday",
        "until",
        "18:00",
        "ago",
        "in",
        "for",
        "to",
        "and",
    ),
    *("2026-02-30", "99", "pm"),
)


def only(text: str, facing: Facing = "future", now: datetime = NOW, zone: str = "Europe/Berlin") -> When:
    found = find(text, now, zone, facing)
    assert len(found) == 1, found
    return found[0]


def utc(month: int, day: int, hour: int = 0, minute: int = 0, year: int = 2026) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("for the next hour", utc(11, 18, 10)),
        ("for 90 minutes", utc(11, 18, 10, 30)),
        ("for 1h30m", utc(11, 18, 10, 30)),
        ("for half an hour", utc(11, 18, 9, 30)),
        ("for a couple of days", utc(11, 20, 9)),
        ("until friday 18:00", utc(11, 20, 17)),
        ("until next friday", utc(11, 20, 23)),
        ("until tomorrow at noon", utc(11, 19, 11)),
        ("until 6pm", utc(11, 18, 17)),
        ("until 8am", utc(11, 19, 7)),
        ("until midnight", utc(11, 18, 23)),
        ("until the end of the month", utc(11, 30, 23)),
        ("until 24 december 12:00", utc(12, 24, 11)),
        ("until january 3rd", utc(1, 3, 23, year=2027)),
        ("within 2 weeks", utc(12, 2, 9)),
        ("before friday", utc(11, 19, 23)),
    ],
)
def test_an_end_lies_ahead_and_is_utc(text: str, end: datetime) -> None:
    when = only(text)
    assert (when.kind, when.end) == ("end", end)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("yesterday", utc(11, 16, 23), utc(11, 17, 23)),
        ("the day before yesterday", utc(11, 15, 23), utc(11, 16, 23)),
        ("today", utc(11, 17, 23), utc(11, 18, 23)),
        ("last week", utc(11, 8, 23), utc(11, 15, 23)),
        ("last month", utc(9, 30, 22), utc(10, 31, 23)),
        ("last 24 hours", utc(11, 17, 9), NOW),
        ("in the past 3 days", utc(11, 15, 9), NOW),
        ("on friday", utc(11, 12, 23), utc(11, 13, 23)),
        ("last wednesday", utc(11, 10, 23), utc(11, 11, 23)),
        ("two days ago", utc(11, 15, 23), utc(11, 16, 23)),
        ("between 2026-11-01 and 2026-11-05", utc(10, 31, 23), utc(11, 5, 23)),
        ("last night", utc(11, 17, 17), utc(11, 18, 5)),
    ],
)
def test_the_past_is_a_range_in_utc(text: str, start: datetime, end: datetime) -> None:
    when = only(text, "past")
    assert (when.start, when.end) == (start, end)


def test_the_last_24_hours_are_never_the_next_ones() -> None:
    for facing in ("past", "future"):
        when = only("last 24 hours", facing)
        assert when.end == NOW
        assert when.start == NOW - timedelta(hours=24)


def test_a_bare_length_has_no_direction() -> None:
    when = only("30 days")
    assert (when.kind, when.start, when.end, when.seconds) == ("duration", None, None, 30 * 86400)


def test_a_day_over_the_end_of_summer_time_keeps_the_wall_time() -> None:
    saturday = datetime(2026, 10, 24, 8, 0, tzinfo=UTC)  # 10:00 summer time; clocks go back that night.
    assert only("in 1 day", now=saturday).start == datetime(2026, 10, 25, 9, 0, tzinfo=UTC)
    assert only("in 24 hours", now=saturday).start == datetime(2026, 10, 25, 8, 0, tzinfo=UTC)


def test_the_day_of_the_change_has_25_or_23_hours() -> None:
    autumn = only("yesterday", "past", datetime(2026, 10, 26, 9, tzinfo=UTC))
    spring = only("yesterday", "past", datetime(2026, 3, 30, 9, tzinfo=UTC))
    assert autumn.start is not None
    assert autumn.end is not None
    assert spring.start is not None
    assert spring.end is not None
    assert autumn.end - autumn.start == timedelta(hours=25)
    assert spring.end - spring.start == timedelta(hours=23)


def test_a_wall_time_that_the_clocks_skip_is_moved_forward() -> None:
    when = only("until 2026-03-29 02:30", now=datetime(2026, 3, 28, 9, tzinfo=UTC))
    assert when.end == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["until 31 february", "at 25:00", "add a record", "scale to 5", "10.0.0.1", "the web service"]
)
def test_what_is_no_time_stays_text(text: str) -> None:
    assert find(text, NOW, "UTC") == ()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10 minutes", 600), ("1h", 3600), ("1h30m", 5400), ("half an hour", 1800), ("two days", 172800), ("soon", None)],
)
def test_a_length_is_read_in_seconds(text: str, seconds: int | None) -> None:
    assert duration(text) == seconds


@given(st.integers(1, 500), st.sampled_from(["minutes", "hours", "days", "weeks"]))
def test_for_is_ahead_and_ago_is_behind(count: int, unit: str) -> None:
    ahead, behind = only(f"for {count} {unit}"), only(f"{count} {unit} ago", "past")
    assert ahead.end is not None
    assert behind.start is not None
    assert ahead.end > NOW > behind.start


@given(st.text(max_size=60), st.sampled_from(["past", "future"]))
def test_no_text_makes_the_grammar_of_times_fail(text: str, facing: Facing) -> None:
    for when in find(text.lower(), NOW, "America/Sao_Paulo", facing):
        assert 0 <= when.first < when.last <= len(text.lower())


@given(
    st.lists(
        st.sampled_from(_PIECES),
        max_size=9,
    )
)
def test_no_pile_of_time_words_makes_it_fail(words: list[str]) -> None:
    for when in find(" ".join(words), NOW, "Europe/Berlin"):
        assert when.kind != "range" or (when.start is not None and when.end is not None and when.start < when.end)
