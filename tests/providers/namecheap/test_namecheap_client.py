"""The client against the real sandbox: every command, every fault, every switch."""

from __future__ import annotations

import asyncio
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from namecheap_client import A, Naps, of_box, row, with_box
from pydantic import SecretStr

from sophia_cli import sandbox
from sophia_cli.core import errors
from sophia_cli.providers.namecheap.client import NamecheapClient
from sophia_cli.providers.namecheap.credentials import Credentials
from sophia_cli.providers.namecheap.values import Forward, HostRow, Hosts
from sophia_cli.sandbox import Sandbox
from sophia_cli.sandbox.account import POSITIONS, Account, Certificate, new_domain

B = row("b", "A", "192.0.2.2", 300)


async def read(client: NamecheapClient) -> Hosts:
    return await client.hosts("example.com")


async def write(client: NamecheapClient) -> Any:
    return await client.set_hosts("example.com", "FWD", [A, B])


def bare(hosts: Hosts) -> list[HostRow]:
    return [HostRow("", item.name, item.type, item.address, item.mx_pref, item.ttl) for item in hosts.rows]


def stored(data: Path) -> list[str]:
    domain = sandbox.peek(data, "example.com")
    assert domain is not None
    return [item.address for item in domain.rows]


def test_rows_are_written_and_read_back(box: Sandbox) -> None:
    async def work(client: NamecheapClient) -> Hosts:
        assert await client.set_hosts("example.com", "FWD", [A, B]) == ()
        return await client.hosts("example.com")

    hosts = with_box(box, work)
    assert bare(hosts) == [A, B]
    assert (hosts.email_type, hosts.is_using_our_dns) == ("FWD", True)


def test_an_empty_set_is_written_when_it_is_meant(box: Sandbox) -> None:
    async def work(client: NamecheapClient) -> Hosts:
        await client.set_hosts("example.com", "FWD", [], allow_empty=True)
        return await client.hosts("example.com")

    assert with_box(box, work).rows == ()


def test_every_command_is_spoken(box: Sandbox, data: Path) -> None:
    def certified(account: Any) -> Any:
        from dataclasses import replace

        item = Certificate(9, "example.com", "Standard SSL", "active", date(2026, 1, 1), date(2027, 1, 1), body="PEM")
        return replace(account, certificates=(item,)), None

    sandbox.seed(data, "zzz.co.uk", rows=[("@", "A", "192.0.2.1")])
    box._backend.data.update(certified)

    async def work(client: NamecheapClient) -> None:
        assert [item.name for item in await client.domains()] == ["example.com", "zzz.co.uk"]
        assert await client.registered("zzz.co.uk") == "zzz.co.uk"
        assert len((await client.hosts("zzz.co.uk")).rows) == 1
        info = await client.info("example.com")
        assert (info.host_count, info.email_type, info.can_edit_hosts, info.provider_type) == (2, "FWD", True, "FREE")
        free = await client.check(["example.com", *(f"free{number}.com" for number in range(55))])
        assert [item.available for item in free] == [False] + [True] * 55
        assert any(item.name == "co.uk" and item.register_years == (1, 10) for item in await client.tlds())
        before = await client.balances()
        renewal = await client.renew("example.com", 1)
        assert (await client.balances()).available == before.available - renewal.charged
        assert renewal.expires is not None
        (price, *_) = await client.pricing("DOMAIN", action="RENEW", product="COM")
        assert price.total == renewal.charged
        assert price.promotion_price is None
        assert await client.pricing("DOMAIN", action="RENEW", product="NOPE") == ()
        await client.set_email_forwarding("example.com", [Forward("*", "me@x.example")])
        assert await client.email_forwarding("example.com") == (Forward("*", "me@x.example"),)
        await client.set_email_forwarding("example.com", [])
        assert await client.email_forwarding("example.com") == ()
        await client.set_registrar_lock("example.com", True)
        assert await client.registrar_lock("example.com") is True
        (listed,) = await client.certificates()
        assert (listed.id, listed.status) == ("9", "active")
        assert (await client.certificate("9")).certificate == "PEM"
        await client.set_custom("example.com", ["NS1.x.com.", "ns2.x.com"])
        assert (await client.nameservers("example.com")).hosts == ("ns1.x.com", "ns2.x.com")
        with pytest.raises(errors.NotUsingProviderDNS):
            await client.hosts("example.com")
        await client.set_default("example.com")
        assert (await client.nameservers("example.com")).is_using_our_dns

    with_box(box, work)


def test_all_pages_of_a_long_list_are_read(box: Sandbox) -> None:
    sandbox_names = [f"d{number:03}.com" for number in range(230)]
    from sophia_cli.sandbox import _register

    _register(box._backend, sandbox_names)
    found = with_box(box, lambda client: client.domains())
    assert [item.name for item in found] == [*sandbox_names, "example.com"]


