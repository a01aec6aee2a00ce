"""Read-backs: as planned, as before, wrong; and what takes a wrong one back."""

from __future__ import annotations

from hypothesis import given

from sophia_cli.core.comparison import compare_zones, undo_zone
from sophia_cli.core.dns import Zone
from sophia_cli.core.history import Ownership
from sophia_cli.core.plan import applied, diff_zone
from tests.builders import IP, OTHER_IP, THIRD_IP, a, desired, txt, zone
from tests.core.test_plan import zones

BEFORE = zone(a("api"), a("www"), txt("kept"), email_type="FWD")
CHANGES = diff_zone(desired(a("api", OTHER_IP), a("new")), BEFORE, Ownership()).changes
AFTER = applied(BEFORE, CHANGES)


def test_as_planned_and_as_before() -> None:
    assert compare_zones(CHANGES, BEFORE, AFTER).is_as_planned
    assert compare_zones(CHANGES, BEFORE, BEFORE).is_as_before


def test_a_foreign_row_is_reported_and_no_fault() -> None:
    found = compare_zones(CHANGES, BEFORE, Zone.of(AFTER.name, "FWD", [*AFTER.records, a("foreign")]))
    assert found.is_as_planned
    assert found.foreign == (f"A foreign {IP}",)


def test_a_lost_row_or_mail_mode_is_wrong_even_when_our_changes_are_there() -> None:
    short = Zone.of(AFTER.name, "FWD", [row for row in AFTER.records if row.value != "kept"])
    assert compare_zones(CHANGES, BEFORE, short).lost == ("TXT @ kept",)
    reset = Zone.of(AFTER.name, "NONE", AFTER.records)
    found = compare_zones(CHANGES, BEFORE, reset)
    assert found.lost == ("mail mode FWD became NONE",)
    assert not found.is_as_planned


def test_undo_brings_back_what_was_lost_and_keeps_what_others_made() -> None:
    broken = Zone.of("example.com", "NONE", [a("api", OTHER_IP), a("foreign")])
    back = undo_zone(CHANGES, BEFORE, broken)
    assert applied(broken, back) == Zone.of("example.com", "FWD", [*BEFORE.records, a("foreign")])


def test_undo_leaves_a_set_that_another_writer_has_replaced() -> None:
    theirs = Zone.of("example.com", "FWD", [a("api", THIRD_IP), a("www"), txt("kept"), a("new")])
    back = undo_zone(CHANGES, BEFORE, theirs)
    assert {row.value for row in applied(theirs, back).at("api", "A")} == {THIRD_IP}


@given(zones, zones)
def test_undo_of_a_clean_write_is_the_zone_before(live: Zone, wanted: Zone) -> None:
    changes = diff_zone(desired(*wanted.records), live, Ownership()).changes
    after = applied(live, changes)
    assert applied(after, undo_zone(changes, live, after)) == live
