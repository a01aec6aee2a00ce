"""Webhooks: one POST a notification, as plain JSON or in the form Slack takes. Follows no redirect."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from sophia_cli.core.errors import ProviderRefused, Unreachable, UsageError
from sophia_cli.core.notifications import Message

TIMEOUT_S = 10.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_MARKS = {"info": ":information_source:", "warning": ":warning:", "critical": ":rotating_light:"}


class WebhookNotifier:
    """Posts to one URL, which is a secret: whoever knows it can post. It is https, or on loopback.

    `form` is `json` or `slack`; None: told by the host.
    """

    name = "webhook"

    def __init__(self, url: SecretStr, form: str | None = None) -> None:
        parts = urlsplit(url.get_secret_value())
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise UsageError("monitoring.webhook is neither https nor on loopback")
        self._url = url
        self._host = parts.hostname or ""
        self._form = form or ("slack" if self._host == "hooks.slack.com" else "json")

    async def send(self, message: Message) -> None:
        """Post it. Raises `Unreachable` without an answer and `ProviderRefused` for any answer but 2xx."""
        import httpx

        body = slack(message) if self._form == "slack" else {"schema": "sophia.notification/1", "data": message.data()}
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client:
                answer = await client.post(self._url.get_secret_value(), json=body)
        except httpx.HTTPError as exc:
            raise Unreachable(
                f"the webhook at {self._host}: {type(exc).__name__}", hint="check monitoring.webhook"
            ) from exc
        if not answer.is_success:
            raise ProviderRefused(
                f"the webhook at {self._host} answers {answer.status_code}", hint="check monitoring.webhook"
            )


def slack(message: Message) -> dict[str, Any]:
    """The form of Slack's incoming webhooks (api.slack.com/messaging/webhooks); `&`, `<` and `>` are its control signs."""
    title, text, target = (_plain(part) for part in (message.title, message.text, message.target))
    return {
        "text": f"{_MARKS[message.level]} {title}",
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": f"{_MARKS[message.level]} *{title}*\n{text}"}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": f"sophia, {target}"}]},
        ],
    }


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")[:2900]
