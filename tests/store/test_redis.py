"""The Redis form where it differs: leases that run out, servers that die, passwords, prefixes and subscribers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sophia_cli.core.errors import Locked, SophiaError, StateError, UsageError
from sophia_cli.core.ports import Store
from sophia_cli.store.open import open_state, secrets_of_state, shown_state
from sophia_cli.store.redis import redis_store
from sophia_cli.store.redis_locks import LeaseLost, RedisLocks
from sophia_cli.store.redis_server import Server, address_of
from tests.builders import a, owned
from tests.store.forms import (
    Files,
    OnRedis,
    RedisProcess,
    TestClock,
    approval,
    do,
    ended,
    event,
    fork,
    form_of,
    free_port,
    run_of,
    served,
    snapshot,
    until,
)

pytestmark = pytest.mark.server
A, B = "dns:a.example", "dns:b.example"
PASSWORD = "pa:ss@w%rd/7"
QUOTED = "pa%3Ass%40w%25rd%2F7"


@pytest.fixture
def form(tmp_path: Path) -> OnRedis:
    found = form_of("redis", tmp_path)
    assert isinstance(found, OnRedis)
    return found


@pytest.fixture
def server() -> Iterator[RedisProcess]:
    with served() as found:
        yield found


def on(server: RedisProcess, root: Path) -> OnRedis:
    return OnRedis(root, server, "sophia")


# -- leases -------------------------------------------------------------------------------------------------------------

WRITES: dict[str, Callable[[Store], Awaitable[object]]] = {
    "journal": lambda store: store.journal.save(run_of("r1", A, phase="writing")),
    "snapshot": lambda store: store.snapshots.save("r1", snapshot(A)),
    "ownership": lambda store: store.ownerships.save("acme", A, owned(a("api"))),
    "approval": lambda store: store.approvals.use(approval()),
    "audit of the target": lambda store: store.audit.append(event("apply.write", target=A)),
    "audit of the run": lambda store: store.audit.append(event("apply.end")),
    "assure": lambda store: store.locks.assure(1.0),  # type: ignore[attr-defined]
}


@pytest.mark.parametrize("taken", [False, True], ids=["free", "taken by another"])
@pytest.mark.parametrize("name", WRITES)
def test_a_holder_whose_lease_ran_out_records_nothing(form: OnRedis, name: str, taken: bool) -> None:
    write = WRITES[name]

    async def work() -> None:
        store, other = form.open(), form.open()
        async with store.locks.hold([A, B], "deploy"):
            await write(store)  # with the lease it is recorded
            before = contents(form)
            form.end_lease(A)
            if taken:
                async with other.locks.hold([A], "heal"):
                    await refused(store, before)
                    await other.journal.save(run_of("r2", A))  # the present holder goes on
            else:
                await refused(store, before)

    async def refused(store: Store, before: dict[str, Any]) -> None:
        with pytest.raises(LeaseLost) as caught:
            await write(store)
        assert A in caught.value.message
        assert caught.value.hint == "run: sophia heal"
        assert ("heal" in caught.value.message) == taken
        assert contents(form) == before
        lost = [one for one in await store.audit.events() if one.action == "lock.lost"]
        assert len(lost) == (1 if "audit" in name else 0)
        assert (await store.audit.verify())[1] == ()

    do(work())


def contents(form: OnRedis) -> dict[str, Any]:
    """What is recorded, by the key without the prefix; log, counters and locks apart."""
    found: dict[str, Any] = {}
    with form.server.client() as client:
        for key in client.keys(f"{form.prefix}:*"):
            name = key.decode().removeprefix(form.prefix + ":")
            if name.split(":")[0] in ("log", "head", "counters", "lock"):
                continue
            found[name.replace(":", ".")] = client.hgetall(key) if client.type(key) == b"hash" else b""
    return found


def test_a_lost_lease_is_told_once_in_the_log(form: OnRedis) -> None:
    async def work() -> None:
        store = form.open()
        async with store.locks.hold([A], "deploy"):
            await store.audit.append(event("apply.begin", run="r1"))
            form.end_lease(A)
            for _ in range(2):
                with pytest.raises(LeaseLost):
                    await store.audit.append(event("apply.write", target=A, run="r1"))
        events = await store.audit.events()
        assert [(one.action, one.target, one.run) for one in events] == [
            ("apply.begin", None, "r1"),
            ("lock.lost", A, "r1"),
        ]
        assert events[1].detail == {"refused": "apply.write"}
        await store.audit.append(event("later"))  # nothing is held any more

    do(work())


def test_every_state_write_makes_the_lease_whole_again(form: OnRedis) -> None:
    def left() -> int:
        with form.server.client() as client:
            (key,) = client.keys(f"{form.prefix}:lock:*")
            return int(client.pttl(key))

    def shorten() -> None:
        with form.server.client() as client:
            client.pexpire(client.keys(f"{form.prefix}:lock:*")[0], 5_000)

    async def work() -> None:
        store = form.open(lease_s=100, write_s=70)
        await store.approvals.save(approval())
        async with store.locks.hold([A], "deploy"):
            for name, write in WRITES.items():
                shorten()
                await write(store)
                assert left() > 90_000, name

    do(work())


def test_who_holds_no_lock_may_not_write_what_another_run_holds(form: OnRedis) -> None:
    async def work() -> None:
        holder, other = form.open(), form.open()
        async with holder.locks.hold([A], "deploy"):
            with pytest.raises(Locked, match="deploy"):
                await other.ownerships.save("acme", A, owned(a("api")))
            await other.ownerships.save("acme", B, owned(a("api")))
        await other.ownerships.save("acme", A, owned(a("api")))

    do(work())


def test_a_lease_is_renewed_while_it_is_held(form: OnRedis) -> None:
    naps: list[float] = []

    async def work() -> None:
        nap = asyncio.Event()

        async def sleep(seconds: float) -> None:
            naps.append(seconds)
            await nap.wait()
            nap.clear()

        server = Server(address_of(form.url))
        locks = RedisLocks(server, TestClock(), lease_s=90, write_s=70, sleep=sleep)
        async with locks.hold([A], "deploy"):
            with form.server.client() as client:
                (key,) = client.keys(f"{form.prefix}:lock:*")
                for count in (1, 2):
                    client.pexpire(key, 5_000)
                    nap.set()
                    while len(naps) <= count:
                        await asyncio.sleep(0.001)
                    assert client.pttl(key) > 80_000
        assert set(naps) == {30.0}

    do(asyncio.wait_for(work(), 20))


def test_a_lease_runs_out_by_itself_on_the_servers_clock(form: OnRedis) -> None:
    async def never(_: float) -> None:
        await asyncio.sleep(60)

    async def work() -> None:
        locks = RedisLocks(Server(address_of(form.url)), TestClock(), lease_s=0.3, write_s=0.1, sleep=never)
        other, started, refused = form.open(), time.monotonic(), 0
        async with locks.hold([A], "gone"):
            while True:
                try:
                    async with other.locks.hold([A], "next"):
                        break
                except Locked:
                    refused += 1
                    await asyncio.sleep(0.01)
            assert refused > 0
            assert 0.25 < time.monotonic() - started < 10
            with pytest.raises(LeaseLost):
                await locks.assure(0.1)

    do(work())


def test_letting_go_late_does_not_take_the_lock_from_the_next_holder(form: OnRedis) -> None:
    async def work() -> None:
        late, following, third = form.open(), form.open(), form.open()
        async with following.locks.hold([B], "other"):
            held = late.locks.hold([A], "late")
            await held.__aenter__()
            form.end_lease(A)
            async with following.locks.hold([A], "following"):
                await held.__aexit__(None, None, None)
                with pytest.raises(Locked, match="following"):
                    async with third.locks.hold([A], "third"):
                        pass

    do(work())


def test_a_write_starts_only_with_more_lease_than_its_time_limit(form: OnRedis) -> None:
    async def work() -> None:
        store = form.open(lease_s=100, write_s=70)
        async with store.locks.hold([A], "deploy"):
            await store.locks.assure(70.0)  # type: ignore[attr-defined]
            with pytest.raises(StateError, match="of the lease are left"):
                await store.locks.assure(100.0)  # type: ignore[attr-defined]

    do(work())
    with pytest.raises(UsageError, match="shorter than a write may take"):
        form.open(lease_s=70, write_s=70)


def test_cancelled_while_taking_leaves_no_lock(form: OnRedis) -> None:
    async def work() -> None:
        store = form.open()
        await store.freezes.patterns()  # connected
        for pause in (0, 0, 0.0002, 0.0005, 0.001):
            task = asyncio.create_task(hold(store))
            await asyncio.sleep(pause)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with form.server.client() as client:
                assert client.keys(f"{form.prefix}:lock:*") == []

    async def hold(store: Store) -> None:
        async with store.locks.hold([A], "deploy"):
            await asyncio.sleep(60)

    do(work())


# -- a server that dies -------------------------------------------------------------------------------------------------


def test_a_server_killed_in_the_middle_of_a_run_leaves_the_run_on_disk(server: RedisProcess, tmp_path: Path) -> None:
    form = on(server, tmp_path)
    begun, writing, written = run_of("r1", A), run_of("r1", A, phase="writing"), run_of("r1", A, phase="written")

    async def work() -> None:
        store = form.open()
        async with store.locks.hold([A], "deploy"):
            await store.snapshots.save("r1", snapshot(A))
            await store.journal.save(begun)
            await store.journal.save(writing)
            server.kill()
            for write in WRITES.values():
                with pytest.raises(StateError, match="cannot be reached") as caught:
                    await write(store)
                assert str(server.socket) in caught.value.message
                assert caught.value.hint
                assert not isinstance(caught.value, LeaseLost)
            with pytest.raises(StateError):
                await store.journal.save(written)
        for read in (store.journal.open_runs, store.audit.verify, store.freezes.patterns):
            with pytest.raises(StateError, match="cannot be reached"):
                await read()
        with pytest.raises(StateError, match="cannot be reached"):
            async with store.locks.hold([A], "heal"):
                pass

    do(work())
    alone = Files(tmp_path)
    alone.root = form.root  # `heal --state DIR` finds all it needs there
    assert do(alone.open().journal.open_runs()) == (written,)
    assert do(alone.open().snapshots.of_run("r1", A)) == snapshot(A)
    server.start()  # empty: it kept nothing
    store = form.open()
    assert do(store.journal.open_runs()) == (written,)
    assert do(store.journal.get("r1")) == written
    assert do(store.snapshots.of_run("r1", A)) == snapshot(A)
    do(store.journal.save(replace(written, closed=True, outcome="applied")))
    assert do(store.journal.open_runs()) == ()
    assert do(alone.open().journal.open_runs()) == ()


def test_a_server_that_kept_its_data_and_restarts_is_used_again(tmp_path: Path) -> None:
    with served(keep=True) as server:
        store = on(server, tmp_path).open()
        do(store.audit.append(event("before")))
        do(store.journal.save(run_of("r1", A, closed=True)))
        server.kill()
        server.start()
        do(store.audit.append(event("after")))
        assert [one.action for one in do(store.audit.events())] == ["before", "after"]
        assert do(store.audit.verify())[1] == ()
        assert do(store.journal.runs()) == (run_of("r1", A, closed=True),)


def test_a_run_that_another_machine_closed_is_closed_here_too(form: OnRedis, tmp_path: Path) -> None:
    here, there = form.open(), redis_store(form.url, TestClock(), tmp_path / "there")
    do(here.journal.save(run_of("r1", A, phase="writing")))
    assert do(there.journal.open_runs()) == (run_of("r1", A, phase="writing"),)
    closed = run_of("r1", A, phase="done", closed=True)
    do(there.journal.save(closed))
    assert do(here.journal.open_runs()) == ()
    local = Files(tmp_path)
    local.root = form.root
    assert do(local.open().journal.open_runs()) == ()
    assert do(local.open().journal.get("r1")) == closed


def test_the_server_is_believed_before_the_local_copy(form: OnRedis, tmp_path: Path) -> None:
    here, there = form.open(), redis_store(form.url, TestClock(), tmp_path / "there")
    do(here.journal.save(run_of("r1", A, phase="writing")))
    do(there.journal.save(run_of("r1", A, phase="undone")))
    assert do(here.journal.open_runs()) == (run_of("r1", A, phase="undone"),)
    assert do(here.journal.get("r1")) == run_of("r1", A, phase="undone")


def test_what_the_local_disk_refuses_is_not_begun_on_the_server(form: OnRedis) -> None:
    form.root.parent.mkdir(parents=True, exist_ok=True)
    form.root.write_text("a file where the folder is due")
    with pytest.raises(StateError, match=str(form.root)):
        do(form.open().journal.save(run_of("r1", A)))
    form.root.unlink()
    assert do(form.open().journal.open_runs()) == ()


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as silent:
        path = tmp_path / "silent"
        silent.bind(str(path))
        silent.listen()
        server = Server(address_of(f"unix://{path}"), timeout_s=0.1)
        with pytest.raises(StateError, match="no answer in time"):
            do(server.command("PING"))


def test_what_may_have_been_executed_is_not_sent_again(server: RedisProcess) -> None:
    slow = """
    redis.call('INCR', KEYS[1])
    local start = redis.call('TIME')
    repeat
      local now = redis.call('TIME')
    until (now[1] - start[1]) * 1000000 + now[2] - start[2] > 150000
    """
    with pytest.raises(StateError, match="no answer in time"):
        do(Server(address_of(server.url()), timeout_s=0.1).run(slow, ["n"], []))
    with server.client() as client:
        assert client.get("n") == b"1"


def test_a_full_or_read_only_server_is_said(server: RedisProcess, tmp_path: Path) -> None:
    form = on(server, tmp_path)
    do(form.open().audit.append(event("before")))
    with server.client() as client:
        client.config_set("maxmemory", "1")
    with pytest.raises(StateError, match=r"the server refused: .*memory"):
        do(form.open().audit.append(event("full")))
    with server.client() as client:
        client.config_set("maxmemory", "0")
        client.replicaof("127.0.0.1", free_port())
    with pytest.raises(StateError, match="the server refused") as caught:
        do(form.open().journal.save(run_of("r1", A)))
    assert caught.value.hint
    with server.client() as client:
        client.replicaof("NO", "ONE")
    assert do(form.open().audit.verify())[1] == ()


def test_keys_of_another_type_are_an_error_of_ours(form: OnRedis) -> None:
    store = form.open()
    with form.server.client() as client:
        for name in ("runs:open", "runs:index", "log", "approvals:sha256%3Aplan", f"lock:{A.replace(':', '%3A')}"):
            client.rpush(f"{form.prefix}:{name}", "x")

    async def hold() -> None:
        async with store.locks.hold([A], "deploy"):
            pass

    for work in (
        store.journal.open_runs(),
        store.journal.runs(),
        store.audit.verify(),
        store.audit.append(event()),
        store.approvals.of_plan("sha256:plan"),
        store.approvals.use(approval()),
        hold(),
    ):
        with pytest.raises(StateError, match="WRONGTYPE"):
            do(work)


# -- the password -------------------------------------------------------------------------------------------------------


def said(work: Callable[[], object]) -> str:
    with pytest.raises(SophiaError) as caught:
        work()
    error = caught.value
    return f"{error.message} {error.hint} {error.details} {error!r}"


def test_the_password_is_never_said(tmp_path: Path) -> None:
    with served("--requirepass", PASSWORD, port=True) as server:
        right, wrong = server.url(password=QUOTED), server.url(password=QUOTED + "no")
        store = open_state(right, TestClock(), tmp_path)
        do(store.audit.append(event("right")))
        assert do(store.audit.verify())[1] == ()
        texts = [
            said(lambda: do(open_state(wrong, TestClock(), tmp_path).freezes.patterns())),
            said(lambda: do(open_state(server.url(), TestClock(), tmp_path).freezes.patterns())),
        ]
        assert all("rejects" in text for text in texts), texts
        echo = Server(address_of(right))
        texts += [said(lambda word=word: do(echo.command("NOSUCH", word))) for word in (PASSWORD, QUOTED)]  # type: ignore[misc]
        assert all("[secret]" in text for text in texts[-2:]), texts
        server.kill()
        texts.append(said(lambda: do(store.freezes.patterns())))
        texts.append(repr(address_of(right)))
        texts.append(shown_state(right))
        assert f"redis://127.0.0.1:{server.port}/0" in texts[-1]
        assert secrets_of_state(right) == (QUOTED, PASSWORD)
        for text in texts:
            assert PASSWORD not in text
            assert QUOTED not in text


@pytest.mark.parametrize(
    "url",
    [
        "redis://:geheim/7@host/0",
        "redis://:12/geheim@host",
        "redis://:geheim#x@host/0",
        "redis://:geheim?x@host/0",
        "redis://:geheim&y=1@host:port",
        "redis://:geheim@host:99999",
        "redis://:geheim@[::1",
        "redis://:geheim@/0",
        "redis://:x@host/geheim",
        "redis://:x@host/0?pasword=geheim",
        "redis://:x@host/0?geheim",
        "redis://:x@host/0?prefix=ge heim",
        "redis://:x@host/0?prefix=",
        "redis://:x@host/0?ssl_cert_reqs=none",
        "unix://",
        "unix:///tmp/s?db=geheim",
        "http://:geheim@host",
        "sqlite:///geheim",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_and_not_repeated(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_state(url, TestClock(), tmp_path)
    assert "heim" not in f"{caught.value.message} {caught.value.hint} {caught.value.__cause__}"
    assert caught.value.exit_code == 64
    assert "rediss://" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("url", "shown", "prefix"),
    [
        ("redis://cache.example", "redis://cache.example:6379/0", "sophia"),
        ("redis://u:p@[::1]:7000/3?prefix=team-a", "redis://[::1]:7000/3", "team-a"),
        ("rediss://:p@cache.example/2?ssl_ca_certs=/ca.pem", "rediss://cache.example:6379/2", "sophia"),
        ("unix://:p@/run/redis.sock?db=1&prefix=x", "unix:///run/redis.sock", "x"),
        ("redis://", "redis://localhost:6379/0", "sophia"),
    ],
)
def test_urls_are_shown_without_what_is_secret(url: str, shown: str, prefix: str) -> None:
    address = address_of(url)
    assert (address.shown, address.prefix) == (shown, prefix)
    assert shown_state(url) == shown
    assert "p@" not in repr(address)


def test_a_directory_is_opened_as_one(tmp_path: Path) -> None:
    do(open_state(tmp_path / "s", TestClock()).freezes.freeze("*"))
    do(open_state(str(tmp_path / "s"), TestClock()).freezes.freeze("x"))
    assert (tmp_path / "s" / "freezes.json").exists()
    assert shown_state(tmp_path) == str(tmp_path)
    assert secrets_of_state(tmp_path) == ()
    with pytest.raises(UsageError):
        open_state("redis://cache.example", TestClock())


def test_opening_a_state_connects_to_nothing_and_loads_no_client(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from sophia_cli.store.open import open_documents, open_ledger, open_state\n"
        "open_state('redis://127.0.0.1:1', None, Path('x')); open_ledger('redis://127.0.0.1:1', 'u', None)\n"
        "open_documents('redis://127.0.0.1:1')\n"
        "assert 'redis' not in sys.modules\n"
        "open_state('x', None); open_ledger('x', 'u', None)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


# -- teams --------------------------------------------------------------------------------------------------------------


def test_teams_share_a_server_without_meeting(server: RedisProcess, tmp_path: Path) -> None:
    async def work() -> None:
        one = redis_store(server.url("one"), TestClock(), tmp_path / "1")
        two = redis_store(server.url("two"), TestClock(), tmp_path / "2")
        async with one.locks.hold([A], "deploy"), two.locks.hold([A], "deploy"):
            await one.journal.save(run_of("r1", A))
            await one.freezes.freeze("*")
            await one.audit.append(event("one"))
            await one.approvals.save(approval())
            await one.ownerships.save("acme", A, owned(a("api")))
            await one.snapshots.save("r1", snapshot(A))
            assert await two.journal.open_runs() == ()
            assert await two.freezes.patterns() == frozenset()
            assert await two.audit.events() == ()
            assert await two.approvals.of_plan("sha256:plan") == ()
            assert (await two.ownerships.load("acme", A)).entries == ()
            assert await two.snapshots.recent(A, 1) == ()

    do(work())
    with server.client() as client:
        assert all(key.startswith((b"one:", b"two:")) for key in client.keys("*"))


def test_subscribers_hear_events_health_and_metrics(server: RedisProcess, tmp_path: Path) -> None:
    store = on(server, tmp_path).open()
    with server.client() as client:
        listener = client.pubsub(ignore_subscribe_messages=True)
        listener.subscribe("sophia:audit", "sophia:health", "sophia:metrics")
        heard: list[tuple[str, Any]] = []

        def hear() -> bool:
            message = listener.get_message(timeout=0.05)
            if message is not None:
                heard.append((message["channel"].decode(), json.loads(message["data"])))
            return len(heard) >= 8

        listener.get_message(timeout=1)
        do(store.audit.append(event("apply.begin", run="r1")))
        do(store.audit.append(event("apply.verify", run="r1", outcome="verified")))
        head = do(store.audit.append(event("apply.end", run="r1", outcome="applied")))
        until(hear)
        listener.close()
    by_channel = {name: [data for channel, data in heard if channel == name] for name, _ in heard}
    assert by_channel["sophia:audit"] == [one.data() for one in do(store.audit.events())]
    assert by_channel["sophia:audit"][-1]["hash"] == head.hash
    assert [one["action"] for one in by_channel["sophia:health"]] == ["apply.verify", "apply.end"]
    assert by_channel["sophia:metrics"] == [
        {"events": 1, "actions.apply.begin": 1},
        {"events": 2, "actions.apply.verify": 1, "outcomes.apply.verify.verified": 1},
        {"events": 3, "actions.apply.end": 1, "outcomes.apply.end.applied": 1},
    ]


def test_a_long_log_is_read_in_parts(form: OnRedis) -> None:
    async def work() -> None:
        store = form.open()
        for number in range(25):
            head = await store.audit.append(event(f"n{number}"))
        assert await store.audit.verify(head.hash) == (head, ())
        assert [one.action for one in await store.audit.events()] == [f"n{number}" for number in range(25)]

    from sophia_cli.store import redis_audit

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis_audit, "_BATCH", 10)
        do(work())


def _race(form: OnRedis, counter: Path, times: int) -> None:
    """Read, pause and write a number: correct only when nobody is inside at the same time."""

    async def work() -> None:
        store, done = form.open(), 0
        while done < times:
            try:
                async with store.locks.hold([A], "race"):
                    number = int(counter.read_text())
                    await store.journal.save(run_of(f"r{number}", A, phase="writing"))
                    counter.write_text(str(number + 1))
                    done += 1
            except Locked:
                await asyncio.sleep(0.001)

    asyncio.run(work())


def test_two_processes_racing_lose_no_update(form: OnRedis, tmp_path: Path) -> None:
    counter = tmp_path / "n"
    counter.write_text("0")
    assert ended([fork(_race, form, counter, 15) for _ in range(2)]) == [0, 0]
    assert counter.read_text() == "30"
    assert len(do(form.open().journal.open_runs())) == 30
