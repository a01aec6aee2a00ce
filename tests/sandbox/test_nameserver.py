"""The nameserver over real UDP and TCP: what it serves, what it refuses, and that nothing it is sent hurts it."""

from __future__ import annotations

import socket
from pathlib import Path

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sophia_cli import sandbox
from sophia_cli.sandbox import Sandbox
from sophia_cli.sandbox.faults import Faults
from sophia_cli.sandbox.nameserver import answer_to

ROWS = (
    ("@", "A", "192.0.2.1", 300),
    ("@", "A", "192.0.2.2", 600),
    ("@", "AAAA", "2001:db8::1"),
    ("@", "CAA", '0 issue "letsencrypt.org"'),
    ("@", "MX", "mail.example.com.", 300, 10),
    ("@", "TXT", "v=spf1 -all"),
    ("long", "TXT", "x" * 600),
    ("www", "CNAME", "api.example.com."),
    ("api", "CNAME", "host.example.com."),
    ("host", "A", "192.0.2.3"),
    ("out", "CNAME", "www.elsewhere.net."),
    ("loop", "CNAME", "pool.example.com."),
    ("pool", "CNAME", "loop.example.com."),
    ("*", "A", "192.0.2.9"),
    ("*.star", "CNAME", "host.example.com."),
    ("a.b.deep", "A", "192.0.2.4"),
    ("kid", "NS", "ns1.kid.example.com."),
    ("kid", "NS", "ns.elsewhere.net."),
    ("ns1.kid", "A", "192.0.2.5"),
    ("go", "URL", "https://example.net/"),
    ("alias", "ALIAS", "www.example.com."),
    ("away", "ALIAS", "lb.elsewhere.net."),
    ("across", "ALIAS", "other.org."),
    ("bad", "A", "not an address"),
)


@pytest.fixture
def zone(data: Path, box: Sandbox) -> Sandbox:
    sandbox.seed(data, "example.com", email_type="MX", rows=ROWS, hidden=[("_sip._tcp", "SRV", "0 5060 sip.x.net.")])
    sandbox.seed(data, "other.org", rows=[("@", "A", "192.0.2.77")])
    return box


def ask(box: Sandbox, name: str, kind: str, *, tcp: bool = False, payload: int | None = None) -> dns.message.Message:
    host, _, port = box.dns.partition(":")
    query = dns.message.make_query(name, kind, use_edns=payload is not None, payload=payload or 1232)
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query, host, port=int(port), timeout=5)  # type: ignore[operator,no-any-return]


def texts(message: dns.message.Message) -> list[str]:
    return sorted(f"{item.name} {item.ttl} {data}" for item in message.answer for data in item)


@pytest.mark.parametrize("tcp", [False, True])
def test_it_serves_what_the_zone_holds(zone: Sandbox, tcp: bool) -> None:
    got = ask(zone, "example.com", "A", tcp=tcp)
    assert texts(got) == ["example.com. 300 192.0.2.1", "example.com. 300 192.0.2.2"]
    assert got.flags & dns.flags.AA
    assert not got.flags & dns.flags.RA
    assert texts(ask(zone, "EXAMPLE.com", "AAAA", tcp=tcp)) == ["EXAMPLE.com. 1800 2001:db8::1"] or texts(
        ask(zone, "example.com", "AAAA", tcp=tcp)
    ) == ["example.com. 1800 2001:db8::1"]
    assert texts(ask(zone, "example.com", "CAA", tcp=tcp)) == ['example.com. 1800 0 issue "letsencrypt.org"']
    assert texts(ask(zone, "example.com", "MX", tcp=tcp)) == ["example.com. 300 10 mail.example.com."]
    assert texts(ask(zone, "example.com", "TXT", tcp=tcp)) == ['example.com. 1800 "v=spf1 -all"']
    assert texts(ask(zone, "example.com", "NS", tcp=tcp)) == [
        "example.com. 1800 dns1.registrar-servers.com.",
        "example.com. 1800 dns2.registrar-servers.com.",
    ]
    assert (
        "dns1.registrar-servers.com. hostmaster.registrar-servers.com."
        in texts(ask(zone, "example.com", "SOA", tcp=tcp))[0]
    )
    assert texts(ask(zone, "_sip._tcp.example.com", "SRV", tcp=tcp)) == [
        "_sip._tcp.example.com. 1800 10 0 5060 sip.x.net."
    ]


