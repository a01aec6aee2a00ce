"""The crash sweep: kill -9 at every event of a command, settle, and hold everything against what may be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.sweep.stage import Held, Stage
from tests.sweep.zygote import Ended

Settlers = tuple[str, ...]
HEAL: Settlers = ("heal",)


@dataclass
class Tally:
    """What a sweep counted, and what it found wrong."""

    cases: int = 0
    as_before: int = 0
    as_planned: int = 0
    lost: int = 0
    settled: int = 0
    """Cases in which a run had been left open."""
    gap: int = 0
    """Foreign rows lost in the one call that nothing can guard."""
    gap_ms: float = 0.0
    torn: int = 0
    """Audit logs that still end in a torn line after heal."""
    codes: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.cases += other.cases
        self.as_before += other.as_before
        self.as_planned += other.as_planned
        self.lost += other.lost
        self.settled += other.settled
        self.gap += other.gap
        self.torn += other.torn
        self.gap_ms = max(self.gap_ms, other.gap_ms)
        for code, count in other.codes.items():
            self.codes[code] = self.codes.get(code, 0) + count
        self.problems += other.problems


def sampled(numbers: Iterable[int], count: int | None, seed: int) -> list[int]:
    """Some of the numbers, spread by chance and the same for the same seed; all of them when `count` is None."""
    every = list(numbers)
    return every if count is None or count >= len(every) else sorted(Random(seed).sample(every, count))


def kill_points(events: Sequence[tuple[str, float]]) -> list[int]:
    """The events after which something has changed for others. A kill *before* an event equals one after the last event."""
    return [number for number, (name, _) in enumerate(events, 1) if not name.endswith(" before")]


def writing_points(stage: Stage) -> list[int]:
    """The kill points from the first call that writes until its run is closed."""
    names = [name for name, _ in stage.events]
    first = names.index("send setHosts before")
    return [number for number in kill_points(stage.events) if number > first][: len(names) // 8]


def sweep(stage: Stage, points: Sequence[int | str], *, settler: str = "heal") -> Tally:
    """Kill the command at each point, settle by `heal` or by the next `deploy`, check, and finish the plan."""
    tally = Tally()
    for point in points:
        where = f"{stage.name}: killed at event {point}, then {settler}"
        _kill(stage, point, where, tally)
        settle(stage, where, tally, settler)
    return tally


def sweep_heal(stage: Stage, points: Sequence[int | str], heal_points: int | None, seed: int) -> Tally:
    """Kill the command at each point, kill the heal that follows at each of its own, and heal again."""
    tally = Tally()
    for point in points:
        _kill(stage, point, f"{stage.name}: event {point}", Tally())
        whole = stage.sophia("heal")
        for second in sampled(kill_points(whole.events), heal_points, seed):
            where = f"{stage.name}: killed at event {point}, heal killed at event {second}"
            _kill(stage, point, where, tally)
            killed = stage.sophia("heal", kill_at=second)
            if killed.code not in (None, 0, 2) and not _told(killed):
                tally.problems.append(f"{where}: exit {killed.code}: {killed.err}")
            stage.settle_server()
            settle(stage, where, tally)
    return tally


def _kill(stage: Stage, point: int | str, where: str, tally: Tally) -> None:
    stage.reset()
    ended = stage.act(kill_at=point)
    if ended.code not in (None, 0):  # the last events of a run can differ by one or two: then it just ended
        tally.problems.append(f"{where}: exit {ended.code} instead of a death: {ended.err}")
    stage.settle_server()
    tally.settled += bool(stage.open_runs())


def settle(stage: Stage, where: str, tally: Tally, settler: str = "heal") -> None:
    """Settle, hold zone, file, journal and audit log against what may be, then finish the plan and look again."""
    tally.cases += 1
    say = tally.problems.append
    ended = stage.sophia(settler)
    key = f"{settler} {ended.code}"
    tally.codes[key] = tally.codes.get(key, 0) + 1
    if ended.code not in ((0, 2) if settler == "heal" else (0,)) and not (settler == "heal" and _told(ended)):
        say(f"{where}: {settler} exits {ended.code}: {ended.err}")
    _checked(stage, where, tally)
    again = stage.act()
    nothing_left = stage.name == "edit away" and again.code == 3 and "to remove" in again.err
    if again.code != 0 and not nothing_left:
        say(f"{where}: the next {stage.kind.words[0]} exits {again.code}: {again.err}")
    if stage.held() != stage.planned:
        say(f"{where}: the next {stage.kind.words[0]} ends in {_odd(stage.held(), stage.planned)}")
    empty = stage.sophia("plan", "--detailed-exitcode")
    if empty.code != 0:
        say(f"{where}: the plan is not empty in the end ({empty.code}): {empty.out[-600:]}")
    if stage.audit_problems():
        say(f"{where}: the audit log in the end: {stage.audit_problems()}")


def _told(ended: Ended) -> bool:
    """Whether a heal says by code 5 and in words that the run it settled was taken back or done in part."""
    return ended.code == 5 and ("was rolled back: " in ended.err or "was done only in part: " in ended.err)


def _checked(stage: Stage, where: str, tally: Tally) -> None:
    say, now, text = tally.problems.append, stage.held(), stage.file.read_text()
    tally.lost += lost_rows(stage, now)
    for zone, held in now.items():
        if held not in (stage.before[zone], stage.planned[zone]):
            say(f"{where}: {zone} is neither before nor planned: {_odd({zone: held}, stage.before)}")
    planned = now == stage.planned
    tally.as_planned += planned
    tally.as_before += now == stage.before
    if text not in (stage.file_before, stage.file_planned):
        say(f"{where}: the environment file is neither before nor planned:\n{text}")
    elif stage.file_before != stage.file_planned and planned != (text == stage.file_planned):
        say(f"{where}: file and zone do not agree: zone {'planned' if planned else 'before'}, file the other")
    tally.torn += stage.is_torn()
    if stage.open_runs():
        say(f"{where}: runs are still open: {[run.legs for run in stage.open_runs()]}")
    if stage.audit_problems():
        say(f"{where}: the audit log: {stage.audit_problems()}")


def lost_rows(stage: Stage, now: dict[str, Held]) -> int:
    """How many rows that both ends of the plan hold are missing, and mail modes that neither end has."""
    lost = 0
    for zone, (mode, rows) in now.items():
        lost += len((stage.before[zone][1] & stage.planned[zone][1]) - rows)
        lost += mode not in (stage.before[zone][0], stage.planned[zone][0])
    return lost


def _odd(now: dict[str, Held], due: dict[str, Held]) -> str:
    parts = []
    for zone, (mode, rows) in now.items():
        missing, extra = due[zone][1] - rows, rows - due[zone][1]
        parts.append(f"{zone} {mode} missing {sorted(missing)} extra {sorted(extra)}")
    return "; ".join(parts)
