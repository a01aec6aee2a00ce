"""What every form of the state must do with its small documents: one suite over local files and Redis, real writers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from sophia_cli.core.errors import Refused, StateError
from sophia_cli.core.learning import Lesson
from sophia_cli.core.notifications import AGAIN_AFTER, TELLING
from sophia_cli.core.rate_limits import LETS_ENCRYPT, Request, ordered, stop
from sophia_cli.core.renewal import RenewalState, attempt_failed
from sophia_cli.core.rotation import Rotation
from sophia_cli.core.trends import Sample
from sophia_cli.store.learning import MOST, StoredLessons
from sophia_cli.store.measurements import MOST_SAMPLES, MOST_SERIES, StoredMeasurements
from sophia_cli.store.renewals import MOST_SCHEDULES, StoredRenewals
from sophia_cli.store.secrets import StoredRotations
from sophia_cli.store.told import StoredTold
from tests.builders import NOW
from tests.store.forms import FORMS, Form, OnRedis, do, ended, fork, form_of, later, served

TARGET, HOST, NAME = "dns:acme.example", "acme.authority.example", "acme.example"


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Form]:
    return form_of(request.param, tmp_path)  # type: ignore[return-value]


def told(form: Form) -> StoredTold:
    return StoredTold(form.documents())


def lessons(form: Form) -> StoredLessons:
    return StoredLessons(form.documents())


def measured(form: Form) -> StoredMeasurements:
    return StoredMeasurements(form.documents())


def renewals(form: Form) -> StoredRenewals:
    return StoredRenewals(form.documents())


def rotations(form: Form, environment: str = "acme") -> StoredRotations:
    return StoredRotations(form.documents(), environment)


def sample(minutes: int, seconds: float = 0.125) -> Sample:
    return Sample(NOW + timedelta(minutes=minutes), seconds)


def lesson(number: int) -> Lesson:
    return Lesson("PERF-TTL-LOW", "rejected", later(number), "ada@test", "sha256:" + f"{number:064x}")


def rotation(**fields: Any) -> Rotation:
    return replace(Rotation("20261122T120000000-aaaa", "app.token", "generated", NOW, sealed_by="k1"), **fields)


# -- the documents themselves -------------------------------------------------------------------------------------------


def test_a_document_is_what_was_put_there_last_and_names_stay_apart(form: Form) -> None:
    async def work() -> None:
        documents = form.documents()
        names = (("a",), ("a", "b"), ("A",), ("a/b",), ("..", "x"), ("x" * 300,), ("ü\udcff",))
        for number, name in enumerate(names):
            assert await documents.read(*name) is None
            await documents.change(lambda data, number=number: {"n": number, "was": data}, *name)
        for number, name in enumerate(names):
            assert await form.documents().read(*name) == {"n": number, "was": None}
        await documents.change(lambda data: {"n": 7, "was": data["n"]}, "a")
        assert await form.documents().read("a") == {"n": 7, "was": 0}

    do(work())


def test_a_change_that_fails_leaves_the_document_as_it_was(form: Form) -> None:
    def fails(data: Any) -> Any:
        raise ZeroDivisionError

    async def work() -> None:
        await form.documents().change(lambda data: [1], "a")
        with pytest.raises(ZeroDivisionError):
            await form.documents().change(fails, "a")
        assert await form.documents().read("a") == [1]
        await form.documents().change(lambda data: [*data, 2], "a")  # and nothing is locked
        assert await form.documents().read("a") == [1, 2]

    do(work())


def _add_often(form: Form, go: object, number: int) -> None:
    async def work() -> None:
        go.wait()  # type: ignore[attr-defined]
        for count in range(15):
            await form.documents().change(lambda data, count=count: [*(data or ()), [number, count]], "list")

    asyncio.run(work())


def test_writers_beside_each_other_lose_nothing(form: Form) -> None:
    go = get_context("fork").Barrier(4)
    assert ended([fork(_add_often, form, go, number) for number in range(4)]) == [0] * 4
    assert sorted(do(form.documents().read("list"))) == [[number, count] for number in range(4) for count in range(15)]


# -- what was told ------------------------------------------------------------------------------------------------------


def _take(form: Form, go: object, won: Path, number: int) -> None:
    async def work() -> None:
        go.wait()  # type: ignore[attr-defined]
        for matter in range(5):
            if await told(form).take("webhook", f"m{matter}", NOW):
                (won / f"{matter}-{number}").touch()

    asyncio.run(work())


def test_of_several_that_would_tell_a_matter_at_once_one_does(form: Form, tmp_path: Path) -> None:
    won = tmp_path / "won"
    won.mkdir()
    go = get_context("fork").Barrier(4)
    assert ended([fork(_take, form, go, won, number) for number in range(4)]) == [0] * 4
    assert sorted(path.name[0] for path in won.iterdir()) == ["0", "1", "2", "3", "4"]


def test_what_was_delivered_is_told_again_after_a_day_and_what_was_settled_at_once(form: Form) -> None:
    async def work() -> None:
        one, other = told(form), told(form)
        assert await one.take("webhook", "m", NOW)
        await one.note("webhook", "m", NOW)
        assert not await other.take("webhook", "m", NOW + AGAIN_AFTER - timedelta(seconds=1))
        assert await other.take("mail", "m", NOW)  # another channel, another memory
        assert await other.take("webhook", "m", NOW + AGAIN_AFTER)
        await one.note("webhook", "m", NOW + AGAIN_AFTER)
        await one.forget("m")
        assert await other.take("webhook", "m", NOW + AGAIN_AFTER)
        await other.forget("nobody knows this one")

    do(work())


def test_what_could_not_be_delivered_is_anybodys_at_once_and_what_a_killed_process_took_soon(form: Form) -> None:
    async def work() -> None:
        one, other = told(form), told(form)
        assert await one.take("webhook", "m", NOW)
        await one.let_go("webhook", "m", NOW)
        assert await other.take("webhook", "m", NOW)
        await one.let_go("webhook", "m", NOW - timedelta(minutes=1))  # a late word about an earlier try
        assert not await one.take("webhook", "m", NOW + TELLING - timedelta(seconds=1))
        assert await one.take("webhook", "m", NOW + TELLING)  # the other died between taking and telling

    do(work())


# -- learning and measurements ------------------------------------------------------------------------------------------


def test_lessons_add_up_over_machines_and_the_oldest_go_first(form: Form) -> None:
    async def work() -> None:
        await lessons(form).add([])
        assert await lessons(form).all() == ()
        await lessons(form).add([lesson(0)])
        await lessons(form).add([lesson(1), lesson(2)])
        assert await lessons(form).all() == (lesson(0), lesson(1), lesson(2))
        await lessons(form).add([lesson(number) for number in range(3, MOST + 1)])
        known = await lessons(form).all()
        assert (len(known), known[0], known[-1]) == (MOST, lesson(1), lesson(MOST))

    do(work())


def test_measurements_of_all_machines_make_one_series(form: Form) -> None:
    async def work() -> None:
        await measured(form).add(TARGET, {})
        assert await measured(form).of(TARGET) == {}
        await measured(form).add(TARGET, {"web https://acme.example/": sample(1, 0.2)})
        await measured(form).add(TARGET, {"web https://acme.example/": sample(0, 0.1), "dns ns1": sample(0)})
        assert await measured(form).of(TARGET) == {
            "dns ns1": (sample(0),),
            "web https://acme.example/": (sample(0, 0.1), sample(1, 0.2)),
        }
        assert await measured(form).of("dns:other.example") == {}

    do(work())


def test_the_oldest_samples_and_the_stalest_series_go_first(form: Form) -> None:
    async def work() -> None:
        rows = [[sample(n).at.isoformat(), 1] for n in range(MOST_SAMPLES)]
        await form.documents().change(lambda _: {"a": rows}, "measurements", TARGET)
        await measured(form).add(TARGET, {"a": sample(9999)})
        kept = (await measured(form).of(TARGET))["a"]
        assert (len(kept), kept[0], kept[-1]) == (MOST_SAMPLES, sample(1, 1.0), sample(9999))
        await measured(form).add(TARGET, {f"b{n}": sample(20000 + n) for n in range(MOST_SERIES)})
        names = await measured(form).of(TARGET)
        assert len(names) == MOST_SERIES
        assert "a" not in names

    do(work())


# -- renewals -----------------------------------------------------------------------------------------------------------


def test_each_certificate_has_one_schedule_whatever_machine_asks(form: Form) -> None:
    async def work() -> None:
        assert await renewals(form).schedule(NAME, "01") == RenewalState()
        picked = RenewalState(chosen=later(30), next_check=later(60))
        assert await renewals(form).reschedule(NAME, "01", lambda now: picked) == picked
        # A second machine that asked at the same time picked another moment: the first one stands.
        empty, another = RenewalState(), RenewalState(chosen=later(45))
        assert await renewals(form).reschedule(NAME, "01", lambda now: another if now == empty else now) == picked
        await renewals(form).reschedule(NAME, None, lambda now: attempt_failed(now, NOW))
        await renewals(form).reschedule(NAME, None, lambda now: attempt_failed(now, later(1)))
        assert (await renewals(form).schedule(NAME, None)).failures == 2
        assert await renewals(form).schedule(NAME, "01") == picked
        assert await renewals(form).schedule(NAME, "02") == RenewalState()
        for number in range(MOST_SCHEDULES):
            await renewals(form).reschedule(NAME, f"1{number}", lambda now: attempt_failed(now, NOW))
        assert (await renewals(form).schedule(NAME, "01")).chosen is None  # the one changed longest ago
        assert (await renewals(form).schedule(NAME, "10")).failures == 1

    do(work())


def _order(form: Form, go: object, number: int) -> None:
    async def work() -> None:
        go.wait()  # type: ignore[attr-defined]
        for count in range(5):
            request = Request((f"h{number}-{count}.acme.example",), lambda name: "acme.example")
            await renewals(form).spend(HOST, lambda ledger: ordered(ledger, LETS_ENCRYPT, request, NOW))  # noqa: B023

    asyncio.run(work())


def test_orders_of_all_machines_count_together(form: Form) -> None:
    go = get_context("fork").Barrier(4)
    assert ended([fork(_order, form, go, number) for number in range(4)]) == [0] * 4
    together, alone = do(renewals(form).spent(HOST)), do(renewals(form).spent("other.example"))
    request = Request(("www.acme.example",), lambda name: "acme.example")
    for _ in range(20):
        alone = ordered(alone, LETS_ENCRYPT, request, NOW)
    assert together.full_at["new-orders", "account"] == alone.full_at["new-orders", "account"]
    assert stop(together, LETS_ENCRYPT, request, NOW) is None


# -- secrets ------------------------------------------------------------------------------------------------------------


def test_a_value_is_as_old_as_its_first_sight_on_any_machine(form: Form) -> None:
    async def work() -> None:
        assert await rotations(form).first_seen({}, NOW) == {}
        seen = await rotations(form).first_seen({"app.token": "t0p-secret-value", "b": "two"}, NOW)
        assert seen == {"app.token": NOW, "b": NOW}
        again = await rotations(form).first_seen({"app.token": "t0p-secret-value", "b": "changed"}, later(5))
        assert again == {"app.token": NOW, "b": later(5)}
        assert await rotations(form, "other").first_seen({"app.token": "else"}, later(6)) == {"app.token": later(6)}
        assert await rotations(form).first_seen({"app.token": "t0p-secret-value"}, later(7)) == {"app.token": NOW}
        assert "t0p-secret-value" not in repr(await form.documents().read("secrets", "acme", "seen"))

    do(work())


def _see(form: Form, go: object, number: int) -> None:
    go.wait()  # type: ignore[attr-defined]
    asyncio.run(rotations(form).first_seen({f"p{number}": "v", "shared": "w"}, later(number)))


def test_machines_that_see_values_first_at_the_same_moment_agree(form: Form) -> None:
    go = get_context("fork").Barrier(3)
    assert ended([fork(_see, form, go, number) for number in range(3)]) == [0] * 3
    values = {"p0": "v", "p1": "v", "p2": "v", "shared": "w"}
    seen = do(rotations(form).first_seen(values, later(99)))
    assert [seen[f"p{number}"] for number in range(3)] == [later(0), later(1), later(2)]
    assert seen["shared"] in (later(0), later(1), later(2))


def test_only_one_rotation_of_a_path_is_open(form: Form) -> None:
    async def work() -> None:
        one, other = rotation(), rotation(id="20261122T120000001-bbbb", sealed_by="k2")
        assert await rotations(form).load("app.token") is None
        await rotations(form).save(one)
        with pytest.raises(Refused, match="another rotation"):
            await rotations(form).save(other)
        assert await rotations(form).load("app.token") == one
        await rotations(form).save(replace(one, step="done", finished=later(1)))
        await rotations(form).save(other)
        assert await rotations(form).load("app.token") == other
        assert await rotations(form, "staging").load("app.token") is None

    do(work())


# -- what cannot be read ------------------------------------------------------------------------------------------------

READS: dict[str, Callable[[Form], Awaitable[object]]] = {
    "take": lambda form: told(form).take("webhook", "m", NOW),
    "note": lambda form: told(form).note("webhook", "m", NOW),
    "forget": lambda form: told(form).forget("m"),
    "lessons": lambda form: lessons(form).all(),
    "a lesson": lambda form: lessons(form).add([lesson(1)]),
    "series": lambda form: measured(form).of(TARGET),
    "a sample": lambda form: measured(form).add(TARGET, {"a": sample(2)}),
    "schedule": lambda form: renewals(form).schedule(NAME, "01"),
    "reschedule": lambda form: renewals(form).reschedule(NAME, "01", lambda now: attempt_failed(now, NOW)),
    "spent": lambda form: renewals(form).spent(HOST),
    "spend": lambda form: renewals(form).spend(HOST, lambda ledger: ledger),
    "rotation": lambda form: rotations(form).load("app.token"),
    "save rotation": lambda form: rotations(form).save(rotation(step="set")),
    "first seen": lambda form: rotations(form).first_seen({"a": "b"}, NOW),
}


async def _filled(form: Form) -> None:
    await told(form).take("webhook", "m", NOW)
    await lessons(form).add([lesson(0)])
    await measured(form).add(TARGET, {"a": sample(0)})
    await renewals(form).reschedule(NAME, "01", lambda now: attempt_failed(now, NOW))
    request = Request((NAME,), lambda name: name)
    await renewals(form).spend(HOST, lambda ledger: ordered(ledger, LETS_ENCRYPT, request, NOW))
    await rotations(form).save(rotation())
    await rotations(form).first_seen({"a": "a"}, NOW)


TORN = {
    "empty": b"",
    "no text": b"\xff\xfe",
    "torn": b'{"a": ',
    "null": b"null",
    "a number": b"7",
    "an object": b'{"a": 1}',
    "a list": b'[["a", 1]]',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("content", TORN.values(), ids=TORN)
def test_a_torn_or_foreign_document_is_an_error_and_stays_as_it_is(form: Form, content: bytes) -> None:
    do(_filled(form))
    form.spoil(content)
    before = _everything(form)
    for name, read in READS.items():
        with pytest.raises(StateError) as caught:
            do(read(form))  # type: ignore[arg-type]
        assert caught.value.hint, name
        assert str(form.root if not isinstance(form, OnRedis) else form.prefix) in caught.value.message, name
    assert _everything(form) == before


def _everything(form: Form) -> dict[str, bytes]:
    if isinstance(form, OnRedis):
        with form.server.client() as client:
            return {key.decode(): client.get(key) for key in client.keys(f"{form.prefix}:*")}
    return {str(path): path.read_bytes() for path in form.root.rglob("*.json")}


@pytest.mark.server
def test_a_key_of_another_type_is_named_with_what_to_do(tmp_path: Path) -> None:
    form = form_of("redis", tmp_path)
    assert isinstance(form, OnRedis)
    with form.server.client() as client:
        client.lpush(f"{form.prefix}:learning", "a")
    for work in (lessons(form).all(), lessons(form).add([lesson(0)])):
        with pytest.raises(StateError, match=f"{form.prefix}:learning holds something else") as caught:
            do(work)
        assert caught.value.hint == "restore it from a backup, or remove it"


# -- a server that goes away --------------------------------------------------------------------------------------------


@pytest.mark.server
def test_when_the_server_goes_away_nothing_reads_as_empty_and_what_was_kept_comes_back(tmp_path: Path) -> None:
    with served(keep=True) as server:
        form = OnRedis(tmp_path, server, "sophia")
        do(_filled(form))
        server.kill()
        for name, read in READS.items():
            with pytest.raises(StateError, match="cannot be reached") as caught:
                do(read(form))  # type: ignore[arg-type]
            assert caught.value.hint, name
        server.start()
        assert do(lessons(form).all()) == (lesson(0),)
        assert not do(told(form).take("webhook", "m", NOW))


@pytest.mark.server
def test_a_server_that_dies_inside_a_change_leaves_the_former_document(tmp_path: Path) -> None:
    with served(keep=True) as server:
        form = OnRedis(tmp_path, server, "sophia")
        do(lessons(form).add([lesson(0)]))

        def dies(data: Any) -> Any:
            server.kill()
            return []

        with pytest.raises(StateError, match="cannot be reached"):
            do(form.documents().change(dies, "learning"))
        server.start()
        assert do(lessons(form).all()) == (lesson(0),)
