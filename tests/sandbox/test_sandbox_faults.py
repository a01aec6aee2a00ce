"""Faults, control, scenario files, shared data: the parts of the sandbox that are not Namecheap's."""

from __future__ import annotations

import http.client
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sandbox_api import Api

from sophia_cli import sandbox
from sophia_cli.core.errors import StateError, UsageError
from sophia_cli.sandbox import Sandbox
from sophia_cli.sandbox.account import POSITIONS, Account, Switches
from sophia_cli.sandbox.data import DataFile
from sophia_cli.sandbox.faults import DNS, KINDS, Faults, fault

A = ("@", "A", "192.0.2.1")
B = ("b", "A", "192.0.2.2")
OTHER = ("another-writer", "A", "192.0.2.99")


def control(box: Sandbox, body: Any, **headers: str) -> tuple[int, Any]:
    parts = urlsplit(box.endpoint)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    method = "GET" if body is None else "POST"
    raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
    connection.request(method, "/control", raw, {"Content-Type": "application/json", **headers})
    got = connection.getresponse()
    text = got.read()
    connection.close()
    return got.status, json.loads(text) if text else None


def test_a_lost_update_happens_between_a_read_and_a_write(api: Api, box: Sandbox) -> None:
    api.set(A)
    box.fault("lost_update")
    assert api.triples() == [A]
    assert api.triples() == [A, OTHER]
    box.fault("lost_update", command="setHosts", add=[{"name": "z", "type": "TXT", "address": "t"}])
    api.set(A)
    assert api.triples() == [A]
    assert any(row.name == "z" for row in sandbox.peek(box._backend.data.path, "example.com").before().rows)  # type: ignore[union-attr]
    box.fault("lost_update", command="setHosts", after=True, remove=[{"name": "@", "type": "A"}])
    api.set(A, B)
    assert api.triples() == [OTHER, B]


def test_a_write_can_lose_the_mail_mode_or_rows(api: Api, box: Sandbox) -> None:
    box.fault("email_type_reset")
    assert api.set(A, B).ok
    assert api.mode() == "NONE"
    box.fault("rows_dropped", rows=1)
    assert api.set(A, B).ok
    assert api.triples() == [A]


def test_a_read_can_be_short_turned_round_or_old(api: Api, box: Sandbox) -> None:
    api.set(A, B)
    box.fault("rows_dropped", command="getHosts")
    assert api.triples() == [A]
    box.fault("rows_reordered")
    assert api.triples() == [B, A]
    box.fault("email_type_missing")
    assert api.mode() == ""
    api.set(A)
    box.fault("stale_read")
    assert api.triples() == [A, B]
    assert api.triples() == [A]


def test_a_fault_can_be_limited_by_count_command_domain_and_start(api: Api, box: Sandbox) -> None:
    box.fault("http_405", command="getHosts", count=2, skip=1)
    assert [api.on("getHosts").status for _ in range(4)] == [200, 405, 405, 200]
    box.fault("http_405", domain="elsewhere.com")
    assert api.on("getHosts").ok
    box.control(clear=True)
    box.fault("http_405", command="setHosts", count=None)
    assert api.on("getHosts").ok
    assert [api.set(A).status for _ in range(3)] == [405] * 3
    box.control(clear=True)
    assert api.set(A).ok


def test_faults_of_one_kind_wait_for_each_other(api: Api, box: Sandbox) -> None:
    box.fault("http_405")
    box.fault("error_5050900")
    assert [api.on("getHosts").status, api.on("getHosts").number, api.on("getHosts").number] == [405, 5050900, 0]


@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize("kind", ["drop_before", "error_5050900", "html_5xx", "truncated", "wrong_namespace", "empty"])
def test_each_spoilt_answer_may_or_may_not_be_executed(api: Api, box: Sandbox, kind: str, executed: bool) -> None:
    box.fault(kind, command="setHosts", executed=executed)
    try:
        api.set(A)
    except ConnectionError:
        assert kind == "drop_before"
    assert (api.triples() == [A]) is executed


def test_latency_lets_the_call_through(api: Api, box: Sandbox) -> None:
    box.fault("latency", seconds=0.05)
    assert api.on("getHosts").ok


def test_every_kind_of_fault_is_taken_by_a_call_or_a_question() -> None:
    for kind in KINDS:
        faults = Faults([fault({"kind": kind})])
        command = fault({"kind": kind}).command
        name = "namecheap.domains.dns." + (command if command != "*" else "getHosts")
        taken = faults.for_question("example.com", "A") if kind in DNS else faults.for_call(name, "example.com")
        assert [item.kind for item in taken] == [kind]
        assert faults.left() == ()


