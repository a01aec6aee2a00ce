"""Spending: tokens and dollars of one command, counted so that no host can talk them down. Sends nothing."""

from __future__ import annotations

from decimal import Decimal

from sophia_cli.core.language import Usage

BYTES_A_TOKEN = 3  # English and JSON run at about four bytes a token; three is on the dear side
# US dollars for a million tokens, in and out: above the list prices of the dearest common models, because a host is not
# asked for its prices and must not be believed on them. What is said is therefore "at most".
PRICE_IN, PRICE_OUT = Decimal(15), Decimal(75)
MILLION = Decimal(1_000_000)
MOST_REPORTED = 10_000_000  # tokens; above it a report is not a count


class Spending:
    """What a command has spent on a model, and whether more may be. A limit of None: no limit. Loopback hosts are free."""

    def __init__(self, limit: Decimal | None, *, free: bool = False) -> None:
        self._limit = limit
        self._free = free
        self.usage = Usage()

    def has_room(self, sent_bytes: int, max_tokens: int) -> bool:
        """Whether a request of this size stays within the limit even if the answer is as long as it may be."""
        if self._limit is None:
            return True
        return self.usage.cost_usd + self._cost(_tokens(sent_bytes), max_tokens) <= self._limit

    def add(self, sent_bytes: int, got_bytes: int, reported: object, latency_ms: int) -> None:
        """Count one request: the host's report where it is a count above our own measure, else the measure."""
        given = reported if isinstance(reported, dict) else {}
        tokens_in = max(_tokens(sent_bytes), _count(given.get("prompt_tokens")))
        tokens_out = max(_tokens(got_bytes), _count(given.get("completion_tokens")))
        before = self.usage
        self.usage = Usage(
            before.requests + 1,
            before.tokens_in + tokens_in,
            before.tokens_out + tokens_out,
            before.cost_usd + self._cost(tokens_in, tokens_out),
            before.latency_ms + latency_ms,
        )

    def since(self, before: Usage) -> Usage:
        """What was spent after an earlier state."""
        now = self.usage
        return Usage(
            now.requests - before.requests,
            now.tokens_in - before.tokens_in,
            now.tokens_out - before.tokens_out,
            now.cost_usd - before.cost_usd,
            now.latency_ms - before.latency_ms,
        )

    def _cost(self, tokens_in: int, tokens_out: int) -> Decimal:
        if self._free and self._limit is None:
            return Decimal(0)
        return ((tokens_in * PRICE_IN + tokens_out * PRICE_OUT) / MILLION).quantize(Decimal("0.000001"))


def _tokens(size: int) -> int:
    return -(-size // BYTES_A_TOKEN)


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value <= MOST_REPORTED else 0