# What each fault is for a read and for a write, and whether the write is then there.
FAULTS: list[tuple[str, type[Exception] | None, type[Exception] | None, bool]] = [
    ("timeout_before", errors.Unreachable, errors.OutcomeUnknown, False),
    ("timeout_after", errors.Unreachable, errors.OutcomeUnknown, True),
    ("drop_before", errors.Unreachable, errors.OutcomeUnknown, False),
    ("drop_after", errors.Unreachable, errors.OutcomeUnknown, True),
    ("http_405", errors.RateLimited, errors.RateLimited, False),
    ("error_500000", errors.RateLimited, errors.RateLimited, False),
    ("error_3050750", errors.ProviderBusy, errors.ProviderBusy, False),
    ("error_5050900", errors.ProviderBusy, errors.OutcomeUnknown, False),
    ("html_200", errors.BadResponse, errors.OutcomeUnknown, False),
    ("html_5xx", errors.BadResponse, errors.OutcomeUnknown, False),
    ("empty", errors.BadResponse, errors.OutcomeUnknown, True),
    ("truncated", errors.BadResponse, errors.OutcomeUnknown, True),
    ("wrong_namespace", errors.BadResponse, errors.OutcomeUnknown, True),
    ("wrong_encoding", errors.BadResponse, errors.OutcomeUnknown, True),
    ("email_type_missing", errors.IncompleteRead, None, True),
    ("latency", None, None, True),
    ("stale_read", None, None, True),
    ("rows_reordered", None, None, True),
]


@pytest.mark.parametrize(("kind", "for_read", "for_write", "is_written"), FAULTS)
def test_each_fault_has_its_error(
    box: Sandbox, data: Path, kind: str, for_read: Any, for_write: Any, is_written: bool
) -> None:
    seconds = 0.02
    for work, expected in ((read, for_read), (write, for_write)):
        box.fault(kind, command="*", count=None, seconds=seconds)
        if expected is None:
            with_box(box, work)
        else:
            with pytest.raises(expected) as caught:
                with_box(box, work)
            assert type(caught.value) is expected
        box.control(clear=True)
    assert (stored(data) == ["192.0.2.1", "192.0.2.2"]) is is_written


@pytest.mark.parametrize("kind", ["http_405", "error_500000", "error_3050750"])
def test_what_passes_is_waited_out(box: Sandbox, data: Path, kind: str) -> None:
    naps = Naps()
    for work in (read, write):
        box.fault(kind, count=1)
        with_box(box, work, sleep=naps)
    assert len(naps) == 2
    assert stored(data) == ["192.0.2.1", "192.0.2.2"]


@pytest.mark.parametrize("kind", ["drop_before", "timeout_before"])
def test_a_lost_read_is_repeated(box: Sandbox, kind: str) -> None:
    box.fault(kind, count=1, seconds=0.02)
    assert len(with_box(box, read).rows) == 2
    assert box.calls() == ["getHosts", "getHosts"]


def test_a_slow_answer_ends_at_the_time_limit(box: Sandbox, data: Path) -> None:
    box.fault("timeout_after", command="setHosts")
    with pytest.raises(errors.OutcomeUnknown, match="no answer in time"):
        with_box(box, write, timeout_s=1.0)
    end = time.monotonic() + 20  # on a busy machine the server may still be at it
    while stored(data) != ["192.0.2.1", "192.0.2.2"]:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_nobody_listening_is_unreachable(box: Sandbox) -> None:
    async def go() -> None:
        async with NamecheapClient(of_box(box), "http://127.0.0.1:1/xml.response", sleep=Naps()) as client:
            await write(client)

    with pytest.raises(errors.Unreachable):
        asyncio.run(go())


def test_a_wrong_key_and_a_foreign_address_end_with_exit_4(box: Sandbox) -> None:
    async def go() -> None:
        wrong = Credentials(SecretStr(box.api_user), SecretStr("wrong-key"), SecretStr(box.username), "127.0.0.1")
        async with NamecheapClient(wrong, box.endpoint) as client:
            await read(client)

    with pytest.raises(errors.CredentialsRejected) as rejected:
        asyncio.run(go())
    box.switch(whitelist=["203.0.113.1"])
    with pytest.raises(errors.AddressNotAllowed) as refused:
        with_box(box, read)
    assert rejected.value.exit_code == refused.value.exit_code == 4
    assert refused.value.details["address"] == "127.0.0.1"
    assert box.api_key not in repr(refused.value) + str(refused.value.details)


def test_limits_of_the_server_are_waited_out(box: Sandbox) -> None:
    for position in ("on", "legacy"):
        box.switch(limits=position, limit_minute=2)

        async def three(client: NamecheapClient) -> None:
            for _ in range(3):
                await read(client)

        class Passing(Naps):
            async def __call__(self, seconds: float) -> None:
                self.append(seconds)
                box.control(advance_s=61)

        naps = Passing()
        with_box(box, three, sleep=naps)
        assert naps == [5.0]
        box.control(advance_s=61)


