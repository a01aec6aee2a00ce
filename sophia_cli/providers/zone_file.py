"""Zone files (RFC 1035 master files, or JSON lines of RECORD) as zones with line numbers, behind a read port. Writes none."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sophia_cli.core.dns import APEX, DEFAULT_TTL, Key, Record, Zone, ascii_name, normalised, shown
from sophia_cli.core.errors import BadResponse, UsageError
from sophia_cli.core.history import Snapshot
from sophia_cli.core.plan import zone_target

if TYPE_CHECKING:
    import dns.name
    import dns.rdata

_DOMAIN = re.compile(r"([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?\Z")
_SUFFIX = re.compile(r"\.(?:zone|db|txt|hosts|jsonl?)\Z", re.I)
_NUMBERED = re.compile(r".*?:(\d+): (.*)\Z", re.S)


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
    return read_zone_file(path, origin).zone


def read_zone_file(path: Path, origin: str | None = None) -> ZoneFile:
    """The zone file at a path; without `origin` its own `$ORIGIN` or SOA names the zone, else the file's name does.

    Raises `UsageError` when the file cannot be read or names no zone, `BadResponse` with file and line when it is broken.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise UsageError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise BadResponse(f"{path} is no text in UTF-8", details={"file": str(path)}) from exc
    return parse_zone_file(text, origin, str(path))


def parse_zone_file(text: str, origin: str | None = None, path: str = "<text>") -> ZoneFile:
    """The zone file of a text; `path` is what errors name."""
    is_json = text.lstrip()[:1] == "{"
    name = (
        _zone_name(origin) or (None if is_json else _own_origin(text)) or _zone_name(_SUFFIX.sub("", Path(path).name))
    )
    if name is None:
        raise UsageError(f"{path} does not say which zone it is", hint="name it: --origin example.com")
    rows = _json_rows(text, name, path) if is_json else _master_rows(text, name, path)
    return _collected(path, name, rows)


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


@dataclass(frozen=True, slots=True)
class _Row:
    """A record with its line; a record of None is a line of another zone."""

    record: Record | None
    line: int


def _collected(path: str, name: str, rows: Iterable[_Row]) -> ZoneFile:
    records: list[Record] = []
    lines: dict[Key, tuple[int, ...]] = {}
    skipped: list[int] = []
    soa, nameservers = None, []
    for row in rows:
        record = row.record
        if record is None:
            skipped.append(row.line)
        elif record.type == "SOA":
            soa = record.value
        elif (record.name, record.type) == (APEX, "NS"):
            nameservers.append(record.value)
        else:
            records.append(record)
            lines[record.key] = (*lines.get(record.key, ()), row.line)
    mode = "MX" if any(record.type == "MX" for record in records) else "NONE"
    zone = Zone.of(name, mode, records)
    repeated = Counter(records) - Counter(zone.records) if len(records) != len(zone.records) else Counter[Record]()
    return ZoneFile(path, zone, lines, tuple(repeated.elements()), soa, tuple(sorted(nameservers)), tuple(skipped))


# -- JSON lines ------------------------------------------------------------------------------------------------------


def _json_rows(text: str, zone: str, path: str) -> list[_Row]:
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            rows.append(_Row(_json_record(line, zone, path, number), number))
    return rows


def _json_record(line: str, zone: str, path: str, number: int) -> Record:
    try:
        data = json.loads(line)
        name, kind, value = data["name"], data["type"], data["value"]
        ttl, priority = data.get("ttl"), data.get("priority")
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise _broken(path, number, 'not a record; write {"name": "www", "type": "A", "value": "192.0.2.1"}') from exc
    texts = all(isinstance(text, str) for text in (name, kind, value))
    numbers = all(number is None or type(number) is int for number in (ttl, priority))
    if not texts or not numbers:
        raise _broken(path, number, "name, type and value are texts, ttl and priority whole numbers")
    return normalised(Record(name, kind, value, ttl, priority), zone)


# -- master files ----------------------------------------------------------------------------------------------------


def _master_rows(text: str, zone: str, path: str) -> list[_Row]:
    import dns.exception
    import dns.name
    import dns.rdata
    import dns.rdataclass
    import dns.tokenizer
    import dns.zonefile

    origin = dns.name.from_text(zone + ".")
    rows: list[_Row] = []

    class Manager:
        """What the reader asks its transaction for: names stay absolute."""

        def origin_information(self) -> tuple[dns.name.Name, bool, dns.name.Name]:
            return origin, False, origin

    class Collector:
        """Takes records where a dnspython transaction would: it keeps duplicates, odd sets, and the line of each."""

        manager = Manager()
        line = 0

        def check_put_rdataset(self, check: Any) -> None:
            """CNAME and other data is for the checks to say, not a reason to refuse the file."""

        def _set_origin(self, origin: Any) -> None:
            """A later `$ORIGIN` moves names, not the zone."""

        def add(self, name: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> None:
            rows.append(_Row(_record(name, ttl, rdata, zone), self.line))

    class Reader(dns.zonefile.Reader):
        def _rr_line(self) -> None:
            collector.line, before = self.tok.where()[1], len(rows)
            try:
                super()._rr_line()
            except (dns.exception.DNSException, ValueError) as exc:
                raise _broken(path, collector.line, str(exc) or type(exc).__name__) from exc
            if len(rows) == before and source[collector.line - 1].partition(";")[0].strip():
                rows.append(_Row(None, collector.line))

        def _generate_line(self) -> None:
            collector.line = self.tok.where()[1]
            super()._generate_line()  # type: ignore[no-untyped-call]

        def _implicit_ttl(self) -> int | None:
            found = super()._implicit_ttl()
            return DEFAULT_TTL if found is None else found

    source = text.split("\n")
    collector = Collector()
    tokens = dns.tokenizer.Tokenizer(text, path)
    try:
        Reader(tokens, dns.rdataclass.IN, cast(Any, collector)).read()
    except (dns.exception.DNSException, ValueError) as exc:
        found = _NUMBERED.match(str(exc))
        line, why = (
            (int(found.group(1)), found.group(2)) if found else (tokens.where()[1], str(exc) or type(exc).__name__)
        )
        raise _broken(path, line, why) from exc
    return rows


def _record(owner: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata, zone: str) -> Record:
    """The record of a parsed row. Names in `rdata` are absolute already."""
    import dns.rdatatype

    kind, data = dns.rdatatype.to_text(rdata.rdtype), cast(Any, rdata)
    priority = None
    if kind == "MX":
        value, priority = data.exchange.to_text(), data.preference
    elif kind == "SRV":
        value, priority = f"{data.weight} {data.port} {data.target.to_text().lower()}", data.priority
    elif kind == "TXT":
        value = _text(b"".join(data.strings))
    elif kind == "CAA":
        value = f'{data.flags} {_text(data.tag)} "{_text(data.value)}"'
    else:
        value = rdata.to_text()
    return normalised(Record(owner.to_text(), kind, value, ttl, priority), zone)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _broken(path: str, line: int, why: str) -> BadResponse:
    return BadResponse(
        f"{path}:{line}: not a zone file: {shown(why, 200)[1:-1]}",
        hint="correct this line; the format is RFC 1035 5.1",
        details={"file": path, "line": line},
    )
