"""The audit log on a Redis server: a stream with the same hash chain, told to subscribers as it grows. Rewrites nothing."""

from __future__ import annotations

from collections.abc import Sequence

from sophia_cli.core.errors import StateError
from sophia_cli.core.history import AuditEvent, AuditHead
from sophia_cli.core.ports import Clock
from sophia_cli.store.chain import (
    against_kept,
    beheaded,
    check,
    continued,
    event_of,
    head_of,
    head_text,
    line_of,
    sealed,
)
from sophia_cli.store.redis_locks import LeaseLost, RedisLocks
from sophia_cli.store.redis_server import Server

_BATCH = 1000
_TRIES = 500  # each failed one means that another process went on
_HEALTH = ("apply.end", "apply.verify", "apply.stale", "settle.end", "lock.lost")

_PEEK = "return {redis.call('GET', KEYS[1]) or '', redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)}"

# The hash is made by the caller (a server has no SHA-256 for scripts), so the step holds only if the head is still the same.
_APPEND = """
if (redis.call('GET', KEYS[k + 1]) or '') ~= ARGV[a + 1] then return {'moved'} end
redis.call('XADD', KEYS[k + 2], '*', 'event', ARGV[a + 3])
redis.call('SET', KEYS[k + 1], ARGV[a + 2])
local counters = {}
for i = a + 7, #ARGV do
  local count = redis.pcall('HINCRBY', KEYS[k + 3], ARGV[i], 1)
  if type(count) == 'number' then counters[ARGV[i]] = count end
end
redis.pcall('PUBLISH', ARGV[a + 4], ARGV[a + 3])
if ARGV[a + 5] ~= '' then redis.pcall('PUBLISH', ARGV[a + 5], ARGV[a + 3]) end
redis.pcall('PUBLISH', ARGV[a + 6], cjson.encode(counters))
return {'ok'}
"""


class RedisAudit:
    """The stream `PREFIX:log` with its count and head hash in `PREFIX:head`, and counters in `PREFIX:counters`.

    Every event is published on `PREFIX:audit` as JSON, outcomes and verifications also on `PREFIX:health`, and the
    counters it moved on `PREFIX:metrics`; with the usual prefix these are `sophia:audit`, `sophia:health`, `sophia:metrics`.
    """

    def __init__(self, server: Server, locks: RedisLocks, clock: Clock) -> None:
        self._server = server
        self._locks = locks
        self._clock = clock
        self._head = server.key("head")
        self._log = server.key("log")
        self._counters = server.key("counters")
        self._told: set[str] = set()

    async def append(self, event: AuditEvent) -> AuditHead:
        """Add an event. A holder whose lease ran out is refused, once with an entry that says so."""
        held = self._locks.held()
        try:
            return await self._append(event, [event.target] if event.target in held else held)
        except LeaseLost as lost:
            if lost.target not in self._told:
                self._told.add(lost.target)
                detail = {"refused": event.action}
                told = AuditEvent(
                    0,
                    self._clock.now(),
                    event.actor,
                    "lock.lost",
                    event.run,
                    lost.target,
                    event.plan,
                    "refused",
                    detail,
                )
                await self._append(told, ())
            raise

    async def _append(self, event: AuditEvent, targets: Sequence[str]) -> AuditHead:
        for _ in range(_TRIES):
            kept, head = await self._where()
            now = event
            if kept == b"" and head.count > 1:
                now = beheaded(head, self._clock.now())
            placed = sealed(now, head)
            after = AuditHead(placed.seq + 1, placed.hash)
            line = line_of(placed)
            answer = await self._locks.write(
                _APPEND,
                [self._head, self._log, self._counters],
                [kept, head_text(after), line, *self._channels(now), *_counted(now)],
                targets=targets,
            )
            if answer[0] == b"ok" and now is event:
                return after
        raise StateError(f"state {self._server.address.shown}: the audit log is too busy", hint="run the command again")

    async def _where(self) -> tuple[bytes, AuditHead]:
        """The kept head as it stands there, and where the chain goes on."""
        kept, last = await self._server.run(_PEEK, [self._head, self._log], [])
        head = head_of(kept, self._server.place("head"))
        latest = [event_of(_field(entry)) for entry in last]
        if head is None or not latest or latest[0] is None or latest[0].hash != head.hash:
            entries = await self._server.command("XREVRANGE", self._log, "+", "-", "COUNT", _BATCH)
            latest = [event_of(dict(fields).get(b"event", b"")) for _, fields in entries]
        return kept, continued(head, (event for event in latest if event is not None))

    def _channels(self, event: AuditEvent) -> tuple[str, str, str]:
        health = event.action in _HEALTH or event.action.startswith(("verify.", "heal."))
        return (
            self._server.key("audit"),
            self._server.key("health") if health else "",
            self._server.key("metrics"),
        )

    async def events(self) -> tuple[AuditEvent, ...]:
        """All events that can be read, oldest first."""
        return tuple(event for event in map(event_of, await self._lines()) if event is not None)

    async def verify(self, head: str | None = None) -> tuple[AuditHead, tuple[str, ...]]:
        """The head of the log and every problem of the chain."""
        content = await self._server.command("GET", self._head)  # before the log: see FileAudit.verify
        kept, damage = None, []
        try:
            kept = head_of(content, self._server.place("head"))
        except StateError as exc:
            damage = [exc.message]
        found, problems, seen = check(await self._lines(), head)
        return found, (*problems, *(damage or against_kept(found, kept, seen, self._server.place("head"))))

    async def _lines(self) -> list[bytes]:
        lines: list[bytes] = []
        start = "-"
        while True:
            entries = await self._server.command("XRANGE", self._log, start, "+", "COUNT", _BATCH)
            lines += [dict(fields).get(b"event", b"") for _, fields in entries]
            if len(entries) < _BATCH:
                return lines
            start = "(" + entries[-1][0].decode()


def _field(entry: Sequence[Sequence[bytes]]) -> bytes:
    """The event of an entry as a script gives it: its id, and names and values in turn."""
    words = list(entry[1])
    return dict(zip(words[::2], words[1::2], strict=False)).get(b"event", b"")


def _counted(event: AuditEvent) -> list[str]:
    names = ["events", f"actions.{event.action}"]
    return names if event.outcome is None else [*names, f"outcomes.{event.action}.{event.outcome}"]
