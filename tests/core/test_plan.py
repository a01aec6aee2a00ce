"""The diff: whose record is whose, and the algebra of plans."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia_cli.core.canonical import canonical
from sophia_cli.core.changes import Change, EmailMode
from sophia_cli.core.dns import HOST_TYPES, Record, Zone, normalised
from sophia_cli.core.errors import UnknownValue
from sophia_cli.core.history import Ownership
from sophia_cli.core.plan import Plan, TargetBase, applied, diff_zone, difference, finished, state_of
from tests.builders import DOMAIN, IP, NOW, OTHER_IP, THIRD_IP, a, cname, desired, mx, owned, txt, zone

NOTHING = Ownership()


def actions(changes: tuple[Change, ...]) -> list[tuple[str, str, str | None, str | None]]:
    def value(side: object) -> str | None:
        return side.value if isinstance(side, Record) else side.email_type if isinstance(side, EmailMode) else None

    return [(change.action, change.kind, value(change.before), value(change.after)) for change in changes]


def test_a_zone_that_is_as_wanted_needs_no_change() -> None:
    diff = diff_zone(desired(a("api"), mx()), zone(a("api"), mx(), email_type="MX"), NOTHING)
    assert (diff.changes, diff.kept, diff.unchanged) == ((), (), 2)


def test_address_types_are_managed_as_a_whole_set() -> None:
    diff = diff_zone(desired(a("api", OTHER_IP)), zone(a("api", IP), a("api", THIRD_IP)), NOTHING)
    assert sorted(change.action for change in diff.changes) == ["delete", "update"]
    assert applied(zone(a("api", IP), a("api", THIRD_IP)), diff.changes) == zone(a("api", OTHER_IP))
    assert not diff.kept


def test_txt_mx_and_caa_keep_values_of_others() -> None:
    live = zone(txt("google-site-verification=abc"), mx("other.example.net."), email_type="MX")
    diff = diff_zone(desired(txt("mine"), mx("mail.example.com.")), live, NOTHING)
    assert [change.action for change in diff.changes] == ["create", "create"]
    assert sorted(kept.record.value for kept in diff.kept) == ["google-site-verification=abc", "other.example.net."]
    assert {kept.why for kept in diff.kept} == {"not managed by this environment"}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("@", "v=spf1 a -all", "v=spf1 mx -all"),
        ("_dmarc", "v=DMARC1; p=none", "v=DMARC1; p=reject"),
        ("_mta-sts", "v=STSv1; id=1", "v=STSv1; id=2"),
        ("_smtp._tls", "v=TLSRPTv1; rua=mailto:a@example.com", "v=TLSRPTv1; rua=mailto:b@example.com"),
    ],
)
def test_mail_policies_are_one_set_each_so_a_second_one_replaces_the_first(name: str, old: str, new: str) -> None:
    diff = diff_zone(desired(txt(new, name)), zone(txt(old, name), txt("other", name)), NOTHING)
    assert actions(diff.changes) == [("update", "dns.record", old, new)]
    assert [kept.record.value for kept in diff.kept] == ["other"]


def test_only_what_the_environment_named_before_is_deleted_by_absence() -> None:
    live = zone(a("old"), a("foreign"), a("asked"))
    ownership = Ownership(owned(a("old")).entries + owned(a("asked"), by="user").entries)
    diff = diff_zone(desired(a("api")), live, ownership)
    deleted = [change.before.name for change in diff.changes if change.action == "delete"]  # type: ignore[union-attr]
    assert deleted == ["old"]
    assert {kept.record.name: kept.why for kept in diff.kept} == {
        "asked": "made by run run-1 (user), not by this environment",
        "foreign": "not managed by this environment",
    }


def test_an_imported_record_that_left_the_file_is_deleted() -> None:
    diff = diff_zone(desired(), zone(txt("verification")), owned(txt("verification"), by="import", written=False))
    assert actions(diff.changes) == [("delete", "dns.record", "verification", None)]


def test_purge_deletes_what_the_environment_does_not_name() -> None:
    diff = diff_zone(desired(a("api"), purge=True), zone(a("api"), a("foreign"), txt("x")), NOTHING)
    assert sorted(change.before.value for change in diff.changes if change.before) == [IP, "x"]  # type: ignore[union-attr]
    assert not diff.kept


def test_a_single_value_that_changed_in_the_file_becomes_one_update() -> None:
    diff = diff_zone(desired(txt("new")), zone(txt("old"), txt("foreign")), owned(txt("old")))
    assert actions(diff.changes) == [("update", "dns.record", "old", "new")]


def test_no_ttl_given_keeps_what_is_there_and_new_records_get_1800() -> None:
    diff = diff_zone(desired(a("api", OTHER_IP, None), a("new", IP, None)), zone(a("api", IP, 300)), NOTHING)
    ttls = {change.after.name: change.after.ttl for change in diff.changes}  # type: ignore[union-attr]
    assert ttls == {"api": 300, "new": 1800}
    assert diff_zone(desired(a("api", IP, None)), zone(a("api", IP, 300)), NOTHING).changes == ()


def test_an_mx_with_another_preference_is_an_update_of_that_row() -> None:
    diff = diff_zone(desired(mx(priority=20)), zone(mx(priority=10), email_type="MX"), NOTHING)
    [change] = diff.changes
    assert (change.action, change.before.priority, change.after.priority) == ("update", 10, 20)  # type: ignore[union-attr]


def test_the_untouched_parking_pair_goes_when_the_environment_names_that_host() -> None:
    fresh = zone(
        cname("www", "parkingpage.namecheap.com."),
        Record("@", "URL", "http://www.example.com/", 1800),
        email_type="FWD",
    )
    diff = diff_zone(desired(a("@")), fresh, NOTHING)
    deleted = [(change.before.name, change.before.type) for change in diff.changes if change.before]  # type: ignore[union-attr]
    assert deleted == [("@", "URL")]
    assert [kept.record.name for kept in diff.kept] == ["www"]
    touched = zone(Record("@", "URL", "http://www.example.com/shop", 1800))
    assert [kept.record.type for kept in diff_zone(desired(a("@")), touched, NOTHING).kept] == ["URL"]


def test_a_mail_mode_that_is_not_given_is_kept_and_a_given_one_is_its_own_change() -> None:
    live = zone(a("api"), email_type="FWD")
    assert diff_zone(desired(a("api")), live, NOTHING).changes == ()
    [change] = diff_zone(desired(a("api"), email_type="GMAIL"), live, NOTHING).changes
    assert (change.kind, change.risk) == ("dns.email_type", "critical")
    assert change.data()["before"] == {"email_type": "FWD"}


def test_an_unknown_value_plans_nothing_and_is_never_an_absence() -> None:
    with pytest.raises(UnknownValue) as caught:
        diff_zone(desired(unknown=("dns.records.api.value",)), zone(a("api")), owned(a("api")))
    assert caught.value.exit_code == 1
    assert "dns.records.api.value" in caught.value.message


def test_what_was_applied_and_is_gone_is_drift_and_what_is_new_is_config() -> None:
    diff = diff_zone(desired(a("api"), a("new")), zone(a("www")), owned(a("api")))
    assert {change.after.name: change.source for change in diff.changes} == {"api": "drift", "new": "config"}  # type: ignore[union-attr]


def test_a_secret_address_may_be_shown_and_a_secret_elsewhere_is_hidden() -> None:
    wanted = desired(a("api"), txt("token"))
    rows = tuple(replace(row, secret=frozenset({"value"})) for row in wanted.records)
    diff = diff_zone(replace(wanted, records=rows), zone(), NOTHING)
    shown = {change.data()["after"]["type"]: change.data()["after"]["value"] for change in diff.changes}
    assert shown == {"A": IP, "TXT": "[secret]"}


def test_the_digest_is_the_sha256_of_the_canonical_json_of_targets_and_changes() -> None:
    import hashlib

    live = zone(a("api"))
    changes = diff_zone(desired(a("api", OTHER_IP)), live, NOTHING).changes
    plan = Plan("acme", NOW, (TargetBase("dns:example.com", live.digest(), True),), changes)
    data = plan.data()
    covered = {"targets": [{"id": t["id"], "base": t["base"]} for t in data["targets"]], "changes": data["changes"]}
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert plan.digest == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    assert replace(plan, created=NOW.replace(year=2027), notes=("x",)).digest == plan.digest


# -- the algebra ----------------------------------------------------------------------------------------------------------

_NAMES = st.sampled_from(["@", "www", "api", "*", "a.b", "_dmarc", "mail"])
_VALUES = {
    "A": st.sampled_from([IP, OTHER_IP, THIRD_IP]),
    "AAAA": st.sampled_from(["2001:db8::1", "2001:db8::2"]),
    "TXT": st.text(min_size=1, max_size=30) | st.sampled_from(["v=spf1 -all", "v=spf1 mx -all", "v=DMARC1; p=none"]),
    "MX": st.sampled_from(["mail.example.com.", "mx.example.net."]),
    "CNAME": st.sampled_from(["example.com.", "example.net."]),
    "CAA": st.sampled_from(['0 issue "letsencrypt.org"', '0 iodef "mailto:a@example.com"']),
    "NS": st.sampled_from(["ns1.example.net.", "ns2.example.net."]),
    "ALIAS": st.just("example.net."),
    "URL": st.sampled_from(["https://example.net/", "http://www.example.com/"]),
}


@st.composite
def records(draw: st.DrawFn) -> Record:
    kind = draw(st.sampled_from(sorted(_VALUES)))
    ttl = draw(st.sampled_from([60, 300, 1800]))
    priority = draw(st.sampled_from([0, 10, 20])) if kind == "MX" else None
    return normalised(Record(draw(_NAMES), kind, draw(_VALUES[kind]), ttl, priority), DOMAIN)


zones = st.builds(
    lambda rows, mode: Zone.of(DOMAIN, mode, rows),
    st.lists(records(), max_size=12),
    st.sampled_from(["NONE", "MX", "FWD"]),
)


@given(zones, zones)
def test_applying_the_difference_of_two_zones_gives_the_second(first: Zone, second: Zone) -> None:
    changes = difference("dns:example.com", first, second, "user", "")
    assert applied(first, changes) == second
    assert all(state_of(change, first) == "before" for change in changes)
    assert all(state_of(change, second) == "after" for change in changes)


@given(zones, zones, st.booleans())
def test_applying_a_plan_reaches_a_fixed_point(live: Zone, wanted: Zone, purge: bool) -> None:
    want = desired(*wanted.records, purge=purge)
    diff = diff_zone(want, live, NOTHING)
    after = applied(live, diff.changes)
    again = diff_zone(want, after, NOTHING)
    assert again.changes == ()
    assert {kept.record for kept in diff.kept} <= set(after.records)
    if purge:
        assert {row.key for row in after.records} == {row.key for row in wanted.records}


@given(zones, zones)
def test_undoing_a_plan_nobody_edited_after_gives_back_the_zone(live: Zone, wanted: Zone) -> None:
    changes = diff_zone(desired(*wanted.records), live, NOTHING).changes
    after = applied(live, changes)
    back = finished([change.inverse() for change in changes], {})
    assert applied(after, back) == live


@given(zones)
def test_a_change_survives_its_stored_form(live: Zone) -> None:
    for change in diff_zone(desired(*live.records), zone(), NOTHING).changes:
        assert Change.from_data(json.loads(canonical(change.data()))) == change


@given(zones, zones, zones)
def test_a_record_the_plan_does_not_touch_is_never_lost(live: Zone, wanted: Zone, known: Zone) -> None:
    diff = diff_zone(desired(*wanted.records), live, owned(*known.records))
    after = {row.key for row in applied(live, diff.changes).records}
    deleted = {c.before.key for c in diff.changes if isinstance(c.before, Record)}
    assert {row.key for row in live.records} - deleted <= after
    may_go = {row.key for row in known.records} | {
        row.key for row in live.records if any((row.name, row.type) == (w.name, w.type) for w in wanted.records)
    }
    parking = {("www", "CNAME", "parkingpage.namecheap.com."), ("@", "URL", "http://www.example.com/")}
    assert deleted <= may_go | parking


def test_every_host_type_has_a_place_in_the_strategies_or_a_reason() -> None:
    assert set(HOST_TYPES) - set(_VALUES) == {"FRAME", "MXE", "URL301"}  # they behave as URL and A do
