"""When a certificate is to be renewed (RFC 9773, and what holds without it). Looks at no clock and throws no dice.

The caller keeps one `RenewalState` for each certificate: the time picked inside the authority's window, when it may be asked
again, and how often an attempt has failed. Without that memory every run would pick anew, which favours early times.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from sophia_cli.core.acme import RenewalInfo
from sophia_cli.core.errors import SophiaError

DAY = timedelta(days=1)
LEAST_RETRY_AFTER = timedelta(minutes=1)  # RFC 9773 4.3.2 names both bounds
MOST_RETRY_AFTER = DAY
LONG_TERM = timedelta(hours=6)  # RFC 9773 4.3.3
TEMPORARY_TRIES = 5  # tries at growing pauses before an error counts as long-term (RFC 9773 4.3.3)
FIRST_ATTEMPT_PAUSE = timedelta(minutes=12)  # Let's Encrypt gives back one failed authorization in 12 minutes
MOST_ATTEMPT_PAUSE = timedelta(hours=6)
MOST_ATTEMPT_PAUSE_IN_EMERGENCY = timedelta(hours=1)
SHORT_LIFETIME = timedelta(days=10)
DEFAULT_WAKE = DAY
LEAST_ROOM = 2 * DAY
MOST_BEFORE_DAYS = 365  # of `before_days`; half the lifetime bounds it in any case, and more is a slip of the finger

Cause = Literal["window", "window-missed", "fallback", "environment", "emergency", "expired"]


def certificate_id(key_identifier: bytes, serial: int) -> str:
    """The identifier of a certificate: its authority key identifier and serial, as base64url without padding (RFC 9773 4.1)."""
    number = serial.to_bytes(
        serial.bit_length() // 8 + 1, "big"
    )  # the content of a DER INTEGER: a leading zero keeps it positive
    return f"{_base64url(key_identifier)}.{_base64url(number)}"


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The validity of a certificate (RFC 5280 4.1.2.5), aware UTC."""

    not_before: datetime
    not_after: datetime

    @property
    def total(self) -> timedelta:
        """How long it is valid in all."""
        return self.not_after - self.not_before

    @property
    def fallback(self) -> datetime:
        """When to renew if the authority gives no advice: at two thirds, below ten days at half."""
        return self.not_before + (self.total / 2 if self.total < SHORT_LIFETIME else self.total * 2 / 3)

    def wished(self, days: int) -> datetime:
        """When to renew at the latest if an environment asks for `days` before the end: never in the first half."""
        return self.not_after - min(timedelta(days=days), self.total / 2)

    def floor(self, wake: timedelta | None = None) -> datetime:
        """When to renew whatever the authority says: what is left is a twentieth, or two days, or room for three wake-ups.

        Two days hold an outage of one and a day to recover. A third of the lifetime at most is given up for either.
        """
        room = max(LEAST_ROOM, 3 * (DEFAULT_WAKE if wake is None else wake))
        return self.not_after - max(self.total / 20, min(room, self.total / 3))


