"""Certificates by the commands, from a real Pebble over the sandbox's zones: issued, renewed, switched back, revoked."""

from __future__ import annotations

import json
import os
import ssl
import stat
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from sophia_cli.sandbox import Sandbox
from tests.cli.certificate_stage import OTHER, ZONE, Stage, put_back, servers
from tests.providers.acme import pebble
from tests.providers.acme.pebble import Pebble

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(not pebble.PROGRAMS, reason=pebble.MISSING),
]
BOTH = (f"*.{ZONE}", ZONE)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Pebble, Path]]:
    with servers(tmp_path_factory.mktemp("servers")) as found:
        yield found


@pytest.fixture
def stage(shared: tuple[Sandbox, Pebble, Path], work: Path) -> Iterator[Stage]:
    box, ca, data = shared
    box.control(clear=True, forget=True)
    put_back(data)
    found = Stage(box, ca, data, work / "acme.yaml")
    found.environment()
    yield found
    box.control(clear=True)


def test_a_wildcard_and_its_apex_are_issued_and_the_zone_is_afterwards_what_it_was(stage: Stage) -> None:
    stage.environment(*BOTH)
    before = stage.rows()
    ran = stage.run("cert", "issue", "--yes", "-o", "json")
    assert ran.code == 0, ran.err
    assert (ran.data["outcome"], [step["outcome"] for step in ran.data["steps"]]) == ("applied", ["applied"])
    assert stage.openssl_accepts(ZONE)
    assert stage.openssl_accepts(f"any.{ZONE}")
    assert stage.rows() == before
    assert stat.S_IMODE((stage.current / "privkey.pem").stat().st_mode) == 0o600
    assert (stage.listed()["installed"]["names"], stage.listed()["pending"]) == (list(BOTH), None)
    assert stage.run("cert", "issue", "--yes").out.startswith("Nothing to do")


def test_both_values_go_in_by_one_write_and_out_by_one(stage: Stage) -> None:
    stage.environment(*BOTH)
    assert stage.run("cert", "issue", "--yes").code == 0
    assert writes(stage) == 2


def test_nobody_is_there_to_agree_and_nothing_is_ordered(stage: Stage) -> None:
    orders = stage.orders()
    ran = stage.run("cert", "issue")
    assert (ran.code, "--yes" in ran.err) == (3, True)
    assert stage.orders() == orders
    assert not stage.current.exists()


def test_a_delegated_name_is_proved_in_the_zone_it_points_to(stage: Stage) -> None:
    stage.environment(f"www.{ZONE}")
    before = stage.rows()
    ran = stage.run("cert", "issue", "--yes")
    assert ran.code == 0, ran.err
    written = {event["target"] for event in events(stage) if event["action"] == "apply.write"}
    assert {f"dns:{OTHER}"} == {target for target in written if target.startswith("dns:")}
    assert stage.rows() == before


def test_target_narrows_the_command_and_not_where_a_challenge_may_stand(stage: Stage) -> None:
    ran = stage.run("deploy", "--yes", "--target", f"cert:{ZONE}")
    assert ran.code == 0, ran.err
    assert stage.openssl_accepts(ZONE)


def test_plan_and_deploy_include_the_certificate(stage: Stage) -> None:
    planned = stage.run("plan", "-o", "json").data
    [change] = [change for change in planned["changes"] if change["kind"] == "cert.issue"]
    assert (change["after"]["names"], change["target"]) == ([ZONE], f"cert:{ZONE}")
    assert stage.run("deploy", "--yes").code == 0
    assert stage.openssl_accepts(ZONE)
    assert stage.run("plan", "--detailed-exitcode").code == 0


def test_ssl_certificate_expiring_in_30_days_automatically_renewing(stage: Stage) -> None:
    assert stage.run("cert", "issue", "--yes").code == 0
    before, zone = stage.listed()["installed"], stage.rows()
    assert stage.run("heal").out == ""
    stage.age(days=60)
    dry = stage.run("heal", "--dry-run", "-o", "json")
    assert (dry.code, [entry["finding"]["id"] for entry in dry.data["open"]]) == (2, ["CERT-DUE"])
    ran = stage.run("heal", "-o", "json")
    assert ran.code == 0, ran.err + ran.out
    [finding] = ran.data["repaired"]
    assert finding["title"] in (
        "SSL certificate expiring in 30 days, automatically renewing",
        "SSL certificate expiring in 29 days, automatically renewing",  # a second of the thirty days is over
    )
    after = stage.listed()["installed"]
    assert after["serial"] != before["serial"]
    assert after["approved"] == before["approved"]
    assert stage.rows() == zone
    assert stage.run("heal").out == ""


