"""What every form of the stack port must do: in memory, against recorded events, and against the real engine."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import pytest
from pydantic import SecretStr

from sophia_cli.core.changes import Change, ConfigValue
from sophia_cli.core.errors import Refused, StalePlan
from sophia_cli.core.ports import Part
from sophia_cli.core.stacks import Resource, StackState

TOKEN = "s3cret-token-of-the-tests"


class Scene(Protocol):
    """A stack with a program that a test can rewrite and resources that a test can change behind the engine's back."""

    config: dict[str, Any]

    def list(self, *resources: Mapping[str, Any]) -> None: ...

    def a_file(self, name: str, text: str, **more: Any) -> dict[str, Any]: ...

    def tamper(self, name: str, text: str) -> None: ...

    def target(self) -> Any: ...


def by_name(changes: Sequence[Change]) -> dict[str, Change]:
    """Resource changes by name and configuration changes by key; the stack itself is `stack`."""
    found = {}
    for change in changes:
        side = change.after if change.after is not None else change.before
        if isinstance(side, Resource):
            found["stack" if side.is_root else side.name] = change
        else:
            assert isinstance(side, ConfigValue)
            found[side.path] = change
    return found


def actions(part: Part) -> dict[str, str]:
    return {name: change.action for name, change in by_name(part.changes).items()}


def sides(change: Change) -> tuple[dict[str, Any], dict[str, Any]]:
    before = change.before.properties if isinstance(change.before, Resource) else {}
    after = change.after.properties if isinstance(change.after, Resource) else {}
    return dict(before), dict(after)


async def made(scene: Scene, *resources: Mapping[str, Any]) -> None:
    """Bring the scene's stack up with these resources."""
    scene.list(*resources)
    target = scene.target()
    part = await target.propose()
    await target.write(part.changes, part.snapshot)


STASH = {"kind": "stash", "name": "tok"}


async def a_new_stack_is_previewed_without_being_made_and_then_made(scene: Scene) -> None:
    scene.list(STASH, {"kind": "group", "name": "site"}, scene.a_file("page", "hello"))
    target = scene.target()
    nothing = await target.read()
    assert not nothing.content.exists

    part = await target.propose()
    assert actions(part) == {
        "shop:token": "create",
        "stack": "create",
        "tok": "create",
        "site": "create",
        "page": "create",
    }
    changes = by_name(part.changes)
    assert sides(changes["page"])[1]["text"] == "hello"
    assert sides(changes["tok"])[1] == {"input": "[secret]"}
    assert changes["tok"].after.stateful
    assert not part.outputs["page"].is_known
    assert part.outputs["token"].is_secret
    assert part.outputs["count"].value == 3
    assert (await target.read()).digest == nothing.digest
    assert TOKEN not in json.dumps([change.data() for change in part.changes])

    await target.write(part.changes, part.snapshot)
    after = await target.read()
    assert target.compare(part.changes, part.snapshot, after).is_as_planned
    assert (await target.verify(part.changes, part.snapshot, (), 0)).verified
    assert TOKEN not in json.dumps(after.content.data()) + json.dumps(after.raw)
    outputs = await target.outputs()
    assert outputs["count"].value == 3
    assert outputs["token"].is_secret
    assert json.loads(outputs["token"].value.get_secret_value()) == TOKEN
    again = await scene.target().propose()
    assert again.changes == ()
    assert again.unchanged > 0
    assert again.snapshot.digest == after.digest
    assert StackState.from_data(after.content.data()) == after.content


async def changes_name_each_property_and_can_be_taken_back(scene: Scene) -> None:
    scene.config["text"] = "one"
    await made(scene, scene.a_file("kept", "same"), scene.a_file("page", "$text"), scene.a_file("gone", "old"))
    scene.config["text"] = "two"
    scene.list(scene.a_file("kept", "same", path="elsewhere"), scene.a_file("page", "$text"))
    target = scene.target()
    part = await target.propose()
    changes = by_name(part.changes)
    assert {name: change.action for name, change in changes.items()} == {
        "shop:text": "update",
        "stack": "update",
        "kept": "replace",
        "page": "update",
        "gone": "delete",
    }
    assert (changes["shop:text"].before.value, changes["shop:text"].after.value) == ("one", "two")
    assert sides(changes["page"]) == ({"text": "one"}, {"text": "two"})
    before, after = sides(changes["kept"])
    assert before.keys() == after.keys() == {"path"}
    assert changes["kept"].after.replaces == ("path",)
    assert "path" in changes["kept"].reason
    assert part.changes[-1] == changes["gone"]

    # Only the configuration's part is written, taken back, and written off: the program stays as it is.
    scene.list(scene.a_file("kept", "same"), scene.a_file("page", "$text"), scene.a_file("gone", "old"))
    target = scene.target()
    part = await target.propose()
    assert actions(part) == {"shop:text": "update", "page": "update"}
    await target.write(part.changes, part.snapshot)
    now = await target.read()
    assert target.compare(part.changes, part.snapshot, now).is_as_planned
    back = target.undo(part.changes, part.snapshot, now)
    assert {change.action for change in back} == {"update"}
    await target.write(back, now)
    end = await target.read()
    assert target.compare(back, now, end).is_as_planned
    assert target.compare(part.changes, part.snapshot, end).is_as_before
    assert end.digest == part.snapshot.digest


