"""The rate budget shared by processes: never exceeded, never lost, safe when its record is not to be believed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia_cli.core.errors import RateLimited, StateError
from sophia_cli.providers.namecheap.budget import (
    WINDOWS,
    Budget,
    Calls,
    Ledger,
    Move,
    SharedBudget,
    Unlimited,
    Used,
    WindowBudget,
)
from sophia_cli.store.directory import Directory
from sophia_cli.store.ledger import FileLedger, RedisLedger
from sophia_cli.store.open import open_ledger
from sophia_cli.store.redis_server import Server, address_of
from tests.store.forms import FORMS, OnRedis, TestClock, do, ended, fork, form_of, later, served

SPEED = 20.0  # how much faster than the real one the clock of the racing processes runs
SMALL = ((5, 2.0), (12, 12.0), (1000, 3600.0))  # the last one keeps the stamps for the test to see


class Memory:
    """A ledger of one process, as the port describes it; its time moves only by hand."""

    def __init__(self, calls: Calls | None = (), now: int = 10**12) -> None:
        self.calls, self.time = calls, now

    async def read(self) -> tuple[int, Calls | None]:
        return self.time, self.calls

    async def exchange(self, move: Move) -> None:
        self.calls = move(self.time, self.calls)

    async def sleep(self, seconds: float) -> None:
        self.time += round(seconds * 1000)
        await asyncio.sleep(0)


class Fast:
    """Real time, faster."""

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=(time.time() % 10**6) * SPEED)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / SPEED)


Make = Callable[[object], Ledger]


@pytest.fixture(params=FORMS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Ledgers of one account in one state, over a clock."""
    form = form_of(request.param, tmp_path)
    if isinstance(form, OnRedis):
        yield lambda clock: RedisLedger(Server(address_of(form.url)), "user", clock)  # type: ignore[arg-type]
    else:
        yield lambda clock: FileLedger(Directory(form.root), "user", clock)  # type: ignore[arg-type]


def most_in_a_window(stamps: list[int], window_ms: int) -> int:
    ordered = sorted(stamps)
    return max(sum(1 for other in ordered[: index + 1] if other > at - window_ms) for index, at in enumerate(ordered))


# -- several processes --------------------------------------------------------------------------------------------------


def _spend(make: Make, out: Path, calls: int, side_by_side: bool) -> None:
    clock = Fast()

    async def one(budget: SharedBudget) -> int:
        await budget.spend()
        return round(clock.now().timestamp() * 1000)

    async def work() -> list[int]:
        budget = SharedBudget(make(clock), SMALL, sleep=clock.sleep)
        if side_by_side:
            return list(await asyncio.gather(*(one(budget) for _ in range(calls))))
        return [await one(budget) for _ in range(calls)]

    out.write_text(json.dumps(asyncio.run(work())))


@pytest.mark.parametrize("side_by_side", [False, True], ids=["one by one", "side by side"])
def test_processes_together_never_exceed_the_windows(make: Make, tmp_path: Path, side_by_side: bool) -> None:
    outs = [tmp_path / f"out{number}" for number in range(4)]
    assert ended([fork(_spend, make, out, 9, side_by_side) for out in outs]) == [0] * 4
    seen = [stamp for out in outs for stamp in json.loads(out.read_text())]
    _, stamps = do(make(Fast()).read())
    assert stamps is not None
    assert len(seen) == len(stamps) == 36  # no call was lost between the processes
    for limit, window_s in SMALL:
        assert most_in_a_window(list(stamps), round(window_s * 1000)) <= limit
    assert all(at <= back for at, back in zip(sorted(stamps), sorted(seen), strict=True))  # none went before its stamp
    assert max(seen) - min(seen) >= 24_000  # 36 calls at 12 in 12 s


def test_what_one_process_spent_another_knows(make: Make) -> None:
    clock = TestClock()

    async def work() -> None:
        one, other = SharedBudget(make(clock), sleep=clock.sleep), SharedBudget(make(clock), sleep=clock.sleep)
        assert await other.spent() == (Used(0, 20, 60.0), Used(0, 700, 3600.0), Used(0, 8000, 86400.0))
        assert await other.wait_for(20) == 0.0
        for _ in range(20):
            await one.spend()
        assert [used.calls for used in await other.spent()] == [20, 20, 20]
        assert await other.wait_for(0) == 0.0
        assert await other.wait_for(1) == await other.wait_for(20) == 60.0
        assert await other.wait_for(21) == 120.0
        before = clock.now()
        await other.spend()
        assert clock.now() - before == timedelta(seconds=60)
        assert [used.calls for used in await one.spent()] == [1, 21, 21]
        clock.time += timedelta(hours=1)
        assert [used.calls for used in await one.spent()] == [0, 0, 21]

    do(work())