def test_observe_renews_nothing_and_other_names_wait_for_a_person(stage: Stage) -> None:
    assert stage.run("cert", "issue", "--yes").code == 0
    stage.age(days=60)
    serial = stage.listed()["installed"]["serial"]
    stage.environment(more="ai_infrastructure: {autonomy: observe}")
    assert stage.run("heal").code == 2
    stage.environment(ZONE, f"new.{ZONE}")
    ran = stage.run("heal", "-o", "json")
    assert (ran.code, [entry["why"] for entry in ran.data["open"]]) == (2, ["needs approval"])
    assert stage.listed()["installed"]["serial"] == serial


def test_a_frozen_zone_stops_a_renewal_before_anything_is_ordered_there(stage: Stage) -> None:
    assert stage.run("cert", "issue", "--yes").code == 0
    stage.age(days=60)
    serial, zone = stage.listed()["installed"]["serial"], stage.rows()
    assert stage.run("freeze", f"dns:{ZONE}").code == 0
    assert stage.run("heal").code == 2
    assert (stage.listed()["installed"]["serial"], stage.rows()) == (serial, zone)
    assert stage.listed()["pending"] is None


def test_rollback_goes_back_to_the_key_and_chain_of_before(stage: Stage) -> None:
    assert stage.run("cert", "issue", "--yes").code == 0
    first, key = stage.listed()["installed"]["serial"], (stage.current / "privkey.pem").read_text()
    assert stage.run("cert", "renew", "--yes").out.startswith("Nothing to do")
    assert stage.run("cert", "renew", "--yes", "--force").code == 0
    assert (stage.current / "privkey.pem").read_text() != key
    second = stage.listed()["installed"]["serial"]
    orders = stage.orders()
    assert stage.run("cert", "rollback", "--yes").code == 0
    assert (stage.listed()["installed"]["serial"], (stage.current / "privkey.pem").read_text()) == (first, key)
    assert stage.run("cert", "rollback", second, "--yes").code == 0
    assert stage.listed()["installed"]["serial"] == second
    assert stage.orders() == orders
    assert stage.run("rollback", "--yes").code == 0  # the run that went forward is undone like any other
    assert stage.listed()["installed"]["serial"] == first


def test_an_older_issue_is_not_undone_over_the_renewals_that_came_after_it(stage: Stage) -> None:
    runs, serials = [], []
    for words in (("issue",), ("renew", "--force"), ("renew", "--force")):
        runs.append(stage.run("cert", *words, "--yes", "-o", "json").data["run"])
        serials.append(stage.listed()["installed"]["serial"])
    for number in (0, 1):
        ran = stage.run("rollback", runs[number], "--yes")
        assert (ran.code, ran.out.startswith("Nothing to do")) == (0, True)
        assert f"cert:{ZONE} was changed since" in ran.err
        assert stage.listed()["installed"]["serial"] == serials[2]
    assert f"sophia cert rollback {ZONE} {serials[0]}" in ran.err
    assert stage.run("cert", "rollback", ZONE, serials[0], "--yes").code == 0
    assert stage.listed()["installed"]["serial"] == serials[0]


def test_the_environment_has_it_renewed_earlier_and_every_command_says_so(stage: Stage) -> None:
    stage.environment(renew_before_days="40")
    assert stage.run("cert", "issue", "--yes").code == 0
    entry = stage.listed()
    assert entry["reason"].startswith("the environment asks for 40 days before the end, so from 2")
    end, renewed = (datetime.fromisoformat(text) for text in (entry["installed"]["not_after"], entry["renew_at"]))
    assert end - renewed == timedelta(days=40)
    assert "Nothing to do" in stage.run("plan", "--target", "cert:*").out
    older(stage, days=52)
    stage.environment()
    assert "Nothing to do" in stage.run("plan", "--target", "cert:*").out
    stage.environment(renew_before_days="40")
    planned = stage.run("plan", "--target", "cert:*").out
    assert "Nothing to do" not in planned
    assert "the environment asks for 40 days before the end" in planned
    assert stage.run("cert", "renew", "--yes").code == 0
    assert stage.listed()["installed"]["serial"] != entry["installed"]["serial"]
    assert stage.run("cert", "renew", "--yes").out.startswith("Nothing to do")


