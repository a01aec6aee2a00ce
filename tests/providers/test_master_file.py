"""Master files: what is read here quickly is what dnspython reads, line by line, with the same errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sophia_cli.core.errors import BadResponse
from sophia_cli.providers import master_file
from sophia_cli.providers.zone_file import ZoneFile, parse_zone_file

ZONE = "acme.example"
TRICKY = r"""
$TTL 1h30m ; a comment with "quotes" and (parentheses)
@ 7200 IN SOA ns1 host\.master ( 1 ; serial ) not the end
      7200 3600
      1209600 600 ) ; the end
	NS	ns1.other.net.
  NS ns2
www  300 IN A 192.0.2.1
     A 192.0.2.2;comment at once
     IN 300 AAAA 2001:DB8:0::1
     in 5m aaaa ::ffff:192.0.2.1
WWW.Acme.Example. a 192.0.2.3
mail MX 10 Mx.acme.example.
mail MX 20 @
mail MX 0 .
t    TXT "v=DKIM1; k=rsa" "second" ; two strings
t    TXT "a \"quoted\" \059 \065\\" plain;comment
t    TXT ( "abc"
       "d;e" ) ; over lines
t    TXT ""
t    TXT "umlaut ü"
t    TXT "tight""ly"
*    TXT v=spf1
10   A 192.0.2.10
other.example. A 192.0.2.9
     A 192.0.2.8
$ORIGIN sub
x    CNAME @
y 5  IN CNAME x
@    A 192.0.2.11
$ORIGIN .
acme.example 60 A 192.0.2.12
elsewhere A 192.0.2.13
$ORIGIN acme.example.
_sip._tcp SRV 1 2 5060 Host
c    CAA 0 Issue "ca.example; a=b"
dot\.ted A 192.0.2.14
tabs	A	192.0.2.15	; tab
$GENERATE 1-3 g$ A 192.0.2.$
after A 192.0.2.16
www  A 192.0.2.1
"""


def by_dnspython(text: str) -> tuple[list[master_file.Row], str]:
    try:
        return master_file.whole_rows(text, ZONE, "f.zone"), ""
    except BadResponse as exc:
        return [], exc.message


def quickly(text: str) -> list[master_file.Row] | None:
    try:
        return list(master_file.rows(text, ZONE))
    except master_file.Odd:
        return None


def parsed(text: str) -> ZoneFile | str:
    try:
        return parse_zone_file(text, ZONE, "f.zone")
    except BadResponse as exc:
        return exc.message


def test_tricky_entries_are_read_here_as_dnspython_reads_them() -> None:
    rows, error = by_dnspython(TRICKY)
    assert error == ""
    assert quickly(TRICKY) == rows
    assert sum(record is None for record, _ in rows) == 3  # two of other.example, and "elsewhere."
    assert len(rows) > 30


ENTRIES = [
    *TRICKY.strip("\n").split("\n"),
    "",
    "  ",
    " ; only a comment",
    "$TTL 300",
    "$TTL x",
    "$ORIGIN other.test.",
    "$INCLUDE /etc/passwd",
    "$ORIGIN esc\\.aped",
    "@ SOA ns host 1 2 3 4 900",
    "www 300 IN 400 A 192.0.2.1",
    "www CH A 192.0.2.1",
    "www IN IN A 192.0.2.1",
    "www A 192.0.2.256",
    "www A 192.0.2.01",
    "www A 192.0.2.1 extra",
    "www A",
    "A 192.0.2.1",
    " www A 192.0.2.1",
    "www AAAA 1:2",
    "www AAAA ::1%eth0",
    "www MX 65536 mx",
    "www CNAME x..y",
    "www CNAME " + "a" * 64,
    "www CNAME " + ".".join(["a" * 60] * 4) + ".long.enough",
    "www CNAME two words",
    ".".join(["a" * 60] * 4) + " A 192.0.2.1",
    "-dash-.under_score A 192.0.2.1",
    "www TXT",
    "www TXT " + "a" * 256,
    'www TXT "' + "a" * 255 + '" "b"',
    'www TXT "open',
    'www TXT "a"b',
    "www TXT (",
    "www TXT a(b)c",
    "www TXT )",
    "www TXT \\",
    "www TXT a\\;b",
    "www 4294967296 A 192.0.2.1",
    "www 999999999 A 192.0.2.1",
    "www 0 A 192.0.2.1",
    "wſw A 192.0.2.1",
    "bücher A 192.0.2.1",
    "www TXT \x0bvertical",
    "www TYPE1 \\# 4 c0000201",
    "www A \\# 4 c0000201",
    "www RP host. .",
    "www NS @",
    "@ CNAME @",
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(ENTRIES), max_size=12).map("\n".join), st.sampled_from(["", "\n", "\n\n"]))
@example(TRICKY, "")
@example("$ORIGIN x\\.acme.example.\nwww A 192.0.2.1\n@ A 192.0.2.2\nwww.acme.example. CNAME x", "")
def test_any_mixture_of_entries_is_read_as_dnspython_reads_it(text: str, end: str) -> None:
    rows, error = by_dnspython(text + end)
    quick = quickly(text + end)
    if quick is not None:
        assert (quick, error) == (rows, "")
    assert parsed(text + end) == (error or _whole(text + end))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [" ", "\t", "\n", "www", "@", "A", "IN", "60", "TXT", "192.0.2.1", '"', "(", ")", ";", "\\", "x"]
        )
    )
)
def test_any_sequence_of_tokens_is_read_as_dnspython_reads_it(tokens: list[str]) -> None:
    text = "".join(tokens)
    rows, error = by_dnspython(text)
    quick = quickly(text)
    if quick is not None:
        assert (quick, error) == (rows, "")


@pytest.mark.parametrize("entry", ENTRIES)
def test_each_entry_alone_and_between_plain_ones(entry: str) -> None:
    for text in (entry, f"a 60 A 192.0.2.1\n{entry}\nb A 192.0.2.2\n"):
        rows, error = by_dnspython(text)
        assert parsed(text) == (error or _whole(text))
        if (quick := quickly(text)) is not None:
            assert quick == rows


def test_an_empty_line_is_no_line_of_another_zone() -> None:
    text = "other.example. A 192.0.2.1\n  \n\t; x\n\nb.acme.example. A 192.0.2.2\n"
    assert parse_zone_file(text, ZONE).skipped == (1,)
    assert [line for record, line in master_file.whole_rows(text, ZONE, "") if record is None] == [1]


def _whole(text: str) -> ZoneFile:
    with pytest.MonkeyPatch.context() as patch:

        def refuse(text: str, zone: str) -> None:
            raise master_file.Odd

        patch.setattr(master_file, "rows", refuse)
        return parse_zone_file(text, ZONE, "f.zone")


def test_a_plain_file_is_read_without_dnspython(tmp_path: Path) -> None:
    (tmp_path / f"{ZONE}.zone").write_text(
        '@ 300 A 192.0.2.1 ; apex\n\n  \nwww 60 IN CNAME @\n MX 10 mail\nt TXT "a; b" c\n'
    )
    code = (
        "import sys; from pathlib import Path; from sophia_cli.providers.zone_file import read_zone;"
        f"zone = read_zone(Path({str(tmp_path / f'{ZONE}.zone')!r}));"
        "print(len(zone.records), 'dns.zonefile' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "4 False\n"
