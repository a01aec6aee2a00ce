"""Query and access logs, read as a stream into counts: files, gzip or standard input. Keeps no line and judges nothing."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from sophia_cli.core.errors import UsageError
from sophia_cli.core.traffic import Entry, Regions, Tally, Traffic

LONGEST_LINE = 64 * 1024  # bytes; a longer line is malformed as a whole
MOST_BLOCKS = 500_000  # rows of a region table
UNNAMED = "(unnamed)"  # the common and combined forms do not tell the host
_LATEST = 4_102_444_800.0  # 2100-01-01; times outside of 1970..2100 are no times

Ignored = object
_IGNORED: Ignored = object()
Parsed = Entry | Ignored | None
"""An entry, the mark of a line to pass over, or None when the line is not of the form."""

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}
# Apache's common and combined forms, with the virtual host before them where LogFormat has %v (mod_log_config).
_COMMON = re.compile(
    r"(?:(\S+?)(?::\d+)? (?=\S+ \S+ \S+ \[))?(\S+) \S+ .*?\[(\d{2}/[A-Za-z]{3}/\d{4}:\d{2}:\d{2}):(\d{2}) ([+-]\d{4})\] "
    r'"(?:[A-Z_]+ (\S*)[^"\\]*|[^"\\]*(?:\\.[^"\\]*)*)" (\d{3}) '
)
# BIND 9 ARM, `querylog`: client @0x... ADDRESS#PORT (NAME): [view V: ]query: NAME CLASS TYPE FLAGS (SERVER).
_BIND = re.compile(
    r"client (?:@0x[0-9a-f]+ )?([0-9A-Fa-f:.%]+)#\d+(?: \([^)]*\))?:(?: view [^:]+:)? query: (\S+) \S+ (\S+)"
)
# dnsmasq(8) --log-queries, plain and `extra`.
_DNSMASQ = re.compile(r"dnsmasq(?:\[\d+\])?: (?:\d+ \S+ )?query\[([^\]]+)\] (\S+) from (\S+)")
_DNSMASQ_OTHER = re.compile(r"dnsmasq(?:-dhcp|-tftp)?(?:\[\d+\])?: ")
_BIND_OTHER = re.compile(r"\b(?:named\[\d+\]|queries|query-errors|client)\b: ?")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?)")
_BIND_TIME = re.compile(r"(\d\d)-([A-Z][a-z]{2})-(\d{4}) (\d\d):(\d\d):(\d\d)")
_SYSLOG_TIME = re.compile(r"([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) ")
_STATIC = re.compile(
    r"\.(?:css|js|mjs|png|jpe?g|gif|webp|avif|svg|ico|woff2?|ttf|otf|mp4|webm|mp3|pdf|zip|map)(?:\?|\Z)", re.IGNORECASE
)

_HOST_KEYS = ("host", "server_name", "vhost", "http_host", "RequestHost", "hostname", "domain")
_QUERY_KEYS = ("qname", "query", "question", "query_name", "QH")
_TYPE_KEYS = ("qtype", "query_type", "rrtype", "QT")
_TIME_KEYS = ("time", "timestamp", "@timestamp", "ts", "time_iso8601", "msec", "StartUTC", "T", "date")
_CLIENT_KEYS = ("client", "client_ip", "remote_addr", "remote_ip", "clientip", "ClientHost", "src", "IP", "ip")
_STATUS_KEYS = ("status", "code", "response", "DownstreamStatus")
_PATH_KEYS = ("uri", "path", "request_uri", "RequestPath", "url")


@dataclass(frozen=True, slots=True)
class LogRead:
    """What reading gave. `cut` tells that a packed file ended in the middle: everything before was counted."""

    traffic: Traffic
    cut: bool = False


def read_log(path: str, *, now: datetime, regions: Regions | None = None, name: str = UNNAMED) -> LogRead:
    """A log, counted: a file (packed by gzip or not), or `-` for standard input.

    The form of each line is seen from the line; `name` is what requests of a form without a host are counted under.
    Raises `UsageError` when the file cannot be read.
    """
    tally, cut = Tally(regions), False
    parser = LineParser(now, name)
    with _opened(path) as stream:
        try:
            for line in _lines(stream):
                found = None if line is None else parser.parse(line)
                if isinstance(found, Entry):
                    tally.add(found)
                elif found is None:
                    tally.skip()
                else:
                    tally.ignore()
        except (EOFError, zlib.error, gzip.BadGzipFile):
            cut = True
        except OSError as exc:
            raise UsageError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    return LogRead(tally.traffic(), cut)


def read_regions(path: str) -> Regions:
    """A table of `CIDR,region` rows; a heading, comments (`#`) and empty lines are passed over. Raises `UsageError`."""
    rows: list[tuple[str, str]] = []
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as stream:
            for number, row in enumerate(csv.reader(stream), 1):
                if not row or row[0].strip().startswith("#") or not row[0].strip():
                    continue
                if len(row) < 2 or not row[1].strip():
                    raise UsageError(f"{path}:{number}: a row is CIDR,region")
                block, region = row[0].strip(), row[1].strip()[:60]
                if number == 1 and not any(character.isdigit() for character in block):
                    continue
                _checked(path, number, block)
                rows.append((block, region))
                if len(rows) > MOST_BLOCKS:
                    raise UsageError(f"{path}: more than {MOST_BLOCKS} blocks")
    except (OSError, csv.Error) as exc:
        raise UsageError(f"{path}: cannot be read: {getattr(exc, 'strerror', None) or exc}") from exc
    if not rows:
        raise UsageError(f"{path}: holds no block", hint="rows are CIDR,region, such as 203.0.113.0/24,eu-west")
    return Regions(rows)


def _checked(path: str, number: int, block: str) -> None:
    import ipaddress

    try:
        ipaddress.ip_network(block, strict=False)
    except ValueError as exc:
        raise UsageError(f"{path}:{number}: {block[:60]!a} is no address block") from exc


@contextlib.contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    if path == "-":
        yield _unpacked(sys.stdin.buffer)
        return
    try:
        stream = Path(path).open("rb")  # noqa: SIM115  (closed by the `with` below; only its opening is guarded here)
    except OSError as exc:
        raise UsageError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    with stream:
        yield _unpacked(stream)


def _unpacked(stream: Any) -> IO[bytes]:
    buffered = stream if hasattr(stream, "peek") else io.BufferedReader(stream)
    try:
        is_gzip = buffered.peek(2)[:2] == b"\x1f\x8b"  # RFC 1952 2.3.1
    except OSError:
        is_gzip = False  # said again, with its reason, by the first read
    return io.BufferedReader(gzip.GzipFile(fileobj=buffered)) if is_gzip else buffered


def _lines(stream: IO[bytes]) -> Iterator[str | None]:
    """The lines; None for one that is too long."""
    while True:
        line = stream.readline(LONGEST_LINE)
        if not line:
            return
        if len(line) < LONGEST_LINE or line.endswith(b"\n"):
            yield line.decode("utf-8", "replace")
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(LONGEST_LINE)
        yield None


class LineParser:
    """Reads lines of any of the forms; what fitted last is tried first. `now` gives syslog's times their year."""

    def __init__(self, now: datetime, name: str = UNNAMED) -> None:
        self._now = now
        self._name = name
        self._forms: list[Callable[[str], Parsed]] = [self._common, self._bind, self._dnsmasq, self._json]
        self._minutes: dict[str, float | None] = {}
        self._stamp: tuple[str, float | None] = ("", None)

    def parse(self, line: str) -> Parsed:
        """What a line tells; None when it is of no form."""
        if not line.strip() or line.startswith("#"):
            return _IGNORED
        forms = self._forms
        for index, form in enumerate(forms):
            found = form(line)
            if found is not None:
                if index:
                    forms.insert(0, forms.pop(index))
                return found
        return None

    def _common(self, line: str) -> Parsed:
        match = _COMMON.match(line)
        if match is None:
            return None
        host, client, minute, second, zone, path, status = match.groups()
        name = self._name if host is None else _name(host)
        is_static = path is not None and _STATIC.search(path) is not None
        return Entry("request", name, self._clf_time(minute, second, zone), client[:64], status, is_static)

    def _clf_time(self, minute: str, second: str, zone: str) -> float | None:
        key = minute + zone
        if key not in self._minutes:
            if len(self._minutes) > 10_000:
                self._minutes.clear()
            self._minutes[key] = _clf_minute(minute, zone)
        base = self._minutes[key]
        return None if base is None else base + int(second)

    def _bind(self, line: str) -> Parsed:
        match = _BIND.search(line)
        if match is None:
            return _IGNORED if _BIND_OTHER.search(line) and self._time(line) is not None else None
        client, name, kind = match.groups()
        return Entry("query", _name(name), self._time(line), client, kind[:20].upper())

    def _dnsmasq(self, line: str) -> Parsed:
        match = _DNSMASQ.search(line)
        if match is None:
            return _IGNORED if _DNSMASQ_OTHER.search(line) else None
        kind, name, client = match.groups()
        return Entry("query", _name(name), self._time(line), client[:64], kind[:20].upper())

    def _time(self, line: str) -> float | None:
        """The time a line of a name server's log begins with; lines of one second are read once."""
        head = line[:20]
        if head != self._stamp[0]:
            self._stamp = (head, self._read_time(line))
        return self._stamp[1]

    def _read_time(self, line: str) -> float | None:
        match = _BIND_TIME.match(line)
        try:
            if match is not None:
                day, month, year, hour, minute, second = match.groups()
                stamp = datetime(int(year), _MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=UTC)
                return _within(stamp.timestamp())
            match = _ISO.match(line)
            if match is not None:
                return _iso(match.group(1))
            match = _SYSLOG_TIME.match(line)
            if match is not None:
                month, day, hour, minute, second = match.groups()
                number, today = _MONTHS[month], self._now + timedelta(days=1)
                year = today.year if (number, int(day)) <= (today.month, today.day) else today.year - 1
                return _within(
                    datetime(year, number, int(day), int(hour), int(minute), int(second), tzinfo=UTC).timestamp()
                )
        except (ValueError, KeyError, OverflowError):
            pass
        return None

    def _json(self, line: str) -> Parsed:
        if not line.lstrip().startswith("{"):
            return None
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if not isinstance(data, dict):
            return None
        inner = data.get("request")
        if isinstance(inner, dict):  # Caddy's form
            data = {**data, **inner}
        at, client = _json_time(_first(data, _TIME_KEYS)), _first(data, _CLIENT_KEYS)
        asked, kind = _first(data, _QUERY_KEYS), _first(data, _TYPE_KEYS)
        if asked is not None and kind is not None:
            return Entry("query", _name(str(asked)), at, _client(client), str(kind)[:20].upper())
        host, status = _first(data, _HOST_KEYS), _first(data, _STATUS_KEYS)
        if status is None and host is None:
            return None
        path = str(_first(data, _PATH_KEYS) or "")
        name = self._name if host is None else _name(str(host).rpartition("@")[2])
        return Entry("request", name, at, _client(client), str(status)[:20], _STATIC.search(path) is not None)


