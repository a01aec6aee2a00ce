"""Issuing once more: orders taken up, records that stand from before, and the time to the next run of heal."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sophia_cli.core.acme import Order, RenewalInfo
from sophia_cli.core.dns import Record
from sophia_cli.core.errors import Unreachable
from sophia_cli.flows.renew import renew
from tests.builders import DOMAIN
from tests.certificates import NOW
from tests.flows.authority import MemoryAuthority
from tests.flows.test_issue import PRIVATE, Office


@dataclass
class Persistent(MemoryAuthority):
    """Proves control by a standing record; an earlier value of the account's URI is taken as well."""

    offered: tuple[str, ...] = (
        "ca.example; accounturi=https://ca.example/acct/2",
        "ca.example; accounturi=https://ca.example/acct/1",
    )

    async def order(self, *arguments: Any, **options: Any) -> Order:
        order = await super().order(*arguments, **options)
        for url in order.authorizations:
            held = self.authz[url]
            label = f"_validation-persist.{held.identifier}"
            lasting = replace(
                held.challenges[0],
                type="dns-persist-01",
                txt_name=label,
                txt_value=self.offered[0],
                also_accepted=self.offered[1:],
            )
            self.authz[url] = replace(held, challenges=(lasting,))
        return order


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office.of(tmp_path)


def test_an_order_for_other_names_than_are_wanted_is_not_taken_up(office: Office) -> None:
    """What the authority holds counts, not what was noted: a certificate without a name would be installed else."""
    office.authority.fault("finalize", Unreachable("no answer"))
    office.issue()
    (url,) = office.authority.orders
    office.authority.orders[url] = replace(office.authority.orders[url], names=(DOMAIN,))
    assert office.issue().outcome == "applied"
    assert office.authority.log.count("order") == 2
    assert office.is_clean()


def test_a_standing_record_from_before_a_key_rollover_still_counts_and_stays(tmp_path: Path) -> None:
    office = Office.of(tmp_path, DOMAIN)
    office.authority = Persistent(PRIVATE, office.world.clock, office.dns.held)
    old = Record("_validation-persist", "TXT", office.authority.offered[1], 300)
    live = office.world.zone
    live.edit(add=[old])
    assert office.issue().outcome == "applied"
    rows = [row.value for row in live.zone.at("_validation-persist", "TXT")]
    assert rows == [office.authority.offered[1]]
    assert office.authority.log.count("answer") == 1


@pytest.mark.parametrize(("wake", "renewed"), [(None, 0), (timedelta(minutes=30), 0), (timedelta(days=5), 1)])
def test_a_window_that_would_be_over_at_the_next_run_is_used_now(
    office: Office, wake: timedelta | None, renewed: int
) -> None:
    office.issue()
    start = NOW + timedelta(days=10)
    office.authority.info = RenewalInfo(start, start + timedelta(days=2), NOW, None, 21600.0)
    asyncio.run(office.world.clock.sleep(8 * 86400))
    office.approved_by = None
    target = office.target()
    target.issuer = replace(target.issuer, wake=wake)
    assert len(asyncio.run(renew(target)).repaired) == renewed
