"""Machines that share a state: one time to renew a certificate, and limits of an authority that are counted together."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sophia_cli.core.acme import Order, RenewalInfo
from sophia_cli.core.errors import ProviderRefused
from sophia_cli.core.renewal import RenewNow, WaitUntil
from sophia_cli.flows.schedule import verdict
from sophia_cli.store.directory import Directory
from sophia_cli.store.documents import FileDocuments
from tests.builders import DOMAIN
from tests.certificates import NOW
from tests.flows.test_issue import PUBLIC, Office


class Member(Office):
    """A machine with certificates, keys and zone of its own, and documents that all of them share."""

    shared: ClassVar[Path]

    @property
    def documents(self) -> FileDocuments:
        return FileDocuments(Directory(self.shared))


@pytest.fixture
def team(tmp_path: Path) -> tuple[Office, Office]:
    Member.shared = tmp_path / "shared"
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    return Member.of(tmp_path / "one", directory=PUBLIC), Member.of(tmp_path / "other", directory=PUBLIC)


def test_of_machines_that_ask_the_authority_at_once_the_first_picks_the_time_for_all(
    team: tuple[Office, Office],
) -> None:
    office, _ = team
    office.issue()
    start = NOW + timedelta(days=10)
    office.authority.info = RenewalInfo(start, start + timedelta(days=2), NOW, None, 21600.0)
    early, late = (replace(office.target().issuer, fraction=lambda at=at: at) for at in (0.1, 0.9))  # type: ignore[misc]
    answer, picked = office.authority.renewal_info, []

    async def slow(certificate_id: str) -> RenewalInfo | None:
        office.authority.renewal_info = answer  # type: ignore[method-assign]
        installed = (await office.files.state(DOMAIN)).installed
        assert installed is not None
        picked.append(await verdict(DOMAIN, installed, late))
        return await answer(certificate_id)

    async def both() -> RenewNow | WaitUntil:
        office.authority.renewal_info = slow  # type: ignore[method-assign]
        installed = (await office.files.state(DOMAIN)).installed
        assert installed is not None
        return await verdict(DOMAIN, installed, early)

    found = asyncio.run(both())
    assert [found] == picked
    assert isinstance(found, WaitUntil)
    assert found.until > start + timedelta(days=1)


def test_what_one_machine_ordered_stops_the_other_before_the_authority_does(team: tuple[Office, Office]) -> None:
    one, other = team
    for _ in range(5):
        assert one.issue(force=True).outcome == "applied"
        asyncio.run(one.files.switch(DOMAIN, None))  # not a renewal: nothing is exempt
    run = other.issue()
    assert "5 certificates for exactly the same names in 7 days are used up" in other.message(run)
    assert "order" not in other.authority.log


def test_a_count_that_cannot_be_read_places_no_order(team: tuple[Office, Office]) -> None:
    one, other = team
    assert one.issue().outcome == "applied"
    (count,) = Member.shared.glob("authorities/*.json")
    count.write_text('[["new-orders",')
    run = other.issue()
    assert run.outcome != "applied"
    assert "is not readable state" in other.message(run)
    assert "order" not in other.authority.log
    assert other.is_clean()


def test_an_order_whose_count_could_not_be_kept_is_taken_up_and_not_placed_again(team: tuple[Office, Office]) -> None:
    office, _ = team
    assert office.issue().outcome == "applied"
    asyncio.run(office.files.switch(DOMAIN, None))
    (count,) = Member.shared.glob("authorities/*.json")
    whole, place = count.read_text(), office.authority.order

    async def torn(*words: Any, **named: Any) -> Order:
        count.write_text("[[")  # the state goes after the limits were looked at
        return await place(*words, **named)

    office.authority.order = torn  # type: ignore[method-assign]
    assert office.issue().outcome != "applied"
    count.write_text(whole)
    assert office.issue().outcome == "applied"
    assert office.authority.log.count("order") == 2
    assert office.is_clean()


def test_a_failed_attempt_holds_back_only_the_certificate_it_was_for(team: tuple[Office, Office]) -> None:
    one, other = team
    assert (one.issue().outcome, other.issue().outcome) == ("applied", "applied")
    asyncio.run(one.world.clock.sleep(80 * 86400))
    asyncio.run(other.world.clock.sleep(80 * 86400))
    one.authority.fault("order", ProviderRefused("not today"))
    assert one.heal().repaired == ()
    assert one.heal().runs == ()  # it pauses
    assert len(other.heal().repaired) == 1  # which has a certificate of its own
