"""Zones as DNS sees them: rows to record sets, and master files (RFC 1035) to rows. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import dns.tokenizer
import dns.zonefile

from sophia_cli.core.errors import UsageError
from sophia_cli.sandbox.account import DEFAULT_NAMESERVERS, Domain, Row

FORWARDER = "127.0.0.1"  # what URL rows answer with
REDIRECTS = frozenset({"URL", "URL301", "FRAME"})
SOA_TTL = 3601  # seconds; also the negative TTL
# What a mail mode publishes at the apex (recorded); the hosts of OX and GMAIL are those of the services.
MAIL = {
    "FWD": tuple((10 if n < 4 else 15 if n == 4 else 20, f"eforward{n}.registrar-servers.com.") for n in range(1, 6)),
    "OX": ((10, "mx1.privateemail.com."), (10, "mx2.privateemail.com.")),
    "GMAIL": (
        (1, "aspmx.l.google.com."),
        (5, "alt1.aspmx.l.google.com."),
        (5, "alt2.aspmx.l.google.com."),
        (10, "alt3.aspmx.l.google.com."),
        (10, "alt4.aspmx.l.google.com."),
    ),
}
Names = Mapping[dns.name.Name, Mapping[dns.rdatatype.RdataType, dns.rdataset.Rdataset]]


@dataclass(frozen=True, slots=True)
class Published:
    """A zone ready to be served: record sets by name, the names that exist only as parents, and ALIAS targets."""

    origin: dns.name.Name
    names: Names
    parents: frozenset[dns.name.Name]
    aliases: Mapping[dns.name.Name, tuple[dns.name.Name, int]]


def published(domain: Domain) -> Published:
    """What the nameservers serve for a domain; rows that are no DNS data are left out, as a broken row is."""
    origin = dns.name.from_text(domain.name)
    names: dict[dns.name.Name, dict[dns.rdatatype.RdataType, dns.rdataset.Rdataset]] = {}
    aliases: dict[dns.name.Name, tuple[dns.name.Name, int]] = {}

    def put(name: dns.name.Name, kind: str, ttl: int, data: dns.rdata.Rdata) -> None:
        sets = names.setdefault(name, {})
        rdtype = dns.rdatatype.from_text(kind)
        found = sets.get(rdtype)
        if found is None:
            found = sets[rdtype] = dns.rdataset.Rdataset(dns.rdataclass.IN, rdtype, ttl=ttl)
        found.add(data, ttl)

    soa = f"dns1.registrar-servers.com. hostmaster.registrar-servers.com. {domain.serial} 43200 3600 604800 {SOA_TTL}"
    put(origin, "SOA", SOA_TTL, _data("SOA", soa))
    for server in DEFAULT_NAMESERVERS:
        put(origin, "NS", 1800, _data("NS", server + "."))
    for preference, host in MAIL.get(domain.email_type, ()):
        put(origin, "MX", 1800, _data("MX", f"{preference} {host}"))
    for row in (*domain.rows, *domain.hidden):
        if not row.is_active:
            continue
        try:
            name = _absolute(row.name, domain.name)
            if row.type == "ALIAS":
                aliases[name] = (dns.name.from_text(row.address), row.ttl)
                names.setdefault(name, {})
            elif row.type == "MXE":
                mail = dns.name.from_text("mxe", origin)
                put(origin, "MX", row.ttl, _data("MX", f"10 {mail}"))
                put(mail, "A", row.ttl, _data("A", row.address))
            elif row.type in REDIRECTS:
                put(name, "A", row.ttl, _data("A", FORWARDER))
            else:
                put(name, row.type, row.ttl, _row_data(row))
        except (dns.exception.DNSException, ValueError):
            continue
    return Published(origin, names, frozenset(_parents(names, origin)), aliases)


def _absolute(name: str, zone: str) -> dns.name.Name:
    return dns.name.from_text(zone if name in ("@", zone) else f"{name}.{zone}")


def _parents(names: Names, origin: dns.name.Name) -> Iterator[dns.name.Name]:
    for name in names:
        while name != origin and name.is_subdomain(origin):
            name = name.parent()
            yield name


def _data(kind: str, text: str) -> dns.rdata.Rdata:
    return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(kind), text)


def _row_data(row: Row) -> dns.rdata.Rdata:
    if row.type == "TXT":
        raw = row.address.encode()
        parts = [raw[at : at + 255] for at in range(0, len(raw), 255)] or [b""]
        return dns.rdtypes.ANY.TXT.TXT(dns.rdataclass.IN, dns.rdatatype.TXT, parts)
    if row.type in ("MX", "SRV"):
        return _data(row.type, f"{row.mx_pref} {row.address}")
    return _data(row.type, row.address)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a master file holds: rows with TTL and preference, SRV rows apart, and what has no place in host rows."""

    rows: tuple[Row, ...]
    hidden: tuple[Row, ...]
    skipped: tuple[str, ...]


class _Rows:
    """Takes records where a dnspython transaction would; like the provider it holds sets that no server would accept."""

    def __init__(self, origin: dns.name.Name) -> None:
        self.origin = origin
        self.found: list[tuple[dns.name.Name, int, dns.rdata.Rdata]] = []

    @property
    def manager(self) -> _Rows:
        return self

    def origin_information(self) -> tuple[dns.name.Name, bool, dns.name.Name]:
        return self.origin, False, self.origin

    def check_put_rdataset(self, check: Any) -> None:
        """A CNAME beside other data is for `analyze` to find."""

    def _set_origin(self, origin: Any) -> None:
        """A later `$ORIGIN` moves names, not the zone."""

    def add(self, name: dns.name.Name, ttl: int, data: dns.rdata.Rdata) -> None:
        if (name, ttl, data) not in self.found:
            self.found.append((name, ttl, data))


def rows_of(text: str, domain: str) -> Loaded:
    """The host rows of a master file; raises UsageError for one that cannot be read."""
    origin = dns.name.from_text(domain)
    read = _Rows(origin)
    try:
        dns.zonefile.Reader(dns.tokenizer.Tokenizer(text), dns.rdataclass.IN, cast(Any, read)).read()
    except (dns.exception.DNSException, ValueError, KeyError) as error:
        raise UsageError(f"the zone file of {domain} cannot be read: {ascii(str(error))[:200]}") from error
    rows: list[Row] = []
    hidden: list[Row] = []
    skipped: list[str] = []
    for name, ttl, data in read.found:
        kind = dns.rdatatype.to_text(data.rdtype)
        host = "@" if name == origin else name.relativize(origin).to_text().lower()
        if kind == "SOA" or (kind == "NS" and host == "@"):
            continue
        preference, address = _value(data, kind)
        if kind == "SRV":
            hidden.append(Row(0, host, kind, address, preference, ttl))
        elif kind in ("A", "AAAA", "CAA", "CNAME", "MX", "NS", "TXT"):
            rows.append(Row(0, host, kind, address, preference, ttl))
        else:
            skipped.append(f"{host} {kind}")
    return Loaded(tuple(rows), tuple(hidden), tuple(skipped))


def _value(data: dns.rdata.Rdata, kind: str) -> tuple[int, str]:
    if isinstance(data, dns.rdtypes.ANY.TXT.TXT):
        return 10, b"".join(data.strings).decode("utf-8", "replace")
    text = data.to_text()
    if kind in ("MX", "SRV"):
        preference, _, rest = text.partition(" ")
        return int(preference), rest.lower()
    return 10, text.lower() if kind in ("CNAME", "NS") else text
