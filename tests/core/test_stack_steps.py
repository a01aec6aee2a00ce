"""Engine steps folded by resource: replacements, unknown operations, drift, property-level differences."""

from __future__ import annotations

import random
from typing import Any

import pytest

from sophia_cli.core.changes import Change
from sophia_cli.core.stack_steps import EngineStep, PathDiff, ResourceStep, Side, changes_of, fold, leaves, path_steps
from sophia_cli.core.stacks import ROOT_TYPE, Property, Resource

URN = "urn:pulumi:prod::shop::aws:s3/bucket:Bucket::logs"
KIND = "aws:s3/bucket:Bucket"
ROOT = f"urn:pulumi:prod::shop::{ROOT_TYPE}::shop-prod"


def step(number: int, op: str, old: Side | None = None, new: Side | None = None, **more: Any) -> EngineStep:
    return EngineStep(number, more.pop("phase", "end"), op, more.pop("urn", URN), KIND, old, new, **more)


def side(**inputs: Any) -> Side:
    return Side("id-1", False, inputs, inputs)


def only(*events: EngineStep) -> ResourceStep:
    (found,) = fold(events)
    return found


def replacement() -> list[EngineStep]:
    old, new = side(path="a", text="same"), side(path="b", text="same")
    return [
        step(number, op, old, None if op == "delete-replaced" else new, phase=phase, keys=("path",))
        for number, (op, phase) in enumerate(
            (op, phase) for op in ("create-replacement", "replace", "delete-replaced") for phase in ("begin", "end")
        )
    ]


def test_a_replacement_is_one_step_in_whatever_order_its_events_come() -> None:
    events = replacement()
    for seed in range(20):
        shuffled = list(events)
        random.Random(seed).shuffle(shuffled)
        found = only(*shuffled)
        assert (found.action, found.keys) == ("replace", ("path",))
        assert found.properties == (Property("path", "a", "b", "update", True),)


def test_an_operation_nobody_knows_is_shown_and_not_dropped() -> None:
    found = only(step(1, "extend-parameterize", None, side(a=1)), step(2, "same", side(a=1), side(a=1)))
    assert (found.action, found.ops) == ("unknown", ("extend-parameterize", "same"))
    (change,) = changes_of("stack:o/p/s", [found], "config", "named")
    assert "extend-parameterize" in change.reason
    assert Change.from_data(change.data()) == change


def test_an_event_of_an_unknown_kind_about_a_resource_is_shown() -> None:
    assert only(step(1, "create", None, side(a=1), phase="unknown")).action == "unknown"


@pytest.mark.parametrize("op", ["same", "read"])
def test_what_changes_nothing_is_no_step(op: str) -> None:
    assert fold([step(1, op, side(a=1), side(a=1))]) == ()


def test_a_delete_beside_another_step_takes_away_the_old_copy_of_a_resource_that_stays() -> None:
    assert only(step(1, "same", side(a=1), side(a=1)), step(2, "delete", side(a=1))).action == "replace"
    assert only(step(1, "create", None, side(a=1)), step(2, "delete", side(a=1))).action == "replace"


def test_a_refresh_shows_drift_by_its_values_and_not_by_the_engines_word() -> None:
    recorded, drifted = Side("i", False, {"a": 1}, {"a": 1}), Side("i", False, {"a": 1}, {"a": 2})
    begin = step(1, "refresh", recorded, recorded, phase="begin")
    assert fold([begin, step(2, "same", recorded, recorded)]) == ()
    assert fold([begin, step(2, "update", drifted, drifted)]) == ()
    found = only(begin, step(2, "update", recorded, drifted))
    assert (found.action, found.properties) == ("update", (Property("a", 1, 2),))
    assert only(begin, step(2, "delete", recorded, None)).action == "delete"


