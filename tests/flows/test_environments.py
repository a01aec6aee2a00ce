"""Environments: made like another one with records of their own, given an end, taken down; secrets stand once."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from sophia_cli.core.errors import Refused, UsageError
from sophia_cli.core.history import Run
from sophia_cli.core.settings import Stack
from sophia_cli.esc.evaluate import Context
from sophia_cli.esc.load import load
from sophia_cli.flows.environments import (
    derived,
    find_stack,
    forget_empty,
    likely_base,
    plan_creation,
    plan_destruction,
    plan_expiry,
)
from sophia_cli.flows.plan import Judged
from sophia_cli.flows.rollback import plan_rollback
from tests.flows.stack_scene import TEXT, Scene

STAGING = "stack:organization/shop/staging"
SECRET = TEXT.replace("{workers: 2}", "{workers: 2, token: {fn::secret: hunter2-and-more}}")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    found = Scene(tmp_path / "here", tmp_path / "state")
    found.deploy()
    found.restart()
    return found


def created(scene: Scene, name: str = "staging", **length: float) -> Judged:
    scene.restart()
    expires = scene.world.clock.now() + timedelta(**length) if length else None
    return asyncio.run(plan_creation(name, find_stack(scene.settings, "prod"), scene.desk(), expires))


def destroyed(scene: Scene, name: str = "staging") -> Run:
    scene.restart()
    run = scene.apply(asyncio.run(plan_destruction(find_stack(scene.settings, name), scene.desk())))
    asyncio.run(forget_empty(scene.targets, scene.ground()))
    return run


def addresses(scene: Scene, name: str) -> list[str]:
    return [row.value for row in scene.zone.zone.at(name, "A")]


# -- made ---------------------------------------------------------------------------------------------------------------


def test_a_new_environment_has_settings_a_stack_and_a_record_of_its_own(scene: Scene) -> None:
    judged = created(scene)
    assert judged.plan.touched() == ("config:acme", STAGING, "dns:example.com")
    run = scene.apply(judged)
    assert run.outcome == "applied"
    assert addresses(scene, "www-staging") == ["198.51.100.7"]
    made = find_stack(scene.settings, "staging")
    assert (made.name, dict(made.config)) == ("staging", {"workers": 2})
    row = next(row for row in scene.settings.zones[0].records if row.record.name == "www-staging")
    assert (row.takes, row.record.ttl) == ("staging#ip", 600)
    assert scene.backends["staging"]["there"] == {"web": {"size": 2}}
    assert scene.backends["prod"]["there"] == {"web": {"size": 2}}


def test_the_record_is_left_unwritten_and_the_settings_go_again_when_the_stack_fails(scene: Scene) -> None:
    judged = created(scene)
    before = scene.path.read_text()

    async def refused(changes: object, fresh: object) -> None:
        raise Refused("quota exceeded")

    scene.targets[STAGING].write = refused  # type: ignore[method-assign]
    run = scene.apply(judged)
    assert run.outcome != "applied"
    assert (addresses(scene, "www-staging"), scene.path.read_text()) == ([], before)


def test_a_secret_is_taken_by_reference_and_shown_nowhere(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "here", tmp_path / "state", SECRET)
    scene.deploy()
    judged = created(scene)
    assert "hunter2" not in json.dumps(judged.plan.data())
    scene.apply(judged)
    assert scene.path.read_text().count("hunter2-and-more") == 1
    environment = load(scene.path, variables={}, context=Context())
    assert environment.values(reveal=True)["pulumi"]["stacks"]["staging"]["config"]["token"] == "hunter2-and-more"
    assert scene.backends["staging"]["settings"]["token"] == "hunter2-and-more"
    for path in (tmp_path / "state").rglob("*.json*"):
        assert "hunter2" not in path.read_text()


def test_what_others_take_their_secrets_from_is_not_taken_down(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "here", tmp_path / "state", SECRET)
    scene.deploy()
    scene.apply(created(scene))
    with pytest.raises(Refused, match=r"staging takes settings from pulumi\.stacks\.prod"):
        destroyed(scene, "prod")


@pytest.mark.parametrize("name", ["Staging", "-x", "a b", "", "x" * 41, "a/b", "a_b"])
def test_a_name_that_no_stack_can_have_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name an environment"):
        derived(name, Stack("prod", "prod"))


def test_a_new_stack_stands_beside_its_base_in_project_and_organization() -> None:
    assert derived("qa", Stack("prod", "acme/shop/prod", {"a": 1})) == Stack("qa", "acme/shop/qa", {"a": 1})


def test_one_that_is_there_or_whose_record_is_there_is_refused(scene: Scene) -> None:
    with pytest.raises(Refused, match="an environment prod already"):
        created(scene, "prod")
    scene.backends["forgotten"] = {"exists": True}
    with pytest.raises(Refused, match="is there already, though"):
        created(scene, "forgotten")
    scene.zone.edit(add=[replace(scene.zone.zone.at("other")[0], name="www-qa")])
    with pytest.raises(Refused, match=r"www-qa\.example\.com is there already"):
        created(scene, "qa")


def test_the_base_is_this_environment_or_the_only_stack_and_else_asked_for(scene: Scene) -> None:
    alone = replace(scene.settings, stack="acme")
    assert likely_base(alone).environment == "prod"
    two = replace(alone, pulumi=replace(alone.pulumi, stacks=(*alone.pulumi.stacks, Stack("qa", "qa"))))
    assert likely_base(replace(two, stack="qa")).environment == "qa"
    with pytest.raises(UsageError) as asked:
        likely_base(two)
    assert "prod, qa" in str(asked.value.hint)


def test_without_the_engine_nothing_is_planned_and_the_way_to_get_it_is_named(scene: Scene) -> None:
    scene.has_cli = False
    with pytest.raises(Refused, match="pulumi command is not here"):
        created(scene)


# -- taken down ---------------------------------------------------------------------------------------------------------


def test_records_go_first_then_the_stack_and_nothing_of_it_is_left(scene: Scene) -> None:
    before = scene.path.read_text()
    scene.apply(created(scene))
    scene.restart()
    judged = asyncio.run(plan_destruction(find_stack(scene.settings, "staging"), scene.desk()))
    assert judged.plan.touched() == ("config:acme", "dns:example.com", STAGING)
    assert {reason.rule for reason in judged.verdict.reasons if reason.needs == "name"} == {"stack-destroyed"}
    assert destroyed(scene).outcome == "applied"
    assert (addresses(scene, "www-staging"), scene.path.read_text()) == ([], before)
    assert scene.backends["staging"]["exists"] is False
    assert addresses(scene, "www") == ["198.51.100.7"]


def test_the_stack_stays_when_its_records_cannot_be_removed(scene: Scene) -> None:
    scene.apply(created(scene))
    scene.zone.fault("write", "refused")
    run = destroyed(scene)
    assert run.leg(STAGING).phase == "skipped"
    assert scene.backends["staging"]["there"] == {"web": {"size": 2}}


def test_a_whole_stack_is_not_counted_against_the_limit_of_single_deletes(tmp_path: Path) -> None:
    names = tuple(f"web{number}" for number in range(9))
    scene = Scene(tmp_path / "here", tmp_path / "state", more={"names": names})
    scene.deploy()
    scene.apply(created(scene))
    assert destroyed(scene).outcome == "applied"


def test_what_cannot_come_back_is_said_before_it_is_destroyed(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "here", tmp_path / "state", more={"names": ("web", "data"), "stateful": ("data",)})
    scene.deploy()
    scene.restart()
    judged = asyncio.run(plan_destruction(find_stack(scene.settings, "prod"), scene.desk()))
    assert any("data" in note and "what it holds is lost" in note for note in judged.plan.notes)


def test_a_removed_secret_is_shown_nowhere(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "here", tmp_path / "state", SECRET)
    scene.deploy()
    scene.restart()
    judged = asyncio.run(plan_destruction(find_stack(scene.settings, "prod"), scene.desk()))
    assert "hunter2" not in json.dumps(judged.plan.data())
    scene.apply(judged)
    assert "hunter2" not in scene.path.read_text()
    with pytest.raises(Refused, match="holds a secret"):
        asyncio.run(
            plan_destruction(
                Stack("prod", "prod"), replace(Scene(tmp_path / "x", tmp_path / "y", SECRET).desk(), seals=None)
            )
        )


def test_a_creation_is_taken_back_by_rollback(scene: Scene) -> None:
    before = scene.path.read_text()
    run = scene.apply(created(scene))
    scene.restart()
    _, back = scene.rollback(run.id)
    assert back.outcome == "applied"
    assert (addresses(scene, "www-staging"), scene.path.read_text()) == ([], before)
    assert scene.backends["staging"]["exists"] is False


def test_what_a_rollback_cannot_bring_back_is_said_before_it_is_applied(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "here", tmp_path / "state", more={"names": ("web", "data"), "stateful": ("data",)})
    scene.deploy()
    run = scene.apply(created(scene))
    scene.restart()
    scene.stack(Stack("staging", "staging"))
    judged = asyncio.run(plan_rollback(run.id, scene.settings, scene.ground("rollback"), scene.file))
    assert any("data" in note and "what it holds is lost" in note for note in judged.plan.notes)
    assert [reason.rule for reason in judged.verdict.reasons if reason.needs == "name"] != []


# -- given an end -------------------------------------------------------------------------------------------------------


def test_an_end_is_one_edit_and_can_be_moved_and_taken_away(scene: Scene) -> None:
    scene.apply(created(scene))
    for hours in (1, 2, None):
        scene.restart()
        at = None if hours is None else scene.world.clock.now().replace(microsecond=0) + timedelta(hours=hours)
        judged = asyncio.run(plan_expiry(find_stack(scene.settings, "staging"), at, scene.desk()))
        assert [change.kind for change in judged.plan.changes] == ["config.value"]
        scene.apply(judged)
        assert find_stack(scene.settings, "staging").expires == at


@pytest.mark.parametrize(
    ("autonomy", "is_removed"),
    [("observe", False), ("suggest", False), ("autonomous-safe", False), ("autonomous", True)],
)
def test_an_expired_environment_is_reported_and_removed_only_under_autonomous(
    tmp_path: Path, autonomy: str, is_removed: bool
) -> None:
    text = TEXT.replace("autonomy: suggest", f"autonomy: {autonomy}")
    scene = Scene(tmp_path / "here", tmp_path / "state", text)
    scene.deploy()
    scene.apply(created(scene, hours=1))
    assert [one.id for one in scene.heal().findings] == []
    scene.later(hours=2)
    healed = scene.heal()
    assert [one.id for one in healed.findings] == ["ENV-EXPIRED"]
    assert [entry.why for entry in healed.open] == ([] if is_removed else ["needs approval"])
    assert [run.outcome for run in healed.runs] == (["applied"] if is_removed else [])
    assert addresses(scene, "www-staging") == ([] if is_removed else ["198.51.100.7"])
    assert scene.backends["staging"]["exists"] is not is_removed
    assert ("staging" in scene.path.read_text()) is not is_removed
    if is_removed:
        assert scene.heal().findings == ()


def test_an_expired_environment_that_holds_data_waits_for_a_person(tmp_path: Path) -> None:
    text = TEXT.replace("autonomy: suggest", "autonomy: autonomous")
    scene = Scene(tmp_path / "here", tmp_path / "state", text, more={"names": ("web", "d"), "stateful": ("d",)})
    scene.deploy()
    scene.apply(created(scene, hours=1))
    scene.later(hours=2)
    healed = scene.heal()
    assert [(entry.finding.id, entry.why) for entry in healed.open] == [("ENV-EXPIRED", "needs approval")]
    assert scene.backends["staging"]["there"].keys() == {"web", "d"}


def test_an_end_in_the_past_is_refused(scene: Scene) -> None:
    with pytest.raises(UsageError, match="not in the future"):
        created(scene, hours=-1)


# -- killed -------------------------------------------------------------------------------------------------------------


def test_a_creation_that_was_killed_in_the_stack_is_settled_by_heal(scene: Scene) -> None:
    from tests.memory import Killed

    judged = created(scene)
    scene.targets[STAGING].cut_off = True
    with pytest.raises(Killed):
        scene.apply(judged)
    scene.heal()
    assert asyncio.run(scene.world.open_runs()) == ()
