"""The Pulumi Cloud client against a loopback server that speaks the ESC REST API."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from sophia_cli.core.errors import (
    BadResponse,
    CredentialsRejected,
    InvalidEnvironment,
    OutcomeUnknown,
    ProviderBusy,
    ProviderRefused,
    RateLimited,
    SophiaError,
    StalePlan,
    Unreachable,
    UsageError,
)
from sophia_cli.esc.cloud import Address, Cloud, Credentials, address, credentials, environment, imported, overlaid
from sophia_cli.esc.load import load
from sophia_cli.esc.overrides import override

TOKEN = "pul-0123456789secret"
WHERE = Address("acme", "shop", "prod")
BASE = "/api/esc/environments/acme/shop/prod"


def at(line: int, file: str = "prod") -> dict[str, Any]:
    return {"def": {"environment": file, "begin": {"line": line, "column": 3, "byte": 0}, "end": {"line": line}}}


OPENED = {
    "properties": {
        "dns": {
            "value": {
                "ttl": {"value": 600, "trace": {**at(4), "base": {"value": 300, "trace": at(2, "base")}}},
                "domain": {"value": "acme.example", "trace": at(5)},
                "big": {"value": 12345678901234567890123, "trace": at(5)},
            },
            "trace": at(3),
        },
        "key": {"value": "hush", "secret": True, "trace": at(7)},
        "later": {"unknown": True, "trace": at(8)},
        "user": {
            "value": {"value": {"value": 1, "trace": at(9)}, "other": {"value": 2, "trace": at(9)}},
            "trace": at(9),
        },
        "list": {"value": [{"value": None, "trace": {}}, {"value": True, "trace": {}}], "trace": {}},
    }
}


class Service(ThreadingHTTPServer):
    """Answers by (method, path); keeps what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, dict[str, str], str]] = []
        self.answers: dict[tuple[str, str], tuple[int, dict[str, str], bytes] | None] = {}

    def answer(self, method: str, path: str, body: Any, status: int = 200, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers[method, path] = (status, headers, data)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Service

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        if self.headers.get("Authorization") != f"token {TOKEN}":
            self._send(401, {}, b"{}")
            return
        found = self.server.answers.get(
            (self.command, urlsplit(self.path).path), (404, {}, b'{"message": "not found"}')
        )
        if found is None:  # take the request and hang up
            self.close_connection = True
            self.connection.close()
            return
        self._send(*found)

    do_GET = do_POST = do_PATCH = _serve

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def service() -> Iterator[Service]:
    server = Service()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def ask(service: Service, use: Callable[[Cloud], Coroutine[Any, Any, Any]], token: str = TOKEN) -> Any:
    async def run() -> Any:
        async with Cloud(Credentials(SecretStr(token), service.url), timeout_s=5) as client:
            return await use(client)

    return asyncio.run(run())


def test_open_asks_for_a_session_and_reads_it_with_flags_and_origins(service: Service) -> None:
    service.answer("POST", f"{BASE}/open", {"id": "session-1"})
    service.answer("GET", f"{BASE}/open/session-1", OPENED)
    found = ask(service, lambda client: client.open(WHERE))
    assert found.values() == {
        "dns": {"ttl": 600, "domain": "acme.example", "big": 12345678901234567890123},
        "key": "[secret]",
        "later": "[unknown]",
        "user": {"value": 1, "other": 2},
        "list": [None, True],
    }
    assert found.values(reveal=True)["key"] == "hush"
    assert [(step.role, step.file, step.line) for step in found.explain("dns.ttl")] == [
        ("value", "prod", 4),
        ("overridden", "base", 2),
    ]
    assert (found.name, found.local, found.file) == ("prod", False, None)
    method, path, headers, _ = service.asked[0]
    assert (method, parse_qs(urlsplit(path).query)) == ("POST", {"duration": ["2h0m0s"]})
    assert headers["Accept"] == "application/vnd.pulumi+8"


def test_a_version_is_part_of_the_path_when_opening(service: Service) -> None:
    service.answer("POST", f"{BASE}/versions/3/open", {"id": "s"})
    service.answer("GET", f"{BASE}/open/s", {})
    assert ask(service, lambda client: client.open(Address("acme", "shop", "prod", "3"))).values() == {}


def test_diagnostics_of_the_service_become_ours(service: Service) -> None:
    body = {"diagnostics": [{"summary": 'unknown property "x"', "path": "values.a", "range": at(4)["def"]}]}
    service.answer("POST", f"{BASE}/open", body, 400)
    with pytest.raises(InvalidEnvironment) as caught:
        ask(service, lambda client: client.open(WHERE))
    (one,) = caught.value.details["diagnostics"]
    assert (one["file"], one["line"], one["column"], one["path"], one["severity"]) == (
        "prod",
        4,
        3,
        "values.a",
        "error",
    )


def test_a_given_text_is_checked_and_opened_without_being_stored(service: Service) -> None:
    service.answer("POST", "/api/esc/environments/acme/yaml/check", OPENED)
    service.answer("POST", "/api/esc/environments/acme/yaml/open", {"id": "s2"})
    service.answer("GET", "/api/esc/environments/acme/yaml/open/s2", OPENED)
    for use in (
        lambda client: client.check("acme", "values: {}"),
        lambda client: client.open_text("acme", "values: {}"),
    ):
        assert ask(service, use).values()["key"] == "[secret]"
    assert [body for method, _, _, body in service.asked if method == "POST"] == ["values: {}", "values: {}"]


def test_a_definition_is_read_and_updated_with_its_etag(service: Service) -> None:
    service.answer("GET", BASE, b"values: {a: 1}\n", ETag="tag-1")
    service.answer("GET", f"{BASE}/decrypt", b"values: {a: plain}\n", ETag="tag-1")
    service.answer("PATCH", BASE, {"diagnostics": [{"summary": "careful", "severity": "warning"}]})
    stored = ask(service, lambda client: client.definition(WHERE))
    assert (stored.text, stored.etag) == ("values: {a: 1}\n", "tag-1")
    assert "plain" in ask(service, lambda client: client.definition(WHERE, decrypt=True)).text
    warnings = ask(service, lambda client: client.update(WHERE, "values: {a: 2}", "tag-1"))
    assert [(one.severity, one.message) for one in warnings] == [("warning", "careful")]
    method, _, headers, body = service.asked[-1]
    assert (method, headers["ETag"], body) == ("PATCH", "tag-1", "values: {a: 2}")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, b"", CredentialsRejected),
        (403, b"", CredentialsRejected),
        (404, b"", InvalidEnvironment),
        (409, b"", StalePlan),
        (412, b"", StalePlan),
        (429, b"", RateLimited),
        (302, b"", BadResponse),
        (418, b"", ProviderRefused),
        (400, b"not json", ProviderRefused),
        (500, b"", ProviderBusy),
        (200, b"<html>", BadResponse),
        (200, b"[]", BadResponse),
        (200, b'{"id": "../../evil"}', BadResponse),
        (200, b"\xff", BadResponse),
        (200, b"[" * 100_000, BadResponse),
    ],
)
def test_each_failure_has_its_own_error_and_none_shows_the_token(
    service: Service, status: int, body: bytes, error: type[SophiaError]
) -> None:
    service.answer("POST", f"{BASE}/open", body, status, Location="https://evil.example/")
    with pytest.raises(error) as caught:
        ask(service, lambda client: client.open(WHERE))
    assert type(caught.value) is error
    assert TOKEN not in f"{caught.value.message} {caught.value.hint} {caught.value.details} {caught.value.__cause__!r}"
    assert len(service.asked) == 1


