"""A zone at Namecheap as a target: whole-set reads shown to be whole, and writes that send every row back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

from sophia_cli.core.changes import Change, EmailMode
from sophia_cli.core.comparison import Comparison, compare_zones, undo_zone
from sophia_cli.core.dns import MAX_ROWS, Key, Record, Zone
from sophia_cli.core.errors import IncompleteRead, Refused
from sophia_cli.core.history import Snapshot
from sophia_cli.core.plan import applied, zone_target
from sophia_cli.core.ports import Clock, Evidence
from sophia_cli.providers.namecheap.client import NamecheapClient
from sophia_cli.providers.namecheap.values import HostRow


class Witness(Protocol):
    """Somebody outside the provider's API who can be asked what the zone's servers answer."""

    async def verify(
        self, changes: Sequence[Change], after: Zone, earlier: Sequence[Zone], nameservers: Sequence[str], wait_s: float
    ) -> Evidence:
        """Whether the zone's servers show the changes."""
        ...

    async def hidden(self, zone: Zone, nameservers: Sequence[str]) -> tuple[str, ...]:
        """Records the zone's servers show that the provider's API cannot return."""
        ...


def calls_for(changes: Sequence[Change], *, beside_others: bool = False) -> int:
    """How many calls applying the changes of one zone takes: re-read (2), write (1, or 2), read back (2).

    `beside_others`: other targets are written in the same run, so that it is read once more right before its write (2).
    """
    return 0 if not changes else 5 + 2 * beside_others + bool(_repreferred(changes))


