"""Logs: every form read, whatever stands in a line survived, memory bounded."""

from __future__ import annotations

import gzip
import io
import json
import sys
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia_cli.core.errors import UsageError
from sophia_cli.core.traffic import MOST_CLIENTS, MOST_NAMES, Entry, Regions, Tally, Traffic, block_of
from sophia_cli.providers.access_log import LONGEST_LINE, UNNAMED, LineParser, read_log, read_regions

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
AT = datetime(2026, 11, 22, 10, 30, 15, tzinfo=UTC).timestamp()

COMMON = '203.0.113.9 - frank [22/Nov/2026:11:30:15 +0100] "GET /index.html HTTP/1.1" 200 2326'
COMBINED = COMMON + ' "https://acme.example/" "Mozilla/5.0 (X11; \\"quoted\\")"'


def parse(line: str, now: datetime = NOW) -> object:
    return LineParser(now).parse(line + "\n")


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        (COMMON, Entry("request", UNNAMED, AT, "203.0.113.9", "200")),
        (COMBINED, Entry("request", UNNAMED, AT, "203.0.113.9", "200")),
        ("www.Acme.Example:443 " + COMBINED, Entry("request", "www.acme.example", AT, "203.0.113.9", "200")),
        (COMMON.replace("index.html", "a/logo.PNG?v=2"), Entry("request", UNNAMED, AT, "203.0.113.9", "200", True)),
        (COMMON.replace("GET /index.html HTTP/1.1", "\\x16\\x03 \\\"junk"),
         Entry("request", UNNAMED, AT, "203.0.113.9", "200")),
        ('2001:db8::1 - - [22/Nov/2026:05:30:15 -0500] "-" 408 -', Entry("request", UNNAMED, AT, "2001:db8::1", "408")),
        ("22-Nov-2026 10:30:15.123 queries: info: client @0x7f3c 198.51.100.7#5353 (WWW.acme.example): query: WWW.acme.example "
         "IN AAAA +E(0)K (10.0.0.2)", Entry("query", "www.acme.example", AT, "198.51.100.7", "AAAA")),
        ("2026-11-22T10:30:15.000Z client 2001:db8::7#53 (a.example): view internal: query: a.example IN MX - (::1)",
         Entry("query", "a.example", AT, "2001:db8::7", "MX")),
        ("Nov 22 10:30:15 gw dnsmasq[312]: query[A] www.acme.example from 192.168.1.5",
         Entry("query", "www.acme.example", AT, "192.168.1.5", "A")),
        ("Nov 22 10:30:15 gw dnsmasq[312]: 9 192.168.1.5/4321 query[type=65] acme.example from 192.168.1.5",
         Entry("query", "acme.example", AT, "192.168.1.5", "TYPE=65")),
        (json.dumps({"time": "2026-11-22T10:30:15Z", "host": "acme.example:8443", "remote_addr": "203.0.113.9:4711",
                     "status": 404, "uri": "/app.js"}), Entry("request", "acme.example", AT, "203.0.113.9", "404", True)),
        (json.dumps({"ts": AT, "request": {"host": "acme.example", "remote_ip": "203.0.113.9", "uri": "/"}, "status": 200}),
         Entry("request", "acme.example", AT, "203.0.113.9", "200")),
        (json.dumps({"timestamp": AT * 1000, "qname": "Acme.Example.", "qtype": "txt", "client": "203.0.113.9"}),
         Entry("query", "acme.example", AT, "203.0.113.9", "TXT")),
    ],
)  # fmt: skip
def test_each_form_is_read(line: str, entry: Entry) -> None:
    assert parse(line) == entry


@pytest.mark.parametrize(
    "line",
    ["", "  ", "#Fields: date time", "Nov 22 10:30:15 gw dnsmasq[312]: reply www.acme.example is 203.0.113.9",
     "22-Nov-2026 10:30:15.123 queries: info: something else"],
)  # fmt: skip
def test_what_is_no_query_is_passed_over(line: str) -> None:
    assert not isinstance(parse(line), Entry)
    assert parse(line) is not None


@pytest.mark.parametrize(
    "line", ["nonsense", "{", "[1]", '{"a": 1}', '{"host"', '203.0.113.9 - - [x] "GET /" 200 1', "\x00\xff"]
)
def test_what_is_of_no_form_is_malformed(line: str) -> None:
    assert parse(line) is None


@given(st.text(max_size=200))
def test_no_line_makes_the_reader_fall(line: str) -> None:
    for form in (
        line,
        f'{line} - - [22/Nov/2026:11:30:15 +0100] "{line}" 200 1',
        f"client 1.1.1.1#1 ({line}): query: {line} IN A",
    ):
        found = parse(form)
        assert found is None or not isinstance(found, Entry) or len(found.name) <= 253


@pytest.mark.parametrize("date", ["99/Nov/2026:11:30:15", "22/Xxx/2026:11:30:15", "22/Nov/0000:99:99:99"])
def test_an_entry_with_a_time_that_is_none_still_counts(date: str) -> None:
    found = parse(COMMON.replace("22/Nov/2026:11:30:15", date))
    assert isinstance(found, Entry)
    assert found.at is None


