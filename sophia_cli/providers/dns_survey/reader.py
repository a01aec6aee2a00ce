"""A zone put together from what its name servers answer, behind a read port: usual names, or the whole where it is handed out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from sophia_cli.core.dns import APEX, Record, Zone, relative
from sophia_cli.core.errors import Unreachable
from sophia_cli.core.history import Snapshot
from sophia_cli.core.plan import zone_target
from sophia_cli.providers.dns_survey.survey import DnsSurvey, Seen, best
from sophia_cli.providers.dns_survey.usual import places

if TYPE_CHECKING:
    from sophia_cli.core.dns_facts import Answer, LiveDns
    from sophia_cli.core.ports import Clock
    from sophia_cli.providers.dns_survey.server import Probed

ROUNDS = 4  # names that records point at are asked for too, and what those point at

_SPF_NAME = re.compile(r"(?:include|a|mx|exists|redirect)[:=]([^\s/%]+)", re.I)


class LiveZoneReader:
    """The read port of a zone that is known by DNS alone: never more complete than what its servers hand out."""

    def __init__(self, zone: str, survey: DnsSurvey, clock: Clock, given: tuple[str, ...] = ()) -> None:
        self._zone = zone
        self._survey = survey
        self._clock = clock
        self._given = given
        self._rows: Seen = {}

    @property
    def id(self) -> str:
        """The target id."""
        return zone_target(self._zone)

    async def read(self) -> Snapshot:
        """The zone as its servers show it. Raises `Unreachable` when no server of it answers."""
        live, probed = await self._survey.servers(self._zone, self._given)
        server = best(probed)
        if server is None:
            raise Unreachable(
                f"{self._zone}: {_why(live)}", hint="check the name, or ask another resolver: --resolver HOST"
            )
        rows = _transferred(probed)
        if rows is not None:
            return self._snapshot(rows, complete=True)
        await self._ask(server, places())
        for _ in range(ROUNDS):
            more = [place for place in _pointed_at(self._zone, _records(self._rows)) if place not in self._rows]
            if not more:
                break
            await self._ask(server, more)
        return self._snapshot(_records(_without_wildcard(self._rows)), complete=False)

    async def _ask(self, server: Probed, wanted: Iterable[tuple[str, str]]) -> None:
        self._rows.update(await self._survey.ask(self._zone, server, wanted))

    def _snapshot(self, rows: Iterable[Record], *, complete: bool) -> Snapshot:
        kept = [row for row in rows if row.type != "SOA" and (row.name, row.type) != (APEX, "NS")]
        mode = "MX" if any(row.type == "MX" and row.name == APEX for row in kept) else "NONE"
        return Snapshot(self.id, self._clock.now(), Zone.of(self._zone, mode, kept), complete)


def _why(live: LiveDns) -> str:
    if (gap := live.gap("servers")) is not None:
        return gap
    reasons = [server.unreachable_here or (server.soa.why if server.soa is not None else "") for server in live.servers]
    told = [
        f"{server.label}: {why or 'its answer is not authoritative'}"
        for server, why in zip(live.servers, reasons, strict=True)
    ]
    return f"no name server of it gave an authoritative answer ({'; '.join(told[:4])})"


def _transferred(probed: Iterable[Probed]) -> tuple[Record, ...] | None:
    """The whole zone, where a server hands it to anybody and all of it was kept."""
    for one in probed:
        transfer = one.facts.transfer
        if transfer is not None and transfer.rows is not None and transfer.count > 1:
            return transfer.rows
    return None


def _records(rows: Seen) -> Iterator[Record]:
    """The answers as rows of the zone: an alias on the way is the row, what it leads to stands at its own name."""
    for (name, kind), answer in rows.items():
        if answer.chain and kind != "CNAME":
            yield Record(name, "CNAME", answer.chain[0], answer.alias_ttl)
        elif answer.status == "found":
            for index, value in enumerate(answer.values):
                yield Record(name, kind, value, answer.ttl, answer.preferences[index] if answer.preferences else None)


def _pointed_at(zone: str, rows: Iterable[Record]) -> Iterator[tuple[str, str]]:
    """The places inside the zone that records lead to."""
    for row in rows:
        if row.type in ("CNAME", "MX", "NS"):
            hosts = [row.value]
            kinds: tuple[str, ...] = ("A", "AAAA", "TXT") if row.name.startswith("_") else ("A", "AAAA")
        elif row.type == "TXT" and row.value.lower().startswith("v=spf1"):
            hosts, kinds = _SPF_NAME.findall(row.value), ("A", "AAAA", "MX", "TXT")
        else:
            continue
        for host in hosts:
            bare = host.rstrip(".").lower()
            if bare.endswith("." + zone):
                yield from ((relative(bare, zone), kind) for kind in kinds)


def _without_wildcard(rows: Seen) -> Seen:
    """The answers without those that only the wildcard made."""
    stars: dict[str, Answer] = {kind: answer for (name, kind), answer in rows.items() if name == "*"}

    def is_made(place: tuple[str, str], answer: Answer) -> bool:
        star = stars.get(place[1])
        same = star is not None and (star.values, star.chain) == (answer.values, answer.chain)
        return same and place[0] not in ("*", APEX) and answer.status == "found"

    return {place: answer for place, answer in rows.items() if not is_made(place, answer)}
