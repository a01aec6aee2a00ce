"""DNS names, records and zones as values: normalised once, compared by value. Does no look-ups."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sophia_cli.core.canonical import digest_of

APEX = "@"

# Types that can be read and written as Namecheap host rows (setHosts, API reference); SRV cannot.
HOST_TYPES = ("A", "AAAA", "ALIAS", "CAA", "CNAME", "FRAME", "MX", "MXE", "NS", "TXT", "URL", "URL301")
ADDRESS_TYPES = frozenset({"A", "AAAA", "ALIAS"})
REDIRECT_TYPES = frozenset({"URL", "URL301", "FRAME"})
TARGET_TYPES = frozenset({"CNAME", "ALIAS", "MX", "NS"})
# Whose record is it (contract): the environment manages the whole set of these at a name it names ...
WHOLE_SET_TYPES = frozenset({"A", "AAAA", "CNAME", "ALIAS", "MXE"}) | REDIRECT_TYPES
# ... and single values of all others.
EMAIL_TYPES = ("NONE", "MX", "MXE", "FWD", "OX", "GMAIL")

DEFAULT_TTL = 1800  # seconds; what setHosts stores when no TTL is sent (recorded)
TTL_RANGE = (60, 60000)  # seconds (setHosts, API reference)
MAX_ROWS = 150  # host rows of one domain (Namecheap knowledge base 10058)
MAX_HOST = 60  # characters of a host name (same page)
MAX_TARGET = 255  # characters of an ALIAS, CNAME, NS or URL value (same page)
MAX_TXT = 2500  # characters of a TXT value (same page)

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\Z")
_CAA = re.compile(r'\s*(\d{1,3})\s+([A-Za-z0-9]+)\s+(?:"(.*)"|(\S.*?))\s*\Z', re.S)

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True, order=True)
class Record:
    """One record: `name` relative to its zone (`@` = apex), `ttl` in seconds, `priority` for MX (and SRV).

    TXT values are plain text without outer quotes, CAA is `FLAG TAG "VALUE"`, host targets end with a dot.
    A `ttl` of None means *not given*: it keeps what is there, or becomes `DEFAULT_TTL`.
    """

    name: str
    type: str
    value: str
    ttl: int | None = None
    priority: int | None = None

    @property
    def key(self) -> Key:
        """What makes two rows the same row for the provider: TTL and preference are not part of it (recorded)."""
        return (self.name, self.type, self.value)

    def data(self) -> dict[str, Any]:
        """The public shape of a record (contract, RECORD)."""
        return {
            "name": self.name,
            "type": self.type,
            "value": self.value,
            "ttl": self.ttl,
            "priority": self.priority,
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Record:
        """The record of its public shape."""
        texts, numbers = [data[key] for key in ("name", "type", "value")], [data.get("ttl"), data.get("priority")]
        if not all(isinstance(text, str) for text in texts) or not all(n is None or type(n) is int for n in numbers):
            raise TypeError("name, type and value are texts, ttl and priority whole numbers")
        return cls(*texts, *numbers)


@dataclass(frozen=True, slots=True)
class Zone:
    """What one domain holds at its provider: the records, sorted and without duplicates, and the mail mode."""

    name: str
    email_type: str
    records: tuple[Record, ...] = ()

    @classmethod
    def of(cls, name: str, email_type: str, records: Iterable[Record]) -> Zone:
        """A zone with its rows in canonical order; of rows with one key the first in that order stays."""
        unique: dict[Key, Record] = {}
        for record in sorted(records, key=sort_key):
            unique.setdefault(record.key, record)
        return cls(name, email_type, tuple(unique.values()))

    def data(self) -> dict[str, Any]:
        """The canonical JSON form: what `digest` hashes and snapshots store."""
        return {
            "zone": self.name,
            "email_type": self.email_type,
            "records": [record.data() for record in self.records],
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Zone:
        """The zone of its canonical form."""
        return cls.of(data["zone"], data["email_type"], [Record.from_data(row) for row in data["records"]])

    def digest(self) -> str:
        """`sha256:...` of the content; provider row ids and order are not part of it."""
        return digest_of(self.data())

    def at(self, name: str, kind: str | None = None) -> tuple[Record, ...]:
        """The records at a name, of one type when `kind` is given."""
        return tuple(row for row in self.records if row.name == name and kind in (None, row.type))

    def fqdn(self, name: str) -> str:
        """The absolute name of a relative one, without the final dot."""
        return absolute(name, self.name)


def sort_key(record: Record) -> tuple[str, str, str, int, int]:
    """The canonical order: apex first, then by name, type, value."""
    name = "" if record.name == APEX else record.name
    return (name, record.type, record.value, record.priority or 0, record.ttl or 0)


def absolute(name: str, zone: str) -> str:
    """The absolute form of a relative name, without the final dot."""
    return zone if name == APEX else f"{name}.{zone}"


def relative(name: str, zone: str) -> str:
    """The name relative to `zone`, lower-cased, in A-labels: accepts `@`, an empty name, a relative name or a full one.

    A name that ends with the zone's own name is taken as full (RFC 1034 3.1), with or without the final dot.
    """
    text = ascii_name(name.strip())
    zone = zone.rstrip(".").lower()
    bare = text.rstrip(".")
    if bare in ("", APEX) or bare == zone:
        return APEX
    return bare.removesuffix("." + zone)


def ascii_name(name: str) -> str:
    """A domain name lower-cased and in A-labels (RFC 5891); what cannot be encoded is returned lower-cased as it is."""
    lowered = name.lower()
    if lowered.isascii():
        return lowered
    try:
        return ".".join(label.encode("idna").decode("ascii") if label else "" for label in lowered.split("."))
    except UnicodeError:
        return lowered


def normalised(record: Record, zone: str) -> Record:
    """The record in canonical form; what is not understood stays as it is, so that a live row is never altered by reading it."""
    kind = record.type.upper()
    value, priority = record.value, record.priority
    if kind in ("A", "AAAA", "MXE"):
        value = _address(value)
    elif kind in TARGET_TYPES:
        value = _target(value, zone)
    elif kind == "CAA":
        value = _caa(value)
    if kind == "MX":
        priority = 10 if priority is None else priority
    elif kind != "SRV":
        priority = None
    return Record(relative(record.name, zone), kind, value, record.ttl, priority)


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value.strip()))
    except ValueError:
        return value


def _target(value: str, zone: str) -> str:
    text = ascii_name(value.strip())
    if text == APEX:
        return zone.rstrip(".") + "."
    return text if text.endswith(".") or not text else text + "."


def _caa(value: str) -> str:
    found = _CAA.match(value)
    if found is None:
        return value
    flag, tag, quoted, plain = found.groups()
    return f'{int(flag)} {tag.lower()} "{quoted if quoted is not None else plain}"'


def problems(record: Record, zone: str) -> Iterator[str]:
    """Why a desired record cannot be published at Namecheap; empty when it can. `record` is in canonical form."""
    if record.type == "SRV":
        yield "SRV records can be neither read nor written by Namecheap's host API; make them in its web console"
        return
    if record.type not in HOST_TYPES:
        yield f"unknown record type {record.type!r}; known: {', '.join(HOST_TYPES)}"
        return
    yield from _name_problems(record, zone)
    yield from _value_problems(record)
    low, high = TTL_RANGE
    if record.ttl is not None and not low <= record.ttl <= high:
        yield f"TTL {record.ttl} is outside {low}..{high} seconds"
    if record.priority is not None and not 0 <= record.priority <= 65535:
        yield f"priority {record.priority} is outside 0..65535"


def _name_problems(record: Record, zone: str) -> Iterator[str]:
    if record.name == APEX:
        if record.type == "NS":
            yield "NS records at the apex cannot be set at Namecheap; use dns.delegation"
        if record.type == "CNAME":
            yield "a CNAME cannot stand at the apex (RFC 1912 2.4); use type ALIAS"
        return
    labels = record.name.split(".")
    for index, label in enumerate(labels):
        if label == "*" and index == 0:
            if record.type == "NS" and len(labels) == 1:
                yield "NS records cannot be set at the wildcard"
            continue
        if len(label) > 63:
            yield f"the label {label[:20]}... is {len(label)} characters long; 63 are allowed (RFC 1035 2.3.4)"
        elif not _LABEL.match(label):
            yield f"{record.name!r} is not a valid host name (RFC 1123 2.1)"
            return
    if len(record.name) > MAX_HOST:
        yield f"the host name is {len(record.name)} characters long; Namecheap allows {MAX_HOST}"
    elif len(absolute(record.name, zone)) > 253:
        yield "the whole name is longer than 253 characters (RFC 1035 2.3.4)"


def _value_problems(record: Record) -> Iterator[str]:
    kind, value = record.type, record.value
    if not value.strip():
        yield "the value is empty"
    elif kind in ("A", "MXE") and not _is_address(value, 4):
        yield f"{shown(value)} is not an IPv4 address"
    elif kind == "AAAA" and not _is_address(value, 6):
        yield f"{shown(value)} is not an IPv6 address"
    elif kind in TARGET_TYPES:
        yield from _target_problems(kind, value)
    elif kind in REDIRECT_TYPES and not re.match(r"https?://[^/\s]+", value, re.I):
        yield f"{shown(value)} is not a URL with its scheme (http:// or https://)"
    elif kind == "CAA" and not re.match(r'\d{1,3} [a-z0-9]+ "', value):
        yield f'{shown(value)} is not a CAA value; write FLAG TAG "VALUE" (RFC 8659 4.1)'
    elif kind == "TXT" and len(value) > MAX_TXT:
        yield f"the TXT value is {len(value)} characters long; Namecheap allows {MAX_TXT}"
    if kind in (TARGET_TYPES | REDIRECT_TYPES) and len(value) > MAX_TARGET:
        yield f"the value is {len(value)} characters long; Namecheap allows {MAX_TARGET}"
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        yield "the value holds control characters"


def _target_problems(kind: str, value: str) -> Iterator[str]:
    host = value.rstrip(".")
    if value == ".":
        yield "a null MX cannot be set at Namecheap (it refuses '.')" if kind == "MX" else "'.' is not a target"
    elif _is_address(host, 4) or _is_address(host, 6):
        yield f"{shown(host)} is an address; {kind} needs a host name (RFC 1035 3.3.9)"
    elif "." not in host:
        yield f"{shown(host)} is not a whole name; write it in full, such as {host}.example.com"
    elif not all(len(label) <= 63 and _LABEL.match(label) for label in host.split(".")):
        yield f"{shown(host)} is not a valid host name (RFC 1123 2.1)"


def _is_address(value: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(value).version == version
    except ValueError:
        return False


def shown(value: str, limit: int = 60) -> str:
    """A value quoted for a message, escaped and cut."""
    text = value if len(value) <= limit else value[: limit - 3] + "..."
    return ascii(text)


def mail_policy(record: Record) -> str | None:
    """Which mail policy a TXT record is: `spf`, `dmarc`, `mta-sts`, `tls-rpt`, `dkim`, or None.

    SPF by its version tag (RFC 7208 4.5), the others by name and tag (RFC 9989, 8461 3.1, 8460 3, 6376 3.6.2.1).
    """
    if record.type != "TXT":
        return None
    text = record.value.strip().lower()
    name = record.name
    if text == "v=spf1" or text.startswith("v=spf1 "):
        return "spf"
    if name.split(".")[0] == "_dmarc" and text.startswith("v=dmarc1"):
        return "dmarc"
    if name.split(".")[0] == "_mta-sts" and text.startswith("v=stsv1"):
        return "mta-sts"
    if name.startswith("_smtp._tls") and text.startswith("v=tlsrptv1"):
        return "tls-rpt"
    if "_domainkey" in name.split("."):
        return "dkim"
    return None


def is_parking_pair(zone: Zone) -> tuple[Record, ...]:
    """The provider's own untouched default rows of a new domain that are still there (recorded).

    `www CNAME parkingpage.namecheap.com.` and `@ URL http://www.DOMAIN/` (with or without `?from=@`).
    """
    found = []
    for row in zone.records:
        if (row.name, row.type, row.value) == ("www", "CNAME", "parkingpage.namecheap.com."):
            found.append(row)
        elif (row.name, row.type) == (APEX, "URL"):
            start, _, rest = row.value.partition("?")
            if start.rstrip("/").lower() == f"http://www.{zone.name}" and rest in ("", "from=@"):
                found.append(row)
    return tuple(found)


def with_ttl(record: Record, ttl: int | None) -> Record:
    """The record with another TTL."""
    return replace(record, ttl=ttl)


def published(zone: Zone, name: str, kind: str) -> frozenset[tuple[str, int | None]]:
    """What the zone's servers answer for a name and type: (value, preference) pairs, wildcards applied (RFC 4592 3.3.1)."""
    rows = zone.at(name)
    if not rows and not any(row.name.endswith("." + name) for row in zone.records):
        rows = zone.at(_wildcard(zone, name))
    return frozenset((row.value, row.priority) for row in rows if row.type == kind)


def _wildcard(zone: Zone, name: str) -> str:
    """The wildcard that would answer for a name that does not exist: `*` below its closest encloser."""
    labels = name.split(".")[1:]
    while labels:
        encloser = ".".join(labels)
        if any(row.name == encloser or row.name.endswith("." + encloser) for row in zone.records):
            return "*." + encloser
        labels = labels[1:]
    return "*"