def test_a_time_without_a_year_is_the_latest_that_has_been() -> None:
    line = "Dec 24 10:00:00 gw dnsmasq[1]: query[A] a.example from 10.0.0.1"
    found = parse(line, datetime(2027, 1, 2, tzinfo=UTC))
    assert isinstance(found, Entry)
    assert found.at == datetime(2026, 12, 24, 10, tzinfo=UTC).timestamp()


def read(path: Path | str, **known: object) -> Traffic:
    return read_log(str(path), now=NOW, **known).traffic  # type: ignore[arg-type]


def test_a_file_is_counted_and_bad_lines_are_told(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    minute = "www.acme.example " + COMMON
    later = minute.replace("11:30:15", "11:31:15").replace("200", "304")
    log.write_text("\n".join([minute, minute, later, "junk", "# note", "x" * (3 * LONGEST_LINE)]) + "\n")
    seen = read(log)
    assert (seen.lines, seen.malformed, seen.ignored, seen.entries) == (6, 2, 1, 3)
    use = seen.use("www.acme.example")
    assert use is not None
    assert (use.count, use.peak_per_minute, use.kinds, use.clients) == (3, 2, {"200": 2, "304": 1}, 1)
    assert (seen.first, seen.seconds) == (datetime.fromtimestamp(AT, UTC), 60.0)
    assert seen.blocks == (("203.0.113.0/24", 3),)


def test_a_packed_log_and_standard_input_are_read_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (COMMON + "\n").encode() * 50
    packed = tmp_path / "a.log.gz"
    packed.write_bytes(gzip.compress(text))
    assert read(packed).entries == 50
    for data in (text, gzip.compress(text)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert read("-").entries == 50


def test_a_packed_log_that_breaks_off_counts_what_is_there(tmp_path: Path) -> None:
    packed = tmp_path / "a.log.gz"
    lines = "".join(COMMON.replace("203.0.113.9", f"203.0.113.{n % 250}") + "\n" for n in range(20_000))
    packed.write_bytes(gzip.compress(lines.encode())[:-4000])
    found = read_log(str(packed), now=NOW)
    assert found.cut
    assert 0 < found.traffic.entries < 20_000


def test_a_log_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.log: cannot be read"):
        read(tmp_path / "none.log")
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path)


def test_memory_is_bounded_whatever_the_log_holds(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    count = 60_000
    with log.open("w") as stream:
        for n in range(count):
            address = f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"
            name = "busy.acme.example" if n % 3 == 0 else f"r{n}.acme.example"
            stream.write(
                f"22-Nov-2026 {n // 3600 % 24:02d}:{n // 60 % 60:02d}:00.0 client {address}#1 ({name}): query: {name} IN A\n"
            )
    tracemalloc.start()
    seen = read(log)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40_000_000
    assert seen.entries == count == sum(one.count for one in seen.names) + seen.other
    assert len(seen.names) == MOST_NAMES
    assert len(seen.clients) <= MOST_CLIENTS
    assert (seen.names[0].name, seen.names[0].count) == ("busy.acme.example", count // 3)


# -- regions -----------------------------------------------------------------------------------------------------------


def table(tmp_path: Path, text: str) -> Regions:
    path = tmp_path / "regions.csv"
    path.write_text(text)
    return read_regions(str(path))


def test_the_longest_block_tells_the_region(tmp_path: Path) -> None:
    regions = table(
        tmp_path,
        "cidr,region\n# ours\n10.0.0.0/8,corp\n10.1.0.0/16,eu\n10.1.2.3/32,lab\n2001:db8::/32,v6\n\n0.0.0.0/0,rest\n",
    )
    addresses = ("10.9.9.9", "10.1.9.9", "10.1.2.3", "2001:db8:1::1", "9.9.9.9", "2002::1", "no address")
    assert [regions.of(one) for one in addresses] == ["corp", "eu", "lab", "v6", "rest", "elsewhere", "elsewhere"]


@pytest.mark.parametrize(("text", "match"), [("nonsense\n", "CIDR,region"), ("a/1,x\nb/33,y\n", "no address block"),
                                             ("10.0.0.0/8\n", "CIDR,region"), ("", "holds no block")])  # fmt: skip
def test_a_bad_region_table_is_refused(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        table(tmp_path, text)


def test_regions_are_counted_by_name_and_in_all() -> None:
    tally = Tally(Regions([("10.0.0.0/8", "eu"), ("11.0.0.0/8", "us")]))
    for n, client in enumerate(("10.0.0.1", "10.0.0.2", "11.0.0.1", "12.0.0.1")):
        tally.add(Entry("query", "a.example" if n else "b.example", AT, client, "A"))
    seen = tally.traffic()
    assert seen.regions == {"eu": 2, "elsewhere": 1, "us": 1}
    assert [one.regions for one in seen.names] == [{"elsewhere": 1, "eu": 1, "us": 1}, {"eu": 1}]


@pytest.mark.parametrize(
    ("address", "block"),
    [("203.0.113.9", "203.0.113.0/24"), ("2001:db8:1:2::3", "2001:db8:1::/48"), ("fe80::1%eth0", "fe80::/48"),
     ("unix:", "unix:"), ("-", "-")],
)  # fmt: skip
def test_an_address_counts_to_its_block(address: str, block: str) -> None:
    assert block_of(address) == block
