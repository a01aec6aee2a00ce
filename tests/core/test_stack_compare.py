"""Stacks held against plans: what agrees with an approval, what came of a write, what can be taken back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sophia_cli.core.canonical import digest_of
from sophia_cli.core.changes import Action, Change, ConfigValue
from sophia_cli.core.stack_compare import compare_stacks, differences, inverse_changes, irreversible
from sophia_cli.core.stacks import ROOT_TYPE, Output, Resource, ResourceState, StackState

TARGET = "stack:organization/shop/prod"
BUCKET = "aws:s3/bucket:Bucket"


def urn(name: str, kind: str = BUCKET) -> str:
    return f"urn:pulumi:prod::shop::{kind}::{name}"


def resource(name: str, kind: str = BUCKET, **properties: Any) -> Resource:
    return Resource(urn(name, kind), kind, name, "id", stateful=kind == BUCKET, properties=properties)


def change(action: Action, before: Resource | None, after: Resource | None) -> Change:
    return Change(TARGET, "stack.resource", action, before, after)


def setting(before: Any, after: Any, key: str = "shop:text") -> Change:
    sides = [None if value is None else ConfigValue(key, value) for value in (before, after)]
    action: Action = "create" if before is None else "delete" if after is None else "update"
    return Change(TARGET, "stack.config", action, *sides)


def state(config: dict[str, str] | None = None, ip: str = "192.0.2.1", **resources: dict[str, Any]) -> StackState:
    held = {
        urn(name): ResourceState.of(BUCKET, "id", False, {path: digest_of(value) for path, value in values.items()}, {})
        for name, values in resources.items()
    }
    return StackState("organization/shop/prod", True, held, config or {}, {"ip": Output(ip)})


def states(made: Change, before: StackState, after: StackState) -> str:
    return compare_stacks([made], before, after).states[0]


def test_what_is_planned_now_must_be_what_was_approved() -> None:
    one = change("update", resource("a", text="x"), resource("a", text="y"))
    assert differences([one], [replace(one, source="drift", reason="else", id="c9")]) == ()
    assert differences([one], [])
    assert differences([], [one])
    assert differences([one], [change("replace", one.before, one.after)])  # type: ignore[arg-type]
    assert differences([one], [change("update", resource("a", text="x"), resource("a", text="z"))])
    assert differences([one], [change("update", resource("a", text="x"), resource("a", text="y", more=1))])


def test_a_value_that_was_not_known_at_approval_agrees_with_what_comes() -> None:
    one = change("create", None, resource("a", address="[unknown]", text="x"))
    assert differences([one], [change("create", None, resource("a", address="192.0.2.7", text="x"))]) == ()
    assert differences([one], [change("create", None, resource("a", address="192.0.2.7", text="y"))])


def test_a_resource_that_loses_its_protection_on_the_way_was_not_approved() -> None:
    one = change("update", resource("a", text="x"), resource("a", text="y"))
    other = change("update", replace(resource("a", text="x"), protect=True), resource("a", text="y"))
    assert differences([one], [other])


def test_each_action_is_told_from_the_state_it_leaves() -> None:
    create = change("create", None, resource("a", text="x"))
    assert states(create, state(), state(a={"text": "x"})) == "after"
    assert states(create, state(), state()) == "before"
    delete = change("delete", resource("a", text="x"), None)
    assert states(delete, state(a={"text": "x"}), state()) == "after"
    assert states(delete, state(a={"text": "x"}), state(a={"text": "x"})) == "before"
    update = change("update", resource("a", text="x"), resource("a", text="y"))
    assert states(update, state(a={"text": "x"}), state(a={"text": "y"})) == "after"
    assert states(update, state(a={"text": "x"}), state(a={"text": "x"})) == "before"
    assert states(update, state(a={"text": "x"}), state(a={"text": "z"})) == "neither"
    assert states(update, state(a={"text": "x"}), state()) == "neither"


def test_a_secret_update_is_told_by_whether_anything_changed() -> None:
    update = change("update", resource("a", key="[secret]"), resource("a", key="[secret]"))
    assert states(update, state(a={"key": "hmac1"}), state(a={"key": "hmac2"})) == "after"
    assert states(update, state(a={"key": "hmac1"}), state(a={"key": "hmac1"})) == "before"


def test_a_replacement_that_was_cut_off_is_neither_before_nor_after() -> None:
    made = change("replace", resource("a", path="x"), resource("a", path="y"))
    after = state(a={"path": "y"})
    cut = replace(after, resources={**after.resources, f"{urn('a')}#to-be-deleted": after.resources[urn("a")]})
    assert states(made, state(a={"path": "x"}), after) == "after"
    assert states(made, state(a={"path": "x"}), cut) == "neither"


def test_configuration_and_outputs_are_told_as_well() -> None:
    assert states(setting("one", "two"), state({"shop:text": "d1"}), state({"shop:text": "d2"})) == "after"
    assert states(setting("one", "two"), state({"shop:text": "d1"}), state({"shop:text": "d1"})) == "before"
    assert states(setting("one", None), state({"shop:text": "d1"}), state({})) == "after"
    assert states(setting(None, "one"), state({}), state({})) == "before"
    root = Resource(urn("shop-prod", ROOT_TYPE), ROOT_TYPE, "shop-prod", properties={"ip": "192.0.2.2"})
    before = state()
    rooted = {root.urn: ResourceState(ROOT_TYPE)}
    before, after = (replace(one, resources=rooted) for one in (before, state(ip="192.0.2.2")))
    made = change("update", replace(root, properties={"ip": "192.0.2.1"}), root)
    assert states(made, before, after) == "after"
    assert states(made, before, before) == "before"


def test_what_went_or_changed_beside_the_plan_is_lost_and_what_came_is_foreign() -> None:
    made = change("update", resource("a", text="x"), resource("a", text="y"))
    found = compare_stacks(
        [made],
        state(a={"text": "x"}, gone={"k": 1}, other={"k": 1}),
        state(a={"text": "y"}, other={"k": 2}, new={"k": 1}),
    )
    assert [line.split()[0] for line in found.lost] == ["gone", "other"]
    assert [line.split()[0] for line in found.foreign] == ["new"]
    assert not found.is_as_planned


def test_only_a_change_of_configuration_can_be_taken_back() -> None:
    update = change("update", resource("a", text="x"), resource("a", text="y"))
    before, now = state({"shop:text": "d1"}, a={"text": "x"}), state({"shop:text": "d2"}, a={"text": "y"})
    assert inverse_changes([update], before, now) == ()
    back = inverse_changes([setting("one", "two"), update], before, now)
    assert [(one.kind, one.before.data()) for one in back] == [  # type: ignore[union-attr]
        ("stack.resource", update.after.data()),  # type: ignore[union-attr]
        ("stack.config", {"path": "shop:text", "value": "two"}),
    ]
    assert inverse_changes([setting("one", "two"), update], before, before) == ()


def test_resources_come_back_also_where_the_configuration_was_not_recorded_yet() -> None:
    update = change("update", resource("a", text="x"), resource("a", text="y"))
    before, cut_off = state({"shop:text": "d1"}, a={"text": "x"}), state({"shop:text": "d1"}, a={"text": "y"})
    (back,) = inverse_changes([setting("one", "two"), update], before, cut_off)
    assert (back.kind, back.after) == ("stack.resource", update.before)


def test_what_cannot_come_back_is_said() -> None:
    lost = irreversible(
        [
            change("delete", resource("logs"), None),
            change("replace", resource("data", text="x"), resource("data", text="y")),
            change("delete", resource("web", "aws:ec2/instance:Instance", ami="a"), None),
            change("update", resource("logs2"), resource("logs2")),
        ]
    )
    assert [line.split()[0] for line in lost] == ["logs", "data"]