class NamecheapZone:
    """One domain's host records. `setHosts` replaces every host (Namecheap API), so each write sends the whole zone."""

    def __init__(self, name: str, client: NamecheapClient, witness: Witness, clock: Clock) -> None:
        self._name = name
        self._client = client
        self._witness = witness
        self._clock = clock
        self._nameservers: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """`dns:NAME`."""
        return zone_target(self._name)

    async def read(self) -> Snapshot:
        """The zone. Whole only when the row count equals getInfo's HostCount; raises `IncompleteRead` otherwise."""
        domain = await self._client.registered(self._name)
        info = await self._client.info(domain)
        # The rows come last, so that nothing lies between them and a write.
        hosts = await self._client.hosts(domain)
        self._nameservers = tuple(info.nameservers)
        if info.host_count != len(hosts.rows):
            raise IncompleteRead(
                f"{self._name}: getHosts returned {len(hosts.rows)} rows and getInfo counts {info.host_count}",
                hint="run the command again; if it stays, look at the zone in Namecheap's web console",
                details={"rows": len(hosts.rows), "host_count": info.host_count},
            )
        return Snapshot(
            target=self.id,
            taken_at=self._clock.now(),
            content=hosts.zone(),
            complete=True,
            raw=tuple(asdict(row) for row in hosts.rows),
            blocks=tuple(self._blocks(hosts.rows)),
        )

    async def preflight(self, fresh: Snapshot) -> tuple[str, ...]:
        """Rows that the zone's servers show and getHosts does not return: setHosts may drop them, so nothing is written."""
        hidden = await self._witness.hidden(_zone(fresh), self._nameservers)
        return tuple(
            f"{self._name}: its name servers show {row}, which the API can neither return nor keep; a write may drop it"
            for row in hidden
        )

    async def write(self, changes: Sequence[Change], fresh: Snapshot) -> None:
        """Send the zone with the changes made to it, in one setHosts; in two where the provider ignores the first.

        A new preference for the same mail exchanger is ignored by setHosts (recorded), so that row is left out once.
        """
        domain = await self._client.registered(self._name)
        email_type, rows = self._merged(changes, fresh)
        if len(rows) > MAX_ROWS:
            raise Refused(f"{self._name}: {len(rows)} rows; the provider allows {MAX_ROWS}")
        repreferred = _repreferred(changes)
        if repreferred:
            without = [row for row in rows if row.record(self._name).key not in repreferred]
            await self._client.set_hosts(domain, email_type, without, allow_empty=not without)
        # Only changes that were judged one by one can have emptied it: `fresh` was shown to be whole.
        await self._client.set_hosts(domain, email_type, rows, allow_empty=not rows)

    def compare(self, changes: Sequence[Change], before: Snapshot, after: Snapshot) -> Comparison:
        """Hold a read-back against what was planned; row ids tell of some writes that ours overwrote."""
        found = compare_zones(changes, _zone(before), _zone(after))
        return replace(found, overwritten=self._remade(changes, before, after))

    def undo(self, changes: Sequence[Change], before: Snapshot, now: Snapshot) -> tuple[Change, ...]:
        """The changes that take a write back."""
        return undo_zone(changes, _zone(before), _zone(now))

    async def verify(
        self, changes: Sequence[Change], before: Snapshot, earlier: Sequence[Snapshot], wait_s: float
    ) -> Evidence:
        """Ask the zone's authoritative servers."""
        zones = [_zone(snapshot) for snapshot in earlier]
        after = applied(_zone(before), changes)
        return await self._witness.verify(changes, after, zones, self._nameservers, wait_s)

    # -- rows -----------------------------------------------------------------------------------------------------------

    def _blocks(self, rows: Sequence[HostRow]) -> list[str]:
        dynamic = sorted(row.name for row in rows if row.is_ddns)
        if not dynamic:
            return []
        return [
            f"{self._name}: dynamic DNS is on for {', '.join(dynamic)}; any write through the API would turn it off "
            "(setHosts clears the flag)"
        ]

    def _remade(self, changes: Sequence[Change], before: Snapshot, after: Snapshot) -> tuple[str, ...]:
        """Rows that no change touches and that have a new id although others kept theirs.

        A row that stays keeps its id and one that is removed and made again gets a new one (recorded), so another writer
        had replaced it between our read and our write. A row they added leaves no such trace.
        """
        touched = {side.key for change in changes for side in (change.before, change.after) if isinstance(side, Record)}
        ids = {row.record(self._name).key: row.host_id for row in map(_row, before.raw) if row.host_id}
        rows = {row.record(self._name).key: row.host_id for row in map(_row, after.raw) if row.host_id}
        both = [key for key in rows if key in ids and key not in touched]
        remade = [key for key in both if rows[key] != ids[key]]
        return tuple(f"{kind} {name} {value[:80]}" for name, kind, value in remade) if len(remade) < len(both) else ()

    def _merged(self, changes: Sequence[Change], fresh: Snapshot) -> tuple[str, list[HostRow]]:
        """The mail mode and all rows to send: untouched rows exactly as they were read, ours changed or added."""
        email_type = _zone(fresh).email_type
        gone: set[Key] = set()
        added: dict[Key, HostRow] = {}
        for change in changes:
            if isinstance(change.after, EmailMode):
                email_type = change.after.email_type
            if isinstance(change.before, Record):
                gone.add(change.before.key)
            if isinstance(change.after, Record):
                added[change.after.key] = HostRow.of(change.after)
        # Not by key: rows that differ only in spelling are one record to us and two rows to the provider.
        kept = [row for row in map(_row, fresh.raw) if row.record(self._name).key not in gone | added.keys()]
        return email_type, [*kept, *added.values()]


def _repreferred(changes: Sequence[Change]) -> set[Key]:
    """The mail exchangers that get another preference, which setHosts ignores for a row that stays (recorded)."""
    return {
        change.after.key
        for change in changes
        if isinstance(change.before, Record)
        and isinstance(change.after, Record)
        and change.after.type == "MX"
        and change.before.key == change.after.key
        and change.before.priority != change.after.priority
    }


def _row(raw: Mapping[str, Any]) -> HostRow:
    return HostRow(**raw)


def _zone(snapshot: Snapshot) -> Zone:
    if not isinstance(snapshot.content, Zone):
        raise TypeError(f"{snapshot.target} holds no zone")
    return snapshot.content