def test_long_txt_values_are_split_at_255_bytes(zone: Sandbox) -> None:
    (rrset,) = ask(zone, "long.example.com", "TXT", tcp=True).answer
    assert [len(part) for part in rrset[0].strings] == [255, 255, 90]


def test_cnames_are_followed_inside_the_zone_only(zone: Sandbox) -> None:
    assert texts(ask(zone, "www.example.com", "A")) == [
        "api.example.com. 1800 host.example.com.",
        "host.example.com. 1800 192.0.2.3",
        "www.example.com. 1800 api.example.com.",
    ]
    assert texts(ask(zone, "www.example.com", "CNAME")) == ["www.example.com. 1800 api.example.com."]
    assert texts(ask(zone, "out.example.com", "A")) == ["out.example.com. 1800 www.elsewhere.net."]
    assert len(ask(zone, "loop.example.com", "A").answer) == 2


def test_wildcards_answer_as_rfc_4592_says(zone: Sandbox) -> None:
    assert texts(ask(zone, "nothing.example.com", "A")) == ["nothing.example.com. 1800 192.0.2.9"]
    assert texts(ask(zone, "x.y.example.com", "A")) == ["x.y.example.com. 1800 192.0.2.9"]
    assert texts(ask(zone, "z.star.example.com", "A"))[1] == "z.star.example.com. 1800 host.example.com."
    wrong_type = ask(zone, "nothing.example.com", "MX")
    assert (wrong_type.rcode(), wrong_type.answer) == (dns.rcode.NOERROR, [])
    # An existing name, even an empty one between, is not covered (RFC 4592 2.2.2, 4.7).
    for name in ("b.deep.example.com", "deep.example.com", "star.example.com", "host.example.com"):
        got = ask(zone, name, "TXT")
        assert (got.rcode(), got.answer) == (dns.rcode.NOERROR, [])
    assert ask(zone, "x.deep.example.com", "A").rcode() == dns.rcode.NXDOMAIN


def test_negative_answers_carry_the_soa(zone: Sandbox) -> None:
    nodata = ask(zone, "host.example.com", "AAAA")
    assert (nodata.rcode(), nodata.answer) == (dns.rcode.NOERROR, [])
    nxdomain = ask(zone, "x.other.org", "A")
    assert nxdomain.rcode() == dns.rcode.NXDOMAIN
    for got, origin in ((nodata, "example.com."), (nxdomain, "other.org.")):
        assert got.authority[0].rdtype == dns.rdatatype.SOA
        assert got.authority[0].name.to_text() == origin


def test_other_zones_are_refused(zone: Sandbox, data: Path) -> None:
    for name in ("example.net", "com", ".", "notexample.com"):
        assert ask(zone, name, "A").rcode() == dns.rcode.REFUSED
    sandbox.seed(data, "moved.org", rows=[("@", "A", "192.0.2.1")], nameservers=("ns1.x.com", "ns2.x.com"))
    assert ask(zone, "moved.org", "A").rcode() == dns.rcode.REFUSED
    assert ask(zone, "example.com", "AXFR", tcp=True).rcode() == dns.rcode.REFUSED


