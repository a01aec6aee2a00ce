"""Traffic: what a log of queries or requests shows, counted in bounded memory. Reads no log."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Literal, NamedTuple

EntryKind = Literal["query", "request"]

MINUTE_S = 60
MOST_NAMES = 5_000  # told apart; the rest is counted together
MOST_CLIENTS = 20_000
MOST_BLOCKS = 5_000
MOST_BUCKETS = 50_000  # of time; then they are made twice as wide
MOST_PER_NAME = 1_000  # clients of one name told apart
MOST_KINDS = 20  # record types or statuses of one name
ELSEWHERE = "elsewhere"  # what no block of the table holds


class Entry(NamedTuple):
    """One line of a log: a DNS query or an HTTP request. `at` is seconds since the epoch, `what` a type or a status."""

    kind: EntryKind
    name: str
    at: float | None
    client: str | None
    what: str
    is_static: bool = False
    """A request for something that is the same for everybody: style sheets, scripts, pictures, fonts, media."""


@dataclass(frozen=True, slots=True)
class NameUse:
    """What one name is used for. `clients` counts addresses, at the least when `clients_cut`."""

    name: str
    kind: EntryKind
    count: int
    peak_per_minute: int
    first: datetime | None
    last: datetime | None
    kinds: Mapping[str, int]
    regions: Mapping[str, int]
    clients: int
    clients_cut: bool
    static: int = 0

    def data(self) -> dict[str, Any]:
        """The public shape."""
        return {
            "name": self.name,
            "kind": self.kind,
            "count": self.count,
            "peak_per_minute": self.peak_per_minute,
            "first": None if self.first is None else self.first.isoformat(),
            "last": None if self.last is None else self.last.isoformat(),
            "kinds": dict(self.kinds),
            "regions": dict(self.regions),
            "clients": self.clients,
            "clients_cut": self.clients_cut,
            "static": self.static,
        }


@dataclass(frozen=True, slots=True)
class Traffic:
    """A log, counted. `names` come busiest first; what is beyond the bounds is in `other` and never lost."""

    lines: int
    malformed: int
    ignored: int
    """Lines of the log that are no query and no request, such as answers."""
    first: datetime | None
    last: datetime | None
    peak_per_minute: int
    names: tuple[NameUse, ...]
    other: int
    regions: Mapping[str, int]
    blocks: tuple[tuple[str, int], ...]
    has_regions: bool
    clients: frozenset[str] = field(default=frozenset(), repr=False)
    """Addresses that were seen, of the busiest."""

    @property
    def entries(self) -> int:
        """The queries and requests that were counted."""
        return self.lines - self.malformed - self.ignored

    @property
    def seconds(self) -> float:
        """The time the log covers; at least a minute, so that rates stay sensible."""
        if self.first is None or self.last is None:
            return 0.0
        return max((self.last - self.first).total_seconds(), float(MINUTE_S))

    def use(self, name: str) -> NameUse | None:
        """What is known of one absolute name."""
        return next((one for one in self.names if one.name == name), None)

    def touches(self, zone: str) -> bool:
        """Whether anything asked for a zone or a name in it."""
        return any(one.name == zone or one.name.endswith("." + zone) for one in self.names)

    def data(self) -> dict[str, Any]:
        """The public shape (`sophia.traffic/1`)."""
        return {
            "lines": self.lines,
            "malformed": self.malformed,
            "ignored": self.ignored,
            "entries": self.entries,
            "first": None if self.first is None else self.first.isoformat(),
            "last": None if self.last is None else self.last.isoformat(),
            "seconds": self.seconds,
            "peak_per_minute": self.peak_per_minute,
            "names": [one.data() for one in self.names],
            "other": self.other,
            "regions": dict(self.regions),
            "blocks": [{"block": block, "count": count} for block, count in self.blocks],
        }


class Regions:
    """A table of address blocks, each with its region; the longest block that holds an address tells it."""

    def __init__(self, blocks: Iterable[tuple[str, str]] = ()) -> None:
        self._by_length: dict[tuple[int, int], dict[int, str]] = {}
        self._known: dict[str, str] = {}
        for block, region in blocks:
            network = ipaddress.ip_network(block.strip(), strict=False)
            key = (network.version, network.prefixlen)
            self._by_length.setdefault(key, {})[int(network.network_address)] = region
        self._lengths = sorted(self._by_length, reverse=True)

    def __bool__(self) -> bool:
        return bool(self._by_length)

    def of(self, address: str) -> str:
        """The region of an address; `elsewhere` when no block holds it, or it is no address."""
        known = self._known.get(address)
        if known is None:
            known = self._find(address)
            if len(self._known) >= MOST_CLIENTS:
                self._known.clear()
            self._known[address] = known
        return known

    def _find(self, address: str) -> str:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return ELSEWHERE
        number, bits = int(parsed), parsed.max_prefixlen
        for version, length in self._lengths:
            if version == parsed.version:
                shift = bits - length
                region = self._by_length[version, length].get(number >> shift << shift)
                if region is not None:
                    return region
        return ELSEWHERE


class _Heavy:
    """Counts by key that keep the heaviest: at twice the bound the lighter half goes into `other`."""

    __slots__ = ("bound", "counts", "other")

    def __init__(self, bound: int) -> None:
        self.bound, self.other = bound, 0
        self.counts: dict[str, int] = {}

    def add(self, key: str) -> None:
        counts = self.counts
        counts[key] = counts.get(key, 0) + 1
        if len(counts) > 2 * self.bound:
            kept = sorted(counts.items(), key=itemgetter(1), reverse=True)[: self.bound]
            self.other += sum(counts.values()) - sum(count for _, count in kept)
            self.counts = dict(kept)

    def top(self, count: int) -> list[tuple[str, int]]:
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))[:count]


class _Use:
    """One name's counts while they grow."""

    __slots__ = (
        "bucket",
        "clients",
        "count",
        "first",
        "in_bucket",
        "kind",
        "kinds",
        "last",
        "peak",
        "regions",
        "static",
    )

    def __init__(self, kind: EntryKind) -> None:
        self.kind = kind
        self.count = self.peak = self.in_bucket = self.static = 0
        self.bucket: int | None = None
        self.first: float | None = None
        self.last: float | None = None
        self.kinds: dict[str, int] = {}
        self.regions: dict[str, int] = {}
        self.clients: set[str] = set()


