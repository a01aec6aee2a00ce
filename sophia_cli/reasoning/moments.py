"""Moments: words for lengths, clock times and days, and what they are on the calendar of a time zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Final, Literal
from zoneinfo import ZoneInfo

Facing = Literal["past", "future"]


COUNTS: Final = {
    **{
        word: float(n)
        for n, word in enumerate(
            ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
        )
    },
    **{"eleven": 11.0, "twelve": 12.0, "fifteen": 15.0, "twenty": 20.0, "thirty": 30.0, "forty": 40.0, "sixty": 60.0},
    **{
        "ninety": 90.0,
        "a": 1.0,
        "an": 1.0,
        "half a": 0.5,
        "half an": 0.5,
        "a couple of": 2.0,
        "couple of": 2.0,
        "a dozen": 12.0,
    },
}


_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


MONTHS: Final = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)


WORD_UNIT = r"(?:seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|weeks?|months?|years?)"


COUNT = (
    r"(?:half an?|an? couple of|couple of|a dozen|"
    + "|".join(sorted((word for word in COUNTS if " " not in word), key=len, reverse=True))
    + r"|\d+(?:\.\d+)?)"
)


LENGTH = (
    rf"(?:(?:{COUNT}) ?{WORD_UNIT}(?:(?: and)? {COUNT} ?{WORD_UNIT}){{0,3}}"
    r"|\d+(?:\.\d+)?(?:s|m|h|d|w)(?: ?\d+(?:s|m|h|d|w)){0,3}(?![a-z0-9]))"
)


CLOCK = r"(?:\d{1,2}:\d{2}(?::\d{2})?(?: ?[ap]m)?|\d{1,2} ?[ap]m|noon|midday|midnight)"


WEEKDAY = r"(?:" + "|".join(f"{day}|{day[:3]}" for day in DAYS) + r"|tues|thur|thurs)"


_MONTH = r"(?:" + "|".join(f"{month}|{month[:3]}" for month in MONTHS) + r"|sept)"


DAY = (
    r"(?:\d{4}-\d{2}-\d{2}|the day before yesterday|the day after tomorrow|yesterday|today|tomorrow"
    rf"|(?:(?:this|next|last|past|coming) )?{WEEKDAY}"
    rf"|(?:the )?\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}(?: \d{{4}})?"
    rf"|{_MONTH} (?:the )?\d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?)"
)


_ISO = r"\d{4}-\d{2}-\d{2}[t ]\d{2}:\d{2}(?::\d{2})?(?:z|[+-]\d{2}:?\d{2})?"


MOMENT = rf"(?:{_ISO}|{DAY}(?:,? (?:at )?{CLOCK})?|{CLOCK}(?: (?:on )?{DAY})?|now)"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Clock:
    """The frame in which words of time have a meaning."""

    now: datetime
    zone: ZoneInfo
    facing: Facing

    @property
    def here(self) -> datetime:
        return self.now.astimezone(self.zone)

    def utc(self, day: date, at: time = time()) -> datetime:
        """The wall time as UTC; a time that the clocks skip is moved forward, one that occurs twice is the first."""
        return datetime.combine(day, at, tzinfo=self.zone).astimezone(UTC)

    def later(self, moment: datetime, days: int) -> datetime:
        """The same wall time so many calendar days later."""
        here = moment.astimezone(self.zone)
        return self.utc(here.date() + timedelta(days=days), here.time())

    def day(self, day: date) -> tuple[datetime, datetime]:
        return self.utc(day), self.utc(day + timedelta(days=1))

    def shifted(self, months: int, days: int, seconds: int) -> datetime:
        """Now, moved by calendar months and days and by running seconds."""
        here = self.here
        month = here.month - 1 + months
        year, month = here.year + month // 12, month % 12 + 1
        first = date(year, month, 1)
        target = first + timedelta(days=min(here.day, month_length(first)) - 1 + days)
        moved = self.utc(target, here.time()) if months or days else self.now.astimezone(UTC)
        return moved + timedelta(seconds=seconds)


@cache
def zone_of(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def length_of(text: str) -> tuple[int, int, int]:
    """Months, days and seconds. "half a day" and "1.5 days" are seconds, because half a calendar day has no meaning."""
    months = days = 0
    seconds = 0.0
    counts = "|".join(sorted(map(re.escape, COUNTS), key=len, reverse=True))
    for count, unit in re.findall(rf"(\d+(?:\.\d+)?|\b(?:{counts})\b) ?([a-z]+)", text):
        number = COUNTS[count] if count in COUNTS else float(count)
        if unit.startswith("mo") or unit.startswith("y"):
            months += int(number) * (12 if unit.startswith("y") else 1)
        elif unit[0] in "dw" and number == int(number):
            days += int(number) * (7 if unit[0] == "w" else 1)
        else:
            seconds += number * _UNITS[unit[0]]
    if months > 1200 or days > 36_500 or seconds > 3e9 or not (months or days or seconds):
        raise ValueError(text)
    return months, days, round(seconds)


def moment_of(clock: Clock, text: str) -> tuple[datetime, datetime]:
    """Start and end of a moment: equal when it has a clock time, a whole day otherwise."""
    if text == "now":
        now = clock.now.astimezone(UTC)
        return now, now
    if re.fullmatch(_ISO, text):
        parsed = datetime.fromisoformat(text.upper())
        moment = parsed.astimezone(UTC) if parsed.tzinfo else clock.utc(parsed.date(), parsed.time())
        return moment, moment
    found = re.search(rf"(?<![\d-]){CLOCK}", text)
    day_text = re.search(DAY, text.replace(found[0], "") if found else text)
    day = _day_of(clock, day_text[0].strip()) if day_text else None
    if found is None:
        if day is None:
            raise ValueError(text)
        return clock.day(day)
    hour = found[0]
    today = clock.here.date()
    moment = _at(clock, day or today, hour)
    if day is None and clock.facing == "future" and moment <= clock.now:
        moment = _at(clock, today + timedelta(days=1), hour)
    elif day is None and clock.facing == "past" and moment > clock.now:
        moment = _at(clock, today - timedelta(days=1), hour)
    return moment, moment


def _at(clock: Clock, day: date, text: str) -> datetime:
    if text in {"noon", "midday"}:
        return clock.utc(day, time(12))
    if text == "midnight":  # The midnight that ends the day.
        return clock.utc(day + timedelta(days=1))
    digits = [int(part) for part in re.findall(r"\d+", text)]
    hour, minute, second = (*digits, 0, 0)[:3]
    if text.endswith("m"):
        if not 1 <= hour <= 12:
            raise ValueError(text)
        hour = hour % 12 + (12 if text.endswith("pm") else 0)
    if (hour, minute, second) == (24, 0, 0):
        return clock.utc(day + timedelta(days=1))
    return clock.utc(day, time(hour, minute, second))


def _day_of(clock: Clock, text: str) -> date:
    today = clock.here.date()
    near = {"today": 0, "yesterday": -1, "tomorrow": 1, "the day before yesterday": -2, "the day after tomorrow": 2}
    if text in near:
        return today + timedelta(days=near[text])
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return date.fromisoformat(text)
    if week := re.fullmatch(rf"(?:(this|next|last|past|coming) )?({WEEKDAY})", text):
        wanted = next(n for n, day in enumerate(DAYS) if day.startswith(week[2][:3]))
        if week[1] in {"last", "past"} or (week[1] is None and clock.facing == "past"):
            return today - timedelta(days=(today.weekday() - wanted - 1) % 7 + 1)
        # "next friday" is the friday of the coming week for some and the first to come for others: the first, and shown.
        return today + timedelta(days=(wanted - today.weekday() - 1) % 7 + 1)
    number = int(re.search(r"(?<!\d)\d{1,2}(?!\d)", text)[0])  # type: ignore[index]
    name = re.search(_MONTH, text)[0]  # type: ignore[index]
    month = next(n for n, word in enumerate(MONTHS, 1) if word.startswith(name[:3]))
    if year := re.search(r"\d{4}", text):
        return date(int(year[0]), month, number)
    day = date(today.year, month, number)
    if clock.facing == "past":
        return day if day <= today else date(today.year - 1, month, number)
    return day if day >= today else date(today.year + 1, month, number)


def month_length(first: date) -> int:
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return (following - first).days