@dataclass(frozen=True, slots=True)
class RenewalState:
    """What is remembered of one certificate between runs; a new certificate starts with an empty one.

    `info` is the last usable answer, `chosen` the time picked inside its window. `next_check` is when the authority may be
    asked again, `check_failures` how often in a row asking failed. `failures` counts attempts to renew that failed.
    """

    info: RenewalInfo | None = None
    chosen: datetime | None = None
    next_check: datetime | None = None
    check_failures: int = 0
    failures: int = 0
    last_failure: datetime | None = None

    def data(self) -> dict[str, Any]:
        """The stored form, JSON."""
        info = self.info
        return {
            "info": None
            if info is None
            else {
                "start": info.start.isoformat(),
                "end": info.end.isoformat(),
                "fetched_at": info.fetched_at.isoformat(),
                "explanation_url": info.explanation_url,
                "retry_after_s": info.retry_after_s,
            },
            "chosen": _text(self.chosen),
            "next_check": _text(self.next_check),
            "check_failures": self.check_failures,
            "failures": self.failures,
            "last_failure": _text(self.last_failure),
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> RenewalState:
        """The state of its stored form. Raises KeyError, TypeError or ValueError for anything else."""
        info = data["info"]
        return cls(
            info=None
            if info is None
            else RenewalInfo(
                start=_aware(info["start"]),
                end=_aware(info["end"]),
                fetched_at=_aware(info["fetched_at"]),
                explanation_url=info["explanation_url"],
                retry_after_s=info["retry_after_s"],
            ),
            chosen=_time(data["chosen"]),
            next_check=_time(data["next_check"]),
            check_failures=int(data["check_failures"]),
            failures=int(data["failures"]),
            last_failure=_time(data["last_failure"]),
        )


# -- asking the authority --------------------------------------------------------------------------------------------


def may_check(state: RenewalState, lifetime: Lifetime, now: datetime, *, replaced: bool = False) -> bool:
    """Whether the authority may be asked now: never after the end, nor for a certificate that was replaced (RFC 9773 4.3).

    A next check further away than the longest pause was noted while the clock was wrong, and does not count.
    """
    if replaced or now >= lifetime.not_after:
        return False
    return state.next_check is None or not now < state.next_check <= now + MOST_RETRY_AFTER


def retry_after(seconds: float | None) -> timedelta:
    """The pause before asking again, bounded on both sides; six hours when none, or none that can be read, was given."""
    if seconds is None or not seconds >= 0:  # also not a number
        return LONG_TERM
    return max(LEAST_RETRY_AFTER, timedelta(seconds=min(seconds, MOST_RETRY_AFTER.total_seconds())))


def unusable(info: RenewalInfo, lifetime: Lifetime) -> str | None:
    """Why an answer says nothing about this certificate, in words, or None. Such an answer is as good as none (RFC 9773 4.2)."""
    if info.end <= info.start:
        return "the window it suggests ends before it starts"
    if info.end < lifetime.not_before:
        return "the window it suggests ended before the certificate became valid"
    return None


def learned(
    state: RenewalState, info: RenewalInfo | None, lifetime: Lifetime, now: datetime, fraction: float
) -> RenewalState:
    """The state after an answer; `fraction` in [0, 1) picks the time in a new window (RFC 9773 4.2: uniformly random).

    While the window stays the same, so does the time. An unusable answer changes nothing but the next check. None stands for
    an authority without renewal information.
    """
    if info is None:
        return replace(state, info=None, chosen=None, next_check=now + LONG_TERM, check_failures=0)
    if unusable(info, lifetime) is not None:
        return replace(state, next_check=now + LONG_TERM, check_failures=0)
    same = state.info is not None and (state.info.start, state.info.end) == (info.start, info.end)
    chosen = state.chosen if same and state.chosen is not None else info.start + (info.end - info.start) * fraction
    pause = retry_after(info.retry_after_s)
    return replace(state, info=info, chosen=chosen, next_check=now + pause, check_failures=0)


def is_temporary(error: SophiaError) -> bool:
    """Whether asking failed in a way that passes: timeouts and 5xx do; a refusal, or no connection at all, may not (4.3.3)."""
    return error.retryable and error.details.get("cause") != "connect"


def check_failed(state: RenewalState, now: datetime, *, temporary: bool) -> RenewalState:
    """The state after asking failed: growing pauses after temporary errors, six hours after others (RFC 9773 4.3.3).

    What was learned earlier is kept: an outage of the authority does not move the time.
    """
    failures = state.check_failures + 1
    if not temporary or failures > TEMPORARY_TRIES:
        return replace(state, next_check=now + LONG_TERM, check_failures=0)
    return replace(state, next_check=now + LEAST_RETRY_AFTER * 2 ** (failures - 1), check_failures=failures)


def attempt_failed(state: RenewalState, now: datetime) -> RenewalState:
    """The state after an attempt to renew failed."""
    return replace(state, failures=state.failures + 1, last_failure=now)


# -- deciding --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RenewNow:
    """Renew, and why, in words. `explanation_url` is the authority's page about it, to be shown (RFC 9773 4.2)."""

    cause: Cause
    reason: str
    explanation_url: str | None = None

    @property
    def is_emergency(self) -> bool:
        """Whether the certificate is near its end or past it, so that alerts are due."""
        return self.cause in ("emergency", "expired")


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Do not renew before `until`, and why, in words."""

    until: datetime
    reason: str
    explanation_url: str | None = None


def due(
    lifetime: Lifetime,
    state: RenewalState,
    now: datetime,
    *,
    wake: timedelta | None = None,
    before_days: int | None = None,
) -> RenewNow | WaitUntil:
    """Whether to renew now. `wake` is the time to the next run that can renew; None when nobody knows, then a day is taken.

    The authority's time counts up to the floor, which no answer moves; without an answer the fallback counts. A window that
    would be over at the next wake-up is used early (RFC 9773 4.2, step 5). `before_days`, the environment's own wish, makes
    any of these earlier and none later. After a failed attempt there is a pause first.
    """
    verdict = _advanced(_verdict(lifetime, state, now, wake), lifetime, now, before_days)
    if isinstance(verdict, WaitUntil):
        return verdict
    until = next_attempt(state, lifetime, now, wake)
    if until is None:
        return verdict
    reason = f"{verdict.reason}; {_times(state.failures)} failed, the last at {_said(state.last_failure)}"
    return WaitUntil(until, reason, verdict.explanation_url)


def next_attempt(
    state: RenewalState, lifetime: Lifetime, now: datetime, wake: timedelta | None = None
) -> datetime | None:
    """Until when failed attempts bar the next one, or None: 12 minutes, doubled each time, up to six hours, near the end one.

    A failure that lies in the future was noted while the clock was wrong, and bars nothing.
    """
    if state.last_failure is None or state.failures < 1 or state.last_failure > now:
        return None
    most = MOST_ATTEMPT_PAUSE_IN_EMERGENCY if now >= lifetime.floor(wake) else MOST_ATTEMPT_PAUSE
    until = state.last_failure + min(most, FIRST_ATTEMPT_PAUSE * 2 ** min(state.failures - 1, 10))
    return until if until > now else None


def _verdict(lifetime: Lifetime, state: RenewalState, now: datetime, wake: timedelta | None) -> RenewNow | WaitUntil:
    floor = lifetime.floor(wake)
    info, chosen = state.info, state.chosen
    page = None if info is None else info.explanation_url
    if now >= lifetime.not_after:
        return RenewNow("expired", f"it expired at {_said(lifetime.not_after)}", page)
    if now >= floor:
        return RenewNow("emergency", f"it expires at {_said(lifetime.not_after)}, which is close", page)
    if info is None or chosen is None or unusable(info, lifetime) is not None:
        if now >= lifetime.fallback:
            return RenewNow(
                "fallback", f"{_share(lifetime)} of its lifetime is over, and the authority gives no advice"
            )
        until = min(lifetime.fallback, floor)
        return WaitUntil(until, f"{_share(lifetime)} of its lifetime is over at {_said(until)}")
    window = f"the authority suggests {_said(info.start)} to {_said(info.end)}"
    if now >= chosen:
        return RenewNow("window", f"{window}, and {_said(chosen)} was picked", page)
    if now + (DEFAULT_WAKE if wake is None else wake) > info.end:
        return RenewNow("window-missed", f"{window}, which would be over at the next run", page)
    if chosen > floor:
        return WaitUntil(floor, f"{window}, which is too close to the end at {_said(lifetime.not_after)}", page)
    return WaitUntil(chosen, f"{window}, and {_said(chosen)} was picked", page)


def _advanced(
    verdict: RenewNow | WaitUntil, lifetime: Lifetime, now: datetime, before_days: int | None
) -> RenewNow | WaitUntil:
    """The verdict, or the environment's wish where that comes first."""
    if before_days is None or isinstance(verdict, RenewNow):
        return verdict
    wished = lifetime.wished(before_days)
    if wished >= verdict.until:
        return verdict
    days = "1 day" if before_days == 1 else f"{before_days} days"
    reason = f"the environment asks for {days} before the end"
    if timedelta(days=before_days) > lifetime.total / 2:
        reason += ", and half the lifetime is the most"
    reason += f", so from {_said(wished)} on"
    return RenewNow("environment", reason) if now >= wished else WaitUntil(wished, reason)


def _share(lifetime: Lifetime) -> str:
    return "half" if lifetime.total < SHORT_LIFETIME else "two thirds"


def _times(count: int) -> str:
    return "1 attempt" if count == 1 else f"{count} attempts"


def _said(when: datetime | None) -> str:
    return "an unknown time" if when is None else f"{when:%Y-%m-%d %H:%M} UTC"


def _text(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else _aware(text)


def _aware(text: str) -> datetime:
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return when


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
