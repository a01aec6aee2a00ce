"""Answers that are late, foreign, cut or nonsense: each ends as a reason in words, never as a traceback or a wrong fact."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sophia_cli.cli.clock import SystemClock
from sophia_cli.core.dns_facts import Answer, Question, Wanted
from sophia_cli.core.errors import UsageError
from sophia_cli.providers.dns_survey import wire
from sophia_cli.providers.dns_survey.answers import answer_of
from sophia_cli.providers.dns_survey.exchange import Exchange, Party
from sophia_cli.providers.dns_survey.resolver import Resolver, host_port, resolver_at, system_resolvers
from sophia_cli.providers.dns_survey.server import transferred
from sophia_cli.providers.dns_survey.survey import DnsSurvey
from tests.providers.dns_survey.servers import Fake, header

Reply = Callable[[bytes], list[bytes]]
HOST = Question("www.acme.example", "A")


def answered(reply: Reply, question: Question = HOST, **more: float) -> Answer:
    """What a look-up through such a resolver says."""

    async def asked(port: int) -> Answer:
        async with Exchange(timeout_s=0.2, tries=1) as exchange:
            return await Resolver([Party("127.0.0.1", port)], exchange, SystemClock()).one(question)

    with Fake(reply) as fake:
        return asyncio.run(asked(fake.port))


def good(query: bytes, *rows: str, rcode: int = 0) -> bytes:
    """A sound answer with these records."""
    asked = dns.message.from_wire(query)
    response = dns.message.make_response(asked)
    response.set_rcode(dns.rcode.Rcode(rcode))
    response.answer = [dns.rrset.from_text(*row.split(" ", 4)) for row in rows]  # type: ignore[arg-type]
    return response.to_wire()


A = "www.acme.example. 300 IN A 185.199.108.153"


def test_a_sound_answer_is_read() -> None:
    found = answered(lambda query: [good(query, A)])
    assert (found.status, found.values, found.ttl) == ("found", ("185.199.108.153",), 300)
    assert found.server.startswith("resolver 127.0.0.1:")
    assert found.at is not None


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (lambda query: [], "no answer over UDP"),
        (lambda query: [b""], "no answer over UDP; 1 packets"),
        (lambda query: [b"\0" * 11], "no answer over UDP; 1 packets"),
        (lambda query: [query], "no answer over UDP; 1 packets"),
        (lambda query: [bytes([query[0] ^ 1]) + good(query, A)[1:]], "no answer over UDP; 1 packets"),
        (lambda query: [good(query.replace(b"\3www", b"\3wwx"), A)], "no answer over UDP; 1 packets"),
        (lambda query: [good(query, A)[:-3]], "a malformed answer"),
        (lambda query: [header(query, counts=(1, 9, 0, 0)) + query[12:]], "a malformed answer"),
        (lambda query: [good(query, rcode=2)], "SERVFAIL"),
        (lambda query: [header(query, 0x8405, (0, 0, 0, 0))], "REFUSED"),
        (lambda query: [header(query, 0x840B, (0, 0, 0, 0))], "DSOTYPENI"),
    ],
    ids=["silence", "empty", "short", "echo", "wrong id", "wrong question", "cut", "too few records", "servfail", "refused",
         "unknown code"],
)  # fmt: skip
def test_what_cannot_be_used_says_why(reply: Reply, why: str) -> None:
    found = answered(reply)
    assert found.status == "failed"
    assert found.why.startswith(why)


def test_a_forged_packet_before_the_answer_is_passed_over() -> None:
    forged = "www.acme.example. 300 IN A 6.6.6.6"

    def reply(query: bytes) -> list[bytes]:
        return [bytes([query[0] ^ 1]) + good(query, forged)[1:], good(query, A)]

    assert answered(reply).values == ("185.199.108.153",)


def test_a_name_compressed_into_a_circle_is_malformed() -> None:
    def reply(query: bytes) -> list[bytes]:
        section = query[12 : query.index(b"\0", 12) + 5]
        pointer = struct.pack("!H", 0xC000 | 12 + len(section))
        return [
            header(query, counts=(1, 1, 0, 0)) + section + pointer + struct.pack("!HHIH", 1, 1, 300, 4) + b"\1\1\1\1"
        ]

    assert answered(reply).why.startswith("a malformed answer")


def test_aliases_in_a_circle_end() -> None:
    rows = ("www.acme.example. 300 IN CNAME b.test.", "b.test. 300 IN CNAME www.acme.example.")
    found = answered(lambda query: [good(query, *rows)])
    assert (found.status, found.why) == ("failed", "aliases lead in a circle")


def test_an_alias_keeps_its_own_ttl() -> None:
    rows = ("www.acme.example. 60 IN CNAME b.test.", "b.test. 300 IN A 185.199.108.153")
    found = answered(lambda query: [good(query, *rows)])
    assert (found.chain, found.alias_ttl, found.ttl) == (("b.test.",), 60, 300)


def test_a_long_chain_of_aliases_ends() -> None:
    names = ["www.acme.example.", *(f"n{n}.test." for n in range(40))]
    rows = [f"{one} 300 IN CNAME {two}" for one, two in itertools.pairwise(names)]
    assert answered(lambda query: [good(query, *rows)]).why == "aliases lead in a circle"


def test_a_server_that_knows_no_edns_is_asked_without() -> None:
    def reply(query: bytes) -> list[bytes]:
        return [header(query, 0x8001, (0, 0, 0, 0))] if query[11] else [good(query, A)]

    assert answered(reply).values == ("185.199.108.153",)


def test_text_of_any_bytes_is_kept_as_text() -> None:
    row = 'www.acme.example. 300 IN TXT "\\000\\027[31m\\255\\"x"'
    found = answered(lambda query: [good(query, row)], Question("www.acme.example", "TXT"))
    assert found.values == ('\0\x1b[31m\xff"x',)
    found.values[0].encode()


def test_a_closed_port_says_so_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]

    async def asked() -> Answer:
        async with Exchange() as exchange:
            return await Resolver([Party("127.0.0.1", port)], exchange, SystemClock()).one(HOST)

    assert asyncio.run(asked()).why == "connection refused"


def test_a_silent_party_is_not_waited_for_again_and_again() -> None:
    async def asked(port: int) -> tuple[int, set[str]]:
        async with Exchange(timeout_s=0.05, tries=1) as exchange:
            resolver = Resolver([Party("127.0.0.1", port)], exchange, SystemClock())
            answers = [await resolver.one(Question(f"n{n}.test", "A")) for n in range(50)]
            return exchange.sent, {one.why for one in answers}

    with Fake(lambda query: []) as fake:
        sent, whys = asyncio.run(asked(fake.port))
    assert sent == 3
    assert whys == {"no answer over UDP", "it answers nothing"}


@given(st.binary(max_size=200))
@settings(max_examples=120)
def test_any_bytes_after_a_sound_header_are_a_reply(tail: bytes) -> None:
    section = wire.body(HOST)
    reply = wire.read(struct.pack("!HHHHHH", 1, 0x8400, 1, 1, 1, 1) + section + tail, section)
    answer_of(reply, HOST, "x", SystemClock().now())


def test_survey_of_a_server_that_talks_nonsense_is_no_verdict() -> None:
    async def surveyed(port: int) -> tuple[str, ...]:
        async with DnsSurvey(SystemClock(), exchange=Exchange(timeout_s=0.2, tries=1)) as found:
            live = await found.survey(Wanted("acme.example", (f"127.0.0.1:{port}",), (("@", "A"),)))
            return live.answering, live.gaps["rows"]  # type: ignore[return-value]

    with Fake(lambda query: [good(query, A)[:-3]]) as fake:
        assert asyncio.run(surveyed(fake.port)) == ((), "no server of the zone gave an authoritative answer")


# -- TCP -----------------------------------------------------------------------------------------------------------------


@contextmanager
def stream(*chunks: bytes) -> Iterator[int]:
    """A TCP server that sends these bytes to whoever asks and closes; `ID` in them is the id of the question."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def serve() -> None:
            sock, _ = listening.accept()
            with sock:
                query = sock.recv(4096)[2:]
                for chunk in chunks:
                    sock.sendall(chunk.replace(b"ID", query[:2]))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(5)


