"""Versions of the zone on its servers: whether one of them stays behind for longer than an update may take. Asks no server.

An update reaches a secondary at once where it is notified (RFC 1996), and after `refresh`, or `retry` more where the first
attempt fails, where it is not (RFC 1035 3.3.13). So a server is *behind* only when a version that it still lacks is older
than both together. How old a version is shows in an earlier look that the state keeps, or in a serial that is a date
(RFC 1912 2.2). Where neither tells, the update may be on its way, and nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from sophia_cli.checks.delegation import live_of, servers_unknown
from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding
from sophia_cli.core.findings import Finding
from sophia_cli.core.trends import Sample

_HALF = 1 << 31
_A_DAY = timedelta(days=1)  # a date in a serial says neither its hour nor its time zone
_SERIES = "serial "


def is_newer(one: int, other: int) -> bool:
    """Whether a serial stands for a later version than another (RFC 1982 3.2)."""
    return 0 < (one - other) % (1 << 32) < _HALF


def samples(facts: Facts, now: datetime) -> dict[str, Sample]:
    """The serial of each server, for later looks, as series `serial SERVER`."""
    return {_SERIES + label: Sample(now, float(serial)) for label, serial in _held(facts).items()}


def behind(facts: Facts) -> Iterator[Finding]:
    """Servers that hold different versions of the zone give different answers."""
    live, held = live_of(facts), _held(facts)
    late = {label: since for label in held if (since := _lacks_since(facts, label)) is not None}
    if late:
        label, since = min(late.items(), key=lambda one: (one[1], one[0]))
        yield finding(
            facts, "DNS-SERIAL", f"{label} lacks a version of the zone that others have had since {since:%Y-%m-%d %H:%M} UTC",
            (), "An update takes refresh and retry at most: let the operator look at the transfers to that server.",
            serials=dict(sorted(held.items())), behind={one: at.isoformat() for one, at in sorted(late.items())},
            allowed_s=int(_allowed(facts).total_seconds()), at=live.at.isoformat(),
        )  # fmt: skip


def on_the_way(facts: Facts) -> str | None:
    """Why it is not known of each server whether it is behind; None when it is."""
    held = _held(facts)
    newest = [label for label in held if not any(is_newer(other, held[label]) for other in held.values())]
    open_ones = sorted(label for label in held if label not in newest and _lacks_since(facts, label) is None)
    if open_ones:
        return (
            f"in part: {', '.join(open_ones)} holds an older version than {', '.join(newest) or 'the others'}, which may be on "
            f"its way for {_allowed(facts).total_seconds():.0f} seconds (refresh and retry); a later look with a state tells"
        )
    return servers_unknown(facts)


def _held(facts: Facts) -> dict[str, int]:
    return {server.label: server.values.serial for server in live_of(facts).answering if server.values is not None}


def _allowed(facts: Facts) -> timedelta:
    """How long an update may take: the longest refresh and retry that any server names."""
    values = [server.values for server in live_of(facts).answering if server.values is not None]
    return timedelta(seconds=max(one.refresh + one.retry for one in values))


def _lacks_since(facts: Facts, label: str) -> datetime | None:
    """Since when a server lacks a version for longer than an update may take; None when that is not so, or not known."""
    held = _held(facts)
    lacking = [serial for serial in held.values() if is_newer(serial, held[label])]
    if not lacking:
        return None
    until = facts.now - _allowed(facts)
    seen = [
        sample.at for sample in _looks(facts.background.history or {}) if is_newer(int(sample.seconds), held[label])
    ]
    dated = [at for at in map(_date, lacking) if at is not None]
    return min((at for at in (*seen, *dated) if at <= until), default=None)


def _looks(history: Mapping[str, tuple[Sample, ...]]) -> Iterator[Sample]:
    for name, series in history.items():
        if name.startswith(_SERIES):
            yield from series


def _date(serial: int) -> datetime | None:
    """The end of the day that a serial of the form YYYYMMDDnn names, in any time zone; None for any other form."""
    text = str(serial)
    if len(text) != 10 or not "1990" <= text[:4] <= "2099":
        return None
    try:
        return datetime(int(text[:4]), int(text[4:6]), int(text[6:8]), tzinfo=UTC) + 2 * _A_DAY
    except ValueError:
        return None
