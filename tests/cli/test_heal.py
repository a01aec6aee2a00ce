"""heal by the command: the four phases of autonomy, quiet when all is well, made for cron."""

from __future__ import annotations

import pytest

from tests.cli.harness import DOMAIN, ROWS, Shop

BEFORE = {row[:3] for row in ROWS}
API = "{type: A, value: 203.0.113.10, name: api}"
APEX = '{type: A, value: 203.0.113.10, name: "@"}'
FOREIGN = [{"name": "api", "type": "A", "address": "198.51.100.66"}]
OURS = [{"name": "api", "type": "A", "address": "203.0.113.10"}]


def under(acme: Shop, autonomy: str, *records: str, limits: str = "") -> None:
    extra = f", limits: {{{limits}}}" if limits else ""
    acme.environment(*(records or (API,)), more=f"ai_infrastructure: {{autonomy: {autonomy}{extra}}}")
    acme.run("deploy", "--yes")


def sabotage(acme: Shop) -> None:
    acme.sandbox.edit(DOMAIN, add=FOREIGN, remove=OURS)


@pytest.mark.parametrize("autonomy", ["observe", "suggest", "autonomous-safe", "autonomous"])
def test_heal_is_quiet_and_exits_0_when_all_is_well(acme: Shop, autonomy: str) -> None:
    under(acme, autonomy)
    ran = acme.run("heal")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


@pytest.mark.parametrize(
    ("autonomy", "code", "repaired"),
    [("observe", 2, False), ("suggest", 2, False), ("autonomous-safe", 0, True), ("autonomous", 0, True)],
)
def test_a_changed_address_is_put_back_as_the_autonomy_allows(
    acme: Shop, autonomy: str, code: int, repaired: bool
) -> None:
    under(acme, autonomy)
    sabotage(acme)
    ran = acme.run("heal", "-o", "json")
    assert ran.code == code
    assert (("api", "A", "203.0.113.10") in acme.rows()) is repaired
    assert bool(ran.data["repaired"]) is repaired
    if not repaired:
        assert [entry["why"] for entry in ran.data["open"]] == ["needs approval"]
        assert ran.data["score_after"] == ran.data["score_before"]
    else:
        assert ran.data["score_after"] > ran.data["score_before"]
        assert acme.run("heal").out == ""


@pytest.mark.parametrize(("autonomy", "repaired"), [("autonomous-safe", False), ("autonomous", True)])
def test_a_deleted_apex_address_is_of_high_risk(acme: Shop, autonomy: str, repaired: bool) -> None:
    under(acme, autonomy, APEX)
    acme.sandbox.edit(DOMAIN, remove=[{"name": "@", "type": "A"}])
    acme.run("heal")
    assert (("@", "A", "203.0.113.10") in acme.rows()) is repaired


def test_a_changed_apex_address_is_critical_and_never_touched_by_heal(acme: Shop) -> None:
    under(acme, "autonomous", APEX)
    acme.sandbox.edit(
        DOMAIN, add=[{"name": "@", "type": "A", "address": "198.51.100.66"}], remove=[{"name": "@", "type": "A"}]
    )
    ran = acme.run("heal", "-o", "json")
    assert (ran.code, [entry["why"] for entry in ran.data["open"]]) == (2, ["needs approval"])
    assert ("@", "A", "198.51.100.66") in acme.rows()


def test_over_a_limit_is_left_open_and_said(acme: Shop) -> None:
    under(acme, "autonomous-safe", API, "{type: A, value: 203.0.113.41, name: x1}", limits="max_changes: 1")
    acme.sandbox.edit(DOMAIN, remove=[{"name": "api", "type": "A"}, {"name": "x1", "type": "A"}])
    before = acme.rows()
    ran = acme.run("heal", "-o", "json")
    assert (ran.code, {entry["why"] for entry in ran.data["open"]}) == (2, {"over limit"})
    assert acme.rows() == before


def test_dry_run_finds_and_changes_nothing(acme: Shop) -> None:
    under(acme, "autonomous")
    sabotage(acme)
    before = acme.rows()
    ran = acme.run("heal", "--dry-run", "-o", "json")
    assert (ran.code, ran.data["runs"], acme.rows()) == (2, [], before)
    assert [finding["id"] for finding in ran.data["findings"]] == ["DNS-DRIFT"]


def test_heal_never_deploys_what_the_file_says_and_nobody_deployed(acme: Shop) -> None:
    under(acme, "autonomous")
    acme.environment(API, "{type: A, value: 203.0.113.50, name: new}", more="ai_infrastructure: {autonomy: autonomous}")
    ran = acme.run("heal", "-o", "json")
    assert (ran.code, [entry["finding"]["id"] for entry in ran.data["open"]]) == (2, ["ENV-PENDING"])
    assert acme.rows() == BEFORE


def test_a_frozen_zone_is_not_healed(acme: Shop) -> None:
    under(acme, "autonomous")
    sabotage(acme)
    acme.run("freeze")
    assert acme.run("heal").code == 2
    assert ("api", "A", "198.51.100.66") in acme.rows()


