"""When one machine renews its certificate, and what is told of that to the rules that tune the environment."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from sophia_cli.core.errors import ProviderRefused
from sophia_cli.core.tuning import Renewing
from sophia_cli.flows.schedule import renewing
from tests.builders import DOMAIN
from tests.flows.test_issue import Office

DAY_S = 86400


@pytest.fixture
def office(tmp_path: Path) -> Office:
    found = Office.of(tmp_path)
    assert found.issue().outcome == "applied"
    return found


def wait(office: Office, days: float) -> None:
    asyncio.run(office.world.clock.sleep(days * DAY_S))


def known(office: Office) -> Renewing:
    [found] = asyncio.run(renewing([office.target()]))
    return found


def test_heal_renews_as_early_as_the_environment_asks_but_not_in_the_first_half(office: Office) -> None:
    settings = office.world.settings
    office.world.settings = replace(settings, ssl=replace(settings.ssl, renew_before_days=365))
    half = known(office).lifetime / timedelta(days=2)
    wait(office, half - 1)
    assert office.heal().runs == ()
    wait(office, 1.1)
    healed = office.heal()
    assert [run.outcome for run in healed.runs] == ["applied"]
    assert "the environment asks for 365 days before the end" in healed.runs[0].changes[0].reason


def test_a_renewal_that_failed_is_still_known_after_the_one_that_did_not(office: Office) -> None:
    assert known(office).failed_at is None
    wait(office, known(office).lifetime / timedelta(days=1) * 0.7)
    office.authority.fault("order", ProviderRefused("not today"))
    assert office.heal().repaired == ()
    failed_at = known(office).failed_at
    assert failed_at is not None
    wait(office, 1)
    assert len(office.heal().repaired) == 1
    assert known(office) == Renewing(DOMAIN, known(office).lifetime, failed_at)
    assert known(office).failed_lately(office.world.clock.now())
    wait(office, 1)
    assert office.issue(force=True).outcome == "applied"
    assert known(office).failed_at is None


def test_nothing_is_told_of_a_certificate_that_is_not_there(office: Office) -> None:
    asyncio.run(office.files.switch(DOMAIN, None))
    assert asyncio.run(renewing([office.target()])) == ()
