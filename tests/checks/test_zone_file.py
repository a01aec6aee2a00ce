"""Zone files: what is read from them, line by line, and what a broken one says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sophia_cli.core.dns import Record
from sophia_cli.core.errors import BadResponse, UsageError
from sophia_cli.providers.zone_file import ZoneFileReader, parse_zone_file, read_zone, read_zone_file
from tests.checks.check_cases import NOW

FILE = """\
$TTL 1h ; a comment
@ IN SOA ns1 host.master (1 ; serial
      7200 3600 1209600 600 )
  NS ns1.other.net.
  NS ns2
www  300 IN A 192.0.2.1
     A 192.0.2.2
     IN 5m AAAA 2001:DB8::1
mail MX 10 Mx.acme.example.
t    TXT ( "abc"
       "d;e" ) ; two strings
other.example. A 192.0.2.9
$ORIGIN sub.acme.example.
x    CNAME @
$ORIGIN acme.example.
_sip._tcp SRV 1 2 5060 Host
c    CAA 0 Issue "ca.example; a=b"
www  A 192.0.2.1
sub2 NS ns.other.net.
"""


def test_a_master_file_becomes_a_zone_with_lines() -> None:
    file = parse_zone_file(FILE, "ACME.example.", "f.zone")
    assert {record: file.lines[record.key] for record in file.zone.records} == {
        Record("_sip._tcp", "SRV", "2 5060 host.acme.example.", 3600, 1): (16,),
        Record("c", "CAA", '0 issue "ca.example; a=b"', 3600): (17,),
        Record("mail", "MX", "mx.acme.example.", 3600, 10): (9,),
        Record("sub2", "NS", "ns.other.net.", 3600): (19,),
        Record("t", "TXT", "abcd;e", 3600): (10,),
        Record("www", "A", "192.0.2.1", 300): (6, 18),
        Record("www", "A", "192.0.2.2", 3600): (7,),
        Record("www", "AAAA", "2001:db8::1", 300): (8,),
        Record("x.sub", "CNAME", "sub.acme.example.", 3600): (14,),
    }
    assert (file.zone.name, file.zone.email_type) == ("acme.example", "MX")
    assert file.repeated == (Record("www", "A", "192.0.2.1", 3600),)
    assert file.nameservers == ("ns1.other.net.", "ns2.acme.example.")
    assert (file.soa or "").startswith("ns1.acme.example. host.master.acme.example. 1 7200")
    assert file.skipped == (12,)


def test_a_file_without_soa_and_ttl_gets_the_providers_default() -> None:
    zone = parse_zone_file("www A 192.0.2.1\n@ TXT hello\n", "acme.example").zone
    assert [record.ttl for record in zone.records] == [1800, 1800]
    assert zone.email_type == "NONE"


def test_generate_and_odd_sets_are_read_as_they_stand() -> None:
    zone = parse_zone_file("$GENERATE 1-2 h$ A 192.0.2.$\nx CNAME h1\nx A 192.0.2.7\n", "acme.example").zone
    assert [(record.name, record.type) for record in zone.records] == [
        ("h1", "A"),
        ("h2", "A"),
        ("x", "A"),
        ("x", "CNAME"),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a A 192.0.2.1\nwww A 192.0.2.400\n", 2),
        ("a A 192.0.2.1\n\n; x\nwww WHAT x\n", 4),
        ('a TXT ( "x"\n', 1),
        ("a A 192.0.2.1\n$INCLUDE /etc/passwd\n", 2),
        ("a CNAME x..y\n", 1),
        ("a A\n", 1),
        ('{"name": "a", "type": "A", "value": "192.0.2.1"}\n{"name": "a"}\n', 2),
        ('{"name": "a", "type": "A", "value": 1}\n', 1),
        ('{"name": "a", "type": "A", "value": "192.0.2.1", "ttl": true}\n', 1),
        ("{\n", 1),
    ],
)
def test_a_broken_file_names_file_and_line(text: str, line: int) -> None:
    with pytest.raises(BadResponse, match=rf"^bad\.zone:{line}: ") as raised:
        parse_zone_file(text, "acme.example", "bad.zone")
    assert raised.value.exit_code == 1
    assert raised.value.details == {"file": "bad.zone", "line": line}


def test_an_error_shows_hostile_text_escaped() -> None:
    with pytest.raises(BadResponse) as raised:
        parse_zone_file("a \x1b[31mEVIL x\n", "acme.example", "bad.zone")
    assert raised.value.message.isprintable()


def test_json_lines_are_read_too() -> None:
    text = '{"name": "WWW", "type": "a", "value": "192.0.2.1", "ttl": 60, "priority": null}\n\n'
    text += '{"name": "@", "type": "MX", "value": "mx.net"}\n'
    file = parse_zone_file(text, "acme.example")
    assert file.zone.records == (Record("@", "MX", "mx.net.", None, 10), Record("www", "A", "192.0.2.1", 60))
    assert file.lines[("www", "A", "192.0.2.1")] == (1,)


@pytest.mark.parametrize(
    ("name", "text", "origin"),
    [
        ("x", "$ORIGIN acme.example.\n@ A 192.0.2.1\n", "acme.example"),
        ("x", "acme.example. 60 IN SOA a. b. 1 2 3 4 5\n", "acme.example"),
        ("acme.example.zone", "@ A 192.0.2.1\n", "acme.example"),
        ("acme.example", "@ A 192.0.2.1\n$ORIGIN sub.acme.example.\nx A 192.0.2.1\n", "acme.example"),
        ("x", "$TTL 60\n; first\n\n$ORIGIN acme.example.\n@ A 192.0.2.1\n", "acme.example"),
        ("acme.example.jsonl", '{"name": "@", "type": "A", "value": "192.0.2.1"}\n', "acme.example"),
    ],
)
def test_the_zone_is_named_by_the_file_where_no_origin_is_given(
    name: str, text: str, origin: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    assert read_zone(tmp_path / name).name == origin


def test_files_that_cannot_be_used_say_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_zone(tmp_path / "none")
    (tmp_path / "zone").write_text("@ A 192.0.2.1\n")
    with pytest.raises(UsageError, match="does not say which zone"):
        read_zone(tmp_path / "zone")
    (tmp_path / "binary.example").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadResponse, match="no text in UTF-8"):
        read_zone(tmp_path / "binary.example")


def test_the_reader_is_a_read_port_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "acme.example.zone").write_text(FILE)
    port = ZoneFileReader(read_zone_file(tmp_path / "acme.example.zone"), NOW)
    snapshot = asyncio.run(port.read())
    assert (port.id, snapshot.target, snapshot.complete, snapshot.taken_at) == (
        "dns:acme.example",
        "dns:acme.example",
        True,
        NOW,
    )
    assert snapshot.content == port.file.zone
    assert snapshot.notes == (f"{tmp_path}/acme.example.zone:12: not inside acme.example, left out",)