def test_optimization_level_and_yes_raise_nothing(acme: Shop) -> None:
    acme.environment(API, more="ai_infrastructure: {autonomy: suggest, optimization_level: aggressive}")
    acme.run("deploy", "--yes")
    sabotage(acme)
    assert acme.run("heal", "--yes", "--confirm", DOMAIN).code == 2
    assert ("api", "A", "198.51.100.66") in acme.rows()


def test_name_servers_that_show_something_else_are_found(acme: Shop) -> None:
    under(acme, "suggest")
    acme.sandbox.fault("dns_wrong", name=f"api.{DOMAIN}", type="A", value="198.51.100.13", count=None)
    ran = acme.run("heal", "-o", "json")
    assert (ran.code, [entry["finding"]["id"] for entry in ran.data["open"]]) == (2, ["DNS-PUBLIC"])
    assert "198.51.100.13" in str(ran.data["open"])


def test_a_mail_mode_that_drifted_is_reported_and_never_put_back(acme: Shop) -> None:
    acme.environment(API, dns="email_type: MX", more="ai_infrastructure: {autonomy: autonomous}")
    acme.run("deploy", "--yes")
    acme.sandbox.edit(DOMAIN, email_type="FWD", remove=[{"name": "@", "type": "MX"}])
    ran = acme.run("heal", "-o", "json")
    assert ran.code == 2
    assert acme.email_type() == "FWD"


def test_an_api_that_fails_leads_to_no_write_and_exit_1(acme: Shop) -> None:
    under(acme, "autonomous")
    sabotage(acme)
    acme.sandbox.fault("truncated", command="getHosts", count=None)
    before = acme.rows()
    assert (acme.run("heal").code, acme.rows()) == (1, before)


# -- drift without the API --------------------------------------------------------------------------------------------------


def test_when_nothing_drifted_dns_alone_is_asked_from_the_second_pass_on(acme: Shop) -> None:
    under(acme, "suggest")
    assert acme.run("heal").code == 0
    calls = len(acme.sandbox.calls())
    assert acme.run("heal").code == 0
    assert len(acme.sandbox.calls()) == calls


def test_drift_that_dns_shows_makes_heal_read_the_api_and_repair(acme: Shop) -> None:
    under(acme, "autonomous-safe")
    acme.run("heal")
    sabotage(acme)
    assert acme.run("heal").code == 0
    assert ("api", "A", "203.0.113.10") in acme.rows()


@pytest.mark.parametrize(
    "records",
    [("{type: URL, value: 'https://example.net/', name: go}",), ("{type: ALIAS, value: example.net, name: al}",)],
)
def test_rows_that_dns_cannot_show_always_need_the_api(acme: Shop, records: tuple[str, ...]) -> None:
    under(acme, "suggest", API, *records)
    acme.run("heal")
    calls = len(acme.sandbox.calls())
    acme.run("heal")
    assert len(acme.sandbox.calls()) > calls


def test_a_run_in_between_makes_heal_read_the_api_again(acme: Shop) -> None:
    under(acme, "suggest")
    acme.run("heal")
    acme.run("record", "set", "api", "A", "203.0.113.12", "--yes")
    calls = len(acme.sandbox.calls())
    assert acme.run("heal").code == 0
    assert len(acme.sandbox.calls()) > calls


def test_silent_name_servers_make_heal_read_the_api(acme: Shop) -> None:
    under(acme, "suggest")
    acme.run("heal")
    acme.sandbox.fault("dns_servfail", count=None)
    calls = len(acme.sandbox.calls())
    assert acme.run("heal").code == 0
    assert len(acme.sandbox.calls()) > calls


def test_one_zone_that_cannot_be_read_does_not_keep_heal_from_the_others(acme: Shop) -> None:
    from sophia_cli.sandbox import seed

    seed(acme.data_file, "other.example", email_type="NONE", rows=[("www", "A", "203.0.113.1")])
    acme.environment(API, more="ai_infrastructure: {autonomy: autonomous-safe}")
    text = acme.file.read_text()
    domains = (
        f"    domains:\n      {DOMAIN}: {{records: {{r0: {API}}}}}\n"
        "      other.example: {records: {w: {type: A, value: 203.0.113.1, name: www}}}\n"
    )
    text = text.replace(f"    domain: {DOMAIN}\n", domains).replace(f"    records:\n      r0: {API}\n", "")
    acme.file.write_text(text)
    assert acme.run("deploy", "--yes").code == 0
    sabotage(acme)
    acme.sandbox.fault("truncated", command="getHosts", domain="other.example", count=None)
    ran = acme.run("heal", "-o", "json")
    assert (ran.code, [entry["finding"]["id"] for entry in ran.data["open"]]) == (2, ["ZONE-UNREADABLE"])
    assert ("api", "A", "203.0.113.10") in acme.rows()
