"""Many zones in one run: they are written side by side, each on the strength of its own last read, and each ends by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from sophia_cli.core.changes import Change
from sophia_cli.core.dns import Zone
from sophia_cli.core.errors import WriteFailed
from sophia_cli.core.history import Run, Snapshot
from sophia_cli.flows.closing import failure_of
from tests.builders import IP, OTHER_IP, a, desired, settings_of, txt, zone
from tests.memory import Killed, MemoryZone, World

COUNT = 12
NAMES = [f"zone{number:02}.example" for number in range(COUNT)]
THEIRS = txt("theirs", "other")


@dataclass
class Together:
    """Counts how many writes are under way; a write that waits for others gives up after a while."""

    wanted: int
    now: int = 0
    most: int = 0


class SlowZone(MemoryZone):
    """A zone whose write ends only when enough others are being written too."""

    together: Together

    async def write(self, changes: Sequence[Change], fresh: Snapshot) -> None:
        self.together.now += 1
        self.together.most = max(self.together.most, self.together.now)
        for _ in range(200):
            if self.together.most >= self.together.wanted:
                break
            await asyncio.sleep(0.001)
        await super().write(changes, fresh)
        self.together.now -= 1


def live(name: str) -> Zone:
    return zone(a("api"), txt("keep me"), name=name)


@pytest.fixture
def many(tmp_path: Path) -> World:
    wanted = [desired(a("api", OTHER_IP), name=name) for name in NAMES]
    settings = settings_of(*wanted, max_changes=COUNT)
    return World.of(tmp_path / "state", settings, *(live(name) for name in NAMES))


def deployed(world: World) -> Run:
    run = asyncio.run(world.deploy())
    assert run is not None
    return run


def addresses(world: World) -> dict[str, str]:
    return {one.name: one.zone.at("api")[0].value for one in world.zones.values()}


def test_zones_are_written_side_by_side(many: World) -> None:
    together = Together(wanted=4)
    for target, port in many.zones.items():
        slow = SlowZone(port.name, port.email_type, port.rows, port.clock, port.fuse)
        slow.together = together
        many.zones[target] = slow
    run = deployed(many)
    assert run.outcome == "applied"
    assert together.most >= 4
    assert set(addresses(many).values()) == {OTHER_IP}
    assert all(one.zone.at("@", "TXT") for one in many.zones.values())


def test_every_zone_is_read_again_right_before_its_write(many: World) -> None:
    deployed(many)
    for one in many.zones.values():
        first = one.log.index("write")
        assert one.log[first - 1] == "read"


def test_what_another_writer_added_meanwhile_stops_that_zone_alone(many: World) -> None:
    hit = many.zones["dns:zone05.example"]
    # plan, then the re-read of the apply flow, then the read that the write stands on: the edit comes before that one.
    hit.fault("read", None, (None, lambda port: port.edit(add=[THEIRS])))
    run = deployed(many)
    assert run.outcome == "partial"
    assert run.leg("dns:zone05.example").phase == "skipped"
    assert "changed while another target" in run.leg("dns:zone05.example").message
    assert THEIRS.key in {row.key for row in hit.zone.records}
    assert addresses(many) == {name: IP if name == "zone05.example" else OTHER_IP for name in NAMES}
    assert isinstance(failure_of(run, many.guard), WriteFailed)


def test_a_zone_whose_write_goes_wrong_is_taken_back_and_the_others_stay(many: World) -> None:
    many.zones["dns:zone03.example"].fault("write", "drop")
    many.zones["dns:zone07.example"].fault("write", "refused")
    run = deployed(many)
    assert run.outcome == "partial"
    phases = {leg.target: leg.phase for leg in run.legs}
    assert phases.pop("dns:zone03.example") == "undone"
    assert phases.pop("dns:zone07.example") == "skipped"
    assert set(phases.values()) == {"done"}
    assert many.zones["dns:zone03.example"].zone == live("zone03.example")


def test_a_stop_in_the_middle_lets_writes_finish_and_begins_no_more(many: World) -> None:
    for one in many.zones.values():
        one.fault("write", lambda _port: setattr(many.guard, "stop", True))
    run = deployed(many)
    phases = {leg.phase for leg in run.legs}
    assert phases == {"done", "skipped"}
    written = {leg.target for leg in run.legs if leg.phase == "done"}
    assert {f"dns:{name}" for name, address in addresses(many).items() if address == OTHER_IP} == written


@pytest.mark.parametrize("burn", range(60, 160, 7))
def test_killed_anywhere_among_many_zones_heal_leaves_each_before_or_as_planned(many: World, burn: int) -> None:
    many.fuse.left = burn
    with pytest.raises(Killed):
        asyncio.run(many.deploy())
    many.fuse.left = None
    asyncio.run(many.heal())
    assert asyncio.run(many.open_runs()) == ()
    assert asyncio.run(many.audit_problems()) == ()
    for name, address in addresses(many).items():
        assert address in (IP, OTHER_IP)
        assert many.zones[f"dns:{name}"].zone.at("@", "TXT") == live(name).at("@", "TXT")
