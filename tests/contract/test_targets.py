"""What every target port keeps to: in memory, a zone at Namecheap over HTTP, and an environment file."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from sophia_cli.core.changes import Change, ConfigValue, EmailMode
from sophia_cli.core.dns import Record
from sophia_cli.core.errors import OutcomeUnknown, SophiaError
from sophia_cli.core.ports import TargetPort
from sophia_cli.esc.target import EnvironmentFileTarget
from sophia_cli.providers.namecheap.client import NamecheapClient
from sophia_cli.providers.namecheap.credentials import Credentials
from sophia_cli.providers.namecheap_zone import NamecheapZone
from sophia_cli.providers.nameservers import NameServers
from sophia_cli.sandbox import Sandbox, peek, running, seed
from sophia_cli.sandbox.account import Row
from sophia_cli.store.directory import replace_text
from tests.builders import a, mx, zone
from tests.memory import MemoryClock, MemoryZone

DOMAIN = "acme.example"
HOSTILE = (
    'v=DMARC1; p=none; rua="mailto:a@b.example"',
    "a;b\\c%00<&>'\"",
    " leading and trailing ",
    "ünïcode \u202eevil\u200b",
    "${ref} $$ {{x}} `id`",
    "x" * 2500,
)
ROWS = (
    Row(
        0,
        "@",
        "URL",
        "http://www.acme.example/?a=b&c=%20",
        ttl=1799,
        associated_app="URL Forwarding",
        friendly_name="U",
    ),
    Row(0, "api", "A", "203.0.113.7", ttl=1799, friendly_name="by hand"),
    Row(0, "doomed", "A", "203.0.113.9", ttl=60),
    Row(0, "old", "FRAME", "https://elsewhere.example/", ttl=60000),
    Row(0, "go", "URL301", "https://x.example/a?b=c", ttl=1801),
    Row(0, "alias", "ALIAS", "Some.Target.Example.", ttl=300),
    Row(0, "cname", "CNAME", "UPPER.Example.", ttl=1799),
    Row(0, "@", "CAA", '0 Issue "letsencrypt.org"', ttl=1799),
    Row(0, "v6", "AAAA", "2001:DB8::1", ttl=1799),
    Row(0, "@", "MX", "mail.acme.example.", 5, 1799),
    Row(0, "@", "MX", "Backup.acme.example.", 20, 1799),
    Row(0, "sub", "NS", "ns1.example.net.", ttl=1799),
    *(Row(0, f"t{number}", "TXT", text, ttl=1799 + number) for number, text in enumerate(HOSTILE)),
)

TARGET = f"dns:{DOMAIN}"


def record(action: Any, before: Record | None, after: Record | None, number: int) -> Change:
    return Change(TARGET, "dns.record", action, before, after, "config", "", id=f"c{number}")


ZONE_CHANGES = (
    record("update", a("api", "203.0.113.7", 1799), a("api", "203.0.113.8", 1799), 1),
    record("create", None, a("new", "203.0.113.10", 300), 2),
    record("delete", a("doomed", "203.0.113.9", 60), None, 3),
)

TEXT = (
    "# hand-written\r\nvalues:\r\n  dns:\r\n    ttl: 1799   # odd\r\n    records:\r\n"
    "      api: {type: A, value: '203.0.113.7'}\r\n      doomed: {type: A, value: 203.0.113.9}\r\n"
    '      keep: {type: TXT, value: "a;b\\\\c <&> ${ref}"}   # ünï\r\n'
)


def config(action: Any, path: str, before: Any, after: Any, number: int) -> Change:
    sides = [None if value is None else ConfigValue(path, value) for value in (before, after)]
    return Change("config:acme", "config.value", action, *sides, source="user", id=f"c{number}")


FILE_CHANGES = (
    config("update", "dns.records.api.value", "203.0.113.7", "203.0.113.8", 1),
    config("create", "dns.records.new", None, {"type": "A", "value": "203.0.113.10"}, 2),
    config("delete", "dns.records.doomed", {"type": "A", "value": "203.0.113.9"}, None, 3),
)


@dataclass
class Case:
    """One implementation: its port, three changes of it, and its content beside the port."""

    port: TargetPort
    changes: tuple[Change, ...]
    content: Callable[[], list[Any]]
    is_ours: Callable[[Any], bool]
    meddle: Callable[[], None]
    """Another writer's addition."""
    sandbox: Sandbox | None = None

    def others(self) -> list[Any]:
        return [part for part in self.content() if not self.is_ours(part)]