def test_control_over_http_sets_and_tells(api: Api, box: Sandbox) -> None:
    status, told = control(box, {"faults": [{"kind": "http_405"}], "switches": {"srv": "lost"}})
    assert status == 200
    assert told["switches"]["srv"] == "lost"
    assert told["faults"][0]["kind"] == "http_405"
    assert api.on("getHosts").status == 405
    status, told = control(box, None)
    assert told["calls"][-1]["command"] == "namecheap.domains.dns.getHosts"
    assert box.calls() == ["getHosts"]
    assert box.control(forget=True)["calls"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"faults": [{"kind": "nonsense"}]},
        {"faults": [{"kind": "http_405", "colour": "red"}]},
        {"switches": {"srv": "perhaps"}},
        {"switches": {"nonsense": 1}},
        {"nonsense": 1},
        {"faults": ["x"]},
        b"not json",
        ["list"],
    ],
)
def test_control_refuses_what_it_does_not_know_and_sets_nothing(box: Sandbox, body: Any) -> None:
    status, _ = control(box, body)
    assert status == 400
    assert box.control()["faults"] == []
    assert box.control()["switches"]["srv"] == "survives"


def test_control_is_not_for_web_pages(box: Sandbox) -> None:
    assert control(box, {"faults": []}, **{"Content-Type": "text/plain"})[0] == 415
    assert control(box, {"faults": []}, Host="evil.example")[0] == 403