def test_a_wrong_token_is_rejected_and_not_shown(service: Service) -> None:
    with pytest.raises(CredentialsRejected) as caught:
        ask(service, lambda client: client.open(WHERE), token="pul-wrong")
    assert "pul-wrong" not in str(caught.value.message)
    assert "127.0.0.1" in caught.value.message


@pytest.mark.parametrize("status", [500, None])
def test_a_write_whose_answer_is_lost_is_neither_done_nor_undone(service: Service, status: int | None) -> None:
    service.answers["PATCH", BASE] = None if status is None else (status, {}, b"")
    with pytest.raises(OutcomeUnknown):
        ask(service, lambda client: client.update(WHERE, "values: {}", "t"))


def test_a_service_that_is_not_there_is_unreachable() -> None:
    server = Service()
    server.server_close()
    with pytest.raises(Unreachable) as caught:
        ask(server, lambda client: client.open(WHERE))
    assert caught.value.retryable


@pytest.mark.parametrize("backend", ["http://api.example", "ftp://x", "https://u:p@api.pulumi.com", "nonsense"])
def test_the_token_goes_only_to_https_or_loopback(backend: str) -> None:
    with pytest.raises(UsageError) as caught:
        Cloud(Credentials(SecretStr(TOKEN), backend))
    assert TOKEN not in caught.value.message


