"""Journal, snapshots, approvals and ownership on a Redis server. Judges nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar

from sophia_cli.core.errors import StateError
from sophia_cli.core.history import Ownership, Run, Snapshot
from sophia_cli.core.policy import Approval
from sophia_cli.core.ports import Journal, Snapshots
from sophia_cli.store.chain import json_data
from sophia_cli.store.directory import decoded
from sophia_cli.store.records import entry_of, first_id, used_meanwhile
from sophia_cli.store.redis_locks import RedisLocks
from sophia_cli.store.redis_server import Server

T = TypeVar("T")

_SAVE_RUN = """
if ARGV[a + 3] == 'closed' then
  redis.call('HSET', KEYS[k + 2], ARGV[a + 1], ARGV[a + 2])
  redis.call('ZADD', KEYS[k + 3], 0, ARGV[a + 1])
  redis.call('HDEL', KEYS[k + 1], ARGV[a + 1])
elseif redis.call('HEXISTS', KEYS[k + 2], ARGV[a + 1]) == 0 then
  redis.call('HSET', KEYS[k + 1], ARGV[a + 1], ARGV[a + 2])
end
return {'ok'}
"""

_SAVE_SNAPSHOT = """
redis.call('HSET', KEYS[k + 1], ARGV[a + 1], ARGV[a + 2])
redis.call('ZADD', KEYS[k + 2], 0, ARGV[a + 1])
return {'ok'}
"""

_SAVE_APPROVAL = """
local stored = redis.call('HGET', KEYS[k + 1], ARGV[a + 1])
if stored then
  local read, known = pcall(cjson.decode, stored)
  if not read or type(known) ~= 'table' or type(known['used']) ~= 'boolean' then return {'foreign'} end
  if known['used'] then return {'used'} end
