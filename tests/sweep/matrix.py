"""The fault matrix: every fault of the sandbox at every API call of a deploy, once and for good, then heal and deploy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from sophia_cli.sandbox.faults import ANSWERS, BYTES, DNS, KINDS, STATE
from tests.sweep.crash import Tally, lost_rows
from tests.sweep.stage import Held, Stage

CODES = (0, 1, 3, 4, 5)
"""How a deploy that met a fault may end (contract, exit codes)."""

FIELDS: dict[str, tuple[dict[str, Any], ...]] = {
    "timeout_before": ({"seconds": 0.01},),
    "timeout_after": ({"seconds": 0.01},),
    "latency": ({"seconds": 0.05},),
    "error": (
        {"number": 2050900, "text": "INVALID_ADDR"},
        {"number": 1011150, "text": "Invalid request IP: 198.51.100.77"},
        {"number": 2019166, "text": "Domain not found"},
    ),
    "status": ({"status": 302}, {"status": 503}),
    "html_5xx": ({"status": 502},),
    "replace": (
        {"old": 'HostCount="', "value": 'HostCount="9'},
        {"old": 'IsSuccess="true"', "value": 'IsSuccess="false"'},
    ),
    "rows_dropped": ({"rows": 1}, {"rows": 3}),
    "email_type_reset": ({"value": "OX"},),
    "dns_lag": ({"seconds": 3600},),
    "dns_wrong": ({"value": "198.51.100.13"},),
}
_AT = {
    "email_type_reset": "setHosts",
    "stale_read": "getHosts",
    "rows_reordered": "getHosts",
    "email_type_missing": "getHosts",
}
"""Faults that mean something at one command only. A read that lies about the mail mode for good cannot be told from a change."""
_DNS_TYPES = ("A",)


@dataclass(frozen=True)
class Case:
    """One fault at one call of the deploy, once or until it is cleared."""

    kind: str
    position: int
    for_good: bool
    fields: dict[str, Any]

    def __str__(self) -> str:
        often = "for good" if self.for_good else "once"
        return f"{self.kind} {self.fields or ''} at call {self.position} {often}"


def cases(stage: Stage) -> Iterator[Case]:
    """Every fault at every call. DNS faults have one position: the question of the verification."""
    for kind in KINDS:
        for fields in FIELDS.get(kind, ({},)):
            for position, call in enumerate(stage.calls):
                if kind in DNS and position:
                    continue
                if (kind in _AT and call != _AT[kind]) or (kind == "lost_update" and call == "getList"):
                    continue
                yield Case(kind, position, False, fields)
                if kind not in ("lost_update", "stale_read", "rows_dropped", "email_type_reset"):
                    yield Case(kind, position, True, fields)
                elif kind in ("rows_dropped", "email_type_reset") and call == "setHosts":
                    yield Case(kind, position, True, fields)


assert set(KINDS) == {*ANSWERS, *BYTES, *STATE, *DNS}


def run(stage: Stage, chosen: list[Case]) -> Tally:
    """Deploy under each fault, then clear it, heal, and deploy again."""
    tally = Tally()
    for case in chosen:
        tally.cases += 1
        _one(stage, case, tally)
    return tally


def _one(stage: Stage, case: Case, tally: Tally) -> None:
    where, say = f"{stage.name}: {case}", tally.problems.append
    stage.reset()
    skip = {} if case.kind in DNS else {"skip": case.position, "command": "*"}
    stage.sandbox.fault(case.kind, count=None if case.for_good else 1, **skip, **case.fields)
    ended = stage.act()
    tally.codes[f"deploy {ended.code}"] = tally.codes.get(f"deploy {ended.code}", 0) + 1
    if ended.code not in CODES or "Traceback" in ended.err or "a defect in sophia" in ended.err:
        say(f"{where}: exits {ended.code}: {ended.err[-600:]}")
    stage.settle_server()
    after = stage.held()
    if ended.code == 0 and _without_stranger(after) != stage.planned:
        say(f"{where}: exits 0 and is not as planned")
    if ended.code in (1, 3, 4) and _without_stranger(after) != stage.before:
        say(f"{where}: exits {ended.code} and is not as before: {ended.err[-400:]}")
    stage.sandbox.control(clear=True)
    healed = stage.sophia("heal")
    tally.codes[f"heal {healed.code}"] = tally.codes.get(f"heal {healed.code}", 0) + 1
    if healed.code not in (0, 2, 5):
        say(f"{where}: heal exits {healed.code}: {healed.err[-400:]}")
    now = _without_stranger(stage.held())
    tally.lost += lost_rows(stage, now)
    tally.as_planned += now == stage.planned
    tally.as_before += now == stage.before
    if any(held not in (stage.before[zone], stage.planned[zone]) for zone, held in now.items()):
        say(f"{where}: neither before nor planned after heal")
    if stage.open_runs():
        say(f"{where}: runs are still open")
    if case.kind == "lost_update":
        _gap(stage, case, where, tally)
    again = stage.act()
    if again.code != 0 or _without_stranger(stage.held()) != stage.planned:
        say(f"{where}: the next deploy exits {again.code}: {again.err[-400:]}")
    if stage.audit_problems():
        say(f"{where}: the audit log: {stage.audit_problems()}")


def gap_ms(stage: Stage, times: int = 15) -> float:
    """How long lies between the answer to our last read and the sending of our write: the median of some runs."""
    found = []
    for _ in range(times):
        stage.reset()
        events = stage.act().events
        write = next(number for number, (name, _) in enumerate(events) if name == "send setHosts before")
        read = max(number for number, (name, _) in enumerate(events[:write]) if name == "recv after")
        found.append((events[write][1] - events[read][1]) * 1000)
    return median(found)


_STRANGER = "another-writer"


def _without_stranger(held: dict[str, Held]) -> dict[str, Held]:
    return {zone: (mode, frozenset(row for row in rows if row[0] != _STRANGER)) for zone, (mode, rows) in held.items()}


def _gap(stage: Stage, case: Case, where: str, tally: Tally) -> None:
    """Another writer's row: it may be lost in the one call between our last read and our write, and nowhere else."""
    there = any(row[0] == _STRANGER for _, rows in stage.held().values() for row in rows)
    writes = [position for position, call in enumerate(stage.calls) if call == "setHosts"]
    if any(case.position in (write - 1, write) for write in writes):
        tally.gap += not there
    elif not there:
        tally.problems.append(f"{where}: the other writer's row was lost outside the one call that nothing guards")
