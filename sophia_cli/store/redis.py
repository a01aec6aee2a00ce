"""The Redis form of the state, for teams whose laptop, CI and cron share a zone. Opens nothing before it is used.

What the server must be for this to hold: one primary that keeps its data (`appendonly yes`) and evicts nothing
(`maxmemory-policy noeviction`). A failover to a replica that lags may forget a lock; the provider's re-read under the
lock is then what is left.
"""

from __future__ import annotations

from pathlib import Path

from sophia_cli.core.ports import Clock, Store
from sophia_cli.store.directory import Directory
from sophia_cli.store.documents import RedisDocuments
from sophia_cli.store.freezes import StoredFreezes
from sophia_cli.store.records import FileJournal, FileSnapshots
from sophia_cli.store.redis_audit import RedisAudit
from sophia_cli.store.redis_locks import LEASE_S, WRITE_S, RedisLocks
from sophia_cli.store.redis_records import (
    RedisApprovals,
    RedisJournal,
    RedisOwnerships,
    RedisSnapshots,
)
from sophia_cli.store.redis_server import Server, address_of


def redis_store(url: str, clock: Clock, local: Path, *, lease_s: float = LEASE_S, write_s: float = WRITE_S) -> Store:
    """The state kept on a server; `local` is where journal and snapshots are written first, in the local form."""
    server, directory = Server(address_of(url)), Directory(local)
    locks = RedisLocks(server, clock, lease_s=lease_s, write_s=write_s)
    return Store(
        locks=locks,
        journal=RedisJournal(server, locks, FileJournal(directory)),
        snapshots=RedisSnapshots(server, locks, FileSnapshots(directory)),
        audit=RedisAudit(server, locks, clock),
        approvals=RedisApprovals(server, locks),
        ownerships=RedisOwnerships(server, locks),
        freezes=StoredFreezes(RedisDocuments(server)),
    )