@contextlib.asynccontextmanager
async def memory(folder: Path) -> AsyncIterator[Case]:
    port = MemoryZone(DOMAIN, "MX", [_raw(row) for row in ROWS], MemoryClock())

    def content() -> list[Any]:
        return [port.email_type, *sorted(map(repr, port.rows))]

    yield Case(port, ZONE_CHANGES, content, _is_ours, lambda: port.edit(add=[a("theirs")]))


def _raw(row: Row) -> dict[str, Any]:
    shaped = replace(row).address
    found = zone(Record(row.name, row.type, shaped, row.ttl, row.mx_pref), name=DOMAIN).records[0]
    return {**found.data(), "note": row.friendly_name}


def _is_ours(part: Any) -> bool:
    return any(f"'{name}'" in part for name in ("api", "new", "doomed"))


@contextlib.asynccontextmanager
async def namecheap(folder: Path) -> AsyncIterator[Case]:
    data = folder / "namecheap.json"
    seed(data, DOMAIN, email_type="MX", rows=ROWS)

    def content() -> list[Any]:
        domain = peek(data, DOMAIN)
        assert domain is not None
        return [domain.email_type, *(repr(asdict(row)) for row in domain.rows)]

    async def at_once(_seconds: float) -> None:
        await asyncio.sleep(0)

    with running(data) as box:
        credentials = Credentials(*(SecretStr(text) for text in (box.api_user, box.api_key, box.username)))
        async with NamecheapClient(credentials, box.endpoint, sleep=at_once) as client:
            clock = MemoryClock()
            port = NamecheapZone(DOMAIN, client, NameServers((box.dns,), clock), clock)
            theirs = {"name": "theirs", "type": "A", "address": "198.51.100.9"}
            yield Case(port, ZONE_CHANGES, content, _is_ours, lambda: box.edit(DOMAIN, add=[theirs]), box)


@contextlib.asynccontextmanager
async def file(folder: Path) -> AsyncIterator[Case]:
    path = folder / "acme.yaml"
    path.write_bytes(TEXT.encode())

    def content() -> list[Any]:
        return path.read_bytes().split(b"\n")

    def meddle() -> None:
        path.write_bytes(path.read_bytes() + b"    theirs: 1\r\n")

    def is_ours(part: Any) -> bool:
        return any(word in part for word in (b"api:", b"new:", b"doomed:"))

    port = EnvironmentFileTarget("acme", path, MemoryClock(), replace_text)
    yield Case(port, FILE_CHANGES, content, is_ours, meddle)


ALL = pytest.mark.parametrize("make", [memory, namecheap, file], ids=["memory", "namecheap", "file"])
ZONES = pytest.mark.parametrize("make", [memory, namecheap], ids=["memory", "namecheap"])


def told(make: Any, folder: Path, story: Callable[[Case], Any]) -> None:
    async def whole() -> None:
        async with make(folder) as case:
            await story(case)

    asyncio.run(whole())


@ALL
def test_reading_twice_gives_one_digest_and_changes_nothing(make: Any, tmp_path: Path) -> None:
    async def story(case: Case) -> None:
        before = case.content()
        first, second = await case.port.read(), await case.port.read()
        assert (first.target, first.digest, first.complete) == (case.port.id, second.digest, True)
        assert case.content() == before

    told(make, tmp_path, story)


