"""Checklist 50: clients that other people wrote list, add and delete against the sandbox."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import pytest
from sandbox_api import Api

from sophia_cli.sandbox import Sandbox


def needs(module: str, requirement: str) -> pytest.MarkDecorator:
    absent = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(absent, reason=f"{requirement} is not installed (a development requirement)")


@needs("namecheap", "PyNamecheap")
def test_50_pynamecheap_lists_adds_and_deletes(box: Sandbox, api: Api) -> None:
    import namecheap

    client = namecheap.Api(box.api_user, box.api_key, box.username, "127.0.0.1", debug=False)
    client.endpoint = box.endpoint
    assert [item["Name"] for item in client.domains_getList()] == ["example.com"]
    row = {"RecordType": "A", "HostName": "test", "Address": "192.0.2.7", "MXPref": 10, "TTL": 1800}
    before = api.triples()
    client.domains_dns_addHost("example.com", dict(row))
    assert ("test", "A", "192.0.2.7") in api.triples()
    assert {item["Name"] for item in client.domains_dns_getHosts("example.com")} == {"@", "www", "test"}
    client.domains_dns_delHost("example.com", {"Type": "A", "Name": "test", "Address": "192.0.2.7"})
    assert api.triples() == before
    assert client.domains_check(["example.com", "free.com"]) == {"example.com": False, "free.com": True}
    assert client.domains_getContacts("example.com")["Registrant"]["Country"] == "US"
    with pytest.raises(namecheap.ApiError, match="2019166"):
        client.domains_dns_getHosts("absent.com")


@needs("lexicon", "dns-lexicon")
def test_50_dns_lexicon_lists_adds_updates_and_deletes(box: Sandbox, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    import tldextract
    from lexicon._private.providers import namecheap as provider
    from lexicon.client import Client
    from lexicon.config import ConfigResolver

    original: Callable[..., None] = provider._Api.__init__

    def pointed(self: Any, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        self.endpoint = box.endpoint

    monkeypatch.setattr(provider._Api, "__init__", pointed)
    # tldextract asks the network on first use; the snapshot it ships is enough here.
    offline = functools.partial(tldextract.TLDExtract, suffix_list_urls=())
    monkeypatch.setattr("lexicon.client.tldextract.TLDExtract", offline)
    config = ConfigResolver().with_dict(
        {
            "provider_name": "namecheap",
            "domain": "example.com",
            "namecheap": {
                "auth_username": box.api_user,
                "auth_token": box.api_key,
                "auth_client_ip": "127.0.0.1",
                "auth_sandbox": True,
            },
        }
    )
    before = api.triples()
    with Client(config) as operations:
        assert operations.create_record("TXT", "_acme-challenge.example.com", "token+&%")
        assert ("_acme-challenge", "TXT", "token+&%") in api.triples()
        found = operations.list_records("TXT", "_acme-challenge.example.com")
        assert [item["content"] for item in found] == ["token+&%"]
        assert operations.delete_record(None, "TXT", "_acme-challenge.example.com", "token+&%")
    assert api.triples() == before


@needs("namecheapapi", "namecheapapi")
def test_50_namecheapapi_lists_looks_up_and_delegates(box: Sandbox, api: Api) -> None:
    from namecheapapi import DomainAPI

    client = DomainAPI(box.api_user, box.api_key, box.username, "127.0.0.1", sandbox=True)
    client.url = box.endpoint + "?"
    assert [item["Domain"] for item in client.get_list()] == ["example.com"]
    assert client.check(["example.com", "free.com"]) == {"example.com": False, "free.com": True}
    assert client.get_lock("example.com") is False
    assert client.set_lock("example.com")
    assert client.get_lock("example.com") is True
    assert client.set_nameservers("example.com", ["ns1.x.com", "ns2.x.com"])
    assert api.on("getList").find("DomainDNSGetListResult").get("IsUsingOurDNS") == "false"
