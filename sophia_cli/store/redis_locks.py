"""Locks on a Redis server: leases with a token that every state write of the holder must still own. Waits for nobody."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from sophia_cli.core.errors import Locked, StateError, UsageError
from sophia_cli.core.ports import Clock
from sophia_cli.store.locks import locked, note_of
from sophia_cli.store.redis_server import Server

LEASE_S = 120.0
WRITE_S = 70.0  # the longest a provider's call takes (its time limit of 60 s and 10 s to connect)

_TAKE = """
for i = 1, #KEYS do
  local held = redis.call('GET', KEYS[i])
  if held then return {'held', i, held} end
end
for i = 1, #KEYS do redis.call('SET', KEYS[i], ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3]) end
return {'ok'}
"""

_RELEASE = """
for i = 1, #KEYS do
  local held = redis.call('GET', KEYS[i])
  if held and string.sub(held, 1, #ARGV[1] + 1) == ARGV[1] .. ' ' then redis.call('DEL', KEYS[i]) end
end
"""

# What stands before every state write: KEYS[1..n] are locks and ARGV[3..2+n] the tokens we hold them by ('': we do not).
# In the same step as the write the leases are checked and made whole again, so a write of the provider that follows a
# state write always starts with the whole lease before it. `k` and `a` are where the write's own keys and arguments begin.
_GUARD = """
local k, a = tonumber(ARGV[1]), 2 + tonumber(ARGV[1])
for i = 1, k do
  local held, token = redis.call('GET', KEYS[i]), ARGV[2 + i]
  if token == '' then
    if held then return {'held', i, held} end
  elseif not held then return {'lost', i, ''}
  elseif string.sub(held, 1, #token + 1) ~= token .. ' ' then return {'lost', i, held} end
end
for i = 1, k do
  if ARGV[2 + i] ~= '' then redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
end
"""


class LeaseLost(StateError):
    """The lease of a lock ran out while it was held: another run may have it, so nothing more is recorded."""

    def __init__(self, target: str, holder: bytes) -> None:
        note = locked(target, holder.partition(b" ")[2]).message if holder else f"{target}: nobody holds it now"
        super().__init__(
            f"the lease of the lock ran out while this run held it ({note})",
            hint="run: sophia heal",
            details={"target": target},
        )
        self.target = target


class RedisLocks:
    """A lock is a key that ends with its lease; it is renewed while it is held.

    A killed holder's lock ends with the lease. A holder that was away for longer (a suspended laptop, a partition) finds
    at its next state write that its token is gone: see `write`. The lease is measured by the server alone.
    """

    def __init__(
        self,
        server: Server,
        clock: Clock,
        *,
        lease_s: float = LEASE_S,
        write_s: float = WRITE_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,  # real time: leases run on the server's clock
    ) -> None:
        if lease_s <= write_s:
            raise UsageError(f"a lease of {lease_s:g} s is shorter than a write may take ({write_s:g} s)")
        self._server = server
        self._clock = clock
        self._lease_s = lease_s
        self._sleep = sleep
        self._held: dict[str, str] = {}

    def hold(self, targets: Sequence[str], purpose: str) -> AbstractAsyncContextManager[None]:
        """Hold the locks of these targets; all are taken in one step, or none."""
        return self._hold(sorted(set(targets)), purpose)

    @contextlib.asynccontextmanager
    async def _hold(self, targets: Sequence[str], purpose: str) -> AsyncIterator[None]:
        token = secrets.token_hex(16)
        keys = [self._key(target) for target in targets]
        try:
            if keys:
                await self._take(targets, keys, token, purpose)
            self._held.update(dict.fromkeys(targets, token))
            renewing = asyncio.create_task(self._renew(targets, keys, token))
            try:
                yield
            finally:
                renewing.cancel()
                await asyncio.wait({renewing})
        finally:
            for target in targets:
                if self._held.get(target) == token:
                    del self._held[target]
            with contextlib.suppress(StateError):  # what was to be done is done; the lease ends by itself
                await self._release(keys, token)

    async def _take(self, targets: Sequence[str], keys: Sequence[str], token: str, purpose: str) -> None:
        note = json.dumps(note_of(purpose, self._clock))
        answer = await self._server.run(_TAKE, keys, [token, note, round(self._lease_s * 1000)])
        if answer[0] == b"held":
            raise _held_by(targets[answer[1] - 1], answer[2])

    async def _renew(self, targets: Sequence[str], keys: Sequence[str], token: str) -> None:
        while keys:
            await self._sleep(self._lease_s / 3)
            with contextlib.suppress(StateError):  # the next state write tells; until then another try may do
                await self._server.run(_GUARD + "return {'ok'}", keys, self._arguments([token] * len(keys)))

    async def _release(self, keys: Sequence[str], token: str) -> None:
        if keys:
            await self._server.run(_RELEASE, keys, [token])

    async def assure(self, timeout_s: float) -> None:
        """Make every held lease whole. Raises `LeaseLost`, or `StateError` when less than `timeout_s` is left then."""
        started = time.monotonic()
        await self.write("return {'ok'}", (), (), targets=tuple(self._held))
        left = self._lease_s - (time.monotonic() - started)
        if left <= timeout_s:
            raise StateError(f"only {left:.0f} s of the lease are left, and a write may take {timeout_s:.0f} s")

    def held(self) -> tuple[str, ...]:
        """The targets whose locks are held through this object."""
        return tuple(self._held)

    async def write(
        self,
        script: str,
        keys: Sequence[str],
        arguments: Sequence[str | bytes | int],
        *,
        targets: Iterable[str],
    ) -> Any:
        """Run a script that writes state about these targets, if no lock forbids it.

        The script's own begin at `KEYS[k + 1]` and `ARGV[a + 1]`. Raises `LeaseLost` when a lock that is held here ran out,
        and `Locked` when one that is not is held by another run.
        """
        named = sorted(set(targets))
        tokens = [self._held.get(target, "") for target in named]
        answer = await self._server.run(
            _GUARD + script, [*map(self._key, named), *keys], [*self._arguments(tokens), *arguments]
        )
        if isinstance(answer, list) and answer and answer[0] == b"lost":
            raise LeaseLost(named[answer[1] - 1], answer[2])
        if isinstance(answer, list) and answer and answer[0] == b"held":
            raise _held_by(named[answer[1] - 1], answer[2])
        return answer

    def _arguments(self, tokens: Sequence[str]) -> list[str | bytes | int]:
        return [len(tokens), round(self._lease_s * 1000), *tokens]

    def _key(self, target: str) -> str:
        return self._server.key("lock", target)


def _held_by(target: str, holder: bytes) -> Locked:
    return locked(target, holder.partition(b" ")[2])
