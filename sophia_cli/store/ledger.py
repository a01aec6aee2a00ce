"""Where the calls of an account are written down, for all processes that share a state. Knows no limits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from sophia_cli.core.errors import StateError
from sophia_cli.core.ports import Clock
from sophia_cli.store.directory import Directory, replace_text, translated
from sophia_cli.store.redis_server import Server

Calls = tuple[int, ...]
Move = Callable[[int, Calls | None], Calls]
"""From the time now and the calls so far (milliseconds since 1970; None: they cannot be read) to the calls to keep."""

_KEEP_MS = 25 * 3600 * 1000
_TRIES = 1000

_READ = """
local time = redis.call('TIME')
return {time[1], time[2], redis.call('GET', KEYS[1])}
"""


class FileLedger:
    """A file in the state directory, changed under a lock; the time is this machine's."""

    def __init__(self, directory: Directory, account: str, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._path = directory.path("budget", _name(account) + ".json")

    async def read(self) -> tuple[int, Calls | None]:
        """The time now and the calls so far."""
        return self._now(), _calls(self._content())

    async def exchange(self, move: Move) -> None:
        """Replace the calls by what `move` makes of them; no other process comes between."""
        with self._directory.alone("budget", "budget.lock"), translated(self._path):
            after = move(self._now(), _calls(self._content()))
            replace_text(self._path, _text(after))

    def _now(self) -> int:
        return round(self._clock.now().timestamp() * 1000)

    def _content(self) -> bytes | None:
        with translated(self._path):
            try:
                return self._path.read_bytes()
            except FileNotFoundError:
                return None


class RedisLedger:
    """A key on the server; the time is the server's, so machines whose clocks differ agree. `clock` is for tests."""

    def __init__(self, server: Server, account: str, clock: Clock | None = None) -> None:
        self._server = server
        self._clock = clock
        self._key = server.key("budget", _name(account))

    async def read(self) -> tuple[int, Calls | None]:
        """The time now and the calls so far."""
        now, content = await self._read()
        return now, _calls(content)

    async def exchange(self, move: Move) -> None:
        """Replace the calls by what `move` makes of them; tried again when another process came between."""
        for _ in range(_TRIES):
            now, content = await self._read()
            after = _text(move(now, _calls(content)))
            if await self._server.swap(self._key, content, after, _KEEP_MS):
                return
        raise StateError(
            f"state {self._server.address.shown}: the rate budget is too busy", hint="run the command again"
        )

    async def _read(self) -> tuple[int, bytes | None]:
        seconds, micros, content = await self._server.run(_READ, [self._key], [])
        if self._clock is not None:
            return round(self._clock.now().timestamp() * 1000), content
        return int(seconds) * 1000 + int(micros) // 1000, content


def _name(account: str) -> str:
    """The name of an account's ledger; user names are secrets, so it is a digest."""
    return hashlib.sha256(account.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _text(calls: Calls) -> str:
    return json.dumps({"calls": list(calls)}, separators=(",", ":")) + "\n"


def _calls(content: bytes | None) -> Calls | None:
    """The calls of a stored text, sorted; none when there is no text, None when it is not one of ours."""
    if content is None:
        return ()
    try:
        calls = json.loads(content)["calls"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not isinstance(calls, list) or not all(type(call) is int for call in calls):
        return None
    return tuple(sorted(calls))