async def a_plan_that_is_not_what_was_approved_is_refused(scene: Scene) -> None:
    await made(scene, scene.a_file("page", "one"))
    scene.list(scene.a_file("page", "two"))
    target = scene.target()
    part = await target.propose()
    scene.list(scene.a_file("page", "three"), scene.a_file("more", "new"))
    with pytest.raises(StalePlan) as refused:
        await scene.target().write(part.changes, part.snapshot)
    assert "more" in refused.value.message
    assert (await target.read()).digest == part.snapshot.digest
    assert target.compare(part.changes, part.snapshot, await target.read()).is_as_before
    assert target.undo(part.changes, part.snapshot, await target.read()) == ()


async def drift_is_found_by_property_and_restored_or_adopted(scene: Scene) -> None:
    await made(scene, scene.a_file("page", "as written"), scene.a_file("other", "untouched"))
    target = scene.target()
    assert (await target.drift()).changes == ()
    scene.tamper("page", "behind the engine's back")
    base = (await target.read()).digest
    found = await target.drift()
    (change,) = found.changes
    assert (change.kind, change.action, change.source) == ("stack.resource", "refresh", "drift")
    assert sides(change) == ({"text": "as written"}, {"text": "behind the engine's back"})
    assert (await target.read()).digest == base

    restore = await target.propose_restore([change.after.urn])
    (put_back,) = restore.changes
    assert (put_back.action, put_back.source) == ("update", "drift")
    assert sides(put_back) == ({"text": "behind the engine's back"}, {"text": "as written"})
    await target.write(restore.changes, restore.snapshot)
    assert (await target.verify(restore.changes, restore.snapshot, (), 0)).verified
    assert (await target.drift()).changes == ()

    scene.tamper("page", "meant to be so")
    adopt = await target.propose_adopt()
    assert not target.compare(adopt.changes, adopt.snapshot, await target.read()).is_as_planned
    await target.write(adopt.changes, adopt.snapshot)
    assert target.compare(adopt.changes, adopt.snapshot, await target.read()).is_as_planned
    assert (await target.drift()).changes == ()


async def a_protected_resource_is_shown_and_not_deleted(scene: Scene) -> None:
    await made(scene, scene.a_file("page", "precious", protect=True), STASH)
    target = scene.target()
    forbidden = await target.propose_destroy()
    assert set(actions(forbidden).values()) == {"delete"}
    assert by_name(forbidden.changes)["page"].before.protect
    (block,) = forbidden.snapshot.blocks
    assert "page" in block
    with pytest.raises(Refused):
        await target.write(forbidden.changes, forbidden.snapshot)
    assert (await target.read()).digest == forbidden.snapshot.digest
    scene.list(scene.a_file("page", "precious"), STASH)
    target = scene.target()
    unprotecting = await target.propose()
    await target.write(unprotecting.changes, unprotecting.snapshot)
    ending = await target.propose_destroy()
    assert set(actions(ending).values()) == {"delete"}
    assert any("tok" in line for line in target.irreversible(ending.changes))
    await target.write(ending.changes, ending.snapshot)
    assert target.compare(ending.changes, ending.snapshot, await target.read()).is_as_planned
    assert (await target.verify(ending.changes, ending.snapshot, (), 0)).verified
    await target.remove()
    assert not (await target.read()).content.exists


SCENARIOS: Mapping[str, Callable[[Any], Awaitable[None]]] = {
    function.__name__: function
    for function in (
        a_new_stack_is_previewed_without_being_made_and_then_made,
        changes_name_each_property_and_can_be_taken_back,
        a_plan_that_is_not_what_was_approved_is_refused,
        drift_is_found_by_property_and_restored_or_adopted,
        a_protected_resource_is_shown_and_not_deleted,
    )
}
SECRET_CONFIG: dict[str, Any] = {"token": SecretStr(TOKEN)}
