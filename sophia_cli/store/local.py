"""The local form of the state: everything in one directory. Opens nothing before it is used."""

from __future__ import annotations

from pathlib import Path

from sophia_cli.core.ports import Clock, Store
from sophia_cli.store.audit import FileAudit
from sophia_cli.store.directory import Directory
from sophia_cli.store.documents import FileDocuments
from sophia_cli.store.freezes import StoredFreezes
from sophia_cli.store.locks import FileLocks
from sophia_cli.store.records import FileApprovals, FileJournal, FileOwnerships, FileSnapshots


def local_store(root: Path, clock: Clock) -> Store:
    """The state kept below `root`."""
    directory = Directory(root)
    return Store(
        locks=FileLocks(directory, clock),
        journal=FileJournal(directory),
        snapshots=FileSnapshots(directory),
        audit=FileAudit(directory, clock),
        approvals=FileApprovals(directory),
        ownerships=FileOwnerships(directory),
        freezes=StoredFreezes(FileDocuments(directory)),
    )