@ALL
def test_a_write_makes_its_changes_and_reads_back_as_planned(make: Any, tmp_path: Path) -> None:
    async def story(case: Case) -> None:
        before = await case.port.read()
        assert case.port.compare(case.changes, before, before).is_as_before
        await case.port.write(case.changes, before)
        after = await case.port.read()
        found = case.port.compare(case.changes, before, after)
        assert (found.states, found.lost, found.foreign) == (("after",) * 3, (), ())
        assert after.digest != before.digest

    told(make, tmp_path, story)


@ALL
def test_a_write_keeps_everything_else_byte_for_byte(make: Any, tmp_path: Path) -> None:
    async def story(case: Case) -> None:
        others = case.others()
        assert len(others) > 4
        await case.port.write(case.changes, await case.port.read())
        assert case.others() == others

    told(make, tmp_path, story)


@ALL
def test_undo_after_a_clean_write_restores(make: Any, tmp_path: Path) -> None:
    async def story(case: Case) -> None:
        before = await case.port.read()
        await case.port.write(case.changes, before)
        now = await case.port.read()
        back = case.port.undo(case.changes, before, now)
        await case.port.write(back, now)
        end = await case.port.read()
        assert case.port.compare(case.changes, before, end).is_as_before
        assert case.port.undo(case.changes, before, end) == ()

    told(make, tmp_path, story)


@ZONES
def test_undo_after_a_clean_write_gives_the_zone_back(make: Any, tmp_path: Path) -> None:
    async def story(case: Case) -> None:
        before = await case.port.read()
        await case.port.write(case.changes, before)
        now = await case.port.read()
        await case.port.write(case.port.undo(case.changes, before, now), now)
        assert (await case.port.read()).digest == before.digest

    told(make, tmp_path, story)


@ALL
def test_undo_keeps_what_another_writer_made_meanwhile(make: Any, tmp_path: Path) -> None:
    async def story(case: Case) -> None:
        before = await case.port.read()
        await case.port.write(case.changes, before)
        case.meddle()
        now = await case.port.read()
        assert case.port.compare(case.changes, before, now).is_as_planned
        await case.port.write(case.port.undo(case.changes, before, now), now)
        end = await case.port.read()
        assert all(state == "before" for state in case.port.compare(case.changes, before, end).states)
        assert any("theirs" in str(part) for part in case.content())

    told(make, tmp_path, story)


@ALL
def test_a_half_done_write_is_neither_planned_nor_before(make: Any, tmp_path: Path) -> None:
    async def story(case: Case) -> None:
        before = await case.port.read()
        await case.port.write(case.changes[:1], before)
        found = case.port.compare(case.changes, before, await case.port.read())
        assert (found.is_as_planned, found.is_as_before, found.states[0]) == (False, False, "after")

    told(make, tmp_path, story)


@ALL
def test_verification_shows_what_was_written(make: Any, tmp_path: Path) -> None:
    async def story(case: Case) -> None:
        before = await case.port.read()
        await case.port.write(case.changes, before)
        assert (await case.port.verify(case.changes, before, (before,), 0.0)).verified is True

    told(make, tmp_path, story)


@ZONES
def test_a_mail_mode_change_keeps_every_row_the_mode_allows(make: Any, tmp_path: Path) -> None:
    async def story(case: Case) -> None:
        before = await case.port.read()
        mode = Change(TARGET, "dns.email_type", "update", EmailMode("MX"), EmailMode("FWD"), id="c1")
        gone = [row for row in before.content.data()["records"] if row["type"] == "MX"]
        drops = [record("delete", Record.from_data(row), None, 2) for row in gone]
        others = [part for part in case.others()[1:] if "'MX'" not in part]
        await case.port.write((mode, *drops), before)
        now = await case.port.read()
        assert case.port.compare((mode, *drops), before, now).is_as_planned
        assert case.content()[0] == "FWD"
        assert [part for part in case.others()[1:] if "'MX'" not in part] == others
        await case.port.write(case.port.undo((mode, *drops), before, now), now)
        assert (await case.port.read()).digest == before.digest

    told(make, tmp_path, story)


