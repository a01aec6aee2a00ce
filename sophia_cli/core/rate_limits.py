"""What an authority lets one account do in a time, counted here so that we stop before it does. Keeps nothing itself.

Let's Encrypt counts in token buckets (https://letsencrypt.org/docs/rate-limits/): a bucket holds `capacity` tokens and gets
one back each `window / capacity`. A bucket is therefore known by one time: when it will be full again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit

Kind = Literal["new-orders", "certificates-per-domain", "duplicate-certificates", "failed-validations"]


@dataclass(frozen=True, slots=True)
class Limit:
    """One published limit: `capacity` in a `window`, and whether a renewal that the authority knows for one is exempt."""

    kind: Kind
    capacity: int
    window: timedelta
    words: str
    advised_renewals_exempt: bool = True
    """Renewals that name their predecessor (`replaces`, RFC 9773 5)."""
    same_names_exempt: bool = False
    """Renewals of exactly the same names without that."""

    @property
    def refill(self) -> timedelta:
        """How long one token takes to come back."""
        return self.window / self.capacity


# https://letsencrypt.org/docs/rate-limits/ and .../staging-environment/ as of August 2026. A renewal that names its
# predecessor is exempt from all limits on orders and certificates; nothing is exempt from that on failed validations.
_ORDERS = "new orders per account"
_DOMAIN = "certificates per registered domain"
_SAME = "certificates for exactly the same names"
_FAILED = "failed validations per name"
LETS_ENCRYPT = (
    Limit("new-orders", 300, timedelta(hours=3), _ORDERS, same_names_exempt=True),
    Limit("certificates-per-domain", 50, timedelta(days=7), _DOMAIN, same_names_exempt=True),
    Limit("duplicate-certificates", 5, timedelta(days=7), _SAME),
    Limit("failed-validations", 5, timedelta(hours=1), _FAILED, advised_renewals_exempt=False),
)
LETS_ENCRYPT_STAGING = (
    Limit("new-orders", 1500, timedelta(hours=3), _ORDERS, same_names_exempt=True),
    Limit("certificates-per-domain", 30_000, timedelta(seconds=7 * 86400), _DOMAIN, same_names_exempt=True),
    Limit("duplicate-certificates", 30_000, timedelta(days=7), _SAME),
    Limit("failed-validations", 200, timedelta(hours=1), _FAILED, advised_renewals_exempt=False),
)
_BY_HOST = {
    "acme-v02.api.letsencrypt.org": LETS_ENCRYPT,
    "acme-staging-v02.api.letsencrypt.org": LETS_ENCRYPT_STAGING,
}


def limits_of(directory: str) -> tuple[Limit, ...]:
    """The limits that an authority publishes, by its directory URL; none when it publishes none that are known here."""
    return _BY_HOST.get(urlsplit(directory).hostname or "", ())


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was spent: for each kind and subject, when its bucket will be full again. The caller keeps one for each account."""

    full_at: Mapping[tuple[str, str], datetime] = field(default_factory=dict)

    def data(self) -> list[list[str]]:
        """The stored form, JSON, sorted."""
        return sorted([kind, subject, when.isoformat()] for (kind, subject), when in self.full_at.items())

    @classmethod
    def from_data(cls, data: Iterable[Sequence[str]]) -> Ledger:
        """The ledger of its stored form. Raises ValueError or TypeError for anything else."""
        full_at = {(kind, subject): datetime.fromisoformat(when) for kind, subject, when in data}
        if any(when.tzinfo is None for when in full_at.values()):
            raise ValueError("a time without a time zone")
        return cls(full_at)


@dataclass(frozen=True, slots=True)
class Stop:
    """A limit that the next step would break: which, for what, and from when on it would not."""

    limit: Limit
    subject: str
    until: datetime

    def __str__(self) -> str:
        limit = self.limit
        window = _words(limit.window)
        return f"{limit.capacity} {limit.words} in {window} are used up ({self.subject}) until {self.until:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a limit for a subject: 0 means that the next step would break it."""

    limit: Limit
    subject: str
    count: int


