"""The conformance checklist of Namecheap's API: one test a statement, named by its number, over real HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from sandbox_api import NS, Api

from sophia_cli import sandbox
from sophia_cli.sandbox import Sandbox
from sophia_cli.sandbox.account import Row

GET_HOSTS = "namecheap.domains.dns.getHosts"
ZONE = {"SLD": "example", "TLD": "com"}
A = ("@", "A", "192.0.2.1")


def test_01_a_get_is_answered_with_the_whole_envelope_in_order(api: Api) -> None:
    answer = api.send({**api.auth(), "Command": GET_HOSTS, **ZONE}, None)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    assert [item.tag.removeprefix(NS) for item in answer.root] == [
        "Errors",
        "Warnings",
        "RequestedCommand",
        "CommandResponse",
        "Server",
        "GMTTimeDifference",
        "ExecutionTime",
    ]
    assert answer.ok


def test_02_query_body_and_both_give_the_same_answer(api: Api) -> None:
    every = {**api.auth(), "Command": GET_HOSTS, **ZONE}
    by_query = api.send(every, None)
    by_body = api.send(None, every)
    by_both = api.send(api.auth(), {"Command": GET_HOSTS, **ZONE})
    by_empty_body = api.send(every, {})
    assert by_query.ok
    assert by_query.body == by_body.body == by_both.body == by_empty_body.body


def test_03_names_of_parameters_and_commands_have_no_case(api: Api) -> None:
    auth = {name.lower(): value for name, value in api.auth().items()}
    auth["Username"] = auth.pop("username")
    odd = api.send(None, {**auth, "command": GET_HOSTS.upper(), "sld": "example", "tLD": "com"})
    assert odd.ok
    assert odd.body == api.on("getHosts").body


def test_04_requested_command_is_lower_case_and_type_is_canonical(api: Api) -> None:
    answer = api.on("gethosts")
    assert answer.find("RequestedCommand").text == "namecheap.domains.dns.gethosts"
    assert answer.find("CommandResponse").get("Type") == GET_HOSTS


def test_05_the_document_starts_as_recorded_and_has_the_namespace(api: Api) -> None:
    answer = api.on("getHosts")
    assert answer.body.startswith(b'<?xml version="1.0" encoding="utf-8"?>\r\n<ApiResponse Status="OK"')
    assert answer.root.tag == "{http://api.namecheap.com/xml.response}ApiResponse"


@pytest.mark.parametrize(
    ("absent", "number"), [("ApiUser", 1010101), ("ApiKey", 1010102), ("Command", 1010104), ("ClientIp", 1010105)]
)
def test_06_an_absent_global_parameter_has_its_number(api: Api, absent: str, number: int) -> None:
    params = {**api.auth(), "Command": GET_HOSTS, **ZONE}
    del params[absent]
    answer = api.send(None, params)
    assert (answer.status, answer.root.get("Status"), answer.number) == (200, "ERROR", number)
    assert answer.find("RequestedCommand").text is None
    assert not answer.all("CommandResponse")


def test_07_a_wrong_key_and_a_foreign_address_are_refused(api: Api, box: Sandbox) -> None:
    wrong = api.on("getHosts", ApiKey="not-the-key")
    assert wrong.errors == [(1011102, "API Key is invalid or API access has not been enabled")]
    box.switch(whitelist=["203.0.113.5"])
    for client_ip in ("203.0.113.5", "127.0.0.1"):
        assert api.on("getHosts", ClientIp=client_ip).errors == [(1011150, "Invalid request IP: 127.0.0.1")]


def test_08_an_allowed_source_may_send_any_client_ip(api: Api, box: Sandbox) -> None:
    box.switch(whitelist=["127.0.0.1"])
    assert api.on("getHosts", ClientIp="0.0.0.0").ok
    assert api.on("getHosts", ClientIp="::1").number == 1011105


def test_09_an_unknown_command_is_an_error_with_a_number_of_choice(api: Api, box: Sandbox) -> None:
    answer = api("domains.fly")
    assert (answer.status, answer.root.get("Status")) == (200, "ERROR")
    box.switch(number_unknown_command=4711)
    assert api("domains.fly").number == 4711


def test_10_limits_refuse_with_405_or_500000_and_change_nothing(api: Api, box: Sandbox) -> None:
    box.switch(limits="on")
    assert all(api.on("getHosts").ok for _ in range(20))
    assert api.set(A).status == 405
    box.switch(limits="legacy")
    legacy = api.set(A)
    assert (legacy.status, legacy.number) == (200, 500000)
    box.control(advance_s=61)
    assert len(api.rows()) == 2
    box.switch(limits="on", limit_minute=10**6, limit_hour=21)
    assert api.on("getHosts").status == 405
    box.control(advance_s=3600)
    assert api.on("getHosts").ok
    box.switch(limit_hour=10**6, limit_day=22)
    assert api.on("getHosts").status == 405
    box.control(advance_s=86400)
    assert api.on("getHosts").ok


def test_11_faults_happen_when_asked_for(api: Api, box: Sandbox) -> None:
    box.fault("html_200", command="getHosts")
    html = api.on("getHosts")
    assert (html.status, html.headers["content-type"]) == (200, "text/html")
    box.fault("html_5xx", status=502)
    assert api.on("getHosts").status == 502
    box.fault("truncated")
    assert not api.on("getHosts").body.rstrip().endswith(b"</ApiResponse>")
    box.fault("error_3050750")
    assert api.on("getHosts").number == 3050750
    assert api.on("getHosts").ok
    box.fault("error_5050900")
    assert api.on("getHosts").number == 5050900
    box.fault("timeout_before", seconds=0.05)
    with pytest.raises(ConnectionError):
        api.set(A)
    assert len(api.rows()) == 2
    box.fault("timeout_after", seconds=0.05)
    with pytest.raises(ConnectionError):
        api.set(A)
    assert api.triples() == [A]


def _names(api: Api, **params: object) -> list[str]:
    return [item.get("Name", "") for item in api("domains.getList", **params).all("Domain")]


def test_12_get_list_pages_by_20_and_tells_the_filtered_total(api: Api, data: Path) -> None:
    for number in range(24):
        sandbox.seed(data, f"d{number:02}.com")
    answer = api("domains.getList")
    assert len(answer.all("Domain")) == 20
    assert answer.find("PageSize").text == "20"
    assert answer.find("TotalItems").text == "25"
    response = answer.find("CommandResponse")
    assert [item.tag.removeprefix(NS) for item in response] == ["DomainGetListResult", "Paging"]
    assert len(_names(api, PageSize=3)) == 10
    assert len(_names(api, PageSize=1000)) == 25
    assert len(_names(api, PageSize=10, Page=3)) == 5
    assert api("domains.getList", SearchTerm="d0").find("TotalItems").text == "10"


def test_13_a_page_past_the_end_is_ok_and_empty(api: Api) -> None:
    answer = api("domains.getList", Page=7)
    assert answer.ok
    assert b"<DomainGetListResult />" in answer.body
    assert answer.find("CurrentPage").text == "7"
    assert answer.find("TotalItems").text == "1"


def test_14_get_list_searches_sorts_and_tells_who_serves(api: Api, data: Path) -> None:
    sandbox.seed(data, "shop-example.com")
    sandbox.seed(data, "away.org", nameservers=("ns1.x.com", "ns2.x.com"))
    assert _names(api, SearchTerm="example") == ["example.com", "shop-example.com"]
    assert _names(api, SortBy="NAME_DESC") == ["shop-example.com", "example.com", "away.org"]
    rows = {item.get("Name"): item for item in api("domains.getList").all("Domain")}
    assert rows["away.org"].get("IsOurDNS") == "false"
    assert rows["example.com"].get("IsOurDNS") == "true"
    assert re.fullmatch(r"\d\d/\d\d/\d{4}", rows["example.com"].get("Expires", ""))


def test_15_get_info_has_the_recorded_tree(api: Api) -> None:
    api.set(A, ("www", "A", "192.0.2.1"), ("x", "TXT", "y"))
    info = api("domains.getInfo", DomainName="Example.com").find("DomainGetInfoResult")
    assert [item.tag.removeprefix(NS) for item in info] == [
        "DomainDetails",
        "LockDetails",
        "Whoisguard",
        "PremiumDnsSubscription",
        "DnsDetails",
        "Modificationrights",
    ]
    assert (info.get("Status"), info.get("DomainName"), info.get("IsOwner")) == ("Ok", "example.com", "true")
    dns = info.find(f"{NS}DnsDetails")
    assert dns is not None
    assert dns.attrib == {
        "ProviderType": "FREE",
        "IsUsingOurDNS": "true",
        "HostCount": "3",
        "EmailType": "FWD",
        "DynamicDNSStatus": "false",
        "IsFailover": "false",
    }
    assert [item.text for item in dns] == ["dns1.registrar-servers.com", "dns2.registrar-servers.com"]
    rights = info.find(f"{NS}Modificationrights")
    assert rights is not None
    assert rights.get("All") == "true"


def test_16_get_info_of_what_is_not_ours_is_2030166_with_a_skeleton(api: Api, data: Path) -> None:
    sandbox.seed(data, "foreign.com", owner="somebody")
    for name in ("foreign.com", "unknown.com"):
        answer = api("domains.getInfo", DomainName=name)
        assert answer.errors == [(2030166, "Domain is invalid")]
        assert answer.find("DomainGetInfoResult").get("ID") == "0"
        assert answer.find("DnsDetails").get("HostCount") == "0"


def test_17_get_info_tells_custom_servers_and_no_mail(api: Api) -> None:
    api.set(A, EmailType="NONE")
    assert api("domains.getInfo", DomainName="example.com").find("DnsDetails").get("EmailType") == "No Email Service"
    assert api.on("setCustom", Nameservers="ns2.x.com,ns1.x.com").ok
    dns = api("domains.getInfo", DomainName="example.com").find("DnsDetails")
    assert (dns.get("ProviderType"), dns.get("IsUsingOurDNS")) == ("CUSTOM", "false")
    assert [item.text for item in dns] == ["ns2.x.com", "ns1.x.com"]


def test_18_a_shared_domain_has_rights_and_is_not_listed(api: Api, data: Path) -> None:
    sandbox.seed(data, "shared.com", owner="friend", rights=(("hosts", "OK"),), rows=[A])
    sandbox.seed(data, "seen.com", owner="friend", rights=(("eforward", "OK"),), rows=[A])
    info = api("domains.getInfo", DomainName="shared.com")
    assert info.find("DomainGetInfoResult").get("IsOwner") == "false"
    assert info.find("Modificationrights").get("All") == "false"
    rights = {item.get("Type"): item.text for item in info.all("Rights")}
    assert rights["hosts"] == "OK"
    assert rights["premiumDns"] != "OK"
    assert _names(api) == ["example.com"]
    assert api.set(("b", "A", "192.0.2.2"), domain="shared.com").ok
    assert api.set(("b", "A", "192.0.2.2"), domain="seen.com").number == 2019166


def test_19_check_takes_fifty_names(api: Api) -> None:
    assert api("domains.check", DomainList=",".join(f"n{n}.com" for n in range(51))).number == 2011169
    answer = api("domains.check", DomainList="example.com,free.com,what.nonsense")
    rows = answer.all("DomainCheckResult")
    assert answer.ok
    assert [row.get("Available") for row in rows] == ["false", "true", "false"]
    assert set(rows[0].attrib) == {
        "Domain",
        "Available",
        "ErrorNo",
        "Description",
        "IsPremiumName",
        "PremiumRegistrationPrice",
        "PremiumRenewalPrice",
        "PremiumRestorePrice",
        "PremiumTransferPrice",
        "IcannFee",
        "EapFee",
    }
    assert rows[2].get("ErrorNo") != "0"


def test_20_a_new_domain_forwards_mail_and_has_the_parking_pair(api: Api) -> None:
    assert api.mode() == "FWD"
    rows = api.rows()
    assert api.triples() == [
        ("www", "CNAME", "parkingpage.namecheap.com."),
        ("@", "URL", "http://www.example.com/"),
    ]
    assert {(row["TTL"], row["MXPref"]) for row in rows} == {("1800", "10")}
    assert [row["AssociatedAppTitle"] for row in rows] == ["", "URL Forwarding"]
    assert [row["FriendlyName"] for row in rows] == ["CNAME Record", "URL Record"]


def test_21_set_hosts_replaces_everything(api: Api) -> None:
    api.set(A, ("b", "A", "192.0.2.2"))
    assert api.triples() == [A, ("b", "A", "192.0.2.2")]
    api.set(("b", "A", "192.0.2.2"))
    assert api.triples() == [("b", "A", "192.0.2.2")]


def test_22_ttl_is_1800_unless_sent(api: Api) -> None:
    api.set(("a", "A", "192.0.2.1"), ("b", "A", "192.0.2.1", 1799))
    assert [row["TTL"] for row in api.rows()] == ["1800", "1799"]


def test_23_the_preference_of_an_a_row_is_10_whatever_is_sent(api: Api) -> None:
    api.set(("a", "A", "192.0.2.1", 300, 40))
    assert api.rows()[0]["MXPref"] == "10"


def test_24_targets_get_their_dot_and_nothing_else_does(api: Api) -> None:
    rows = (
        ("a", "CNAME", "docs.example.com"),
        ("b", "CNAME", "docs.example.com."),
        ("c", "ALIAS", "lb.example.net"),
        ("d", "NS", "ns1.example.net"),
        ("@", "MX", "mail.example.com"),
        ("e", "URL", "http://example.net"),
        ("f", "TXT", "docs.example.com"),
        ("g", "A", "192.0.2.1"),
    )
    assert api.set(*rows, EmailType="MX").ok
    read = {name: address for name, _, address in api.triples()}
    assert read == {
        "a": "docs.example.com.",
        "b": "docs.example.com.",
        "c": "lb.example.net.",
        "d": "ns1.example.net.",
        "@": "mail.example.com.",
        "e": "http://example.net",
        "f": "docs.example.com",
        "g": "192.0.2.1",
    }


def test_25_equal_rows_collapse_and_sets_stay(api: Api) -> None:
    api.set(A, A, ("w", "CNAME", "x.example.net"), ("w", "CNAME", "x.example.net."), ("@", "A", "192.0.2.2"))
    assert api.triples() == [A, ("@", "A", "192.0.2.2"), ("w", "CNAME", "x.example.net.")]


def test_26_names_are_lower_case_and_rows_sorted_by_type_and_name(api: Api) -> None:
    api.set(("WWW", "TXT", "t"), ("*", "A", "192.0.2.1"), ("WWW", "A", "192.0.2.1"), ("@", "AAAA", "2001:db8::1"), A)
    assert [(kind, name) for name, kind, _ in api.triples()] == [
        ("A", "*"),
        ("A", "@"),
        ("A", "www"),
        ("AAAA", "@"),
        ("TXT", "www"),
    ]


def test_27_an_omitted_email_type_keeps_fwd(api: Api) -> None:
    api.set(A)
    assert api.mode() == "FWD"


def test_28_mx_rows_without_the_mode_are_silently_not_saved(api: Api) -> None:
    answer = api.set(A, ("@", "MX", "mail.example.com."))
    assert answer.find("DomainDNSSetHostsResult").get("IsSuccess") == "true"
    assert api.triples() == [A]


def test_29_mx_rows_live_and_die_with_the_mode(api: Api) -> None:
    mx = ("@", "MX", "mail.example.com.")
    api.set(A, mx, EmailType="MX")
    assert (api.mode(), api.triples()) == ("MX", [A, mx])
    api.set(A, mx)
    assert (api.mode(), api.triples()) == ("MX", [A, mx])
    api.set(A, mx, EmailType="NONE")
    assert (api.mode(), api.triples()) == ("NONE", [A])


def test_30_an_omitted_email_type_may_reset_it(api: Api, box: Sandbox) -> None:
    box.switch(emailtype_omitted="reset")
    api.set(A)
    assert api.mode() == "NONE"


def test_31_a_new_preference_needs_two_writes(api: Api) -> None:
    api.set(("@", "MX", "mail.example.com.", 300, 10), EmailType="MX")
    api.set(("@", "MX", "mail.example.com.", 300, 20), EmailType="MX")
    assert api.rows()[0]["MXPref"] == "10"
    api.set(A, EmailType="MX")
    api.set(("@", "MX", "mail.example.com.", 300, 20), EmailType="MX")
    assert api.rows()[0]["MXPref"] == "20"


def test_32_two_preferences_of_one_exchange_are_one_row(api: Api) -> None:
    api.set(("@", "MX", "m.example.com.", 300, 10), ("@", "MX", "m.example.com.", 300, 20), EmailType="MX")
    assert [row["MXPref"] for row in api.rows()] == ["10"]


def test_33_apex_ns_and_null_mx_are_refused(api: Api) -> None:
    before = api.rows()
    for name in ("@", "*"):
        answer = api.set(A, (name, "NS", "ns1.example.net."))
        assert "INVALID_NAME" in answer.errors[0][1]
    null = api.set(A, ("@", "MX", "."), EmailType="MX")
    assert null.number == 2050900
    assert null.errors[0][1].startswith("INVALID_ADDR : '.' should not be an IP/ URL for MX record.(host name: @)")
    assert api.rows() == before


@pytest.mark.parametrize("sent", ["0 issue letsencrypt.org", '0 issue "letsencrypt.org"'])
def test_34_caa_values_come_back_quoted(api: Api, sent: str) -> None:
    assert api.set(("@", "CAA", sent)).ok
    assert api.triples() == [("@", "CAA", '0 issue "letsencrypt.org"')]
    assert b'Address="0 issue &quot;letsencrypt.org&quot;"' in api.on("getHosts").body


@pytest.mark.parametrize(
    "value",
    ["v=spf1 a b ~all", "x" * 2500, "a+b&c%d;e=f<g>", "  two  spaces ", "ünïcödé ☃", "%2B+%26", "a\tb", "]]>", "'\"'"],
)
def test_35_txt_values_survive_byte_for_byte(api: Api, value: str) -> None:
    assert api.set(("@", "TXT", value)).ok
    assert api.triples() == [("@", "TXT", value)]


def test_36_too_much_is_refused_whole(api: Api, box: Sandbox) -> None:
    before = api.rows()
    assert api.set(*((f"h{n}", "A", "192.0.2.1") for n in range(151))).number == 3013288
    assert api.set(A, ("t", "TXT", "x" * 2501)).number == 2050900
    assert api.set(A, ("h" * 61, "A", "192.0.2.1")).number == 2050900
    box.switch(number_too_many=99)
    assert api.set(*((f"h{n}", "A", "192.0.2.1") for n in range(151))).number == 99
    assert api.rows() == before
    assert api.set(*((f"h{n}", "A", "192.0.2.1") for n in range(150))).ok
    assert len(api.rows()) == 150


@pytest.mark.parametrize(
    "row",
    [
        ("a", "A", "192.0.2.256"),
        ("a", "A", "192.0.2"),
        ("a", "A", "2001:db8::1"),
        ("a", "AAAA", "192.0.2.1"),
        ("a", "SRV", "0 5 5060 sip.example.com."),
        ("a", "NAPTR", "x"),
        ("a", "CNAME", "http://x.example"),
        ("a", "MX", "192.0.2.1"),
        ("a", "URL", "example.net"),
        ("a", "A", ""),
        ("a b", "A", "192.0.2.1"),
        ("-a", "A", "192.0.2.1"),
        ("a", "A", "192.0.2.1", "soon"),
        ("a", "A", "192.0.2.1", 59),
        ("a", "CAA", "0 iodef postmaster"),
        ("a", "TXT", "bell\x07"),
    ],
)
def test_37_one_bad_row_leaves_the_zone_as_it_was(api: Api, row: tuple[str, ...]) -> None:
    before = api.rows()
    answer = api.set(("ok", "A", "192.0.2.9"), row, EmailType="MX")
    assert answer.number
    assert answer.find("DomainDNSSetHostsResult").get("IsSuccess") == "false"
    assert api.rows() == before
    assert api.mode() == "FWD"


def test_37_a_gap_in_the_numbers_is_refused(api: Api) -> None:
    before = api.rows()
    gap = {"HostName1": "a", "RecordType1": "A", "Address1": "192.0.2.1"}
    gap |= {"HostName3": "b", "RecordType3": "A", "Address3": "192.0.2.1"}
    assert api.on("setHosts", **gap).number == 5050900
    assert api.on("setHosts", HostName1="a", RecordType1="A").number == 5050900
    assert api.rows() == before


def test_38_no_rows_empty_the_zone(api: Api, box: Sandbox) -> None:
    assert api.set(("@", "MX", "m.example.com."), EmailType="MX").ok
    assert api.set().ok
    assert b'<DomainDNSGetHostsResult Domain="example.com" EmailType="MX" IsUsingOurDNS="true" />' in (
        api.on("getHosts").body
    )
    box.switch(empty_set="repark")
    assert api.set().ok
    assert [name for name, _, _ in api.triples()] == ["www", "@"]


def test_39_unknown_row_parameters_do_nothing_and_ddns_is_cleared(api: Api, data: Path) -> None:
    sandbox.seed(data, "example.com", email_type="FWD", rows=[Row(0, "@", "A", "192.0.2.1", is_ddns=True)])
    assert api.rows()[0]["IsDDNSEnabled"] == "true"
    answer = api.set(
        A, HostId1="77", IsActive1="false", FriendlyName1="mine", AssociatedAppTitle1="x", IsDDNSEnabled1="true"
    )
    assert answer.ok
    row = api.rows()[0]
    assert (row["IsDDNSEnabled"], row["IsActive"], row["FriendlyName"]) == ("false", "true", "")
    assert row["HostId"] != "77"


def test_40_ids_stay_with_their_rows(api: Api, box: Sandbox) -> None:
    api.set(A, ("b", "A", "192.0.2.2"))
    first = {row["Name"]: int(row["HostId"]) for row in api.rows()}
    api.set(A)
    assert int(api.rows()[0]["HostId"]) == first["@"]
    api.set(A, ("b", "A", "192.0.2.2"))
    again = {row["Name"]: int(row["HostId"]) for row in api.rows()}
    assert again["@"] == first["@"]
    assert again["b"] > first["b"]
    box.switch(host_ids="rotate")
    api.set(A, ("b", "A", "192.0.2.2"))
    assert all(int(row["HostId"]) > again["b"] for row in api.rows())


def test_41_foreign_domains_and_foreign_dns_are_refused(api: Api, data: Path) -> None:
    sandbox.seed(data, "foreign.com", owner="somebody", rows=[A])
    answer = api.set(A, domain="foreign.com")
    assert answer.errors == [(2019166, "The domain (foreign.com) doesn't seem to be associated with your account.")]
    result = answer.find("DomainDNSSetHostsResult")
    assert result.attrib == {"Domain": "foreign.com", "EmailType": "", "IsSuccess": "false"}
    assert api.on("setCustom", Nameservers="ns1.x.com,ns2.x.com").ok
    assert api.on("getHosts").number == 2030288
    assert api.set(A).number == 2030288
    assert api("domains.dns.getEmailForwarding", DomainName="example.com").number == 2030288
    assert api("domains.dns.setEmailForwarding", DomainName="example.com").number == 2030288


def test_42_reads_see_writes_at_once_and_the_last_writer_wins(api: Api) -> None:
    base = tuple(api.triples())
    api.set(*base, ("one", "A", "192.0.2.1"))
    assert ("one", "A", "192.0.2.1") in api.triples()
    api.set(*base, ("two", "A", "192.0.2.2"))
    assert ("one", "A", "192.0.2.1") not in api.triples()


def test_43_sld_and_tld_are_joined_with_a_dot(api: Api, data: Path) -> None:
    sandbox.seed(data, "example.co.uk", rows=[A])
    sandbox.seed(data, "sub.example.com", rows=[("b", "A", "192.0.2.2")])
    assert api("domains.dns.getHosts", SLD="example", TLD="co.uk").all("host")[0].get("Name") == "@"
    assert api("domains.dns.getHosts", SLD="example.co", TLD="uk").all("host")[0].get("Name") == "@"
    assert api("domains.dns.getHosts", SLD="sub.example", TLD="com").all("host")[0].get("Name") == "b"


def test_44_delegation_goes_away_and_comes_back(api: Api) -> None:
    answer = api.on("setCustom", Nameservers="ns1.x.com,ns2.x.com")
    assert answer.find("DomainDNSSetCustomResult").get("Updated") == "true"
    listed = api.on("getList").find("DomainDNSGetListResult")
    assert listed.get("IsUsingOurDNS") == "false"
    assert [item.text for item in listed] == ["ns1.x.com", "ns2.x.com"]
    for bad in ("ns1.x.com", "192.0.2.1,192.0.2.2", ""):
        assert api.on("setCustom", Nameservers=bad).number == 3011288
    assert api.on("setDefault").find("DomainDNSSetDefaultResult").get("Updated") == "true"
    listed = api.on("getList").find("DomainDNSGetListResult")
    assert listed.get("IsUsingOurDNS") == "true"
    assert listed[0].text == "dns1.registrar-servers.com"
    assert len(api.rows()) == 2


@pytest.mark.parametrize(("position", "count"), [("restore", 1), ("park", 2), ("empty", 0)])
def test_44_what_comes_back_is_a_switch(api: Api, box: Sandbox, position: str, count: int) -> None:
    box.switch(set_default=position)
    api.set(A)
    api.on("setCustom", Nameservers="ns1.x.com,ns2.x.com")
    api.on("setDefault")
    assert len(api.rows()) == count


def test_45_forwarding_is_replaced_whole(api: Api) -> None:
    pairs = {"MailBox1": "info", "ForwardTo1": "a@x.example", "MailBox2": "*", "ForwardTo2": "b@x.example"}
    assert api("domains.dns.setEmailForwarding", DomainName="example.com", **pairs).ok
    result = api("domains.dns.getEmailForwarding", DomainName="example.com").find("DomainDNSGetEmailForwardingResult")
    assert [(item.tag.removeprefix(NS), item.get("mailbox"), item.text) for item in result] == [
        ("Forward", "info", "a@x.example"),
        ("Forward", "*", "b@x.example"),
    ]
    assert api("domains.dns.setEmailForwarding", DomainName="example.com").ok
    assert not api("domains.dns.getEmailForwarding", DomainName="example.com").all("Forward")


def _balance(api: Api) -> Decimal:
    return Decimal(api("users.getBalances").find("UserGetBalancesResult").get("AvailableBalance", ""))


def test_46_renewals_cost_each_time_until_the_money_is_gone(api: Api, data: Path) -> None:
    before = _balance(api)
    expires = sandbox.peek(data, "example.com").expires  # type: ignore[union-attr]
    charged = []
    for _ in range(2):
        result = api("domains.renew", DomainName="example.com", Years=2).find("DomainRenewResult")
        assert result.get("Renew") == "true"
        assert re.fullmatch(r"\d+\.\d{4}", result.get("ChargedAmount", ""))
        charged.append(Decimal(result.get("ChargedAmount", "")))
    assert charged[0] == charged[1] == (Decimal("14.98") + Decimal("0.18")) * 2
    assert _balance(api) == before - sum(charged)
    assert sandbox.peek(data, "example.com").expires.year == expires.year + 4  # type: ignore[union-attr]
    left = _balance(api)
    assert api("domains.renew", DomainName="example.com", Years=9).number == 2528166
    assert _balance(api) == left
    assert sandbox.peek(data, "example.com").expires.year == expires.year + 4  # type: ignore[union-attr]


def test_47_prices_have_lower_case_names_and_are_per_year(api: Api) -> None:
    answer = api("users.getPricing", ProductType="DOMAIN", ActionName="REGISTER", ProductName="COM")
    assert answer.find("ProductType").get("Name") == "domains"
    assert answer.find("ProductCategory").get("Name") == "register"
    assert answer.find("Product").get("Name") == "com"
    prices = {item.get("Duration"): item for item in answer.all("Price")}
    assert (prices["1"].get("Price"), prices["2"].get("Price")) == ("8.88", "10.88")
    assert prices["1"].get("YourAdditonalCost") == "0.18"
    assert prices["1"].get("PromotionPrice") == "0.0"
    unknown = api("users.getPricing", ProductType="DOMAIN", ActionName="REGISTER", ProductName="NOPE")
    assert unknown.ok
    assert not unknown.all("Price")
    ssl = api("users.getPricing", ProductType="SSLCERTIFICATE", ActionName="PURCHASE")
    assert ssl.find("ProductType").get("Name") == "ssl"
    assert "AdditionalCost" not in ssl.all("Price")[0].attrib


def request_for(host: str, key: Any = None, *, signed_by: Any = None) -> str:
    """A signing request in PEM (RFC 2986)."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    der = made.public_bytes(Encoding.DER)
    if signed_by is not None:  # the same request under the signature of another key
        other = x509.CertificateSigningRequestBuilder().subject_name(name).sign(signed_by, hashes.SHA256())
        der = der.replace(made.signature[-20:], other.signature[-20:])
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{base64.encodebytes(der).decode()}-----END CERTIFICATE REQUEST-----\n"


