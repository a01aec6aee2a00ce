"""Lasting changes: the edits of the environment after which it names what the zone then holds."""

from __future__ import annotations

from typing import Any

from sophia_cli.core.changes import Change, ConfigValue, EmailMode
from sophia_cli.core.dns import Record, Zone
from sophia_cli.core.lasting import lasting, literal, record_key
from sophia_cli.core.plan import applied
from sophia_cli.core.settings import DesiredRecord, DesiredZone
from tests.builders import IP, OTHER_IP, THIRD_IP, a, mx, txt, zone

TARGET = "dns:example.com"


def wants(*rows: tuple[str, Record], ttl: int | None = None) -> DesiredZone:
    return DesiredZone("example.com", "dns", tuple(DesiredRecord(row, path) for path, row in rows), ttl=ttl)


def change(before: Record | None, after: Record | None) -> Change:
    action: Any = "create" if before is None else "delete" if after is None else "update"
    return Change(TARGET, "dns.record", action, before, after, "user")


def edits(live: Zone, want: DesiredZone, file: dict[str, Any], *changes: Change) -> dict[str, Any]:
    """Path to new value (None: removed)."""
    found = lasting(changes, want, applied(live, changes), "acme", file.get)
    assert {one.target for one in found} <= {"config:acme"}
    result = {}
    for one in found:
        side = one.after if one.after is not None else one.before
        assert isinstance(side, ConfigValue)
        result[side.path] = one.after.value if isinstance(one.after, ConfigValue) else None
    return result


def test_a_new_record_gets_a_readable_key_and_no_ttl_that_the_section_gives() -> None:
    found = edits(zone(), wants(ttl=1800), {}, change(None, a("api")))
    assert found == {"dns.records.api": {"type": "A", "name": "api", "value": IP}}
    found = edits(zone(), wants(ttl=300), {}, change(None, a("*")))
    assert found == {"dns.records.wildcard": {"type": "A", "name": "*", "value": IP, "ttl": 1800}}


def test_a_new_value_is_written_where_the_old_one_stands() -> None:
    want = wants(("dns.records.api", a("api")))
    found = edits(zone(a("api")), want, {"dns.records.api.value": "${ip}"}, change(a("api"), a("api", OTHER_IP)))
    assert found == {"dns.records.api.value": OTHER_IP}


def test_setting_a_set_that_the_environment_lists_names_exactly_that_set() -> None:
    want = wants(("dns.records.api", a("api", IP)), ("dns.records.api", a("api", OTHER_IP)))
    file = {"dns.records.api.values": ["${web}", "${spare}"]}
    assert edits(zone(), want, file, change(None, a("api", THIRD_IP))) == {"dns.records.api.values": [THIRD_IP]}
    both = zone(a("api", IP), a("api", OTHER_IP))
    found = edits(both, want, file, change(a("api", OTHER_IP), a("api", THIRD_IP)))
    assert found == {"dns.records.api.values": ["${web}", THIRD_IP]}
    gone = (change(a("api", IP), None), change(a("api", OTHER_IP), None))
    assert edits(both, want, {**file, "dns.records.api": {}}, *gone) == {"dns.records.api": None}


def test_entries_of_one_set_under_several_keys_are_reused_and_surplus_ones_go() -> None:
    want = wants(("dns.records.one", a("api", IP)), ("dns.records.two", a("api", OTHER_IP)))
    file = {"dns.records.one": {}, "dns.records.two": {}, "dns.records.one.value": IP}
    live = zone(a("api", IP), a("api", OTHER_IP))
    changes = (change(a("api", IP), a("api", THIRD_IP)), change(a("api", OTHER_IP), None))
    assert edits(live, want, file, *changes) == {"dns.records.one.value": THIRD_IP, "dns.records.two": None}


def test_what_the_environment_names_already_needs_no_edit() -> None:
    assert (
        edits(zone(), wants(("dns.records.api", a("api"))), {"dns.records.api.value": IP}, change(None, a("api"))) == {}
    )
    want = wants(("dns.records.t", txt("hello")))
    assert edits(zone(), want, {"dns.records.t.value": "hello"}, change(None, txt("hello"))) == {}


def test_single_values_stand_beside_each_other_each_under_its_own_key() -> None:
    want = wants(("dns.records.root", a("@")), ("dns.records.root_txt", txt("one")))
    found = edits(zone(txt("one")), want, {}, change(None, txt("two")))
    assert found == {"dns.records.root_txt_2": {"type": "TXT", "name": "@", "value": "two", "ttl": 1800}}


def test_a_preference_a_ttl_and_a_mail_mode_are_edited_by_their_own_path() -> None:
    want = wants(("dns.records.mx", mx(priority=10, ttl=300)))
    found = edits(zone(mx(ttl=300)), want, {"dns.records.mx.ttl": 300}, change(mx(ttl=300), mx(priority=20, ttl=600)))
    assert found == {"dns.records.mx.priority": 20, "dns.records.mx.ttl": 600}
    mode = Change(TARGET, "dns.email_type", "update", EmailMode("FWD"), EmailMode("MX"), "user")
    assert edits(zone(email_type="FWD"), wants(), {"dns.email_type": "FWD"}, mode) == {"dns.email_type": "MX"}


def test_a_removed_record_that_the_environment_does_not_name_needs_no_edit() -> None:
    assert edits(zone(txt("theirs")), wants(), {}, change(txt("theirs"), None)) == {}


def test_a_text_that_looks_like_a_reference_is_written_so_that_it_means_itself() -> None:
    assert literal("${x} costs $$5") == "$${x} costs $$$$5"
    assert literal("costs $5") == "costs $5"


def test_keys_are_readable_and_never_taken_twice() -> None:
    assert record_key(a("@"), set()) == "root"
    assert record_key(mx(), {"root"}) == "root_mx"
    assert record_key(txt("x", "_dmarc"), set()) == "dmarc"
    assert record_key(txt("x"), {"root", "root_txt"}) == "root_txt_2"
    assert record_key(a("1st.b"), set()) == "r_1st_b"
