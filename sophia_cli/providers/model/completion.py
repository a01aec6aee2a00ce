"""Chat completions as text: a whole answer, or one that comes as server-sent events. Believes and shows nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from sophia_cli.core.language import Hear
from sophia_cli.providers.model.spending import BYTES_A_TOKEN

LONGEST_PROSE = 8_000  # characters of one streamed answer


class Mute(Exception):
    """No answer; the text says why."""


@dataclass(slots=True)
class Received:
    """What one request brought so far: counted even when it is given up half way."""

    size: int = 0
    """Bytes of the answer; of a stream at least one token an event, whatever it holds."""
    usage: object = None
    heard: bool = False
    """Whether a piece of it was handed on: then nothing may be sent again."""


def content(raw: str, got: Received) -> str:
    """The text of the one choice of a whole answer. Raises `Mute` for anything that is not an answer."""
    got.size = len(raw.encode("utf-8", "surrogatepass"))
    try:
        data = json.loads(raw)
        got.usage = data.get("usage")
        choice = data["choices"][0]
        message = choice["message"]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as exc:
        raise Mute("the answer is not a chat completion") from exc
    if not isinstance(message, dict):
        raise Mute("the answer is not a chat completion")
    text = piece_of(message)
    _whole(choice.get("finish_reason"))
    if not text.strip():
        raise Mute("the answer is empty")
    return text


async def streamed(lines: AsyncIterator[str], got: Received, hear: Hear) -> str:
    """The text of a stream, handed on piece by piece. Raises `Mute` where it is none, calls a tool, or breaks off.

    Form: https://platform.openai.com/docs/api-reference/chat/streaming, over the events of WHATWG HTML 9.2.
    """
    text, finished = "", False
    async for line in lines:
        name, _, data = line.partition(":")
        if name != "data":
            continue
        if data.strip() == "[DONE]":
            finished = True
            break
        piece, ended = _event(data, got)
        finished = finished or ended
        text = bounded(text + piece)
        if piece:
            got.heard = True
            hear(piece)
    if not finished:
        raise Mute("the host broke off in the middle")
    if not text.strip():
        raise Mute("the answer is empty")
    return text


def bounded(text: str) -> str:
    """Prose of a length that somebody reads. Raises `Mute` for more."""
    if len(text) > LONGEST_PROSE:
        raise Mute(f"the answer is longer than {LONGEST_PROSE} characters")
    return text


def _event(data: str, got: Received) -> tuple[str, bool]:
    """The piece of one event, and whether it ends the answer."""
    got.size += BYTES_A_TOKEN
    try:
        chunk = json.loads(data)
        if "error" in chunk:
            raise Mute("the host failed in the middle")
        got.usage = chunk.get("usage") or got.usage
        if not chunk["choices"]:
            return "", False  # the last chunk, which holds the usage alone
        choice = chunk["choices"][0]
        delta = choice["delta"]
        piece = piece_of(delta)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as exc:
        raise Mute("the stream is not one of a chat completion") from exc
    got.size += max(0, len(piece.encode("utf-8", "surrogatepass")) - BYTES_A_TOKEN)
    _whole(choice.get("finish_reason"))
    return piece, choice.get("finish_reason") is not None


def piece_of(message: dict[str, Any]) -> str:
    """The text of a message or of a piece of one. Raises `Mute` for tool calls and refusals."""
    if message.get("tool_calls") or message.get("function_call"):
        raise Mute("the answer calls a tool, and none was offered")
    if message.get("refusal"):
        raise Mute("the model declines to answer")
    text = message.get("content")
    return text if isinstance(text, str) else ""


def _whole(finish: object) -> None:
    if finish in ("length", "content_filter"):
        raise Mute(f"the answer was cut off ({finish})")
    if finish in ("tool_calls", "function_call"):
        raise Mute("the answer calls a tool, and none was offered")
