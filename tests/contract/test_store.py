"""What every form of the state must do: one suite over local files and Redis."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest

from sophia_cli.core.errors import ApprovalMissing, Locked, StateError
from sophia_cli.core.history import GENESIS, AuditEvent, AuditHead, Ownership
from tests.builders import NOW, OTHER_IP, a, owned
from tests.store.forms import (
    FORMS,
    Form,
    approval,
    do,
    ended,
    event,
    fork,
    form_of,
    jsoned,
    later,
    run_of,
    snapshot,
    until,
)

A, B, C = "dns:a.example", "dns:b.example", "dns:c.example"


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Form]:
    return form_of(request.param, tmp_path)  # type: ignore[return-value]


async def taken(form: Form, *targets: str) -> None:
    async with form.open().locks.hold(targets, "probe"):
        pass


# -- locks --------------------------------------------------------------------------------------------------------------


def _enter_often(form: Form, mark: Path, times: int) -> None:
    async def work() -> None:
        store, done = form.open(), 0
        while done < times:
            try:
                async with store.locks.hold([A, B] if done % 2 else [B, A], "race"):
                    os.close(os.open(mark, os.O_CREAT | os.O_EXCL))  # fails when another is inside
                    await asyncio.sleep(0.002)
                    mark.unlink()
                    done += 1
            except Locked:
                await asyncio.sleep(0.001)

    asyncio.run(work())


def test_of_several_processes_only_one_holds_a_lock(form: Form, tmp_path: Path) -> None:
    mark = tmp_path / "inside"
    codes = ended([fork(_enter_often, form, mark, 12) for _ in range(4)])
    assert codes == [0, 0, 0, 0]


def test_locks_are_taken_all_or_none_and_the_message_names_the_holder(form: Form) -> None:
    async def work() -> None:
        first, second = form.open(), form.open()
        async with first.locks.hold([B], "deploy acme"):
            with pytest.raises(Locked) as caught:
                async with second.locks.hold([C, B, A], "heal"):
                    raise AssertionError("two holders")
            await taken(form, A, C)
        error = caught.value
        assert error.exit_code == 6
        for said in (B, "deploy acme", f"process {os.getpid()}", socket.gethostname(), "2026-11-22T12:00:00Z"):
            assert said in error.message
        assert error.details["holder"]["purpose"] == "deploy acme"
        assert error.hint

    do(work())


def test_a_lock_is_let_go_at_the_end_and_by_an_error(form: Form) -> None:
    async def work() -> None:
        store = form.open()
        for _ in range(2):
            with contextlib.suppress(ZeroDivisionError):
                async with store.locks.hold([A, A], "once"):
                    raise ZeroDivisionError
        async with store.locks.hold([], "nothing"), store.locks.hold([A], "again"):
            with pytest.raises(Locked):
                await taken(form, A)
        await taken(form, A)

    do(work())


def test_a_holder_that_is_cancelled_lets_go(form: Form) -> None:
    async def hold(inside: asyncio.Event) -> None:
        async with form.open().locks.hold([A], "long"):
            inside.set()
            await asyncio.sleep(60)

    async def work() -> None:
        inside = asyncio.Event()
        task = asyncio.create_task(hold(inside))
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await taken(form, A)

    do(work())


def _hold_for_ever(form: Form, mark: Path) -> None:
    async def work() -> None:
        async with form.open().locks.hold([A], "doomed"):
            mark.touch()
            await asyncio.sleep(60)

    asyncio.run(work())


def test_a_killed_holder_does_not_hold_for_ever(form: Form, tmp_path: Path) -> None:
    mark = tmp_path / "held"
    holder = fork(_hold_for_ever, form, mark)
    until(mark.exists)
    with pytest.raises(Locked, match="doomed"):
        do(taken(form, A))
    holder.kill()
    holder.join()
    form.end_lease(A)
    do(taken(form, A))


def test_a_held_lock_can_be_made_sure_of(form: Form) -> None:
    async def work() -> None:
        store = form.open()
        async with store.locks.hold([A], "deploy"):
            await store.locks.assure(70.0)  # type: ignore[attr-defined]

    do(work())


# -- journal ------------------------------------------------------------------------------------------------------------


def test_the_journal_tells_open_runs_from_closed_ones(form: Form) -> None:
    async def work() -> None:
        journal = form.open().journal
        assert await journal.open_runs() == ()
        assert await journal.get("20261122T120000000-aaaa") is None
        second, first = run_of("20261122T120100000-aaaa"), run_of("20261122T120000000-aaaa")
        await journal.save(second)
        await journal.save(first)
        assert await form.open().journal.open_runs() == (first, second)
        moved = first.with_leg("dns:example.com", "writing")
        await journal.save(moved)
        assert await journal.open_runs() == (moved, second)
        closed = replace(moved, closed=True, outcome="applied")
        await journal.save(closed)
        assert await journal.open_runs() == (second,)
        assert await journal.get(first.id) == closed
        assert await journal.runs() == (closed,)

    do(work())


def test_a_closed_run_stays_closed_and_can_be_amended(form: Form) -> None:
    async def work() -> None:
        journal = form.open().journal
        closed = run_of("20261122T120000000-aaaa", closed=True)
        await journal.save(closed)
        await journal.save(replace(closed, closed=False, outcome="unknown"))  # a late word of a writer that was slow
        assert await journal.open_runs() == ()
        assert await journal.get(closed.id) == closed
        amended = replace(closed, verified=True)
        await journal.save(amended)
        assert await journal.runs() == (amended,)

    do(work())


def test_runs_since_a_moment_go_by_their_start(form: Form) -> None:
    async def work() -> None:
        journal = form.open().journal
        runs = [
            run_of(f"20261122T12{minute:02}00000-aaaa", closed=True, started=later(minute)) for minute in (20, 0, 40)
        ]
        for run in runs:
            await journal.save(run)
        early = run_of("20261122T122000900-bbbb", closed=True, started=later(20) - timedelta(milliseconds=5))
        await journal.save(early)
        assert [run.id[9:13] for run in await journal.runs()] == ["1200", "1220", "1220", "1240"]
        assert await journal.runs(since=later(20)) == (runs[0], runs[2])
        assert await journal.runs(since=later(41)) == ()

    do(work())


# -- snapshots ----------------------------------------------------------------------------------------------------------


def test_snapshots_are_found_by_run_and_newest_first(form: Form) -> None:
    async def work() -> None:
        snapshots = form.open().snapshots
        assert await snapshots.recent(A, 5) == ()
        for minute in (2, 0, 1):
            await snapshots.save(f"20261122T120{minute}00000-aaaa", snapshot(A, f"203.0.113.{minute}", later(minute)))
        await snapshots.save("20261122T120900000-aaaa", snapshot(B))
        assert [one.taken_at for one in await snapshots.recent(A, 2)] == [later(2), later(1)]
        assert len(await snapshots.recent(A, 99)) == 3
        assert await snapshots.recent(A, 0) == ()
        found = await snapshots.of_run("20261122T120100000-aaaa", A)
        assert found == snapshot(A, "203.0.113.1", later(1))
        assert await snapshots.of_run("20261122T120100000-aaaa", B) is None

    do(work())


# -- approvals ----------------------------------------------------------------------------------------------------------


def test_an_approval_serves_once(form: Form) -> None:
    async def work() -> None:
        approvals, one, other = form.open().approvals, approval(), approval(by="bob")
        await approvals.save(one)
        await approvals.save(other)
        await approvals.save(approval("sha256:else"))
        assert {found.by for found in await approvals.of_plan(one.plan)} == {"ada", "bob"}
        await approvals.use(one)
        with pytest.raises(ApprovalMissing):
            await form.open().approvals.use(one)
        await approvals.save(one)  # recording it again does not make it fresh
        assert {(found.by, found.used) for found in await approvals.of_plan(one.plan)} == {
            ("ada", True),
            ("bob", False),
        }
        with pytest.raises(ApprovalMissing):
            await approvals.use(one)
        await approvals.use(other)

    do(work())


def test_an_approval_from_elsewhere_is_used_up_here(form: Form) -> None:
    async def work() -> None:
        await form.open().approvals.use(approval())
        with pytest.raises(ApprovalMissing):
            await form.open().approvals.use(approval())

    do(work())


def _use(form: Form, go: object, won: Path) -> None:
    async def work() -> None:
        store = form.open()
        assert await store.approvals.of_plan("sha256:plan")
        go.wait()  # type: ignore[attr-defined]
        with contextlib.suppress(ApprovalMissing):
            await store.approvals.use(approval())
            (won / str(os.getpid())).touch()

    asyncio.run(work())


def test_of_users_at_the_same_moment_one_gets_the_approval(form: Form, tmp_path: Path) -> None:
    won = tmp_path / "won"
    won.mkdir()
    for _ in range(3):
        do(form.open().approvals.save(approval()))
        go = get_context("fork").Barrier(6)
        assert ended([fork(_use, form, go, won) for _ in range(6)]) == [0] * 6
        assert len(list(won.iterdir())) == 1


# -- ownership and freezes ----------------------------------------------------------------------------------------------


def test_ownership_is_kept_by_environment_and_target(form: Form) -> None:
    async def work() -> None:
        kept = form.open().ownerships
        assert await kept.load("acme", A) == Ownership()
        await kept.save("acme", A, owned(a("api"), email_type="MX"))
        await kept.save("acme", B, owned(a("www")))
        await kept.save("other", A, owned(a("api", OTHER_IP)))
        assert await kept.load("acme", A) == owned(a("api"), email_type="MX")
        assert await kept.load("other", A) == owned(a("api", OTHER_IP))
        await kept.save("acme", A, Ownership())
        assert await kept.load("acme", A) == Ownership()
        assert await kept.load("acme", B) == owned(a("www"))

    do(work())


def test_freezes_add_up_and_thaw(form: Form) -> None:
    async def work() -> None:
        freezes = form.open().freezes
        assert await freezes.patterns() == frozenset()
        assert await freezes.thaw("*") is False
        await freezes.freeze("*")
        await freezes.freeze("dns:[ab].example/ü")
        await freezes.freeze("*")
        assert await form.open().freezes.patterns() == {"*", "dns:[ab].example/ü"}
        assert await freezes.thaw("*") is True
        assert await freezes.patterns() == {"dns:[ab].example/ü"}

    do(work())


def _freeze(form: Form, go: object, number: int) -> None:
    go.wait()  # type: ignore[attr-defined]
    for count in range(8):
        asyncio.run(form.open().freezes.freeze(f"dns:{number}-{count}"))


def test_no_freeze_is_lost_between_processes(form: Form) -> None:
    go = get_context("fork").Barrier(4)
    assert ended([fork(_freeze, form, go, number) for number in range(4)]) == [0] * 4
    assert len(do(form.open().freezes.patterns())) == 32


# -- the audit log ------------------------------------------------------------------------------------------------------


async def logged(form: Form, count: int) -> AuditHead:
    audit, head = form.open().audit, AuditHead()
    for number in range(count):
        head = await audit.append(
            event(f"step.{number}", target=A, outcome="done", detail={"n": number, "t": "ü\u2028"})
        )
    return head


def problems(form: Form, head: str | None = None) -> tuple[str, ...]:
    return do(form.open().audit.verify(head))[1]


def test_events_are_chained_and_verified(form: Form) -> None:
    assert do(form.open().audit.verify()) == (AuditHead(0, GENESIS), ())
    head = do(logged(form, 4))
    assert do(form.open().audit.verify(head.hash)) == (head, ())
    events = do(form.open().audit.events())
    assert [one.seq for one in events] == [0, 1, 2, 3]
    assert [one.prev for one in events] == [GENESIS, *(one.hash for one in events[:-1])]
    assert events[2].detail == {"n": 2, "t": "ü\u2028"}
    assert events[3].hash == head.hash == jsoned(form.head() or b"")["hash"]
    assert "asked for" in problems(form, "sha256:" + "f" * 64)[0]


def _append_many(form: Form, go: object, count: int) -> None:
    async def work() -> None:
        audit = form.open().audit
        go.wait()  # type: ignore[attr-defined]
        for number in range(count):
            await audit.append(event(f"p{os.getpid()}", detail={"n": number}))

    asyncio.run(work())


def test_writers_in_several_processes_never_break_the_chain(form: Form) -> None:
    go = get_context("fork").Barrier(4)
    assert ended([fork(_append_many, form, go, 20) for _ in range(4)]) == [0] * 4
    head, found = do(form.open().audit.verify())
    assert (head.count, found) == (80, ())
    by_writer: dict[str, list[int]] = {}
    for one in do(form.open().audit.events()):
        by_writer.setdefault(one.action, []).append(one.detail["n"])
    assert list(by_writer.values()) == [list(range(20))] * 4


def _changed(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2].replace(b'"done"', b'"lost"'), *lines[3:]]


def _resealed(lines: list[bytes]) -> list[bytes]:
    from sophia_cli.core.canonical import canonical

    found = AuditEvent.from_data(jsoned(lines[2]))
    forged = replace(found, outcome="lost").sealed(found.seq, found.prev)
    return [*lines[:2], canonical(forged.data()), *lines[3:]]


TAMPERING: Sequence[tuple[str, Callable[[list[bytes]], list[bytes]], str]] = (
    ("cut tail", lambda lines: lines[:-2], "2 events at the end are missing"),
    ("emptied", lambda lines: [], "5 events at the end are missing"),
    ("cut head", lambda lines: lines[1:], "line 1 does not follow"),
    ("cut middle", lambda lines: [*lines[:2], *lines[3:]], "line 3 does not follow"),
    ("swapped", lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], "line 2 does not follow"),
    ("doubled", lambda lines: [*lines[:3], lines[2], *lines[3:]], "line 4 does not follow"),
    ("changed", _changed, "line 3 was changed"),
    ("changed and sealed again", _resealed, "line 4 does not follow"),
    ("other text", lambda lines: [lines[0].replace(b'"seq":0', b'"seq": 0'), *lines[1:]], "line 1 was changed"),
    ("last resealed", lambda lines: [*lines[:-1], _resealed([b"", b"", lines[-1]])[2]], "is not in the log"),
    ("not an event", lambda lines: [*lines[:1], b"{}", *lines[2:]], "line 2 is not an event"),
    ("not typed", lambda lines: [lines[0].replace(b'"seq":0', b'"seq":"0"'), *lines[1:]], "line 1 is not an event"),
    ("not finite", lambda lines: [lines[0].replace(b'"n":0', b'"n":NaN'), *lines[1:]], "line 1 is not an event"),
    ("not text", lambda lines: [b"\xff\xfe", *lines], "line 1 is not an event"),
    ("deep", lambda lines: [*lines, b"[" * 100_000], "line 6 is not an event"),
)


@pytest.mark.parametrize(("tamper", "said"), [case[1:] for case in TAMPERING], ids=[case[0] for case in TAMPERING])
def test_tampering_with_the_log_is_found(form: Form, tamper: Callable[[list[bytes]], list[bytes]], said: str) -> None:
    do(logged(form, 5))
    form.rewrite(tamper(form.lines()))
    assert any(said in problem for problem in problems(form)), problems(form)
    do(form.open().audit.append(event("next")))
    assert problems(form), "going on must not hide it"


def test_whoever_rewrites_log_and_head_is_found_only_by_a_head_kept_elsewhere(form: Form) -> None:
    kept = do(logged(form, 5)).hash
    lines = form.lines()
    earlier = AuditEvent.from_data(jsoned(lines[2]))
    form.rewrite(lines[:3])
    form.set_head(b'{"count": 3, "hash": "%s"}' % earlier.hash.encode())
    assert problems(form) == ()
    assert "asked for" in problems(form, kept)[0]


def test_a_log_one_ahead_of_its_head_is_what_a_crash_leaves(form: Form) -> None:
    do(logged(form, 3))
    before = form.head()
    last = do(logged(form, 1))
    form.set_head(before)
    assert do(form.open().audit.verify()) == (last, ())
    after = do(form.open().audit.append(event("next")))
    assert do(form.open().audit.verify()) == (after, ())
    assert after.count == 5


def test_a_log_whose_head_is_gone_says_so_and_goes_on(form: Form) -> None:
    do(logged(form, 1))
    form.set_head(None)
    assert problems(form) == ()  # a crash after the very first line
    do(logged(form, 1))
    form.set_head(None)
    assert "is missing" in problems(form)[0]
    do(form.open().audit.append(event("next")))
    assert problems(form) == ()
    assert [one.action for one in do(form.open().audit.events())][2:] == ["audit.recovered", "next"]


@pytest.mark.parametrize("content", [b"x", b"[]", b"{}", b'{"count": "1", "hash": 2}', b"\xff"])
def test_a_head_that_is_none_is_a_problem_and_stops_writers(form: Form, content: bytes) -> None:
    do(logged(form, 2))
    form.set_head(content)
    assert "is not an audit head" in problems(form)[0]
    with pytest.raises(StateError, match="is not an audit head") as caught:
        do(form.open().audit.append(event("next")))
    assert caught.value.hint
    assert len(form.lines()) == 2


@pytest.mark.parametrize("detail", [{"x": 1.0e400}, {"x": object()}, {"x": "\ud800"}])
def test_an_event_that_cannot_be_written_touches_nothing(form: Form, detail: dict[str, object]) -> None:
    do(logged(form, 1))
    with pytest.raises(StateError, match="cannot be written"):
        do(form.open().audit.append(event("odd", detail=detail)))
    assert problems(form) == ()
    assert len(form.lines()) == 1


# -- foreign content ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"nonsense", b"[]", b"{}", b"null", b'"*"', b"7", b"[" * 100_000]
)
def test_foreign_content_is_an_error_of_ours(form: Form, content: bytes) -> None:
    async def fill() -> None:
        store = form.open()
        await store.journal.save(run_of("r-open", A))
        await store.journal.save(run_of("r-closed", A, closed=True))
        await store.snapshots.save("r-open", snapshot(A))
        await store.approvals.save(approval())
        await store.ownerships.save("acme", A, owned(a("api")))
        await store.freezes.freeze("*")

    do(fill())
    form.spoil(content)
    store = form.open()
    for read in (
        store.journal.open_runs,
        store.journal.runs,
        lambda: store.journal.get("r-closed"),
        lambda: store.snapshots.recent(A, 1),
        lambda: store.snapshots.of_run("r-open", A),
        lambda: store.approvals.of_plan("sha256:plan"),
        lambda: store.approvals.use(approval()),
        lambda: store.ownerships.load("acme", A),
        store.freezes.patterns,
    ):
        if content == b"[]" and read == store.freezes.patterns:
            continue  # an empty list of patterns is what thawing leaves
        with pytest.raises(StateError) as caught:
            do(read())
        assert caught.value.hint


def test_names_that_look_alike_stay_apart(form: Form) -> None:
    names = (
        "a/b",
        "a%2Fb",
        "a",
        "a/",
        "..",
        ".",
        "",
        "../a",
        "a:b",
        "a b",
        "A",
        "ü",
        "x" * 300,
        "x" * 299 + "y",
        "\udcff",
    )

    async def work() -> None:
        store = form.open()
        for number, name in enumerate(names):
            await store.ownerships.save(name, name, owned(a(f"h{number}")))
            await store.snapshots.save(name or "r", snapshot(f"t{number}" + name, f"203.0.113.{number}"))
        for number, name in enumerate(names):
            assert await store.ownerships.load(name, name) == owned(a(f"h{number}"))
            assert len(await store.snapshots.recent(f"t{number}" + name, 9)) == 1
            async with store.locks.hold([name], "odd"):
                pass

    do(work())


def test_values_survive_whole(form: Form) -> None:
    async def work() -> None:
        store = form.open()
        run = replace(run_of("r", A, note="ü \x00 \udcff \u2028"), started=NOW + timedelta(microseconds=7))
        await store.journal.save(run)
        assert await store.journal.get("r") == run

    do(work())
