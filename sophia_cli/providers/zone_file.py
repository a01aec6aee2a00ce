"""Zone files (RFC 1035 master files, or JSON lines of RECORD) as zones with line numbers, behind a read port. Writes none."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sophia_cli.core.dns import APEX, Key, Record, Zone, ascii_name, normalised
from sophia_cli.core.errors import BadResponse, UsageError
from sophia_cli.core.history import Snapshot
from sophia_cli.core.plan import zone_target
from sophia_cli.providers import master_file
from sophia_cli.providers.master_file import BYTE, Row, broken

_DOMAIN = re.compile(r"([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?\Z")
_SUFFIX = re.compile(r"\.(?:zone|db|txt|hosts|jsonl?)\Z", re.I)
_NAME = re.compile(r"[a-z0-9_*-]+\Z")  # one label
_IPV4 = re.compile(rf"{BYTE}(?:\.{BYTE}){{3}}\Z")
_DECODE = json.JSONDecoder().decode


@dataclass(frozen=True, slots=True)
class ZoneFile:
    """A zone as a file has it. `lines` are the lines of each row, `repeated` the rows that stand there once more.

    `soa` and `nameservers` (the apex NS) are facts about the zone and no host rows. `skipped` are lines that belong to
    another zone. The mail mode is `MX` where MX rows stand, else `NONE`.
    """

    path: str
    zone: Zone
    lines: Mapping[Key, tuple[int, ...]] = field(default_factory=dict)
    repeated: tuple[Record, ...] = ()
    soa: str | None = None
    nameservers: tuple[str, ...] = ()
    skipped: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ZoneFileReader:
    """The read port over a zone file: always what the file held when it was read."""

    file: ZoneFile
    taken_at: datetime

    @property
    def id(self) -> str:
        """The target id."""
        return zone_target(self.file.zone.name)

    async def read(self) -> Snapshot:
        """The zone of the file."""
        notes = [f"{self.file.path}:{line}: not inside {self.file.zone.name}, left out" for line in self.file.skipped]
        return Snapshot(self.id, self.taken_at, self.file.zone, notes=tuple(notes))


def read_zone(path: Path, origin: str | None = None) -> Zone:
    """The zone of a file. Raises as `read_zone_file` does."""
    return _read(path, origin, numbered=False).zone


def read_zone_file(path: Path, origin: str | None = None) -> ZoneFile:
    """The zone file at a path; without `origin` its own `$ORIGIN` or SOA names the zone, else the file's name does.

    Raises `UsageError` when the file cannot be read or names no zone, `BadResponse` with file and line when it is broken.
    """
    return _read(path, origin, numbered=True)


def _read(path: Path, origin: str | None, *, numbered: bool) -> ZoneFile:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise UsageError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise BadResponse(f"{path} is no text in UTF-8", details={"file": str(path)}) from exc
    return parse_zone_file(text, origin, str(path), numbered=numbered)


def parse_zone_file(text: str, origin: str | None = None, path: str = "<text>", *, numbered: bool = True) -> ZoneFile:
    """The zone file of a text; `path` is what errors name. Without `numbered`, `lines` stays empty."""
    is_json = text.lstrip()[:1] == "{"
    name = (
        _zone_name(origin) or (None if is_json else _own_origin(text)) or _zone_name(_SUFFIX.sub("", Path(path).name))
    )
    if name is None:
        raise UsageError(f"{path} does not say which zone it is", hint="name it: --origin example.com")
    if is_json:
        return _collected(path, name, _json_rows(text, name, path), numbered=numbered)
    try:
        return _collected(path, name, master_file.rows(text, name), numbered=numbered)
    except master_file.Odd:
        return _collected(path, name, master_file.whole_rows(text, name, path), numbered=numbered)


def _zone_name(text: str | None) -> str | None:
    if text is None:
        return None
    name = ascii_name(text.strip()).rstrip(".")
    return name if _DOMAIN.match(name) else None


def _own_origin(text: str) -> str | None:
    """The zone a master file names itself: the absolute owner of its SOA, else an `$ORIGIN` before its first record."""
    found = re.search(r"^(\S+\.)\s+(?:\S+\s+){0,2}SOA\s", text, re.M | re.I)
    found = found or re.match(r"(?:\s*(?:;[^\n]*|\$TTL[^\n]*)?\n)*\$ORIGIN\s+(\S+\.)(?:\s|;|\Z)", text, re.I)
    return None if found is None else _zone_name(found.group(1))


def _collected(path: str, name: str, rows: Iterable[Row], *, numbered: bool) -> ZoneFile:
    records: list[Record] = []
    lines: dict[Key, tuple[int, ...]] = {}
    skipped: list[int] = []
    soa, nameservers = None, []
    for record, line in rows:
        if record is None:
            skipped.append(line)
        elif record.type == "SOA":
            soa = record.value
        elif record.type == "NS" and record.name == APEX:
            nameservers.append(record.value)
        else:
            records.append(record)
            if numbered:
                lines[record.key] = (*lines.get(record.key, ()), line)
    mode = "MX" if any(record.type == "MX" for record in records) else "NONE"
    zone = Zone.of(name, mode, records)
    repeated = Counter(records) - Counter(zone.records) if len(records) != len(zone.records) else Counter[Record]()
    return ZoneFile(path, zone, lines, tuple(repeated.elements()), soa, tuple(sorted(nameservers)), tuple(skipped))


# -- JSON lines ------------------------------------------------------------------------------------------------------


def _json_rows(text: str, zone: str, path: str) -> Iterator[Row]:
    for number, line in enumerate(io.StringIO(text), 1):
        if not line.isspace():
            yield _json_record(line, zone, path, number), number


def _json_record(line: str, zone: str, path: str, number: int) -> Record:
    try:
        data = _DECODE(line)
        name, kind, value = data["name"], data["type"], data["value"]
        ttl, priority = data.get("ttl"), data.get("priority")
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise broken(path, number, 'not a record; write {"name": "www", "type": "A", "value": "192.0.2.1"}') from exc
    texts = isinstance(name, str) and isinstance(kind, str) and isinstance(value, str)
    numbers = (ttl is None or type(ttl) is int) and (priority is None or type(priority) is int)
    if not texts or not numbers:
        raise broken(path, number, "name, type and value are texts, ttl and priority whole numbers")
    if kind == "A" and _IPV4.match(value) and _NAME.match(name):
        return Record(name, kind, value, ttl)  # canonical already; most of a large file is
    return normalised(Record(name, kind, value, ttl, priority), zone)
