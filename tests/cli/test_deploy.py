"""plan, deploy, rollback and heal over real HTTP and real DNS."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.harness import DOMAIN, ROWS, Shop

API_MOVED = "{type: A, value: 203.0.113.99, name: api}"
KEPT = {(row[0], row[1], row[2]) for row in ROWS if row[0] != "api"}


def test_plan_twice_gives_the_same_bytes_but_for_created(acme: Shop) -> None:
    acme.environment(API_MOVED, "{type: TXT, value: hello, name: new}")
    first, second = acme.run("plan", "-o", "json"), acme.run("plan", "-o", "json")
    assert first.code == second.code == 0

    def without_created(text: str) -> str:
        return "\n".join(line for line in text.splitlines() if '"created"' not in line)

    assert without_created(first.out) == without_created(second.out)
    assert first.out != ""
    assert '"created"' in first.out


def test_deploy_writes_only_its_change_and_the_next_plan_is_empty(acme: Shop) -> None:
    acme.environment(API_MOVED)
    ran = acme.run("deploy", "--yes", "-o", "json")
    assert (ran.code, ran.data["outcome"], ran.data["verified"]) == (0, "applied", True)
    assert acme.rows() == KEPT | {("api", "A", "203.0.113.99")}
    assert acme.email_type() == "MX"
    assert acme.run("plan", "--detailed-exitcode").code == 0


def test_plan_exits_2_for_changes_only_when_asked(acme: Shop) -> None:
    acme.environment(API_MOVED)
    assert acme.run("plan").code == 0
    assert acme.run("plan", "--detailed-exitcode").code == 2


def test_without_consent_nothing_is_written_and_the_flag_is_named(acme: Shop) -> None:
    acme.environment(API_MOVED)
    before = acme.rows()
    ran = acme.run("deploy")
    assert (ran.code, acme.rows()) == (3, before)
    assert "--yes" in ran.err


def test_a_critical_plan_wants_the_zones_name_too(acme: Shop) -> None:
    acme.environment('{type: A, value: 203.0.113.99, name: "@"}')
    refused = acme.run("deploy", "--yes")
    assert refused.code == 3
    assert f"--confirm {DOMAIN}" in refused.err
    assert acme.run("deploy", "--yes", "--confirm", "other.example").code == 3
    assert acme.run("deploy", "--yes", "--confirm", DOMAIN).code == 0
    assert ("@", "A", "203.0.113.99") in acme.rows()


def test_a_plan_file_is_a_witness_and_a_moved_zone_makes_it_stale(acme: Shop) -> None:
    acme.environment(API_MOVED)
    assert acme.run("plan", "--out", "plan.json").code == 0
    acme.sandbox.edit(DOMAIN, add=[{"name": "foreign", "type": "A", "address": "198.51.100.1"}])
    ran = acme.run("deploy", "plan.json", "--yes")
    assert (ran.code, "stale" in ran.err) == (3, True)
    assert ("api", "A", "203.0.113.10") in acme.rows()


def test_a_plan_file_cannot_smuggle_a_change_in(acme: Shop) -> None:
    acme.environment(API_MOVED)
    acme.run("plan", "--out", "plan.json")
    document = json.loads(Path("plan.json").read_text())
    document["data"]["changes"][0]["after"]["value"] = "198.51.100.66"
    Path("plan.json").write_text(json.dumps(document))
    ran = acme.run("deploy", "plan.json", "--yes")
    # The digest in the file is still that of the true plan, so the true plan is what is applied.
    assert ran.code == 0
    assert ("api", "A", "203.0.113.99") in acme.rows()
    document["data"]["digest"] = "sha256:" + "0" * 64
    Path("plan.json").write_text(json.dumps(document))
    assert acme.run("deploy", "plan.json", "--yes").code == 3


def test_an_approval_is_bound_to_its_plan_and_serves_once(acme: Shop) -> None:
    allow = "ai_infrastructure: {limits: {approvals: [terminal, unattended]}}"
    acme.environment('{type: A, value: 203.0.113.99, name: "@"}', more=allow)
    acme.run("plan", "--out", "plan.json")
    approved = acme.run("approve", "plan.json", "--confirm", DOMAIN, "--by", "ada", "-o", "json")
    assert (approved.code, approved.data["how"], approved.data["by"]) == (0, "unattended", "ada")
    assert acme.run("deploy", "plan.json").code == 0
    acme.sandbox.edit(
        DOMAIN,
        add=[{"name": "@", "type": "A", "address": "203.0.113.10"}],
        remove=[{"name": "@", "type": "A", "address": "203.0.113.99"}],
    )
    again = acme.run("plan", "-o", "json").data["digest"]
    assert again != approved.data["plan"]  # the value is drift now, so it is another plan
    assert acme.run("deploy").code == 3


def test_an_unattended_approval_does_not_count_unless_policy_lists_it(acme: Shop) -> None:
    acme.environment('{type: A, value: 203.0.113.99, name: "@"}')
    acme.run("plan", "--out", "plan.json")
    assert acme.run("approve", "plan.json", "--confirm", DOMAIN, "--by", "ada").code == 0
    assert acme.run("deploy", "plan.json").code == 3


def test_approve_away_from_a_terminal_wants_the_name_and_who(acme: Shop) -> None:
    acme.environment(API_MOVED)
    acme.run("plan", "--out", "plan.json")
    assert acme.run("approve", "plan.json").code == 3
    assert acme.run("approve", "plan.json", "--confirm", DOMAIN).code == 3
    assert acme.run("approve", "plan.json", "--by", "ada").code == 3


def test_rollback_takes_back_a_runs_own_changes_and_keeps_later_edits(acme: Shop) -> None:
    acme.environment(API_MOVED, "{type: A, value: 203.0.113.98, name: fresh}")
    acme.run("deploy", "--yes")
    acme.sandbox.edit(
        DOMAIN,
        add=[
            {"name": "fresh", "type": "A", "address": "198.51.100.5"},
            {"name": "later", "type": "A", "address": "198.51.100.6"},
        ],
        remove=[{"name": "fresh", "type": "A", "address": "203.0.113.98"}],
    )
    ran = acme.run("rollback", "--yes", "-o", "json")
    assert (ran.code, ran.data["outcome"]) == (0, "applied")
    assert acme.rows() == KEPT | {
        ("api", "A", "203.0.113.10"),
        ("fresh", "A", "198.51.100.5"),
        ("later", "A", "198.51.100.6"),
    }


def test_deploy_with_nothing_to_do_writes_nothing(acme: Shop) -> None:
    acme.environment("{type: A, value: 203.0.113.10, name: api}")
    ran = acme.run("deploy", "--yes", "-o", "json")
    assert (ran.code, ran.data["outcome"], ran.data["run"]) == (0, "nothing", None)
    assert "setHosts" not in acme.sandbox.calls()


def test_removing_a_line_from_the_file_removes_the_record_it_named(acme: Shop) -> None:
    acme.environment("{type: A, value: 203.0.113.30, name: old}", API_MOVED)
    acme.run("deploy", "--yes")
    acme.environment(API_MOVED)
    plan = acme.run("plan", "-o", "json").data
    assert [(c["action"], c["before"]["name"]) for c in plan["changes"]] == [("delete", "old")]
    assert acme.run("deploy", "--yes").code == 0
    assert ("old", "A", "203.0.113.30") not in acme.rows()
    assert acme.rows() >= KEPT - {("old", "A", "203.0.113.30")}


@pytest.mark.parametrize("mode", ["FWD", "MXE", "OX", "GMAIL", "NONE"])
def test_an_address_is_edited_under_every_mail_mode_and_the_mode_survives(work: Path, mode: str) -> None:
    from tests.cli.harness import shop

    rows = [("@", "A", "203.0.113.1"), ("api", "A", "203.0.113.2"), ("a", "A", "203.0.113.3"), ("b", "TXT", "keep me")]
    if mode == "MXE":
        rows.append((DOMAIN, "MXE", "203.0.113.9"))  # as the API names such a row
    with shop(work, *rows, email_type=mode) as found:
        found.environment(API_MOVED)
        assert found.run("deploy", "--yes").code == 0
        assert found.email_type() == mode
        assert {row for row in found.rows() if row[0] != "api"} == {row for row in rows if row[0] != "api"}


def test_an_mx_preference_is_changed_in_two_writes(acme: Shop) -> None:
    acme.environment("{type: MX, value: mail.acme.example, name: '@', priority: 20}")
    shown = acme.run("plan")
    assert "two writes" in shown.out
    ran = acme.run("deploy", "--yes", "--confirm", DOMAIN)
    assert ran.code == 0, ran.err
    assert acme.sandbox.calls().count("setHosts") == 2
    assert acme.run("plan", "--detailed-exitcode").code == 0
    assert acme.rows() == KEPT | {("api", "A", "203.0.113.10")}


def test_dynamic_dns_rows_block_the_write_and_are_named(work: Path) -> None:
    from sophia_cli.sandbox import running, seed
    from sophia_cli.sandbox.account import Row
    from tests.cli.harness import Shop as Account

    data = work / "n.json"
    seed(data, DOMAIN, email_type="NONE", rows=[Row(1, "home", "A", "198.51.100.7", 10, 300, is_ddns=True)])
    with running(data) as sandbox:
        found = Account(sandbox, work, data)
        found.environment(API_MOVED)
        ran = found.run("deploy", "--yes")
        assert ran.code == 3
        assert "home" in ran.err
        assert "setHosts" not in sandbox.calls()


def test_changing_the_mail_mode_is_its_own_line_and_critical(acme: Shop) -> None:
    acme.environment(dns="email_type: FWD")
    plan = acme.run("plan", "-o", "json").data
    assert [change["kind"] for change in plan["changes"]] == ["dns.email_type"]
    assert plan["verdict"]["decision"] == "deny"  # the MX records there would be dropped


def test_frozen_targets_refuse_and_thawed_ones_do_not(acme: Shop) -> None:
    acme.environment(API_MOVED)
    assert acme.run("freeze", DOMAIN).code == 0
    assert acme.run("deploy", "--yes").code == 3
    assert acme.run("plan").code == 0
    assert acme.run("thaw", DOMAIN).code == 0
    assert acme.run("deploy", "--yes").code == 0


def test_record_set_and_remove_edit_file_and_zone_together(acme: Shop) -> None:
    acme.environment("{type: A, value: 203.0.113.10, name: api}")
    assert acme.run("record", "set", "api", "A", "203.0.113.77", "--yes").code == 0
    assert "203.0.113.77" in acme.file.read_text()
    assert ("api", "A", "203.0.113.77") in acme.rows()
    assert acme.run("plan", "--detailed-exitcode").code == 0
    assert acme.run("record", "remove", "api", "A", "--yes").code == 0
    assert "203.0.113.77" not in acme.file.read_text()
    assert acme.rows() == KEPT
    assert acme.run("plan", "--detailed-exitcode").code == 0


def test_record_set_of_a_txt_stands_beside_the_others(acme: Shop) -> None:
    acme.environment()
    assert acme.run("record", "set", "@", "TXT", "one more", "--yes").code == 0
    texts = {row[2] for row in acme.rows() if row[1] == "TXT"}
    assert texts == {"v=spf1 mx -all", "google-site-verification=abc", "one more"}


def test_every_run_prints_count_and_head_and_the_chain_holds(acme: Shop) -> None:
    acme.environment(API_MOVED)
    ran = acme.run("deploy", "--yes")
    head = ran.err.rsplit("head ", 1)[1].strip()
    assert acme.run("audit", "verify", "--head", head).code == 0
    assert acme.run("audit", "verify", "--head", "sha256:" + "1" * 64).code == 1
    log = acme.folder / ".sophia" / "audit.jsonl"
    assert log.stat().st_mode & 0o777 == 0o600
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:-1]))
    assert acme.run("audit", "verify").code == 1


def test_import_then_plan_is_empty(acme: Shop) -> None:
    acme.file.write_text(
        "values:\n  namecheap:\n"
        f"    api_user: {acme.sandbox.api_user}\n    api_key: {acme.sandbox.api_key}\n"
        f"    username: {acme.sandbox.username}\n    endpoint: {acme.sandbox.endpoint}\n"
    )
    before = acme.rows()
    ran = acme.run("import", DOMAIN, "--yes")
    assert ran.code == 0, ran.err
    plan = acme.run("plan", "-o", "json").data
    assert (plan["changes"], plan["kept"], plan["summary"]["unchanged"]) == ([], [], len(ROWS))
    assert acme.rows() == before
    assert acme.run("import", DOMAIN, "--yes").code == 3  # there is a dns section now


def test_plan_says_how_many_calls_a_deploy_takes_and_deploy_takes_them(acme: Shop) -> None:
    acme.environment(API_MOVED)
    said = acme.run("plan")
    assert "takes 5 API calls" in said.err
    assert acme.run("deploy", "--yes", "-o", "json").data["api_calls"] == 5
    acme.environment(API_MOVED, "{type: MX, value: mail.acme.example, name: '@', priority: 20}")
    assert "takes 6 API calls" in acme.run("plan").err
    assert acme.run("deploy", "--yes", "--confirm", DOMAIN, "-o", "json").data["api_calls"] == 6


def test_rows_that_only_dns_shows_block_the_write_and_are_named(work: Path) -> None:
    from sophia_cli.sandbox import load, running, seed

    data = work / "n.json"
    seed(data, DOMAIN, email_type="NONE")
    text = (
        f"$ORIGIN {DOMAIN}.\n$TTL 300\n@ A 203.0.113.1\napi A 203.0.113.10\n_sip._tcp SRV 10 5 5060 sip.example.net.\n"
    )
    load(data, text, DOMAIN)
    with running(data) as sandbox:
        found = Shop(sandbox, work, data)
        found.environment(API_MOVED)
        ran = found.run("deploy", "--yes")
        assert ran.code == 3, ran.err
        assert f"SRV _sip._tcp.{DOMAIN}" in ran.err
        assert "setHosts" not in sandbox.calls()
