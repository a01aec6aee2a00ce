"""Master files (RFC 1035 5.1) read line by line: plain entries here, every other one by dnspython. Judges nothing.

A plain entry is one line whose words need no unescaping: an A, AAAA, CNAME, NS, MX or TXT record with or without owner,
TTL, class and comment. Those are most of a large file, and read here at a twentieth of dnspython's cost. Directives,
parentheses, escapes, other types and whatever looks odd go to dnspython's reader, with the state (origin, last owner, last
and default TTL) carried over in both directions. A file it refuses is given to it whole, so that its error names the line.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from sys import intern
from typing import TYPE_CHECKING, Any, cast

from sophia_cli.core.dns import APEX, DEFAULT_TTL, Record, normalised, shown
from sophia_cli.core.errors import BadResponse

if TYPE_CHECKING:
    import dns.name
    import dns.rdata

Row = tuple[Record | None, int]
"""A record and its line; a record of None is a line of another zone."""

_LABEL = r"[A-Za-z0-9_*-]{1,63}"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*\.?|@)"
BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_BARE = r"[!#-'*-:<-\[\]-~]+"  # printable, without quotes, parentheses, semicolon and backslash
_QUOTED = r'"[ !#-\[\]-~]*"'  # printable, without backslash
_PLAIN = re.compile(
    rf"({_HOST})?[ \t]+"
    r"(?:([0-9]{1,9})[ \t]+(?:IN[ \t]+)?|IN[ \t]+(?:([0-9]{1,9})[ \t]+)?)?"
    rf"(?:(A)[ \t]+({BYTE}(?:\.{BYTE}){{3}})"
    r"|(AAAA)[ \t]+([0-9A-Fa-f:.]+)"
    rf"|(CNAME|NS)[ \t]+({_HOST})"
    rf"|(MX)[ \t]+([0-9]{{1,5}})[ \t]+({_HOST})"
    rf"|(TXT)((?:[ \t]+(?:{_QUOTED}|{_BARE}))+))"
    r"[ \t]*(?:;.*)?\Z",
    re.I | re.A,
)
_STRING = re.compile(rf"{_QUOTED}|{_BARE}")
_EXTENT = re.compile(r'"(?:\\.|[^"\\])*"|\\.|;.*|[()"]')
_LINE_END = re.compile(r"\r\n|\r|\n")
_NUMBERED = re.compile(r".*?:(\d+): (.*)\Z", re.S)
_MAX_NAME = 253  # characters of a whole name without its final dot (RFC 1035 2.3.4)
_MAX_STRING = 255  # bytes of one character-string (RFC 1035 3.3)


class Odd(Exception):
    """The file is for `whole_rows`."""


def rows(text: str, zone: str) -> Iterator[Row]:
    """The records of a master file with their lines, in the order they stand in.

    Duplicates, a CNAME beside other data and the like are kept. Without any TTL a record has `DEFAULT_TTL`. Raises `Odd`,
    perhaps after some rows, for a file that is broken or that it is not sure of: `whole_rows` tells.
    """
    if "\r" in text:
        raise Odd
    state, source, at = _State(zone), text.split("\n"), 0
    while at < len(source):
        line = source[at]
        at += 1
        found = _PLAIN.match(line)
        row = None if found is None else state.plain(found, at)
        if row is not None:
            yield row
        elif line.strip(" \t")[:1] not in ("", ";"):
            end = _end(source, at)
            try:
                yield from _Whole(state, source[at - 1 : end], at, "").rows("\n".join((*source[at - 1 : end], "")))
            except BadResponse as exc:
                raise Odd from exc
            at = end


def whole_rows(text: str, zone: str, path: str) -> list[Row]:
    """The same, all of it by dnspython. Raises `BadResponse` with file and line for a file that is broken."""
    return _Whole(_State(zone), _LINE_END.split(text), 1, path).rows(text)


def _end(source: Sequence[str], at: int) -> int:
    """The line number at which the entries end that start on line `at` and are not plain."""
    depth = 0
    for number in range(at - 1, len(source)):
        if depth == 0 and number >= at and _PLAIN.match(source[number]):
            return number
        for mark in _EXTENT.findall(source[number]):
            if mark == '"':
                raise Odd  # a string over two lines
            depth += (mark == "(") - (mark == ")")
        if depth < 0:
            raise Odd
    if depth:
        raise Odd
    return len(source)


class _State:
    """What one entry leaves to the next: names as text, absolute and with their final dot."""

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self.origin = self.owner = zone + "."
        self.name: str | None = APEX  # the owner relative to the zone; None outside
        self.last_ttl: int | None = None
        self.default_ttl: int | None = None
        self.default_is_soas = False
        self._ttls: dict[str, int] = {}  # one object for each TTL, not one for each row

    def implicit_ttl(self) -> int:
        """The TTL of an entry that names none: `$TTL`, else the last one stated (RFC 1035 5.1), else the SOA's minimum."""
        if self.last_ttl is not None and (self.default_ttl is None or self.default_is_soas):
            return self.last_ttl
        return DEFAULT_TTL if self.default_ttl is None else self.default_ttl

    def relative(self, absolute: str) -> str | None:
        """An absolute name relative to the zone; None when it is outside."""
        name = absolute[:-1].lower()
        if name == self.zone:
            return APEX
        return name.removesuffix("." + self.zone) if name.endswith("." + self.zone) else None

    def absolute(self, name: str) -> str:
        """A written name with its final dot; raises Odd for one that is too long."""
        if "\\" in self.origin:
            raise Odd
        if name == APEX:
            return self.origin
        if not name.endswith("."):
            name = f"{name}.{self.origin}" if self.origin != "." else name + "."
        if len(name) > _MAX_NAME + 1:
            raise Odd
        return name

    def plain(self, found: re.Match[str], line: int) -> Row | None:
        """The row of a plain entry; None when it is not that plain after all, and then nothing has changed."""
        owner, first, second, a, address, aaaa, address6, alias, target, mx, preference, exchange, txt, strings = (
            found.groups()
        )
        kind, value, priority = a or "", address, None
        if a is None:
            if aaaa is not None:
                kind, value = aaaa, _ipv6(address6)
            elif alias is not None:
                kind, value = alias, self.absolute(target).lower()
            elif mx is not None:
                kind, value, priority = mx, self.absolute(exchange).lower(), int(preference)
                value = value if priority < 65536 else None
            else:
                kind, value = txt, _joined(strings)
            if value is None:
                return None
        if owner is not None:
            self.owner = self.absolute(owner)
            self.name = self.relative(self.owner)
        if self.name is None:
            return None, line
        ttl = first or second
        if ttl is not None:
            self.last_ttl = self._ttls.setdefault(ttl, int(ttl))
        return Record(
            self.name, intern(kind.upper()), value, self.implicit_ttl() if ttl is None else self.last_ttl, priority
        ), line


