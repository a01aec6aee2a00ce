"""Scaling: within the bounds, in the environment and the stack at once, and refused where it would be something else."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from sophia_cli.core.errors import Refused, UsageError
from sophia_cli.core.settings import Service
from sophia_cli.flows.scaling import Scaling, find_service, plan_scaling, size_after
from tests.flows.stack_scene import TEXT, Scene

WEB = Service("webhooks", "prod", "workers", 1, 6)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    found = Scene(tmp_path / "here", tmp_path / "state")
    found.deploy()
    found.restart()
    return found


@pytest.mark.parametrize(
    ("scaling", "now", "after"),
    [
        (Scaling("webhooks", "up"), 2, 3),
        (Scaling("webhooks", "up", amount=3), 2, 5),
        (Scaling("webhooks", "up", amount=30), 2, 6),
        (Scaling("webhooks", "up", percent=50), 3, 5),
        (Scaling("webhooks", "down", amount=1), 2, 1),
        (Scaling("webhooks", "down", percent=10), 5, 4),
        (Scaling("webhooks", "down", amount=9), 3, 1),
        (Scaling("webhooks", "to", to=6), 2, 6),
    ],
)
def test_a_size_is_what_was_asked_for_within_the_bounds(scaling: Scaling, now: int, after: int) -> None:
    assert size_after(scaling, now, WEB) == after


def test_without_bounds_a_service_goes_down_to_nothing_and_no_further() -> None:
    assert size_after(Scaling("x", "down", amount=9), 3, Service("x")) == 0


@pytest.mark.parametrize(
    ("scaling", "now"),
    [
        (Scaling("webhooks", "up"), 6),
        (Scaling("webhooks", "down"), 1),
        (Scaling("webhooks", "to", to=7), 2),
        (Scaling("webhooks", "to", to=0), 2),
    ],
)
def test_beyond_the_bounds_nothing_is_done_and_the_bounds_are_named(scaling: Scaling, now: int) -> None:
    with pytest.raises(Refused, match=r"1\.\.6"):
        size_after(scaling, now, WEB)


def test_a_service_is_found_by_its_alias_and_a_strange_one_is_refused(scene: Scene) -> None:
    assert find_service(scene.settings, "Hooks").name == "webhooks"
    with pytest.raises(UsageError, match="no service mail"):
        find_service(scene.settings, "mail")


def test_scaling_changes_the_file_and_the_stack_and_the_next_plan_is_empty(scene: Scene) -> None:
    judged = asyncio.run(plan_scaling(Scaling("hooks", "up", amount=2), scene.desk()))
    assert [change.kind for change in judged.plan.changes] == ["config.value", "stack.config", "stack.resource"]
    run = scene.apply(judged)
    assert (run.outcome, run.ends) == ("applied", None)
    assert "config: {workers: 4}" in scene.path.read_text()
    assert scene.prod.there == {"web": {"size": 4}}
    scene.restart()
    assert asyncio.run(scene.prod.propose()).changes == ()


def test_a_stack_with_other_changes_waiting_is_not_scaled_beside_them(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "here", tmp_path / "state")
    with pytest.raises(Refused, match="other changes waiting"):
        asyncio.run(plan_scaling(Scaling("webhooks", "up"), scene.desk()))


def test_without_the_engine_or_a_file_to_write_it_is_refused_with_what_to_do(scene: Scene) -> None:
    with pytest.raises(Refused, match="pulumi command is not here") as missing:
        asyncio.run(plan_scaling(Scaling("webhooks", "up"), replace(scene.desk(), restack=None)))
    assert "doctor" in str(missing.value.hint)
    with pytest.raises(Refused) as sealed:
        asyncio.run(plan_scaling(Scaling("webhooks", "up"), replace(scene.desk(), file=None)))
    assert "set pulumi.stacks.prod.config.workers to 3" in str(sealed.value.hint)


def test_an_end_that_is_past_is_no_end(scene: Scene) -> None:
    past = scene.world.clock.now() - timedelta(minutes=1)
    with pytest.raises(UsageError, match="not in the future"):
        asyncio.run(plan_scaling(Scaling("webhooks", "up", end=past), scene.desk()))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("stack: prod, ", "", "services.webhooks.stack"),
        ("config_key: workers, ", "", "services.webhooks.config_key"),
        ("stack: prod", "stack: other", "no stack other"),
        ("{workers: 2}", "{workers: many}", "no whole number"),
        ("config_key: workers", "config_key: helpers", "no whole number"),
    ],
)
def test_what_is_not_said_is_asked_for_by_its_path(tmp_path: Path, old: str, new: str, message: str) -> None:
    scene = Scene(tmp_path / "here", tmp_path / "state", TEXT.replace(old, new))
    with pytest.raises(Refused) as refused:
        asyncio.run(plan_scaling(Scaling("webhooks", "up"), scene.desk()))
    assert message in f"{refused.value.message} {refused.value.hint}"


def test_a_key_that_the_program_does_not_read_scales_nothing(tmp_path: Path) -> None:
    text = TEXT.replace("{workers: 2}", "{workers: 2, idle: 2}").replace("config_key: workers", "config_key: idle")
    scene = Scene(tmp_path / "here", tmp_path / "state", text)
    scene.deploy()
    scene.restart()
    with pytest.raises(Refused, match="does not change with idle"):
        asyncio.run(plan_scaling(Scaling("webhooks", "up"), scene.desk()))
