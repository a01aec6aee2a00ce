"""A model at an OpenAI-compatible host: the ladder of answer forms, time limits, retries and budget. Raises nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from sophia_cli.core.changes import SECRET
from sophia_cli.core.language import RUNGS, Answered, Flaw, ModelMemory, Prompt, Silent
from sophia_cli.core.ports import Clock
from sophia_cli.providers.model.address import host_of, is_loopback, origin_of
from sophia_cli.providers.model.spending import Spending

if TYPE_CHECKING:
    from openai import AsyncOpenAI

RETRIES = 2
LONGEST_WAIT_S = 5.0
NO_KEY = "none"  # servers of one's own take any key; the SDK wants one

Hide = Callable[[str], str]


class Mute(Exception):
    """No answer; the text says why."""


class HostedModel:
    """One model behind `BASE_URL/chat/completions`. Every text on its way out passes `hide`, here and nowhere else.

    Form and errors: https://platform.openai.com/docs/api-reference/chat/create. `timeout_s` bounds one question with all
    its retries; `max_cost_usd` all questions of this object. Raises `InvalidEnvironment` for an address it may not use.
    """

    def __init__(
        self,
        base_url: str,
        name: str,
        hide: Hide,
        memory: ModelMemory,
        clock: Clock,
        *,
        api_key: SecretStr | None = None,
        timeout_s: float = 60,
        max_cost_usd: Decimal | None = None,
    ) -> None:
        self._origin = origin_of(base_url)
        self._base_url = base_url.rstrip("/")
        self._name = name
        self._hide = hide
        self._memory = memory
        self._clock = clock
        self._key = api_key
        self._timeout_s = timeout_s
        self._spending = Spending(max_cost_usd, free=is_loopback(self._origin.split("://")[1].rpartition(":")[0]))
        self._client: AsyncOpenAI | None = None

    @property
    def host(self) -> str:
        """The only place anything is sent to."""
        return host_of(self._base_url)

    @property
    def name(self) -> str:
        """The model's name there."""
        return self._name

    async def answer(self, prompt: Prompt, flaw: Flaw) -> Answered | Silent:
        """Ask, at most four forms and repairs and two retries each. Every failure is a `Silent` with its reason."""
        before = self._spending.usage
        try:
            async with asyncio.timeout(self._timeout_s):
                text, rung = await self._ladder(prompt, flaw)
        except TimeoutError:
            return Silent(f"no whole answer within {self._timeout_s:g} s", self._spending.since(before))
        except Mute as exc:
            return Silent(str(exc), self._spending.since(before))
        return Answered(text, rung, self._spending.since(before))

    def payload(self, prompt: Prompt) -> Mapping[str, Any]:
        """What would be sent first, the key hidden."""
        return {
            "url": f"{self._base_url}/chat/completions",
            "method": "POST",
            "headers": {"authorization": f"Bearer {SECRET if self._key is not None else NO_KEY}"},
            "body": self._body(prompt, RUNGS[0], None),
        }

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    async def _ladder(self, prompt: Prompt, flaw: Flaw) -> tuple[str, str]:
        known = await self._memory.rung(self.host, self._name)
        start = RUNGS.index(known) if known in RUNGS else 0
        for rung in RUNGS[start:]:
            text = await self._said(prompt, rung, None)
            if text is None:
                continue
            await self._memory.remember(self.host, self._name, rung)
            wrong = flaw(text)
            if wrong is None:
                return text, rung
            text = await self._said(prompt, rung, wrong)
            wrong = "it is empty" if text is None else flaw(text)
            if text is None or wrong is not None:
                raise Mute(f"its answer was rejected twice: {wrong}")
            return text, f"{rung}, repaired"
        raise Mute("the host takes no form that an answer can be asked in")

    async def _said(self, prompt: Prompt, rung: str, repair: str | None) -> str | None:
        """The content of one answer; None where the host refuses the form."""
        from sophia_cli.providers.model.failures import FAILURES, may_retry, reason, refuses_form, retry_after

        body = self._body(prompt, rung, repair)
        size = len(json.dumps(body, ensure_ascii=False).encode())
        for attempt in range(RETRIES + 1):
            if not self._spending.has_room(size, prompt.max_tokens):
                raise Mute("max_cost_usd would not cover one more request")
            started, raw = time.monotonic(), ""
            try:
                raw = await self._exchange(body)
            except FAILURES as exc:
                if refuses_form(exc):
                    return None
                if attempt == RETRIES or not may_retry(exc):
                    raise Mute(reason(exc)) from exc
                asked = retry_after(exc)
            else:
                return _content(raw)
            finally:  # one that was given up in time is counted too
                self._spending.add(size, len(raw.encode()), _reported(raw), int((time.monotonic() - started) * 1000))
            await self._clock.sleep(min(LONGEST_WAIT_S, 0.5 * 2**attempt if asked is None else asked))
        raise Mute("the host did not answer")

    async def _exchange(self, body: Mapping[str, Any]) -> str:
        got = await self._sdk().chat.completions.with_raw_response.create(**body)
        text: str = got.http_response.text
        return text

    def _body(self, prompt: Prompt, rung: str, repair: str | None) -> dict[str, Any]:
        """The request's body: the one place where what leaves is put together, and hidden."""
        schema = dict(prompt.schema)
        form = json.dumps(schema, separators=(",", ":"), sort_keys=True)
        messages = [
            {"role": "system", "content": f"{prompt.system}\nAnswer with one JSON object of this schema: {form}"},
            {
                "role": "user",
                "content": json.dumps(hidden(dict(prompt.facts), self._hide), ensure_ascii=True, sort_keys=True),
            },
        ]
        if repair is not None:
            text = f"Your answer was rejected: {repair[:300]}. Answer again, with nothing but the JSON object."
            messages.append({"role": "user", "content": self._hide(text)})
        wanted: dict[str, Any] = {"type": "json_object"}
        if rung == RUNGS[0]:
            wanted = {"type": "json_schema", "json_schema": {"name": prompt.task, "strict": True, "schema": schema}}
        return {
            "model": self._name,
            "messages": messages,
            "response_format": wanted,
            "max_tokens": prompt.max_tokens,
            "temperature": 0,
        }

    def _sdk(self) -> AsyncOpenAI:
        """The client, made once: importing the package takes longer than most commands."""
        if self._client is None:
            import httpx2
            from openai import AsyncOpenAI

            from sophia_cli.providers.model.transport import CONNECT_S, GuardedTransport

            limit = httpx2.Timeout(self._timeout_s, connect=min(CONNECT_S, self._timeout_s))
            self._client = AsyncOpenAI(
                api_key=NO_KEY if self._key is None else self._key.get_secret_value(),
                base_url=self._base_url,
                max_retries=0,
                timeout=limit,
                http_client=httpx2.AsyncClient(
                    transport=GuardedTransport(self._origin), follow_redirects=False, trust_env=False, timeout=limit
                ),
            )
        return self._client


