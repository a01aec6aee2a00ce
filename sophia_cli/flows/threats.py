"""Threat detection: the audit log and the runs it tells of, held against the rules. Changes nothing."""

from __future__ import annotations

from datetime import datetime

from sophia_cli.core.findings import Finding
from sophia_cli.core.ports import Store
from sophia_cli.core.threats import Log, threats


async def look(store: Store, since: datetime | None = None) -> tuple[Log, tuple[Finding, ...]]:
    """The log, and what the rules see in it (`since`: only what rests on an event of then or later)."""
    _, problems = await store.audit.verify()
    runs = (*await store.journal.runs(), *await store.journal.open_runs())
    log = Log(await store.audit.events(), tuple(sorted(runs, key=lambda run: run.started)), problems)
    return log, threats(log, since)
