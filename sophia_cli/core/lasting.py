"""Lasting changes: the edits of the environment that make a record change stay. Edits no file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sophia_cli.core.changes import Change, ConfigValue
from sophia_cli.core.dns import WHOLE_SET_TYPES, Key, Record, Zone

if TYPE_CHECKING:
    from sophia_cli.core.settings import DesiredRecord, DesiredZone

Source = Callable[[str], Any]
"""The unevaluated value that stands at a path of the environment's own file, or None."""


def config_target(environment: str) -> str:
    """The target id of an environment's own file."""
    return f"config:{environment}"


def lasting(
    changes: Sequence[Change], zone: DesiredZone, after: Zone, environment: str, source: Source
) -> tuple[Change, ...]:
    """The `config.value` changes that make record changes of one zone lasting; none where the environment already says so.

    `after` is the zone with the changes made: where the environment manages a whole set, it names that set afterwards.
    The values are as they stand in the file, references unevaluated, so that no secret is shown by them.
    """
    edits: dict[str, tuple[Any, Any, Change]] = {}
    taken = {row.path for row in zone.records}
    retimed = {
        change.after.key
        for change in changes
        if isinstance(change.before, Record)
        and isinstance(change.after, Record)
        and change.before.ttl != change.after.ttl
    }
    done: set[tuple[str, str]] = set()
    for change in changes:
        place = _place(change)
        if place is not None and place in done:
            continue
        if place is None:
            found = _edits(change, zone, taken, retimed, source)
        else:
            done.add(place)
            found = _set_edits(place, after.at(*place), zone, taken, retimed, source)
        for path, value in found:
            before = edits[path][0] if path in edits else source(path)
            edits[path] = (before, value, change)
    return tuple(
        _edit(environment, path, before, wanted, change)
        for path, (before, wanted, change) in edits.items()
        if before != wanted
    )


def _place(change: Change) -> tuple[str, str] | None:
    """The whole set that a change is about, where its type is managed as one."""
    row = change.after if change.after is not None else change.before
    return (row.name, row.type) if isinstance(row, Record) and row.type in WHOLE_SET_TYPES else None


def _set_edits(
    place: tuple[str, str],
    rows: Sequence[Record],
    zone: DesiredZone,
    taken: set[str],
    retimed: set[Key],
    source: Source,
) -> Iterator[tuple[str, Any]]:
    """Edits after which the environment names exactly these rows at a name and type."""
    entries = [row for row in zone.records if (row.record.name, row.record.type) == place]
    left = {row.value: row for row in rows}
    paths = list(dict.fromkeys(entry.path for entry in entries))
    listed = [path for path in paths if source(f"{path}.values") is not None]
    if listed:
        yield from _list_edits(listed[0], rows, entries, retimed, source)
        paths, left = [path for path in paths if path != listed[0]], {}
    spare = []
    for path in paths:
        entry = next(entry for entry in entries if entry.path == path)
        row = left.pop(entry.record.value, None)
        if row is None:
            spare.append(path)
        else:
            yield from _ttl_edit(path, entry, row, retimed)
    for row in left.values():
        if spare:
            path = spare.pop(0)
            yield f"{path}.value", literal(row.value)
            yield from _ttl_edit(path, next(entry for entry in entries if entry.path == path), row, retimed)
        else:
            path = _new_path(zone, row, taken)
            taken.add(path)
            yield path, _spelled(row, zone)
    for path in spare:
        yield path, None


def _list_edits(
    path: str, rows: Sequence[Record], entries: Sequence[DesiredRecord], retimed: set[Key], source: Source
) -> Iterator[tuple[str, Any]]:
    """Edits of an entry that lists its values: those that stay keep their place and spelling."""
    if not rows:
        yield path, None
        return
    mine = [entry for entry in entries if entry.path == path]
    values = {row.value for row in rows}
    if {entry.record.value for entry in mine} != values:
        spelled = dict(zip((entry.record.value for entry in mine), source(f"{path}.values"), strict=False))
        kept = [text for value, text in spelled.items() if value in values]
        yield f"{path}.values", [*kept, *(literal(row.value) for row in rows if row.value not in spelled)]
    yield from _ttl_edit(path, mine[0], rows[0], retimed)


