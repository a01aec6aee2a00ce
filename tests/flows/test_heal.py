"""Heal and settling: the four phases of autonomy, what is left open and why, and runs that were cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sophia_cli.core.dns import Record
from sophia_cli.core.errors import Locked, Unreachable
from sophia_cli.core.settings import AUTONOMY
from sophia_cli.flows.heal import Healed
from tests.builders import IP, OTHER_IP, THIRD_IP, a, desired, mx, settings_of, txt, zone
from tests.memory import Killed, MemoryZone, World

NAMED = (a("@"), a("api"), a("www"), mx(), mx("backup.example.com.", 20))
OTHERS = [txt(f"kept {number}", f"t{number}") for number in range(10)]


def healthy(tmp_path: Path, autonomy: str = "autonomous-safe", **limits: object) -> World:
    """A zone as its environment wants it, deployed by sophia."""
    live = zone(*OTHERS, email_type="MX")
    world = World.of(
        tmp_path / "state", settings_of(desired(*NAMED, email_type="MX"), autonomy=autonomy, **limits), live
    )
    asyncio.run(world.deploy())
    assert asyncio.run(world.plan()).plan.is_empty()
    return world


DRIFTS: dict[str, tuple[str, Sequence[Record], Sequence[Record], str | None]] = {
    "low: a TTL": ("low", [a("api", IP, 60)], [], None),
    "low: a record gone": ("low", [], [a("api")], None),
    "medium: an address": ("medium", [a("api", "198.51.100.1")], [a("api")], None),
    "high: a mail exchanger gone": ("high", [], [mx("backup.example.com.", 20)], None),
    "critical: the apex": ("critical", [a("@", "198.51.100.1")], [a("@")], None),
    "critical: the mail mode": ("critical", [], [], "OX"),
}
REPAIRS = {"observe": (), "suggest": (), "autonomous-safe": ("low", "medium"), "autonomous": ("low", "medium", "high")}


@pytest.mark.parametrize("autonomy", AUTONOMY)
@pytest.mark.parametrize("drift", DRIFTS)
def test_each_phase_repairs_its_own_risks_and_no_more(tmp_path: Path, autonomy: str, drift: str) -> None:
    world = healthy(tmp_path, autonomy)
    good = world.zone.zone
    risk, add, remove, mode = DRIFTS[drift]
    world.zone.edit(add, remove, mode)
    bad = world.zone.zone
    healed = asyncio.run(world.heal())
    assert [finding.severity for finding in healed.findings] == [risk]
    if risk in REPAIRS[autonomy]:
        assert (world.zone.zone, healed.open, len(healed.repaired)) == (good, (), 1)
        assert [run.outcome for run in healed.runs] == ["applied"]
        assert healed.score_after > healed.score_before
        assert asyncio.run(world.heal()).findings == ()
    else:
        assert (world.zone.zone, healed.repaired, healed.runs) == (bad, (), ())
        why = "over limit" if mode and risk in REPAIRS[autonomy] else "needs approval"
        assert [entry.why for entry in healed.open] == [why]


def test_every_risk_and_every_phase_stands_above() -> None:
    assert set(REPAIRS) == set(AUTONOMY)
    assert {case[0] for case in DRIFTS.values()} == {"low", "medium", "high", "critical"}


@pytest.mark.parametrize("autonomy", AUTONOMY)
def test_a_change_of_the_environment_is_never_deployed_by_heal(tmp_path: Path, autonomy: str) -> None:
    world = healthy(tmp_path, autonomy)
    before = world.zone.zone
    world.want(desired(a("@"), a("api", OTHER_IP), a("new"), mx(), mx("backup.example.com.", 20), email_type="MX"))
    healed = asyncio.run(world.heal())
    assert world.zone.zone == before
    assert {finding.id for finding in healed.findings} == {"ENV-PENDING"}
    assert len(healed.open) == 3  # moved, new, and www that is no longer named


def test_drift_over_a_limit_stays_and_says_so(tmp_path: Path) -> None:
    world = healthy(tmp_path, "autonomous", max_changes=5)
    world.settings = replace(
        world.settings, intelligence=settings_of(autonomy="autonomous", max_changes=1).intelligence
    )
    world.zone.edit(remove=[a("api"), a("www")])
    bad = world.zone.zone
    healed = asyncio.run(world.heal())
    assert [entry.why for entry in healed.open] == ["over limit", "over limit"]
    assert world.zone.zone == bad


def test_repairs_count_against_the_day(tmp_path: Path) -> None:
    world = healthy(tmp_path, "autonomous", per_day=6)  # five were made by the first deploy
    world.zone.edit(remove=[a("api")])
    assert asyncio.run(world.heal()).open == ()
    world.zone.edit(remove=[a("api")])
    assert [entry.why for entry in asyncio.run(world.heal()).open] == ["over limit"]


def test_a_frozen_zone_is_not_repaired(tmp_path: Path) -> None:
    world = healthy(tmp_path)
    asyncio.run(world.store.freezes.freeze(world.zone.id))
    world.zone.edit(remove=[a("api")])
    assert asyncio.run(world.heal()).repaired == ()
    assert world.zone.zone.at("api") == ()


def test_a_dry_run_changes_neither_zone_nor_state(tmp_path: Path) -> None:
    world = healthy(tmp_path)
    cut_off(world, "half", moved())
    world.zone.edit(remove=[a("www")])

    def state() -> dict[str, bytes]:
        files = [path for path in world.root.rglob("*") if path.is_file() and "locks" not in path.parts]
        return {str(path): path.read_bytes() for path in files}

    before, there = world.zone.zone, state()
    healed = asyncio.run(world.heal(dry_run=True))
    assert (world.zone.zone, state(), healed.dry_run) == (before, there, True)
    assert healed.findings != ()


def test_two_heals_at_once_are_one_and_a_locked_one(tmp_path: Path) -> None:
    world = healthy(tmp_path)

    async def both() -> list[object]:
        real = world.zone.read

        async def slow() -> object:
            await asyncio.sleep(0)
            return await real()

        world.zone.read = slow  # type: ignore[assignment]
        return await asyncio.gather(world.heal(), world.heal(), return_exceptions=True)

    kinds = sorted(type(one).__name__ for one in asyncio.run(both()))
    assert kinds == [Healed.__name__, Locked.__name__]


# -- runs that were cut off -----------------------------------------------------------------------------------------------


def moved() -> Sequence[Record]:
    return (a("@"), a("api", OTHER_IP), a("www", OTHER_IP), mx(), mx("backup.example.com.", 20))


def cut_off(world: World, fault: str | None, named: Sequence[Record]) -> None:
    """A deploy that dies right after its write, which had this fault."""

    def die(_port: MemoryZone) -> None:
        raise Killed

    world.want(desired(*named, email_type="MX"))
    if fault is not None:
        world.zone.fault("write", fault)
    world.zone.fault("read", None, None, die)  # plan, re-read, and then the read-back
    with pytest.raises(Killed):
        asyncio.run(world.deploy())
    assert len(asyncio.run(world.open_runs())) == 1


@pytest.mark.parametrize("autonomy", AUTONOMY)
@pytest.mark.parametrize(
    ("fault", "outcome", "address"),
    [(None, "applied", OTHER_IP), ("ignored", "nothing", IP), ("half", "rolled_back", IP), ("drop", "rolled_back", IP)],
)
def test_every_phase_closes_its_own_interrupted_runs(
    tmp_path: Path, autonomy: str, fault: str | None, outcome: str, address: str
) -> None:
    world = healthy(tmp_path, autonomy)
    others = {row for row in world.zone.zone.records if row.name not in ("api", "www")}
    cut_off(world, fault, moved())
    healed = asyncio.run(world.heal())
    assert [run.outcome for run in healed.runs][:1] == [outcome]
    assert asyncio.run(world.open_runs()) == ()
    assert {row.value for row in (*world.zone.zone.at("api"), *world.zone.zone.at("www"))} == {address}
    assert {row for row in world.zone.zone.records if row.name not in ("api", "www")} == others
    assert asyncio.run(world.audit_problems()) == ()


def test_a_write_that_was_still_on_its_way_is_not_called_undone(tmp_path: Path) -> None:
    """The killed process's request may be executed after heal's first look."""
    world = healthy(tmp_path)
    cut_off(world, "late", moved())
    assert [run.outcome for run in asyncio.run(world.heal()).runs] == ["applied"]


def test_an_old_interrupted_run_is_believed_at_once(tmp_path: Path) -> None:
    world = healthy(tmp_path)
    cut_off(world, "ignored", moved())
    asyncio.run(world.clock.sleep(3600))
    world.clock.slept.clear()
    assert [run.outcome for run in asyncio.run(world.heal()).runs] == ["nothing"]
    assert world.clock.slept == []


def test_an_unreachable_target_leaves_its_run_open_for_the_next_pass(tmp_path: Path) -> None:
    world = healthy(tmp_path)
    cut_off(world, None, moved())
    world.zone.reachable = False
    with pytest.raises(Unreachable):
        asyncio.run(world.heal())
    assert len(asyncio.run(world.open_runs())) == 1
    world.zone.reachable = True
    assert [run.outcome for run in asyncio.run(world.heal()).runs] == ["applied"]


def test_a_row_lost_by_our_write_comes_back_even_after_its_undo_failed(tmp_path: Path) -> None:
    world = healthy(tmp_path)
    before = world.zone.zone
    world.want(desired(*moved(), email_type="MX"))
    world.zone.fault("write", "drop", "refused")
    run = asyncio.run(world.deploy())
    assert run is not None
    assert run.outcome == "unknown"
    assert len(world.zone.zone.records) == len(before.records) - 1
    healed = asyncio.run(world.heal())
    assert [run.outcome for run in healed.runs] == ["rolled_back"]
    assert world.zone.zone == before


def test_what_others_changed_after_a_good_read_back_is_not_undone_by_settling(tmp_path: Path) -> None:
    world = healthy(tmp_path)
    world.want(desired(*moved(), email_type="MX"))
    world.zone.fault("verify", lambda _port: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        asyncio.run(world.deploy())
    world.zone.edit(remove=[a("www", OTHER_IP), txt("kept 1", "t1")])
    now = world.zone.zone
    world.settings = replace(world.settings, intelligence=settings_of(autonomy="observe").intelligence)
    healed = asyncio.run(world.heal())
    assert ([run.outcome for run in healed.runs], world.zone.zone) == (["applied"], now)


def test_settling_without_the_snapshot_leaves_the_run_open_and_writes_nothing(tmp_path: Path) -> None:
    world = healthy(tmp_path)
    cut_off(world, "half", moved())
    (run,) = asyncio.run(world.open_runs())
    for path in world.root.rglob(f"snapshots/*/{run.id}.json"):
        path.unlink()
    writes = world.zone.log.count("write")
    healed = asyncio.run(world.heal())
    assert ([run.outcome for run in healed.runs], world.zone.log.count("write")) == (["unknown"], writes)


# -- what the environment owns afterwards ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["journal", "ownerships"])
def test_drift_of_what_a_cut_off_run_wrote_is_seen_and_repaired(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = healthy(tmp_path, "autonomous")
    if where == "journal":
        cut_off(world, None, moved())
        asyncio.run(world.heal())
    else:  # the run was closed and the process died before deploy noted what the environment owns
        world.want(desired(*moved(), email_type="MX"))

        async def die(*_args: object) -> None:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr("sophia_cli.flows.deploy.remember", die)
            with pytest.raises(Killed):
                asyncio.run(world.deploy())
    world.zone.edit(add=[a("api", "198.51.100.1")], remove=[a("api", OTHER_IP)])
    healed = asyncio.run(world.heal())
    assert [finding.id for finding in healed.findings] == ["DNS-DRIFT"]
    assert world.zone.zone.at("api")[0].value == OTHER_IP


def test_a_record_of_a_cut_off_run_goes_when_the_environment_no_longer_names_it(tmp_path: Path) -> None:
    world = healthy(tmp_path)
    cut_off(world, None, (*NAMED, a("fresh")))
    asyncio.run(world.heal())
    world.want(desired(*NAMED, email_type="MX"))
    judged = asyncio.run(world.plan())
    assert [(change.action, change.before) for change in judged.plan.changes] == [("delete", a("fresh"))]


def test_after_a_partial_run_drift_is_known_where_it_was_done_and_nowhere_else(tmp_path: Path) -> None:
    names = ("aaa.example", "bbb.example")
    wanted = [desired(a("api", OTHER_IP), name=name) for name in names]
    live = [zone(a("api"), *OTHERS, name=name) for name in names]
    world = World.of(tmp_path / "state", settings_of(*wanted, autonomy="autonomous"), *live)
    world.zones["dns:bbb.example"].fault("write", "refused")
    run = asyncio.run(world.deploy())
    assert run is not None
    assert run.outcome == "partial"
    for port in world.zones.values():
        port.edit(add=[a("api", THIRD_IP)], remove=[a("api"), a("api", OTHER_IP)])
    healed = asyncio.run(world.heal())
    assert sorted((one.id, one.target) for one in healed.findings) == [
        ("DNS-DRIFT", "dns:aaa.example"),
        ("ENV-PENDING", "dns:bbb.example"),
    ]
    values = {name: world.zones[f"dns:{name}"].zone.at("api")[0].value for name in names}
    assert values == {"aaa.example": OTHER_IP, "bbb.example": THIRD_IP}


def test_what_was_not_yet_visible_is_asked_again_until_it_is(tmp_path: Path) -> None:
    world = healthy(tmp_path)
    world.want(desired(*moved(), email_type="MX"))
    world.zone.fault("verify", "none", "none", "none")  # deploy, and heal for the run and for the zone
    asyncio.run(world.deploy())

    def verified() -> bool | None:
        return asyncio.run(world.store.journal.runs())[-1].verified

    assert verified() is None
    asyncio.run(world.heal())
    assert verified() is None
    asyncio.run(world.heal())
    assert verified() is True
    asyncio.run(world.heal())
    assert asyncio.run(world.actions()).count(("verify.later", "verified")) == 1
