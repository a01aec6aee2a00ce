"""What the client sends, and what it makes of each way of failing; the network is respx."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import traceback
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
import respx
from namecheap_client import (
    KEY,
    NAME,
    USER,
    A,
    Naps,
    Spent,
    credentials,
    failed,
    hosts_answer,
    ok,
    with_mock,
)

from sophia_cli.core import errors
from sophia_cli.core.errors import SophiaError
from sophia_cli.providers.namecheap.budget import Unlimited, WindowBudget
from sophia_cli.providers.namecheap.client import NamecheapClient
from sophia_cli.providers.namecheap.credentials import PRODUCTION, SANDBOX
from sophia_cli.providers.namecheap.transport import Backoff, RetryPolicy

SET_OK = ok(
    "domains.dns.setHosts",
    '<DomainDNSSetHostsResult Domain="example.com" IsSuccess="true"><Warnings /></DomainDNSSetHostsResult>',
)
RENEW_OK = ok(
    "domains.renew",
    '<DomainRenewResult DomainName="example.com" Renew="true" OrderID="1" TransactionID="2" ChargedAmount="12.9800">'
    "<DomainDetails><ExpiredDate>4/30/2031 11:31:13 AM</ExpiredDate></DomainDetails></DomainRenewResult>",
)
# Whole answers but for their DTD: a parser that obeys it reads rows.
HEAD, TAIL = hosts_answer().split(b"?>", 1)
BILLION = HEAD + b'?><!DOCTYPE l [<!ENTITY a "192.0.2.1"><!ENTITY b "&a;">]>' + TAIL.replace(b"192.0.2.1", b"&b;")
EXTERNAL = HEAD + b'?><!DOCTYPE l SYSTEM "http://127.0.0.1:1/x.dtd">' + TAIL


async def read(client: NamecheapClient) -> Any:
    return await client.hosts("example.com")


async def write(client: NamecheapClient) -> Any:
    return await client.set_hosts("example.com", "FWD", [A])


async def renew(client: NamecheapClient) -> Any:
    return await client.renew("example.com", 1)


def raised(work: Any, *answers: Any, **options: Any) -> tuple[SophiaError, int]:
    """The error that some work ends with, and how many requests it took."""
    with respx.mock() as mock:
        route = mock.post(PRODUCTION).mock(side_effect=[*answers, *[answers[-1]] * 20])
        with pytest.raises(SophiaError) as caught:
            with_mock(work, **options)
        return caught.value, route.call_count


def everything(error: BaseException) -> str:
    """All a user or a log could ever see of an error."""
    parts = ["".join(traceback.format_exception(error))]
    step: BaseException | None = error
    while step is not None:
        parts += [repr(step), str(step), repr(getattr(step, "details", "")), repr(getattr(step, "hint", ""))]
        step = step.__cause__ or step.__context__
    return "\n".join(parts)


def test_calls_are_posts_with_everything_in_the_body() -> None:
    with respx.mock() as mock:
        route = mock.post(PRODUCTION).respond(200, content=SET_OK)
        with_mock(write)
        request = route.calls[0].request
    sent = parse_qs(request.content.decode(), keep_blank_values=True)
    assert request.url.query == b""
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert sent == {
        "ApiUser": [USER],
        "ApiKey": [KEY],
        "UserName": [NAME],
        "ClientIp": ["203.0.113.7"],
        "Command": ["namecheap.domains.dns.setHosts"],
        "SLD": ["example"],
        "TLD": ["com"],
        "EmailType": ["FWD"],
        "HostName1": ["@"],
        "RecordType1": ["A"],
        "Address1": ["192.0.2.1"],
        "MXPref1": ["10"],
        "TTL1": ["1800"],
    }


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://evil.example/xml.response",
        "http://api.namecheap.com/xml.response",
        "https://api.namecheap.com/xml.response?x=1",
        "https://api.namecheap.com.evil.example/xml.response",
        "https://user:pass@127.0.0.1/xml.response",
        "http://127.0.0.1.evil.example/",
        "file:///etc/passwd",
        "http://10.0.0.1/",
        "http://[::1",
        "http://127.0.0.1:99999/",
        "",
    ],
)
def test_the_key_goes_nowhere_else(endpoint: str) -> None:
    with pytest.raises(errors.UsageError, match=r"namecheap\.endpoint") as caught:
        NamecheapClient(credentials(), endpoint)
    assert caught.value.exit_code == 64


@pytest.mark.parametrize(
    "endpoint", [PRODUCTION, SANDBOX, "http://127.0.0.1:8080/x", "https://[::1]/x", "http://localhost:1/"]
)
def test_known_endpoints_are_taken(endpoint: str) -> None:
    assert NamecheapClient(credentials(), endpoint).endpoint == endpoint


UNREADABLE = [
    httpx.Response(200, content=b"<!DOCTYPE html><html><body>Checking your browser</body></html>"),
    httpx.Response(200, content=b""),
    httpx.Response(200, content=b"   "),
    httpx.Response(200, content=hosts_answer()[:-30]),
    httpx.Response(200, content=hosts_answer()[: len(hosts_answer()) // 2]),
    httpx.Response(200, content=hosts_answer().replace(b'encoding="utf-8"', b'encoding="utf-16"')),
    httpx.Response(200, content=hosts_answer().replace(b'encoding="utf-8"', b'encoding="no-such"')),
    httpx.Response(200, content=hosts_answer().replace(b"192.0.2.1", b"\xff\xfe")),
    httpx.Response(200, content=hosts_answer().replace(b"namecheap.com/xml", b"namecheap.example/xml")),
    httpx.Response(200, content=ok("domains.dns.getHosts", "", namespace="urn:other")),
    httpx.Response(200, content=b'{"Status": "OK"}'),
    httpx.Response(200, content=b"<Other Status='OK'/>"),
    httpx.Response(200, content=hosts_answer().replace(b'Status="OK"', b"")),
    httpx.Response(200, content=hosts_answer().replace(b'Status="OK"', b'Status="ERROR"')),
    httpx.Response(200, content=hosts_answer().replace(b"dns.getHosts", b"dns.getList")),
    httpx.Response(200, content=BILLION),
    httpx.Response(200, content=EXTERNAL),
    httpx.Response(200, content=b"x", headers={"Content-Encoding": "gzip"}),
    httpx.Response(502, content=b"<html>bad gateway</html>"),
    httpx.Response(500, content=hosts_answer()),
    httpx.Response(403, content=b"forbidden"),
    httpx.Response(302, headers={"Location": "https://evil.example/"}),
    httpx.Response(204),
]


@pytest.mark.parametrize("answer", UNREADABLE)
def test_an_unreadable_answer_is_unknown_and_never_no_records(answer: httpx.Response) -> None:
    error, calls = raised(read, answer)
    assert type(error) is errors.BadResponse
    assert calls == 1
    error, calls = raised(write, answer)
    assert type(error) is errors.OutcomeUnknown
    assert calls == 1
    error, calls = raised(renew, answer)
    assert type(error) is errors.OutcomeUnknown
    assert calls == 1


@pytest.mark.parametrize(
    "answer",
    [
        SET_OK.replace(b' IsSuccess="true"', b""),
        SET_OK.replace(b'IsSuccess="true"', b'IsSuccess="perhaps"'),
        SET_OK.replace(b"example.com", b"other.com"),
        SET_OK.replace(b"DomainDNSSetHostsResult", b"SomethingElse"),
        SET_OK.replace(b"<Errors />", b'<Errors><Error Number="2050900">x</Error></Errors>'),
    ],
)
def test_a_write_that_does_not_say_that_it_was_done_is_unknown(answer: bytes) -> None:
    error, _ = raised(write, httpx.Response(200, content=answer))
    assert type(error) is errors.OutcomeUnknown


def test_a_write_that_says_it_was_not_done_is_refused() -> None:
    error, _ = raised(write, httpx.Response(200, content=SET_OK.replace(b'"true"', b'"false"')))
    assert type(error) is errors.ProviderRefused


@pytest.mark.parametrize("failure", [httpx.ReadTimeout, httpx.WriteTimeout, httpx.ReadError, httpx.RemoteProtocolError])
def test_a_lost_answer_is_retried_for_reads_and_unknown_for_writes(failure: type[httpx.TransportError]) -> None:
    error, calls = raised(read, failure("gone"))
    assert type(error) is errors.Unreachable
    assert calls == 4
    for work in (write, renew):
        error, calls = raised(work, failure("gone"))
        assert type(error) is errors.OutcomeUnknown
        assert calls == 1


@pytest.mark.parametrize("failure", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
def test_what_was_never_sent_is_unreachable_for_reads_and_writes(failure: type[httpx.TransportError]) -> None:
    for work, expected in ((read, 4), (write, 1), (renew, 1)):
        error, calls = raised(work, failure("no route"))
        assert type(error) is errors.Unreachable
        assert calls == expected


NUMBERS: list[tuple[int, type[SophiaError], type[SophiaError]]] = [
    (1011150, errors.AddressNotAllowed, errors.AddressNotAllowed),
    (1017150, errors.AddressNotAllowed, errors.AddressNotAllowed),
    *[
        (number, errors.CredentialsRejected, errors.CredentialsRejected)
        for number in (
            1010101,
            1010102,
            1011102,
            1011105,
            1016103,
            1017101,
            1017103,
            1017410,
            1017411,
            1019103,
            1030408,
        )
    ],
    (500000, errors.RateLimited, errors.RateLimited),
    (3050750, errors.ProviderBusy, errors.ProviderBusy),
    (1050900, errors.ProviderBusy, errors.ProviderBusy),
    (2030288, errors.NotUsingProviderDNS, errors.NotUsingProviderDNS),
    (2019166, errors.NotInAccount, errors.NotInAccount),
    (2016166, errors.NotInAccount, errors.NotInAccount),
    (2030166, errors.NotInAccount, errors.NotInAccount),
    (2050900, errors.ProviderRefused, errors.ProviderRefused),
    (3013288, errors.ProviderRefused, errors.ProviderRefused),
    (4711, errors.ProviderRefused, errors.ProviderRefused),
    (5050900, errors.ProviderBusy, errors.OutcomeUnknown),
    (3050900, errors.ProviderBusy, errors.OutcomeUnknown),
    (4022288, errors.ProviderBusy, errors.OutcomeUnknown),
    (5999999, errors.ProviderRefused, errors.OutcomeUnknown),
]


@pytest.mark.parametrize(("number", "for_read", "for_write"), NUMBERS)
def test_each_number_has_its_error(number: int, for_read: type[SophiaError], for_write: type[SophiaError]) -> None:
    answer = httpx.Response(200, content=failed((number, "some text")))
    for work, expected in ((read, for_read), (write, for_write)):
        error, _ = raised(work, answer)
        assert type(error) is expected
        assert error.details["number"] == number
        assert error.hint


def test_the_address_that_the_api_saw_is_named_and_where_to_add_it() -> None:
    error, _ = raised(read, httpx.Response(200, content=failed((1011150, "Invalid request IP: 198.51.100.9"))))
    assert error.exit_code == 4
    assert error.details["address"] == "198.51.100.9"
    assert "198.51.100.9" in (error.hint or "")
    assert "Whitelisted IPs" in (error.hint or "")


def test_validation_text_makes_5050900_a_refusal() -> None:
    answer = httpx.Response(200, content=failed((5050900, "INVALID_NAME: NS record can't be set up")))
    for work in (read, write):
        error, calls = raised(work, answer)
        assert type(error) is errors.ProviderRefused
        assert calls == 1


def test_all_errors_of_an_answer_are_kept_and_the_gravest_speaks() -> None:
    answer = httpx.Response(200, content=failed((2050900, "first"), (1011102, "second"), (4711, "third")))
    error, _ = raised(write, answer)
    assert type(error) is errors.CredentialsRejected
    assert [item["number"] for item in error.details["errors"]] == [2050900, 1011102, 4711]
    error, _ = raised(write, httpx.Response(200, content=failed((2050900, "a"), (5050900, "b"))))
    assert type(error) is errors.OutcomeUnknown


RATE = [httpx.Response(405, content=b"Method Not Allowed"), httpx.Response(200, content=failed((500000, "Too many")))]


@pytest.mark.parametrize("answer", RATE)
def test_rate_limits_are_waited_out(answer: httpx.Response) -> None:
    for work, done in ((read, hosts_answer()), (write, SET_OK)):
        naps, budget = Naps(), Spent()
        with respx.mock() as mock:
            route = mock.post(PRODUCTION).mock(side_effect=[answer, answer, httpx.Response(200, content=done)])
            with_mock(work, sleep=naps, budget=budget)
            assert route.call_count == budget.calls == 3
        assert naps == [5.0, 10.0]


def test_a_renewal_is_repeated_after_405_only() -> None:
    with respx.mock() as mock:
        route = mock.post(PRODUCTION).mock(side_effect=[RATE[0], httpx.Response(200, content=RENEW_OK)])
        assert str(with_mock(renew).charged) == "12.9800"
        assert route.call_count == 2
    error, calls = raised(renew, RATE[1])
    assert (type(error), calls) == (errors.RateLimited, 1)
    for number in (3050750, 5050900, 4023166, 2528166):
        error, calls = raised(renew, httpx.Response(200, content=failed((number, "x"))))
        assert (type(error), calls) == (errors.OutcomeUnknown, 1)


def test_overload_is_waited_out_for_reads_and_set_hosts_only() -> None:
    busy = httpx.Response(200, content=failed((3050750, "The agent is stopped")))
    for work in (read, write):
        error, calls = raised(work, busy)
        assert (type(error), calls) == (errors.ProviderBusy, 5)

    async def set_default(client: NamecheapClient) -> None:
        await client.set_default("example.com")

    error, calls = raised(set_default, busy)
    assert (type(error), calls) == (errors.ProviderBusy, 1)


def test_retries_end_by_count_and_by_time() -> None:
    naps = Naps()
    error, calls = raised(read, RATE[0], sleep=naps)
    assert (type(error), calls) == (errors.RateLimited, 6)
    assert sum(naps) <= 120
    policy = RetryPolicy(rate_limited=Backoff(5.0, 30.0, 100), total_s=40.0)
    naps = Naps()
    _, calls = raised(read, RATE[0], sleep=naps, retry=policy)
    assert naps == [5.0, 10.0, 20.0]
    assert calls == 4


def test_jitter_shortens_a_pause_by_half_at_the_most() -> None:
    naps = Naps()
    raised(read, RATE[0], sleep=naps, jitter=lambda: 1.0)
    assert naps == [2.5, 5.0, 10.0, 15.0, 15.0]


HOSTILE = f"key {KEY} user {USER} name {NAME} \x1b[31mred\u202e {'x' * 500}".replace("\x1b", "&#9;")


@pytest.mark.parametrize("number", [number for number, _, _ in NUMBERS])
def test_no_secret_is_in_any_error(number: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for work in (read, write, renew):
        error, _ = raised(work, httpx.Response(200, content=failed((number, HOSTILE))))
        seen = everything(error) + caplog.text
        assert not [secret for secret in (KEY, USER, NAME) if secret in seen]
        assert "\u202e" not in str(error)
        assert len(str(error)) < 500


@pytest.mark.parametrize("answer", [*UNREADABLE, httpx.ReadTimeout("x"), httpx.ConnectError("x"), RATE[0]])
def test_no_secret_is_in_any_other_error(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    if isinstance(answer, httpx.Response):
        answer = httpx.Response(answer.status_code, content=answer.content + f" {KEY} {USER} {NAME}".encode())
    for work in (read, write):
        error, _ = raised(work, answer)
        seen = everything(error) + caplog.text
        assert not [secret for secret in (KEY, USER, NAME) if secret in seen]


def test_no_secret_is_in_any_repr() -> None:
    client = NamecheapClient(credentials(), PRODUCTION)
    seen = repr(client) + repr(credentials()) + str(credentials()) + repr(vars(client))
    assert not [secret for secret in (KEY, USER, NAME) if secret in seen]


def test_the_budget_queues_callers_behind_each_other() -> None:
    now, naps = 0.0, Naps()
    budget = WindowBudget(((2, 60.0), (3, 3600.0)), clock=lambda: now, sleep=naps, max_wait_s=70)
    asyncio.run(budget.spend())
    asyncio.run(budget.spend())
    assert naps == []
    asyncio.run(budget.spend())
    assert naps == [60.0]
    with pytest.raises(errors.RateLimited) as caught:
        asyncio.run(budget.spend())
    assert caught.value.details["wait_s"] == 3600
    now = 3601.0
    asyncio.run(budget.spend())
    assert naps == [60.0]


def test_the_third_caller_waits_behind_the_second() -> None:
    naps = Naps()
    budget = WindowBudget(((1, 60.0),), clock=lambda: 0.0, sleep=naps)
    for _ in range(3):
        asyncio.run(budget.spend())
    assert naps == [60.0, 120.0]


def test_the_budget_is_on_for_namecheap_and_off_for_loopback() -> None:
    far = NamecheapClient(credentials(), PRODUCTION)
    near = NamecheapClient(credentials(), "http://127.0.0.1:1/")
    assert type(far._transport._budget) is WindowBudget
    assert type(near._transport._budget) is Unlimited


def test_a_spent_budget_is_not_waited_for_twice() -> None:
    naps = Naps()
    budget = WindowBudget(((1, 86400.0),), clock=lambda: 0.0, sleep=naps)

    async def twice(client: NamecheapClient) -> None:
        await client.hosts("example.com")
        await client.hosts("example.com")

    error, calls = raised(twice, httpx.Response(200, content=hosts_answer()), budget=budget, sleep=naps)
    assert (type(error), calls, naps) == (errors.RateLimited, 1, [])


def test_importing_the_client_does_not_load_httpx() -> None:
    script = "import sys, sophia_cli.providers.namecheap.client; sys.exit('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
