"""What the ACME client does when an authority refuses, stalls, loses answers or talks nonsense."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import SecretStr

from sophia_cli.core.acme import DNS_01, DNS_PERSIST_01, IssuedChain, Order
from sophia_cli.core.errors import (
    BadResponse,
    CredentialsRejected,
    OutcomeUnknown,
    ProviderBusy,
    ProviderRefused,
    RateLimited,
    SophiaError,
    StateError,
    Unreachable,
    UsageError,
)
from sophia_cli.providers.acme.account_key import noted
from sophia_cli.providers.acme.certificates import Keys, chain_of
from sophia_cli.providers.acme.client import AcmeAuthority
from sophia_cli.providers.acme.jws import ExternalAccount
from tests.builders import NOW
from tests.memory import MemoryClock
from tests.providers.acme import faulty
from tests.providers.acme.faulty import FaultyAuthority, problem

T = TypeVar("T")
DEADLINE = NOW + timedelta(hours=1)


@pytest.fixture
def server() -> Iterator[FaultyAuthority]:
    with faulty.running() as running:
        yield running


@pytest.fixture
def clock() -> MemoryClock:
    return MemoryClock()


@pytest.fixture
def client(
    server: FaultyAuthority, clock: MemoryClock, tmp_path: Path
) -> Callable[[Callable[[AcmeAuthority], Coroutine[Any, Any, T]]], T]:
    """Runs some work with a client of the server; time passes only when the client sleeps."""

    def run(work: Callable[[AcmeAuthority], Coroutine[Any, Any, T]]) -> T:
        async def go() -> T:
            authority = AcmeAuthority(server.directory, tmp_path / "account.pem", clock=clock)
            try:
                await authority.account(terms_agreed=True)
                return await work(authority)
            finally:
                await authority.close()

        return asyncio.run(go())

    return run


Run = Callable[[Callable[[AcmeAuthority], Coroutine[Any, Any, Any]]], Any]


async def ordered(authority: AcmeAuthority) -> Order:
    return await authority.order(["example.com"])


async def issued(authority: AcmeAuthority) -> tuple[IssuedChain, ...]:
    order = await ordered(authority)
    for authorization in await authority.authorizations(order):
        challenge = authorization.offered(DNS_01)
        assert challenge is not None
        await authority.answer(challenge)
        await authority.wait_authorization(authorization, DEADLINE)
    ready = await authority.wait_order(order, DEADLINE)
    ended = await authority.finalize(ready, Keys().request(Keys().generate("ec-p256"), order.names))
    return await authority.download(await authority.wait_order(ended, DEADLINE))


# -- pauses that the authority asks for --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
def test_a_short_pause_that_the_authority_asks_for_is_taken(
    status: int, server: FaultyAuthority, client: Run, clock: MemoryClock
) -> None:
    server.fail("new-order", status, problem("rateLimited"), times=2, Retry_After="7")
    assert client(ordered).names == ("example.com",)
    assert clock.slept == [7.0, 7.0]


def test_a_long_rate_limit_ends_the_run_and_says_when(server: FaultyAuthority, client: Run, clock: MemoryClock) -> None:
    server.fail("new-order", 429, problem("rateLimited", "too many certificates"), Retry_After="5400")
    with pytest.raises(RateLimited) as caught:
        client(ordered)
    assert clock.slept == []
    assert server.came("new-order") == 1
    assert "too many certificates" in caught.value.message
    assert caught.value.hint is not None
    assert f"{NOW + timedelta(seconds=5400):%Y-%m-%d %H:%M}" in caught.value.hint
    assert caught.value.details["retry_at"].startswith(f"{NOW + timedelta(seconds=5400):%Y-%m-%dT%H:%M}")


def test_a_rate_limit_without_a_time_is_not_tried_again(server: FaultyAuthority, client: Run) -> None:
    server.fail("new-order", 429, problem("rateLimited"), times=9)
    with pytest.raises(RateLimited):
        client(ordered)
    assert server.came("new-order") == 1


def test_an_overloaded_authority_is_asked_a_few_times_with_growing_pauses(
    server: FaultyAuthority, client: Run, clock: MemoryClock
) -> None:
    server.fail("new-order", 503, b"<html>overloaded</html>", times=99)
    with pytest.raises(ProviderBusy):
        client(ordered)
    assert server.came("new-order") == 5
    assert clock.slept == sorted(clock.slept)
    assert sum(clock.slept) < 60


def test_a_rate_limit_that_names_its_end_in_words_only_is_understood(server: FaultyAuthority, client: Run) -> None:
    text = "too many failed authorizations (5) for example.com, retry after 2026-12-24 18:00:00 UTC: see https://ca.example"
    server.fail("new-order", 429, problem("rateLimited", text))
    with pytest.raises(RateLimited) as caught:
        client(ordered)
    assert caught.value.hint == "not before 2026-12-24 18:00:00 UTC"


@pytest.mark.parametrize("given", ["-5", "soon", "", "Wed, 21 Oct 2015 07:28:00 GMT", "9" * 40])
def test_a_pause_that_makes_no_sense_is_no_reason_to_wait_for_ever(
    given: str, server: FaultyAuthority, client: Run, clock: MemoryClock
) -> None:
    server.fail("new-order", 429, problem("rateLimited"), Retry_After=given)
    with pytest.raises(RateLimited):
        client(ordered)
    assert sum(clock.slept) < 60


def test_polling_keeps_to_the_pace_of_the_authority_and_stops_at_the_deadline(
    server: FaultyAuthority, client: Run, clock: MemoryClock
) -> None:
    server.after_finalize = "processing"
    server.retry_after = "600"
    with pytest.raises(ProviderBusy) as caught:
        client(issued)
    assert set(clock.slept[:-1]) == {300.0}  # what it asks for is bounded
    assert clock.now() - DEADLINE < timedelta(seconds=5)
    assert caught.value.hint == "run again: the order is taken up where it was left"


def test_an_endless_validation_ends_at_the_deadline(server: FaultyAuthority, client: Run, clock: MemoryClock) -> None:
    server.after_answer = "pending"
    with pytest.raises(ProviderBusy, match=r"the validation of example\.com"):
        client(issued)
    assert server.came("authorization") < 400


@pytest.mark.parametrize("jump", [timedelta(days=-400), timedelta(days=400)], ids=["back", "ahead"])
def test_a_clock_that_jumps_while_waiting_ends_the_wait_no_later(
    jump: timedelta, server: FaultyAuthority, clock: MemoryClock, tmp_path: Path
) -> None:
    class Jumping(MemoryClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            if len(self.slept) == 3:
                self._now += jump

    server.after_answer = "pending"
    jumping = Jumping()

    async def go() -> None:
        authority = AcmeAuthority(server.directory, tmp_path / "account.pem", clock=jumping)
        try:
            await authority.account(terms_agreed=True)
            await issued(authority)
        finally:
            await authority.close()

    with pytest.raises(ProviderBusy):
        asyncio.run(go())
    assert sum(jumping.slept) <= 3600


@pytest.mark.parametrize("given", ["0", "600"])
def test_polling_is_never_a_busy_loop_nor_asleep_for_long(
    given: str, server: FaultyAuthority, client: Run, clock: MemoryClock
) -> None:
    server.after_answer = "pending"
    server.retry_after = given
    with pytest.raises(ProviderBusy):
        client(lambda authority: soon(authority))
    assert server.came("authorization") <= 60


async def soon(authority: AcmeAuthority) -> None:
    (authorization,) = await authority.authorizations(await ordered(authority))
    await authority.wait_authorization(authorization, NOW + timedelta(seconds=10))


# -- nonces --------------------------------------------------------------------------------------------------------------


def test_refused_nonces_are_replaced_without_a_pause(server: FaultyAuthority, client: Run, clock: MemoryClock) -> None:
    server.fail("new-order", 400, problem("badNonce"), times=20)
    assert client(ordered).names == ("example.com",)
    assert clock.slept == []


def test_nonces_that_are_never_good_end_in_an_error(server: FaultyAuthority, client: Run) -> None:
    server.fail("new-order", 400, problem("badNonce"), times=10_000)
    with pytest.raises(ProviderBusy):
        client(ordered)
    assert server.came("new-order") < 200


def test_an_authority_whose_answers_lack_nonces_is_named(server: FaultyAuthority, client: Run) -> None:
    server.gives_nonces = False
    with pytest.raises(BadResponse, match="Replay-Nonce"):
        client(ordered)


# -- lost answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize(
    "step", ["new-account", "new-order", "order", "authorization", "challenge", "finalize", "certificate"]
)
def test_one_lost_answer_at_any_step_still_gives_a_certificate(
    step: str, executed: bool, server: FaultyAuthority, client: Run
) -> None:
    server.lose(step, executed=executed)
    chains = client(issued)
    assert chains[0].leaf.names == ("example.com",)
    answers = [payload for step, payload in server.payloads if step == "challenge" and payload is not None]
    assert len(answers) == 1  # the challenge was not answered twice
    requests = [step for step, _ in server.payloads if step == "finalize"]
    assert len(requests) == 1


def test_orders_whose_answers_are_lost_again_and_again_are_unknown(server: FaultyAuthority, client: Run) -> None:
    for _ in range(5):
        server.lose("new-order", executed=True)
    with pytest.raises(OutcomeUnknown, match="may or may not"):
        client(ordered)
    assert server.came("new-order") == 2


@pytest.mark.parametrize("executed", [True, False])
def test_a_revocation_whose_answer_is_lost_is_made_sure_of(
    executed: bool, server: FaultyAuthority, client: Run
) -> None:
    server.lose("revoke", executed=executed)

    async def revoked(authority: AcmeAuthority) -> bool:
        return await authority.revoke(b"der", "superseded")

    assert client(revoked) is True


@pytest.mark.parametrize("executed", [True, False])
def test_a_key_rollover_whose_answer_is_lost_ends_with_the_key_that_the_authority_knows(
    executed: bool, server: FaultyAuthority, client: Run, tmp_path: Path
) -> None:
    server.lose("key-change", executed=executed)

    async def rolled(authority: AcmeAuthority) -> tuple[bytes, str]:
        before = (tmp_path / "account.pem").read_bytes()
        await authority.roll_key()
        return before, (await authority.order(["example.com"])).url

    before, _ = client(rolled)
    assert ((tmp_path / "account.pem").read_bytes() != before) is executed
    assert not (tmp_path / "account.pem.next").exists()


def test_a_refused_key_rollover_keeps_the_old_key(server: FaultyAuthority, client: Run, tmp_path: Path) -> None:
    server.fail("key-change", 403, problem("unauthorized", "not now"))

    async def rolled(authority: AcmeAuthority) -> None:
        await authority.roll_key()

    with pytest.raises(ProviderRefused, match="not now"):
        client(rolled)
    assert not (tmp_path / "account.pem.next").exists()
    assert client(ordered).names == ("example.com",)


def test_an_authority_that_is_not_there_is_unreachable(tmp_path: Path, clock: MemoryClock) -> None:
    with socket.socket() as sock:  # bound and not listening: nobody else gets the port meanwhile
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/directory"
        authority = AcmeAuthority(url, tmp_path / "account.pem", clock=clock)
        with pytest.raises(Unreachable) as caught:
            asyncio.run(authority.account(terms_agreed=True))
    assert caught.value.hint
    assert not (tmp_path / "account.pem").exists()


# -- nonsense ------------------------------------------------------------------------------------------------------------

NONSENSE = [
    b"",
    b"not json",
    b"[]",
    b"null",
    b"\xff\xfe",
    b'{"status": "pending"}',
    b"[" * 20_000,
    b'{"status": "bogus", "identifiers": [{"type": "dns", "value": "example.com"}], "authorizations": [], "finalize": "x"}',
    b'{"status": "pending", "identifiers": [{"type": "dns", "value": "evil.example"}], "authorizations": [], "finalize": "x"}',
    b'{"status": "pending", "identifiers": [{"type": "dns", "value": "\\u001b[2J.com"}], "authorizations": [], "finalize": "x"}',
    b'{"status": "pending", "identifiers": 7, "authorizations": {}, "finalize": null}',
    b'{"status": [], "identifiers": [{"type": "dns", "value": "example.com"}], "authorizations": [], "finalize": "x"}',
]


@pytest.mark.parametrize("body", NONSENSE, ids=lambda body: body[:40].decode("latin-1"))
@pytest.mark.parametrize("step", ["directory", "new-account", "new-order", "order", "authorization", "finalize"])
def test_nonsense_at_any_step_is_a_clear_error(step: str, body: bytes, server: FaultyAuthority, client: Run) -> None:
    server.fail(step, 201, body, times=99, Location=server.base + "/order")
    with pytest.raises(BadResponse) as caught:
        client(issued)
    assert caught.value.message.isprintable()
    assert caught.value.hint


@pytest.mark.parametrize("step", ["new-account", "new-order"])
def test_an_answer_without_its_address_is_refused(step: str, server: FaultyAuthority, client: Run) -> None:
    body = b'{"status": "valid"}' if step == "new-account" else json.dumps({"status": "pending"}).encode()
    server.fail(step, 201, body)
    with pytest.raises(BadResponse):
        client(ordered)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>no</html>",
        b'{"type": 7, "detail": []}',
        problem("caa", "\x1b[31mred\x1b[0m"),
        problem("weird\u202e", "x"),
        b'{"type":"about:blank","title":"Teapot","subproblems":[1,{"type":"x","identifier":9},{"detail":"deep"}]}',
    ],
    ids=lambda body: body[:30].decode("latin-1"),
)
def test_a_refusal_in_any_form_is_shown_without_control_characters(
    body: bytes, server: FaultyAuthority, client: Run
) -> None:
    server.fail("new-order", 403, body)
    with pytest.raises(ProviderRefused) as caught:
        client(ordered)
    assert caught.value.message.isprintable()
    assert caught.value.message.isascii()


def test_subproblems_are_listed_with_their_names(server: FaultyAuthority, client: Run) -> None:
    below = [
        {
            "type": faulty.ERROR + "rejectedIdentifier",
            "detail": "no",
            "identifier": {"type": "dns", "value": "a.example"},
        },
        {"type": faulty.ERROR + "caa", "detail": "forbidden", "identifier": {"type": "dns", "value": "b.example"}},
    ]
    server.fail("new-order", 403, problem("compound", "two problems", subproblems=below))
    with pytest.raises(ProviderRefused) as caught:
        client(ordered)
    for text in ("a.example: rejectedIdentifier: 'no'", "b.example: caa: 'forbidden'"):
        assert text in caught.value.message
    assert [item["type"] for item in caught.value.details["problem"]["subproblems"]] == ["rejectedIdentifier", "caa"]


def test_redirects_are_not_followed(server: FaultyAuthority, client: Run) -> None:
    server.fail("new-order", 307, b"", Location=server.base + "/elsewhere")
    with pytest.raises(BadResponse, match="redirect"):
        client(ordered)
    assert server.came("elsewhere") == 0


def test_an_authorization_for_a_name_that_was_not_ordered_stops_everything(
    server: FaultyAuthority, client: Run
) -> None:
    async def looked(authority: AcmeAuthority) -> None:
        order = await ordered(authority)
        server.names = ["victim.example"]
        await authority.authorizations(order)

    with pytest.raises(BadResponse, match=r"victim\.example"):
        client(looked)


def test_an_invalid_order_says_why(server: FaultyAuthority, client: Run) -> None:
    server.after_finalize = "processing"
    server.order_error = {"type": faulty.ERROR + "caa", "detail": "CAA forbids it"}

    async def looked(authority: AcmeAuthority) -> None:
        order = await ordered(authority)
        server.status["order"] = "invalid"
        await authority.wait_order(order, DEADLINE)

    with pytest.raises(ProviderRefused) as caught:
        client(looked)
    assert "CAA forbids it" in caught.value.message
    assert caught.value.hint is not None
    assert "CAA" in caught.value.hint


def test_an_invalid_authorization_says_what_the_authority_saw(server: FaultyAuthority, client: Run) -> None:
    server.after_answer = "invalid"
    server.authorization_error = {"type": faulty.ERROR + "dns", "detail": "SERVFAIL looking up TXT"}
    with pytest.raises(ProviderRefused) as caught:
        client(issued)
    assert caught.value.details["type"] == "dns"
    assert "SERVFAIL" in caught.value.message


def test_finalizing_twice_gives_the_order_that_is_under_way(server: FaultyAuthority, client: Run) -> None:
    async def twice(authority: AcmeAuthority) -> str:
        order = await ordered(authority)
        server.status["order"] = "ready"
        csr = Keys().request(Keys().generate("ec-p256"), order.names)
        await authority.finalize(order, csr)
        return (await authority.finalize(order, csr)).status

    assert client(twice) == "valid"


def damaged(pem: str) -> dict[str, str]:
    leaf, root = (part + "-----END CERTIFICATE-----\n" for part in pem.split("-----END CERTIFICATE-----\n")[:2])
    return {
        "cut in the middle": pem[: len(leaf) // 2],
        "cut in the second": pem[: len(leaf) + 40],
        "without its end line": pem.rstrip()[:-5],
        "wrong order": root + leaf,
        "not base64": pem.replace("MII", "M!I"),
        "not DER": pem.replace("MII", "AAA"),
        "empty": "\n",
        "a page": "<html></html>",
        "unrelated certificates": leaf + leaf,
        "a private key": Keys().generate("ec-p256").get_secret_value(),
    }


@pytest.mark.parametrize("how", list(damaged("x" * 99 + "-----END CERTIFICATE-----\n" * 2)))
def test_a_damaged_chain_is_never_taken(how: str, server: FaultyAuthority, client: Run) -> None:
    good = client(issued)[0].pem
    server.pem = damaged(good)[how]
    with pytest.raises(BadResponse) as caught:
        client(issued)
    assert "PRIVATE" not in caught.value.message


def test_text_between_certificates_does_not_reach_the_chain_that_is_kept(server: FaultyAuthority, client: Run) -> None:
    good = client(issued)[0]
    noisy = "subject=x\n" + good.pem.replace("-----END CERTIFICATE-----\n", "-----END CERTIFICATE-----\r\n\nnoise\n", 1)
    assert chain_of(noisy, "https://ca.example/1").pem == good.pem


def test_an_alternate_chain_that_cannot_be_had_does_not_spoil_the_first(server: FaultyAuthority, client: Run) -> None:
    server.links = [f'<{server.base}/nowhere>;rel="alternate"', "<::bad::>; rel=alternate", '</x>;rel="up"']
    server.fail("nowhere", 404, b"gone", times=9)
    assert len(client(issued)) == 1
    assert server.came("nowhere") == 1
    assert server.came("x") == 0


# -- replaces, profiles, standing records ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [(409, "alreadyReplaced"), (409, "malformed"), (404, "malformed"), (400, "unauthorized")],
)
def test_an_order_that_is_refused_with_its_predecessor_is_placed_without(
    status: int, kind: str, server: FaultyAuthority, client: Run
) -> None:
    server.fail("new-order", status, problem(kind, "about replaces"))

    async def renewed(authority: AcmeAuthority) -> Order:
        return await authority.order(["example.com"], replaces="aki.serial")

    order = client(renewed)
    assert order.replaces is None
    assert "replaces" not in dict(server.payloads)["new-order"]


def test_a_refusal_of_the_name_is_not_tried_without_the_predecessor(server: FaultyAuthority, client: Run) -> None:
    server.fail("new-order", 403, problem("rejectedIdentifier"))

    async def renewed(authority: AcmeAuthority) -> Order:
        return await authority.order(["example.com"], replaces="aki.serial")

    with pytest.raises(ProviderRefused):
        client(renewed)
    assert server.came("new-order") == 1


def test_no_predecessor_is_named_where_there_is_no_renewal_information(server: FaultyAuthority, client: Run) -> None:
    server.directory_extra = {"renewalInfo": None}

    async def renewed(authority: AcmeAuthority) -> tuple[Order, object]:
        order = await authority.order(["example.com"], replaces="aki.serial")
        return order, await authority.renewal_info("aki.serial")

    order, info = client(renewed)
    assert (order.replaces, info) == (None, None)
    assert server.came("renewal-info") == 0


@pytest.mark.parametrize(
    "item",
    [
        {"issuer-domain-names": []},
        {"issuer-domain-names": ["ca.example"] * 11},
        {"issuer-domain-names": ["CA.example"]},
        {"issuer-domain-names": ["ca.example; policy=wildcard"]},
        {"issuer-domain-names": ["ca.example\nTXT"]},
        {"issuer-domain-names": "ca.example"},
        {"issuer-domain-names": ["ca.example", 7]},
        {"issuer-domain-names": ["ca.example"], "accounturi": "https://other.example/acct/1"},
        {"issuerDomainNames": ["ca.example"]},
        {},
    ],
    ids=json.dumps,
)
def test_a_malformed_standing_challenge_counts_as_not_offered(
    item: dict[str, Any], server: FaultyAuthority, client: Run
) -> None:
    server.challenges = [{"type": DNS_PERSIST_01, "url": server.base + "/challenge", "status": "pending", **item}]

    async def looked(authority: AcmeAuthority) -> object:
        return (await authority.authorizations(await ordered(authority)))[0].offered(DNS_PERSIST_01)

    assert client(looked) is None


def test_a_standing_record_may_name_any_issuer_that_is_offered(server: FaultyAuthority, client: Run) -> None:
    names = ["zz.example", "ca.example"]
    item = {
        "type": DNS_PERSIST_01,
        "url": server.base + "/challenge",
        "status": "pending",
        "issuer-domain-names": names,
    }
    server.challenges = [item]

    async def looked(authority: AcmeAuthority) -> tuple[str, tuple[str, ...]]:
        order = await authority.order(["example.com", "*.example.com"])
        found = [item.offered(DNS_PERSIST_01) for item in await authority.authorizations(order)]
        assert found[0] is not None
        assert found[1] is not None
        assert found[0].txt_value == found[1].txt_value  # one record serves the name and its wildcard
        return found[0].txt_value, found[0].also_accepted

    value, others = client(looked)
    account = f"{server.base}/account/1"
    assert value == f"ca.example; accounturi={account}; policy=wildcard"
    assert others == (f"zz.example; accounturi={account}; policy=wildcard",)


# -- renewal information -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"suggestedWindow": {}}',
        b'{"suggestedWindow": {"start": "yesterday", "end": "tomorrow"}}',
        b'{"suggestedWindow": {"start": "2026-01-01T00:00:00", "end": "2026-01-02T00:00:00"}}',
        b'{"suggestedWindow": {"start": "0001-01-01T00:00:00+23:00", "end": "2026-01-02T00:00:00Z"}}',
        b'{"suggestedWindow": {"start": 1, "end": 2}}',
    ],
    ids=lambda body: body.decode()[:60],
)
def test_renewal_information_that_cannot_be_read_is_an_error_not_a_time(
    body: bytes, server: FaultyAuthority, client: Run
) -> None:
    server.renewal = (200, {"Retry-After": "60"}, body)
    with pytest.raises(BadResponse):
        client(lambda authority: authority.renewal_info("aki.serial"))


def test_renewal_information_is_asked_for_once_and_without_a_signature(server: FaultyAuthority, client: Run) -> None:
    server.renewal = (503, {"Retry-After": "3600"}, b"")
    with pytest.raises(ProviderBusy) as caught:
        client(lambda authority: authority.renewal_info("aki.serial"))
    assert server.came("renewal-info") == 1
    assert caught.value.retryable
    assert "retry_at" in caught.value.details


@pytest.mark.parametrize("page", ["javascript:alert(1)", "https://ca.example/\u202e", "https://ca.example/\x1b[2J", 7])
def test_an_explanation_page_that_is_no_plain_web_address_is_left_out(
    page: object, server: FaultyAuthority, client: Run
) -> None:
    window = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
    data = {"suggestedWindow": window, "explanationURL": page}
    server.renewal = (200, {"Retry-After": "60"}, json.dumps(data).encode())
    assert client(lambda authority: authority.renewal_info("aki.serial")).explanation_url is None


# -- addresses and files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://ca.example/directory",
        "ftp://127.0.0.1/directory",
        "https://",
        "https://user:secret@ca.example/directory",
        "https://ca.example/dir ectory",
        "https://[::1/x",
        "https://ca.example:99999/",
        "directory",
        "",
    ],
)
def test_a_directory_is_https_or_on_this_machine(url: str, tmp_path: Path, clock: MemoryClock) -> None:
    with pytest.raises(UsageError):
        AcmeAuthority(url, tmp_path / "account.pem", clock=clock)


@pytest.mark.parametrize("url", ["http://ca.example/order", "gopher://x", "https://ex\u202eample/"])
def test_an_address_that_the_authority_names_is_held_to_the_same_rule(
    url: str, server: FaultyAuthority, client: Run
) -> None:
    server.directory_extra = {"newOrder": url}
    with pytest.raises(BadResponse, match="names an address"):
        client(ordered)


def test_an_authority_elsewhere_cannot_send_us_to_this_machine(tmp_path: Path, clock: MemoryClock) -> None:
    import httpx
    import respx

    with respx.mock:
        data = {
            "newNonce": "https://127.0.0.1/n",
            "newAccount": "https://127.0.0.1/a",
            "newOrder": "https://ca.example/o",
        }
        respx.get("https://ca.example/directory").respond(json=data)
        authority = AcmeAuthority(
            "https://ca.example/directory", tmp_path / "account.pem", clock=clock, http=httpx.AsyncClient()
        )
        with pytest.raises(BadResponse, match="names an address"):
            asyncio.run(authority.account(terms_agreed=True))


def test_a_key_file_that_others_can_read_is_refused(server: FaultyAuthority, client: Run, tmp_path: Path) -> None:
    client(ordered)
    path = tmp_path / "account.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(StateError) as caught:
        client(ordered)
    assert caught.value.hint == f"chmod 600 {path}"


@pytest.mark.parametrize(
    "content", [b"", b"garbage-secret-text", b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"]
)
def test_a_broken_key_file_is_named_and_never_replaced_nor_quoted(
    content: bytes, server: FaultyAuthority, client: Run, tmp_path: Path
) -> None:
    path = tmp_path / "account.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StateError) as caught:
        client(ordered)
    assert str(path) in caught.value.message
    assert "secret" not in caught.value.message
    assert caught.value.__cause__ is None
    assert path.read_bytes() == content


def test_runs_that_start_at_once_share_one_account(server: FaultyAuthority, clock: MemoryClock, tmp_path: Path) -> None:
    async def go() -> set[str]:
        authorities = [AcmeAuthority(server.directory, tmp_path / "account.pem", clock=clock) for _ in range(4)]
        accounts = await asyncio.gather(*(one.account(terms_agreed=True) for one in authorities))
        for one in authorities:
            await one.close()
        return {account.url for account in accounts}

    assert len(asyncio.run(go())) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"account.pem", "account.url"}


@pytest.mark.parametrize("key", ["", "not base64!", "ä" * 20])
def test_a_malformed_mac_key_is_rejected_and_not_shown(
    key: str, server: FaultyAuthority, clock: MemoryClock, tmp_path: Path
) -> None:
    external = ExternalAccount("kid", SecretStr(key))
    authority = AcmeAuthority(server.directory, tmp_path / "account.pem", clock=clock, external=external)
    with pytest.raises(CredentialsRejected) as caught:
        asyncio.run(authority.account(terms_agreed=True))
    assert not key or key not in caught.value.message


def test_the_account_is_noted_beside_its_key_and_stays_right_over_a_new_key(
    server: FaultyAuthority, client: Run, tmp_path: Path
) -> None:
    async def rolled(authority: AcmeAuthority) -> tuple[str, str]:
        first = await authority.account(terms_agreed=True)
        assert noted(tmp_path / "account.pem") == first.url
        return first.url, (await authority.roll_key()).url

    first, second = client(rolled)
    assert first == second == noted(tmp_path / "account.pem")
    assert client(lambda authority: authority.account(terms_agreed=True)).url == first  # by the key that is kept now


def test_the_account_key_is_in_no_log_nor_error_nor_repr(
    server: FaultyAuthority, client: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    seen: list[str] = []

    async def talked(authority: AcmeAuthority) -> None:
        seen.extend([repr(authority), repr(await authority._accounts.identity())])
        server.fail("new-order", 403, problem("malformed", "no"), times=9)
        try:
            await ordered(authority)
        except SophiaError as error:
            seen.extend([str(error), repr(error), json.dumps(error.details)])
        await authority.roll_key()

    client(talked)
    lines = (tmp_path / "account.pem").read_text().splitlines()[1:-1]
    for text in [*seen, caplog.text]:
        assert not [line for line in lines if line in text]
