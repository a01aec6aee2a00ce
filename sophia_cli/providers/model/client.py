"""A model at an OpenAI-compatible host: the ladder of answer forms, time limits, retries and budget. Raises nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from sophia_cli.core.changes import SECRET
from sophia_cli.core.language import RUNGS, Answered, Flaw, Hear, ModelMemory, Prompt, Silent
from sophia_cli.core.ports import Clock
from sophia_cli.providers.model.address import host_of, is_loopback, origin_of
from sophia_cli.providers.model.completion import Mute, Received, bounded, content, streamed
from sophia_cli.providers.model.spending import Spending

if TYPE_CHECKING:
    from openai import AsyncOpenAI

RETRIES = 2
LONGEST_WAIT_S = 5.0
NO_KEY = "none"  # servers of one's own take any key; the SDK wants one

Hide = Callable[[str], str]
Exchange = Callable[[Mapping[str, Any], Received], Awaitable[str]]
"""Sends a body; gives the content, and notes what came even when it fails."""


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
        return await self._bounded(self._ladder(prompt, flaw))

    async def tell(self, prompt: Prompt, hear: Hear) -> Answered | Silent:
        """Ask for prose, streamed where the prompt wants it. Nothing is sent again once a piece of it was heard."""
        return await self._bounded(self._prose(prompt, hear))

    async def _bounded(self, asked: Awaitable[tuple[str, str]]) -> Answered | Silent:
        before = self._spending.usage
        try:
            async with asyncio.timeout(self._timeout_s):
                text, rung = await asked
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

    async def _prose(self, prompt: Prompt, hear: Hear) -> tuple[str, str]:
        exchange = partial(self._streamed, hear) if prompt.streamed else self._exchange
        text = await self._sent(self._body(prompt, RUNGS[-1], None), prompt.max_tokens, exchange)
        if text is None:
            raise Mute("the host does not take the request")
        if not prompt.streamed:
            hear(bounded(text))
        return text, "prose, streamed" if prompt.streamed else "prose"

    async def _said(self, prompt: Prompt, rung: str, repair: str | None) -> str | None:
        return await self._sent(self._body(prompt, rung, repair), prompt.max_tokens, self._exchange)

    async def _sent(self, body: Mapping[str, Any], max_tokens: int, exchange: Exchange) -> str | None:
        """The content of one answer; None where the host refuses the form."""
        from sophia_cli.providers.model.failures import FAILURES, may_retry, reason, refuses_form, retry_after

        size = len(json.dumps(body, ensure_ascii=False).encode())
        for attempt in range(RETRIES + 1):
            if not self._spending.has_room(size, max_tokens):
                raise Mute("max_cost_usd would not cover one more request")
            started, got = time.monotonic(), Received()
            try:
                return await exchange(body, got)
            except FAILURES as exc:
                if refuses_form(exc):
                    return None
                if got.heard or attempt == RETRIES or not may_retry(exc):
                    raise Mute(reason(exc)) from exc
                asked = retry_after(exc)
            finally:  # one that was given up in time is counted too
                self._spending.add(size, got.size, got.usage, int((time.monotonic() - started) * 1000))
            await self._clock.sleep(min(LONGEST_WAIT_S, 0.5 * 2**attempt if asked is None else asked))
        raise Mute("the host did not answer")

    async def _exchange(self, body: Mapping[str, Any], got: Received) -> str:
        answer = await self._sdk().chat.completions.with_raw_response.create(**body)
        return content(answer.http_response.text, got)

    async def _streamed(self, hear: Hear, body: Mapping[str, Any], got: Received) -> str:
        async with self._sdk().chat.completions.with_streaming_response.create(**body) as answer:
            if "text/event-stream" in answer.headers.get("content-type", "").lower():
                return await streamed(answer.iter_lines(), got, hear)
            text = bounded(content(await answer.text(), got))  # a host that does not stream answers whole
            hear(text)
            return text

    def _body(self, prompt: Prompt, rung: str, repair: str | None) -> dict[str, Any]:
        """The request's body: the one place where what leaves is put together, and hidden."""
        schema = dict(prompt.schema)
        form = json.dumps(schema, separators=(",", ":"), sort_keys=True)
        as_json = f"\nAnswer with one JSON object of this schema: {form}" if schema else ""
        messages = [
            {"role": "system", "content": prompt.system + as_json},
            {
                "role": "user",
                "content": json.dumps(hidden(dict(prompt.facts), self._hide), ensure_ascii=True, sort_keys=True),
            },
        ]
        if repair is not None:
            text = f"Your answer was rejected: {repair[:300]}. Answer again, with nothing but the JSON object."
            messages.append({"role": "user", "content": self._hide(text)})
        wanted: dict[str, Any] = {}
        if schema and rung == "json_schema":
            strict = {"name": prompt.task, "strict": True, "schema": schema}
            wanted = {"response_format": {"type": "json_schema", "json_schema": strict}}
        elif schema and rung == "json_object":
            wanted = {"response_format": {"type": "json_object"}}
        return {
            "model": self._name,
            "messages": messages,
            **wanted,
            "max_tokens": prompt.max_tokens,
            "temperature": 0,
            **({"stream": True} if prompt.streamed else {}),
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