def test_names_below_a_delegation_are_referred(zone: Sandbox) -> None:
    for name, kind in (("kid.example.com", "NS"), ("a.kid.example.com", "A"), ("ns1.kid.example.com", "A")):
        got = ask(zone, name, kind)
        assert got.answer == []
        assert not got.flags & dns.flags.AA
        assert sorted(str(item) for item in got.authority[0]) == ["ns.elsewhere.net.", "ns1.kid.example.com."]
        assert str(got.additional[0][0]) == "192.0.2.5"


def test_long_answers_are_cut_over_udp_and_whole_over_tcp(zone: Sandbox, data: Path) -> None:
    sandbox.seed(data, "big.org", rows=[("@", "TXT", f"{n:03}" + "x" * 200) for n in range(20)])
    for payload in (None, 1232):
        cut = ask(zone, "big.org", "TXT", payload=payload)
        assert cut.flags & dns.flags.TC
        assert len(cut.to_wire()) <= (payload or 512)
    whole = ask(zone, "big.org", "TXT", tcp=True)
    assert not whole.flags & dns.flags.TC
    assert len(whole.answer[0]) == 20
    fits = ask(zone, "long.example.com", "TXT", payload=1232)
    assert not fits.flags & dns.flags.TC


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("FWD", "10 eforward1.registrar-servers.com."),
        ("OX", "10 mx1.privateemail.com."),
        ("GMAIL", "1 aspmx.l.google.com."),
        ("MXE", "10 mxe.other.org."),
        ("NONE", None),
    ],
)
def test_the_mail_mode_publishes_its_exchanges(zone: Sandbox, data: Path, mode: str, expected: str | None) -> None:
    rows = [("other.org", "MXE", "192.0.2.25")] if mode == "MXE" else []
    sandbox.seed(data, "other.org", email_type=mode, rows=rows)
    found = [str(item) for rrset in ask(zone, "other.org", "MX").answer for item in rrset]
    assert expected in found if expected else found == []
    if mode == "MXE":
        assert texts(ask(zone, "mxe.other.org", "A")) == ["mxe.other.org. 1800 192.0.2.25"]


def test_redirects_answer_with_the_forwarder_and_aliases_resolve(zone: Sandbox) -> None:
    assert texts(ask(zone, "go.example.com", "A")) == ["go.example.com. 1800 127.0.0.1"]
    assert texts(ask(zone, "alias.example.com", "A")) == ["alias.example.com. 1800 192.0.2.3"]
    assert texts(ask(zone, "across.example.com", "A")) == ["across.example.com. 1800 192.0.2.77"]
    assert ask(zone, "across.example.com", "AAAA").answer == []
    assert ask(zone, "alias.example.com", "MX").rcode() == dns.rcode.NOERROR
    assert ask(zone, "away.example.com", "A").rcode() == dns.rcode.SERVFAIL


def test_a_row_that_is_no_dns_data_harms_no_other(zone: Sandbox) -> None:
    assert texts(ask(zone, "bad.example.com", "A")) == ["bad.example.com. 1800 192.0.2.9"]  # the wildcard's


def test_the_serial_grows_with_each_change(zone: Sandbox) -> None:
    first = ask(zone, "other.org", "SOA").answer[0][0].serial
    zone.edit("other.org", add=[{"name": "x", "type": "A", "address": "192.0.2.5"}])
    assert ask(zone, "other.org", "SOA").answer[0][0].serial == first + 1
    assert texts(ask(zone, "x.other.org", "A")) == ["x.other.org. 1800 192.0.2.5"]


def test_the_old_zone_is_served_for_some_questions_or_seconds(zone: Sandbox) -> None:
    change = {"add": [{"name": "@", "type": "A", "address": "192.0.2.88"}], "remove": [{"name": "@", "type": "A"}]}
    old, new = ["other.org. 1800 192.0.2.77"], ["other.org. 1800 192.0.2.88"]
    zone.edit("other.org", **change)
    zone.fault("dns_lag", count=2, domain="other.org")
    assert [texts(ask(zone, "other.org", "A")) for _ in range(3)] == [old, old, new]
    zone.fault("dns_lag", count=None, seconds=30)
    assert texts(ask(zone, "other.org", "A")) == old
    zone.control(advance_s=31)
    assert texts(ask(zone, "other.org", "A")) == new