def _ipv6(text: str) -> str | None:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        return None


def _joined(strings: str) -> str | None:
    parts = [part.strip('"') for part in _STRING.findall(strings)]
    return None if any(len(part) > _MAX_STRING for part in parts) else "".join(parts)


# -- dnspython -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Whole:
    """Some lines of a file, whole entries, as dnspython reads them, from a state and with what they make of it."""

    state: _State
    source: Sequence[str]
    first: int
    path: str

    def rows(self, text: str) -> list[Row]:
        """The rows of `text`, which is `source` in one piece. Raises `BadResponse` with file and line, the state as it was."""
        import dns.exception
        import dns.name

        state = self.state
        reader = _reader()(self, text)
        reader.current_origin = dns.name.from_text(state.origin)
        reader.last_name = dns.name.from_text(state.owner)
        reader.last_ttl, reader.last_ttl_known = state.last_ttl or 0, state.last_ttl is not None
        reader.default_ttl, reader.default_ttl_known = state.default_ttl or 0, state.default_ttl is not None
        reader.default_ttl_from_soa = state.default_is_soas
        try:
            reader.read()
        except (dns.exception.DNSException, ValueError) as exc:
            numbered = _NUMBERED.match(str(exc))
            at, why = (
                (int(numbered.group(1)), numbered.group(2))
                if numbered
                else (reader.tok.where()[1], str(exc) or type(exc).__name__)
            )
            raise broken(self.path, at + self.first - 1, why) from exc
        state.origin, state.owner = reader.current_origin.to_text(), reader.last_name.to_text()
        state.name = state.relative(state.owner) if reader.last_name.is_subdomain(reader.zone_origin) else None
        state.last_ttl = reader.last_ttl if reader.last_ttl_known else None
        state.default_ttl = reader.default_ttl if reader.default_ttl_known else None
        state.default_is_soas = reader.default_ttl_from_soa
        found: list[Row] = reader.found
        return found


@cache
def _reader() -> Any:
    """dnspython's reader with its hooks, made when the first entry needs it: `class(whole, text)`, `read()`, `found`."""
    import dns.exception
    import dns.name
    import dns.rdataclass
    import dns.tokenizer
    import dns.zonefile

    class Collector:
        """Takes records where a dnspython transaction would: it keeps duplicates, odd sets, and the line of each.

        It is its own manager: names stay absolute.
        """

        def __init__(self, zone: str) -> None:
            self.manager, self.zone = self, zone
            self.line = 0
            self.found: list[Row] = []

        def origin_information(self) -> tuple[dns.name.Name, bool, dns.name.Name]:
            apex = dns.name.from_text(self.zone)
            return apex, False, apex

        def check_put_rdataset(self, check: Any) -> None:
            """CNAME and other data is for the checks to say, not a reason to refuse the file."""

        def _set_origin(self, origin: Any) -> None:
            """A later `$ORIGIN` moves names, not the zone."""

        def add(self, name: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> None:
            self.found.append((_record(name, ttl, rdata, self.zone), self.line))

    class Reader(dns.zonefile.Reader):
        def __init__(self, whole: _Whole, text: str) -> None:
            self.whole, self.collector = whole, Collector(whole.state.zone)
            self.found = self.collector.found
            tokens = dns.tokenizer.Tokenizer(text, whole.path)
            super().__init__(tokens, dns.rdataclass.IN, cast(Any, self.collector))

        def _here(self) -> int:
            # The first word has been read; when the line ends at once, so has its newline, which counts already.
            number = self.tok.where()[1] - (self.tok.ungotten_char == "\n")
            self.collector.line = number + self.whole.first - 1
            return self.collector.line

        def _rr_line(self) -> None:
            line, before = self._here(), len(self.found)
            try:
                super()._rr_line()
            except (dns.exception.DNSException, ValueError) as exc:
                raise broken(self.whole.path, line, str(exc) or type(exc).__name__) from exc
            source = self.whole.source[line - self.whole.first]
            if len(self.found) == before and source.partition(";")[0].strip():
                self.found.append((None, line))

        def _generate_line(self) -> None:
            self._here()
            super()._generate_line()  # type: ignore[no-untyped-call]

        def _implicit_ttl(self) -> int | None:
            implicit = super()._implicit_ttl()
            return DEFAULT_TTL if implicit is None else implicit

    return Reader


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


def broken(path: str, line: int, why: str) -> BadResponse:
    """The error of a file that cannot be read at a line."""
    return BadResponse(
        f"{path}:{line}: not a zone file: {shown(why, 200)[1:-1]}",
        hint="correct this line; the format is RFC 1035 5.1",
        details={"file": path, "line": line},
    )