def test_imports_that_are_not_on_disk_are_fetched_with_all_that_they_import(service: Service, tmp_path: Path) -> None:
    root = "/api/esc/environments/acme"
    service.answer("GET", f"{root}/default/far", b"imports: [shop/deep]\nvalues: {far: 1}")
    service.answer("GET", f"{root}/shop/deep/versions/2", b"values: {two: 2}")
    service.answer("GET", f"{root}/shop/deep", b"values: {deep: '${context.currentEnvironment.name}'}")
    (tmp_path / "near.yaml").write_text("values: {near: 1}")
    path = tmp_path / "env.yaml"
    path.write_text("imports: [near, far, shop/deep@2, lost]\n")
    found = ask(service, lambda client: imported(path, client, "acme"))
    assert sorted(found) == ["far", "shop/deep", "shop/deep@2"]
    result = load(path, cloud=found)
    assert result.values() == {"near": 1, "far": 1, "deep": "shop/deep", "two": 2}
    assert ['"lost"' in one.message for one in result.errors] == [True]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a/b/c", Address("a", "b", "c")),
        ("a/b/c@12", Address("a", "b", "c", "12")),
        ("a/b/c@prod", Address("a", "b", "c", "prod")),
        ("a/b", None),
        ("a/b/c/d", None),
        ("../b/c", None),
        ("a/b/c@", None),
        ("a b/c/d", None),
        ("esc/dev/env.yaml", Address("esc", "dev", "env.yaml")),
    ],
)
def test_addresses_are_told_from_paths(text: str, found: Address | None) -> None:
    assert address(text) == found
    if found is not None:
        assert str(found) == text


def test_the_token_comes_from_the_variable_else_from_the_clis_file(tmp_path: Path) -> None:
    stored = {
        "current": "https://api.pulumi.com",
        "accessTokens": {"https://api.pulumi.com": "pul-old"},
        "accounts": {"https://self.example": {"accessToken": "pul-self"}},
    }
    (tmp_path / ".pulumi").mkdir()
    (tmp_path / ".pulumi/credentials.json").write_text(json.dumps(stored))
    found = credentials({"PULUMI_ACCESS_TOKEN": TOKEN, "PULUMI_BACKEND_URL": "https://self.example/"}, tmp_path)
    assert found == Credentials(SecretStr(TOKEN), "https://self.example")
    assert credentials({}, tmp_path) == Credentials(SecretStr("pul-old"), "https://api.pulumi.com")
    assert credentials({"PULUMI_BACKEND_URL": "https://self.example"}, None) is None
    assert credentials({"PULUMI_BACKEND_URL": "https://self.example"}, tmp_path) == Credentials(
        SecretStr("pul-self"), "https://self.example"
    )
    assert credentials({"PULUMI_HOME": str(tmp_path / ".pulumi")}, None) is not None
    assert credentials({"PULUMI_HOME": str(tmp_path / "no")}, tmp_path) is None
    assert credentials({"PULUMI_ACCESS_TOKEN": TOKEN, "PULUMI_BACKEND_URL": "file://~"}, None) is None
    assert TOKEN not in repr(found)


@pytest.mark.parametrize("text", ["{", "[]", '{"accounts": [], "current": "https://x.example"}', '{"current": 1}'])
def test_a_broken_credentials_file_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / ".pulumi").mkdir()
    (tmp_path / ".pulumi/credentials.json").write_text(text)
    assert credentials({}, tmp_path) is None


@pytest.mark.parametrize(
    "data", [None, [], {"properties": []}, {"properties": {"a": 1}}, {"properties": {"a": {"value": {"b": 2}}}}]
)
def test_an_answer_of_another_shape_is_unknown_and_never_empty(data: Any) -> None:
    with pytest.raises(BadResponse):
        environment(data, "acme/shop/prod")


def test_overrides_become_a_definition_that_imports_the_environment() -> None:
    text = overlaid(Address("acme", "shop", "prod", "3"), [override("dns.ttl=600"), override("a.b=${x}")])
    assert json.loads(text) == {"imports": ["shop/prod@3"], "values": {"dns": {"ttl": 600}, "a": {"b": "$${x}"}}}
    for wrong in ("a[0]=1", "a[0].b=1"):
        with pytest.raises(UsageError):
            overlaid(WHERE, [override(wrong)])
