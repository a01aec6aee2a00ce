"""Change windows: text such as `Mon-Fri 09:00-17:00 Europe/Berlin`, read and asked. Knows no clock of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM = re.compile(r"\s*([A-Za-z,-]+)\s+(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})(?:\s+(\S+))?\s*\Z")


@dataclass(frozen=True, slots=True)
class Window:
    """Days of the week and hours of the day in one time zone; an end before its start runs past midnight."""

    days: frozenset[int]
    start: time
    end: time
    zone: str
    text: str

    def contains(self, now: datetime) -> bool:
        """Whether an aware time lies inside."""
        local = now.astimezone(ZoneInfo(self.zone))
        clock = local.time()
        if self.start <= self.end:
            return local.weekday() in self.days and self.start <= clock < self.end
        if clock >= self.start:
            return local.weekday() in self.days
        return clock < self.end and (local.weekday() - 1) % 7 in self.days


def window(text: str) -> Window:
    """The window a text describes; the time zone is UTC when none is named. Raises ValueError."""
    found = _FORM.match(text)
    if found is None:
        raise ValueError(f"{text!r} is not a window; write it like 'Mon-Fri 09:00-17:00 Europe/Berlin'")
    days, h1, m1, h2, m2, zone = found.groups()
    zone = zone or "UTC"
    try:
        ZoneInfo(zone)
        start, end = time(int(h1), int(m1)), time(int(h2) % 24, int(m2))
    except (ZoneInfoNotFoundError, ValueError) as exc:
        raise ValueError(f"{text!r} is not a window: {exc}") from exc
    return Window(_days(days, text), start, end, zone, text)


def _days(text: str, whole: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        ends = [day[:3] for day in part.split("-")]
        if not all(day in _DAYS for day in ends) or len(ends) > 2:
            raise ValueError(f"{whole!r} is not a window: {part!r} is not a day of the week")
        first, last = _DAYS.index(ends[0]), _DAYS.index(ends[-1])
        found |= {day % 7 for day in range(first, last + 1 if last >= first else last + 8)}
    return frozenset(found)