CSR = request_for("Shop.Example.com")


def test_48_a_certificate_goes_from_purchase_to_renewal(api: Api, box: Sandbox) -> None:
    created = api("ssl.create", Years=1, Type="PositiveSSL")
    child = created.find("SSLCreateResult").find(f"{NS}SSLCertificate")
    assert child is not None
    assert (child.get("Status"), child.get("SSLType")) == ("NewPurchase", "Standard SSL")
    identity = child.get("CertificateID")
    activated = api("ssl.activate", CertificateID=identity, CSR=CSR, DNSDCValidation="true")
    assert b"<HostName><![CDATA[_" in activated.body
    assert b".shop.example.com]]></HostName>" in activated.body
    assert b"<Target><![CDATA[" in activated.body
    assert api("ssl.activate", CertificateID=identity, CSR=CSR, DNSDCValidation="true").number == 4011331
    assert api("ssl.getInfo", CertificateID=identity).find("SSLGetInfoResult").get("Status") == "purchased"
    box.control(advance_s=61)
    active = api("ssl.getInfo", CertificateID=identity, Returncertificate="true")
    assert active.find("SSLGetInfoResult").get("Status") == "active"
    assert b"BEGIN CERTIFICATE-----" in active.body
    assert api("ssl.renew", CertificateID=identity, Years=1, SSLType="Standard SSL").number == 4011331
    box.control(advance_s=300 * 86400)
    assert api("ssl.renew", CertificateID=identity, Years=1, SSLType="EV SSL").number == 2011301
    renewed = api("ssl.renew", CertificateID=identity, Years=1, SSLType="Standard SSL").find("SSLRenewResult")
    fresh = renewed.get("CertificateID")
    assert fresh != identity
    assert api("ssl.getInfo", CertificateID=fresh).find("SSLGetInfoResult").get("Status") == "newrenewal"
    listed = {item.get("CertificateID"): item.get("Status") for item in api("ssl.getList").all("SSL")}
    assert listed == {identity: "active", fresh: "NewRenewal"}


