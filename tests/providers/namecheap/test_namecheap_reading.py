"""Answers to values: what must be there, what may be absent, and what is never guessed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest
import respx
from namecheap_client import HOST, Naps, failed, hosts_answer, ok, with_mock
from pydantic import SecretStr

from sophia_cli.core import errors
from sophia_cli.core.dns import Record
from sophia_cli.core.settings import Namecheap
from sophia_cli.providers.namecheap.client import NamecheapClient
from sophia_cli.providers.namecheap.client_ip import client_ip, context
from sophia_cli.providers.namecheap.credentials import PRODUCTION, SANDBOX, credentials_of, endpoint_of
from sophia_cli.providers.namecheap.values import Forward, HostRow


async def read(client: NamecheapClient) -> Any:
    return await client.hosts("Example.COM.")


def told(work: Any, *bodies: bytes) -> Any:
    """What some work gives when these are the answers."""
    with respx.mock() as mock:
        mock.post(PRODUCTION).mock(side_effect=[httpx.Response(200, content=body) for body in bodies])
        return with_mock(work)


def test_hosts_are_read_whole() -> None:
    rows = (
        '<host HostId="7" Name="@" Type="mx" Address="mail.example.com." MXPref="20" TTL="300" '
        'AssociatedAppTitle="a" FriendlyName="f" IsActive="false" IsDDNSEnabled="true" />'
        '<Host HostId="8" Name="t" Type="TXT" Address="a&quot;b &amp; &lt;c&gt;" MXPref="10" TTL="60" />'
    )
    hosts = told(read, hosts_answer(rows, attributes='EmailType="MX" IsUsingOurDNS="true"'))
    assert hosts.rows == (
        HostRow("7", "@", "MX", "mail.example.com.", 20, 300, False, True, "a", "f"),
        HostRow("8", "t", "TXT", 'a"b & <c>', 10, 60),
    )
    zone = hosts.zone()
    assert (zone.name, zone.email_type) == ("example.com", "MX")
    assert zone.at("@", "MX") == (Record("@", "MX", "mail.example.com.", 300, 20),)
    assert HostRow.of(zone.at("@", "MX")[0]) == HostRow("", "@", "MX", "mail.example.com.", 20, 300)


def test_an_answer_without_a_namespace_is_read_as_the_documentation_shows_it() -> None:
    body = hosts_answer().replace(b' xmlns="http://api.namecheap.com/xml.response"', b"")
    assert len(told(read, body).rows) == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (hosts_answer(attributes='IsUsingOurDNS="true"'), errors.IncompleteRead),
        (hosts_answer(attributes='EmailType="" IsUsingOurDNS="true"'), errors.IncompleteRead),
        (hosts_answer(attributes='EmailType="FWD"'), errors.BadResponse),
        (hosts_answer(HOST.replace('"1800"', '"soon"')), errors.BadResponse),
        (hosts_answer(HOST.replace('"1800"', '"-5"')), errors.BadResponse),
        (hosts_answer(HOST.replace(' TTL="1800"', "")), errors.BadResponse),
        (hosts_answer(HOST.replace('MXPref="10"', 'MXPref="ten"')), errors.BadResponse),
        (hosts_answer(HOST.replace(' Name="@"', "")), errors.BadResponse),
        (hosts_answer(HOST.replace(' Type="A"', "")), errors.BadResponse),
        (hosts_answer(HOST.replace(' Address="192.0.2.1"', "")), errors.BadResponse),
        (hosts_answer(HOST.replace('IsActive="true"', 'IsActive="maybe"')), errors.BadResponse),
        (hosts_answer(HOST.replace("<host", "<record")), errors.BadResponse),
        (hosts_answer(HOST.replace("<host", '<host xmlns="urn:x"')), errors.BadResponse),
        (hosts_answer().replace(b'Domain="example.com"', b'Domain="other.com"'), errors.BadResponse),
        (ok("domains.dns.getHosts", ""), errors.BadResponse),
        (
            hosts_answer().replace(b"<CommandResponse", b"<CommandResponse /><CommandResponse"),
            errors.BadResponse,
        ),
    ],
)
def test_half_an_answer_is_an_error(body: bytes, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught:
        told(read, body)
    assert type(caught.value) is expected


def listing(names: list[str], total: int | None, page: int = 1) -> bytes:
    rows = "".join(f'<Domain ID="1" Name="{name}" Created="02/30/2020" Expires="1/2/2031" />' for name in names)
    paging = f"<Paging><TotalItems>{total}</TotalItems><CurrentPage>{page}</CurrentPage></Paging>"
    result = f"<DomainGetListResult>{rows}</DomainGetListResult>" + (paging if total is not None else "")
    return ok("domains.getList", result)


async def domains(client: NamecheapClient) -> Any:
    return await client.domains()


def test_all_pages_are_read() -> None:
    first = [f"a{number}.com" for number in range(100)]
    found = told(domains, listing(first, 101), listing(["z.com"], 101, 2))
    assert [item.name for item in found] == [*first, "z.com"]
    assert found[-1].created is None
    assert found[-1].expires.isoformat() == "2031-01-02"


def test_a_server_that_repeats_its_last_page_does_not_make_it_spin() -> None:
    with pytest.raises(errors.IncompleteRead):
        told(domains, listing(["a.com"], 2), listing(["a.com"], 2))
    assert [item.name for item in told(domains, listing(["a.com"], None))] == ["a.com"]


def test_an_empty_page_before_the_total_is_an_incomplete_list() -> None:
    with pytest.raises(errors.IncompleteRead) as caught:
        told(domains, listing([f"a{number}.com" for number in range(100)], 150), listing([], 150))
    assert caught.value.details["announced"] == 150


def test_the_registered_name_is_an_exact_match() -> None:
    owned = listing(["example.com", "xn--bcher-kva.example", "shop-example.com"], 3)
    for asked, expected in (("EXAMPLE.com.", "example.com"), ("bücher.example", "xn--bcher-kva.example")):
        assert told(lambda client, asked=asked: client.registered(asked), owned) == expected
    for asked, hint in (
        ("ample.com", "the account holds 3 domains"),
        ("api.example.com", "example.com is in the account"),
        ("notexample.com", "the account holds 3 domains"),
    ):
        with pytest.raises(errors.NotInAccount, match=asked) as caught:
            told(lambda client, asked=asked: client.registered(asked), owned)
        assert hint in (caught.value.hint or "")


def test_a_registered_name_is_looked_up_once() -> None:
    async def twice(client: NamecheapClient) -> int:
        await client.registered("example.com")
        await client.registered("example.com")
        return client.calls

    assert told(twice, listing(["example.com"], 1)) == 1


@pytest.mark.parametrize("name", ["", "com", "a..com", ".com", "x" * 70 + "ü.com"])
def test_what_is_no_domain_name_is_not_sent(name: str) -> None:
    with pytest.raises(errors.UsageError):
        with_mock(lambda client: client.hosts(name))


def test_an_empty_set_and_a_missing_mode_are_not_sent() -> None:
    with pytest.raises(errors.UsageError, match="every record"):
        with_mock(lambda client: client.set_hosts("example.com", "FWD", []))
    with pytest.raises(errors.UsageError, match="e-mail type"):
        with_mock(lambda client: client.set_hosts("example.com", "", [], allow_empty=True))


INFO = (
    '<DomainGetInfoResult Status="Ok" ID="1" DomainName="example.com" OwnerName="me" IsOwner="{owner}">'
    "<DomainDetails><CreatedDate>05/20/2020</CreatedDate><ExpiredDate>05/20/2031</ExpiredDate></DomainDetails>"
    '<DnsDetails ProviderType="FREE" IsUsingOurDNS="true" HostCount="{count}" EmailType="{mode}">'
    "<Nameserver>DNS1.registrar-servers.com</Nameserver></DnsDetails>"
    '<Modificationrights All="{all}">{rights}</Modificationrights></DomainGetInfoResult>'
)


def test_info_is_read() -> None:
    body = ok("domains.getInfo", INFO.format(owner="true", count=3, mode="No Email Service", all="true", rights=""))
    info = told(lambda client: client.info("example.com"), body)
    assert (info.host_count, info.email_type, info.nameservers) == (3, "NONE", ("dns1.registrar-servers.com",))
    assert info.can_edit_hosts
    assert info.expires.year == 2031
    shared = INFO.format(owner="false", count=3, mode="FWD", all="false", rights='<Rights Type="hosts">OK</Rights>')
    info = told(lambda client: client.info("example.com"), ok("domains.getInfo", shared))
    assert not info.is_owner
    assert info.can_edit_hosts
    assert not told(
        lambda client: client.info("example.com"), ok("domains.getInfo", shared.replace(">OK<", ">NO<"))
    ).can_edit_hosts
    with pytest.raises(errors.BadResponse):
        told(lambda client: client.info("example.com"), ok("domains.getInfo", shared.replace('"3"', '"x"')))


def test_free_dns_domains_are_looked_up_by_info() -> None:
    body = INFO.format(owner="true", count=0, mode="FWD", all="true", rights="").replace("FREE", "FreeDNS")
    found = told(
        lambda client: client.nameservers("example.com"),
        failed((2019166, "Domain not found")),
        ok("domains.getInfo", body),
    )
    assert found.is_free_dns
    assert found.hosts == ("dns1.registrar-servers.com",)


def test_money_is_decimal_and_nonsense_is_not_money() -> None:
    row = (
        '<UserGetBalancesResult Currency="USD" AvailableBalance="4932.96" AccountBalance="4932.96" EarnedAmount="0.1" '
        'WithdrawableAmount="0" FundsRequiredForAutoRenew="0.00" />'
    )
    assert told(lambda client: client.balances(), ok("users.getBalances", row)).available == Decimal("4932.96")
    for bad in ("", "NaN", "1,5", "Infinity"):
        with pytest.raises(errors.BadResponse):
            told(lambda client: client.balances(), ok("users.getBalances", row.replace("0.1", bad)))


def test_both_forms_of_forwarding_are_read() -> None:
    result = (
        '<DomainDNSGetEmailForwardingResult Domain="example.com"><Forward mailbox="a">a@x.example</Forward>'
        '<Forward mailbox="b" ForwardTo="b@x.example" /></DomainDNSGetEmailForwardingResult>'
    )
    found = told(lambda client: client.email_forwarding("example.com"), ok("domains.dns.getEmailForwarding", result))
    assert found == (Forward("a", "a@x.example"), Forward("b", "b@x.example"))


def test_delegation_is_checked_before_it_is_sent() -> None:
    for servers in (["ns1.x.com"], ["192.0.2.1", "192.0.2.2"], [f"ns{n}." + "x" * 60 + ".com" for n in range(40)]):
        with pytest.raises(errors.UsageError):
            with_mock(lambda client, servers=servers: client.set_custom("example.com", servers))


def test_warnings_of_a_write_are_escaped() -> None:
    result = (
        '<DomainDNSSetHostsResult Domain="example.com" IsSuccess="true"><Warnings><Warning>mind\u202e this</Warning>'
        "</Warnings></DomainDNSSetHostsResult>"
    )
    row = HostRow("", "@", "A", "192.0.2.1")
    found = told(lambda client: client.set_hosts("example.com", "FWD", [row]), ok("domains.dns.setHosts", result))
    assert found == ("'mind\\u202e this'",)


# -- which address, which credentials ---------------------------------------------------------------------------------

IPS = {"local_dev": "192.0.2.1", "github_actions": "192.0.2.2", "pulumi_cloud": "192.0.2.3", "fallback": "192.0.2.4"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "192.0.2.1"),
        ({"GITHUB_ACTIONS": "true"}, "192.0.2.2"),
        ({"GITHUB_ACTIONS": "false"}, "192.0.2.1"),
        ({"PULUMI_CI_SYSTEM": "Pulumi Deployments"}, "192.0.2.3"),
        ({"PULUMI_DEPLOYMENT_ID": "7"}, "192.0.2.3"),
        ({"PULUMI_CI_SYSTEM": "Jenkins"}, "192.0.2.1"),
        ({"GITHUB_ACTIONS": "true", "PULUMI_CI_SYSTEM": "pulumi"}, "192.0.2.2"),
    ],
)
def test_the_address_follows_the_context(environ: dict[str, str], expected: str) -> None:
    assert client_ip(IPS, environ) == expected
    assert client_ip({"fallback": "192.0.2.4"}, environ) == "192.0.2.4"
    assert client_ip({}, environ, loopback=True) == "127.0.0.1"
    with pytest.raises(errors.UsageError, match=r"namecheap\.client_ip_detection") as caught:
        client_ip({}, environ)
    assert caught.value.exit_code == 64
    assert context(environ) in (caught.value.hint or "")


@pytest.mark.parametrize("value", ["2001:db8::1", "example.com", "192.0.2", "192.0.2.256", "1.2.3.4.5", "secret"])
def test_an_address_must_be_ipv4(value: str) -> None:
    with pytest.raises(errors.UsageError, match=r"namecheap\.client_ip_detection\.local_dev") as caught:
        client_ip({"local_dev": value, "fallback": "192.0.2.4"}, {}, loopback=True)
    assert value not in str(caught.value)


def test_credentials_come_from_the_environment_file() -> None:
    key, user = SecretStr("the-key"), SecretStr("the-user")
    full = Namecheap(api_user=user, api_key=key, client_ips=IPS)
    found = credentials_of(full, {})
    assert found.parameters() == {
        "ApiUser": "the-user",
        "ApiKey": "the-key",
        "UserName": "the-user",
        "ClientIp": "192.0.2.1",
    }
    with pytest.raises(errors.CredentialsMissing, match=r"namecheap\.api_key") as caught:
        credentials_of(Namecheap(api_user=user, api_key=SecretStr(""), client_ips=IPS), {})
    assert caught.value.exit_code == 4
    assert caught.value.details["paths"] == ["namecheap.api_key"]
    assert endpoint_of(full) == PRODUCTION
    assert endpoint_of(Namecheap(sandbox=True)) == SANDBOX
    assert endpoint_of(Namecheap(sandbox=True, endpoint="http://127.0.0.1:5/x")) == "http://127.0.0.1:5/x"


def test_naps_are_not_taken() -> None:
    assert Naps() == []