def framed(message: bytes) -> bytes:
    return struct.pack("!H", len(message)) + message


def axfr(*rows: str) -> bytes:
    query = dns.message.make_query("acme.example", "AXFR")
    response = dns.message.make_response(query)
    response.answer = [dns.rrset.from_text(*row.split(" ", 4)) for row in rows]  # type: ignore[arg-type]
    return b"ID" + response.to_wire()[2:]


SOA = "acme.example. 300 IN SOA a. b. 1 2 3 4 5"
WWW = "www.acme.example. 300 IN A 185.199.108.153"


@pytest.mark.parametrize(
    ("chunks", "count", "why"),
    [
        ([framed(axfr(SOA, WWW, SOA))], 2, ""),
        ([framed(axfr(SOA)), framed(axfr(WWW)), framed(axfr(SOA))], 2, ""),
        ([framed(axfr(SOA, WWW))], 2, "the transfer ended before the closing SOA"),
        ([framed(axfr(WWW, SOA))], 0, "an answer that does not begin with the SOA"),
        ([framed(b"XX" + axfr(SOA, WWW, SOA)[2:])], 0, "an answer that fits no question"),
        ([framed(axfr(SOA, WWW, SOA))[:-5]], 0, "the connection ended in the middle of an answer over TCP"),
        ([b"\xff\xff"], 0, "the connection ended in the middle of an answer over TCP"),
        ([], 0, "the connection was closed"),
    ],
    ids=["one message", "several", "no end", "no beginning", "wrong id", "cut", "length only", "closed"],
)  # fmt: skip
def test_a_transfer_is_whole_or_says_why_not(chunks: list[bytes], count: int, why: str) -> None:
    async def moved(port: int) -> tuple[int, str, bool]:
        async with Exchange() as exchange:
            found = await transferred("acme.example", Party("127.0.0.1", port), exchange)
            return found.count, found.why, found.rows is not None

    with stream(*chunks) as port:
        assert asyncio.run(moved(port)) == (count, why, not why)


