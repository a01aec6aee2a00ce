"""Bad input and bad luck: each has its exit code, says what, where and what next, and loses nothing."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sophia_cli.sandbox import Sandbox
from tests.cli.harness import DOMAIN, ROWS, Ran, Shop, run, shop, spawn

MOVED = "{type: A, value: 203.0.113.99, name: api}"
BEFORE = {row[:3] for row in ROWS}
AFTER = {row for row in BEFORE if row[0] != "api"} | {("api", "A", "203.0.113.99")}


# -- the environment: 64 --------------------------------------------------------------------------------------------------


def test_a_missing_environment_file_is_named_with_what_to_do(work: Path) -> None:
    ran = run("plan", "-e", "nowhere.yaml")
    assert (ran.code, ran.out) == (64, "")
    assert "nowhere.yaml" in ran.err
    assert "next:" in ran.err
    assert run("plan").code == 64


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("values: [unclosed", "acme.yaml:1"),
        ("values:\n\tdns: {}\n", "acme.yaml:2"),
        ("- a\n- b\n", "acme.yaml:1"),
        ("values:\n  dns: 7\n", "dns"),
        ("\x00\x01", "acme.yaml"),
        ("values:\n  a: ${b}\n  b: ${a}\n", "acme.yaml:2"),
    ],
)
def test_a_malformed_environment_is_refused_with_its_place(work: Path, text: str, said: str) -> None:
    Path("acme.yaml").write_text(text)
    ran = run("plan", "-e", "acme.yaml")
    assert ran.code == 64
    assert said in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (["{type: PTR, value: a.example.net, name: api}"], "PTR"),
        (["{type: CNAME, value: a.example.net, name: api}", "{type: A, value: 203.0.113.1, name: api}"], "CNAME"),
        (["{type: A, value: 203.0.113.1, name: api, ttl: 59}"], "59"),
        (["{type: A, value: 203.0.113.1, name: api, ttl: 60001}"], "60001"),
        ([f"{{type: A, value: 203.0.113.1, name: h{n}}}" for n in range(151)], "150"),
        (["{type: A, value: 203.0.113.1111, name: api}"], "IPv4"),
        (["{type: A, value: '${NOT_SET_ANYWHERE}', name: api}"], "NOT_SET_ANYWHERE"),
        (["{type: CNAME, value: a.example.net, name: '@'}"], "apex"),
        (["{type: SRV, value: '0 5 a.example.net', name: _sip._tcp}"], "SRV"),
    ],
)
def test_records_the_provider_cannot_hold_are_refused_before_any_call(
    acme: Shop, records: list[str], said: str
) -> None:
    acme.environment(*records)
    ran = acme.run("deploy", "--yes")
    assert (ran.code, acme.sandbox.calls()) == (64, [])
    assert said in ran.err
    assert "acme.yaml:" in ran.err


def test_every_missing_variable_is_named_with_file_and_line_in_one_run(acme: Shop) -> None:
    acme.environment("{type: A, value: '${FIRST_ONE}', name: a}", "{type: A, value: '${SECOND_ONE}', name: b}")
    ran = acme.run("plan", "-o", "json")
    assert ran.code == ran.error["code"] == 64
    said = [(one["line"], one["message"]) for one in ran.error["details"]["diagnostics"]]
    lines = acme.file.read_text().splitlines()
    for name in ("FIRST_ONE", "SECOND_ONE"):
        line = next(number for number, text in enumerate(lines, 1) if name in text)
        assert any(at == line and name in message for at, message in said), said


@pytest.mark.parametrize(
    "words", [["nonsense"], ["plan", "--zz"], ["plan", "-o", "yaml"], ["plan", "-o", "sarif"], [], ["record"]]
)
def test_wrong_usage_is_64(work: Path, words: list[str]) -> None:
    assert run(*words).code == 64


@pytest.mark.parametrize(
    "path", ["ai_infrastructure.autonomy=autonomous", "dns.purge=true", "namecheap.endpoint=http://x"]
)
def test_set_cannot_reach_what_only_a_person_edits(acme: Shop, path: str) -> None:
    acme.environment(MOVED)
    ran = acme.run("plan", "--set", path)
    assert (ran.code, acme.sandbox.calls()) == (64, [])


@pytest.mark.parametrize("endpoint", ["https://evil.example/xml.response", "http://203.0.113.1/xml.response"])
def test_the_key_goes_nowhere_but_to_namecheap_or_loopback(acme: Shop, endpoint: str) -> None:
    acme.environment(MOVED, endpoint=endpoint)
    assert acme.run("plan").code == 64


# -- policy: 3 ------------------------------------------------------------------------------------------------------------


def test_more_than_150_rows_only_together_with_kept_ones_is_refused_by_policy(work: Path) -> None:
    rows = [(f"k{number}", "A", "203.0.113.1") for number in range(149)]
    with shop(work, *rows, email_type="NONE") as found:
        found.environment(MOVED, "{type: A, value: 203.0.113.2, name: second}")
        ran = found.run("deploy", "--yes")
        assert ran.code == 3
        assert "151 rows" in ran.err
        assert len(found.rows()) == 149


# -- the provider: 1 and 4 -------------------------------------------------------------------------------------------------


def test_a_zone_not_in_the_account_is_1_and_named(acme: Shop) -> None:
    acme.environment(MOVED)
    acme.file.write_text(acme.file.read_text().replace(DOMAIN, "stranger.example", 1))
    ran = acme.run("deploy", "--yes")
    assert ran.code == 1
    assert "stranger.example" in ran.err


def test_a_wrong_key_is_4_and_never_shown(acme: Shop) -> None:
    acme.environment(MOVED, api_key="wrong-key-0123456789")
    ran = acme.run("deploy", "--yes")
    assert ran.code == 4
    assert "wrong-key-0123456789" not in ran.out + ran.err


def test_an_address_that_is_not_allowed_is_4_with_the_address_the_api_saw(acme: Shop) -> None:
    acme.environment(MOVED)
    acme.sandbox.fault("error", number=1011150, text="Invalid request IP: 198.51.100.77", count=None)
    ran = acme.run("deploy", "--yes", "-o", "json")
    assert (ran.code, ran.error["kind"]) == (4, "AddressNotAllowed")
    assert "198.51.100.77" in ran.error["message"]


def test_an_unreachable_api_is_1(acme: Shop) -> None:
    acme.environment(MOVED, endpoint="http://127.0.0.1:9/xml.response")
    ran = acme.run("deploy", "--yes")
    assert ran.code == 1
    assert "next:" in ran.err


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("getHosts", "email_type_missing"),
        *(
            (command, kind)
            for command in ("getHosts", "getInfo")
            for kind in ("truncated", "html_200", "html_5xx", "wrong_namespace", "empty")
        ),
    ],
)
def test_a_read_that_cannot_be_parsed_is_unknown_and_never_leads_to_a_write(
    acme: Shop, kind: str, command: str
) -> None:
    acme.environment(MOVED, dns="purge: true")
    acme.sandbox.fault(kind, command=command, count=None)
    ran = acme.run("deploy", "--yes", "--confirm", DOMAIN)
    assert ran.code == 1, ran.err
    assert (acme.rows(), "setHosts" in acme.sandbox.calls()) == (BEFORE, False)


def test_a_read_short_of_rows_is_incomplete_and_never_leads_to_a_write(acme: Shop) -> None:
    acme.environment(MOVED, dns="purge: true")
    acme.sandbox.fault("replace", command="getInfo", old='HostCount="10"', text='HostCount="11"', count=None)
    ran = acme.run("deploy", "--yes", "--confirm", DOMAIN, "-o", "json")
    assert (ran.code, ran.error["kind"]) == (1, "IncompleteRead")
    assert acme.rows() == BEFORE


# -- a lost answer to a write ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "code", "rows"),
    [
        ("drop_after", 0, AFTER),
        ("html_200", 1, BEFORE),
        ("truncated", 0, AFTER),
        ("drop_before", 1, BEFORE),
        ("error_5050900", 1, BEFORE),
    ],
)
def test_after_a_lost_answer_the_zone_is_read_again(acme: Shop, kind: str, code: int, rows: set[Any]) -> None:
    acme.environment(MOVED)
    acme.sandbox.fault(kind, command="setHosts", count=None if kind == "error_5050900" else 1)
    ran = acme.run("deploy", "--yes")
    assert ran.code == code, ran.err
    assert acme.rows() == rows
    assert acme.run("audit", "verify").code == 0


def test_a_wrong_read_back_is_undone_and_exits_5(acme: Shop) -> None:
    acme.environment(MOVED)
    acme.sandbox.fault("rows_dropped", rows=2, count=1)
    ran = acme.run("deploy", "--yes", "-o", "json")
    assert ran.code == 5, ran.err
    assert ran.data["outcome"] == "rolled_back"
    assert acme.rows() == BEFORE


def test_a_mail_mode_that_the_write_reset_is_undone_and_exits_5(acme: Shop) -> None:
    acme.environment(MOVED)
    acme.sandbox.fault("email_type_reset", text="FWD", count=1)
    ran = acme.run("deploy", "--yes")
    assert ran.code == 5
    assert (acme.email_type(), acme.rows()) == ("MX", BEFORE)


def test_a_foreign_row_that_came_meanwhile_is_kept_and_reported(acme: Shop) -> None:
    acme.environment(MOVED)
    foreign = {"name": "theirs", "type": "A", "address": "198.51.100.9"}
    acme.sandbox.fault("lost_update", command="setHosts", after=True, add=[foreign], count=1)
    ran = acme.run("deploy", "--yes")
    assert ran.code == 0, ran.err
    assert "theirs" in ran.out
    assert acme.rows() == AFTER | {("theirs", "A", "198.51.100.9")}


def test_an_old_answer_of_the_name_servers_is_not_yet_and_heal_finishes_it(acme: Shop) -> None:
    acme.environment(MOVED)
    acme.sandbox.fault("dns_lag", seconds=3600, count=None)
    ran = acme.run("deploy", "--yes", "-o", "json")
    assert (ran.code, ran.data["verified"]) == (0, None)
    acme.sandbox.control(clear=True)
    assert acme.run("heal").code == 0
    shown = acme.run("audit", "show", "-o", "json").data["events"]
    assert shown[-1]["action"] == "verify.later"


def test_an_answer_neither_old_nor_new_undoes_the_run_and_exits_5(acme: Shop) -> None:
    acme.environment(MOVED)
    acme.sandbox.fault("dns_wrong", name=f"api.{DOMAIN}", type="A", value="198.51.100.13", count=None)
    ran = acme.run("deploy", "--yes", "-o", "json")
    assert (ran.code, ran.data["outcome"]) == (5, "rolled_back")
    assert acme.rows() == BEFORE


# -- signals, kills, locks, full disks -----------------------------------------------------------------------------------------


@contextmanager
def deploying(found: Shop, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A deploy as a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sophia_cli", "deploy", "--yes", "--wait", "0", "-e", str(found.file), *words],
        cwd=found.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until_called(sandbox: Sandbox, command: str, times: int = 1) -> None:
    """Wait until the API was asked for a command so many times."""
    deadline = time.monotonic() + 20
    while sandbox.calls().count(command) < times:
        assert time.monotonic() < deadline, sandbox.calls()
        time.sleep(0.01)


def test_ctrl_c_inside_a_write_finishes_it_and_exits_5(acme: Shop) -> None:
    acme.environment(MOVED)
    acme.sandbox.fault("latency", command="setHosts", seconds=1.0)
    with deploying(acme) as process:
        until_called(acme.sandbox, "setHosts")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 5, err
    assert "interrupted" in err
    assert acme.rows() == AFTER
    assert acme.run("heal").code == 0


def test_ctrl_c_before_the_write_changes_nothing_and_exits_130(acme: Shop) -> None:
    acme.environment(MOVED)
    acme.sandbox.fault("latency", command="getHosts", seconds=5.0)
    with deploying(acme) as process:
        until_called(acme.sandbox, "getHosts")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert (acme.rows(), "Traceback" in err) == (BEFORE, False)


@pytest.mark.parametrize("fault", ["latency", "timeout_after"])
def test_kill_9_in_the_middle_of_a_write_is_settled_by_heal(acme: Shop, fault: str) -> None:
    acme.environment(MOVED)
    acme.sandbox.fault(fault, command="setHosts", seconds=1.0)
    with deploying(acme) as process:
        until_called(acme.sandbox, "setHosts")
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(1.2)  # the server finishes what it began, whoever hung up
    assert acme.run("heal").code in (0, 2)
    assert acme.rows() in (BEFORE, AFTER)
    assert acme.run("audit", "verify").code == 0
    assert not list((acme.folder / ".sophia" / "runs" / "open").glob("*.json"))
    assert acme.run("deploy", "--yes").code == 0
    assert acme.rows() == AFTER


def test_a_second_run_is_refused_with_6_and_names_the_first_heal_included(acme: Shop) -> None:
    acme.environment(MOVED)
    acme.sandbox.fault("latency", command="setHosts", seconds=3.0)
    with deploying(acme) as process:
        until_called(acme.sandbox, "setHosts")
        second, third = acme.run("deploy", "--yes"), acme.run("heal")
        _out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert (second.code, third.code) == (6, 6)
    assert str(process.pid) in second.err
    assert acme.rows() == AFTER


def test_a_full_disk_before_the_write_changes_nothing_and_exits_1(acme: Shop) -> None:
    acme.environment(MOVED)

    def no_space() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    done = subprocess.run(
        [sys.executable, "-m", "sophia_cli", "deploy", "--yes", "-e", str(acme.file)],
        cwd=acme.folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=no_space,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    assert ".sophia" in done.stderr
    assert "Traceback" not in done.stderr
    assert acme.rows() == BEFORE


def test_an_unwritable_state_directory_is_1_and_named(acme: Shop) -> None:
    acme.environment(MOVED)
    (acme.folder / ".sophia").write_text("a file where a folder is due")
    ran = acme.run("deploy", "--yes")
    assert (ran.code, acme.rows()) == (1, BEFORE)
    assert ".sophia" in ran.err


def test_secrets_reach_no_output_log_or_state_file(acme: Shop) -> None:
    acme.environment(MOVED, "{type: TXT, value: '${namecheap.api_key}', name: leak}")
    said: list[Ran] = [
        acme.run(*words)
        for words in (
            ["plan"],
            ["plan", "-o", "json"],
            ["plan", "-o", "markdown"],
            ["plan", "-o", "html"],
            ["plan", "--out", "plan.json"],
            ["deploy", "--yes"],
            ["analyze"],
            ["config", "show"],
            ["config", "explain", "namecheap.api_key"],
            ["heal"],
            ["ask", "what changed yesterday?"],
        )
    ]
    assert said[5].code == 3  # rule secret-in-dns
    assert "secret-in-dns" in said[5].err
    key = acme.sandbox.api_key
    for ran in said:
        assert key not in ran.out + ran.err
    for path in acme.folder.rglob("*"):
        if path.is_file() and path not in (acme.file, acme.data_file):
            assert key.encode() not in path.read_bytes(), path


def test_help_works_as_a_process_and_fails_cleanly_without_an_environment(work: Path) -> None:
    assert spawn("--help", cwd=work).code == 0
    ran = spawn("heal", cwd=work)
    assert (ran.code, "Traceback" in ran.err) == (64, False)


@pytest.mark.parametrize(
    "target", ["cert:acme.exampel", "stack:prod", "delegation:acme.example", "service:hooks", "*.exampel"]
)
@pytest.mark.parametrize("command", ["plan", "analyze", "heal"])
def test_a_target_that_nothing_is_called_is_wrong_usage_and_not_nothing_to_do(
    acme: Shop, command: str, target: str
) -> None:
    acme.environment(more="ssl: {provider: letsencrypt, email: ops@acme.example, domains: [acme.example]}")
    ran = acme.run(command, "--target", target)
    assert ran.code == 64
    assert f"--target {target} matches no target" in ran.err
    assert "cert:acme.example" in ran.err


def test_a_certificate_that_the_sandbox_leaves_out_is_named(acme: Shop) -> None:
    acme.environment(more="ssl: {provider: letsencrypt, email: ops@acme.example, domains: [acme.example]}")
    ran = acme.run("plan", "--sandbox")
    assert (ran.code, "certificate acme.example is left out" in ran.err) == (0, True)
