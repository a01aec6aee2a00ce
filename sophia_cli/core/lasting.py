"""Lasting changes: the edits of the environment that make a record change stay. Edits no file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from sophia_cli.core.changes import Change, ConfigValue
from sophia_cli.core.dns import WHOLE_SET_TYPES, Record
from sophia_cli.core.settings import DesiredRecord, DesiredZone

Source = Callable[[str], Any]
"""The unevaluated value that stands at a path of the environment's own file, or None."""


def config_target(environment: str) -> str:
    """The target id of an environment's own file."""
    return f"config:{environment}"


def lasting(changes: Iterable[Change], zone: DesiredZone, environment: str, source: Source) -> tuple[Change, ...]:
    """The `config.value` changes that make record changes of one zone lasting; none where the environment already says so.

    The values are as they stand in the file, references unevaluated, so that no secret is shown by them.
    """
    edits: dict[str, tuple[Any, Any, Change]] = {}
    taken = {row.path for row in zone.records}
    for change in changes:
        for path, value in _edits(change, zone, taken, source):
            before = edits[path][0] if path in edits else source(path)
            edits[path] = (before, value, change)
    return tuple(
        _edit(environment, path, before, after, change)
        for path, (before, after, change) in edits.items()
        if before != after
    )


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


def _edits(change: Change, zone: DesiredZone, taken: set[str], source: Source) -> Iterable[tuple[str, Any]]:
    if change.kind == "dns.email_type":
        yield f"{zone.path}.email_type", change.after.data()["email_type"] if change.after is not None else None
        return
    before = change.before if isinstance(change.before, Record) else None
    after = change.after if isinstance(change.after, Record) else None
    entry = _entry(zone, before or after)
    if before is None and entry is not None and after is not None and entry.record.key == after.key:
        return  # the environment names it already
    if before is None or entry is None:
        if after is not None:
            path = _new_path(zone, after, taken)
            taken.add(path)
            yield path, _spelled(after, zone)
        return
    siblings = [row for row in zone.records if row.path == entry.path]
    if after is None:
        if len(siblings) == 1:
            yield entry.path, None
        else:
            yield f"{entry.path}.values", _values(siblings, before, None)
        return
    if after.value != before.value or entry.record.value != after.value:
        if len(siblings) == 1 and source(f"{entry.path}.values") is None:
            yield f"{entry.path}.value", literal(after.value)
        else:
            yield f"{entry.path}.values", _values(siblings, before, after)
    if after.ttl != before.ttl and after.ttl != entry.record.ttl:
        yield f"{entry.path}.ttl", after.ttl
    if after.priority != before.priority and after.priority != entry.record.priority:
        yield f"{entry.path}.priority", after.priority


def _entry(zone: DesiredZone, record: Record | None) -> DesiredRecord | None:
    """The environment's entry for a record: by value, else, where the environment manages the whole set, by name and type."""
    if record is None:
        return None
    exact = next((row for row in zone.records if row.record.key == record.key), None)
    if exact is not None or record.type not in WHOLE_SET_TYPES:
        return exact
    place = (record.name, record.type)
    return next((row for row in zone.records if (row.record.name, row.record.type) == place), None)


def _values(siblings: list[DesiredRecord], before: Record, after: Record | None) -> list[str]:
    kept = [row.record.value for row in siblings if row.record.value != before.value]
    return [literal(value) for value in (kept if after is None else [*kept, after.value])]


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


def named_by(zone: DesiredZone, record: Record) -> DesiredRecord | None:
    """The environment's entry that names a record, if any."""
    return _entry(zone, record)
