"""Stack drift in heal: found by property, put back where the autonomy allows, left open or ignored elsewhere."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sophia_cli.core.errors import Unreachable
from sophia_cli.flows.mending import only
from tests.flows.stack_scene import TEXT, Scene

TARGET = "stack:organization/shop/prod"


def made(tmp_path: Path, autonomy: str, more: str = "", **stack: object) -> Scene:
    text = TEXT.replace("autonomy: suggest", f"autonomy: {autonomy}") + more
    scene = Scene(tmp_path / "here", tmp_path / "state", text, more=dict(stack))
    scene.deploy()
    return scene


def found(scene: Scene, *, dry_run: bool = False) -> list[tuple[str, str, str]]:
    healed = scene.heal(dry_run=dry_run)
    return [
        (entry.finding.target, entry.finding.evidence["property"], entry.why)
        for entry in healed.open
        if entry.finding.id == "STACK-DRIFT"
    ]


@pytest.mark.parametrize(
    ("autonomy", "is_mended"),
    [("observe", False), ("suggest", False), ("autonomous-safe", True), ("autonomous", True)],
)
def test_drift_is_put_back_under_the_autonomy_that_allows_it(tmp_path: Path, autonomy: str, is_mended: bool) -> None:
    scene = made(tmp_path, autonomy)
    scene.prod.there["web"] = {"size": 9}
    healed = scene.heal()
    assert (scene.prod.there["web"]["size"] == 2) is is_mended
    assert [run.outcome for run in healed.runs] == (["applied"] if is_mended else [])
    finding = next(one for one in healed.findings if one.id == "STACK-DRIFT")
    assert (finding.target, finding.evidence["recorded"], finding.evidence["there"]) == (TARGET, 2, 9)
    assert [one.id for one in healed.repaired] == (["STACK-DRIFT"] if is_mended else [])
    assert [entry.why for entry in healed.open] == ([] if is_mended else ["needs approval"])


def test_a_dry_run_names_the_one_property_and_writes_nothing(tmp_path: Path) -> None:
    scene = made(tmp_path, "autonomous")
    scene.prod.there["web"] = {"size": 9}
    assert found(scene, dry_run=True) == [(TARGET, "size", "needs approval")]
    assert scene.prod.there["web"]["size"] == 9


def test_of_two_that_drifted_only_the_harmless_one_goes_back(tmp_path: Path) -> None:
    scene = made(tmp_path, "autonomous-safe", names=("web", "data"), stateful=("data",))
    scene.prod.there.update(web={"size": 9}, data={"size": 9})
    healed = scene.heal()
    assert (scene.prod.there["web"]["size"], scene.prod.there["data"]["size"]) == (2, 9)
    assert [one.evidence["urn"] for one in healed.repaired] == [scene.prod.urn("web")]
    assert [(entry.finding.evidence["urn"], entry.why) for entry in healed.open] == [
        (scene.prod.urn("data"), "needs approval")
    ]


def test_a_resource_that_is_gone_is_one_finding_and_made_again(tmp_path: Path) -> None:
    scene = made(tmp_path, "autonomous-safe")
    del scene.prod.there["web"]
    healed = scene.heal()
    (finding,) = [one for one in healed.findings if one.id == "STACK-DRIFT"]
    assert "is gone" in finding.title
    assert scene.prod.there == {"web": {"size": 2}}


def test_an_ignored_drift_stays_as_it_is_until_its_end_date(tmp_path: Path) -> None:
    ignore = "  analysis: {ignore: [{id: STACK-DRIFT, target: 'stack:*', reason: load test, until: 2026-11-23}]}\n"
    scene = made(tmp_path, "autonomous", ignore)
    scene.prod.there["web"] = {"size": 9}
    assert (found(scene), scene.prod.there["web"]["size"]) == ([], 9)
    scene.later(days=3)
    scene.heal()
    assert scene.prod.there["web"]["size"] == 2


def test_what_is_frozen_is_found_and_not_touched(tmp_path: Path) -> None:
    scene = made(tmp_path, "autonomous")
    scene.prod.there["web"] = {"size": 9}
    asyncio.run(scene.world.store.freezes.freeze("stack:*"))
    assert found(scene) == [(TARGET, "size", "over limit")]
    assert scene.prod.there["web"]["size"] == 9


def test_a_stack_that_cannot_be_read_is_a_finding_and_the_zone_is_healed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = made(tmp_path, "autonomous-safe")

    async def broken(self: object) -> None:
        raise Unreachable("the backend did not answer")

    monkeypatch.setattr("tests.memory_stack.ScalingStack.drift", broken)
    scene.zone.edit(remove=scene.zone.zone.at("www"))
    healed = scene.heal()
    assert [entry.finding.id for entry in healed.open] == ["STACK-UNREADABLE"]
    assert [row.value for row in scene.zone.zone.at("www")] == ["198.51.100.7"]


def test_names_and_urns_choose_what_is_put_back(tmp_path: Path) -> None:
    scene = made(tmp_path, "suggest", names=("web", "worker"))
    scene.prod.there.update(web={"size": 9}, worker={"size": 9})
    changes = asyncio.run(scene.prod.drift()).changes
    assert only(changes, ()) == (scene.prod.urn("web"), scene.prod.urn("worker"))
    assert only(changes, ("worker",)) == (scene.prod.urn("worker"),)
    assert only(changes, (scene.prod.urn("web"), "nothing")) == (scene.prod.urn("web"),)
