"""A stage for the sweeps: a sandbox account, an environment, a state, and what they hold before and after each kind of plan."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sophia_cli.cli.clock import SystemClock
from sophia_cli.core.history import Run
from sophia_cli.core.ports import Store
from sophia_cli.sandbox import Sandbox, peek, running, seed
from sophia_cli.store.open import open_state
from tests.sweep.shared import Shared
from tests.sweep.zygote import Ended, Zygote

ONE, TWO = "acme.example", "other.example"
Rows = frozenset[tuple[str, str, str, int, int]]
Held = tuple[str, Rows]
"""A zone as the provider holds it: mail mode and rows with TTL and preference."""

ROWS: tuple[tuple[Any, ...], ...] = (
    ("@", "A", "203.0.113.10", 1799),
    ("api", "A", "203.0.113.10", 1800),
    ("www", "CNAME", "acme.example.", 1799),
    ("old", "A", "203.0.113.30", 1800),
    ("@", "TXT", 'v=spf1 -all; "quoted" <&>', 1799),
    ("x1", "A", "203.0.113.41", 1800),
    ("x2", "A", "203.0.113.42", 60),
    ("go", "URL301", "https://elsewhere.example/a?b=c", 1799),
    ("@", "CAA", '0 issue "letsencrypt.org"', 1800),
    ("x3", "TXT", "kept", 60000),
)
MAIL = (("@", "MX", "mail.acme.example.", 1800, 10), ("@", "MX", "backup.acme.example.", 1800, 30))

API = "api: {type: A, name: api, value: 203.0.113.10}"
OLD = "old: {type: A, name: old, value: 203.0.113.30}"
NEW = "new: {type: A, name: new, value: 203.0.113.50}"
MOVED = API.replace(".10", ".99")
MX = '{type: MX, name: "@", value: mail.acme.example., priority: 10}'


@dataclass(frozen=True)
class Kind:
    """A kind of plan: the zone's mail mode and rows, the environment before and after, and the command that goes there."""

    mode: str
    rows: tuple[tuple[Any, ...], ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    words: tuple[str, ...] = ("deploy",)
    mode_before: str = ""
    mode_after: str = ""
    zones: tuple[str, ...] = (ONE,)


KINDS: Mapping[str, Kind] = {
    "create": Kind("MX", (*ROWS, *MAIL), (API,), (API, NEW)),
    "update": Kind("MX", (*ROWS, *MAIL), (API,), (MOVED,)),
    "delete": Kind("FWD", ROWS, (API, OLD), (API,)),
    "mail mode": Kind("FWD", ROWS, (API,), (API,), mode_before="FWD", mode_after="GMAIL"),
    "mail mode and rows": Kind("FWD", ROWS, (API,), (API, f"mx: {MX}"), mode_before="FWD", mode_after="MX"),
    "preference": Kind("MX", (*ROWS, *MAIL), (API, f"mx: {MX}"), (API, f"mx: {MX.replace('10', '20')}")),
    "all at once": Kind("MX", (*ROWS, *MAIL), (API, OLD, f"mx: {MX}"), (MOVED, NEW, f"mx: {MX.replace('10', '20')}")),
    "edit": Kind("MX", (*ROWS, *MAIL), (API,), (API,), ("record", "set", "api", "A", "203.0.113.99")),
    "edit anew": Kind("MX", (*ROWS, *MAIL), (API,), (API,), ("record", "set", "new", "A", "203.0.113.50")),
    "edit away": Kind("MX", (*ROWS, *MAIL), (API, OLD), (API, OLD), ("record", "remove", "old", "A")),
    "two zones": Kind("MX", (*ROWS, *MAIL), (API,), (MOVED,), zones=(ONE, TWO)),
}


@dataclass
class Stage:
    """One kind of plan, ready to be run again and again from the same start."""

    name: str
    folder: Path
    sandbox: Sandbox
    zygote: Zygote
    shared: Shared | None = None
    """The server that keeps the state; None: it is kept in files."""
    before: dict[str, Held] = field(default_factory=dict)
    planned: dict[str, Held] = field(default_factory=dict)
    file_before: str = ""
    file_planned: str = ""
    events: tuple[tuple[str, float], ...] = ()
    calls: tuple[str, ...] = ()
    """The API calls of one undisturbed run."""

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]

    @property
    def data(self) -> Path:
        return self.folder / "namecheap.json"

    @property
    def file(self) -> Path:
        return self.folder / "work" / "acme.yaml"

    def sophia(self, *words: str, kill_at: int | str | None = None) -> Ended:
        """Run a command of sophia here."""
        confirmed = [word for zone in self.kind.zones for word in ("--confirm", zone)]
        options = ["-e", str(self.file), "--wait", "0"]
        if self.shared is not None:
            options += ["--state", self.shared.url]
        if words[0] in ("deploy", "record"):
            options += ["--yes", *confirmed]
        return self.zygote.run(*words, *options, cwd=self.file.parent, kill_at=kill_at)

    def act(self, kill_at: int | str | None = None) -> Ended:
        """Run this kind's own command."""
        return self.sophia(*self.kind.words, kill_at=kill_at)

    def write_environment(self, records: tuple[str, ...], mode: str) -> None:
        box = self.sandbox
        lines = ["values:", "  dns:", f'    nameservers: ["{box.dns}"]']
        zone = [f"email_type: {mode}"] if mode else []
        zone += ["records:", *(f"  {record}" for record in records)]
        if len(self.kind.zones) == 1:
            lines += [f"    domain: {ONE}", *(f"    {line}" for line in zone)]
        else:
            lines += ["    domains:"]
            for name in self.kind.zones:
                lines += [f"      {name}:", *(f"        {line}" for line in zone)]
        lines += ["  namecheap:", f"    endpoint: {box.endpoint}"]
        keys = {"api_user": box.api_user, "api_key": box.api_key, "username": box.username}
        lines += [f"    {key}: {{fn::secret: {value}}}" for key, value in keys.items()]
        lines += ["  ai_infrastructure: {limits: {max_percent: 100, per_day: 100000}}"]
        self.file.write_text("\n".join(lines) + "\n")

    def held(self) -> dict[str, Held]:
        """What the zones hold, read beside the API."""
        found = {}
        for name in self.kind.zones:
            domain = peek(self.data, name)
            assert domain is not None
            rows = frozenset((row.name, row.type, row.address, row.ttl, row.mx_pref) for row in domain.rows)
            found[name] = (domain.email_type, rows)
        return found

    def open_runs(self) -> tuple[Run, ...]:
        return asyncio.run(self.state().journal.open_runs())

    def state(self) -> Store:
        local = self.file.parent / ".sophia"
        return open_state(local if self.shared is None else self.shared.url, SystemClock(), local)

    def audit_problems(self) -> tuple[str, ...]:
        """The problems of the audit log, but for a torn last line (see `is_torn`)."""
        problems = asyncio.run(self.state().audit.verify())[1]
        if self.is_torn():
            number = len((self.file.parent / ".sophia" / "audit.jsonl").read_bytes().split(b"\n"))
            return tuple(problem for problem in problems if problem != f"line {number} is not an event")
        return problems

    def is_torn(self) -> bool:
        """Whether the log still ends in a line torn by a kill: the next event closes it, and a quiet heal says none."""
        log = self.file.parent / ".sophia" / "audit.jsonl"
        return log.exists() and not log.read_bytes().endswith((b"\n", b"")[: 1 if log.stat().st_size else 2])

    def reset(self) -> None:
        """Back to the start: the account, the environment and the state as the first deploy left them."""
        self.sandbox.control(clear=True, forget=True)
        shutil.rmtree(self.file.parent)
        shutil.copytree(self.folder / "image", self.file.parent)
        shutil.copy2(self.folder / "account.json", self.folder / "account.new")
        (self.folder / "account.new").replace(self.data)
        if self.shared is not None:
            self.shared.restore()

    def settle_server(self) -> None:
        """Wait until the sandbox has ended everything the dead process asked for, and its leases have run out."""
        with urllib.request.urlopen(self.sandbox.endpoint.replace("xml.response", "control"), timeout=10) as answer:
            answer.read()  # connections are taken in turn: the dead one's was taken before this one
        deadline = time.monotonic() + 20
        while any("process_request_thread" in thread.name for thread in threading.enumerate()):
            assert time.monotonic() < deadline, "the sandbox still serves a dead process"
            time.sleep(0.002)
        if self.shared is not None:
            self.shared.end_leases()


@contextlib.contextmanager
def stage(name: str, folder: Path, zygote: Zygote, shared: Shared | None = None) -> Iterator[Stage]:
    """A stage whose environment was deployed once, with the plan's end known from one undisturbed run."""
    kind, data = KINDS[name], folder / "namecheap.json"
    for zone in kind.zones:
        seed(data, zone, email_type=kind.mode, rows=kind.rows)
    with running(data) as sandbox:
        if shared is not None:
            shared.clear()
        found = Stage(name, folder, sandbox, zygote, shared)
        found.file.parent.mkdir()
        found.write_environment(kind.before, kind.mode_before)
        first = found.sophia("deploy")
        assert first.code == 0, first.err
        found.before = found.held()
        found.write_environment(kind.after, kind.mode_after)
        found.file_before = found.file.read_text()
        shutil.copytree(found.file.parent, folder / "image")
        shutil.copy2(data, folder / "account.json")
        if shared is not None:
            shared.keep()
        found.reset()
        ended = found.act()
        assert ended.code == 0, ended.err
        found.planned, found.file_planned, found.events = found.held(), found.file.read_text(), ended.events
        found.calls = tuple(sandbox.calls())
        assert found.planned != found.before
        yield found