@ZONES
def test_a_new_preference_takes_hold_although_the_provider_ignores_the_first_write(make: Any, tmp_path: Path) -> None:
    async def story(case: Case) -> None:
        before = await case.port.read()
        old = mx("mail.acme.example.", 5, ttl=1799)
        change = record("update", old, replace(old, priority=30), 1)
        await case.port.write((change,), before)
        assert case.port.compare((change,), before, await case.port.read()).is_as_planned

    told(make, tmp_path, story)


# -- Namecheap alone --------------------------------------------------------------------------------------------------------


def test_rows_that_differ_only_in_spelling_are_all_sent_back(tmp_path: Path) -> None:
    """Two rows the provider holds apart are one record to us; a write must not choose between them."""

    async def story(case: Case) -> None:
        twin = [{"name": "@", "type": "MX", "address": "MAIL.acme.example.", "mx_pref": 30, "ttl": 1799}]
        assert case.sandbox is not None
        case.sandbox.edit(DOMAIN, add=twin)
        others = case.others()
        await case.port.write(case.changes, await case.port.read())
        assert case.others() == others

    told(namecheap, tmp_path, story)


def test_a_row_of_an_unknown_type_makes_the_write_fail_and_nothing_is_lost(tmp_path: Path) -> None:
    async def story(case: Case) -> None:
        assert case.sandbox is not None
        case.sandbox.edit(DOMAIN, add=[{"name": "odd", "type": "TLSA", "address": "3 1 1 abcdef"}])
        before = case.content()
        with pytest.raises(SophiaError):
            await case.port.write(case.changes, await case.port.read())
        assert case.content() == before

    told(namecheap, tmp_path, story)


def test_a_lost_answer_is_an_unknown_outcome_and_never_sent_twice(tmp_path: Path) -> None:
    async def story(case: Case) -> None:
        assert case.sandbox is not None
        before = await case.port.read()
        case.sandbox.fault("drop_after", command="setHosts")
        with pytest.raises(OutcomeUnknown):
            await case.port.write(case.changes, before)
        assert case.sandbox.calls().count("setHosts") == 1
        assert case.port.compare(case.changes, before, await case.port.read()).is_as_planned

    told(namecheap, tmp_path, story)


def test_the_rows_are_read_last_so_that_one_call_is_all_that_lies_before_the_write(tmp_path: Path) -> None:
    async def story(case: Case) -> None:
        assert case.sandbox is not None
        await case.port.write(case.changes, await case.port.read())
        assert case.sandbox.calls()[-2:] == ["getHosts", "setHosts"]

    told(namecheap, tmp_path, story)


def test_a_row_that_another_writer_changed_under_our_write_is_told_by_its_id(tmp_path: Path) -> None:
    """Their new value is gone: setHosts compares nothing. That the row was made anew says that it happened."""

    async def story(case: Case) -> None:
        assert case.sandbox is not None
        before = await case.port.read()
        case.sandbox.edit(
            DOMAIN,
            add=[{"name": "v6", "type": "AAAA", "address": "2001:db8::9"}],
            remove=[{"name": "v6", "type": "AAAA"}],
        )
        await case.port.write(case.changes, before)
        found = case.port.compare(case.changes, before, await case.port.read())
        assert found.is_as_planned
        assert found.overwritten == ("AAAA v6 2001:db8::1",)

    told(namecheap, tmp_path, story)


@pytest.mark.parametrize("ids", ["keep", "rotate"])
def test_row_ids_accuse_nobody_when_nobody_wrote(tmp_path: Path, ids: str) -> None:
    async def story(case: Case) -> None:
        assert case.sandbox is not None
        case.sandbox.switch(host_ids=ids)
        before = await case.port.read()
        await case.port.write(case.changes, before)
        assert case.port.compare(case.changes, before, await case.port.read()).overwritten == ()

    told(namecheap, tmp_path, story)
