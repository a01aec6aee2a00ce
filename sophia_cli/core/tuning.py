"""Tuning: which settings of an environment rules may propose to change, to what, at which level. Pure: proposes nothing itself.

The levels differ by these tables alone. Never touched: autonomy, limits, model, endpoints, purge, protect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from sophia_cli.core.renewal import DAY, MOST_BEFORE_DAYS, SHORT_LIFETIME


@dataclass(frozen=True, slots=True)
class TuningRule:
    """One rule: the paths it may edit, how sure it is as shipped, and why. `levels` maps a level to its value."""

    id: str
    paths: str
    shipped: Fraction
    levels: Mapping[str, int]
    why: str


# RFC 1912 2.2 finds days usual and warns of very low ones; the floors below are far under that, so that they annoy nobody.
TTL_FLOOR = TuningRule(
    "CONFIG-TTL-FLOOR",
    r'dns\.ttl|dns\.domains\["[a-z0-9.-]+"\]\.ttl',
    Fraction(95, 100),
    {"conservative": 300, "balanced": 300, "aggressive": 300},
    "a TTL below five minutes multiplies look-ups and makes every outage of a name server felt at once (RFC 1912 2.2)",
)
TTL_LONG = TuningRule(
    "CONFIG-TTL-LONG",
    TTL_FLOOR.paths,
    Fraction(80, 100),
    {"balanced": 1800, "aggressive": 3600},
    "names that stay where they are need no shorter TTL, and a longer one means fewer look-ups (RFC 1912 2.2)",
)
ROTATION = TuningRule(
    "CONFIG-SECRET-ROTATION",
    r"security\.secret_rotation_days",
    Fraction(92, 100),
    {"conservative": 365, "balanced": 180, "aggressive": 90},
    "a key that is renewed within a known time bounds what a leaked one is worth (NIST SP 800-57 part 1, 5.3)",
)
# Their levels are percent of the lifetime, rounded up to whole days. Aggressive orders no certificate before it must.
RENEW_BEFORE = TuningRule(
    "CONFIG-RENEW-BEFORE",
    r'ssl(\.certificates(\.[a-z0-9_]+|\["[a-z0-9._-]+"\]))?\.renew_before_days',
    Fraction(92, 100),
    {"conservative": 33},
    "with a third of the lifetime left, what stops a renewal can be mended in time, however late the authority's advice is "
    "(Let's Encrypt's integration guide, When to Renew)",
)
RENEW_FAILED = TuningRule(
    "CONFIG-RENEW-FAILED",
    RENEW_BEFORE.paths,
    Fraction(92, 100),
    {"conservative": 40, "balanced": 40},
    "a renewal that failed may fail again, and beginning earlier leaves more days to mend what stops it",
)
SCALE_BOUNDS = TuningRule(
    "CONFIG-SCALE-BOUNDS",
    r"pulumi\.stacks\.\S+\.config\.?\S+",
    Fraction(95, 100),
    {"conservative": 0, "balanced": 0, "aggressive": 0},
    "the count lies outside the service's own min and max",
)
RULES = (TTL_FLOOR, TTL_LONG, ROTATION, RENEW_BEFORE, RENEW_FAILED, SCALE_BOUNDS)
SHIPPED: Mapping[str, Fraction] = {rule.id: rule.shipped for rule in RULES}


def is_tuning(source: str, path: str) -> bool:
    """Whether a change of this source may edit this path: what a plan file claims of a rule is held against its table."""
    rule = next((rule for rule in RULES if source == f"rule:{rule.id}"), None)
    return rule is not None and re.fullmatch(rule.paths, path) is not None


def better_ttl(ttl: int, level: str, *, moves: bool) -> tuple[TuningRule, int] | None:
    """The rule and the TTL it would set for a default TTL in seconds; None when it is good as it is.

    `moves` tells that names may be moved by themselves (`auto_scale`): then none is made longer than 1800.
    """
    if ttl < TTL_FLOOR.levels[level]:
        return TTL_FLOOR, TTL_FLOOR.levels[level]
    wanted = TTL_LONG.levels.get(level)
    if wanted is None:
        return None
    wanted = min(wanted, 1800) if moves else wanted
    return (TTL_LONG, wanted) if ttl < wanted else None


def better_rotation(days: int | None, level: str) -> int | None:
    """The rotation interval to set, in days. Conservative shortens a stated one only; the others also add a missing one."""
    wanted = ROTATION.levels[level]
    if days is None:
        return None if level == "conservative" else wanted
    return wanted if days > wanted else None


@dataclass(frozen=True, slots=True)
class Renewing:
    """What is known of renewing one certificate: how long the installed one is valid in all, and the last failed attempt."""

    name: str
    lifetime: timedelta
    failed_at: datetime | None = None

    def failed_lately(self, now: datetime) -> bool:
        """Whether an attempt failed no longer ago than one lifetime."""
        return self.failed_at is not None and now - self.failed_at <= self.lifetime


def better_renewal(days: int | None, seen: Renewing, level: str, now: datetime) -> tuple[TuningRule, int] | None:
    """The rule and the days before the end it would set; None when it is good as it is. What is set is only made more.

    Certificates of less than ten days are left alone: they are renewed at half their lifetime, which nothing makes earlier.
    """
    if seen.lifetime < SHORT_LIFETIME:
        return None
    for rule in (RENEW_FAILED, RENEW_BEFORE) if seen.failed_lately(now) else (RENEW_BEFORE,):
        wanted = min(MOST_BEFORE_DAYS, -(-seen.lifetime * rule.levels.get(level, 0) // (100 * DAY)))
        if wanted > (days or 0):
            return rule, wanted
    return None


def inside(count: int, least: int | None, most: int | None) -> int:
    """The count, moved to the nearer of a service's own bounds when it lies outside them."""
    if most is not None and count > most:
        return most
    return least if least is not None and count < least else count
