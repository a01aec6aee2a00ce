"""Rolling back: a run's own changes against what is there now; what others did since stays and is named."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sophia_cli.core.errors import UsageError
from sophia_cli.flows.rollback import plan_rollback
from tests.builders import IP, OTHER_IP, THIRD_IP, a, desired, settings_of, zone
from tests.flows.conftest import LIVE
from tests.memory import World


def test_a_rollback_nobody_came_between_gives_the_rows_back(world: World) -> None:
    asyncio.run(world.deploy())
    run = asyncio.run(world.rollback())
    assert run is not None
    assert (run.outcome, world.zone.zone) == ("applied", LIVE)


def test_a_rollback_of_a_rollback_brings_the_plan_back(world: World) -> None:
    asyncio.run(world.deploy())
    planned = world.zone.zone
    asyncio.run(world.rollback())
    asyncio.run(world.rollback())
    assert world.zone.zone == planned


def test_what_another_writer_changed_since_is_kept_and_named(world: World) -> None:
    asyncio.run(world.deploy())
    world.zone.edit(add=[a("api", THIRD_IP), a("later")], remove=[a("api", OTHER_IP)])

    async def story() -> tuple[str, ...]:
        return (await plan_rollback(None, world.settings, world.ground(), None)).plan.notes

    (note,) = asyncio.run(story())
    assert "A api was changed since" in note
    asyncio.run(world.rollback())
    assert {row.value for row in world.zone.zone.at("api")} == {THIRD_IP}
    assert world.zone.zone.at("later") != ()
    assert world.zone.zone.at("new") == ()


def test_only_what_a_partial_run_did_is_undone(tmp_path: Path) -> None:
    names = ("aaa.example", "bbb.example")
    wanted = [desired(a("api", OTHER_IP), name=name) for name in names]
    world = World.of(tmp_path, settings_of(*wanted), *[zone(a("api"), name=name) for name in names])
    world.zones["dns:bbb.example"].fault("write", "refused")
    asyncio.run(world.deploy())
    world.zones["dns:bbb.example"].edit(add=[a("api", THIRD_IP)], remove=[a("api")])
    asyncio.run(world.rollback())
    assert [world.zones[f"dns:{name}"].zone.at("api")[0].value for name in names] == [IP, THIRD_IP]


def test_there_must_be_a_run_and_it_must_be_of_this_environment(world: World) -> None:
    with pytest.raises(UsageError, match="no run to roll back"):
        asyncio.run(world.rollback())
    with pytest.raises(UsageError, match="no run 2026"):
        asyncio.run(world.rollback("2026"))
    asyncio.run(world.deploy())
    world.zones = {}
    with pytest.raises(UsageError, match="not a target of this environment"):
        asyncio.run(world.rollback())


def test_a_rolled_back_run_has_nothing_left_to_undo(world: World) -> None:
    asyncio.run(world.deploy())
    first = asyncio.run(world.store.journal.runs())[0].id
    asyncio.run(world.rollback(first))
    writes = world.zone.log.count("write")
    assert asyncio.run(world.rollback(first)) is None
    assert world.zone.log.count("write") == writes


def test_a_rollback_that_fails_is_undone_too(world: World) -> None:
    asyncio.run(world.deploy())
    planned = world.zone.zone
    world.zone.fault("write", "drop")
    run = asyncio.run(world.rollback())
    assert run is not None
    assert (run.outcome, world.zone.zone) == ("rolled_back", planned)
