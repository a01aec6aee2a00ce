"""A stop that is asked for in the middle of a stack's update: it reaches the update at once, and nothing stays half done."""

from __future__ import annotations

from pathlib import Path

from sophia_cli.core.errors import SophiaError
from sophia_cli.core.history import Run
from sophia_cli.flows.closing import failure_of
from tests.flows.stack_scene import Scene

CONFIG = "config: {workers: 2}"


def stopped(tmp_path: Path) -> tuple[Scene, Run]:
    """A deploy of more workers for two servers, stopped by a signal once the first server has them."""
    scene = Scene(tmp_path / "here", tmp_path / "state", more={"names": ("web", "api")})
    scene.deploy()
    scene.path.write_text(scene.path.read_text().replace(CONFIG, "config: {workers: 5}"))
    scene.more["between"] = lambda: setattr(scene.world.guard, "stop", True)
    run = scene.deploy()
    assert run is not None
    return scene, run


def sizes(scene: Scene) -> list[object]:
    return [scene.prod.there[name]["size"] for name in ("web", "api")]


def test_a_stop_reaches_an_update_at_once_and_what_it_made_is_taken_back(tmp_path: Path) -> None:
    scene, run = stopped(tmp_path)
    assert (run.outcome, sizes(scene)) == ("rolled_back", [2, 2])
    assert "stopped by a signal in the middle of an update" in run.leg(scene.prod.id).message
    failure = failure_of(run, scene.world.guard)
    assert isinstance(failure, SophiaError)
    assert failure.exit_code == 5


def test_after_a_stop_the_journal_is_clean_and_the_same_deploy_goes_through(tmp_path: Path) -> None:
    scene, _ = stopped(tmp_path)
    scene.world.guard.stop = False
    del scene.more["between"]
    healed = scene.heal()
    assert healed.runs == ()
    again = scene.deploy()
    assert again is not None
    assert (again.outcome, sizes(scene)) == ("applied", [5, 5])
