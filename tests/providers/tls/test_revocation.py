"""Whether a certificate is revoked: asked of an authority on loopback that answers well, badly, late and not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from sophia_cli.core.endpoints import Result
from sophia_cli.providers.tls.addresses import Looked, looked
from sophia_cli.providers.tls.revocation import MOST_ANSWER, Revocations
from tests.providers.tls.authority import Authority, Issued
from tests.providers.tls.responder import (
    DAY,
    Web,
    asked_serial,
    places,
    response,
    revocation_list,
    scope,
    web,
)

HOST = "www.zoo.test"
_DER = serialization.Encoding.DER
HERE, THERE = "127.0.0.1", "8.8.8.8"
GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def site() -> Iterator[Web]:
    with web() as found:
        yield found


def path_of(authority: Authority, issued: Issued) -> tuple[x509.Certificate, ...]:
    return (issued.certificate, authority.intermediate.certificate, authority.root.certificate)


def ask(authority: Authority, issued: Issued, *, address: str = HERE, timeout_s: float = 5.0) -> Result:
    async def resolve(host: str) -> Looked:
        return looked([HERE] if host == "inside.zoo.test" else [])

    return asyncio.run(Revocations(authority.now, resolve, timeout_s).of(path_of(authority, issued), address))


# -- OCSP --------------------------------------------------------------------------------------------------------------


def by_ocsp(authority: Authority, site: Web, word: str = "ocsp") -> Issued:
    return authority.issue(HOST, extensions=places(responder=site.url(word)))


def test_a_responder_says_good_revoked_or_nothing(authority: Authority, site: Web) -> None:
    issued = by_ocsp(authority, site)
    site.serve("ocsp", response(authority, issued))
    good = ask(authority, issued)
    assert good.state == "pass"
    assert good.why == f"good until {authority.now + 3 * DAY:%Y-%m-%dT%H:%M:%SZ}, says {site.url('ocsp')}"
    assert asked_serial(site.asked[0]) == issued.certificate.serial_number
    site.serve("ocsp", response(authority, issued, REVOKED))
    revoked = ask(authority, issued)
    assert revoked.state == "fail"
    assert revoked.why.startswith(f"revoked on {authority.now - 2 * DAY:%Y-%m-%d} (keyCompromise), says http://")
    site.serve("ocsp", response(authority, issued, UNKNOWN))
    unknown = ask(authority, issued)
    assert unknown.state == "not tested"
    assert unknown.why.endswith("the authority does not know the certificate")


def test_whom_the_authority_certified_to_answer_is_believed_and_nobody_else(authority: Authority, site: Web) -> None:
    issued = by_ocsp(authority, site)
    signing = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])

    def answered(signer: Issued) -> Result:
        site.serve("ocsp", response(authority, issued, signer=signer))
        return ask(authority, issued)

    assert answered(_signer(authority, signing)).state == "pass"
    for signer in (
        authority.issue("other.zoo.test"),  # a leaf of the same authority, for servers
        _signer(authority, signing, days=(-90, -1)),
        _signer(Authority(now=authority.now, organization="Other"), signing),
    ):
        said = answered(signer)
        assert said.state == "not tested"
        assert said.why.endswith("the answer is not signed by the authority")


def _signer(authority: Authority, uses: x509.ExtendedKeyUsage, days: tuple[float, float] = (-30, 60)) -> Issued:
    return authority.issue("OCSP signer", days=days, uses=uses)


def test_no_other_answer_says_anything(authority: Authority, site: Web) -> None:
    issued, other = by_ocsp(authority, site), authority.issue(HOST)
    good = response(authority, issued)
    forged = response(authority, issued, signer=Authority(now=authority.now).intermediate)
    for body, status, why in (
        (response(authority, other), 200, "the answer is about another certificate"),
        (response(authority, issued, until=timedelta(minutes=-1)), 200, "the answer held until 20"),
        (response(authority, issued, REVOKED, until=timedelta(minutes=-1)), 200, "the answer held until 20"),
        (forged, 200, "the answer is not signed by the authority"),
        (good[:-8] + bytes(8), 200, "the answer is not signed by the authority"),
        (good[:80], 200, "the answer cannot be read"),
        (b"", 200, "the answer cannot be read"),
        (b"<html>sign in</html>", 200, "the answer cannot be read"),
        (ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(_DER), 200,
         "the answer is the error try_later"),
        (good + bytes(MOST_ANSWER), 200, "the answer is longer than is read, or broke off"),
        (good, 500, "it answers 500"),
    ):  # fmt: skip
        site.serve("ocsp", body, status)
        said = ask(authority, issued)
        assert (said.state, why in said.why) == ("not tested", True), said.why


def test_a_redirect_is_not_followed(authority: Authority, site: Web) -> None:
    issued = by_ocsp(authority, site)
    site.serve("elsewhere", response(authority, issued))
    site.serve("ocsp", b"", 302, Location="/elsewhere")
    assert ask(authority, issued).why.endswith("it answers 302")
    assert len(site.asked) == 1


def test_a_responder_that_hangs_costs_its_time_and_the_list_answers(authority: Authority, site: Web) -> None:
    issued = authority.issue(HOST, extensions=places(site.url("list"), site.url("ocsp")))
    site.answers["ocsp"] = None
    site.serve("list", revocation_list(authority))
    said = ask(authority, issued, timeout_s=0.3)
    assert said.state == "pass"
    assert said.why.endswith(f"says {site.url('list')}")


# -- lists -------------------------------------------------------------------------------------------------------------


def test_a_list_tells_who_is_on_it(authority: Authority, site: Web) -> None:
    issued = authority.issue(HOST, extensions=places(site.url("list")))
    site.serve("list", revocation_list(authority, authority.issue(HOST)))
    assert ask(authority, issued).state == "pass"
    site.serve("list", revocation_list(authority, issued))
    said = ask(authority, issued)
    assert said.state == "fail"
    assert said.why.startswith(f"revoked on {authority.now - 2 * DAY:%Y-%m-%d} (superseded), says http://")


def test_no_other_list_says_anything(authority: Authority, site: Web) -> None:
    url = site.url("list")
    issued = authority.issue(HOST, extensions=places(url))
    other = Authority(now=authority.now, organization="Other")
    ours = (scope(url), True)
    site.serve("list", revocation_list(authority, extensions=(ours,)))
    assert ask(authority, issued).state == "pass"
    for body, why in (
        (revocation_list(other, issued), "the list is of another authority"),
        (revocation_list(authority, issued, signer=other.intermediate), "the list is not signed by the authority"),
        (revocation_list(authority, until=timedelta(minutes=-1)), "the list held until 20"),
        # the same authority's list about others, put in its place by whoever stands on the way
        (revocation_list(authority, extensions=((scope("http://ca.test/2"), True),)), "about other certificates"),
        (revocation_list(authority, extensions=((scope(url, only_contains_ca_certs=True), True),)), "of servers"),
        (revocation_list(authority, extensions=((scope(url, indirect_crl=True), True),)), "about other certificates"),
        (revocation_list(authority, extensions=((x509.DeltaCRLIndicator(1), True),)), "changes only"),
        (revocation_list(authority)[:100], "the list cannot be read"),
        (b"\x30\x80" * 2000, "the list cannot be read"),
    ):  # fmt: skip
        site.serve("list", body)
        said = ask(authority, issued)
        assert (said.state, why in said.why) == ("not tested", True), said.why


# -- whom to ask -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["literal", "name"])
def test_a_public_endpoint_never_makes_this_machine_ask_its_own_network(
    authority: Authority, site: Web, place: str
) -> None:
    url = site.url("list") if place == "literal" else f"http://inside.zoo.test:{site.port}/list"
    issued = authority.issue(HOST, extensions=places(url, url))
    site.serve("list", revocation_list(authority, issued))
    said = ask(authority, issued, address=THERE)
    assert said.state == "not tested"
    assert "a special-purpose address, which is not asked" in said.why
    assert site.asked == []
    assert ask(authority, issued).state == "fail"


def test_nobody_is_asked_about_a_certificate_that_no_authority_stands_behind(authority: Authority, site: Web) -> None:
    issued = by_ocsp(authority, site)

    async def asked(path: tuple[x509.Certificate, ...]) -> Result:
        return await Revocations(authority.now).of(path, HERE)

    for path in ((), (issued.certificate,)):
        assert asyncio.run(asked(path)).state == "not tested"
    assert site.asked == []


def test_a_certificate_that_names_nobody_is_not_tested(authority: Authority) -> None:
    for extensions in ([], places("ldap://ca.test/list", "file:///etc/passwd")):
        said = ask(authority, authority.issue(HOST, extensions=extensions))
        assert said == Result("not tested", "the certificate names no authority's answer: neither OCSP nor a list")


def test_each_certificate_and_each_list_is_asked_for_once(authority: Authority, site: Web) -> None:
    url = site.url("list")
    first, second = (authority.issue(HOST, extensions=places(url)) for _ in range(2))
    site.serve("list", revocation_list(authority, second))

    async def asked() -> list[str]:
        by = Revocations(authority.now)
        said = await asyncio.gather(*(by.of(path_of(authority, one), HERE) for one in (first, second, first, second)))
        return [one.state for one in said]

    assert asyncio.run(asked()) == ["pass", "fail", "pass", "fail"]
    assert site.asked == ["/list"]
