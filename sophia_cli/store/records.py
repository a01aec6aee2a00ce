"""Journal, snapshots, approvals and ownership as files in the state directory. Judges nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sophia_cli.core.canonical import digest_of
from sophia_cli.core.errors import ApprovalMissing
from sophia_cli.core.history import Ownership, Run, Snapshot
from sophia_cli.core.policy import Approval
from sophia_cli.store.directory import Directory, decoded


class FileJournal:
    """Runs: `runs/open/ID.json` until closed, then `runs/closed/ID.json`. The closed form wins when both are there."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def save(self, run: Run) -> None:
        """Store a run; a closed one is written in its new place before it leaves the old one."""
        folder = "closed" if run.closed else "open"
        self._directory.write(run.data(), "runs", folder, run.id + ".json")
        if run.closed:
            self._directory.remove("runs", "open", run.id + ".json")

    async def open_runs(self) -> tuple[Run, ...]:
        """Runs begun and never closed, oldest first."""
        paths = self._directory.names(
            "runs", "open"
        )  # listed first: a run that is closed meanwhile shows in the second
        closed = {path.name for path in self._directory.names("runs", "closed")}
        return self._runs([path for path in paths if path.name not in closed])

    async def get(self, run_id: str) -> Run | None:
        """One run."""
        for folder in ("closed", "open", "closed"):  # twice: it may be closed between the first look and the second
            path = self._directory.path("runs", folder, run_id + ".json")
            found = self._runs([path])
            if found:
                return found[0]
        return None

    async def runs(self, since: datetime | None = None) -> tuple[Run, ...]:
        """Closed runs, oldest first; run ids begin with their start time, so older files are not even opened."""
        first = first_id(since)
        paths = [path for path in self._directory.names("runs", "closed") if path.name >= first]
        return tuple(run for run in self._runs(paths) if since is None or run.started >= since)

    def _runs(self, paths: Sequence[Path]) -> tuple[Run, ...]:
        found = ((path, self._directory.load(path)) for path in paths)
        return tuple(decoded(path, data, Run.from_data) for path, data in found if data is not None)


def first_id(since: datetime | None) -> str:
    """The smallest id of a run that started then or later: an id is given after the start it is named for."""
    return "" if since is None else since.astimezone(UTC).strftime("%Y%m%dT%H%M%S")


class FileSnapshots:
    """Snapshots: `snapshots/TARGET/RUN.json`; run ids sort by time."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def save(self, run_id: str, snapshot: Snapshot) -> None:
        """Store what a run started from."""
        self._directory.write(snapshot.data(), "snapshots", snapshot.target, run_id + ".json")

    async def of_run(self, run_id: str, target: str) -> Snapshot | None:
        """What a run started from."""
        path = self._directory.path("snapshots", target, run_id + ".json")
        data = self._directory.load(path)
        return None if data is None else decoded(path, data, Snapshot.from_data)

    async def recent(self, target: str, count: int) -> tuple[Snapshot, ...]:
        """The newest snapshots of a target, newest first."""
        paths = self._directory.names("snapshots", target)[::-1][:count]
        found = ((path, self._directory.load(path)) for path in paths)
        return tuple(decoded(path, data, Snapshot.from_data) for path, data in found if data is not None)


class FileApprovals:
    """Approvals: `approvals/DIGEST/WHEN.json`. A use is one step under a lock of its own, so it happens once."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def save(self, approval: Approval) -> None:
        """Record an approval; saving a used one again does not make it fresh."""
        with self._directory.alone("approvals.lock"):
            stored = self._stored(approval)
            if stored is None or not stored.used:
                self._directory.write(approval.data(), "approvals", approval.plan, entry_of(approval))

    async def of_plan(self, digest: str) -> tuple[Approval, ...]:
        """The approvals of one plan digest."""
        found = ((path, self._directory.load(path)) for path in self._directory.names("approvals", digest))
        return tuple(decoded(path, data, Approval.from_data) for path, data in found if data is not None)

    async def use(self, approval: Approval) -> None:
        """Mark an approval used; of several who try at the same moment one succeeds."""
        with self._directory.alone("approvals.lock"):
            stored = self._stored(approval)
            if stored is not None and stored.used:
                raise used_meanwhile()
            self._directory.write({**approval.data(), "used": True}, "approvals", approval.plan, entry_of(approval))

    def _stored(self, approval: Approval) -> Approval | None:
        path = self._directory.path("approvals", approval.plan, entry_of(approval))
        data = self._directory.load(path)
        return None if data is None else decoded(path, data, Approval.from_data)


def used_meanwhile() -> ApprovalMissing:
    """The refusal of a second use."""
    return ApprovalMissing("this approval was used meanwhile", hint="sophia approve PLAN_FILE")


def entry_of(approval: Approval) -> str:
    """The name of an approval among those of its plan: who, how and when."""
    return digest_of([approval.by, approval.how, approval.data()["at"]])[7:23] + ".json"


class FileOwnerships:
    """What environments named and sophia wrote: `ownership/ENVIRONMENT/TARGET.json`."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def load(self, environment: str, target: str) -> Ownership:
        """What is known; empty when nothing is."""
        path = self._directory.path("ownership", environment, target + ".json")
        data = self._directory.load(path)
        return Ownership() if data is None else decoded(path, data, Ownership.from_data)

    async def save(self, environment: str, target: str, ownership: Ownership) -> None:
        """Store it."""
        self._directory.write(ownership.data(), "ownership", environment, target + ".json")