# -- whom to ask ---------------------------------------------------------------------------------------------------------


def test_the_systems_resolvers_are_read_from_resolv_conf(tmp_path: object) -> None:
    file = tmp_path / "resolv.conf"  # type: ignore[operator]
    file.write_text("# x\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nsearch x\nnameserver\nnameserver nonsense\n")
    assert system_resolvers(file) == (Party("192.0.2.1"), Party("fe80::1"))


@pytest.mark.parametrize("text", ["", ":53", "9.9.9.9:0", "9.9.9.9:65536", "9.9.9.9:x", "[::1", "a b", "9.9.9.9:٥"])
def test_a_resolver_that_cannot_be_asked_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match="--resolver"):
        resolver_at(text)


def test_hosts_and_ports() -> None:
    assert [host_port(text) for text in ("9.9.9.9", "9.9.9.9:54", "[::1]:54", "::1", "[::1]")] == [
        ("9.9.9.9", 53), ("9.9.9.9", 54), ("::1", 54), ("::1", 53), ("::1", 53),
    ]  # fmt: skip


def test_dns_flags_are_those_of_the_library() -> None:
    assert (wire.QR, wire.AA, wire.TC, wire.RD, wire.RA) == (
        dns.flags.QR, dns.flags.AA, dns.flags.TC, dns.flags.RD, dns.flags.RA,
    )  # fmt: skip


@given(
    st.lists(st.sampled_from(["acme", "example", "A", "x" * 60, "a_b", "a.b", "\xff", "-"]), max_size=4), st.booleans()
)
@settings(max_examples=80)
def test_a_denial_is_read_as_the_library_reads_it(labels: list[str], exists: bool) -> None:
    name = dns.name.Name([label.encode("latin-1") for label in labels] + [b""])
    asked = dns.message.make_query(name, "A", use_edns=0)
    response = dns.message.make_response(asked)
    response.set_rcode(dns.rcode.NOERROR if exists else dns.rcode.NXDOMAIN)
    zone = dns.name.Name(name.labels[-3:]) if len(name.labels) > 3 else dns.name.root
    response.authority = [dns.rrset.from_text(zone, 60, "IN", "SOA", "a. b. 1 2 3 4 5")]
    data = response.to_wire()
    section = asked.question[0].name.to_wire() + b"\0\1\0\1"
    found = answer_of(wire.read(data, section), HOST, "x", SystemClock().now())
    assert found.status == ("empty" if exists else "nxdomain")
    assert found.zone == zone.to_text(omit_final_dot=True).lower().removesuffix(".").replace("@", "")
