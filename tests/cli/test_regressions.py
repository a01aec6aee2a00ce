"""What an acceptance test once broke, one test a finding."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from sophia_cli.sandbox import seed
from tests.builders import NOW
from tests.cli.harness import DOMAIN, ROWS, Shop, run
from tests.cli.test_bad_input import deploying, until_called

API = "{type: A, value: 203.0.113.10, name: api}"
NEW = "{type: A, value: 203.0.113.50, name: new}"
MOVED = "{type: A, value: 203.0.113.99, name: api}"


def killed_before_its_write(acme: Shop) -> None:
    """A deploy killed with SIGKILL while its setHosts is on the way and never comes to be."""
    acme.sandbox.fault("timeout_before", command="setHosts", seconds=0.5)
    with deploying(acme) as process:
        until_called(acme.sandbox, "setHosts")
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_settling_does_not_resurrect_what_a_person_removed_after_the_kill(acme: Shop) -> None:
    acme.environment(API, NEW)
    killed_before_its_write(acme)
    acme.sandbox.edit(DOMAIN, remove=[{"name": "old", "type": "A"}])
    acme.run("heal")
    assert ("old", "A", "203.0.113.30") not in acme.rows()
    assert not list((acme.folder / ".sophia" / "runs" / "open").glob("*.json"))


def test_a_write_after_a_killed_run_settles_it_first_and_is_not_taken_back_later(acme: Shop) -> None:
    acme.environment(API, NEW)
    killed_before_its_write(acme)
    assert acme.run("record", "remove", "old", "A", "--yes").code == 0
    acme.run("heal")
    assert ("old", "A", "203.0.113.30") not in acme.rows()


@pytest.mark.parametrize(
    "value", ["2020-01-01", "12:34:56", "0123", "true", "null", "~", "1e3", "- a", "a: b", "${x}", "$$"]
)
def test_texts_that_yaml_could_take_for_something_else_survive_import_and_record_set(work: Path, value: str) -> None:
    from tests.cli.harness import shop

    with shop(work, ("@", "TXT", value, 300), ("www", "A", "203.0.113.1", 300), email_type="NONE") as found:
        keys = {
            "api_user": found.sandbox.api_user,
            "api_key": found.sandbox.api_key,
            "username": found.sandbox.username,
        }
        lines = [*(f"    {key}: {text}" for key, text in keys.items()), f"    endpoint: {found.sandbox.endpoint}"]
        found.file.write_text("values:\n  namecheap:\n" + "\n".join(lines) + "\n")
        before = found.file.read_text()
        assert found.run("import", DOMAIN, "--yes").code == 0
        assert found.run("plan", "--detailed-exitcode").code == 0
        words = ("record", "set", "-e", str(found.file), "--wait", "0", "--yes", "--", "t", "TXT", value)
        assert run(*words).code == 0
        assert ("t", "TXT", value) in found.rows()
        assert found.run("plan", "--detailed-exitcode").code == 0
        assert found.run("rollback", "--yes").code == 0
        runs = sorted((work / ".sophia" / "runs" / "closed").glob("*.json"))
        assert found.run("rollback", runs[0].stem, "--yes").code == 0
        assert found.file.read_text() == before


def test_what_a_rollback_put_back_is_deleted_by_absence_as_before(acme: Shop) -> None:
    first = (API, "{type: A, value: 203.0.113.60, name: a1}", "{type: TXT, value: one, name: t}")
    second = (API, "{type: TXT, value: two, name: t}")
    acme.environment(*first)
    acme.run("deploy", "--yes")
    acme.environment(*second)
    assert acme.run("deploy", "--yes").code == 0
    assert acme.run("rollback", "--yes").code == 0
    assert acme.run("deploy", "--yes").code == 0
    rows = acme.rows()
    assert not [row for row in rows if row[0] == "a1"]
    assert {row[2] for row in rows if row[0] == "t"} == {"two"}


@pytest.mark.parametrize(
    "typed", ["ACME.example", "acme.example.", "DNS:acme.example", "dns:ACME.EXAMPLE", "acme.*", "*"]
)
def test_freeze_takes_every_spelling_of_a_name(acme: Shop, typed: str) -> None:
    acme.environment(MOVED)
    assert acme.run("freeze", typed).code == 0
    assert acme.run("deploy", "--yes").code == 3
    assert acme.run("thaw", typed).code == 0
    assert acme.run("deploy", "--yes").code == 0


def test_freeze_says_when_it_cannot_tell_which_environment_is_meant(work: Path) -> None:
    (work / "esc").mkdir()
    for name in ("a", "b"):
        (work / "esc" / f"{name}.yaml").write_text("values: {}\n")
    assert run("freeze").code == 64
    assert run("freeze", "-e", "nowhere.yaml").code == 64
    assert not (work / ".sophia").exists()


@pytest.mark.parametrize("what", ["mail mode", "ttl", "wildcard"])
def test_drift_that_dns_alone_would_not_show_is_found_by_the_next_heal(work: Path, what: str) -> None:
    from tests.cli.harness import shop

    rows = [("api", "A", "203.0.113.10", 300), ("x1", "A", "203.0.113.41", 300), ("x2", "A", "203.0.113.42", 300)]
    rows += [("*", "A", "203.0.113.10", 300)] if what == "wildcard" else []
    with shop(work, *rows, email_type="NONE") as found:
        wild = ["{type: A, value: 203.0.113.10, name: '*', ttl: 300}"] if what == "wildcard" else []
        mode = "email_type: NONE" if what == "mail mode" else ""
        found.environment("{type: A, value: 203.0.113.10, name: api, ttl: 300}", *wild, dns=mode)
        found.run("deploy", "--yes")
        assert [found.run("heal").code, found.run("heal").code] == [0, 0]
        changed = {
            "mail mode": {"email_type": "FWD"},
            "ttl": {
                "remove": [{"name": "api", "type": "A"}],
                "add": [{"name": "api", "type": "A", "address": "203.0.113.10", "ttl": 60}],
            },
            "wildcard": {"remove": [{"name": "api", "type": "A"}]},
        }[what]
        found.sandbox.edit(DOMAIN, **changed)  # type: ignore[arg-type]
        assert found.run("plan", "--detailed-exitcode").code == 2
        assert found.run("heal").code == 2


def test_a_secret_record_name_is_hidden_in_every_form(acme: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_NAME", "hush-hush-name")
    acme.environment("{type: A, value: 203.0.113.1, name: '${SECRET_NAME}'}")
    for form in ("text", "json", "markdown", "html"):
        ran = acme.run("plan", "-o", form)
        assert ran.code == 0
        assert "hush-hush-name" not in ran.out + ran.err
    assert acme.run("deploy", "--yes").code == 3


def test_a_secret_setting_is_neither_shown_nor_kept(acme: Shop) -> None:
    acme.environment(API)
    before = acme.file.read_text()
    assert acme.run("config", "set", "namecheap.api_key", "other-key-123456", "--yes").code == 3
    assert acme.run("config", "set", "platform.name", "2020-01-01", "--yes").code == 0
    for path in (acme.folder / ".sophia").rglob("*.json"):
        assert acme.sandbox.api_key not in path.read_text(), path
    assert before in acme.file.read_text() or "2020-01-01" in acme.file.read_text()


@pytest.mark.parametrize("sink", ["pipe", "full", "closed"])
def test_a_lost_stdout_does_not_change_how_a_write_ended(acme: Shop, sink: str) -> None:
    acme.environment(MOVED)
    tail = {"pipe": "| true; exit ${PIPESTATUS[0]}", "full": "> /dev/full", "closed": ">&-"}[sink]
    line = f"{sys.executable} -m sophia_cli deploy --yes --wait 0 -e {acme.file} {tail}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=acme.folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "defect" not in done.stderr
    assert ("api", "A", "203.0.113.99") in acme.rows()


def test_an_approval_never_lasts_longer_than_a_day_whatever_its_file_says(acme: Shop) -> None:
    acme.environment('{type: A, value: 203.0.113.99, name: "@"}')
    digest = acme.run("plan", "-o", "json").data["digest"]
    forged = {
        "plan": digest,
        "by": "ada",
        "how": "terminal",
        "at": (NOW - timedelta(days=2000)).isoformat(),
        "until": (NOW + timedelta(days=20000)).isoformat(),
        "used": False,
    }
    Path("approval.json").write_text(json.dumps({"schema": "sophia.approval/1", "data": forged}))
    assert acme.run("deploy", "--approval", "approval.json").code == 3


@pytest.mark.parametrize(
    "data", [{"plan": 5}, {}, {"plan": "x", "by": "y", "how": "z", "at": 1, "until": 2, "used": False}]
)
def test_a_broken_approval_file_is_wrong_usage(acme: Shop, data: dict[str, object]) -> None:
    acme.environment(MOVED)
    Path("approval.json").write_text(json.dumps({"schema": "sophia.approval/1", "data": data}))
    assert acme.run("deploy", "--yes", "--approval", "approval.json").code == 64


def test_a_plan_file_with_broken_changes_is_wrong_usage(acme: Shop) -> None:
    acme.environment(MOVED)
    acme.run("plan", "--out", "plan.json")
    document = json.loads(Path("plan.json").read_text())
    document["data"]["changes"][0]["source"] = "rule:a"
    document["data"]["changes"][0]["after"]["value"] = 7
    Path("plan.json").write_text(json.dumps(document))
    assert acme.run("deploy", "plan.json", "--yes").code == 64


def test_a_ttl_set_by_hand_is_written_into_the_environment_too(acme: Shop) -> None:
    acme.environment(API)
    assert acme.run("record", "set", "api", "A", "203.0.113.10", "--ttl", "120", "--yes").code == 0
    assert "ttl: 120" in acme.file.read_text()
    assert acme.run("plan", "--detailed-exitcode").code == 0


def test_a_name_of_another_domain_is_not_taken_into_ours(acme: Shop) -> None:
    acme.environment(API)
    assert acme.run("record", "set", "full.other.example.", "A", "203.0.113.1", "--yes").code == 64
    assert acme.run("record", "set", "api", "A", "203.0.113.1", "--priority", "5", "--yes").code == 64


def test_nothing_is_written_beside_a_run_that_is_not_settled_in_whole(acme: Shop) -> None:
    seed(acme.data_file, "other.example", email_type="NONE", rows=[("www", "A", "203.0.113.1")])
    acme.environment(API)
    domains = (
        f"    domains:\n      {DOMAIN}: {{records: {{r0: {MOVED}}}}}\n"
        "      other.example: {records: {w: {type: A, value: 203.0.113.2, name: www}}}\n"
    )
    text = acme.file.read_text().replace(f"    domain: {DOMAIN}\n", domains)
    acme.file.write_text(text.replace(f"    records:\n      r0: {API}\n", ""))
    killed_before_its_write(acme)
    refused = acme.run("deploy", "--yes", "--target", DOMAIN)
    assert (refused.code, "sophia heal" in refused.err) == (3, True)  # the other zone's part is not settled yet
    assert acme.run("heal").code in (0, 2)
    assert acme.run("deploy", "--yes").code == 0
    assert {row for row in acme.rows() if row[0] == "api"} == {("api", "A", "203.0.113.99")}
    assert acme.rows() >= {row[:3] for row in ROWS if row[0] != "api"}


@pytest.mark.parametrize("given", ["", "email_type: FWD"])
def test_mx_records_under_another_mail_mode_are_refused_by_policy_with_the_hint(work: Path, given: str) -> None:
    from tests.cli.harness import shop

    with shop(work, ("@", "A", "203.0.113.1"), email_type="FWD") as found:
        found.environment("{type: MX, name: '@', value: mail.example.net}", dns=given)
        ran = found.run("deploy", "--yes", "--confirm", DOMAIN)
        assert (ran.code, "email_type: MX" in ran.err) == (3, True)
        assert found.rows() == {("@", "A", "203.0.113.1")}


def test_two_spf_policies_at_one_name_are_refused_before_any_call(acme: Shop) -> None:
    one, two = ("{type: TXT, name: '@', value: 'v=spf1 mx -all'}", "{type: TXT, name: '@', value: 'v=spf1 a -all'}")
    acme.environment(one, two)
    ran = acme.run("plan")
    assert (ran.code, "second spf policy" in ran.err, acme.sandbox.calls()) == (64, True, [])