def hidden(data: Any, hide: Hide) -> Any:
    """JSON data with every text, keys included, as it may leave: before it is written as JSON, whose escapes hide secrets."""
    if isinstance(data, str):
        return hide(data)
    if isinstance(data, Mapping):
        return {hide(key): hidden(value, hide) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [hidden(entry, hide) for entry in data]
    return data


def _reported(raw: str) -> object:
    """The usage a host reports, if it is any."""
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return data.get("usage") if isinstance(data, dict) else None


def _content(raw: str) -> str:
    """The text of the one choice. Raises `Mute` for anything that is not an answer."""
    try:
        data = json.loads(raw)
        choice = data["choices"][0]
        message = choice["message"]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as exc:
        raise Mute("the answer is not a chat completion") from exc
    if not isinstance(message, dict):
        raise Mute("the answer is not a chat completion")
    if message.get("tool_calls") or message.get("function_call"):
        raise Mute("the answer calls a tool, and none was offered")
    if message.get("refusal"):
        raise Mute("the model declines to answer")
    if choice.get("finish_reason") in ("length", "content_filter"):
        raise Mute(f"the answer was cut off ({choice['finish_reason']})")
    content = message.get("content")
    if not isinstance(content, str) or not content.strip():
        raise Mute("the answer is empty")
    return content
