"""Challenge records: TXT values that prove control of a name to an authority for minutes. Tells them from a user's own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sophia_cli.core.certificates import CHALLENGE_SOURCE, ChallengeRecord
from sophia_cli.core.changes import Change
from sophia_cli.core.dns import Record, Zone, relative
from sophia_cli.core.history import Ownership

CHALLENGE_TTL = 60  # seconds; the least the provider takes, so that a second attempt is not held up by the first
_VALUE = re.compile(r"[A-Za-z0-9_-]{43}\Z")  # the base64url form of a SHA-256 digest (RFC 8555 8.4)


def is_challenge(change: Change) -> bool:
    """Whether a change makes or removes one of our own challenge records, and nothing else.

    By its source, which only the issuing flow sets; its type; and its form, which no mail or verification record has.
    """
    row = change.after if change.after is not None else change.before
    return (
        change.source == CHALLENGE_SOURCE
        and change.kind == "dns.record"
        and change.action in ("create", "delete")
        and isinstance(row, Record)
        and row.type == "TXT"
        and _VALUE.match(row.value) is not None
    )


def zone_of(name: str, zones: Iterable[str]) -> str | None:
    """The zone of an absolute name: the longest one it lies in, or None."""
    owners = [zone for zone in zones if name == zone or name.endswith("." + zone)]
    return max(owners, key=len, default=None)


def creations(records: Sequence[ChallengeRecord], zone: Zone) -> tuple[Change, ...]:
    """The changes that put into a zone what is not there yet of its challenge records."""
    rows = [_row(record) for record in records if record.zone == zone.name]
    there = {row.key for row in zone.records}
    return tuple(
        Change(f"dns:{zone.name}", "dns.record", "create", None, row, CHALLENGE_SOURCE, "proves control of the name")
        for row in dict.fromkeys(rows)
        if row.key not in there
    )


def removals(records: Sequence[ChallengeRecord], zone: Zone) -> tuple[Change, ...]:
    """The changes that take those values, and no others, out of a zone again."""
    gone = {_row(record).key for record in records if record.zone == zone.name}
    return _removed([row for row in zone.records if row.key in gone], zone)


def leftovers(zone: Zone, ownership: Ownership, under_way: Sequence[ChallengeRecord]) -> tuple[Change, ...]:
    """The changes that remove challenge records of ours that no order needs any more, known by who made them."""
    needed = {_row(record).key for record in under_way if record.zone == zone.name}
    rows = []
    for row in zone.records:
        made = ownership.of(row)
        if made is not None and made.by == CHALLENGE_SOURCE and row.key not in needed and _VALUE.match(row.value):
            rows.append(row)
    return _removed(rows, zone)


def _removed(rows: Iterable[Record], zone: Zone) -> tuple[Change, ...]:
    target, reason = f"dns:{zone.name}", "no authority needs it any more"
    return tuple(Change(target, "dns.record", "delete", row, None, CHALLENGE_SOURCE, reason) for row in rows)


def _row(record: ChallengeRecord) -> Record:
    return Record(relative(record.name, record.zone), "TXT", record.value, CHALLENGE_TTL)
