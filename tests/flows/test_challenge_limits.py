"""Challenge records and the limit of a day: they come and go with an issue that is judged by itself, and count for nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from sophia_cli.core.policy import Policy, Verdict
from sophia_cli.core.settings import Limits
from sophia_cli.flows.plan import judged, make_plan
from tests.builders import a, desired, settings_of
from tests.flows.test_issue import Office


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office.of(tmp_path)


def verdict(office: Office, per_day: int) -> Verdict:
    """What is said of one record more, a moment after."""
    settings = settings_of(desired(a("api")), autonomy="autonomous")
    world = replace(office.world, settings=settings)

    async def judge() -> Verdict:
        made = await make_plan(settings, {world.zone.id: world.zone}, world.store, world.clock.now())
        policy = Policy("autonomous", Limits(per_day=per_day))
        return (await judged(made.plan, policy, [], world.store, world.clock.now())).verdict

    return asyncio.run(judge())


def test_an_issue_spends_one_change_of_the_day_however_many_challenge_records_it_wrote(office: Office) -> None:
    assert office.issue().outcome == "applied"
    runs = asyncio.run(office.world.store.journal.runs())
    wrote = [change for run in runs for change in run.changes if change.kind == "dns.record"]
    assert len(wrote) == 4  # two values, put in and taken out
    assert verdict(office, 2).decision == "allow"
    (reason,) = verdict(office, 1).denials()
    assert (reason.rule, reason.message[:32]) == ("per_day", "1 changes in the last 24 hours a")


def test_challenge_records_are_written_where_the_limit_of_the_day_is_spent(office: Office) -> None:
    tight = replace(office.world.settings.intelligence, limits=Limits(per_day=1, max_changes=1))
    office.world.settings = replace(office.world.settings, intelligence=tight)
    assert office.issue().outcome == "applied"
    assert office.serial() is not None
    assert office.is_clean()