def test_a_rule_proposes_to_renew_earlier_and_the_file_keeps_its_comments(stage: Stage) -> None:
    level = "ai_infrastructure: {learning_mode: true, optimization_level: %s}"
    stage.environment(more=level % "balanced", key_type="ec-p256   # what the old phones take")
    assert stage.run("cert", "issue", "--yes").code == 0

    def offers() -> dict[str, Any]:
        made = stage.run("plan", "--ai-enhanced", "-o", "json").data["proposals"]
        return {one["source"]: one for one in made if one["source"].startswith("rule:CONFIG-RENEW-")}

    assert offers() == {}
    stage.environment(more=level % "conservative", key_type="ec-p256   # what the old phones take")
    (proposal,) = offers().values()
    change = proposal["changes"][0]
    assert (change["before"], change["after"]) == (None, {"path": "ssl.renew_before_days", "value": 30})
    assert f"cert:{ZONE} is valid for 90 days" in proposal["reason"]
    done = stage.run("deploy", "--accept", proposal["id"], "--yes")
    assert done.code == 0, done.err
    text = stage.file.read_text()
    assert "renew_before_days: 30" in text
    assert "key_type: ec-p256   # what the old phones take" in text
    known = stage.run("config", "learning", "-o", "json").data["rules"]
    assert [one["accepted"] for one in known if one["rule"] == "CONFIG-RENEW-BEFORE"] == [1]
    assert offers() == {}


def older(stage: Stage, days: int) -> None:
    """Let the installed certificate be this much older, while the authority's advice stays what it was."""
    path = stage.current / "certificate.json"
    facts = json.loads(path.read_text())
    for key in ("not_before", "not_after"):
        facts[key] = (datetime.fromisoformat(facts[key]) - timedelta(days=days)).isoformat()
    path.write_text(json.dumps(facts))


def test_a_revocation_wants_the_name_and_the_next_issue_replaces_it(stage: Stage) -> None:
    assert stage.run("cert", "issue", "--yes").code == 0
    serial = stage.listed()["installed"]["serial"]
    refused = stage.run("cert", "revoke", "--yes")
    assert (refused.code, f"--confirm {ZONE}" in refused.err) == (3, True)
    assert stage.ca.status(serial)["Status"] == "Valid"
    words = ("cert", "revoke", "--reason", "superseded", "--yes", "--confirm", ZONE)
    assert stage.run(*words).code == 0
    assert stage.ca.status(serial)["Status"] == "Revoked"
    assert stage.run(*words).code == 3
    assert stage.run("cert", "revoke", "--reason", "boredom", "--yes").code == 64
    healed = stage.run("heal", "-o", "json")  # a revoked certificate is replaced by a person
    assert (healed.code, [entry["why"] for entry in healed.data["open"]]) == (2, ["needs approval"])
    assert stage.run("cert", "issue", "--yes").code == 0
    assert stage.listed()["installed"]["serial"] != serial


def test_a_standing_record_is_written_once_and_renewals_write_nothing(stage: Stage) -> None:
    if not stage.ca.offers("renewalInfo"):
        pytest.skip("this Pebble is too old for dns-persist-01")
    stage.environment(*BOTH, challenge="dns-persist-01")
    before = stage.rows()[ZONE][1]
    ran = stage.run("cert", "issue", "--yes")
    if "offers dns-01" in ran.err:
        pytest.skip("this Pebble does not offer dns-persist-01")
    assert ran.code == 0, ran.err
    standing = stage.rows()[ZONE][1] - before
    assert {(name, kind) for name, kind, *_ in standing} == {("_validation-persist", "TXT")}
    assert before < stage.rows()[ZONE][1]
    serial = stage.listed()["installed"]["serial"]
    assert writes(stage) == 1
    stage.age(days=60)
    healed = stage.run("heal", "-o", "json")
    assert (healed.code, len(healed.data["repaired"])) == (0, 1), healed.err
    assert stage.listed()["installed"]["serial"] != serial
    assert writes(stage) == 1


