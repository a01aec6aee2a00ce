"""A stateful property: whatever deploys, faults, kills, foreign edits, rollbacks and heals do, nobody's record is ever lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sophia_cli.core.dns import WHOLE_SET_TYPES, Record
from sophia_cli.core.errors import Refused, SophiaError, UsageError
from sophia_cli.core.history import Run
from sophia_cli.core.settings import Settings
from tests.builders import a, cname, desired, mx, settings_of, txt, zone
from tests.memory import Killed, MemoryZone, World

FAST = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
CODES = {0, 1, 3, 5}

addresses = st.sampled_from(["203.0.113.1", "203.0.113.2", "203.0.113.3"])
hosts = st.builds(a, st.sampled_from(["@", "api", "www", "x"]), addresses, st.sampled_from([60, 1799, 1800]))
texts = st.builds(txt, st.sampled_from(["one", "two", 'three; "x"']), st.sampled_from(["@", "note"]))
aliases = st.builds(cname, st.just("alias"), st.sampled_from(["a.example.net.", "b.example.net."]))
exchangers = st.builds(mx, st.sampled_from(["mail.example.com.", "backup.example.com."]), st.sampled_from([10, 20, 30]))
plain = st.one_of(hosts, texts, aliases)
mail = st.one_of(hosts, texts, aliases, exchangers)
modes = st.sampled_from(["FWD", "NONE", "OX"])
write_faults = st.sampled_from(
    ["refused", "lost_before", "lost_after", "ignored", "late", "drop", "mode", "half", "torn"]
)
read_faults = st.sampled_from(["error", "incomplete", "blocked", "stale"])
verify_faults = st.sampled_from(["none", "wrong", "error"])
commands = st.sampled_from(["deploy", "deploy", "deploy", "heal", "rollback"])
autonomies = st.sampled_from(["observe", "suggest", "autonomous-safe", "autonomous"])


def unique(rows: Sequence[Record]) -> list[Record]:
    return list({row.key: row for row in rows}.values())


class Story(RuleBasedStateMachine):
    """One zone, one environment, and everybody who may touch them. `nobodys` is what must never be lost."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=FAST))
        self.named_places: set[tuple[str, str]] = set()
        self.named_keys: set[Any] = set()
        self.planned_modes: set[str] = set()
        self._begin("FWD", [])

    def _begin(self, mode: str, more: list[Record]) -> None:
        rows = [txt("kept"), a("old"), txt("other", "note"), cname("shop", "x.example.net."), *more]
        self.world = World.of(self.folder, self._settings(()), zone(*rows, email_type=mode))
        self.nobodys = {row.key: row for row in rows}
        self.mode, self.modes = mode, {mode}

    @initialize(with_mail=st.booleans())
    def begin(self, with_mail: bool) -> None:
        if with_mail:
            self._begin("MX", [mx(), mx("third.example.com.", 50)])

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @staticmethod
    def _settings(rows: Sequence[Record], mode: str | None = None, autonomy: str = "suggest") -> Settings:
        wanted = desired(*unique(rows), email_type=mode)
        limits = {"max_percent": 100, "max_deletes": 100, "per_day": 10**6}
        return settings_of(wanted, autonomy=autonomy, **limits)

    @property
    def port(self) -> MemoryZone:
        return self.world.zone

    def open_runs(self) -> tuple[Run, ...]:
        return asyncio.run(self.world.open_runs())

    # -- what may happen ----------------------------------------------------------------------------------------------

    @rule(data=st.data(), autonomy=autonomies)
    def environment(self, data: st.DataObject, autonomy: str) -> None:
        with_mail = self.mode == "MX"
        rows = data.draw(st.lists(mail if with_mail else plain, min_size=1, max_size=5))
        mode = None if with_mail else data.draw(st.one_of(st.none(), st.none(), modes))
        self.world.settings = self._settings(rows, mode, autonomy)
        for row in rows:
            if row.type in WHOLE_SET_TYPES:
                self.named_places.add((row.name, row.type))
            else:
                self.named_keys.add(row.key)
        if mode is not None:
            self.planned_modes.add(mode)
        self._forget()

    def _forget(self) -> None:
        """What the environment names, or ever named, is its own."""
        self.nobodys = {
            key: row
            for key, row in self.nobodys.items()
            if key not in self.named_keys and (row.name, row.type) not in self.named_places
        }

    @rule(row=plain)
    def somebody_adds(self, row: Record) -> None:
        self.port.hidden_reads = 0
        self._added(row)

    def _added(self, row: Record) -> None:
        self.port.edit(add=[row])
        self.nobodys[row.key] = row
        self._forget()

    @precondition(lambda self: self.port.rows)
    @rule(number=st.integers(0, 20))
    def somebody_removes(self, number: int) -> None:
        row = self.port.zone.records[number % len(self.port.zone.records)]
        self.port.hidden_reads = 0
        self.port.edit(remove=[row])
        self.nobodys.pop(row.key, None)

    @precondition(lambda self: self.mode != "MX")
    @rule(mode=modes)
    def somebody_changes_the_mail_mode(self, mode: str) -> None:
        self.port.edit(email_type=mode)
        self.mode = mode
        self.modes.add(mode)

    @rule(faults=st.lists(write_faults, min_size=1, max_size=3), what=commands)
    def writes_go_wrong(self, faults: list[str], what: str) -> None:
        self._run(what, write=faults)

    @rule(fault=read_faults, position=st.integers(0, 5), what=commands)
    def a_read_goes_wrong(self, fault: str, position: int, what: str) -> None:
        self._run(what, read=[*[None] * position, fault])

    @rule(fault=verify_faults, write=st.one_of(st.none(), write_faults), what=commands)
    def the_outside_is_odd(self, fault: str, write: str | None, what: str) -> None:
        self._run(what, verify=[fault], write=[None, write])

    @rule(row=plain, position=st.integers(1, 4), write=st.one_of(st.none(), write_faults), what=commands)
    def somebody_comes_between(self, row: Record, position: int, write: str | None, what: str) -> None:
        """Before one of our reads, which is never in the one call between the last read and the write."""
        self._run(what, read=[*[None] * position, lambda _port: self._added(row)], write=[write])

    @rule(kill=st.integers(0, 110), write=st.one_of(st.none(), write_faults), what=commands)
    def the_process_is_killed(self, kill: int, write: str | None, what: str) -> None:
        self.world.fuse.left = kill
        self._run(what, write=[write])

    def _run(self, what: str, **queue: list[Any]) -> None:
        self.port.queue = {name: list(acts) for name, acts in queue.items()}
        try:
            self._command(what)
        finally:
            self.world.fuse.left = None
            self.port.queue = {}

    def _command(self, what: str) -> None:
        code = 0
        with contextlib.suppress(Killed):
            try:
                asyncio.run(
                    {"deploy": self.world.deploy, "heal": self.world.heal, "rollback": self.world.rollback}[what]()
                )
            except UsageError:
                assert what == "rollback"  # there is no run yet
            except SophiaError as exc:
                code = exc.exit_code
            assert code in CODES

    @rule()
    def heal_in_peace(self) -> None:
        self.port.hidden_reads = 0
        asyncio.run(self.world.heal())
        assert self.open_runs() == ()

    @rule()
    def deploy_in_peace(self) -> None:
        self.port.hidden_reads = 0
        try:
            run = asyncio.run(self.world.deploy())
        except Refused:  # by policy: MX rows outside mode MX, a CNAME beside others
            return
        assert run is None or (run.outcome, run.verified) == ("applied", True)
        assert asyncio.run(self.world.plan()).plan.is_empty()

    # -- what must hold ------------------------------------------------------------------------------------------------

    @invariant()
    def nobodys_records_are_there_whenever_no_run_is_open(self) -> None:
        if not self.open_runs():
            there = {row.key: row for row in self.port.zone.records}
            for key, row in self.nobodys.items():
                assert there.get(key) == row, f"lost: {row}"

    @invariant()
    def the_mail_mode_changes_only_when_planned(self) -> None:
        if not self.open_runs():
            # Once a mode was planned, rolling that run back brings a former one.
            allowed = {*self.modes, *self.planned_modes} if self.planned_modes else {self.mode}
            assert self.port.email_type in allowed

    @invariant()
    def the_audit_log_verifies(self) -> None:
        assert asyncio.run(self.world.audit_problems()) == ()


# More, and by chance: SOPHIA_EXAMPLES=5000 pytest tests/flows/test_stateful.py
EXAMPLES = os.environ.get("SOPHIA_EXAMPLES")
Story.TestCase.settings = settings(
    max_examples=int(EXAMPLES or 60),
    stateful_step_count=16,
    deadline=None,
    derandomize=EXAMPLES is None,
    report_multiple_bugs=False,
    phases=(Phase.generate, Phase.shrink),  # explaining a failure costs minutes
)
TestNoRecordIsEverLost = Story.TestCase