def test_a_scenario_file_sets_switches_and_faults(boxes: Callable[..., Any], tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.json"
    scenario.write_text(json.dumps({"switches": {"host_ids": "rotate"}, "faults": [{"kind": "http_405"}]}))
    with boxes(scenario=scenario, domains=["example.com"]) as box:
        api = Api(box)
        assert box.control()["switches"]["host_ids"] == "rotate"
        assert api.on("getHosts").status == 405
        assert api.on("getHosts").ok
    for bad in ('{"faults": [{"kind": "nonsense"}]}', "[]", "{", '{"extra": 1}'):
        scenario.write_text(bad)
        with pytest.raises(UsageError), boxes(scenario=scenario):
            pass


def test_two_servers_share_one_data_file(boxes: Callable[..., Any], data: Path, box: Sandbox, api: Api) -> None:
    with boxes(data=data, domains=["example.com", "second.com"]) as other:
        assert other.api_key == box.api_key
        assert other.domains == ("example.com", "second.com")
        api.set(A)
        assert Api(other).triples() == [A]
        Api(other).set(B)
        assert api.triples() == [B]


def test_processes_that_write_at_once_lose_nothing(data: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from sophia_cli import sandbox\n"
        "for n in range(15): sandbox.seed(Path(sys.argv[1]), f'd{sys.argv[2]}-{n}.com')\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(data), str(number)]) for number in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    with sandbox.running(data) as box:
        assert len(box.domains) == 45
    assert stat.S_IMODE(os.stat(data).st_mode) == 0o600
    assert [item.name for item in data.parent.iterdir() if item.name.startswith(f".{data.name}")] == []


def test_a_writer_sees_each_other_writers_change_and_the_file_is_one_document(data: Path) -> None:
    """What a reader remembers of unchanged zones must never stand for a zone that another one changed."""
    one, two = DataFile(data), DataFile(data)
    for number in range(3):
        sandbox.seed(data, f"d{number}.com", rows=[("@", "A", "192.0.2.1")])
    for turn, file in enumerate([one, two, one, one, two], 2):
        changed = f"d{turn % 3}.com"

        def move(account: Account, name: str = changed, turn: int = turn) -> tuple[Account, None]:
            row = replace(account.domains[name].rows[0], address=f"192.0.2.{turn}")
            return account.with_domain(replace(account.domains[name], rows=(row,))), None

        file.update(move)
        fresh, seen = DataFile(data).read(), (one.read(), two.read())
        assert seen == (fresh, fresh)
        assert fresh.domains[changed].rows[0].address == f"192.0.2.{turn}"
    document = json.loads(data.read_bytes())
    assert [domain["name"] for domain in document["domains"]] == ["d0.com", "d1.com", "d2.com"]
    data.write_text(json.dumps(document, indent=2))  # the same document in another layout, and without what is newer
    assert DataFile(data).read() == fresh
    for domain in document["domains"]:
        for name in ("privacy", "privacy_id", "privacy_email", "contact"):
            del domain[name]
    data.write_text(json.dumps({**document, "token": "0" * 16}))
    assert one.read() == DataFile(data).read() == fresh


def test_foreign_files_are_refused_and_left_alone(data: Path) -> None:
    for text in ("", "{}", "[1]", '{"format": 99}', "GIF89a"):
        data.write_text(text)
        with pytest.raises(StateError), sandbox.running(data):
            pass
        with pytest.raises(StateError):
            sandbox.reset(data)
        assert data.read_text() == text


def test_a_port_in_use_is_named(box: Sandbox, boxes: Callable[..., Any]) -> None:
    port = urlsplit(box.endpoint).port
    with pytest.raises(UsageError, match=str(port)), boxes(http_port=port):
        pass
    dns_port = int(box.dns.partition(":")[2])
    with pytest.raises(UsageError, match=str(dns_port)), boxes(dns_port=dns_port):
        pass


MASTER = """
$TTL 600
@       IN SOA ns1.example.net. root.example.net. 1 2 3 4 5
@       IN NS  ns1.example.net.
@       IN A   192.0.2.1
@       IN MX  20 mail
www     300 IN CNAME @
txt     IN TXT "part one, " "part two"
_sip._tcp IN SRV 1 5 5060 sip
kid     IN NS  ns1.kid
@       IN CAA 0 issue "letsencrypt.org"
info    IN HINFO "a" "b"
"""


def test_a_master_file_is_loaded(data: Path) -> None:
    assert sandbox.load(data, MASTER, "example.org") == ("info HINFO",)
    domain = sandbox.peek(data, "example.org")
    assert domain is not None
    assert domain.email_type == "MX"
    assert [(row.name, row.type, row.address, row.ttl, row.mx_pref) for row in domain.rows] == [
        ("@", "A", "192.0.2.1", 600, 10),
        ("@", "CAA", '0 issue "letsencrypt.org"', 600, 10),
        ("www", "CNAME", "example.org.", 300, 10),
        ("@", "MX", "mail.example.org.", 600, 20),
        ("kid", "NS", "ns1.kid.example.org.", 600, 10),
        ("txt", "TXT", "part one, part two", 600, 10),
    ]
    assert [(row.name, row.type, row.address, row.mx_pref) for row in domain.hidden] == [
        ("_sip._tcp", "SRV", "5 5060 sip.example.org.", 1)
    ]
    sandbox.load(data, "@ 300 IN A 192.0.2.9\n", "example.org", "FWD")
    assert sandbox.peek(data, "example.org").email_type == "FWD"  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["@ IN A nonsense\n", "@ IN CNAME\n", "\x00", "@ 300 IN A 192.0.2.1 extra\n"])
def test_a_broken_master_file_is_a_usage_error(data: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"example\.org"):
        sandbox.load(data, text, "example.org")
    with pytest.raises(UsageError, match="e-mail type"):
        sandbox.load(data, "@ 300 IN A 192.0.2.1\n", "example.org", "POSTCARD")


def test_reset_empties_and_keeps_the_credentials(data: Path) -> None:
    with sandbox.running(data, domains=["example.com"]) as first:
        pass
    sandbox.reset(data)
    with sandbox.running(data) as second:
        assert second.domains == ()
        assert second.api_key == first.api_key


def test_the_ready_line_is_the_contract_s(box: Sandbox) -> None:
    ready = json.loads(json.dumps(box.ready()))
    assert list(ready) == ["endpoint", "dns", "api_user", "api_key", "username", "domains"]
    assert ready["endpoint"].startswith("http://127.0.0.1:")
    assert ready["endpoint"].endswith("/xml.response")
    assert ready["domains"] == ["example.com"]
    assert box.api_key not in repr(box)


def test_the_forwarder_redirects_by_host(api: Api, box: Sandbox) -> None:
    api.set(("go", "URL", "https://example.net/x"), ("perm", "URL301", "https://example.net/y"))
    parts = urlsplit(box.endpoint)
    got = []
    for host in ("go.example.com", "perm.example.com", "none.example.com"):
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
        connection.request("GET", "/", headers={"Host": host})
        answer = connection.getresponse()
        got.append((answer.status, answer.getheader("Location")))
        connection.close()
    assert got == [(302, "https://example.net/x"), (301, "https://example.net/y"), (404, None)]


def test_odd_http_does_not_stop_the_server(api: Api, box: Sandbox) -> None:
    import socket

    parts = urlsplit(box.endpoint)
    for raw in (
        b"\r\n\r\n",
        b"POST /xml.response HTTP/1.1\r\nHost: x\r\nContent-Length: nonsense\r\n\r\n",
        b"POST /xml.response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff\xfe\x00",
    ):
        with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    assert api.on("getHosts").ok


def test_importing_the_sandbox_loads_no_server() -> None:
    script = (
        "import sys, sophia_cli.sandbox\n"
        "loaded = {'http.server', 'dns', 'httpx', 'socketserver'} & set(sys.modules)\n"
        "sys.exit(len(loaded))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_every_position_of_every_switch_is_known() -> None:
    for name, positions in POSITIONS.items():
        assert getattr(Switches(), name) in positions
        for position in positions:
            assert getattr(Switches().with_data({name: position}), name) == position
