"""A stack's configuration file: only what differs is set, secrets as ciphertext, the rest of the file untouched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr
from ruamel.yaml import YAML

from sophia_cli.core.errors import BadResponse, InvalidEnvironment
from sophia_cli.providers.pulumi.configuration import (
    Setting,
    config_changes,
    current,
    differing,
    edited,
    restored,
    setting,
    wanted,
)

FILE = """# kept by ada
encryptionsalt: v1:abc
environment:
  - shop/base   # imported
config:
  shop:text: "one"  # a comment
  shop:number: 3
  shop:nested:
    list: [1, 2]
    key:
      secure: v1:old
"""


def loaded(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def test_only_what_differs_is_set_and_everything_else_stays() -> None:
    text = edited(FILE, {"shop:text": "two", "shop:token": SecretStr("hunter2")}, {"hunter2": "v1:sealed"})
    assert text.splitlines()[:5] == FILE.splitlines()[:5]
    assert "# a comment" in text
    assert "hunter2" not in text
    before, after = loaded(FILE), loaded(text)
    assert after["config"].pop("shop:token") == {"secure": "v1:sealed"}
    assert after["config"].pop("shop:text") == "two"
    del before["config"]["shop:text"]
    assert after == before


def test_secrets_inside_a_map_are_sealed_where_they_stand_and_types_are_kept() -> None:
    value = {"port": 5432, "on": True, "users": [{"name": "a", "password": SecretStr("p")}]}
    found = loaded(edited("", {"shop:db": value}, {"p": "v1:p"}))["config"]["shop:db"]
    assert found == {"port": 5432, "on": True, "users": [{"name": "a", "password": {"secure": "v1:p"}}]}


def test_a_key_written_without_its_project_is_not_doubled() -> None:
    found = loaded(edited("config:\n  text: one\n", {"shop:text": "two"}, {}))
    assert found["config"] == {"shop:text": "two"}


def test_a_file_that_is_not_yaml_is_explained() -> None:
    with pytest.raises(InvalidEnvironment):
        edited("config: [", {"a:b": 1}, {})


def test_a_value_is_compared_as_the_cli_lists_it() -> None:
    listed = {
        "shop:text": {"value": "one", "secret": False},
        "shop:number": {"value": "3", "secret": False},
        "shop:on": {"value": "true", "secret": False},
        "shop:token": {"value": "hunter2", "secret": True},
        "shop:db": {"value": '{"a":1}', "objectValue": {"a": 1}, "secret": False},
    }
    there = current("o/p/s", json.dumps(listed))
    same = {"text": "one", "number": 3, "on": True, "token": SecretStr("hunter2"), "db": {"a": 1}}
    assert differing(there, wanted("shop", same)) == {}
    assert set(differing(there, wanted("shop", {**same, "number": 4, "db": {"a": 2}}))) == {"shop:number", "shop:db"}
    assert set(differing(there, wanted("shop", {**same, "token": "hunter2"}))) == {"shop:token"}
    assert wanted("shop", {"aws:region": "eu", "gone": None}) == {"aws:region": "eu"}


def test_changes_show_no_secret_on_either_side() -> None:
    there = {"shop:token": Setting("old-secret", True), "shop:text": Setting("one", False)}
    after = {
        "shop:token": setting(SecretStr("new-secret")),
        "shop:text": None,
        "shop:db": setting({"k": SecretStr("in")}),
    }
    changes = config_changes("stack:o/p/s", there, after)
    assert [(one.action, one.data()["before"], one.data()["after"]) for one in changes] == [
        ("create", None, {"path": "shop:db", "value": "[secret]"}),
        ("delete", {"path": "shop:text", "value": "one"}, None),
        ("update", {"path": "shop:token", "value": "[secret]"}, {"path": "shop:token", "value": "[secret]"}),
    ]
    assert "secret'" not in repr(there["shop:token"]).replace("[secret]", "")
    assert restored(there, {"shop:text": Setting("one", False)}) == {"shop:token": None}


def test_digests_of_secrets_depend_on_the_key_and_those_of_plain_values_do_not() -> None:
    secret, plain = Setting("x", True), Setting("x", False)
    assert secret.digest(b"a") != secret.digest(b"b")
    assert plain.digest(b"a") == plain.digest(b"b")


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": 1}'])
def test_a_listing_of_another_form_is_not_taken_for_an_empty_one(text: str) -> None:
    with pytest.raises(BadResponse):
        current("o/p/s", text)