end
redis.call('HSET', KEYS[k + 1], ARGV[a + 1], ARGV[a + 2])
return {'ok'}
"""

_SAVE_OWNERSHIP = """
redis.call('HSET', KEYS[k + 1], ARGV[a + 1], ARGV[a + 2])
return {'ok'}
"""


def _value(place: str, content: bytes, build: Callable[[Any], T]) -> T:
    return decoded(place, json_data(content, place), build)


class RedisJournal:
    """Runs in two hashes, open and closed; a run moves from one to the other in one step.

    Each is written to a local journal first, so that a crash leaves a trace even when the server is gone for good. What
    the server knows wins over the local copy: every write starts only after the server has taken the run as `writing`,
    and what lies behind that is asked of the target itself when the run is settled.
    """

    def __init__(self, server: Server, locks: RedisLocks, local: Journal) -> None:
        self._server = server
        self._locks = locks
        self._local = local
        self._open = server.key("runs", "open")
        self._closed = server.key("runs", "closed")
        self._index = server.key("runs", "index")

    async def save(self, run: Run) -> None:
        """Store a run, here first and then on the server, which refuses it when a lease was lost."""
        await self._local.save(run)
        state = "closed" if run.closed else "open"
        await self._locks.write(
            _SAVE_RUN,
            [self._open, self._closed, self._index],
            [_text(run.id), json.dumps(run.data()), state],
            targets=[leg.target for leg in run.legs],
        )

    async def open_runs(self) -> tuple[Run, ...]:
        """Runs begun and never closed, oldest first, the local ones that the server never heard of among them."""
        found = {run.id: run for run in await self._all(self._open)}
        for run in await self._local.open_runs():
            if run.id not in found:
                closed = await self._on_server(self._closed, run.id)
                if closed is None:
                    found[run.id] = run
                else:  # another machine brought it to its end
                    await self._local.save(closed)
        return tuple(found[name] for name in sorted(found))

    async def get(self, run_id: str) -> Run | None:
        """One run."""
        for key in (self._closed, self._open, self._closed):  # twice: it may be closed between the looks
            found = await self._on_server(key, run_id)
            if found is not None:
                return found
        return await self._local.get(run_id)

    async def runs(self, since: datetime | None = None) -> tuple[Run, ...]:
        """Closed runs, oldest first."""
        first = first_id(since)
        names = await self._server.command("ZRANGEBYLEX", self._index, f"[{first}" if first else "-", "+")
        if not names:
            return ()
        contents = await self._server.command("HMGET", self._closed, *names)
        runs = (self._run(self._closed, content) for content in contents if content is not None)
        return tuple(run for run in runs if since is None or run.started >= since)

    async def _all(self, key: str) -> Iterable[Run]:
        return [self._run(key, content) for content in (await self._server.command("HGETALL", key)).values()]

    async def _on_server(self, key: str, run_id: str) -> Run | None:
        content = await self._server.command("HGET", key, _text(run_id))
        return None if content is None else self._run(key, content)

    def _run(self, key: str, content: bytes) -> Run:
        return _value(f"{self._server.address.shown} {key}", content, Run.from_data)


class RedisSnapshots:
    """Snapshots of a target: a hash by run, and an index in which run ids sort by time. Kept locally too, for settling."""

    def __init__(self, server: Server, locks: RedisLocks, local: Snapshots) -> None:
        self._server = server
        self._locks = locks
        self._local = local

    async def save(self, run_id: str, snapshot: Snapshot) -> None:
        """Store what a run started from, here first and then on the server."""
        await self._local.save(run_id, snapshot)
        key, index = self._keys(snapshot.target)
        arguments: list[str | bytes | int] = [_text(run_id), json.dumps(snapshot.data())]
        await self._locks.write(_SAVE_SNAPSHOT, [key, index], arguments, targets=[snapshot.target])

    async def of_run(self, run_id: str, target: str) -> Snapshot | None:
        """What a run started from."""
        key, _ = self._keys(target)
        content = await self._server.command("HGET", key, _text(run_id))
        if content is None:
            return await self._local.of_run(run_id, target)
        return self._snapshot(key, content)

    async def recent(self, target: str, count: int) -> tuple[Snapshot, ...]:
        """The newest snapshots of a target, newest first."""
        key, index = self._keys(target)
        names = await self._server.command("ZREVRANGE", index, 0, count - 1) if count > 0 else []
        contents = await self._server.command("HMGET", key, *names) if names else []
        return tuple(self._snapshot(key, content) for content in contents if content is not None)

    def _keys(self, target: str) -> tuple[str, str]:
        return self._server.key("snapshots", target), self._server.key("snapshots", target, "index")

    def _snapshot(self, key: str, content: bytes) -> Snapshot:
        return _value(f"{self._server.address.shown} {key}", content, Snapshot.from_data)


class RedisApprovals:
    """Approvals: a hash a plan. A use is one step on the server, so it happens once."""

    def __init__(self, server: Server, locks: RedisLocks) -> None:
        self._server = server
        self._locks = locks

    async def save(self, approval: Approval) -> None:
        """Record an approval; saving a used one again does not make it fresh."""
        await self._save(approval, approval.data(), ())

    async def of_plan(self, digest: str) -> tuple[Approval, ...]:
        """The approvals of one plan digest."""
        key = self._server.key("approvals", digest)
        found = await self._server.command("HGETALL", key)
        return tuple(
            _value(self._server.place("approvals", digest), found[name], Approval.from_data) for name in sorted(found)
        )

    async def use(self, approval: Approval) -> None:
        """Mark an approval used; of several who try at the same moment one succeeds."""
        if not await self._save(approval, {**approval.data(), "used": True}, self._locks.held()):
            raise used_meanwhile()

    async def _save(self, approval: Approval, data: dict[str, Any], targets: Iterable[str]) -> bool:
        key = self._server.key("approvals", approval.plan)
        arguments = [entry_of(approval), json.dumps(data)]
        answer = await self._locks.write(_SAVE_APPROVAL, [key], arguments, targets=targets)
        if answer[0] == b"foreign":
            place = self._server.place("approvals", approval.plan)
            raise StateError(
                f"{place} holds something else than sophia wrote there", hint="remove it, and approve again"
            )
        return bool(answer[0] == b"ok")


class RedisOwnerships:
    """What environments named and sophia wrote: a hash a target, a field an environment."""

    def __init__(self, server: Server, locks: RedisLocks) -> None:
        self._server = server
        self._locks = locks

    async def load(self, environment: str, target: str) -> Ownership:
        """What is known; empty when nothing is."""
        key = self._server.key("ownership", target)
        content = await self._server.command("HGET", key, _text(environment))
        return (
            Ownership()
            if content is None
            else _value(self._server.place("ownership", target), content, Ownership.from_data)
        )

    async def save(self, environment: str, target: str, ownership: Ownership) -> None:
        """Store it."""
        arguments: list[str | bytes | int] = [_text(environment), json.dumps(ownership.data())]
        await self._locks.write(_SAVE_OWNERSHIP, [self._server.key("ownership", target)], arguments, targets=[target])


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
