"""Trends: measurements over time, what is normal for them, and when they left it. Measures and stores nothing.

The rule, so that everybody can work it out by hand:

* A sample is *good* when it is at most the limit: the median of the last 20 good samples (the *last good period*), plus
  the largest of 3 robust standard deviations (1.4826 times the median absolute deviation), a quarter of that median, and
  20 ms. The first 8 samples are good by definition; with fewer nothing is said.
* A series has *regressed* when its newest 3 samples are all not good.
* What stays that way for 7 days becomes normal: the last good period then starts anew, so one change is not told for ever.
* A *trend* is a rise of the last 30 days: Kendall's test sees it with 99 % confidence, and the Theil-Sen slope over the
  time seen makes at least a quarter of the median and 20 ms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Protocol

LEAST_SAMPLES = 8
GOOD_PERIOD = 20  # samples
BAD_IN_A_ROW = 3
SHARE = 0.25
FLOOR_S = 0.02
DEVIATIONS = 3.0
ACCEPTED_AFTER = timedelta(days=7)
TREND_SPAN = timedelta(days=30)
CONFIDENT_Z = 2.326  # one-sided 99 %
MOST_FOR_TREND = 200  # samples; all pairs are looked at


@dataclass(frozen=True, slots=True, order=True)
class Sample:
    """One measurement in seconds; in a series `serial SERVER`, a zone's serial."""

    at: datetime
    seconds: float


Series = tuple[Sample, ...]
"""Samples, oldest first."""


class Measurements(Protocol):
    """Where measurements outlive a command. Bounded: the oldest samples of a series go first."""

    async def add(self, target: str, samples: Mapping[str, Sample]) -> None:
        """Add one sample to each named series of a target, durably."""
        ...

    async def of(self, target: str) -> Mapping[str, Series]:
        """The series of a target by name; empty when there are none."""
        ...


@dataclass(frozen=True, slots=True)
class Regression:
    """A series that left what was normal. All times in seconds."""

    now_s: float
    normal_s: float
    limit_s: float
    since: datetime
    good_until: datetime

    def data(self) -> dict[str, Any]:
        """The same for evidence, in milliseconds."""
        return {
            "now_ms": _ms(self.now_s),
            "normal_ms": _ms(self.normal_s),
            "limit_ms": _ms(self.limit_s),
            "since": self.since.isoformat(),
            "good_until": self.good_until.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Trend:
    """A series that rises steadily."""

    rise_s: float
    """Over the time seen."""
    median_s: float
    first: datetime
    last: datetime
    samples: int

    def data(self) -> dict[str, Any]:
        """The same for evidence, in milliseconds."""
        return {
            "rise_ms": _ms(self.rise_s),
            "median_ms": _ms(self.median_s),
            "from": self.first.isoformat(),
            "to": self.last.isoformat(),
            "samples": self.samples,
        }


def limit(good: Sequence[float]) -> float:
    """The most that still counts as good after these good samples (seconds)."""
    middle = median(good)
    spread = 1.4826 * median(abs(value - middle) for value in good)
    return middle + max(DEVIATIONS * spread, SHARE * middle, FLOOR_S)


def regression(series: Series) -> Regression | None:
    """Whether the newest samples left the last good period; None when they did not, or when too little is known."""
    good: list[Sample] = []
    bad: list[Sample] = []
    for sample in sorted(series):
        window = [one.seconds for one in good[-GOOD_PERIOD:]]
        if len(good) < LEAST_SAMPLES or sample.seconds <= limit(window):
            good.append(sample)
            bad = []
            continue
        bad.append(sample)
        if len(bad) >= LEAST_SAMPLES and bad[-1].at - bad[0].at >= ACCEPTED_AFTER:
            good, bad = bad, []
    if len(good) < LEAST_SAMPLES or len(bad) < BAD_IN_A_ROW:
        return None
    window = [one.seconds for one in good[-GOOD_PERIOD:]]
    now_s = median(one.seconds for one in bad[-BAD_IN_A_ROW:])
    return Regression(now_s, median(window), limit(window), bad[0].at, good[-1].at)


def trend(series: Series) -> Trend | None:
    """A steady rise within the last 30 days; None when there is none, or when too little is known."""
    ordered = sorted(series)
    if not ordered:
        return None
    recent = [one for one in ordered if ordered[-1].at - one.at <= TREND_SPAN][-MOST_FOR_TREND:]
    span_s = (recent[-1].at - recent[0].at).total_seconds()
    if len(recent) < LEAST_SAMPLES or span_s <= 0:
        return None
    slopes, signs = [], 0
    for index, one in enumerate(recent):
        for two in recent[index + 1 :]:
            apart_s = (two.at - one.at).total_seconds()
            signs += (two.seconds > one.seconds) - (two.seconds < one.seconds)
            if apart_s > 0:
                slopes.append((two.seconds - one.seconds) / apart_s)
    count = len(recent)
    deviation = math.sqrt(count * (count - 1) * (2 * count + 5) / 18)  # of Kendall's S without ties
    middle = median(one.seconds for one in recent)
    rise_s = median(slopes) * span_s if slopes else 0.0
    if (signs - 1) / deviation < CONFIDENT_Z or rise_s < max(SHARE * middle, FLOOR_S):
        return None
    return Trend(rise_s, middle, recent[0].at, recent[-1].at, count)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