def _ttl_edit(path: str, entry: DesiredRecord, row: Record, retimed: set[Key]) -> Iterator[tuple[str, Any]]:
    """A TTL is written where the environment gives one that differs, or where a change gave one."""
    if row.ttl != entry.record.ttl and (entry.record.ttl is not None or row.key in retimed):
        yield f"{path}.ttl", row.ttl


def _edit(environment: str, path: str, before: Any, after: Any, change: Change) -> Change:
    return Change(
        target=config_target(environment),
        kind="config.value",
        action="create" if before is None else "delete" if after is None else "update",
        before=None if before is None else ConfigValue(path, before),
        after=None if after is None else ConfigValue(path, after),
        source=change.source,
        reason=f"keeps {_named(change)} in the environment",
    )


def _named(change: Change) -> str:
    row = change.after if isinstance(change.after, Record) else change.before
    return f"{row.type} {row.name}" if isinstance(row, Record) else change.kind


def _edits(
    change: Change, zone: DesiredZone, taken: set[str], retimed: set[Key], source: Source
) -> Iterator[tuple[str, Any]]:
    """Edits for a mail mode, or for a record that the environment manages as a single value."""
    if change.kind == "dns.email_type":
        yield f"{zone.path}.email_type", change.after.data()["email_type"] if change.after is not None else None
        return
    before = change.before if isinstance(change.before, Record) else None
    after = change.after if isinstance(change.after, Record) else None
    entry = _entry(zone, before) or _entry(zone, after)
    if entry is None:
        if after is not None:
            path = _new_path(zone, after, taken)
            taken.add(path)
            yield path, _spelled(after, zone)
        return
    siblings = [row for row in zone.records if row.path == entry.path]
    if len(siblings) > 1 or source(f"{entry.path}.values") is not None:
        yield from _single_of_list(entry, siblings, before, after, source)
    elif after is None:
        yield entry.path, None
    elif after.value != entry.record.value:
        yield f"{entry.path}.value", literal(after.value)
    if after is not None:
        yield from _ttl_edit(entry.path, entry, after, retimed)
        if after.priority != entry.record.priority:
            yield f"{entry.path}.priority", after.priority


def _single_of_list(
    entry: DesiredRecord,
    siblings: Sequence[DesiredRecord],
    before: Record | None,
    after: Record | None,
    source: Source,
) -> Iterator[tuple[str, Any]]:
    texts = source(f"{entry.path}.values")
    spelled = dict(zip((row.record.value for row in siblings), texts, strict=False)) if isinstance(texts, list) else {}
    kept = [text for value, text in spelled.items() if before is None or value != before.value]
    added = [literal(after.value)] if after is not None and after.value not in spelled else []
    if kept or added:
        yield f"{entry.path}.values", [*kept, *added]
    else:
        yield entry.path, None


def _entry(zone: DesiredZone, record: Record | None) -> DesiredRecord | None:
    """The environment's entry for a record."""
    if record is None:
        return None
    return next((row for row in zone.records if row.record.key == record.key), None)


def _new_path(zone: DesiredZone, record: Record, taken: set[str]) -> str:
    prefix = f"{zone.path}.records."
    return prefix + record_key(record, {path.removeprefix(prefix) for path in taken})


def record_key(record: Record, taken: set[str]) -> str:
    """A readable key for a record that is not taken yet: `api`, `root`, `wildcard`, `root_mx`, `root_txt_2`."""
    base = (
        re.sub(r"[^a-z0-9_-]+", "_", record.name.replace("@", "root").replace("*", "wildcard")).strip("_-") or "record"
    )
    if not base[0].isalpha():
        base = f"r_{base}"
    typed = f"{base}_{record.type.lower()}"
    number = 2
    for name in (base, typed):
        if name not in taken:
            return name
    while f"{typed}_{number}" in taken:
        number += 1
    return f"{typed}_{number}"


def literal(text: str) -> str:
    """A text that evaluates to itself: in an ESC file `${` begins a reference and `$$` is a dollar sign."""
    return text.replace("$", "$$") if "${" in text or "$$" in text else text


def _spelled(record: Record, zone: DesiredZone) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": record.type, "name": record.name, "value": literal(record.value)}
    if record.ttl is not None and record.ttl != zone.ttl:
        entry["ttl"] = record.ttl
    if record.priority is not None:
        entry["priority"] = record.priority
    return entry
