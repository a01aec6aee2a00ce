"""config, diff, sandbox, doctor, and environments that live in Pulumi Cloud."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.cli.harness import DOMAIN, ROWS, Shop, run

API = "{type: A, value: 203.0.113.10, name: api}"
TOKEN = "pul-0123456789abcdef"


def test_show_masks_secrets_and_evaluates_any_esc_file(work: Path) -> None:
    Path("any.yaml").write_text("values:\n  a: {fn::secret: hush-hush}\n  b: x-${a}\n  n: 0123\n  t: '0123'\n")
    ran = run("config", "show", "-e", "any.yaml", "-o", "json")
    assert ran.code == 0
    assert ran.data["values"] == {"a": "[secret]", "b": "[secret]", "n": 83, "t": "0123"}
    assert "hush-hush" not in run("config", "show", "-e", "any.yaml").out


def test_reveal_is_refused_where_stdout_is_no_terminal_unless_confirmed(work: Path) -> None:
    Path("any.yaml").write_text("values:\n  a: {fn::secret: hush-hush}\n")
    refused = run("config", "show", "-e", "any.yaml", "--reveal")
    assert (refused.code, "hush-hush" in refused.out + refused.err) == (3, False)
    assert "hush-hush" in run("config", "show", "-e", "any.yaml", "--reveal", "--confirm", "reveal").out


def test_check_warns_of_misspelt_keys_and_of_keys_without_effect(acme: Shop) -> None:
    acme.environment(
        API,
        dns="tll: 300",
        more="monitoring: {dns_health_check: true}\nservices: {hooks: {stack: prod, config_key: size}}",
    )
    ran = acme.run("config", "check", "-o", "json")
    assert ran.code == 0
    warnings = {one["path"]: one for one in ran.data["diagnostics"]}
    assert "ttl" in warnings["values.dns.tll"]["message"]
    assert warnings["values.dns.tll"]["line"] == acme.file.read_text().splitlines().index("    tll: 300") + 1
    assert "no effect" in warnings["values.monitoring.dns_health_check"]["message"]
    assert len(warnings) == 2  # and none for what is used: services among it


def test_explain_prints_each_file_and_line_that_contributed(work: Path) -> None:
    Path("base.yaml").write_text("values:\n  ip: 203.0.113.1\n  dns: {ttl: 300}\n")
    Path("top.yaml").write_text("imports: [base]\nvalues:\n  dns: {ttl: 600}\n  at: ${ip}\n")
    said = run("config", "explain", "dns.ttl", "-e", "top.yaml").out
    assert "top.yaml:3" in said
    assert "base.yaml:3" in said
    assert "base.yaml:2" in run("config", "explain", "at", "-e", "top.yaml").out
    assert '{"ttl": 600}' in run("config", "explain", "dns", "-e", "top.yaml").out
    assert run("config", "explain", "no.such", "-e", "top.yaml").code == 64


def test_set_edits_in_place_and_shows_the_change_first(acme: Shop) -> None:
    acme.environment(API, dns="ttl: 300  # five minutes")
    before = acme.file.read_text()
    refused = acme.run("config", "set", "dns.ttl", "600")
    assert (refused.code, acme.file.read_text()) == (3, before)
    assert acme.run("config", "set", "dns.ttl", "600", "--yes").code == 0
    assert acme.file.read_text() == before.replace("ttl: 300  # five minutes", "ttl: 600  # five minutes")
    assert acme.run("rollback", "--yes").code == 0
    assert acme.file.read_text() == before


@pytest.mark.parametrize("path", ["ai_infrastructure.autonomy", "ai_infrastructure.limits.max_deletes", "dns.purge"])
def test_set_does_not_edit_what_only_a_person_may(acme: Shop, path: str) -> None:
    acme.environment(API)
    before = acme.file.read_text()
    assert acme.run("config", "set", path, "1", "--yes").code == 3
    assert acme.file.read_text() == before


# -- diff ---------------------------------------------------------------------------------------------------------------


def test_diff_of_master_files_needs_no_environment(work: Path) -> None:
    Path("live.zone").write_text(
        "$ORIGIN example.com.\n$TTL 300\n@ A 203.0.113.1\nwww CNAME example.com.\nold A 203.0.113.2\n"
    )
    Path("want.zone").write_text(
        "$ORIGIN example.com.\n$TTL 300\n@ A 203.0.113.9\nwww CNAME example.com.\nnew A 203.0.113.3\n"
    )
    ran = run("diff", "live.zone", "want.zone", "-o", "json")
    assert ran.code == 0
    assert ran.data["summary"] == {"create": 1, "update": 1, "delete": 1, "unchanged": 1, "kept": 0}
    assert ran.data["targets"][0]["id"] == "dns:example.com"


def test_diff_of_json_lines_and_of_equal_files(work: Path) -> None:
    row = {"name": "api", "type": "A", "value": "203.0.113.7", "ttl": 300, "priority": None}
    Path("a.jsonl").write_text(json.dumps(row) + "\n")
    ran = run("diff", "a.jsonl", "a.jsonl", "--origin", "example.com", "-o", "json")
    assert (ran.code, ran.data["changes"], ran.data["summary"]["unchanged"]) == (0, [], 1)


@pytest.mark.parametrize("text", ["@ A 203.0.113.1 oops oops\n", "{not json\n", ""])
def test_diff_says_where_a_file_is_broken(work: Path, text: str) -> None:
    Path("bad.zone").write_text(text)
    Path("good.zone").write_text("$ORIGIN example.com.\n@ 300 A 203.0.113.1\n")
    ran = run("diff", "bad.zone", "good.zone", "--origin", "example.com")
    assert ran.code == (0 if not text else 1)
    assert "Traceback" not in ran.err
    assert run("diff", "none.zone", "good.zone").code == 64


# -- sandbox --------------------------------------------------------------------------------------------------------------


def test_serve_prints_one_ready_line_and_an_independent_client_works_with_it(work: Path) -> None:
    import namecheap

    zone = "$ORIGIN acme.example.\n$TTL 1800\n@ A 203.0.113.1\nwww A 203.0.113.2\n"
    Path("acme.zone").write_text(zone)
    assert run("sandbox", "load", "acme.zone", "--domain", DOMAIN, "--data", "n.json").code == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "sophia_cli", "sandbox", "serve", "--data", "n.json"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert set(ready) == {"endpoint", "dns", "api_user", "api_key", "username", "domains"}
        assert ready["domains"] == [DOMAIN]
        api = namecheap.Api(ready["api_user"], ready["api_key"], ready["username"], "127.0.0.1", debug=False)
        api.endpoint = ready["endpoint"]
        assert [domain["Name"] for domain in api.domains_getList()] == [DOMAIN]
        api.domains_dns_addHost(DOMAIN, {"Name": "new", "Type": "A", "Address": "203.0.113.3", "TTL": "300"})
        assert {"www", "new"} <= {host["Name"] for host in api.domains_dns_getHosts(DOMAIN)}
        api.domains_dns_delHost(DOMAIN, {"Name": "new", "Type": "A", "Address": "203.0.113.3"})
        assert "new" not in {host["Name"] for host in api.domains_dns_getHosts(DOMAIN)}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.communicate()
    assert run("sandbox", "reset", "--data", "n.json").code == 0


def test_the_sandbox_flag_needs_no_account_and_owns_the_environments_domains(work: Path) -> None:
    Path("acme.yaml").write_text(
        "values:\n  dns:\n    domains:\n"
        "      one.example: {records: {a: {type: A, name: '@', value: 203.0.113.1}}}\n"
        "      two.example: {records: {a: {type: A, name: '@', value: 203.0.113.2}}}\n"
    )
    assert run("deploy", "--sandbox", "--yes", "-e", "acme.yaml").code == 0
    assert run("plan", "--sandbox", "--detailed-exitcode", "-e", "acme.yaml").code == 0
    assert run("plan", "-e", "acme.yaml").code == 4  # without it: there are no credentials


# -- doctor ---------------------------------------------------------------------------------------------------------------


def test_doctor_says_what_is_missing_and_the_command_that_mends_it(acme: Shop) -> None:
    acme.environment(API)
    fine = acme.run("doctor", "-o", "json")
    assert fine.code == 0
    assert {check["name"]: check["ok"] for check in fine.data["checks"]}[f"zone {DOMAIN}"] is True
    acme.environment(API, api_key="wrong-0123456789")
    wrong = acme.run("doctor", "-o", "json")
    assert wrong.code == 1
    assert [check["name"] for check in wrong.data["checks"] if check["ok"] is False] == ["namecheap"]
    assert "wrong-0123456789" not in wrong.out


def test_doctor_outside_any_project_says_how_to_begin(work: Path) -> None:
    ran = run("doctor")
    assert ran.code == 1
    assert "sophia import" in ran.out


# -- Pulumi Cloud -----------------------------------------------------------------------------------------------------------


class _Cloud(BaseHTTPRequestHandler):
    """Speaks the part of the ESC REST API that opening takes."""

    def _answer(self) -> None:
        server: Any = self.server
        length = int(self.headers.get("Content-Length", 0))
        server.asked.append((self.command, self.path, self.rfile.read(length).decode()))
        if self.headers.get("Authorization") != f"token {TOKEN}":
            body, status = b"{}", 401
        elif self.command == "POST":
            body, status = b'{"id": "session-1"}', 200
        else:
            body, status = json.dumps({"properties": server.properties}).encode(), 200
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _valued(data: Any) -> dict[str, Any]:
    """Plain data in the service's form: every value wrapped, credentials secret."""
    if isinstance(data, dict):
        return {"value": {key: {**_valued(one), "secret": key.startswith("api_")} for key, one in data.items()}}
    return {"value": [_valued(one) for one in data] if isinstance(data, list) else data}


