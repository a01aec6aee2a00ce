"""The local form when things go wrong: kills, full disks, missing rights, odd names, torn and long logs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import resource
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sophia_cli.core.errors import SophiaError, StateError
from sophia_cli.core.history import Ownership
from sophia_cli.store import directory as module
from sophia_cli.store.directory import LONGEST_NAME, Directory, file_name, replace_text
from tests.builders import a, owned
from tests.store.forms import Files, approval, do, ended, event, fork, run_of, snapshot, until

A = "dns:a.example"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


async def fill(form: Files) -> None:
    store = form.open()
    await store.journal.save(run_of("r1", A))
    await store.journal.save(run_of("r2", A, closed=True))
    await store.snapshots.save("r1", snapshot(A))
    await store.approvals.save(approval())
    await store.ownerships.save("acme", A, owned(a("api")))
    await store.freezes.freeze("*")
    await store.audit.append(event())
    async with store.locks.hold([A], "fill"):
        pass


# -- what it looks like ------------------------------------------------------------------------------------------------


def test_everything_is_private_and_out_of_git(files: Files) -> None:
    before = os.umask(0)
    try:
        do(fill(files))
    finally:
        os.umask(before)
    for path in (files.root, *files.root.rglob("*")):
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path
    assert (files.root / ".gitignore").read_text() == "*\n"
    assert not list(files.root.rglob("*.new"))


def test_opening_and_reading_makes_nothing(files: Files) -> None:
    store = files.open()
    do(store.journal.open_runs())
    do(store.freezes.patterns())
    do(store.audit.verify())
    assert not files.root.exists()


def test_a_folder_that_is_there_stays_as_it_is(files: Files) -> None:
    files.root.mkdir()
    (files.root / ".gitignore").write_text("mine\n")
    do(fill(files))
    assert (files.root / ".gitignore").read_text() == "mine\n"


# -- names --------------------------------------------------------------------------------------------------------------

names = st.text(st.sampled_from("./\\%#:*~ aA\x00ü\udcff-"), max_size=12) | st.text(max_size=300) | st.just("..")


@given(names, names)
def test_no_name_leaves_its_folder_and_different_names_differ(first: str, second: str) -> None:
    for name in (first, second):
        safe = file_name(name)
        assert "/" not in safe
        assert safe not in ("", ".", "..")
        assert len(os.fsencode(safe)) <= LONGEST_NAME
    assert (file_name(first) == file_name(second)) == (first == second)


@settings(max_examples=40)
@given(names, names, names)
def test_no_environment_target_or_run_is_written_outside(environment: str, target: str, run: str) -> None:
    root = Path(tempfile.mkdtemp(prefix="sophia-names-"))
    try:
        form = Files(root / "inside")

        async def work() -> None:
            store = form.open()
            await store.ownerships.save(environment, target, owned(a("api")))
            await store.snapshots.save(run, snapshot(target))
            await store.journal.save(run_of(run, target))
            async with store.locks.hold([target], "odd"):
                pass
            assert await store.ownerships.load(environment, target) == owned(a("api"))
            assert await store.snapshots.of_run(run, target) == snapshot(target)
            assert await store.journal.get(run) == run_of(run, target)
            assert await store.freezes.patterns() == frozenset()

        asyncio.run(work())
        assert {path.name for path in root.iterdir()} == {"inside"}
        assert {path.name for path in (root / "inside").iterdir()} == {"state"}
        folders = {".gitignore", "locks", "ownership", "runs", "snapshots"}
        assert {path.name for path in form.root.iterdir()} == folders
        assert all(path.is_dir() for path in (form.root / "ownership").iterdir())
    finally:
        shutil.rmtree(root)


# -- kills --------------------------------------------------------------------------------------------------------------

# Every call of the operating system that a replacement makes; the process is killed before and after each.
STEPS = ("mkstemp", "fchmod", "fsync", "replace", "sync")


def _killed_at(path: Path, step: str, after: bool) -> None:
    def deadly(real: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            if after:
                real(*arguments, **named)
            os.kill(os.getpid(), signal.SIGKILL)

        return call

    if step == "mkstemp":
        tempfile.mkstemp = deadly(tempfile.mkstemp)
    elif step == "sync":
        module.sync_folder = deadly(module.sync_folder)
    else:
        setattr(os, step, deadly(getattr(os, step)))
    replace_text(path, "new " * 50_000)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_file_killed_while_it_is_replaced_is_old_or_new(tmp_path: Path, step: str, after: bool) -> None:
    path = tmp_path / "f.json"
    replace_text(path, "old")
    assert ended([fork(_killed_at, path, step, after)]) == [-signal.SIGKILL]
    replaced = step == "sync" or (step == "replace" and after)
    assert path.read_text() == ("new " * 50_000 if replaced else "old")
    replace_text(path, '"later"')
    assert Directory(tmp_path).names() == (path,)


def _write_for_ever(form: Files, started: Path) -> None:
    async def work() -> None:
        store, count = form.open(), 0
        while True:
            count += 1
            await store.ownerships.save("acme", A, owned(*(a(f"h{number}", ttl=count) for number in range(60))))
            await store.audit.append(event("n", detail={"count": count, "long": "x" * 3000}))
            started.touch()

    asyncio.run(work())


def test_killed_at_any_moment_state_is_whole_and_the_chain_goes_on(files: Files, tmp_path: Path) -> None:
    for number in range(6):
        started = tmp_path / f"started{number}"
        writer = fork(_write_for_ever, files, started)
        until(started.exists)
        writer.join(0.004 * number)
        writer.kill()
        writer.join()
        store = files.open()
        entries = do(store.ownerships.load("acme", A)).entries
        assert len({entry.record.ttl for entry in entries}) == 1
        assert len(entries) == 60
        do(store.audit.append(event("after the kill")))
        assert do(store.audit.verify())[1] == ()


def _closing_killed(form: Files, step: str) -> None:
    def die(*_: Any, **__: Any) -> bool:
        os.kill(os.getpid(), signal.SIGKILL)
        return True

    if step == "removed":
        Directory.remove = die  # type: ignore[method-assign]
    else:
        Directory.write = die  # type: ignore[method-assign,assignment]
    asyncio.run(form.open().journal.save(run_of("r1", A, closed=True)))


@pytest.mark.parametrize("step", ["written", "removed"])
def test_a_run_killed_while_it_is_closed_is_open_or_closed(files: Files, step: str) -> None:
    do(files.open().journal.save(run_of("r1", A, phase="writing")))
    assert ended([fork(_closing_killed, files, step)]) == [-signal.SIGKILL]
    journal = files.open().journal
    if step == "removed":
        assert (files.root / "runs" / "open" / "r1.json").exists()  # both are there: the closed one wins
        assert do(journal.open_runs()) == ()
        assert do(journal.get("r1")) == do(journal.runs())[0] == run_of("r1", A, closed=True)
    else:
        assert do(journal.open_runs()) == (run_of("r1", A, phase="writing"),)
        assert do(journal.runs()) == ()


def test_a_run_closed_while_open_ones_are_listed_is_no_error(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = files.open().journal
    do(journal.save(run_of("r1", A)))
    real = Directory.names

    def names(self: Directory, *parts: str) -> tuple[Path, ...]:
        found = real(self, *parts)
        if parts == ("runs", "closed"):  # listed last; the run goes right after
            (files.root / "runs" / "open" / "r1.json").unlink()
        return found

    monkeypatch.setattr(Directory, "names", names)
    assert do(journal.open_runs()) == ()


# -- full disks and missing rights --------------------------------------------------------------------------------------


def _all_fail(form: Files) -> None:
    """Every write ends as a StateError that names a path below the root; a traceback shows as an exit code."""
    store = form.open()
    for work in (
        store.journal.save(run_of("r9", A)),
        store.snapshots.save("r9", snapshot(A)),
        store.approvals.save(approval("sha256:new")),
        store.approvals.use(approval()),
        store.ownerships.save("acme", A, owned(a("new"))),
        store.freezes.freeze("dns:new"),
        store.audit.append(event("new")),
    ):
        with pytest.raises(StateError) as caught:
            asyncio.run(work)
        assert str(form.root) in caught.value.message
        assert caught.value.hint


def _full(form: Files) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (5, 5))  # write(2) gives EFBIG beyond, and a short write before
    _all_fail(form)


def test_a_full_disk_is_said_and_loses_nothing(files: Files) -> None:
    do(fill(files))
    before = {path: path.read_bytes() for path in files.root.rglob("*.json")}
    log = (files.root / "audit.jsonl").read_bytes()
    assert ended([fork(_full, files)]) == [0]
    assert {path: path.read_bytes() for path in files.root.rglob("*.json")} == before
    assert (files.root / "audit.jsonl").read_bytes().startswith(log)
    assert not list(files.root.rglob("*.new"))
    do(files.open().audit.append(event("space again")))
    assert do(files.open().audit.verify())[1] == ()


def _full_after(form: Files, size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    with pytest.raises(StateError, match=r"audit\.jsonl"):
        asyncio.run(form.open().audit.append(event("torn", detail={"x": "y" * 500})))


def test_a_line_torn_by_a_full_disk_is_closed_by_a_recovery_event(files: Files) -> None:
    do(files.open().audit.append(event("first")))
    size = (files.root / "audit.jsonl").stat().st_size
    assert ended([fork(_full_after, files, size + 100)]) == [0]
    assert (files.root / "audit.jsonl").stat().st_size == size + 100
    assert do(files.open().audit.verify())[1] == ()  # what a crash tears off is no sign of tampering
    do(files.open().audit.append(event("next")))
    assert do(files.open().audit.verify())[1] == ()
    assert [one.action for one in do(files.open().audit.events())] == ["first", "audit.recovered", "next"]


@pytest.fixture
def lent() -> Iterator[Files]:
    """A state that belongs to nobody in particular: root passes every permission, so these tests step down."""
    root = Path(tempfile.mkdtemp(prefix="sophia-rights-", dir="/tmp"))
    root.chmod(0o755)
    form = Files(root)
    do(fill(form))
    if os.geteuid() == 0:
        for path in (root, form.root, *form.root.rglob("*")):
            os.chown(path, 65534, 65534)
    yield form
    for path in (root, *(path for path in root.rglob("*") if path.is_dir())):
        path.chmod(0o700)
    shutil.rmtree(root)


def _step_down() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def _read_only(form: Files) -> None:
    _step_down()
    _all_fail(form)
    assert asyncio.run(form.open().journal.open_runs())[0].id == "r1"  # reading still works


def test_a_read_only_state_can_be_read_and_says_why_it_is_not_written(lent: Files) -> None:
    for path in lent.root.rglob("*"):
        path.chmod(0o500 if path.is_dir() else 0o400)
    lent.root.chmod(0o500)
    assert ended([fork(_read_only, lent)]) == [0]


def _unreadable(form: Files) -> None:
    _step_down()
    store = form.open()
    for read in (
        store.journal.open_runs(),
        store.journal.runs(),
        store.snapshots.recent(A, 1),
        store.approvals.of_plan("sha256:plan"),
        store.ownerships.load("acme", A),
        store.freezes.patterns(),
        store.audit.verify(),
        store.audit.events(),
    ):
        with pytest.raises(StateError, match=str(form.root)):
            asyncio.run(read)


@pytest.mark.parametrize("what", ["files", "folders"])
def test_what_may_not_be_read_is_never_taken_for_nothing(lent: Files, what: str) -> None:
    for path in sorted(lent.root.rglob("*"), reverse=True):
        if path.is_dir() == (what == "folders"):
            path.chmod(0)
    if what == "folders":
        lent.root.chmod(0)
    assert ended([fork(_unreadable, lent)]) == [0]


def _unlistable(form: Files) -> None:
    _step_down()
    for read in (form.open().journal.open_runs, form.open().journal.runs, lambda: form.open().snapshots.recent(A, 1)):
        with pytest.raises(StateError):
            asyncio.run(read())


def test_a_folder_that_may_be_entered_and_not_listed_is_not_empty(lent: Files) -> None:
    for folder in ("runs/open", "runs/closed", f"snapshots/{file_name(A)}"):
        (lent.root / folder).chmod(0o300)
    assert ended([fork(_unlistable, lent)]) == [0]


@pytest.mark.parametrize("place", ["", "runs", "locks", "audit.jsonl", "audit.lock", "freezes.lock", "approvals.lock"])
def test_something_else_in_the_place_is_an_error_of_ours(tmp_path: Path, place: str) -> None:
    form = Files(tmp_path)
    if place in ("", "runs", "locks"):  # a file where a folder is due
        (form.root / place).parent.mkdir(parents=True, exist_ok=True)
        (form.root / place).write_text("x")
    else:  # and the other way round
        (form.root / place).mkdir(parents=True)
    with pytest.raises(StateError) as caught:
        do(fill(form))
    assert str(form.root) in caught.value.message


def test_a_process_that_hangs_inside_a_change_does_not_stop_the_others_for_ever(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_WAIT_S", 0.05)
    with Directory(files.root).alone("audit.lock"), pytest.raises(SophiaError, match="another process has held it"):
        do(files.open().audit.append(event()))


# -- the log, torn and long ---------------------------------------------------------------------------------------------

LONG = 3 * (1 << 16) + 17  # more than the part of the log that is read at first


def log_of(files: Files) -> Path:
    return files.root / "audit.jsonl"


@pytest.mark.parametrize("length", [10, (1 << 16) - 300, 1 << 16, LONG])
def test_events_of_any_length_are_chained(files: Files, length: int) -> None:
    for number in range(3):
        do(files.open().audit.append(event(f"long.{number}", detail={"x": "y" * length})))
    assert do(files.open().audit.verify())[1] == ()
    assert do(files.open().audit.verify())[0].count == 3


@pytest.mark.parametrize("length", [10, LONG])
def test_a_log_ahead_of_its_head_goes_on_behind_a_long_event(files: Files, length: int) -> None:
    do(files.open().audit.append(event("first")))
    head = files.head()
    for number in range(3):  # a disk too full for the head and not for the log, three times
        do(files.open().audit.append(event(f"long.{number}", detail={"x": "y" * length})))
    files.set_head(head)
    do(files.open().audit.append(event("next")))
    assert do(files.open().audit.verify())[1] == ()
    assert [one.seq for one in do(files.open().audit.events())] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kept", [1, 200, 65_000, LONG])
def test_a_torn_line_of_any_length_is_closed(files: Files, kept: int) -> None:
    do(files.open().audit.append(event("first")))
    before = log_of(files).read_bytes()
    head = files.head()
    do(files.open().audit.append(event("torn", detail={"x": "y" * (LONG + 10)})))
    torn = log_of(files).read_bytes()[len(before) :][:kept]
    log_of(files).write_bytes(before + torn)
    files.set_head(head)
    assert do(files.open().audit.verify())[1] == ()
    do(files.open().audit.append(event("next")))
    assert do(files.open().audit.verify())[1] == ()
    recovered = do(files.open().audit.events())[1]
    assert recovered.action == "audit.recovered"
    assert recovered.detail == {"bytes": kept, "sha256": hashlib.sha256(torn).hexdigest()}


def test_only_the_line_end_lost_is_no_loss(files: Files) -> None:
    do(files.open().audit.append(event("first")))
    log_of(files).write_bytes(log_of(files).read_bytes()[:-1])
    assert do(files.open().audit.verify())[1] == ()
    do(files.open().audit.append(event("next")))
    assert [one.action for one in do(files.open().audit.events())] == ["first", "next"]
    assert do(files.open().audit.verify())[1] == ()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_killed_while_a_torn_line_is_being_accounted_for_the_next_event_accounts_for_both(
    files: Files, share: float
) -> None:
    do(files.open().audit.append(event("one")))
    whole, head = log_of(files).read_bytes(), files.head()
    torn = whole.strip()[:70]
    log_of(files).write_bytes(whole + torn)
    do(files.open().audit.append(event("two")))
    recovered = log_of(files).read_bytes().split(b"\n")[2]
    # The second kill: the torn line was ended, and its recovery written only in part.
    log_of(files).write_bytes(whole + torn + b"\n" + recovered[: int(len(recovered) * share)])
    files.set_head(head)
    do(files.open().audit.append(event("three")))
    assert do(files.open().audit.verify())[1] == ()
    assert [one.action for one in do(files.open().audit.events())][-1] == "three"


def test_a_torn_line_is_accounted_for_only_by_its_own_recovery(files: Files) -> None:
    do(files.open().audit.append(event("first")))
    log_of(files).write_bytes(log_of(files).read_bytes() + b"torn")
    do(files.open().audit.append(event("next")))
    log_of(files).write_bytes(log_of(files).read_bytes().replace(b"\ntorn\n", b"\nelse\n"))
    assert do(files.open().audit.verify())[1] == ("line 2 is not an event",)


def test_appending_does_not_read_the_whole_log(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        do(files.open().audit.append(event(f"n{number}", detail={"x": "y" * 10_000})))
    read, real = 0, os.pread

    def pread(handle: int, size: int, position: int) -> bytes:
        nonlocal read
        read += size
        return real(handle, size, position)

    monkeypatch.setattr(os, "pread", pread)
    do(files.open().audit.append(event("one more")))
    assert 0 < read <= 1 << 16


# -- locks --------------------------------------------------------------------------------------------------------------


def test_an_earlier_holder_is_not_named_for_the_present_one(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        store = files.open()
        async with store.locks.hold([A], "earlier"):
            pass
        monkeypatch.setattr(os, "pwrite", lambda *_: 0)  # the present one holds it and has not come to its note yet
        monkeypatch.setattr(os, "ftruncate", lambda *_: None)
        async with store.locks.hold([A], "present"):
            with pytest.raises(SophiaError, match="another run holds the lock"):
                async with store.locks.hold([A], "third"):
                    pass

    do(work())


def test_locks_that_the_file_system_does_not_know_are_an_error_of_ours(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)

    async def work() -> None:
        async with files.open().locks.hold([A], "deploy"):
            pass

    with pytest.raises(StateError, match="No locks available"):
        do(work())


def test_state_is_plain_json(files: Files) -> None:
    do(files.open().ownerships.save("acme", A, Ownership()))
    assert json.loads((files.root / "ownership" / "acme" / (file_name(A + ".json"))).read_bytes())["entries"] == []