def test_a_standing_record_is_never_made_without_a_person(stage: Stage) -> None:
    before = stage.rows()
    assert stage.run("cert", "issue", "--yes").code == 0  # offered or not: nobody was asked about a lasting record
    assert stage.rows() == before


# -- what stops an issue ----------------------------------------------------------------------------------------------------


def test_a_name_the_authority_will_not_have_leaves_no_record_and_no_order(stage: Stage) -> None:
    stage.environment("blocked.example")
    before = stage.rows()
    ran = stage.run("cert", "issue", "--yes")
    assert (ran.code, stage.rows()) == (1, before)
    assert stage.listed()["pending"] is None


def test_a_name_outside_every_zone_says_which_cname_would_do(stage: Stage) -> None:
    stage.environment("www.elsewhere.example")
    before = stage.rows()
    ran = stage.run("cert", "issue", "--yes", "-v")
    assert (ran.code, stage.rows()) == (1, before)
    assert "_acme-challenge.www.elsewhere.example" in ran.out + ran.err


def test_a_caa_record_for_another_authority_stops_before_any_write(stage: Stage) -> None:
    if not stage.ca.offers("caaIdentities"):
        pytest.skip("this Pebble names no caaIdentities")
    stage.box.edit(ZONE, add=[{"name": "@", "type": "CAA", "address": '0 issue "other.example"'}])
    before = stage.rows()
    ran = stage.run("cert", "issue", "--yes")
    assert (ran.code, stage.rows()) == (1, before)
    assert "CAA" in ran.out + ran.err


def test_without_domains_there_is_no_certificate_to_speak_of(stage: Stage) -> None:
    text = stage.file.read_text().replace(f'domains: ["{ZONE}"]', "domains: []")
    stage.file.write_text(text)
    assert stage.run("cert", "issue", "--yes").code == 64
    assert "no certificate" in stage.run("cert", "list").out


# -- afterwards -------------------------------------------------------------------------------------------------------------


def test_the_deploy_hook_gets_paths_and_no_secrets(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_SHELL", "not for the hook")
    script = stage.file.parent / "hook.sh"
    script.write_text("#!/bin/sh\nenv > hook.env\necho done\n")
    script.chmod(0o755)
    stage.environment(deploy_hook="./hook.sh")
    assert stage.run("cert", "issue", "--yes").code == 0
    given = dict(line.split("=", 1) for line in (stage.file.parent / "hook.env").read_text().splitlines())
    assert given["SOPHIA_CERTIFICATE_NAME"] == ZONE
    assert Path(given["SOPHIA_CERTIFICATE_KEY"]).read_text() == (stage.current / "privkey.pem").read_text()
    assert stage.box.api_key not in str(given)
    assert "OF_THE_SHELL" not in given


def test_a_hook_that_fails_is_said_and_run_again_by_heal(stage: Stage) -> None:
    script = stage.file.parent / "hook.sh"
    script.write_text("#!/bin/sh\necho no such service >&2\nexit 7\n")
    script.chmod(0o755)
    stage.environment(deploy_hook="./hook.sh")
    ran = stage.run("cert", "issue", "--yes", "-o", "json")
    assert (ran.code, ran.data["verified"]) == (0, None)
    assert "ended with code 7" in json.dumps(ran.data)
    script.write_text("#!/bin/sh\ntouch ran\n")
    assert stage.run("heal").code == 0
    assert (stage.file.parent / "ran").exists()
    assert stage.listed()["pending"] is None


@pytest.fixture
def website(stage: Stage) -> Iterator[tuple[int, Any]]:
    """An HTTPS server on loopback that serves what is installed, once told to load it."""
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)

    def load() -> None:
        context.load_cert_chain(stage.current / "fullchain.pem", stage.current / "privkey.pem")

    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port, load
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_served_certificate_is_shown_to_be_the_new_one_or_said_to_be_an_old_one(
    stage: Stage, website: tuple[int, Any]
) -> None:
    port, load = website
    stage.environment(more=f'monitoring: {{ping_endpoints: ["https://{ZONE}:{port}/"]}}')
    assert stage.run("cert", "issue", "--yes").code == 0
    load()
    old = stage.listed()["installed"]["serial"]
    ran = stage.run("cert", "renew", "--force", "--yes", "-o", "json")
    assert (ran.code, ran.data["verified"]) == (0, None)
    assert f"still serves {old}" in json.dumps(ran.data)
    load()
    again = stage.run("cert", "rollback", "--yes", "-o", "json")
    assert again.data["verified"] is None  # it serves the newer one now
    forward = stage.run("cert", "rollback", stage.listed()["versions"][0]["serial"], "--yes", "-o", "json")
    assert (forward.code, forward.data["verified"]) == (0, True)


