"""A bare HTTP caller of the sandbox that knows nothing of the client under test."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

from sophia_cli.sandbox import Sandbox

NS = "{http://api.namecheap.com/xml.response}"


@dataclass
class Answer:
    """An answer as it came, and what it says."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def root(self) -> ElementTree.Element:
        return ElementTree.fromstring(self.body)

    @property
    def ok(self) -> bool:
        return self.status == 200 and self.root.get("Status") == "OK"

    @property
    def errors(self) -> list[tuple[int, str]]:
        return [(int(item.get("Number", "0")), item.text or "") for item in self.root.iter(f"{NS}Error")]

    @property
    def number(self) -> int:
        return self.errors[0][0] if self.errors else 0

    def find(self, name: str) -> ElementTree.Element:
        found = self.root.find(f".//{NS}{name}")
        assert found is not None, self.body.decode()
        return found

    def all(self, name: str) -> list[ElementTree.Element]:
        return self.root.findall(f".//{NS}{name}")


class Api:
    """Calls over real HTTP; the credentials are added unless given."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box

    def send(self, query: dict[str, Any] | None, body: dict[str, Any] | None) -> Answer:
        parts = urlsplit(self.box.endpoint)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
        path = parts.path + ("?" + urlencode(query) if query else "")
        if body is None:
            connection.request("GET", path)
        else:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request("POST", path, urlencode(body), headers)
        got = connection.getresponse()
        answer = Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
        connection.close()
        return answer

    def auth(self) -> dict[str, str]:
        return {
            "ApiUser": self.box.api_user,
            "ApiKey": self.box.api_key,
            "UserName": self.box.username,
            "ClientIp": "127.0.0.1",
        }

    def __call__(self, command: str, **params: Any) -> Answer:
        return self.send(None, {**self.auth(), "Command": f"namecheap.{command}", **params})

    def on(self, command: str, domain: str = "example.com", **params: Any) -> Answer:
        sld, _, tld = domain.partition(".")
        return self(f"domains.dns.{command}", SLD=sld, TLD=tld, **params)

    def set(self, *rows: tuple[Any, ...], domain: str = "example.com", **params: Any) -> Answer:
        """setHosts with rows `(name, type, address[, ttl[, mxpref]])`."""
        return self.on("setHosts", domain, **numbered(rows), **params)

    def rows(self, domain: str = "example.com") -> list[dict[str, str]]:
        answer = self.on("getHosts", domain)
        assert answer.ok, answer.body
        return [dict(item.attrib) for item in answer.all("host")]

    def triples(self, domain: str = "example.com") -> list[tuple[str, str, str]]:
        return [(row["Name"], row["Type"], row["Address"]) for row in self.rows(domain)]

    def mode(self, domain: str = "example.com") -> str:
        return self.on("getHosts", domain).find("DomainDNSGetHostsResult").get("EmailType", "")


def numbered(rows: tuple[tuple[Any, ...], ...]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for number, row in enumerate(rows, 1):
        for name, value in zip(("HostName", "RecordType", "Address", "TTL", "MXPref"), row, strict=False):
            if value is not None:
                params[f"{name}{number}"] = value
    return params
