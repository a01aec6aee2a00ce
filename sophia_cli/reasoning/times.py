"""Times in plain language: durations, ends, starts, ranges and recurrences, in a time zone; the sign is never guessed.

Hours and shorter count on the clock that runs through (UTC); days and longer count on the calendar of the zone, so that
"in two days" keeps the wall time over a change to or from summer time. A day as an end means the end of that day.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Final, Literal

from sophia_cli.reasoning.moments import (
    CLOCK,
    COUNT,
    DAY,
    DAYS,
    LENGTH,
    MOMENT,
    MONTHS,
    WEEKDAY,
    WORD_UNIT,
    Clock,
    Facing,
    length_of,
    moment_of,
    month_length,
    zone_of,
)

Kind = Literal["duration", "end", "start", "range", "at", "every"]


@dataclass(frozen=True, slots=True, eq=False)
class When:
    """One time that stands in a text at [first, last). Which fields are set depends on `kind`; the bounds are UTC.

    duration: `seconds`. end: `end` (and `seconds` when a length was said). start: `start`. range: both, the end not included.
    at: `start` as the moment, and `end` too when it names a whole day. every: `every`.
    """

    kind: Kind
    first: int
    last: int
    start: datetime | None = None
    end: datetime | None = None
    seconds: int | None = None
    every: str | None = None


# One of these, or a digit, stands in every text that speaks of a time.
_HINTS: Final = frozenset(
    (
        *(
            *DAYS,
            *(day[:3] for day in DAYS),
            "tues",
            "thur",
            "thurs",
            *MONTHS,
            *(month[:3] for month in MONTHS),
            "sept",
        ),
        *(
            "second",
            "minute",
            "hour",
            "day",
            "week",
            "month",
            "year",
            "seconds",
            "minutes",
            "hours",
            "days",
            "weeks",
            "months",
        ),
        *(
            "years",
            "sec",
            "secs",
            "min",
            "mins",
            "hr",
            "hrs",
            "night",
            "morning",
            "evening",
            "afternoon",
            "weekend",
            "weekday",
        ),
        *(
            "nights",
            "mornings",
            "evenings",
            "weekends",
            "weekdays",
            "nightly",
            "daily",
            "weekly",
            "hourly",
            "yesterday",
        ),
        *("today", "tomorrow", "tonight", "now", "noon", "midday", "midnight"),
        *(f"{day}s" for day in DAYS),
    )
)


_PERIOD = (
    r"(?:(?:this|last|past|next|the last|the past|the next) (?:week|month|year|weekend|night|morning|afternoon|evening)"
    r"|tonight)"
)


_OFTEN = r"(?:night|day|morning|evening|weekday|weekend|week|month|hour)"


_END_OF = r"(?:the )?end of (?:the |this )?(?:day|week|month|year|today|tomorrow)|end of next (?:week|month)"


def find(text: str, now: datetime, zone: str, facing: Facing = "future") -> tuple[When, ...]:
    """All times in a lower-case text, in order. `facing` says where a bare weekday lies; raises nothing on any text."""
    if not any(sign.isdigit() for sign in text) and _HINTS.isdisjoint(text.replace(",", " ").split()):
        return ()  # Most sentences speak of no time, and the pattern takes 14 ms to compile.
    clock = Clock(now, zone_of(zone), facing)
    found: list[When] = []
    at = 0
    while match := _pattern().search(text, at):
        at = max(match.end(), match.start() + 1)
        try:
            when = _RULES[match.lastgroup or ""](clock, match)
        except (ValueError, OverflowError):
            continue  # 31 february, 99:99, year 0: not a time, so it stays text and will be asked about.
        if when is not None:
            found.append(when)
    return tuple(found)


def duration(text: str) -> int | None:
    """A length of time in seconds, when the whole text is one."""
    if not re.fullmatch(LENGTH, text):
        return None
    months, days, seconds = length_of(text)
    return (months * 30 + days) * 86400 + seconds


@cache
def _pattern() -> re.Pattern[str]:
    span = r"(?:from |between )?"
    rules = (
        (
            "every",
            rf"every (?:other )?(?:{_OFTEN}|{WEEKDAY})s?|nightly|daily|weekly|hourly",
        ),
        ("between", rf"{span}(?:{DAY} )?(?:from |between )?{MOMENT} (?:to|and|until|till|-) {MOMENT}"),
        (
            "past_length",
            r"(?:in |over |during |within |for )?(?:the )?(?:last|past|previous) "
            rf"{COUNT}? ?(?:{LENGTH}|{WORD_UNIT}|s|h|d)(?![a-z])",
        ),
        ("ago", rf"{LENGTH} ago"),
        (
            "next_length",
            rf"(?:(?:for|in|within|over|during) )?(?:the )?next (?:{LENGTH}|(?:{COUNT}) ?{WORD_UNIT}|hour|day|minute)",
        ),
        ("end_of", rf"(?:until |till |til |by |at |through )?(?:{_END_OF})"),
        ("until_length", rf"(?:for|lasting) (?:{LENGTH})"),
        ("in_length", rf"(?:in|after) {LENGTH}"),
        ("within", rf"within {LENGTH}"),
        ("period", rf"(?:in |during )?{_PERIOD}"),
        ("until", rf"(?:until|till|til|through|up to) (?:on )?{MOMENT}"),
        ("since", rf"(?:since|after|from) {MOMENT}"),
        ("by", rf"(?:before|by) {MOMENT}"),
        ("moment", rf"(?:on |at )?{MOMENT}"),
        ("length", LENGTH),
    )
    named = "|".join(f"(?P<{name}>{rule})" for name, rule in rules)
    return re.compile(rf"(?<![\w.:/-])(?:{named})(?![\w:/-]|\.\w)")


def _every(_clock: Clock, match: re.Match[str]) -> When:
    word = match[0].removeprefix("every ").strip()
    plain = {"nightly": "night", "daily": "day", "weekly": "week", "hourly": "hour"}
    return When("every", match.start(), match.end(), every=plain.get(word, word.rstrip("s").replace(" ", "-")))


def _between(clock: Clock, match: re.Match[str]) -> When | None:
    text = re.sub(r"^(?:from|between) ", "", match[0])
    ahead = re.match(rf"({DAY}) (?:from |between )({MOMENT} .*)", text)
    day = ahead[1] if ahead else None
    left, right = re.split(r" (?:to|and|until|till|-) ", ahead[2] if ahead else text, maxsplit=1)
    if day is None and re.fullmatch(rf"{DAY} {CLOCK}", left) and re.fullmatch(CLOCK, right):
        day = left[: -len(re.search(rf"{CLOCK}$", left)[0]) - 1]  # type: ignore[index]
        left = left[len(day) + 1 :]
    if day is not None and re.fullmatch(CLOCK, left) and re.fullmatch(CLOCK, right):
        left, right = f"{day} {left}", f"{day} {right}"
    start, _ = moment_of(clock, left)
    _, end = moment_of(clock, right)
    if end <= start and re.fullmatch(WEEKDAY, left) and re.fullmatch(WEEKDAY, right):
        end = clock.later(end, 7)  # "between monday and wednesday" on a wednesday: up to this one.
    if end <= start:
        return None
    return When("range", match.start(), match.end(), start=start, end=end)


def _past_length(clock: Clock, match: re.Match[str]) -> When:
    text = re.sub(r"^.*?(?:last|past|previous) ", "", match[0]).strip()
    if text in {"week", "month", "year"} and not match[0].startswith(("in ", "over ", "during ", "within ", "for ")):
        return _period(clock, match)
    months, days, seconds = length_of(text if text[0].isdigit() or " " in text else f"a {text}")
    if text == "day" and not match[0].startswith(("in", "over", "during", "within", "for")):
        days = 1
    start = clock.shifted(-months, -days, -seconds)
    return When("range", match.start(), match.end(), start=start, end=clock.now.astimezone(UTC))


def _ago(clock: Clock, match: re.Match[str]) -> When:
    months, days, seconds = length_of(match[0].removesuffix(" ago"))
    moment = clock.shifted(-months, -days, -seconds)
    if seconds == 0:
        start, end = clock.day(moment.astimezone(clock.zone).date())
        return When("at", match.start(), match.end(), start=start, end=end)
    return When("at", match.start(), match.end(), start=moment)


def _next_length(clock: Clock, match: re.Match[str]) -> When:
    text = re.sub(r"^.*?next ", "", match[0])
    return _ahead(clock, match, text if " " in text or text[0].isdigit() else f"a {text}")


def _until_length(clock: Clock, match: re.Match[str]) -> When:
    return _ahead(clock, match, re.sub(r"^(?:for|lasting) ", "", match[0]))


def _within(clock: Clock, match: re.Match[str]) -> When:
    return _ahead(clock, match, match[0].removeprefix("within "))


def _ahead(clock: Clock, match: re.Match[str], text: str) -> When:
    months, days, seconds = length_of(text)
    length = (months * 30 + days) * 86400 + seconds
    return When("end", match.start(), match.end(), end=clock.shifted(months, days, seconds), seconds=length)


def _in_length(clock: Clock, match: re.Match[str]) -> When:
    months, days, seconds = length_of(re.sub(r"^(?:in|after) ", "", match[0]))
    return When("at", match.start(), match.end(), start=clock.shifted(months, days, seconds))


def _end_of(clock: Clock, match: re.Match[str]) -> When:
    today = clock.here.date()
    words = match[0]
    if "week" in words:
        last = today + timedelta(days=6 - today.weekday() + (7 if "next" in words else 0))
    elif "month" in words:
        first = today.replace(day=1)
        if "next" in words:
            first += timedelta(days=month_length(first))
        last = first + timedelta(days=month_length(first) - 1)
    elif "year" in words:
        last = date(today.year, 12, 31)
    else:
        last = today + timedelta(days=1 if "tomorrow" in words else 0)
    return When("end", match.start(), match.end(), end=clock.day(last)[1])


def _period(clock: Clock, match: re.Match[str]) -> When:
    words = match[0].split()
    noun, which = words[-1], words[-2] if len(words) > 1 else "this"
    step = {"last": -1, "past": -1, "previous": -1, "next": 1}.get(which, 0)
    today = clock.here.date()
    if noun in {"night", "tonight", "morning", "afternoon", "evening"}:
        hours = {
            "night": (18, 30),
            "tonight": (18, 30),
            "morning": (6, 12),
            "afternoon": (12, 18),
            "evening": (18, 24),
        }[noun]
        day = today + timedelta(days=step)
        start, end = (clock.utc(day + timedelta(days=hour // 24), time(hour % 24)) for hour in hours)
        return When("range", match.start(), match.end(), start=start, end=end)
    if noun in {"week", "weekend"}:
        first = today - timedelta(days=today.weekday()) + timedelta(weeks=step, days=5 if noun == "weekend" else 0)
        last = first + timedelta(days=2 if noun == "weekend" else 7)
    elif noun == "month":
        months = today.year * 12 + today.month - 1 + step
        first = date(months // 12, months % 12 + 1, 1)
        last = first + timedelta(days=month_length(first))
    else:
        first, last = date(today.year + step, 1, 1), date(today.year + step + 1, 1, 1)
    return When("range", match.start(), match.end(), start=clock.utc(first), end=clock.utc(last))


def _until(clock: Clock, match: re.Match[str]) -> When:
    text = re.sub(r"^(?:until|till|til|through|up to|before|by) (?:on )?", "", match[0])
    start, end = moment_of(clock, text)
    return When("end", match.start(), match.end(), end=start if match[0].startswith("before") else end)


def _since(clock: Clock, match: re.Match[str]) -> When:
    past = Clock(clock.now, clock.zone, "past" if match[0].startswith("since") else clock.facing)
    start, end = moment_of(past, re.sub(r"^(?:since|after|from) ", "", match[0]))
    return When("start", match.start(), match.end(), start=end if match[0].startswith("after") else start)


def _moment(clock: Clock, match: re.Match[str]) -> When | None:
    if match[0] == "now":
        return None  # "deploy now": no time that anything waits for.
    start, end = moment_of(clock, re.sub(r"^(?:on|at) ", "", match[0]))
    return When("at", match.start(), match.end(), start=start, end=end if end > start else None)


def _bare(_clock: Clock, match: re.Match[str]) -> When:
    months, days, seconds = length_of(match[0])
    return When("duration", match.start(), match.end(), seconds=(months * 30 + days) * 86400 + seconds)


_RULES: Final[dict[str, Callable[[Clock, re.Match[str]], When | None]]] = {
    **{"every": _every, "between": _between, "past_length": _past_length, "ago": _ago, "next_length": _next_length},
    **{"end_of": _end_of, "until_length": _until_length, "in_length": _in_length, "within": _within, "period": _period},
    **{"until": _until, "since": _since, "by": _until, "moment": _moment, "length": _bare},
}