def test_asking_spends_nothing(make: Make) -> None:
    clock = TestClock()

    async def work() -> None:
        budget = SharedBudget(make(clock))
        for _ in range(3):
            await budget.spent()
            await budget.wait_for(50)
        assert (await make(clock).read())[1] == ()

    do(work())


# -- windows ------------------------------------------------------------------------------------------------------------


def test_the_wait_for_many_calls_goes_by_every_window() -> None:
    async def work() -> None:
        budget = SharedBudget(Memory())
        assert await budget.wait_for(700) == 34 * 60.0
        assert await budget.wait_for(701) == 3600.0
        assert await budget.wait_for(8001) == 86400.0

    do(work())


def test_a_wait_beyond_patience_is_refused_and_reserves_nothing() -> None:
    async def work() -> None:
        memory = Memory()
        budget = SharedBudget(memory, ((2, 60.0), (3, 3600.0)), max_wait_s=70, sleep=memory.sleep)
        for _ in range(3):
            await budget.spend()
        before = memory.calls
        with pytest.raises(RateLimited) as caught:
            await budget.spend()
        assert caught.value.details["wait_s"] == 3540
        assert memory.calls == before

    do(work())


def test_who_oversleeps_is_checked_again() -> None:
    """Two callers reserved a moment each; the first wakes so late that the second's would break the window."""

    async def work() -> None:
        memory = Memory()
        start, naps = memory.time, []

        async def late(seconds: float) -> None:
            naps.append(seconds)
            memory.time += round(seconds * 1000) + (50_000 if len(naps) == 1 else 0)

        budget = SharedBudget(memory, ((1, 60.0),), max_wait_s=600, sleep=late)
        await budget.spend()
        memory.calls = (*(memory.calls or ()), start + 120_000)  # another process's place in the queue
        await budget.spend()
        assert memory.calls is not None
        stamps = [call for call in memory.calls if call <= memory.time]
        assert most_in_a_window(stamps, 60_000) == 1

    do(work())


@given(
    st.lists(st.tuples(st.sampled_from(["spend", "pass", "late"]), st.integers(0, 90_000)), max_size=60),
    st.integers(1, 4),
)
def test_stamps_never_break_a_window(script: list[tuple[str, int]], limit: int) -> None:
    windows = ((limit, 10.0), (limit + 3, 60.0))

    async def work() -> None:
        memory, stamps, lateness = Memory(), [], [0]

        async def sleep(seconds: float) -> None:
            memory.time += round(seconds * 1000) + lateness.pop() if lateness else round(seconds * 1000)

        budget = SharedBudget(memory, windows, sleep=sleep)
        for what, amount in script:
            if what == "pass":
                memory.time += amount
                continue
            lateness[:] = [amount] if what == "late" else []
            try:
                await budget.spend()
            except RateLimited:
                continue
            stamps.append(memory.time)
        for many, window_s in windows:
            assert not stamps or most_in_a_window(stamps, round(window_s * 1000)) <= many

    do(work())


# -- clocks and records that are not to be believed ---------------------------------------------------------------------


@pytest.mark.parametrize("back", [1, 90, 3600, 86400 * 400], ids=lambda seconds: f"{seconds} s")
def test_a_clock_that_goes_back_neither_frees_calls_nor_blocks_for_ever(make: Make, back: int) -> None:
    clock = TestClock()

    async def work() -> None:
        budget = SharedBudget(make(clock), sleep=clock.sleep)
        for _ in range(20):
            await budget.spend()
        clock.time -= timedelta(seconds=back)
        assert (await budget.spent())[0].calls == 20
        wait = await budget.wait_for(1)
        assert 60 <= wait <= 60 + min(back, 120)
        if wait > 120:
            with pytest.raises(RateLimited):
                await budget.spend()
        started = clock.now()
        clock.time += timedelta(seconds=60)
        await budget.spend()
        assert clock.now() - started <= timedelta(seconds=181)
        clock.time += timedelta(seconds=200)
        assert (await budget.spent())[0].calls == 0

    do(work())