@dataclass(frozen=True, slots=True)
class Request:
    """What is about to be ordered. `registered` gives the registered domain of a name (the part one buys).

    `advised`: it names its predecessor, and the authority has renewal information. `same_names`: a certificate for exactly
    these names was issued by this authority before.
    """

    names: tuple[str, ...]
    registered: Callable[[str], str]
    advised: bool = False
    same_names: bool = False

    def subjects(self, kind: Kind) -> tuple[str, ...]:
        """What a limit of this kind counts by."""
        plain = sorted({name.lower().rstrip(".") for name in self.names})
        bare = sorted({name.removeprefix("*.") for name in plain})
        if kind == "new-orders":
            return ("account",)
        if kind == "duplicate-certificates":
            return (",".join(plain),)
        if kind == "certificates-per-domain":
            return tuple(sorted({self.registered(name) for name in bare}))
        return tuple(bare)

    def is_exempt(self, limit: Limit) -> bool:
        """Whether the authority does not count this request."""
        return (self.advised and limit.advised_renewals_exempt) or (self.same_names and limit.same_names_exempt)


def stop(ledger: Ledger, limits: Sequence[Limit], request: Request, now: datetime) -> Stop | None:
    """The limit that an order would break, the one that lasts longest first; None when there is none.

    A name whose failed validations are used up stops every order for it: the next failure would be the authority's to refuse.
    """
    stops = [
        Stop(limit, subject, until)
        for limit in limits
        if not request.is_exempt(limit)
        for subject in request.subjects(limit.kind)
        if (until := _free_at(ledger, limit, subject, now)) > now
    ]
    return max(stops, key=lambda one: (one.until, one.limit.kind, one.subject), default=None)


def left(ledger: Ledger, limits: Sequence[Limit], request: Request, now: datetime) -> tuple[Left, ...]:
    """What is left of each limit that counts for a request."""
    return tuple(
        Left(limit, subject, _left(ledger, limit, subject, now))
        for limit in limits
        if not request.is_exempt(limit)
        for subject in request.subjects(limit.kind)
    )


def ordered(ledger: Ledger, limits: Sequence[Limit], request: Request, now: datetime) -> Ledger:
    """The ledger after an order was placed."""
    return _spent(ledger, limits, request, now, {"new-orders"})


def issued(ledger: Ledger, limits: Sequence[Limit], request: Request, now: datetime) -> Ledger:
    """The ledger after a certificate was issued. Revoking it gives nothing back."""
    return _spent(ledger, limits, request, now, {"certificates-per-domain", "duplicate-certificates"})


def failed(ledger: Ledger, limits: Sequence[Limit], identifier: str, now: datetime) -> Ledger:
    """The ledger after the validation of one name failed."""
    request = Request((identifier,), registered=lambda name: name)
    return _spent(ledger, limits, request, now, {"failed-validations"})


def pruned(ledger: Ledger, now: datetime) -> Ledger:
    """The ledger without the buckets that are full again."""
    return Ledger({key: when for key, when in ledger.full_at.items() if when > now})


def _spent(ledger: Ledger, limits: Sequence[Limit], request: Request, now: datetime, kinds: set[Kind]) -> Ledger:
    full_at = dict(ledger.full_at)
    for limit in limits:
        if limit.kind not in kinds or request.is_exempt(limit):
            continue
        for subject in request.subjects(limit.kind):
            full_at[limit.kind, subject] = _full_at(ledger, limit, subject, now) + limit.refill
    return pruned(Ledger(full_at), now)


def _full_at(ledger: Ledger, limit: Limit, subject: str, now: datetime) -> datetime:
    """When the bucket is full again: now when it is, and never further away than an empty one, whatever the clock did."""
    known = ledger.full_at.get((limit.kind, subject), now)
    return min(max(known, now), now + limit.window)


def _free_at(ledger: Ledger, limit: Limit, subject: str, now: datetime) -> datetime:
    return _full_at(ledger, limit, subject, now) + limit.refill - limit.window


def _left(ledger: Ledger, limit: Limit, subject: str, now: datetime) -> int:
    missing = _full_at(ledger, limit, subject, now) - now
    return max(0, (limit.window - missing) // limit.refill)


def _words(window: timedelta) -> str:
    if window >= timedelta(days=1):
        return f"{window.days} days"
    hours = int(window.total_seconds() // 3600)
    return "an hour" if hours == 1 else f"{hours} hours"
