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
from zoneinfo import ZoneInfo

Kind = Literal["duration", "end", "start", "range", "at", "every"]
Facing = Literal["past", "future"]


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


_COUNTS: Final = {
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
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS: Final = (
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

# One of these, or a digit, stands in every text that speaks of a time.
_HINTS: Final = frozenset(
    (
        *(
            *_DAYS,
            *(day[:3] for day in _DAYS),
            "tues",
            "thur",
            "thurs",
            *_MONTHS,
            *(month[:3] for month in _MONTHS),
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
        *(f"{day}s" for day in _DAYS),
    )
)

_WORD_UNIT = r"(?:seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|weeks?|months?|years?)"
_COUNT = (
    r"(?:half an?|an? couple of|couple of|a dozen|"
    + "|".join(sorted((word for word in _COUNTS if " " not in word), key=len, reverse=True))
    + r"|\d+(?:\.\d+)?)"
)
_LENGTH = (
    rf"(?:(?:{_COUNT}) ?{_WORD_UNIT}(?:(?: and)? {_COUNT} ?{_WORD_UNIT}){{0,3}}"
    r"|\d+(?:\.\d+)?(?:s|m|h|d|w)(?: ?\d+(?:s|m|h|d|w)){0,3}(?![a-z0-9]))"
)
_CLOCK = r"(?:\d{1,2}:\d{2}(?::\d{2})?(?: ?[ap]m)?|\d{1,2} ?[ap]m|noon|midday|midnight)"
_WEEKDAY = r"(?:" + "|".join(f"{day}|{day[:3]}" for day in _DAYS) + r"|tues|thur|thurs)"
_MONTH = r"(?:" + "|".join(f"{month}|{month[:3]}" for month in _MONTHS) + r"|sept)"
_DAY = (
    r"(?:\d{4}-\d{2}-\d{2}|the day before yesterday|the day after tomorrow|yesterday|today|tomorrow"
    rf"|(?:(?:this|next|last|past|coming) )?{_WEEKDAY}"
    rf"|(?:the )?\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}(?: \d{{4}})?"
    rf"|{_MONTH} (?:the )?\d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?)"
)
_ISO = r"\d{4}-\d{2}-\d{2}[t ]\d{2}:\d{2}(?::\d{2})?(?:z|[+-]\d{2}:?\d{2})?"
_MOMENT = rf"(?:{_ISO}|{_DAY}(?:,? (?:at )?{_CLOCK})?|{_CLOCK}(?: (?:on )?{_DAY})?|now)"
_PERIOD = (
    r"(?:(?:this|last|past|next|the last|the past|the next) (?:week|month|year|weekend|night|morning|afternoon|evening)"
    r"|tonight)"
)
_OFTEN = r"(?:night|day|morning|evening|weekday|weekend|week|month|hour)"
_END_OF = r"(?:the )?end of (?:the |this )?(?:day|week|month|year|today|tomorrow)|end of next (?:week|month)"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Clock:
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

    def day(self, day: date) -> tuple[datetime, datetime]:
        return self.utc(day), self.utc(day + timedelta(days=1))

    def shifted(self, months: int, days: int, seconds: int) -> datetime:
        """Now, moved by calendar months and days and by running seconds."""
        here = self.here
        month = here.month - 1 + months
        year, month = here.year + month // 12, month % 12 + 1
        first = date(year, month, 1)
        target = first + timedelta(days=min(here.day, _month_length(first)) - 1 + days)
        moved = self.utc(target, here.time()) if months or days else self.now.astimezone(UTC)
        return moved + timedelta(seconds=seconds)


def find(text: str, now: datetime, zone: str, facing: Facing = "future") -> tuple[When, ...]:
    """All times in a lower-case text, in order. `facing` says where a bare weekday lies; raises nothing on any text."""
    if not any(sign.isdigit() for sign in text) and _HINTS.isdisjoint(text.replace(",", " ").split()):
        return ()  # Most sentences speak of no time, and the pattern takes 14 ms to compile.
    clock = _Clock(now, _zone(zone), facing)
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
    if not re.fullmatch(_LENGTH, text):
        return None
    months, days, seconds = _length(text)
    return (months * 30 + days) * 86400 + seconds


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@cache
def _pattern() -> re.Pattern[str]:
    span = r"(?:from |between )?"
    rules = (
        (
            "every",
            rf"every (?:other )?(?:{_OFTEN}|{_WEEKDAY})s?|nightly|daily|weekly|hourly",
        ),
        ("between", rf"{span}(?:{_DAY} )?(?:from |between )?{_MOMENT} (?:to|and|until|till|-) {_MOMENT}"),
        (
            "past_length",
            r"(?:in |over |during |within |for )?(?:the )?(?:last|past|previous) "
            rf"{_COUNT}? ?(?:{_LENGTH}|{_WORD_UNIT}|s|h|d)(?![a-z])",
        ),
        ("ago", rf"{_LENGTH} ago"),
        (
            "next_length",
            rf"(?:(?:for|in|within|over|during) )?(?:the )?next (?:{_LENGTH}|(?:{_COUNT}) ?{_WORD_UNIT}|hour|day|minute)",
        ),
        ("end_of", rf"(?:until |till |til |by |at |through )?(?:{_END_OF})"),
        ("until_length", rf"(?:for|lasting) (?:{_LENGTH})"),
        ("in_length", rf"(?:in|after) {_LENGTH}"),
        ("within", rf"within {_LENGTH}"),
        ("period", rf"(?:in |during )?{_PERIOD}"),
        ("until", rf"(?:until|till|til|through|up to) (?:on )?{_MOMENT}"),
        ("since", rf"(?:since|after|from) {_MOMENT}"),
        ("by", rf"(?:before|by) {_MOMENT}"),
        ("moment", rf"(?:on |at )?{_MOMENT}"),
        ("length", _LENGTH),
    )
    named = "|".join(f"(?P<{name}>{rule})" for name, rule in rules)
    return re.compile(rf"(?<![\w.:/-])(?:{named})(?![\w:/-]|\.\w)")


# -- rules: one for each group of the pattern -----------------------------------------------------------------------------


def _every(_clock: _Clock, match: re.Match[str]) -> When:
    word = match[0].removeprefix("every ").strip()
    plain = {"nightly": "night", "daily": "day", "weekly": "week", "hourly": "hour"}
    return When("every", match.start(), match.end(), every=plain.get(word, word.rstrip("s").replace(" ", "-")))


def _between(clock: _Clock, match: re.Match[str]) -> When | None:
    text = re.sub(r"^(?:from|between) ", "", match[0])
    ahead = re.match(rf"({_DAY}) (?:from |between )({_MOMENT} .*)", text)
    day = ahead[1] if ahead else None
    left, right = re.split(r" (?:to|and|until|till|-) ", ahead[2] if ahead else text, maxsplit=1)
    if day is None and re.fullmatch(rf"{_DAY} {_CLOCK}", left) and re.fullmatch(_CLOCK, right):
        day = left[: -len(re.search(rf"{_CLOCK}$", left)[0]) - 1]  # type: ignore[index]
        left = left[len(day) + 1 :]
    if day is not None and re.fullmatch(_CLOCK, left) and re.fullmatch(_CLOCK, right):
        left, right = f"{day} {left}", f"{day} {right}"
    start, _ = _moment_of(clock, left)
    _, end = _moment_of(clock, right)
    if end <= start:
        return None
    return When("range", match.start(), match.end(), start=start, end=end)


def _past_length(clock: _Clock, match: re.Match[str]) -> When:
    text = re.sub(r"^.*?(?:last|past|previous) ", "", match[0]).strip()
    if text in {"week", "month", "year"} and not match[0].startswith(("in ", "over ", "during ", "within ", "for ")):
        return _period(clock, match)
    months, days, seconds = _length(text if text[0].isdigit() or " " in text else f"a {text}")
    if text == "day" and not match[0].startswith(("in", "over", "during", "within", "for")):
        days = 1
    start = clock.shifted(-months, -days, -seconds)
    return When("range", match.start(), match.end(), start=start, end=clock.now.astimezone(UTC))


def _ago(clock: _Clock, match: re.Match[str]) -> When:
    months, days, seconds = _length(match[0].removesuffix(" ago"))
    moment = clock.shifted(-months, -days, -seconds)
    if seconds == 0:
        start, end = clock.day(moment.astimezone(clock.zone).date())
        return When("at", match.start(), match.end(), start=start, end=end)
    return When("at", match.start(), match.end(), start=moment)


def _next_length(clock: _Clock, match: re.Match[str]) -> When:
    text = re.sub(r"^.*?next ", "", match[0])
    return _ahead(clock, match, text if " " in text or text[0].isdigit() else f"a {text}")


def _until_length(clock: _Clock, match: re.Match[str]) -> When:
    return _ahead(clock, match, re.sub(r"^(?:for|lasting) ", "", match[0]))


def _within(clock: _Clock, match: re.Match[str]) -> When:
    return _ahead(clock, match, match[0].removeprefix("within "))


def _ahead(clock: _Clock, match: re.Match[str], text: str) -> When:
    months, days, seconds = _length(text)
    length = (months * 30 + days) * 86400 + seconds
    return When("end", match.start(), match.end(), end=clock.shifted(months, days, seconds), seconds=length)


def _in_length(clock: _Clock, match: re.Match[str]) -> When:
    months, days, seconds = _length(re.sub(r"^(?:in|after) ", "", match[0]))
    return When("at", match.start(), match.end(), start=clock.shifted(months, days, seconds))


def _end_of(clock: _Clock, match: re.Match[str]) -> When:
    today = clock.here.date()
    words = match[0]
    if "week" in words:
        last = today + timedelta(days=6 - today.weekday() + (7 if "next" in words else 0))
    elif "month" in words:
        first = today.replace(day=1)
        if "next" in words:
            first += timedelta(days=_month_length(first))
        last = first + timedelta(days=_month_length(first) - 1)
    elif "year" in words:
        last = date(today.year, 12, 31)
    else:
        last = today + timedelta(days=1 if "tomorrow" in words else 0)
    return When("end", match.start(), match.end(), end=clock.day(last)[1])


def _period(clock: _Clock, match: re.Match[str]) -> When:
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
        last = first + timedelta(days=_month_length(first))
    else:
        first, last = date(today.year + step, 1, 1), date(today.year + step + 1, 1, 1)
    return When("range", match.start(), match.end(), start=clock.utc(first), end=clock.utc(last))


def _until(clock: _Clock, match: re.Match[str]) -> When:
    text = re.sub(r"^(?:until|till|til|through|up to|before|by) (?:on )?", "", match[0])
    start, end = _moment_of(clock, text)
    return When("end", match.start(), match.end(), end=start if match[0].startswith("before") else end)


def _since(clock: _Clock, match: re.Match[str]) -> When:
    past = _Clock(clock.now, clock.zone, "past" if match[0].startswith("since") else clock.facing)
    start, end = _moment_of(past, re.sub(r"^(?:since|after|from) ", "", match[0]))
    return When("start", match.start(), match.end(), start=end if match[0].startswith("after") else start)


def _moment(clock: _Clock, match: re.Match[str]) -> When | None:
    if match[0] == "now":
        return None  # "deploy now": no time that anything waits for.
    start, end = _moment_of(clock, re.sub(r"^(?:on|at) ", "", match[0]))
    return When("at", match.start(), match.end(), start=start, end=end if end > start else None)


def _bare(_clock: _Clock, match: re.Match[str]) -> When:
    months, days, seconds = _length(match[0])
    return When("duration", match.start(), match.end(), seconds=(months * 30 + days) * 86400 + seconds)


_RULES: Final[dict[str, Callable[[_Clock, re.Match[str]], When | None]]] = {
    **{"every": _every, "between": _between, "past_length": _past_length, "ago": _ago, "next_length": _next_length},
    **{"end_of": _end_of, "until_length": _until_length, "in_length": _in_length, "within": _within, "period": _period},
    **{"until": _until, "since": _since, "by": _until, "moment": _moment, "length": _bare},
}


# -- parts ----------------------------------------------------------------------------------------------------------------


def _length(text: str) -> tuple[int, int, int]:
    """Months, days and seconds. "half a day" and "1.5 days" are seconds, because half a calendar day has no meaning."""
    months = days = 0
    seconds = 0.0
    counts = "|".join(sorted(map(re.escape, _COUNTS), key=len, reverse=True))
    for count, unit in re.findall(rf"(\d+(?:\.\d+)?|\b(?:{counts})\b) ?([a-z]+)", text):
        number = _COUNTS[count] if count in _COUNTS else float(count)
        if unit.startswith("mo") or unit.startswith("y"):
            months += int(number) * (12 if unit.startswith("y") else 1)
        elif unit[0] in "dw" and number == int(number):
            days += int(number) * (7 if unit[0] == "w" else 1)
        else:
            seconds += number * _UNITS[unit[0]]
    if months > 1200 or days > 36_500 or seconds > 3e9 or not (months or days or seconds):
        raise ValueError(text)
    return months, days, round(seconds)


def _moment_of(clock: _Clock, text: str) -> tuple[datetime, datetime]:
    """Start and end of a moment: equal when it has a clock time, a whole day otherwise."""
    if text == "now":
        now = clock.now.astimezone(UTC)
        return now, now
    if re.fullmatch(_ISO, text):
        parsed = datetime.fromisoformat(text.upper())
        moment = parsed.astimezone(UTC) if parsed.tzinfo else clock.utc(parsed.date(), parsed.time())
        return moment, moment
    found = re.search(rf"(?<![\d-]){_CLOCK}", text)
    day_text = re.search(_DAY, text.replace(found[0], "") if found else text)
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


def _at(clock: _Clock, day: date, text: str) -> datetime:
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


def _day_of(clock: _Clock, text: str) -> date:
    today = clock.here.date()
    near = {"today": 0, "yesterday": -1, "tomorrow": 1, "the day before yesterday": -2, "the day after tomorrow": 2}
    if text in near:
        return today + timedelta(days=near[text])
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return date.fromisoformat(text)
    if week := re.fullmatch(rf"(?:(this|next|last|past|coming) )?({_WEEKDAY})", text):
        wanted = next(n for n, day in enumerate(_DAYS) if day.startswith(week[2][:3]))
        if week[1] in {"last", "past"} or (week[1] is None and clock.facing == "past"):
            return today - timedelta(days=(today.weekday() - wanted - 1) % 7 + 1)
        # "next friday" is the friday of the coming week for some and the first to come for others: the first, and shown.
        return today + timedelta(days=(wanted - today.weekday() - 1) % 7 + 1)
    number = int(re.search(r"(?<!\d)\d{1,2}(?!\d)", text)[0])  # type: ignore[index]
    name = re.search(_MONTH, text)[0]  # type: ignore[index]
    month = next(n for n, word in enumerate(_MONTHS, 1) if word.startswith(name[:3]))
    if year := re.search(r"\d{4}", text):
        return date(int(year[0]), month, number)
    day = date(today.year, month, number)
    if clock.facing == "past":
        return day if day <= today else date(today.year - 1, month, number)
    return day if day >= today else date(today.year + 1, month, number)


def _month_length(first: date) -> int:
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return (following - first).days