@pytest.fixture
def cloud(acme: Shop) -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Cloud)
    server.asked = []
    server.properties = _valued(
        {
            "dns": {
                "domain": DOMAIN,
                "nameservers": [acme.sandbox.dns],
                "records": {"api": {"type": "A", "name": "api", "value": "203.0.113.99"}},
            },
            "namecheap": {
                "api_user": acme.sandbox.api_user,
                "api_key": acme.sandbox.api_key,
                "username": acme.sandbox.username,
                "endpoint": acme.sandbox.endpoint,
            },
        }
    )["value"]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_an_environment_of_pulumi_cloud_works_end_to_end(
    acme: Shop, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_ACCESS_TOKEN", TOKEN)
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"http://127.0.0.1:{cloud.server_address[1]}")
    words = ("-e", "acme-org/platform/prod", "--wait", "0")
    ran = run("deploy", "--yes", "-o", "json", *words)
    assert (ran.code, ran.data["outcome"]) == (0, "applied"), ran.err
    assert acme.rows() == {row[:3] for row in ROWS if row[0] != "api"} | {("api", "A", "203.0.113.99")}
    assert run("plan", "--detailed-exitcode", *words).code == 0
    shown = run("config", "show", "-o", "json", *words)
    assert shown.data["values"]["namecheap"]["api_key"] == "[secret]"
    assert run("plan", "--set", "dns.ttl=600", *words).code == 0
    assert "imports" in cloud.asked[-2][2]
    refused = run("record", "set", "api", "A", "203.0.113.5", "--yes", *words)
    assert refused.code == 3
    assert "dns.records.api.value" in refused.err  # the patch to make by hand


def test_a_cloud_environment_without_a_token_or_with_a_wrong_one_is_4(
    acme: Shop, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = run("plan", "-e", "acme-org/platform/prod")
    assert (missing.code, "PULUMI_ACCESS_TOKEN" in missing.err) == (4, True)
    monkeypatch.setenv("PULUMI_ACCESS_TOKEN", "pul-wrong-wrong-wrong")
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"http://127.0.0.1:{cloud.server_address[1]}")
    ran = run("plan", "-e", "acme-org/platform/prod")
    assert (ran.code, "pul-wrong" in ran.err) == (4, False)
