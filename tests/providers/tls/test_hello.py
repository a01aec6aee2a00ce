"""The ClientHello prober's bytes: right enough for a real server, and unmoved by whatever comes back."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia_cli.core.endpoints import VERSIONS
from sophia_cli.providers.tls.hello import Alert, Answer, Chosen, NotTls, Question, client_hello
from sophia_cli.providers.tls.suites import MODERN, OLDER, WEAK

ALERT = bytes.fromhex("15 0301 0002 02 46")
# ServerHello of TLS 1.2, suite 0xC02F, no extensions; the random is 32 zeros (RFC 5246 7.4.1.3).
HELLO = bytes.fromhex("16 0303 002a 02 000026 0303" + "00" * 32 + "00 c02f 00")
CHAIN = bytes.fromhex("16 0303 000c 0b 000008 000005 000002 aabb")
STAPLE = bytes.fromhex("16 0303 000a 16 000006 01 000002 cafe")
REQUEST = bytes.fromhex("16 0303 0004 0d 000000")
DONE = bytes.fromhex("16 0303 0004 0e 000000")


def test_a_server_hello_tells_version_and_suite() -> None:
    answer = Answer()
    assert answer.feed(HELLO) is True
    assert answer.outcome() == Chosen("TLS 1.2", 0xC02F)


def test_the_supported_versions_extension_decides() -> None:
    body = "0303" + "00" * 32 + "00 1301 00 0006 002b 0002 0304"
    raw = bytes.fromhex(body)
    message = b"\x02" + len(raw).to_bytes(3, "big") + raw
    answer = Answer(wants_all=True)
    assert answer.feed(b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message) is True
    assert answer.outcome() == Chosen("TLS 1.3", 0x1301)


def test_the_whole_flight_is_read_byte_by_byte_just_as_well() -> None:
    answer = Answer(wants_all=True)
    done = [answer.feed(bytes([one])) for one in HELLO + CHAIN + STAPLE + REQUEST + DONE]
    assert done.index(True) == len(done) - 1
    assert answer.outcome() == Chosen("TLS 1.2", 0xC02F, (b"\xaa\xbb",), b"\xca\xfe", True)


def test_an_alert_is_a_refusal_with_its_name() -> None:
    answer = Answer()
    assert answer.feed(ALERT) is True
    assert answer.outcome() == Alert(70)
    assert str(answer.outcome()) == "alert protocol_version"
    warning = Answer()
    assert warning.feed(bytes.fromhex("15 0301 0002 01 70")) is False  # unrecognized_name as a warning ends nothing
    assert warning.feed(HELLO) is True
    assert isinstance(warning.outcome(), Chosen)


@pytest.mark.parametrize(
    "noise", [b"HTTP/1.1 400 Bad", b"220 mail ESMTP\r\n", b"SSH-2.0-OpenSSH_9\r\n", b"\x16\x04\x00\x00\x01a"]
)
def test_what_is_no_tls_is_said_to_be_none(noise: bytes) -> None:
    with pytest.raises(NotTls):
        Answer().feed(noise)


@given(st.lists(st.binary(max_size=200), max_size=6), st.booleans(), st.integers(0, 60))
def test_no_answer_breaks_the_reader(pieces: list[bytes], wants_all: bool, cut: int) -> None:
    answer = Answer(wants_all=wants_all)
    try:
        for piece in (HELLO[:cut], *pieces):
            if answer.feed(piece):
                break
    except NotTls:
        return
    assert answer.outcome() is None or isinstance(answer.outcome(), (Chosen, Alert))


@given(st.binary(min_size=1, max_size=120))
def test_no_message_of_right_length_breaks_the_reader(content: bytes) -> None:
    for kind in (2, 11, 13, 14, 22):
        message = bytes([kind]) + len(content).to_bytes(3, "big") + content
        answer = Answer(wants_all=True)
        try:
            answer.feed(HELLO)
            answer.feed(b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message)
        except NotTls:
            continue
        assert answer.outcome() is not None


@pytest.mark.parametrize("version", VERSIONS)
def test_lengths_inside_a_hello_add_up(version: str) -> None:
    suites = tuple(MODERN if version == "TLS 1.3" else OLDER)
    hello = client_hello(Question(version, suites, "www.zoo.test", staple=True), lambda count: b"\x07" * count)
    assert int.from_bytes(hello[3:5], "big") == len(hello) - 5
    assert int.from_bytes(hello[6:9], "big") == len(hello) - 9
    place = 44 + hello[43]
    count = int.from_bytes(hello[place : place + 2], "big")
    assert count == 2 * len(suites)
    rest = hello[place + 2 + count + 2 :]
    if version == "SSL 3.0":
        assert rest == b""  # extensions came with TLS (RFC 6066 1)
    else:
        assert int.from_bytes(rest[:2], "big") == len(rest) - 2
        assert b"www.zoo.test" in rest


def test_suites_have_the_names_that_openssl_gives_them() -> None:
    """OpenSSL's own table as the oracle, for every suite that both know."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl program is not installed")
    words = ["openssl", "ciphers", "-V", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    theirs = {int(high + low, 16): name for high, low, name in re.findall(r"0x(..),0x(..) - (\S+)", said)}
    ours = {code: suite.name for code, suite in {**MODERN, **OLDER}.items()}
    both = set(theirs) & set(ours)
    assert len(both) > 40
    assert {code: ours[code] for code in both} == {code: theirs[code] for code in both}


def test_weak_suites_are_those_the_rfc_names() -> None:
    strong = {suite.name for code, suite in {**MODERN, **OLDER}.items() if code not in WEAK}
    assert all(re.match(r"TLS_(ECDHE|DHE)_(RSA|ECDSA)_WITH_(AES|CHACHA20|ARIA|CAMELLIA|SEED)", name) for name in strong - {
        suite.name for suite in MODERN.values()
    })  # fmt: skip
    reasons = {suite.name: suite.weakness for suite in WEAK.values()}
    assert reasons["TLS_RSA_WITH_AES_128_GCM_SHA256"] == "no forward secrecy"
    assert reasons["TLS_ECDH_RSA_WITH_AES_128_CBC_SHA"] == "no forward secrecy"
    assert reasons["TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA"] == "3DES"
    assert reasons["TLS_RSA_EXPORT_WITH_RC4_40_MD5"] == "export grade"
    assert reasons["TLS_ECDHE_RSA_WITH_NULL_SHA"] == "no encryption"
    assert reasons["TLS_ECDH_anon_WITH_AES_128_CBC_SHA"] == "no authentication"
