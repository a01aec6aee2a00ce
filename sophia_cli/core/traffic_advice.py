"""Advice from traffic: TTLs, more addresses, a CDN, answers by region, each with the record changes it needs. Changes nothing.

The thresholds stand here, so that every proposal can be checked by hand. No proposal is made without a day of log
(for TTLs) or from fewer than 1000 entries (for the rest): a short log shows an hour, not a habit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sophia_cli.core.dns import Record, Zone, relative
from sophia_cli.core.traffic import ELSEWHERE, NameUse, Traffic

AdviceKind = Literal["ttl", "round-robin", "cdn", "geo-dns"]

DAY_S = 86_400
LEAST_ENTRIES = 1_000
BUSY_QUERIES_A_DAY = 5_000  # of one name, from which its TTL is worth a look
SHORT_TTL = 1_800
LONGER_TTL = 3_600
PEAK_PER_MINUTE = 6_000  # requests (100 a second) that one small server may not carry
STATIC_SHARE = 0.5
FAR_SHARE = 0.2  # of the requests that come from another region than most

# What the provider's free DNS can do with an answer (its record types: setHosts, API reference).
NO_GEO = (
    "Namecheap BasicDNS gives everybody the same answer: it cannot answer by region, by weight or by health. "
    "A provider that can must be given the name (NS rows below) or the whole domain (custom nameservers)."
)
NO_WEIGHT = (
    "Namecheap BasicDNS gives all addresses of a name in changing order, without weights and without health checks: "
    "a dead server stays in the answer until its row is deleted."
)
CDN_NOTE = (
    "Namecheap BasicDNS has ALIAS for the apex, and CNAME elsewhere, so a CDN can be used without moving the domain; "
    "at the apex it answers with the address nearest to Namecheap's servers, not to the visitor."
)


@dataclass(frozen=True, slots=True)
class Advice:
    """One proposal: its reason in numbers, the changes a move would need, and what the provider cannot do.

    `changes` are (before, after) records; a value in capitals, such as CDN-HOST, is what a person has to fill in.
    """

    kind: AdviceKind
    name: str
    why: str
    inputs: Mapping[str, Any]
    changes: tuple[tuple[Record | None, Record | None], ...] = ()
    note: str | None = None
    needs: tuple[str, ...] = field(default=())
    """What a person has to supply."""

    def data(self) -> dict[str, Any]:
        """The public shape (`sophia.traffic/1`)."""
        return {
            "kind": self.kind,
            "name": self.name,
            "why": self.why,
            "inputs": dict(self.inputs),
            "changes": [
                {
                    "before": None if before is None else before.data(),
                    "after": None if after is None else after.data(),
                }
                for before, after in self.changes
            ],
            "note": self.note,
            "needs": list(self.needs),
        }


def advise(traffic: Traffic, zones: tuple[Zone, ...] = ()) -> tuple[Advice, ...]:
    """What a log suggests for the names of these zones; without zones, for every name, without the records' own values."""
    found: list[Advice] = []
    for use in traffic.names:
        zone = _zone_of(use.name, zones)
        if zones and zone is None:
            continue
        found += _for_name(traffic, use, zone)
    return tuple(found)


def _zone_of(name: str, zones: tuple[Zone, ...]) -> Zone | None:
    around = [zone for zone in zones if name == zone.name or name.endswith("." + zone.name)]
    return max(around, key=lambda zone: len(zone.name), default=None)


def _for_name(traffic: Traffic, use: NameUse, zone: Zone | None) -> Iterator[Advice]:
    rows = () if zone is None else zone.at(relative(use.name, zone.name))
    if use.kind == "query":
        yield from _ttl(traffic, use, rows)
    if traffic.entries < LEAST_ENTRIES:
        return
    yield from _more_addresses(use, rows)
    yield from _nearer(traffic, use, rows)