def _first(data: dict[str, Any], keys: tuple[str, ...]) -> str | int | float | None:
    for key in keys:
        value = data.get(key)
        if isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != "":
            return value
    return None


def _client(value: str | int | float | None) -> str | None:
    if not isinstance(value, str):
        return None
    text = value.strip()
    if text.startswith("["):
        return text[1:].partition("]")[0][:64]
    return (text.partition(":")[0] if text.count(":") == 1 else text)[:64]


def _name(text: str) -> str:
    """A host as names are counted: lower-case, without port and final dot, never longer than a name can be."""
    host = text.partition("]")[0] + "]" if text.startswith("[") else text.partition(":")[0]
    return host.lower().rstrip(".")[:253] or "."


def _clf_minute(minute: str, zone: str) -> float | None:
    try:
        day, month, rest = minute.split("/")
        year, hour, minutes = rest.split(":")
        stamp = datetime(int(year), _MONTHS[month], int(day), int(hour), int(minutes), tzinfo=UTC)
        away_s = (int(zone[1:3]) * 60 + int(zone[3:5])) * 60
        return _within(stamp.timestamp() + (away_s if zone[0] == "-" else -away_s))
    except (ValueError, KeyError, OverflowError):
        return None


def _iso(text: str) -> float | None:
    stamp = datetime.fromisoformat(text)
    return _within((stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=UTC)).timestamp())


def _json_time(value: str | int | float | None) -> float | None:
    try:
        if isinstance(value, str) and not re.fullmatch(r"\d{1,16}(?:\.\d+)?", value):
            return _iso(value)
        if value is None:
            return None
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return _within(seconds / 1000 if seconds > 1e11 else seconds)


def _within(seconds: float) -> float | None:
    return seconds if 0 <= seconds < _LATEST else None
