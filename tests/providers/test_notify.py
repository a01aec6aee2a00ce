"""Notifications over real servers on loopback: mail with STARTTLS, webhooks in both forms, each matter told once a day."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from pydantic import SecretStr

from sophia_cli.core.errors import CredentialsRejected, ProviderRefused, Unreachable, UsageError
from sophia_cli.core.history import AuditEvent
from sophia_cli.core.notifications import Message
from sophia_cli.core.settings import Smtp
from sophia_cli.flows.events import Stream
from sophia_cli.flows.notify import Alerts, settled, tell
from sophia_cli.providers.notify.smtp import SmtpNotifier
from sophia_cli.providers.notify.webhook import WebhookNotifier
from sophia_cli.store.directory import Directory
from sophia_cli.store.documents import FileDocuments
from sophia_cli.store.told import StoredTold
from tests.memory import MemoryClock
from tests.providers.acme.pebble import _free_port, _server_certificate
from tests.providers.tls.zoo import serving

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TO = SecretStr("ops@acme.example")
PASSWORD = "smtp-password-0123456789"
MESSAGE = Message(
    "cert:acme.example:failed",
    "critical",
    "acme.example: no certificate\r\nBcc: evil@example.net",
    "The authority says <no> & nothing else.",
    "cert:acme.example",
    NOW,
    {"failures": 3},
)


class Post:
    """A mail server that keeps what it gets, and how it came."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.encrypted: list[bool] = []
        self.recipients: list[list[str]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.encrypted.append(session.ssl is not None)
        self.recipients.append(envelope.rcpt_tos)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


@contextmanager
def smtp(folder: Path, **options: Any) -> Iterator[tuple[Post, Smtp, ssl.SSLContext]]:
    ca_file, certificate, key = _server_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    post = Post()
    options = {"tls_context": context, "require_starttls": True, **options}
    port = _free_port()
    controller = Controller(post, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield post, Smtp(host="127.0.0.1", port=port), ssl.create_default_context(cafile=ca_file)
    finally:
        controller.stop()


def test_mail_goes_out_encrypted_to_one_address_with_plain_headers(tmp_path: Path) -> None:
    with smtp(tmp_path) as (post, server, trust):
        asyncio.run(SmtpNotifier(server, TO, trust).send(MESSAGE))
    assert post.encrypted == [True]
    assert post.recipients == [["ops@acme.example"]]
    [mail] = post.mails
    assert mail["Subject"] == "[sophia] acme.example: no certificate Bcc: evil@example.net"
    assert mail["Bcc"] is None
    assert mail["Date"] == "Sun, 22 Nov 2026 12:00:00 +0000"
    body = mail.get_content()
    assert "The authority says <no> & nothing else." in body
    assert "failures: 3" in body


HOSTILE = Message(
    "cert:acme.example:failed",
    "critical",
    "a\x1b[2Jb\u202e\x00c\udcff\r\nBcc: evil@example.net",
    "said \x1b[31m\udc80\x00\n.\r\nQUIT\r\n" + "<&>" * 2000,
    "cert:acme\r\n.example",
    NOW,
    {"name\r\nBcc: x": "CN=a\r\nBcc: evil@example.net\udcff", "count": 3, "at": NOW},
)


def test_hostile_text_is_shown_and_not_obeyed_on_every_way(tmp_path: Path) -> None:
    with smtp(tmp_path) as (post, server, trust):
        asyncio.run(SmtpNotifier(server, TO, trust).send(HOSTILE))
    [mail] = post.mails
    assert (mail["Bcc"], post.recipients) == (None, [["ops@acme.example"]])
    assert mail["Subject"] == r"[sophia] a\x1b[2Jb\u202e\x00c\udcff Bcc: evil@example.net"
    told = [mail.get_content()]
    for form in ("json", "slack"):
        with hook() as (got, url):
            asyncio.run(WebhookNotifier(url, form).send(HOSTILE))
        [(_, body)] = got
        told.append(json.dumps(body, ensure_ascii=False))
        if form == "slack":
            assert max(len(block["text"]["text"]) for block in body["blocks"] if "text" in block) <= 3000
    for text in told:
        assert not {"\x1b", "\x00", "\u202e", "\udcff"} & set(text)
        assert "x1b[31m" in text


def test_a_mail_server_that_drips_does_not_hold_anybody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sophia_cli.providers.notify.smtp.TOTAL_S", 0.3)
    over = threading.Event()

    def drips(connection: socket.socket) -> None:
        while not over.wait(0.05):
            connection.sendall(b"2")

    with serving(drips) as server, pytest.raises(Unreachable, match=r"took longer than 0\.3 s"):
        asyncio.run(SmtpNotifier(Smtp("127.0.0.1", server.port), TO).send(MESSAGE))
    over.set()


def test_a_server_whose_certificate_is_not_trusted_gets_nothing(tmp_path: Path) -> None:
    with smtp(tmp_path) as (post, server, _), pytest.raises(Unreachable):
        asyncio.run(SmtpNotifier(server, TO).send(MESSAGE))
    assert post.mails == []


def test_a_password_is_never_sent_in_the_clear_and_a_wrong_one_is_told_as_such(tmp_path: Path) -> None:
    given: list[bytes] = []

    def check(_server: Any, _session: Any, _envelope: Any, _mechanism: Any, data: Any) -> AuthResult:
        given.append(data.password)
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)

    def server_with(port: int, password: str) -> Smtp:
        return Smtp("127.0.0.1", port, SecretStr("ops"), SecretStr(password))

    with smtp(tmp_path, authenticator=check, auth_required=True) as (post, server, trust):
        asyncio.run(SmtpNotifier(server_with(server.port, PASSWORD), TO, trust).send(MESSAGE))
        with pytest.raises(CredentialsRejected) as caught:
            asyncio.run(SmtpNotifier(server_with(server.port, "wrong"), TO, trust).send(MESSAGE))
    assert len(post.mails) == 1
    assert "wrong" not in str(caught.value)
    given.clear()
    plain = {"tls_context": None, "require_starttls": False, "auth_require_tls": False, "authenticator": check}
    with smtp(tmp_path, **plain) as (post, server, trust), pytest.raises(ProviderRefused, match="no STARTTLS"):
        asyncio.run(SmtpNotifier(server_with(server.port, PASSWORD), TO, trust).send(MESSAGE))
    assert given == []


def test_a_mail_server_that_is_not_there_is_unreachable() -> None:
    with pytest.raises(Unreachable):
        asyncio.run(SmtpNotifier(Smtp("127.0.0.1", 9), TO).send(MESSAGE))


# -- webhooks ---------------------------------------------------------------------------------------------------------------


@contextmanager
def hook(*codes: int) -> Iterator[tuple[list[Any], SecretStr]]:
    """An HTTP server that answers with these codes in turn, and 200 from then on."""
    got: list[Any] = []
    waiting = list(codes)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            code = waiting.pop(0) if waiting else 200
            self.send_response(code)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield got, SecretStr(f"http://127.0.0.1:{server.server_port}/hook-secret-0123")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_webhook_gets_plain_json() -> None:
    with hook() as (got, url):
        asyncio.run(WebhookNotifier(url).send(MESSAGE))
    [(path, body)] = got
    assert path == "/hook-secret-0123"
    assert body["schema"] == "sophia.notification/1"
    assert body["data"]["key"] == MESSAGE.key
    assert body["data"]["details"] == {"failures": 3}


def test_slack_gets_its_form_with_its_control_signs_escaped() -> None:
    with hook() as (got, url):
        asyncio.run(WebhookNotifier(url, "slack").send(MESSAGE))
    [(_, body)] = got
    assert "&lt;no&gt; &amp; nothing else" in body["blocks"][0]["text"]["text"]
    assert body["text"].startswith(":rotating_light:")


def test_an_endless_answer_is_not_read_and_a_late_one_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    def drips(connection: socket.socket) -> None:
        connection.recv(65536)
        while True:
            connection.sendall(b"H")
            threading.Event().wait(0.05)

    with serving(endless) as server:
        asyncio.run(WebhookNotifier(SecretStr(f"http://127.0.0.1:{server.port}/")).send(MESSAGE))
    monkeypatch.setattr("sophia_cli.providers.notify.webhook.TIMEOUT_S", 0.3)
    with serving(drips) as server, pytest.raises(Unreachable):
        asyncio.run(WebhookNotifier(SecretStr(f"http://127.0.0.1:{server.port}/")).send(MESSAGE))


@pytest.mark.parametrize("code", [302, 404, 500])
def test_any_other_answer_is_a_refusal_that_does_not_repeat_the_url(code: int) -> None:
    with hook(code) as (got, url), pytest.raises(ProviderRefused) as caught:
        asyncio.run(WebhookNotifier(url).send(MESSAGE))
    assert len(got) == 1
    assert str(code) in str(caught.value)
    assert "hook-secret" not in str(caught.value)


def test_plain_http_beyond_loopback_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(UsageError):
        WebhookNotifier(SecretStr("http://hooks.example.com/x"))


# -- once a day --------------------------------------------------------------------------------------------------------------


class Deaf:
    """A channel that fails."""

    name = "deaf"
    asked = 0

    async def send(self, message: Message) -> None:
        self.asked += 1
        raise Unreachable("nobody is there")


def test_each_matter_is_told_once_a_day_on_each_channel_and_at_once_when_it_comes_back(tmp_path: Path) -> None:
    events: list[AuditEvent] = []

    async def note(event: AuditEvent) -> None:
        events.append(event)

    async def story(url: SecretStr) -> list[int]:
        clock, deaf = MemoryClock(NOW), Deaf()

        def alerts() -> Alerts:  # a new process each time: the memory is on disk
            told = StoredTold(FileDocuments(Directory(tmp_path / "state")))
            return Alerts([WebhookNotifier(url), deaf], told, clock, Stream("ops", clock, (note,)))

        counts = []
        for wait in (timedelta(), timedelta(hours=1), timedelta(hours=24)):
            await clock.sleep(wait.total_seconds())
            failures = await tell(MESSAGE, alerts())
            assert failures == (f"{MESSAGE.title}: could not be told by deaf: nobody is there",)
            counts.append(len(got))
        await settled(MESSAGE.key, alerts())
        await tell(MESSAGE, alerts())
        counts.append(len(got))
        assert deaf.asked == 4
        return counts

    with hook() as (got, url):
        assert asyncio.run(story(url)) == [1, 1, 2, 3]
    assert {(event.action, event.outcome) for event in events} == {("notify", "sent"), ("notify", "failed")}
    assert not any("hook-secret" in json.dumps(event.data()) for event in events)


def test_a_webhook_that_fails_is_tried_again_the_next_time(tmp_path: Path) -> None:
    async def story(url: SecretStr) -> list[tuple[str, ...]]:
        clock = MemoryClock(NOW)
        alerts = Alerts(
            [WebhookNotifier(url)], StoredTold(FileDocuments(Directory(tmp_path))), clock, Stream("ops", clock)
        )
        return [await tell(MESSAGE, alerts) for _ in range(3)]

    with hook(503) as (got, url):
        first, second, third = asyncio.run(story(url))
    assert (len(first), second, third) == (1, (), ())
    assert len(got) == 2