# -- secrets ----------------------------------------------------------------------------------------------------------------


def test_no_key_is_in_any_output_log_or_readable_file(stage: Stage) -> None:
    stage.environment(*BOTH)
    said = ""
    for words in (
        ("plan", "-v"),
        ("cert", "issue", "--yes", "-v"),
        ("cert", "list", "-v", "-o", "json"),
        ("cert", "renew", "--force", "--yes", "-o", "json"),
        ("audit", "show", "-o", "json"),
        ("heal", "-o", "json"),
    ):
        ran = stage.run(*words)
        said += ran.out + ran.err
    bodies = {path: path.read_text(errors="replace") for path in stage.state.rglob("*") if path.is_file()}
    keys = [text for text in bodies.values() if "PRIVATE KEY" in text]
    assert len(keys) >= 3  # the account's and two certificates'
    secrets = {line for text in keys for line in text.splitlines() if len(line) > 40 and "-----" not in line}
    for secret in secrets:
        assert secret not in said
        assert all(secret not in text for text in bodies.values() if text not in keys)
    for path, text in bodies.items():
        if "PRIVATE KEY" in text:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def writes(stage: Stage) -> int:
    """How often the provider was sent a zone."""
    return sum(call.endswith("setHosts") for call in stage.box.calls())


def events(stage: Stage) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stage.run("audit", "show", "-o", "json").data["events"]
    return found


def test_every_step_is_in_the_audit_log(stage: Stage) -> None:
    assert stage.run("cert", "issue", "--yes").code == 0
    actions = [event["action"] for event in events(stage) if event["action"].startswith("cert.")]
    assert actions == ["cert.dnssec", "cert.order", "cert.shown", "cert.answered", "cert.finalized", "cert.installed"]
    assert os.listdir(stage.state / "certificates" / ZONE / "pending") == []


# -- accounts and alerts ----------------------------------------------------------------------------------------------------


def test_an_authority_that_wants_an_external_account_gets_its_binding(
    shared: tuple[Sandbox, Pebble, Path], work: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    box, _, data = shared
    put_back(data)
    key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    options = {"externalAccountBindingRequired": True, "externalAccountMACKeys": {"kid-1": key}}
    folder = tmp_path_factory.mktemp("eab")
    with pebble.running(pebble.PROGRAMS[0], folder, box, "-strict=false", **options) as ca:
        stage = Stage(box, ca, data, work / "acme.yaml")
        stage.environment()
        without = stage.run("cert", "issue", "--yes")
        assert (without.code, "external account" in without.err) == (1, True)
        stage.environment(eab="{key_id: {fn::secret: kid-1}, hmac_key: {fn::secret: " + key + "}}")
        ran = stage.run("cert", "issue", "--yes", "-v")
        assert ran.code == 0, ran.err
        assert key not in ran.out + ran.err + stage.run("audit", "show", "-o", "json").out
        assert stage.openssl_accepts(ZONE)


def test_a_failed_renewal_reaches_people_once_a_day(stage: Stage) -> None:
    from tests.providers.test_notify import hook

    with hook() as (got, url):
        stage.environment(more=f"monitoring: {{webhook: {{fn::secret: {url.get_secret_value()}}}}}")
        assert stage.run("cert", "issue", "--yes").code == 0
        stage.age(days=88)  # two days are left
        assert stage.run("freeze", f"dns:{ZONE}").code == 0
        for _ in range(3):
            ran = stage.run("heal", "-v")
            assert ran.code == 2
            assert url.get_secret_value() not in ran.out + ran.err
    keys = [body["data"]["key"].rpartition(":")[2] for _, body in got]
    assert sorted(key for key in keys if len(key) < 12) == ["CERT-DUE", "failed"]
    critical = next(body["data"] for _, body in got if body["data"]["key"].endswith("failed"))
    assert "is frozen" in critical["text"]
