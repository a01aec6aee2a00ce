"""Webhooks: one POST a notification, as plain JSON or in the form Slack takes. Follows no redirect."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from sophia_cli.core.errors import ProviderRefused, Unreachable, UsageError
from sophia_cli.core.notifications import Message, visible

TIMEOUT_S = 10.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_MARKS = {"info": ":information_source:", "warning": ":warning:", "critical": ":rotating_light:"}


class WebhookNotifier:
    """Posts to one URL, which is a secret: whoever knows it can post. It is https, or on loopback.

    `form` is `json` or `slack`; None: told by the host.
    """

    name = "webhook"

    def __init__(self, url: SecretStr, form: str | None = None) -> None:
        try:
            parts = urlsplit(url.get_secret_value())
            _ = parts.port
        except ValueError:
            raise UsageError("monitoring.webhook is no URL") from None  # the cause would repeat it
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise UsageError("monitoring.webhook is neither https nor on loopback")
        self._url = url
        self._host = parts.hostname or ""
        self._form = form or ("slack" if self._host == "hooks.slack.com" else "json")

    async def send(self, message: Message) -> None:
        """Post it; the body of the answer is not read. Raises `Unreachable`, and `ProviderRefused` for any status but 2xx."""
        import httpx

        told = visible(message)
        body = slack(told) if self._form == "slack" else {"schema": "sophia.notification/1", "data": told.data()}
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client,
                client.stream("POST", self._url.get_secret_value(), json=body) as answer,
            ):
                status, is_good = answer.status_code, answer.is_success
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as exc:
            raise Unreachable(
                f"the webhook at {self._host}: {type(exc).__name__}", hint="check monitoring.webhook"
            ) from exc
        if not is_good:
            raise ProviderRefused(f"the webhook at {self._host} answers {status}", hint="check monitoring.webhook")


def slack(message: Message) -> dict[str, Any]:
    """The form of Slack's incoming webhooks (api.slack.com/messaging/webhooks); `&`, `<` and `>` are its control signs."""
    title, text, target = _plain(message.title, 200), _plain(message.text, 2700), _plain(message.target, 300)
    return {
        "text": f"{_MARKS[message.level]} {title}",
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": f"{_MARKS[message.level]} *{title}*\n{text}"}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": f"sophia, {target}"}]},
        ],
    }


def _plain(text: str, most: int) -> str:
    """Escaped and cut: a text of 3000 characters is the most that a block takes."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")[:most]
