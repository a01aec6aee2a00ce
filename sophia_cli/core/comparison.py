"""Read-backs held against plans, and what takes a wrong one back. Reads and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sophia_cli.core.dns import WHOLE_SET_TYPES, Key, Record, Zone
from sophia_cli.core.leaks import shown_value
from sophia_cli.core.plan import State, applied, difference, state_of, zone_target

if TYPE_CHECKING:
    from sophia_cli.core.changes import Change


@dataclass(frozen=True, slots=True)
class Comparison:
    """A read-back held against a plan. `lost` and `foreign` describe rows that went or came and are not ours.

    `overwritten` describes rows that somebody must have changed between our read and our write, which put them back.
    """

    states: tuple[State, ...]
    lost: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    overwritten: tuple[str, ...] = ()

    @property
    def is_as_planned(self) -> bool:
        """Whether every change is there and nothing else went missing; foreign rows are allowed."""
        return all(state == "after" for state in self.states) and not self.lost

    @property
    def is_as_before(self) -> bool:
        """Whether no change is there and nothing else went missing."""
        return all(state == "before" for state in self.states) and not self.lost


def compare_zones(changes: Sequence[Change], before: Zone, after: Zone) -> Comparison:
    """A zone's read-back held against what was planned for it."""
    touched = _touched(changes)
    there = {row.key: row for row in after.records}
    lost = [_text(row) for row in before.records if row.key not in touched and there.get(row.key) != row]
    plans_mode = any(change.kind == "dns.email_type" for change in changes)
    if not plans_mode and before.email_type != after.email_type:
        lost.append(f"mail mode {before.email_type} became {after.email_type}")
    states = tuple(state_of(change, after) for change in changes)
    return Comparison(states, tuple(lost), tuple(_text(row) for row in _foreign(changes, before, after)))


def undo_zone(changes: Sequence[Change], before: Zone, now: Zone) -> tuple[Change, ...]:
    """The changes that bring back what a write changed or lost, keeping what others made meanwhile.

    Where another writer has replaced a whole set that the write touched, that writer's value stays.
    """
    foreign = list(_foreign(changes, before, now))
    replaced = {(row.name, row.type) for row in foreign if row.type in WHOLE_SET_TYPES}
    wanted = [
        row
        for row in before.records
        if (row.name, row.type) not in replaced or row.key in {there.key for there in now.records}
    ]
    target = zone_target(before.name)
    goal = Zone.of(before.name, before.email_type, [*wanted, *foreign])
    return difference(target, now, goal, "user", "takes back a write that went wrong")


def _foreign(changes: Sequence[Change], before: Zone, after: Zone) -> Iterator[Record]:
    """Rows that neither were there nor were planned."""
    known = {row.key for row in applied(before, changes).records} | {row.key for row in before.records}
    return (row for row in after.records if row.key not in known)


def _touched(changes: Sequence[Change]) -> set[Key]:
    return {side.key for change in changes for side in (change.before, change.after) if isinstance(side, Record)}


def _text(row: Record) -> str:
    return f"{row.type} {row.name} {shown_value(row)[:80]}"