def _ttl(traffic: Traffic, use: NameUse, rows: tuple[Record, ...]) -> Iterator[Advice]:
    """Resolvers ask again when a TTL ends, so queries fall about as the TTL grows, while resolvers ask more than once a TTL."""
    if traffic.seconds < DAY_S:
        return
    a_day = use.count * DAY_S / traffic.seconds
    short = [row for row in rows if row.ttl is not None and row.ttl < SHORT_TTL and use.kinds.get(row.type, 0)]
    if a_day < BUSY_QUERIES_A_DAY or not short:
        return
    lowest = min(row.ttl or SHORT_TTL for row in short)
    yield Advice(
        "ttl",
        use.name,
        f"{a_day:.0f} queries a day at a TTL of {lowest} s; at {LONGER_TTL} s resolvers ask about "
        f"{LONGER_TTL / lowest:.1f} times less often, if they ask once a TTL",
        {"queries_a_day": round(a_day), "ttl": lowest, "clients": use.clients},
        tuple((row, Record(row.name, row.type, row.value, LONGER_TTL, row.priority)) for row in short),
        "With an environment, analyze --traffic FILE --fix offers this change. "
        "Keep the short TTL where the address is about to change, or where health checks rewrite it.",
    )


def _more_addresses(use: NameUse, rows: tuple[Record, ...]) -> Iterator[Advice]:
    addresses = [row for row in rows if row.type == "A"]
    if use.kind != "request" or use.peak_per_minute < PEAK_PER_MINUTE or len(addresses) != 1:
        return
    one = addresses[0]
    yield Advice(
        "round-robin",
        use.name,
        f"up to {use.peak_per_minute} requests a minute go to one address",
        {"peak_per_minute": use.peak_per_minute, "addresses": 1, "threshold": PEAK_PER_MINUTE},
        ((None, Record(one.name, "A", "SECOND-ADDRESS", one.ttl)),),
        NO_WEIGHT,
        ("the address of a second server",),
    )


def _nearer(traffic: Traffic, use: NameUse, rows: tuple[Record, ...]) -> Iterator[Advice]:
    """A CDN for what is the same for everybody; answers by region where it is not and visitors are far apart."""
    total = sum(use.regions.values())
    known = {region: count for region, count in use.regions.items() if region != ELSEWHERE}
    top = max(known, key=lambda region: (known[region], region), default=None)
    far = (total - use.regions[top]) / total if top is not None and total else 0.0
    static = use.static / use.count if use.kind == "request" else 0.0
    is_far = traffic.has_regions and far >= FAR_SHARE and len(known) > 1
    shares = {region: round(count / total, 3) for region, count in use.regions.items()} if total else {}
    if use.kind == "request" and static >= STATIC_SHARE and use.count >= LEAST_ENTRIES:
        where = f", and {far:.0%} come from other regions than {top}" if is_far else ""
        yield Advice(
            "cdn",
            use.name,
            f"{static:.0%} of {use.count} requests are for files that are the same for everybody{where}",
            {"requests": use.count, "static": use.static, "static_share": round(static, 3), "regions": shares},
            _to_cdn(rows),
            CDN_NOTE,
            ("the host name that the CDN gives", "a certificate at the CDN for the name"),
        )
    elif is_far and use.count >= LEAST_ENTRIES:
        yield Advice(
            "geo-dns",
            use.name,
            f"{far:.0%} of {use.count} come from other regions than {top}",
            {"count": use.count, "regions": shares},
            _to_other_provider(rows),
            NO_GEO,
            ("a DNS provider that answers by region", "a server in each region"),
        )


def _to_cdn(rows: tuple[Record, ...]) -> tuple[tuple[Record | None, Record | None], ...]:
    old = [row for row in rows if row.type in ("A", "AAAA", "ALIAS", "CNAME")]
    if not old:
        return ()
    name = old[0].name
    gone: list[tuple[Record | None, Record | None]] = [(row, None) for row in old]
    return (*gone, (None, Record(name, "ALIAS" if name == "@" else "CNAME", "CDN-HOST.", old[0].ttl)))


def _to_other_provider(rows: tuple[Record, ...]) -> tuple[tuple[Record | None, Record | None], ...]:
    """A name below the apex can be handed over alone; the apex only with the whole domain, which is no row."""
    if not rows or rows[0].name == "@":
        return ()
    gone: list[tuple[Record | None, Record | None]] = [(row, None) for row in rows]
    servers = [Record(rows[0].name, "NS", f"GEO-DNS-HOST-{number}.", rows[0].ttl) for number in (1, 2)]
    return (*gone, *((None, server) for server in servers))
