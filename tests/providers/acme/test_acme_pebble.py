"""Certificates from a real Pebble, proved by records on the sandbox's name server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import SecretStr

from sophia_cli import sandbox
from sophia_cli.core.acme import DNS_01, DNS_PERSIST_01, Authority, Challenge, IssuedChain, Order
from sophia_cli.core.errors import (
    CredentialsMissing,
    CredentialsRejected,
    ProviderRefused,
    Refused,
    SophiaError,
)
from sophia_cli.providers.acme.certificates import Keys
from sophia_cli.providers.acme.client import AcmeAuthority
from sophia_cli.providers.acme.jws import ExternalAccount
from sophia_cli.sandbox import Sandbox
from tests.providers.acme import pebble
from tests.providers.acme.pebble import BriskClock, Pebble

T = TypeVar("T")
pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(not pebble.PROGRAMS, reason=pebble.MISSING),
    pytest.mark.xdist_group("pebble"),  # the servers are started once
]
EAB_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
ORIGIN = "example.com"


@dataclass
class Stage:
    """The servers that the tests of this file share."""

    folder: Path
    box: Sandbox
    stack: ExitStack
    started: dict[str, Pebble] = field(default_factory=dict)

    def pebble(self, name: str, program: Path, *arguments: str, **options: Any) -> Pebble:
        key = f"{name} {program}"
        if key not in self.started:
            folder = self.folder / str(len(self.started))
            folder.mkdir()
            running = pebble.running(program, folder, self.box, *arguments, **options)
            self.started[key] = self.stack.enter_context(running)
        return self.started[key]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    with ExitStack() as stack:
        box = stack.enter_context(sandbox.running(folder / "sandbox.json", domains=[ORIGIN]))
        yield Stage(folder, box, stack)


@pytest.fixture(params=pebble.PROGRAMS, ids=str)
def any_pebble(request: pytest.FixtureRequest, stage: Stage) -> Pebble:
    return stage.pebble("usual", request.param, "-strict=false", PEBBLE_ALTERNATE_ROOTS=2, PEBBLE_CHAIN_LENGTH=2)


def newest(stage: Stage, wanted: str) -> Pebble:
    """The first Pebble whose directory has what a test needs."""
    for program in pebble.PROGRAMS:
        found = stage.pebble("usual", program, "-strict=false", PEBBLE_ALTERNATE_ROOTS=2, PEBBLE_CHAIN_LENGTH=2)
        if found.offers(wanted):
            return found
    pytest.skip(f"no pebble here offers {wanted}; SOPHIA_PEBBLE may name a newer one (2.10 or later)")


# -- issuing, as short as it can be ------------------------------------------------------------------------------------


def publish(box: Sandbox, challenges: Sequence[Challenge]) -> Callable[[], None]:
    """Put the records there, all in one change; gives what takes them away again."""
    rows = [
        {"name": item.txt_name.removesuffix(f".{ORIGIN}"), "type": "TXT", "address": item.txt_value, "ttl": 60}
        for item in challenges
    ]
    rows = list({json.dumps(row): row for row in rows}.values())
    box.edit(ORIGIN, add=rows)
    return lambda: box.edit(ORIGIN, remove=rows)


async def finished(
    authority: Authority, order: Order, box: Sandbox, *, kind: str = DNS_01, key: SecretStr | None = None
) -> tuple[IssuedChain, ...]:
    """Prove the names of an order, finalize it and download what comes of it."""
    deadline = BriskClock().now() + timedelta(seconds=30)
    pending = [item for item in await authority.authorizations(order) if not item.is_over]
    challenges = [item for found in pending if (item := found.offered(kind)) is not None]
    assert len(challenges) == len(pending)
    withdraw = publish(box, challenges)
    try:
        for challenge in challenges:
            await authority.answer(challenge)
        for authorization in pending:
            await authority.wait_authorization(authorization, deadline)
    finally:
        if kind == DNS_01:
            withdraw()
    ready = await authority.wait_order(order, deadline)
    csr = Keys().request(key or Keys().generate("ec-p256"), ready.names)
    ended = await authority.wait_order(await authority.finalize(ready, csr), deadline)
    return await authority.download(ended)


async def issued(
    authority: Authority, names: Sequence[str], box: Sandbox, *, key: SecretStr | None = None, **options: Any
) -> tuple[IssuedChain, ...]:
    await authority.account(terms_agreed=True)
    profile = "classic" if (await authority.directory()).has_profile("classic") else None
    order = await authority.order(names, **{"profile": profile, **options})
    return await finished(authority, order, box, key=key)


def with_authority(authority: AcmeAuthority, work: Callable[[AcmeAuthority], Coroutine[Any, Any, T]]) -> T:
    async def go() -> T:
        try:
            return await work(authority)
        finally:
            await authority.close()

    return asyncio.run(go())


def certificates(chain: IssuedChain) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(chain.pem.encode())


# -- tests ---------------------------------------------------------------------------------------------------------------


def test_a_wildcard_and_its_apex_come_in_one_order(any_pebble: Pebble, stage: Stage, tmp_path: Path) -> None:
    key = Keys().generate("ec-p256")
    names = ["example.com", "*.example.com", "www.example.com"]
    authority = any_pebble.authority(tmp_path / "account.pem")
    chains = with_authority(authority, lambda one: issued(one, names, stage.box, key=key))
    leaf = chains[0].leaf
    assert leaf.names == ("*.example.com", "example.com", "www.example.com")
    assert leaf.key_digest == Keys().digest(key)
    assert Keys().leaf(chains[0].pem) == leaf
    top = certificates(chains[0])[-1]
    top.verify_directly_issued_by(any_pebble.roots()[0])
    zone = sandbox.peek(stage.folder / "sandbox.json", ORIGIN)
    assert zone is not None
    assert not [row for row in zone.rows if row.name.startswith("_acme-challenge")]


def test_alternate_chains_end_at_other_roots_and_hold_the_same_certificate(
    any_pebble: Pebble, stage: Stage, tmp_path: Path
) -> None:
    authority = any_pebble.authority(tmp_path / "account.pem")
    chains = with_authority(authority, lambda one: issued(one, ["example.com"], stage.box))
    assert len(chains) == 3
    assert len({chain.leaf.fingerprint for chain in chains}) == 1
    for chain, root in zip(chains, any_pebble.roots(3), strict=True):
        found = certificates(chain)
        found[-1].verify_directly_issued_by(root)
        assert chain.issuers[-1] == root.subject.rfc4514_string()


@pytest.mark.parametrize("program", pebble.PROGRAMS, ids=str)
def test_half_of_the_nonces_refused_in_strict_mode_still_gives_certificates(
    program: Path, stage: Stage, tmp_path: Path
) -> None:
    hostile = stage.pebble("hostile", program, "-strict=true", PEBBLE_WFE_NONCEREJECT=50)

    async def several(authority: AcmeAuthority) -> list[tuple[IssuedChain, ...]]:
        return [await issued(authority, [f"n{index}.example.com"], stage.box) for index in range(5)]

    authority = hostile.authority(tmp_path / "account.pem")
    chains = with_authority(authority, several)
    assert [chain[0].leaf.names for chain in chains] == [(f"n{index}.example.com",) for index in range(5)]


def test_an_order_of_a_killed_run_is_taken_up_by_the_next(any_pebble: Pebble, stage: Stage, tmp_path: Path) -> None:
    async def begun(authority: AcmeAuthority) -> str:
        await authority.account(terms_agreed=True)
        return (await authority.order(["resumed.example.com"])).url

    async def taken_up(authority: AcmeAuthority) -> tuple[IssuedChain, ...]:
        return await finished(authority, await authority.resume(url), stage.box)

    url = with_authority(any_pebble.authority(tmp_path / "account.pem"), begun)
    chains = with_authority(any_pebble.authority(tmp_path / "account.pem"), taken_up)
    assert chains[0].leaf.names == ("resumed.example.com",)


def test_a_wrong_record_is_reported_with_the_name_and_what_the_authority_saw(
    any_pebble: Pebble, stage: Stage, tmp_path: Path
) -> None:
    async def wrong(authority: AcmeAuthority) -> None:
        await authority.account(terms_agreed=True)
        order = await authority.order(["wrong.example.com"])
        (authorization,) = await authority.authorizations(order)
        challenge = authorization.offered(DNS_01)
        assert challenge is not None
        stage.box.edit(ORIGIN, add=[{"name": "_acme-challenge.wrong", "type": "TXT", "address": "not-it", "ttl": 60}])
        await authority.answer(challenge)
        await authority.wait_authorization(authorization, BriskClock().now() + timedelta(seconds=30))

    with pytest.raises(ProviderRefused) as caught:
        with_authority(any_pebble.authority(tmp_path / "account.pem"), wrong)
    assert "wrong.example.com" in caught.value.message
    assert caught.value.details["type"] == "unauthorized"
    assert caught.value.hint


def test_an_authorization_that_is_given_up_needs_its_record_no_more(
    any_pebble: Pebble, stage: Stage, tmp_path: Path
) -> None:
    async def given_up(authority: AcmeAuthority) -> str:
        await authority.account(terms_agreed=True)
        order = await authority.order(["left.example.com"])
        (authorization,) = await authority.authorizations(order)
        await authority.abandon(authorization)
        return (await authority.authorizations(order))[0].status

    assert with_authority(any_pebble.authority(tmp_path / "account.pem"), given_up) == "deactivated"


def test_a_name_that_the_authority_does_not_serve_is_named(any_pebble: Pebble, stage: Stage, tmp_path: Path) -> None:
    authority = any_pebble.authority(tmp_path / "account.pem")
    with pytest.raises(ProviderRefused) as caught:
        with_authority(authority, lambda one: issued(one, ["ok.example.com", "blocked.example"], stage.box))
    assert caught.value.details["type"] == "rejectedIdentifier"
    assert "blocked.example" in caught.value.message


def test_revocation_by_account_and_by_the_certificates_own_key(
    any_pebble: Pebble, stage: Stage, tmp_path: Path
) -> None:
    key = Keys().generate("rsa-2048")

    async def revoked(authority: AcmeAuthority) -> tuple[IssuedChain, bool, bool, IssuedChain, bool]:
        first = (await issued(authority, ["example.com"], stage.box))[0]
        answers = [await authority.revoke(first.leaf.der, "superseded") for _ in range(2)]
        second = (await issued(authority, ["example.com"], stage.box, key=key))[0]
        stranger = any_pebble.authority(tmp_path / "stranger.pem")
        try:
            await stranger.directory()
            return first, *answers, second, await stranger.revoke(second.leaf.der, "key-compromise", key)
        finally:
            await stranger.close()

    first, once, twice, second, by_key = with_authority(any_pebble.authority(tmp_path / "account.pem"), revoked)
    assert (once, twice, by_key) == (True, False, True)
    assert any_pebble.status(first.leaf.serial_hex)["Status"] == "Revoked"
    assert any_pebble.status(first.leaf.serial_hex)["Reason"] == 4
    assert any_pebble.status(second.leaf.serial_hex)["Reason"] == 1
    assert not (tmp_path / "stranger.pem").exists()


def test_after_a_key_rollover_only_the_new_key_opens_the_account(
    any_pebble: Pebble, stage: Stage, tmp_path: Path
) -> None:
    path = tmp_path / "account.pem"

    async def rolled(authority: AcmeAuthority) -> tuple[str, str, str, str]:
        before = (await authority.account(terms_agreed=True)).url
        old = path.read_text()
        after = (await authority.roll_key()).url
        await issued(authority, ["rolled.example.com"], stage.box)
        return before, after, old, path.read_text()

    before, after, old, new = with_authority(any_pebble.authority(path), rolled)
    assert before == after
    assert old != new
    assert path.stat().st_mode & 0o777 == 0o600

    async def url(authority: AcmeAuthority) -> str:
        return (await authority.account(terms_agreed=False)).url

    assert with_authority(any_pebble.authority(path), url) == before
    path.write_text(old)
    with pytest.raises(Refused):  # the authority knows no account of the old key, and nobody agreed to terms
        with_authority(any_pebble.authority(path), url)


@pytest.mark.parametrize("agreed", [True, False], ids=["the authority had agreed", "the authority had not heard"])
def test_a_key_rollover_that_was_cut_off_is_settled_by_the_next_run(
    agreed: bool, any_pebble: Pebble, tmp_path: Path
) -> None:
    path, following = tmp_path / "account.pem", tmp_path / "account.pem.next"

    async def url(authority: AcmeAuthority) -> str:
        return (await authority.account(terms_agreed=True)).url

    async def rolled(authority: AcmeAuthority) -> None:
        await authority.account(terms_agreed=False)
        await authority.roll_key()

    before = with_authority(any_pebble.authority(path), url)
    old = path.read_bytes()
    if agreed:
        with_authority(any_pebble.authority(path), rolled)
        path.replace(following)  # as if the run had died before it put the new key in its place
        path.write_bytes(old)
        path.chmod(0o600)
    else:
        with_authority(any_pebble.authority(tmp_path / "unrelated.pem"), url)
        any_pebble.authority(path)._accounts._file.prepare()
    wanted = following.read_bytes() if agreed else old
    assert with_authority(any_pebble.authority(path), url) == before
    assert path.read_bytes() == wanted
    assert not following.exists()


def test_a_closed_account_is_closed_for_good(any_pebble: Pebble, tmp_path: Path) -> None:
    async def closed(authority: AcmeAuthority) -> str:
        await authority.account(terms_agreed=True)
        return (await authority.deactivate()).status

    async def again(authority: AcmeAuthority) -> None:
        await authority.account(terms_agreed=True)

    path = tmp_path / "account.pem"
    assert with_authority(any_pebble.authority(path), closed) == "deactivated"
    with pytest.raises(SophiaError) as caught:
        with_authority(any_pebble.authority(path), again)
    assert isinstance(caught.value, (CredentialsRejected, ProviderRefused))


def test_no_account_is_made_before_the_terms_are_agreed_to(any_pebble: Pebble, tmp_path: Path) -> None:
    async def unasked(authority: AcmeAuthority) -> None:
        await authority.account(terms_agreed=False)

    with pytest.raises(Refused) as caught:
        with_authority(any_pebble.authority(tmp_path / "account.pem"), unasked)
    assert caught.value.hint is not None
    assert "data:text/plain" in caught.value.hint  # where Pebble keeps its terms
    assert not (tmp_path / "account.pem").exists()


@pytest.mark.parametrize("program", pebble.PROGRAMS, ids=str)
def test_an_external_account_is_bound_and_its_key_is_never_shown(
    program: Path, stage: Stage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    keys = {"kid-1": EAB_KEY}
    strict = stage.pebble("eab", program, externalAccountBindingRequired=True, externalAccountMACKeys=keys)

    async def made(authority: AcmeAuthority) -> tuple[bool, bool]:
        first = await authority.account(terms_agreed=True)
        chains = await issued(authority, ["eab.example.com"], stage.box)
        return first.is_new, bool(chains)

    right = ExternalAccount("kid-1", SecretStr(EAB_KEY))
    path = tmp_path / "right.pem"
    assert with_authority(strict.authority(path, external=right), made) == (True, True)
    # The account is found again without the binding.
    assert with_authority(strict.authority(path), made) == (False, True)

    with pytest.raises(CredentialsMissing):
        with_authority(strict.authority(tmp_path / "none.pem"), made)
    shown = [repr(right), repr(strict.authority(path, external=right)), caplog.text]
    for wrong in (ExternalAccount("kid-1", SecretStr("A" * 64)), ExternalAccount("kid-9", SecretStr(EAB_KEY))):
        with pytest.raises(CredentialsRejected) as caught:
            with_authority(strict.authority(tmp_path / f"{wrong.key_id}.pem", external=wrong), made)
        shown += [str(caught.value), str(caught.value.hint), json.dumps(caught.value.details)]
    private = "".join(path.read_text().splitlines()[1:-1])
    for text in shown:
        assert EAB_KEY not in text
        assert private[:40] not in text


# -- what Pebble has since 2.6, 2.7 and 2.10 -----------------------------------------------------------------------------


def test_a_renewal_names_its_predecessor_once(stage: Stage, tmp_path: Path) -> None:
    server = newest(stage, "renewalInfo")

    async def renewed(authority: AcmeAuthority) -> tuple[str | None, Order, Order]:
        first = (await issued(authority, ["renewed.example.com"], stage.box))[0]
        replaces = first.leaf.certificate_id
        second = await authority.order(["renewed.example.com"], profile="classic", replaces=replaces)
        await finished(authority, second, stage.box)
        third = await authority.order(["renewed.example.com"], profile="classic", replaces=replaces)
        return replaces, second, third

    replaces, second, third = with_authority(server.authority(tmp_path / "account.pem"), renewed)
    assert replaces is not None
    assert second.replaces == replaces
    assert third.replaces is None  # already replaced: the order is placed all the same, and says so
    assert third.url != second.url


def test_renewal_information_is_read_with_its_page_and_its_pause(stage: Stage, tmp_path: Path) -> None:
    server = newest(stage, "renewalInfo")
    page = "https://ca.example/incident"
    window = {"start": "2031-01-01T00:00:00Z", "end": "2031-01-02T00:00:00.123456789Z"}

    async def asked(authority: AcmeAuthority) -> tuple[Any, Any, IssuedChain]:
        chain = (await issued(authority, ["advised.example.com"], stage.box))[0]
        assert chain.leaf.certificate_id is not None
        usual = await authority.renewal_info(chain.leaf.certificate_id)
        server.set_renewal_info(chain.pem, json.dumps({"suggestedWindow": window, "explanationURL": page}))
        return usual, await authority.renewal_info(chain.leaf.certificate_id), chain

    usual, changed, chain = with_authority(server.authority(tmp_path / "account.pem"), asked)
    assert chain.leaf.not_before < usual.start < usual.end < chain.leaf.not_after
    assert usual.retry_after_s == 21600
    assert (changed.start.year, changed.end.day, changed.explanation_url) == (2031, 2, page)


def test_a_profile_is_asked_for_by_name(stage: Stage, tmp_path: Path) -> None:
    server = newest(stage, "profiles")

    async def short(authority: AcmeAuthority) -> tuple[IssuedChain, ...]:
        return await issued(authority, ["short.example.com"], stage.box, profile="shortlived")

    async def unknown(authority: AcmeAuthority) -> None:
        await authority.account(terms_agreed=True)
        await authority.order(["short.example.com"], profile="eternal")

    leaf = with_authority(server.authority(tmp_path / "account.pem"), short)[0].leaf
    assert leaf.not_after - leaf.not_before < timedelta(days=7)
    with pytest.raises(ProviderRefused) as caught:
        with_authority(server.authority(tmp_path / "account.pem"), unknown)
    assert caught.value.hint == "ssl.profile: one of classic, shortlived"


def test_a_standing_record_serves_the_renewal_of_a_wildcard_without_another_write(stage: Stage, tmp_path: Path) -> None:
    server = newest(stage, "profiles")
    names = ["persist.example.com", "*.persist.example.com"]

    async def twice(authority: AcmeAuthority) -> tuple[set[tuple[str, str]], int, set[str]]:
        await authority.account(terms_agreed=True)
        order = await authority.order(names, profile="classic")
        offered = [item.offered(DNS_PERSIST_01) for item in await authority.authorizations(order)]
        if None in offered:
            pytest.skip("no pebble here offers dns-persist-01; SOPHIA_PEBBLE may name a newer one (2.10 or later)")
        wanted = {(item.txt_name, item.txt_value) for item in offered if item is not None}
        await finished(authority, order, stage.box, kind=DNS_PERSIST_01)
        zone = sandbox.peek(stage.folder / "sandbox.json", ORIGIN)
        second = await authority.order(names, profile="classic")
        for authorization in await authority.authorizations(second):
            challenge = authorization.offered(DNS_PERSIST_01)
            assert challenge is not None
            assert challenge.stays
            assert (challenge.txt_name, challenge.txt_value) in wanted
            await authority.answer(challenge)
            await authority.wait_authorization(authorization, BriskClock().now() + timedelta(seconds=30))
        assert zone == sandbox.peek(stage.folder / "sandbox.json", ORIGIN)
        ready = await authority.wait_order(second, BriskClock().now() + timedelta(seconds=30))
        return wanted, len(wanted), {ready.status}

    wanted, count, status = with_authority(server.authority(tmp_path / "account.pem"), twice)
    assert count == 1  # one record for the name and its wildcard
    assert next(iter(wanted))[0] == "_validation-persist.persist.example.com"
    assert status == {"ready"}


def test_the_chain_that_is_kept_is_accepted_by_openssl_rules(any_pebble: Pebble, stage: Stage, tmp_path: Path) -> None:
    from cryptography.x509.verification import PolicyBuilder, Store

    authority = any_pebble.authority(tmp_path / "account.pem")
    chains = with_authority(authority, lambda one: issued(one, ["verified.example.com"], stage.box))
    leaf, *rest = certificates(chains[0])
    store = Store(any_pebble.roots())
    verifier = PolicyBuilder().store(store).build_server_verifier(x509.DNSName("verified.example.com"))
    assert verifier.verify(leaf, rest)[0].public_bytes(Encoding.DER) == chains[0].leaf.der