BAD_REQUESTS = {
    "no request": "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----",
    "a certificate": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "an address": request_for("192.0.2.1:443"),
    "no host name": request_for("Ada Example"),
    "a wildcard": request_for("*.example.com"),
    "a short key": request_for("example.com", rsa.generate_private_key(65537, 1024)),
    "another key's signature": request_for("example.com", signed_by=ec.generate_private_key(ec.SECP256R1())),
    "too long": CSR.replace("\n", "\n" * 2000, 1),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_48_a_request_that_cannot_be_used_activates_nothing(api: Api, box: Sandbox, name: str) -> None:
    identity = api("ssl.create", Years=1, Type="Standard SSL").find("SSLCertificate").get("CertificateID")
    refused = api("ssl.activate", CertificateID=identity, CSR=BAD_REQUESTS[name], DNSDCValidation="true")
    assert refused.number == 2010324
    assert "CSR is invalid" in refused.errors[0][1]
    assert api("ssl.getInfo", CertificateID=identity).find("SSLGetInfoResult").get("Status") == "newpurchase"
    box.switch(number_bad_csr=4711)
    assert api("ssl.activate", CertificateID=identity, CSR=BAD_REQUESTS[name], DNSDCValidation="true").number == 4711
    assert api("ssl.activate", CertificateID=identity, CSR=CSR, ApproverEmail="ops@example.com").ok


def test_48_what_a_request_names_is_what_the_order_is_for(api: Api) -> None:
    wild = request_for("*.Example.com", rsa.generate_private_key(65537, 2048))
    identity = api("ssl.create", Years=1, Type="PositiveSSL Wildcard").find("SSLCertificate").get("CertificateID")
    assert api("ssl.activate", CertificateID=identity, CSR=CSR, HTTPDCValidation="true").number == 2010324
    answer = api("ssl.activate", CertificateID=identity, CSR=wild, HTTPDCValidation="true")
    # The file's name is the request's MD5, its content starts with the SHA-256 (Sectigo's domain control validation).
    der = x509.load_pem_x509_csr(wild.encode()).public_bytes(Encoding.DER)
    assert answer.find("FileName").text == hashlib.md5(der).hexdigest().upper() + ".txt"
    assert (answer.find("FileContent").text or "").split("\n")[0] == hashlib.sha256(der).hexdigest().upper()
    assert answer.find("DNS").get("domain") == "*.example.com"
    info = api("ssl.getInfo", CertificateID=identity)
    assert (info.find("CommonName").text, info.find("CSR").text) == ("*.example.com", wild.strip())


def test_49_reserved_glue_is_refused_and_absent_glue_is_not_found(api: Api) -> None:
    glue = {"SLD": "example", "TLD": "com", "Nameserver": "ns1.example.com"}
    assert api("domains.ns.create", **glue, IP="192.0.2.1").number == 3024278
    assert api("domains.ns.getInfo", **glue).number == 5013160
    assert api("domains.ns.create", **glue, IP="9.9.9.9").ok
    assert api("domains.ns.getInfo", **glue).find("DomainNSInfoResult").get("IP") == "9.9.9.9"
    assert api("domains.ns.update", **glue, OldIP="9.9.9.9", IP="8.8.8.8").ok
    assert api("domains.ns.delete", **glue).ok
    assert api("domains.ns.getInfo", **glue).number == 5013160


# 50 (other people's clients) stands in test_clients.py.


# -- the positions of every switch that the statements above do not reach ----------------------------------------------


@pytest.mark.parametrize(("position", "stored"), [("refuse", None), ("clamp", "60000"), ("store", "90000")])
def test_switch_ttl_out_of_range(api: Api, box: Sandbox, position: str, stored: str | None) -> None:
    box.switch(ttl_out_of_range=position)
    assert api.set(("a", "A", "192.0.2.1", 90000)).ok is (stored is not None)
    if stored:
        assert api.rows()[0]["TTL"] == stored


@pytest.mark.parametrize(("position", "stored"), [("keep", 'a"b'), ("strip", "ab"), ("refuse", None)])
def test_switch_txt_quotes(api: Api, box: Sandbox, position: str, stored: str | None) -> None:
    box.switch(txt_quotes=position)
    assert api.set(("a", "TXT", 'a"b')).ok is (stored is not None)
    if stored:
        assert api.rows()[0]["Address"] == stored


def test_switch_idn_shows_names_in_unicode(api: Api, box: Sandbox, data: Path) -> None:
    sandbox.seed(data, "bücher.example", rows=[A])
    assert "xn--bcher-kva.example" in _names(api)
    box.switch(idn="unicode")
    assert "bücher.example" in _names(api)
    assert api.triples("bücher.example") == api.triples("xn--bcher-kva.example") == [A]


def test_switch_srv_rows_survive_or_are_lost(api: Api, box: Sandbox, data: Path) -> None:
    sandbox.seed(data, "example.com", rows=[A], hidden=[("_sip._tcp", "SRV", "5 5060 sip.example.com.")])
    assert api.triples() == [A]
    api.set(A)
    assert len(sandbox.peek(data, "example.com").hidden) == 1  # type: ignore[union-attr]
    box.switch(srv="lost")
    api.set(A)
    assert sandbox.peek(data, "example.com").hidden == ()  # type: ignore[union-attr]


def test_switch_type_case(api: Api, box: Sandbox) -> None:
    assert api.set(("a", "cname", "x.example.net.")).ok
    assert api.rows()[0]["Type"] == "CNAME"
    box.switch(type_case="refuse")
    assert not api.set(("a", "cname", "x.example.net.")).ok


@pytest.mark.parametrize(
    ("position", "stored"),
    [("keep", "http://x.example"), ("slash", "http://x.example/"), ("from", "http://x.example?from=@")],
)
def test_switch_url_rows(api: Api, box: Sandbox, position: str, stored: str) -> None:
    box.switch(url_rows=position)
    api.set(("@", "URL", "http://x.example"))
    assert api.rows()[0]["Address"] == stored


def test_switch_elements_and_attributes(api: Api, box: Sandbox) -> None:
    box.switch(host_element="Host", sethosts_email_type="present")
    assert len(api.on("getHosts").all("Host")) == 2
    assert api.set(A).find("DomainDNSSetHostsResult").get("EmailType") == "FWD"


def test_a_missing_sld_has_a_number_of_choice(api: Api, box: Sandbox) -> None:
    box.switch(number_missing_name=4712)
    assert api("domains.dns.getHosts", TLD="com").number == 4712


def test_an_mxe_row_uses_the_bare_domain_as_its_name(api: Api) -> None:
    api.set(("@", "MXE", "192.0.2.25"), EmailType="MXE")
    assert api.triples() == [("example.com", "MXE", "192.0.2.25")]
    api.set(("example.com", "MXE", "192.0.2.25"), EmailType="MXE")
    assert len(api.rows()) == 1
    api.set(("@", "MXE", "192.0.2.25"), EmailType="FWD")
    assert api.rows() == []


def test_the_registrar_lock_and_the_tld_list(api: Api) -> None:
    lock = api("domains.getRegistrarLock", DomainName="example.com").find("DomainGetRegistrarLockResult")
    assert lock.get("RegistrarLockStatus") == "false"
    assert api("domains.setRegistrarLock", DomainName="example.com", LockAction="LOCK").ok
    lock = api("domains.getRegistrarLock", DomainName="example.com").find("DomainGetRegistrarLockResult")
    assert lock.get("RegistrarLockStatus") == "true"
    assert {"com", "co.uk"} <= {item.get("Name") for item in api("domains.getTldList").all("Tld")}


def test_the_registrant_is_told_in_the_order_of_the_reference(api: Api, data: Path) -> None:
    sandbox.seed(data, "example.com", contact=(("EmailAddress", "ada@example.com"),))
    sandbox.seed(data, "foreign.com", owner="somebody")
    result = api("domains.getContacts", DomainName="example.com").find("DomainContactsResult")
    assert set(result.attrib) == {"Domain", "domainnameid"}
    assert [item.tag.removeprefix(NS) for item in result] == [
        "Registrant",
        "Tech",
        "Admin",
        "AuxBilling",
        "CurrentAttributes",
    ]
    registrant = result[0]
    assert registrant.get("ReadOnly") == "false"
    names = "OrganizationName JobTitle FirstName LastName Address1 Address2 City StateProvince StateProvinceChoice"
    names += " PostalCode Country Phone Fax EmailAddress PhoneExt"
    assert " ".join(item.tag.removeprefix(NS) for item in registrant) == names
    assert registrant.findtext(f"{NS}EmailAddress") == "ada@example.com"
    assert api("domains.getContacts", DomainName="absent.com").number == 2019166
    assert api("domains.getContacts", DomainName="foreign.com").number == 2016166


def test_domain_privacy_is_listed_enabled_and_disabled(api: Api, data: Path) -> None:
    sandbox.seed(data, "private.com", privacy="DISABLED", privacy_id=4711)
    sandbox.seed(data, "foreign.com", owner="somebody", privacy="ENABLED", privacy_id=4712)

    def listed(**options: Any) -> list[tuple[str | None, str | None, str | None]]:
        rows = api("whoisguard.getList", **options).all("Whoisguard")
        return [(row.get("ID"), row.get("DomainName"), row.get("Status")) for row in rows]

    def shown() -> tuple[str | None, str | None]:
        names = {item.get("Name"): item.get("WhoisGuard") for item in api("domains.getList").all("Domain")}
        return names["private.com"], api("domains.getInfo", DomainName="private.com").find("Whoisguard").get("Enabled")

    assert listed() == listed(ListType="ALLOTED") == [("4711", "private.com", "disabled")]
    assert listed(ListType="FREE") == []
    assert shown() == ("DISABLED", "False")
    bad = api("whoisguard.enable", WhoisguardID=4711, ForwardedToEmail="nobody")
    assert bad.number == 2011369
    done = api("whoisguard.enable", WhoisguardID=4711, ForwardedToEmail="ada@example.com").find(
        "WhoisguardEnableResult"
    )
    assert dict(done.attrib) == {"DomainName": "private.com", "IsSuccess": "true"}
    assert shown() == ("ENABLED", "True")
    info = api("domains.getInfo", DomainName="private.com")
    assert info.find("EmailDetails").get("ForwardedTo") == "ada@example.com"
    again = api("whoisguard.enable", WhoisguardID=4711, ForwardedToEmail="ada@example.com")
    assert again.number == api("whoisguard.disable", WhoisguardID=4712).number == 2011331
    withheld = api("domains.getContacts", DomainName="private.com").find("WhoisGuardContact")
    assert {item.get("ReadOnly") for item in withheld if item.get("ReadOnly")} == {"true"}
    assert api("whoisguard.disable", WhoisguardID=4711).ok
    assert shown() == ("DISABLED", "False")


@pytest.mark.parametrize(("position", "status"), [("none", None), ("enabled", "enabled"), ("disabled", "disabled")])
def test_switch_new_privacy(boxes: Callable[..., Any], tmp_path: Path, position: str, status: str | None) -> None:
    scenario = tmp_path / "scenario.json"
    scenario.write_text(json.dumps({"switches": {"new_privacy": position}}))
    with boxes(scenario=scenario, domains=["new.com"]) as box:
        rows = Api(box)("whoisguard.getList").all("Whoisguard")
        assert [row.get("Status") for row in rows] == ([status] if status else [])
        box.switch(privacy_status="upper", privacy_contact="always")
        rows = Api(box)("whoisguard.getList").all("Whoisguard")
        assert [row.get("Status") for row in rows] == ([status.upper()] if status else [])
        assert Api(box)("domains.getContacts", DomainName="new.com").all("WhoisGuardContact")


def test_auto_renewals_within_90_days_need_funds(api: Api, data: Path) -> None:
    soon = datetime.now(UTC).date() + timedelta(days=30)
    sandbox.seed(data, "soon.com", auto_renew=True, expires=soon)
    assert api("users.getBalances").find("UserGetBalancesResult").get("FundsRequiredForAutoRenew") == "13.16"
