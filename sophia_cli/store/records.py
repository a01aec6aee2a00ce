"""Journal, snapshots, approvals, ownership and freezes as files in the state directory. Judges nothing."""

from __future__ import annotations

from datetime import datetime

from sophia_cli.core.canonical import digest_of
from sophia_cli.core.errors import ApprovalMissing
from sophia_cli.core.history import Ownership, Run, Snapshot
from sophia_cli.core.policy import Approval
from sophia_cli.store.directory import Directory


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
        closed = {path.name for path in self._directory.names("runs", "closed")}
        paths = [path for path in self._directory.names("runs", "open") if path.name not in closed]
        return tuple(Run.from_data(self._directory.load(path)) for path in paths)

    async def get(self, run_id: str) -> Run | None:
        """One run."""
        for folder in ("closed", "open"):
            data = self._directory.read("runs", folder, run_id + ".json")
            if data is not None:
                return Run.from_data(data)
        return None

    async def runs(self, since: datetime | None = None) -> tuple[Run, ...]:
        """Closed runs, oldest first; run ids begin with their start time, so older files are not even opened."""
        first = "" if since is None else since.strftime("%Y%m%dT%H%M%S")
        paths = [path for path in self._directory.names("runs", "closed") if path.name >= first]
        return tuple(Run.from_data(self._directory.load(path)) for path in paths)


class FileSnapshots:
    """Snapshots: `snapshots/TARGET/RUN.json`; run ids sort by time."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def save(self, run_id: str, snapshot: Snapshot) -> None:
        """Store what a run started from."""
        self._directory.write(snapshot.data(), "snapshots", snapshot.target, run_id + ".json")

    async def of_run(self, run_id: str, target: str) -> Snapshot | None:
        """What a run started from."""
        data = self._directory.read("snapshots", target, run_id + ".json")
        return None if data is None else Snapshot.from_data(data)

    async def recent(self, target: str, count: int) -> tuple[Snapshot, ...]:
        """The newest snapshots of a target, newest first."""
        paths = self._directory.names("snapshots", target)[::-1][:count]
        return tuple(Snapshot.from_data(self._directory.load(path)) for path in paths)


class FileApprovals:
    """Approvals: `approvals/DIGEST/WHEN.json`."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def save(self, approval: Approval) -> None:
        """Record an approval."""
        self._directory.write(approval.data(), "approvals", approval.plan, _entry(approval))

    async def of_plan(self, digest: str) -> tuple[Approval, ...]:
        """The approvals of one plan digest."""
        paths = self._directory.names("approvals", digest)
        return tuple(Approval.from_data(self._directory.load(path)) for path in paths)

    async def use(self, approval: Approval) -> None:
        """Mark an approval used; the caller holds the locks of the plan's targets."""
        stored = self._directory.read("approvals", approval.plan, _entry(approval))
        if stored is not None and Approval.from_data(stored).used:
            raise ApprovalMissing("this approval was used meanwhile", hint="sophia approve PLAN_FILE")
        self._directory.write({**approval.data(), "used": True}, "approvals", approval.plan, _entry(approval))


def _entry(approval: Approval) -> str:
    return digest_of([approval.by, approval.how, approval.data()["at"]])[7:23] + ".json"


class FileOwnerships:
    """What environments named and sophia wrote: `ownership/ENVIRONMENT/TARGET.json`."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def load(self, environment: str, target: str) -> Ownership:
        """What is known; empty when nothing is."""
        data = self._directory.read("ownership", environment, target + ".json")
        return Ownership() if data is None else Ownership.from_data(data)

    async def save(self, environment: str, target: str, ownership: Ownership) -> None:
        """Store it."""
        self._directory.write(ownership.data(), "ownership", environment, target + ".json")


class FileFreezes:
    """Frozen targets: `freezes.json`."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def patterns(self) -> frozenset[str]:
        """The frozen patterns."""
        return frozenset(self._directory.read("freezes.json") or ())

    async def freeze(self, pattern: str) -> None:
        """Add a pattern."""
        self._directory.write(sorted(await self.patterns() | {pattern}), "freezes.json")

    async def thaw(self, pattern: str) -> bool:
        """Remove a pattern."""
        patterns = await self.patterns()
        self._directory.write(sorted(patterns - {pattern}), "freezes.json")
        return pattern in patterns
