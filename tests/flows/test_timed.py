"""Timed changes: put back when their time is over, after a crash, from another machine, and never further than agreed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from sophia_cli.core.history import Run
from sophia_cli.flows.scaling import Scaling, plan_scaling
from tests.flows.stack_scene import TEXT, Scene
from tests.memory import Killed


def scaled(scene: Scene, **length: float) -> Run:
    """More workers for a while."""
    scene.restart()
    end = scene.world.clock.now() + timedelta(**length)
    return scene.apply(asyncio.run(plan_scaling(Scaling("webhooks", "up", amount=2, end=end), scene.desk())))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    found = Scene(tmp_path / "here", tmp_path / "state")
    found.deploy()
    return found


def sizes(scene: Scene) -> tuple[str, object]:
    """What the file says and what is really there."""
    line = next(line for line in scene.path.read_text().splitlines() if "workers:" in line)
    return line.strip(), scene.prod.there["web"]["size"]


TWO, FOUR = ("config: {workers: 2}", 2), ("config: {workers: 4}", 4)


def test_before_its_end_nothing_is_put_back_and_nothing_is_said(scene: Scene) -> None:
    scaled(scene, hours=1)
    healed = scene.heal()
    assert (healed.open, healed.runs, sizes(scene)) == ((), (), FOUR)


def test_after_its_end_heal_puts_file_and_stack_back_once(scene: Scene) -> None:
    run = scaled(scene, hours=1)
    scene.later(hours=1)
    healed = scene.heal()
    assert [one.outcome for one in healed.runs] == ["applied"]
    assert (healed.open, sizes(scene)) == ((), TWO)
    kept = asyncio.run(scene.world.store.journal.get(run.id))
    assert kept is not None
    assert kept.ends is None
    assert healed.runs[0].id in " ".join(kept.notes)
    assert scene.heal().runs == ()


def test_a_dry_run_reports_it_and_changes_nothing(scene: Scene) -> None:
    run = scaled(scene, hours=1)
    scene.later(hours=2)
    healed = scene.heal(dry_run=True)
    assert [(entry.finding.id, run.id in entry.finding.title) for entry in healed.open] == [("TIMED-OVERDUE", True)]
    assert sizes(scene) == FOUR


def test_observing_only_reports_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "here", tmp_path / "state", TEXT.replace("autonomy: suggest", "autonomy: observe"))
    scene.deploy()
    scaled(scene, hours=1)
    scene.later(hours=2)
    assert [(entry.finding.id, entry.why) for entry in scene.heal().open] == [("TIMED-OVERDUE", "needs approval")]
    assert sizes(scene) == FOUR


def test_a_timed_change_that_was_killed_half_way_is_settled_and_leaves_nothing_to_end(scene: Scene) -> None:
    scene.restart()
    end = scene.world.clock.now() + timedelta(hours=1)
    judged = asyncio.run(plan_scaling(Scaling("webhooks", "up", amount=2, end=end), scene.desk()))
    scene.prod.cut_off = True
    with pytest.raises(Killed):
        scene.apply(judged)
    assert sizes(scene) == FOUR
    scene.later(hours=2)
    healed = scene.heal()
    assert "unknown" not in [run.outcome for run in healed.runs]
    assert asyncio.run(scene.world.open_runs()) == ()
    assert sizes(scene) == TWO


def test_putting_back_that_was_killed_is_finished_by_the_next_pass(scene: Scene) -> None:
    scaled(scene, hours=1)
    scene.later(hours=2)
    scene.more["cut_off"] = True
    with pytest.raises(Killed):
        scene.heal()
    scene.more["cut_off"] = False
    scene.heal()
    assert asyncio.run(scene.world.open_runs()) == ()
    assert sizes(scene) == TWO
    assert scene.heal().open == ()


def test_another_machine_that_shares_the_state_puts_it_back(scene: Scene, tmp_path: Path) -> None:
    scaled(scene, hours=1)
    scene.later(hours=2)
    other = scene.second(tmp_path / "there")  # its copy of the file still says 2
    healed = other.heal()
    assert [run.outcome for run in healed.runs] == ["applied"]
    assert sizes(other) == TWO
    assert scene.heal().runs == ()


def test_a_setting_somebody_changed_since_is_not_overwritten_by_the_end(scene: Scene) -> None:
    scaled(scene, hours=1)
    scene.prod.settings["region"] = "moon"
    scene.later(hours=2)
    healed = scene.heal()
    (entry,) = [entry for entry in healed.open if entry.finding.id == "TIMED-OVERDUE"]
    assert "shop:region" in entry.why
    assert scene.prod.settings["region"] == "moon"
    assert scene.prod.there["web"]["size"] == 4


def test_without_the_engine_an_overdue_change_is_reported_and_not_forgotten(scene: Scene) -> None:
    run = scaled(scene, hours=1)
    scene.later(hours=2)
    scene.has_cli = False
    (entry,) = [entry for entry in scene.heal().open if entry.finding.id == "TIMED-OVERDUE"]
    assert (run.id in entry.finding.title, "left out" in entry.why) == (True, True)
    scene.has_cli = True
    scene.heal()
    assert sizes(scene) == TWO