GARBAGE = (b"", b"\xff", b"{", b"[]", b"{}", b'{"calls": 3}', b'{"calls": ["x"]}', b'{"calls": [true]}', b"[" * 10**5)


@pytest.mark.parametrize("content", GARBAGE)
def test_a_record_that_cannot_be_read_counts_as_spent(tmp_path: Path, content: bytes) -> None:
    clock = TestClock()

    async def work() -> None:
        ledger = FileLedger(Directory(tmp_path), "user", clock)
        budget = SharedBudget(ledger, sleep=clock.sleep)
        await budget.spend()
        (path,) = (tmp_path / "budget").glob("*.json")
        path.write_bytes(content)
        assert [(used.calls, used.limit) for used in await budget.spent()] == [(20, 20), (700, 700), (8000, 8000)]
        started = clock.now()
        await budget.spend()
        assert clock.now() - started == timedelta(seconds=60)
        assert isinstance(json.loads(path.read_bytes())["calls"], list)  # mended, and usable from here on
        clock.time += timedelta(days=1, seconds=1)
        assert [used.calls for used in await budget.spent()] == [0, 0, 0]

    do(work())


@pytest.mark.server
def test_a_key_that_cannot_be_read_counts_as_spent(tmp_path: Path) -> None:
    form = form_of("redis", tmp_path)
    assert isinstance(form, OnRedis)
    ledger = RedisLedger(Server(address_of(form.url)), "user", TestClock())
    do(SharedBudget(ledger).spend())
    with form.server.client() as client:
        (key,) = client.keys(f"{form.prefix}:budget:*")
        assert client.ttl(key) > 86400
        client.set(key, b"x")
    assert do(SharedBudget(ledger).spent())[0].calls == 20


def test_a_state_that_cannot_be_written_stops_the_call(tmp_path: Path) -> None:
    (tmp_path / "budget").write_text("a file where the folder is due")
    budget = SharedBudget(FileLedger(Directory(tmp_path), "user", TestClock()))
    with pytest.raises(StateError, match="budget"):
        do(budget.spend())
    assert (tmp_path / "budget").read_text() == "a file where the folder is due"


@pytest.mark.server
def test_a_server_that_is_gone_stops_the_call() -> None:
    with served() as server:
        ledger = RedisLedger(Server(address_of(server.url())), "user")
        do(SharedBudget(ledger).spend())
        server.kill()
        with pytest.raises(StateError, match="cannot be reached"):
            do(SharedBudget(ledger).spend())


@pytest.mark.server
def test_the_time_on_a_server_is_the_servers(tmp_path: Path) -> None:
    form = form_of("redis", tmp_path)
    assert isinstance(form, OnRedis)
    ledger = open_ledger(form.url, "user", TestClock(later(-60 * 24 * 365)))
    now, _ = do(ledger.read())
    assert abs(now / 1000 - time.time()) < 5


def test_accounts_are_apart_and_not_named(tmp_path: Path) -> None:
    clock = TestClock()
    do(SharedBudget(open_ledger(tmp_path, "geheim", clock)).spend())
    assert do(SharedBudget(open_ledger(tmp_path, "other", clock)).spent())[0].calls == 0
    assert do(SharedBudget(open_ledger(str(tmp_path), "geheim", clock)).spent())[0].calls == 1
    assert not [path for path in tmp_path.rglob("*") if "geheim" in path.name or b"geheim" in read(path)]


def read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


# -- the other forms ----------------------------------------------------------------------------------------------------


def test_the_budget_of_one_process_answers_the_same_questions() -> None:
    now = [100.0]

    async def work() -> None:
        budget: Budget = WindowBudget(((2, 60.0), (3, 600.0)), clock=lambda: now[0])
        assert await budget.wait_for(2) == 0.0
        await budget.spend()
        await budget.spend()
        assert await budget.spent() == (Used(2, 2, 60.0), Used(2, 3, 600.0))
        assert await budget.wait_for(1) == 60.0
        assert await budget.wait_for(2) == 600.0
        now[0] += 60
        assert await budget.spent() == (Used(0, 2, 60.0), Used(2, 3, 600.0))

    do(work())


def test_an_unlimited_budget_has_nothing_to_wait_for() -> None:
    budget: Budget = Unlimited()
    do(budget.spend())
    assert do(budget.spent()) == ()
    assert do(budget.wait_for(10**6)) == 0.0
    assert [limit for limit, _ in WINDOWS] == [20, 700, 8000]