def test_a_drift_that_only_a_secret_can_explain_is_not_ruled_out() -> None:
    secret = Side("i", False, {"a": 1}, {"a": 1, "password": "[secret]"})
    assert only(step(1, "refresh", secret, secret, phase="begin"), step(2, "update", secret, secret)).action == "update"
    code = Side("i", False, {"a": 1}, {"a": 1, "__provider": "[secret]"})
    assert fold([step(1, "refresh", code, code, phase="begin"), step(2, "update", code, code)]) == ()


def test_after_a_refresh_the_step_that_follows_says_what_becomes_of_the_resource() -> None:
    old, new = side(text="drifted"), side(text="wanted")
    events = [step(1, "refresh", old, old), step(2, "update", old, new, phase="begin"), step(3, "update", old, new)]
    assert only(*events).properties == (Property("text", "drifted", "wanted"),)
    assert fold([step(1, "refresh", old, old), step(2, "same", old, old)]) == ()


def test_outputs_that_change_are_a_step_of_the_stack_itself() -> None:
    old = Side("", False, {}, {"ip": "192.0.2.1"})
    new = Side("", False, {}, {"ip": "192.0.2.2", "token": "[secret]"})
    events = [EngineStep(1, "end", "same", ROOT, ROOT_TYPE, old, new)]
    found = only(*events)
    assert found.action == "update"
    assert found.properties == (
        Property("ip", "192.0.2.1", "192.0.2.2"),
        Property("token", None, "[secret]", "add"),
    )


def test_a_providers_own_diff_is_believed_where_it_says_which_side_holds_the_value() -> None:
    old = Side("i", False, {"size": 1, "tags": {"a": "x"}}, {"size": 2, "arn": "arn:1", "tags": {"a": "x"}})
    new = Side("i", False, {"size": 3, "tags": {}}, {"size": 3, "arn": "[unknown]"})
    detailed = {
        "size": PathDiff("update"),
        "tags.a": PathDiff("delete", True),
        "arn": PathDiff("update-replace"),
    }
    found = only(step(1, "replace", old, new, detailed=detailed))
    assert found.properties == (
        Property("arn", "arn:1", "[unknown]", "update", True),
        Property("size", 2, 3),
        Property("tags.a", "x", None, "delete"),
    )


def test_an_update_that_shows_nothing_names_the_secrets_that_may_have_changed() -> None:
    found = only(step(1, "update", side(a=1, key="[secret]"), side(a=1, key="[secret]")))
    assert found.properties == (Property("key", "[secret]", "[secret]"),)


def test_deletes_come_last_and_the_rest_by_name() -> None:
    events = [
        step(1, "delete", side(a=1), urn="urn:pulumi:p::s::t:t:T::a"),
        step(2, "create", None, side(a=1), urn="urn:pulumi:p::s::t:t:T::c"),
        step(3, "create", None, side(a=1), urn="urn:pulumi:p::s::t:t:T::b"),
    ]
    assert [found.name for found in fold(events)] == ["b", "c", "a"]


def test_protected_and_stateful_resources_say_so_on_both_sides() -> None:
    old = Side("i", True, {"a": 1}, {})
    (change,) = changes_of("stack:o/p/s", fold([step(1, "delete", old)]), "config", "not in the program")
    assert isinstance(change.before, Resource)
    assert (change.before.protect, change.before.stateful, change.before.ranks_high, change.after) == (
        True,
        True,
        True,
        None,
    )


def test_a_failed_step_is_marked() -> None:
    found = only(step(1, "create", None, side(a=1), phase="begin"), step(2, "create", None, side(a=1), phase="failed"))
    assert (found.failed, found.done) == (True, False)
    assert only(step(1, "create", None, side(a=1))).done
    assert not only(step(1, "create", None, side(a=1), planning=True)).done


def test_property_paths_come_apart_and_together() -> None:
    values = {"a": [{"b.c": 1, "d": {}}], 'q"uote': [], "plain": None}
    found = dict(leaves(values))
    assert found == {'a[0]["b.c"]': 1, "a[0].d": {}, '["q\\"uote"]': [], "plain": None}
    assert [path_steps(path) for path in found] == [("a", 0, "b.c"), ("a", 0, "d"), ("plain",), ('q"uote',)]
