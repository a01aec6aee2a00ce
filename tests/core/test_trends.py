"""Trends: what counts as normal, when it is left, and what a rise is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia_cli.core.trends import BAD_IN_A_ROW, LEAST_SAMPLES, Sample, Series, limit, regression, trend

START = datetime(2026, 11, 1, tzinfo=UTC)


def hourly(*seconds: float, every: timedelta = timedelta(hours=1)) -> Series:
    return tuple(Sample(START + every * n, value) for n, value in enumerate(seconds))


def test_the_limit_is_the_documented_one() -> None:
    assert limit([0.4] * 8) == pytest.approx(0.5)  # a quarter more
    assert limit([0.01] * 8) == pytest.approx(0.03)  # 20 ms more at least
    # median 0.3, deviations 0.2 0.1 0 0.1 0.2: their median 0.1, so 0.3 + 3 x 0.14826
    assert limit([0.1, 0.2, 0.3, 0.4, 0.5]) == pytest.approx(0.74478)


def test_three_bad_samples_in_a_row_are_a_regression_and_two_are_not() -> None:
    good = [0.2] * 20
    found = regression(hourly(*good, 0.4, 0.5, 0.6))
    assert found is not None
    assert (found.now_s, found.normal_s, found.limit_s) == pytest.approx((0.5, 0.2, 0.25))
    assert found.since == START + timedelta(hours=20)
    assert found.good_until == START + timedelta(hours=19)
    assert regression(hourly(*good, 0.4, 0.5)) is None
    assert regression(hourly(*good, 0.4, 0.5, 0.2, 0.6, 0.7)) is None


def test_bad_samples_do_not_become_normal_by_creeping_in() -> None:
    series = hourly(*[0.2] * 10, *[0.5] * 40)
    found = regression(series)
    assert found is not None
    assert found.normal_s == 0.2


def test_what_stays_for_a_week_becomes_normal() -> None:
    daily = timedelta(hours=12)
    assert regression(hourly(*[0.2] * 10, *[0.5] * 13, every=daily)) is not None
    assert regression(hourly(*[0.2] * 10, *[0.5] * 15, every=daily)) is None
    again = regression(hourly(*[0.2] * 10, *[0.5] * 15, 0.9, 0.9, 0.9, every=daily))
    assert again is not None
    assert again.normal_s == 0.5


def test_getting_faster_is_no_regression() -> None:
    assert regression(hourly(*[0.5] * 10, *[0.1] * 10)) is None


def test_too_few_samples_say_nothing() -> None:
    assert regression(()) is None
    assert trend(()) is None
    assert regression(hourly(*[0.1] * (LEAST_SAMPLES - 1), 9, 9, 9)) is None
    assert trend(hourly(*range(LEAST_SAMPLES - 1))) is None


@given(st.lists(st.floats(0, 10), max_size=60))
def test_order_of_arrival_does_not_matter_and_a_regression_is_above_its_limit(values: list[float]) -> None:
    series = hourly(*values)
    found = regression(series)
    assert regression(tuple(reversed(series))) == found
    assert trend(tuple(reversed(series))) == trend(series)
    if found is not None:
        assert found.now_s > found.limit_s >= found.normal_s
        assert sorted(values[-BAD_IN_A_ROW:])[0] > found.limit_s


@given(st.floats(0.001, 5), st.integers(8, 40))
def test_a_level_series_has_neither(level: float, count: int) -> None:
    assert regression(hourly(*[level] * count)) is None
    assert trend(hourly(*[level] * count)) is None


def test_a_steady_rise_is_a_trend_with_its_size() -> None:
    found = trend(hourly(*(0.2 + 0.01 * n for n in range(20))))
    assert found is not None
    assert found.rise_s == pytest.approx(0.19)
    assert (found.samples, found.first, found.last) == (20, START, START + timedelta(hours=19))


def test_a_rise_that_is_small_or_may_be_chance_is_none() -> None:
    assert trend(hourly(*(0.2 + 0.001 * n for n in range(20)))) is None  # 19 ms in all, a tenth
    assert trend(hourly(0.2, 0.5, 0.1, 0.6, 0.2, 0.4, 0.1, 0.7, 0.2, 0.5)) is None


def test_a_trend_looks_at_the_last_thirty_days_only() -> None:
    old = [Sample(START, 0.01), Sample(START + timedelta(days=1), 0.02)]
    recent = [Sample(START + timedelta(days=60, hours=n), 0.5) for n in range(10)]
    assert trend((*old, *recent)) is None