def test_answers_can_be_made_wrong_refused_or_absent(zone: Sandbox) -> None:
    zone.fault("dns_wrong", value="198.51.100.1", name="other.org", type="A")
    assert texts(ask(zone, "other.org", "A")) == ["other.org. 300 198.51.100.1"]
    assert texts(ask(zone, "other.org", "A")) == ["other.org. 1800 192.0.2.77"]
    zone.fault("dns_servfail")
    assert ask(zone, "other.org", "A").rcode() == dns.rcode.SERVFAIL
    zone.fault("dns_refused")
    assert ask(zone, "other.org", "A").rcode() == dns.rcode.REFUSED
    zone.fault("dns_silent")
    host, _, port = zone.dns.partition(":")
    with pytest.raises(dns.exception.Timeout):
        dns.query.udp(dns.message.make_query("other.org", "A"), host, port=int(port), timeout=0.2)
    assert ask(zone, "other.org", "A").answer


def test_odd_messages_get_an_error_code(zone: Sandbox) -> None:
    host, _, port = zone.dns.partition(":")
    notify = dns.message.make_query("example.com", "SOA")
    notify.set_opcode(dns.opcode.NOTIFY)
    assert dns.query.udp(notify, host, port=int(port), timeout=5).rcode() == dns.rcode.NOTIMP
    empty = dns.message.Message()
    assert dns.query.udp(empty, host, port=int(port), timeout=5).rcode() == dns.rcode.FORMERR
    assert ask(zone, "example.com", "ANY").answer
    chaos = dns.message.make_query("version.bind", "TXT", "CH")
    assert dns.query.udp(chaos, host, port=int(port), timeout=5).rcode() == dns.rcode.REFUSED


def test_garbage_over_the_wire_does_not_stop_it(zone: Sandbox) -> None:
    host, _, port = zone.dns.partition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(5)
        udp.connect((host, int(port)))
        for wire in (b"", b"x", b"\x00" * 11):
            udp.send(wire)
        udp.send(b"\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x3fcut")
        answer = udp.recv(512)
    assert answer[:2] == b"\xab\xcd"
    assert answer[3] & 0x0F == dns.rcode.FORMERR
    with socket.create_connection((host, int(port)), timeout=5) as tcp:
        tcp.sendall(b"\x00\x05hello")
        assert tcp.recv(16) == b""
    assert ask(zone, "example.com", "A").answer
    assert ask(zone, "example.com", "A", tcp=True).answer


def test_several_messages_go_over_one_tcp_connection(zone: Sandbox) -> None:
    host, _, port = zone.dns.partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        for kind in ("A", "TXT", "MX"):
            query = dns.message.make_query("example.com", kind)
            got = dns.query.tcp(query, host, sock=connection, timeout=5)
            assert got.answer[0].rdtype == dns.rdatatype.from_text(kind)


class _Still:
    """A backend without servers."""

    def __init__(self, box: Sandbox) -> None:
        self.data = box._backend.data
        self.faults = Faults()
        self.questions = 0

    def now(self) -> float:
        return 0.0


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 60), flips=st.lists(st.tuples(st.integers(0, 59), st.integers(0, 255)), max_size=6))
def test_no_message_raises(zone: Sandbox, cut: int, flips: list[tuple[int, int]]) -> None:
    wire = bytearray(dns.message.make_query("www.example.com", "A", use_edns=True, id=7).to_wire())
    for at, value in flips:
        if at < len(wire):
            wire[at] = value
    reply = answer_to(bytes(wire[: len(wire) - cut]), _Still(zone), udp=True)  # type: ignore[arg-type]
    if reply is not None:
        assert reply[2] & 0x80
        assert len(reply) <= 1232
