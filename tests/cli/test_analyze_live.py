"""`sophia analyze` with live DNS: the sandbox's own name server, a domain by DNS alone, and what is said when nobody answers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sophia_cli.core.errors import UsageError
from sophia_cli.sandbox import seed
from tests.cli.harness import DOMAIN, ROWS, Shop, run, shop
from tests.providers.dns_survey.servers import Fake, header


@pytest.fixture
def acme(work: Path) -> Iterator[Shop]:
    with shop(work) as found:
        found.environment("{name: api, type: A, value: 203.0.113.10}")
        yield found


def ids(ran: object) -> set[str]:
    return {finding["id"] for finding in ran.data["findings"]}  # type: ignore[attr-defined]


def whys(ran: object) -> dict[str, str]:
    return {entry["id"]: entry["why"] for entry in ran.data["not_tested"]}  # type: ignore[attr-defined]


def test_the_rows_are_held_against_the_sandboxs_name_server(acme: Shop) -> None:
    ran = acme.run("analyze", "-o", "json")
    assert ran.code == 0, ran.err
    assert not {"DNS-DRIFT", "DNS-INVISIBLE", "DNS-LAME"} & ids(ran)
    assert not {"DNS-DRIFT", "DNS-INVISIBLE", "DNS-LAME", "DNS-NS-TCP", "DNS-AXFR"} & set(whys(ran))
    assert "name servers to ask were given" in whys(ran)["DNS-DELEG-DIFF"]


def test_a_record_that_the_api_hides_is_named(acme: Shop) -> None:
    seed(acme.data_file, DOMAIN, rows=ROWS, hidden=[("_sip._tcp", "SRV", "0 5060 sip.other.net.")])
    ran = acme.run("analyze", "-o", "json")
    hidden = next(finding for finding in ran.data["findings"] if finding["id"] == "DNS-INVISIBLE")
    assert hidden["severity"] == "critical"
    assert len(hidden["evidence"]["hidden"]) == 1
    assert hidden["evidence"]["hidden"][0].startswith("SRV _sip._tcp ")
    assert hidden["evidence"]["server"].startswith("127.0.0.1 (127.0.0.1:")
    assert "DNS-INVISIBLE" in acme.run("analyze").out


def test_servers_that_answer_something_else_are_drift(acme: Shop) -> None:
    acme.sandbox.fault("dns_wrong", name=f"api.{DOMAIN}", type="A", value="192.0.2.66", count=None)
    ran = acme.run("analyze", "-o", "json")
    drift = [finding for finding in ran.data["findings"] if finding["id"] == "DNS-DRIFT"]
    assert [one["evidence"]["live"] for one in drift] == [["192.0.2.66"]]
    assert drift[0]["evidence"]["wanted"] == ["203.0.113.10"]


def test_a_silent_name_server_is_not_tested_and_no_finding(acme: Shop) -> None:
    acme.environment("{name: api, type: A, value: 203.0.113.10}")
    text = acme.file.read_text()
    acme.file.write_text(text.replace(acme.sandbox.dns, f"127.0.0.1:{closed_port()}"))
    ran = acme.run("analyze", "-o", "json")
    assert ran.code == 0, ran.err
    assert "connection refused" in whys(ran)["DNS-LAME"]
    assert not {"DNS-LAME", "DNS-DRIFT", "DNS-WILDCARD"} & ids(ran)


def test_without_a_resolver_names_of_others_are_not_tested(acme: Shop) -> None:
    seed(acme.data_file, DOMAIN, rows=[*ROWS, ("shop", "CNAME", "shop.other.net.")])
    ran = acme.run("analyze", "-o", "json")
    assert "name a resolver with --resolver" in whys(ran)["DNS-DANGLE-NX"]


def closed_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


# -- by DNS alone -------------------------------------------------------------------------------------------------------


def test_a_domain_without_an_environment_is_asked_of_dns_alone(work: Path) -> None:
    ran = run("analyze", "example.com", "--resolver", f"127.0.0.1:{closed_port()}")
    assert ran.code == 1
    assert "example.com: its name servers are not known" in ran.err
    assert "connection refused" in ran.err
    assert ran.out == ""
    assert not list(work.iterdir())  # nothing is kept of a domain that is nobody's here


def test_a_domain_beside_an_environment_is_not_tested_when_it_cannot_be_read(acme: Shop) -> None:
    ran = acme.run("analyze", DOMAIN, "example.com", "--resolver", f"127.0.0.1:{closed_port()}", "-o", "json")
    assert ran.code == 0, ran.err
    assert ran.data["targets"] == [f"dns:{DOMAIN}"]
    assert "connection refused" in whys(ran)["dns:example.com"]


@pytest.mark.parametrize(
    "name",
    ["exa mple.com", "example..com", "x" * 64 + ".com", "192.0.2.1", "2001:db8::1", "https://example.com/", "me@example.com",
     "a/b.com", ".", "exa\x1bmple.com"],
)  # fmt: skip
def test_a_text_that_is_no_domain_is_wrong_usage(work: Path, name: str) -> None:
    ran = run("analyze", name)
    assert ran.code == UsageError.exit_code
    assert "is no domain name" in ran.err
    assert "\x1b" not in ran.err


def test_a_resolver_that_refuses_is_a_reason_and_a_name_with_umlauts_is_asked_as_dns_has_it(work: Path) -> None:
    asked: list[bytes] = []

    def refuse(query: bytes) -> list[bytes]:
        asked.append(query)
        return [header(query, 0x8185, (0, 0, 0, 0))]

    with Fake(refuse) as resolver:
        ran = run("analyze", "m\u00fcnchen.example", "--resolver", f"127.0.0.1:{resolver.port}", "-o", "json")
    assert (ran.code, ran.out) == (1, "")
    assert (
        "xn--mnchen-3ya.example: its name servers are not known: the servers of example are not known: REFUSED"
        in ran.err
    )
    assert any(b"xn--mnchen-3ya" in query for query in asked)


def test_a_resolver_that_is_none_is_wrong_usage(work: Path) -> None:
    ran = run("analyze", "example.com", "--resolver", "9.9.9.9:x")
    assert ran.code == UsageError.exit_code
    assert "--resolver" in ran.err


def test_a_zone_file_asks_nobody(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a zone file was to be analyzed without a network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    (work / "acme.zone").write_text("$ORIGIN acme.example.\n$TTL 300\n@ A 185.199.108.153\nx CNAME y.other.net.\n")
    ran = run("analyze", "--zone-file", "acme.zone", "-o", "json")
    assert ran.code == 0, ran.err
    assert whys(ran)["DNS-LAME"] == "needs live DNS"
