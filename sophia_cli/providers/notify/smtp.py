"""Mail by SMTP with STARTTLS (RFC 5321, 3207): one message a notification. Sends no attachment and no HTML."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import ssl
import threading
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

from pydantic import SecretStr

from sophia_cli.core.errors import CredentialsRejected, ProviderRefused, SophiaError, Unreachable
from sophia_cli.core.notifications import Message, visible
from sophia_cli.core.settings import Smtp

TIMEOUT_S = 15.0  # of each answer
TOTAL_S = 60.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class SmtpNotifier:
    """Sends to one address. The connection is encrypted before anything of ours is said, unless the server is on loopback."""

    name = "mail"

    def __init__(self, server: Smtp, to: SecretStr, trust: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._to = to
        self._trust = trust

    async def send(self, message: Message) -> None:
        """Send it. Raises `Unreachable`, `CredentialsRejected` or `ProviderRefused`."""
        mail, loop = self._mail(visible(message)), asyncio.get_running_loop()
        where = f"the mail server {self._server.host}:{self._server.port}"
        done: asyncio.Future[SophiaError | None] = loop.create_future()

        def end(failure: SophiaError | None) -> None:
            if not done.done():
                done.set_result(failure)

        def work() -> None:
            failure: SophiaError | None = Unreachable(f"{where}: the mail was not sent")
            try:
                self._send(mail, where)
                failure = None
            except SophiaError as exc:
                failure = exc
            finally:
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(end, failure)

        # A thread of its own that the process does not wait for: a server that sends a byte now and then keeps within
        # every time limit of `smtplib`.
        threading.Thread(target=work, daemon=True, name="mail").start()
        try:
            async with asyncio.timeout(TOTAL_S):
                failure = await done
        except TimeoutError as exc:
            raise Unreachable(f"{where} took longer than {TOTAL_S:g} s", hint="check monitoring.smtp") from exc
        if failure is not None:
            raise failure

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = " ".join(f"[sophia] {message.title}".split())[:200]
        mail["From"] = self._server.sender or self._to.get_secret_value()
        mail["To"] = self._to.get_secret_value()
        mail["Date"] = format_datetime(message.at)
        mail["Message-ID"] = make_msgid(domain="sophia.invalid")
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        details = "".join(f"{key}: {value}\n" for key, value in sorted(message.details.items()))
        mail.set_content(f"{message.text}\n\nTarget: {message.target}\nLevel: {message.level}\n{details}")
        return mail

    def _send(self, mail: EmailMessage, where: str) -> None:
        server = self._server
        trust = self._trust or ssl.create_default_context()
        try:
            with (
                smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_S, context=trust)
                if server.implicit_tls
                else smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_S)
            ) as connection:
                connection.ehlo()
                if not server.implicit_tls:
                    self._encrypt(connection, trust, where)
                if server.username is not None and server.password is not None:
                    connection.login(server.username.get_secret_value(), server.password.get_secret_value())
                connection.send_message(mail)
        except smtplib.SMTPAuthenticationError as exc:
            raise CredentialsRejected(
                f"{where} does not accept the user name and password", hint="check monitoring.smtp"
            ) from exc
        except smtplib.SMTPServerDisconnected as exc:
            raise Unreachable(f"{where} hung up", hint="check monitoring.smtp") from exc
        except smtplib.SMTPException as exc:
            raise ProviderRefused(f"{where} refused the mail: {_said(exc)}", hint="check monitoring.smtp") from exc
        except OSError as exc:
            raise Unreachable(f"{where}: {_said(exc)}", hint="check monitoring.smtp") from exc
        except ValueError:  # an address or a password that SMTP has no words for; the cause would repeat it
            raise ProviderRefused(
                f"{where} cannot be told the user name, the password or an address", hint="check monitoring.smtp"
            ) from None

    def _encrypt(self, connection: smtplib.SMTP, trust: ssl.SSLContext, where: str) -> None:
        if connection.has_extn("starttls"):
            connection.starttls(context=trust)
            connection.ehlo()
        elif self._server.host not in _LOOPBACK or self._server.password is not None:
            raise ProviderRefused(f"{where} offers no STARTTLS, and nothing is sent to it in the clear")


def _said(exc: BaseException) -> str:
    """What went wrong, without the addresses that a refusal repeats."""
    code = getattr(exc, "smtp_code", None)
    if code is not None:
        return f"code {code}"
    reason = getattr(exc, "strerror", None)
    return reason if isinstance(reason, str) and reason else type(exc).__name__