def test_foreign_domains_are_not_in_the_account(box: Sandbox, data: Path) -> None:
    sandbox.seed(data, "foreign.com", owner="somebody", rows=[("@", "A", "192.0.2.1")])
    for work in (
        lambda client: client.hosts("foreign.com"),
        lambda client: client.info("foreign.com"),
        lambda client: client.set_hosts("foreign.com", "FWD", [A]),
        lambda client: client.registered("foreign.com"),
    ):
        with pytest.raises(errors.NotInAccount):
            with_box(box, work)


@pytest.mark.parametrize(
    ("switch", "position"), [(name, position) for name, positions in POSITIONS.items() for position in positions]
)
def test_the_client_reads_and_writes_under_every_switch(box: Sandbox, data: Path, switch: str, position: str) -> None:
    sandbox.seed(
        data, "bücher.example", email_type="MX", rows=[("@", "MX", "m.x.net.", 300, 20), ("@", "A", "192.0.2.1")]
    )
    box.switch(**{switch: position})

    async def work(client: NamecheapClient) -> tuple[Hosts, Hosts]:
        name = await client.registered("bücher.example")
        before = await client.hosts(name)
        await client.set_hosts(name, before.email_type, [*before.rows, B])
        return before, await client.hosts(name)

    before, after = with_box(box, work)
    assert after.email_type == "MX"
    assert {item.key for item in after.zone().records} == {item.key for item in before.zone().records} | {
        ("b", "A", "192.0.2.2")
    }


NAMES = st.from_regex(r"\A(@|\*|[a-z0-9_]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z0-9]{1,8})?)\Z")
TTLS = st.integers(60, 60000)
TEXTS = st.text(
    st.characters(min_codepoint=32, exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), min_size=1
).filter(lambda text: text.strip())
HOSTILE = st.sampled_from(
    [
        "a+b&c%d;e=f<g>",
        "]]>",
        "&amp;",
        "&#x41;",
        '" onload="x',
        "'",
        "\\",
        "\u202e\u200b",
        "%00%0a",
        "<!DOCTYPE x>",
        " lead and trail ",
        "v=DKIM1; p=" + "A" * 2000,
    ]
)
ROWS = st.one_of(
    st.builds(row, NAMES, st.just("TXT"), st.one_of(TEXTS, HOSTILE), TTLS),
    st.builds(row, NAMES, st.just("A"), st.ip_addresses(v=4).map(str), TTLS),
    st.builds(row, NAMES, st.just("AAAA"), st.ip_addresses(v=6).map(str), TTLS),
    st.builds(row, NAMES, st.just("CNAME"), st.from_regex(r"\A[a-z]{1,9}\.example\.net\.\Z"), TTLS),
    st.builds(row, NAMES, st.just("MX"), st.from_regex(r"\A[a-z]{1,9}\.example\.net\.\Z"), TTLS, st.integers(0, 65535)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROWS, min_size=1, max_size=12, unique_by=lambda item: (item.name, item.type, item.address)))
def test_what_is_read_can_be_written_back_and_nothing_changes(box: Sandbox, rows: list[HostRow]) -> None:
    # The server keeps the preference of a row that was there before, so each example begins anew.
    async def work(client: NamecheapClient) -> tuple[Hosts, Hosts]:
        await client.set_hosts("example.com", "MX", [], allow_empty=True)
        await client.set_hosts("example.com", "MX", rows)
        first = await client.hosts("example.com")
        await client.set_hosts("example.com", first.email_type, first.rows)
        return first, await client.hosts("example.com")

    first, second = with_box(box, work)
    assert first == second
    assert sorted(bare(first), key=repr) == sorted(rows, key=repr)


def test_a_few_names_of_a_large_account_are_searched_for_and_many_are_listed(box: Sandbox, data: Path) -> None:
    """The account allows twenty calls a minute, and ten pages for one name would be half of them."""
    names = [f"shop-{number:03}.com" for number in range(500)]

    def bought(account: Account) -> tuple[Account, None]:
        for name in names:
            account = new_domain(account, name, date(2026, 1, 1))
        return account, None

    box._backend.data.update(bought)

    async def look(client: NamecheapClient) -> list[int]:
        calls = []
        for name in (names[0], names[450], names[450], names[300]):
            assert await client.registered(name) == name
            calls.append(client.calls)
        assert [await client.registered(name) for name in names] == names
        with pytest.raises(errors.NotInAccount, match="hop-300"):
            await client.registered("hop-300.com")  # a part of a name that the search does find
        return [*calls, client.calls]

    # The first page; a search; known by now; a search; a third one, then the list (six pages); and once more for the absent.
    assert with_box(box, look) == [1, 2, 2, 3, 3 + 1 + 6 + 6]