class Tally:
    """Counts entries as they come. Memory stays bounded however many names and clients there are."""

    def __init__(self, regions: Regions | None = None) -> None:
        self._regions = regions or Regions()
        self._uses: dict[str, _Use] = {}
        self._clients = _Heavy(MOST_CLIENTS)
        self._blocks = _Heavy(MOST_BLOCKS)
        self._of_region: dict[str, int] = {}
        self._buckets: dict[int, int] = {}
        self._width_s = MINUTE_S
        self._other = 0
        self.lines = 0
        self.malformed = 0
        self.ignored = 0

    def skip(self) -> None:
        """A line that could not be read: counted, never fatal."""
        self.lines += 1
        self.malformed += 1

    def ignore(self) -> None:
        """A line that is no query and no request."""
        self.lines += 1
        self.ignored += 1

    def add(self, entry: Entry) -> None:
        """Count one entry."""
        self.lines += 1
        kind, name, at, client, what, is_static = entry
        use = self._uses.get(name)
        if use is None:
            if len(self._uses) >= 2 * MOST_NAMES:
                self._prune()
            use = self._uses[name] = _Use(kind)
        use.count += 1
        use.static += is_static
        if what in use.kinds or len(use.kinds) < MOST_KINDS:
            use.kinds[what] = use.kinds.get(what, 0) + 1
        if at is not None:
            self._time(use, at)
        if client is not None:
            self._client(use, client)

    def _time(self, use: _Use, at: float) -> None:
        use.first = at if use.first is None or at < use.first else use.first
        use.last = at if use.last is None or at > use.last else use.last
        minute = int(at // MINUTE_S)
        if minute == use.bucket:
            use.in_bucket += 1
        else:
            use.bucket, use.in_bucket = minute, 1
        use.peak = max(use.peak, use.in_bucket)
        bucket = int(at // self._width_s)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        if len(self._buckets) > MOST_BUCKETS:
            wider: dict[int, int] = {}
            for key, count in self._buckets.items():
                wider[key // 2] = wider.get(key // 2, 0) + count
            self._buckets, self._width_s = wider, self._width_s * 2

    def _client(self, use: _Use, client: str) -> None:
        if len(use.clients) < MOST_PER_NAME:
            use.clients.add(client)
        self._clients.add(client)
        self._blocks.add(block_of(client))
        if self._regions:
            region = self._regions.of(client)
            use.regions[region] = use.regions.get(region, 0) + 1
            self._of_region[region] = self._of_region.get(region, 0) + 1

    def _prune(self) -> None:
        """Keep the busier half of the names; what the others counted stays in `other`."""
        ordered = sorted(self._uses.items(), key=lambda item: item[1].count, reverse=True)  # of equals, the older
        self._other += sum(use.count for _, use in ordered[MOST_NAMES:])
        self._uses = dict(ordered[:MOST_NAMES])

    def traffic(self) -> Traffic:
        """What was counted so far."""
        firsts = [use.first for use in self._uses.values() if use.first is not None]
        lasts = [use.last for use in self._uses.values() if use.last is not None]
        ordered = sorted(self._uses.items(), key=lambda item: (-item[1].count, item[0]))
        peak = max(self._buckets.values(), default=0)
        return Traffic(
            lines=self.lines,
            malformed=self.malformed,
            ignored=self.ignored,
            first=_time(min(firsts, default=None)),
            last=_time(max(lasts, default=None)),
            peak_per_minute=-(-peak * MINUTE_S // self._width_s),
            names=tuple(_frozen(name, use) for name, use in ordered[:MOST_NAMES]),
            other=self._other + sum(use.count for _, use in ordered[MOST_NAMES:]),
            regions=_sorted(self._of_region),
            blocks=tuple(self._blocks.top(20)),
            has_regions=bool(self._regions),
            clients=frozenset(client for client, _ in self._clients.top(MOST_CLIENTS)),
        )


def block_of(address: str) -> str:
    """The block an address counts to: /24 of IPv4, /48 of IPv6; what is no address counts as it is."""
    if ":" not in address:
        head, dot, _ = address.rpartition(".")
        return f"{head}.0/24" if dot and head.count(".") == 2 else address
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], 48), strict=False))
    except ValueError:
        return address


def _frozen(name: str, use: _Use) -> NameUse:
    return NameUse(
        name=name,
        kind=use.kind,
        count=use.count,
        peak_per_minute=use.peak,
        first=_time(use.first),
        last=_time(use.last),
        kinds=_sorted(use.kinds),
        regions=_sorted(use.regions),
        clients=len(use.clients),
        clients_cut=len(use.clients) >= MOST_PER_NAME,
        static=use.static,
    )


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
