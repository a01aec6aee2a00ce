"""When certificates are renewed: the rules one by one, and a simulation over lifetimes, wake-ups and what authorities answer."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sophia_cli.core.acme import RenewalInfo
from sophia_cli.core.errors import BadResponse, ProviderBusy, SophiaError, Unreachable
from sophia_cli.core.renewal import (
    Lifetime,
    RenewalState,
    RenewNow,
    WaitUntil,
    attempt_failed,
    check_failed,
    due,
    is_temporary,
    learned,
    may_check,
    next_attempt,
    retry_after,
    unusable,
)

START = datetime(2026, 11, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def lifetime(days: float) -> Lifetime:
    return Lifetime(START, START + timedelta(days=days))


def info(start: float, end: float, pause: float | None = 21600, page: str | None = None) -> RenewalInfo:
    """A window, in days after the start."""
    return RenewalInfo(START + start * DAY, START + end * DAY, START, page, pause)


def at(days: float) -> datetime:
    return START + days * DAY


# -- without advice ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "renewed"), [(90, 60), (64, 64 * 2 / 3), (45, 30), (10, 20 / 3), (160 / 24, 80 / 24)])
def test_without_advice_two_thirds_of_the_lifetime_count_and_half_below_ten_days(days: float, renewed: float) -> None:
    one = lifetime(days)
    early = due(one, RenewalState(), at(renewed) - timedelta(minutes=1))
    assert isinstance(early, WaitUntil)
    assert abs(early.until - at(renewed)) < timedelta(seconds=1)
    late = due(one, RenewalState(), at(renewed) + timedelta(minutes=1))
    assert isinstance(late, RenewNow)
    assert late.cause == "fallback"


def test_an_expired_certificate_is_renewed_and_never_asked_about() -> None:
    one = lifetime(90)
    found = due(one, RenewalState(), at(91))
    assert isinstance(found, RenewNow)
    assert (found.cause, found.is_emergency) == ("expired", True)
    assert not may_check(RenewalState(), one, at(90))
    assert not may_check(RenewalState(), one, at(10), replaced=True)
    assert may_check(RenewalState(), one, at(10))


# -- with advice ---------------------------------------------------------------------------------------------------------


def test_the_time_is_picked_inside_the_window_once_and_kept_while_the_window_stays() -> None:
    one, window = lifetime(90), info(50, 52)
    first = learned(RenewalState(), window, one, at(1), 0.25)
    assert first.chosen == at(50.5)
    again = learned(first, replace(window, fetched_at=at(2)), one, at(2), 0.9)
    assert again.chosen == first.chosen
    moved = learned(again, info(40, 42), one, at(3), 0.5)
    assert moved.chosen == at(41)


def test_before_the_picked_time_nothing_is_renewed_and_at_it_it_is() -> None:
    one = lifetime(90)
    state = learned(RenewalState(), info(50, 54, page="https://ca.example/why"), one, at(1), 0.25)
    early = due(one, state, at(50.9), wake=HOUR)
    assert isinstance(early, WaitUntil)
    assert early.until == at(51)
    now = due(one, state, at(51), wake=HOUR)
    assert isinstance(now, RenewNow)
    assert (now.cause, now.explanation_url) == ("window", "https://ca.example/why")


def test_a_window_later_than_two_thirds_is_waited_for() -> None:
    one = lifetime(90)
    state = learned(RenewalState(), info(70, 72), one, at(1), 0.5)
    assert isinstance(due(one, state, at(65), wake=HOUR), WaitUntil)


def test_a_window_that_would_be_over_at_the_next_wake_up_is_used_early() -> None:
    one = lifetime(90)
    state = learned(RenewalState(), info(50, 50.5), one, at(1), 0.5)
    assert isinstance(due(one, state, at(49.8), wake=HOUR), WaitUntil)
    found = due(one, state, at(49.8), wake=DAY)
    assert isinstance(found, RenewNow)
    assert found.cause == "window-missed"


def test_a_window_in_the_past_means_now() -> None:
    one = lifetime(90)
    state = learned(RenewalState(), info(1, 2), one, at(5), 0.5)
    found = due(one, state, at(5))
    assert isinstance(found, RenewNow)
    assert found.cause == "window"


@pytest.mark.parametrize(
    "window", [(50, 50), (52, 50), (-30, -20)], ids=["empty", "inverted", "before the certificate"]
)
def test_an_answer_that_makes_no_sense_is_no_answer(window: tuple[float, float]) -> None:
    one = lifetime(90)
    assert unusable(info(*window), one) is not None
    earlier = learned(RenewalState(), info(70, 72), one, at(1), 0.5)
    after = learned(earlier, info(*window), one, at(2), 0.5)
    assert (after.info, after.chosen) == (earlier.info, earlier.chosen)
    assert after.next_check == at(2) + 6 * HOUR
    fresh = learned(RenewalState(), info(*window), one, at(2), 0.5)
    assert isinstance(due(one, fresh, at(59)), WaitUntil)
    assert isinstance(due(one, fresh, at(61)), RenewNow)


@pytest.mark.parametrize("days", [90, 64, 45, 160 / 24])
@pytest.mark.parametrize("start", [0.99, 1.5, 100])
def test_no_window_pushes_a_renewal_past_the_emergency_floor(days: float, start: float) -> None:
    one = lifetime(days)
    state = learned(RenewalState(), info(start * days, start * days + 1), one, at(0.1), 0.5)
    for wake in (HOUR, DAY, None):
        before = due(one, state, one.floor(wake) - timedelta(seconds=1), wake=wake)
        assert isinstance(before, WaitUntil)
        assert before.until == one.floor(wake)
        found = due(one, state, one.floor(wake), wake=wake)
        assert isinstance(found, RenewNow)
        assert found.is_emergency
        assert one.not_after - one.floor(wake) >= min(2 * DAY, one.total / 3)


def test_advice_outlives_an_outage_of_the_authority() -> None:
    one = lifetime(90)
    state = learned(RenewalState(), info(40, 41), one, at(1), 0.5)
    for day in range(2, 30):
        state = check_failed(state, at(day), temporary=False)
    assert state.chosen == at(40.5)
    assert isinstance(due(one, state, at(41), wake=HOUR), RenewNow)


def test_an_authority_that_stopped_advising_falls_back() -> None:
    one = lifetime(90)
    state = learned(learned(RenewalState(), info(40, 41), one, at(1), 0.5), None, one, at(2), 0.5)
    assert isinstance(due(one, state, at(50)), WaitUntil)
    assert isinstance(due(one, state, at(61)), RenewNow)


# -- what the environment asks for ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "renewed"), [(31, 59), (44, 46), (45, 45), (46, 45), (365, 45)])
def test_the_environment_makes_a_renewal_earlier_but_not_in_the_first_half(days: int, renewed: float) -> None:
    one = lifetime(90)
    early = due(one, RenewalState(), at(renewed) - timedelta(seconds=1), before_days=days)
    assert isinstance(early, WaitUntil)
    assert early.until == at(renewed)
    found = due(one, RenewalState(), at(renewed), before_days=days)
    assert isinstance(found, RenewNow)
    assert (found.cause, found.is_emergency) == ("environment", False)
    for verdict in (early, found):
        assert f"the environment asks for {days} days before the end" in verdict.reason
        assert ("half the lifetime" in verdict.reason) is (days > 45)


def test_an_attempt_the_environment_asked_for_that_failed_is_paused_like_any_other() -> None:
    state = attempt_failed(RenewalState(), at(51))
    found = due(lifetime(90), state, at(51) + timedelta(minutes=11), before_days=40)
    assert isinstance(found, WaitUntil)
    assert found.until == at(51) + timedelta(minutes=12)
    assert found.reason.startswith(
        "the environment asks for 40 days before the end, so from 2026-12-21 00:00 UTC on; 1 "
    )


@settings(max_examples=200)
@given(
    total=st.sampled_from([160 / 24, 45, 64, 90, 3650]),
    window=st.none() | st.tuples(st.floats(-0.5, 1.5), st.floats(0.001, 0.5)),
    when=st.floats(0, 1.1),
    wake=st.sampled_from([HOUR, DAY, None]),
    failures=st.integers(0, 3),
    days=st.integers(1, 365),
)
def test_what_the_environment_asks_for_never_makes_a_renewal_later(
    total: float, window: tuple[float, float] | None, when: float, wake: timedelta | None, failures: int, days: int
) -> None:
    one, now = lifetime(total), at(total * when)
    advice = None if window is None else info(total * window[0], total * (window[0] + window[1]))
    state = learned(RenewalState(), advice, one, at(0), 0.5)
    for _ in range(failures):
        state = attempt_failed(state, now - HOUR)
    plain, asked = due(one, state, now, wake=wake), due(one, state, now, wake=wake, before_days=days)
    if isinstance(plain, RenewNow):
        assert asked == plain
    elif isinstance(asked, WaitUntil):
        assert asked.until <= max(plain.until, next_attempt(state, one, now, wake) or now)
    else:
        assert asked.cause == "environment"
        assert now >= max(at(total / 2), one.not_after - days * DAY)


# -- when to ask again -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "pause"),
    [
        (0, timedelta(minutes=1)),
        (59, timedelta(minutes=1)),
        (3600, HOUR),
        (86400, DAY),
        (10.0 * 365 * 86400, DAY),
        (1e300, DAY),
        (math.inf, DAY),
        (None, 6 * HOUR),
        (-5, 6 * HOUR),
        (math.nan, 6 * HOUR),
    ],
)
def test_the_pause_that_the_authority_asks_for_is_bounded(given: float | None, pause: timedelta) -> None:
    assert retry_after(given) == pause
    one = lifetime(90)
    state = learned(RenewalState(), info(50, 51, given), one, at(1), 0.5)
    assert not may_check(state, one, at(1) + pause - timedelta(seconds=1))
    assert may_check(state, one, at(1) + pause)


def test_temporary_errors_are_asked_about_at_growing_pauses_and_then_after_six_hours() -> None:
    state, pauses = RenewalState(), []
    for _ in range(7):
        state = check_failed(state, START, temporary=True)
        assert state.next_check is not None
        pauses.append((state.next_check - START).total_seconds() / 60)
    assert pauses == [1, 2, 4, 8, 16, 360, 1]
    assert check_failed(RenewalState(), START, temporary=False).next_check == START + 6 * HOUR


@pytest.mark.parametrize(
    ("error", "temporary"),
    [
        (ProviderBusy("503"), True),
        (Unreachable("no answer in time", details={"cause": "timeout"}), True),
        (Unreachable("refused", details={"cause": "connect"}), False),
        (BadResponse("no JSON"), False),
    ],
)
def test_which_errors_pass(error: SophiaError, temporary: bool) -> None:
    assert is_temporary(error) is temporary


# -- after failures --------------------------------------------------------------------------------------------------------


def test_failed_attempts_come_at_growing_distances_that_respect_the_authority() -> None:
    one, state = lifetime(90), RenewalState()
    distances = []
    for _ in range(8):
        state = attempt_failed(state, at(61))
        until = next_attempt(state, one, at(61))
        assert until is not None
        distances.append((until - at(61)).total_seconds() / 60)
    assert distances == [12, 24, 48, 96, 192, 360, 360, 360]
    found = due(one, state, at(61.1))
    assert isinstance(found, WaitUntil)
    assert "8 attempts failed" in found.reason


def test_near_the_end_attempts_are_an_hour_apart_at_most() -> None:
    one = lifetime(90)
    state = replace(RenewalState(), failures=30, last_failure=at(88.5))
    found = due(one, state, at(88.5) + timedelta(minutes=59))
    assert isinstance(found, WaitUntil)
    assert found.until == at(88.5) + HOUR
    assert isinstance(due(one, state, at(88.5) + HOUR), RenewNow)


# -- clocks that jump ------------------------------------------------------------------------------------------------------


def test_what_was_noted_while_the_clock_was_ahead_does_not_count() -> None:
    one = lifetime(90)
    state = replace(RenewalState(), next_check=at(5000), failures=3, last_failure=at(5000))
    assert may_check(state, one, at(1))
    assert isinstance(due(one, state, at(61)), RenewNow)


def test_a_clock_that_jumps_ahead_renews_rather_than_waits() -> None:
    one = lifetime(90)
    state = learned(RenewalState(), info(50, 51), one, at(1), 0.5)
    assert isinstance(due(one, state, at(5000)), RenewNow)
    assert isinstance(due(one, state, at(-5000), wake=HOUR), WaitUntil)


def test_a_state_survives_being_stored() -> None:
    state = learned(RenewalState(), info(50, 51, None, "https://ca.example"), lifetime(90), at(1), 0.5)
    state = attempt_failed(check_failed(state, at(2), temporary=True), at(3))
    assert RenewalState.from_data(json.loads(json.dumps(state.data()))) == state
    with pytest.raises(ValueError):
        RenewalState.from_data({**state.data(), "chosen": "2026-01-01T00:00:00"})


# -- the whole, over time --------------------------------------------------------------------------------------------------

Answer = Callable[[Lifetime], "RenewalInfo | SophiaError | None"]
PAUSES = st.sampled_from([None, -5.0, 0.0, 30.0, 3600.0, 21600.0, 1e9, math.nan])


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """What an authority answers for a while: advice of any kind, none, or an error."""
    kind = draw(st.sampled_from(["window", "window", "window", "none", "busy", "broken"]))
    if kind == "none":
        return lambda _: None
    if kind in ("busy", "broken"):
        return lambda _: ProviderBusy("busy") if kind == "busy" else BadResponse("broken")
    start = draw(st.one_of(st.floats(0.2, 0.95), st.sampled_from([-3.0, 0.0, 0.99, 1.0, 1.5, 40.0])))
    length = draw(st.one_of(st.floats(0.001, 0.2), st.sampled_from([-1.0, 0.0, 3.0])))
    pause = draw(PAUSES)

    def answer(one: Lifetime) -> RenewalInfo:
        first = one.not_before + one.total * start
        return RenewalInfo(first, first + one.total * length, one.not_before, None, pause)

    return answer


@dataclass
class World:
    """An authority, and a machine that wakes up now and then."""

    total: timedelta
    wake: timedelta
    known_wake: bool
    answers: list[Answer]
    good_hours: list[int]
    """For each day, the first hour of the two in which an order succeeds; at wakes a day apart, every order does."""
    fraction: float
    before_days: int | None = None
    now: datetime = START
    done: int = 0
    asked: list[datetime] = field(default_factory=list)
    renewals: list[tuple[Lifetime, RenewalState, RenewNow, datetime]] = field(default_factory=list)

    def is_up(self) -> bool:
        if self.wake > 2 * HOUR:
            return True
        hour = self.good_hours[(self.now - START).days % len(self.good_hours)]
        return hour <= self.now.hour < hour + 2

    def run(self, count: int) -> None:
        """Live through some certificates."""
        one, state = Lifetime(self.now, self.now + self.total), RenewalState()
        wake = self.wake if self.known_wake else None
        failed = False
        while self.done < count:
            self.now += self.wake
            assert self.now < one.not_after, "it expired"
            if may_check(state, one, self.now):
                state = self._ask(state, one)
            found = due(one, state, self.now, wake=wake, before_days=self.before_days)
            state = RenewalState.from_data(json.loads(json.dumps(state.data())))
            if isinstance(found, WaitUntil):
                assert found.until > self.now
                continue
            if not self.is_up():
                state, failed = attempt_failed(state, self.now), True
                continue
            if not failed:  # after a failure the time of success is not the time of the decision
                self.renewals.append((one, state, found, self.now))
            self.done += 1
            one, state, failed = Lifetime(self.now, self.now + self.total), RenewalState(), False

    def _ask(self, state: RenewalState, one: Lifetime) -> RenewalState:
        self.asked.append(self.now)
        answer = self.answers[(self.now - START).days % len(self.answers)](one)
        if isinstance(answer, SophiaError):
            return check_failed(state, self.now, temporary=is_temporary(answer))
        after = learned(state, answer, one, self.now, (self.fraction + 0.37 * len(self.asked)) % 1)
        if (
            answer is not None
            and state.info is not None
            and (answer.start, answer.end)
            == (
                state.info.start,
                state.info.end,
            )
        ):
            assert after.chosen == state.chosen
        return after


@settings(max_examples=80)
@given(
    total=st.sampled_from([timedelta(hours=160), 6 * DAY, 45 * DAY, 64 * DAY, 90 * DAY]),
    wake=st.sampled_from([HOUR / 2, HOUR, 2 * HOUR, 7 * HOUR, 12 * HOUR, DAY]),
    known_wake=st.booleans(),
    given_answers=st.lists(answers(), min_size=1, max_size=6),
    good_hours=st.lists(st.integers(0, 22), min_size=1, max_size=5),
    fraction=st.floats(0, 1, exclude_max=True),
    before_days=st.none() | st.integers(1, 365),
)
def test_nothing_expires_while_an_attempt_a_day_is_possible_and_nothing_is_renewed_early_without_need(
    total: timedelta,
    wake: timedelta,
    known_wake: bool,
    given_answers: list[Answer],
    good_hours: list[int],
    fraction: float,
    before_days: int | None,
) -> None:
    world = World(total, wake, known_wake, given_answers, good_hours, fraction, before_days)
    world.run(2)
    for one, state, found, when in world.renewals:
        if found.is_emergency:
            continue
        usable = state.info is not None and unusable(state.info, one) is None
        if found.cause == "environment":
            assert before_days is not None
            assert when >= one.not_after - min(before_days * DAY, one.total / 2)
        elif not usable:
            assert found.cause == "fallback"
            assert when >= one.fallback
        elif found.cause == "window-missed":
            assert state.info is not None
            assert when + (wake if known_wake else DAY) > state.info.end
        else:
            assert state.info is not None
            assert found.cause == "window"
            assert when >= state.info.start
    gaps = [later - earlier for earlier, later in pairwise(world.asked)]
    assert all(gap >= timedelta(minutes=1) for gap in gaps)
