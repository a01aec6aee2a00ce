"""Look-ups inside one zone, as its servers would answer them (RFC 1034 4.3.2, RFC 4592). Asks no server."""

from __future__ import annotations

from collections.abc import Iterator

from sophia_cli.core.dns import APEX, Record, Zone, relative

ADDRESSES = frozenset({"A", "AAAA", "ALIAS", "URL", "URL301", "FRAME"})  # the provider answers with an address for all

MAX_HOPS = 64  # of aliases; resolvers give up far earlier (BIND after 16)


class Names:
    """One zone indexed by name. `exists` holds the empty non-terminals too."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.rows: dict[str, list[Record]] = {}
        for row in zone.records:
            self.rows.setdefault(row.name, []).append(row)
        self.exists: set[str] = {APEX}
        for name in self.rows:
            while name not in self.exists:
                self.exists.add(name)
                name = parent(name)
        self._cuts = {name for name, rows in self.rows.items() if name != APEX and any(r.type == "NS" for r in rows)}

    def at(self, name: str, kind: str | None = None) -> tuple[Record, ...]:
        """The records that stand at a name."""
        return tuple(row for row in self.rows.get(name, ()) if kind in (None, row.type))

    def answer(self, name: str) -> tuple[Record, ...]:
        """The records that answer for a name, a wildcard's included (RFC 4592 3.3.1)."""
        if name in self.exists:
            return self.at(name)
        encloser = parent(name)
        while encloser not in self.exists:
            encloser = parent(encloser)
        return self.at("*" if encloser == APEX else "*." + encloser)

    def inside(self, host: str) -> str | None:
        """The relative name of a host that this zone itself answers for; None for others and below delegations."""
        bare = host.rstrip(".").lower()
        if bare != self.zone.name and not bare.endswith("." + self.zone.name):
            return None
        name = relative(bare, self.zone.name)
        return None if any(step in self._cuts for step in _upwards(name)) else name

    def has_address(self, name: str) -> bool:
        """Whether a name has an address, or an alias that this zone cannot follow."""
        return any(row.type in ADDRESSES or row.type == "CNAME" for row in self.answer(name))

    def chain(self, name: str) -> tuple[list[Record], bool]:
        """The CNAME and ALIAS records met from a name on inside the zone, and whether they come back to one seen."""
        seen = {name}  # at most MAX_HOPS are followed, as no resolver follows more
        met: list[Record] = []
        while True:
            hop = next((row for row in self.answer(name) if row.type in ("CNAME", "ALIAS")), None)
            if hop is None:
                return met, False
            met.append(hop)
            inner = self.inside(hop.value)
            if inner is None or len(met) == MAX_HOPS:
                return met, False
            if inner in seen:
                return met, True
            seen.add(inner)
            name = inner

    def outside(self, *kinds: str) -> tuple[str, ...]:
        """The targets of records of these types that this zone does not answer for."""
        found = {row.value for row in self.zone.records if row.type in kinds and row.value != "."}
        return tuple(sorted(host for host in found if self.inside(host) is None))


def parent(name: str) -> str:
    """The relative name one label up."""
    return name.partition(".")[2] or APEX


def _upwards(name: str) -> Iterator[str]:
    while name != APEX:
        yield name
        name = parent(name)
