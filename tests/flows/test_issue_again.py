"""Issuing once more: orders taken up, records that stand from before, and the time to the next run of heal."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sophia_cli.core.acme import Order, RenewalInfo
from sophia_cli.core.dns import Record
from sophia_cli.core.errors import Locked, Unreachable
from sophia_cli.core.issuance import Sighting
from sophia_cli.flows.apply import apply
from sophia_cli.flows.certificate import CertificateTarget
from sophia_cli.flows.plan import assemble
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
    assert len(asyncio.run(renew([target], [target])).repaired) == renewed


@pytest.mark.parametrize("with_zone", [False, True])
def test_what_an_issue_holds_while_it_waits_for_dns(office: Office, with_zone: bool) -> None:
    """By itself it holds the certificate's lock alone, and the zone's only while it writes it: others may write meanwhile.

    A run that changes the zone as well keeps its lock to the end: what it wrote may have to be taken back.
    """
    held: dict[str, str] = {}
    real, locks = office.dns.look, office.world.store.locks

    async def look(zone: str, wanted: Mapping[str, frozenset[str]]) -> tuple[Sighting, ...]:
        for target in (f"dns:{DOMAIN}", f"cert:{DOMAIN}"):
            try:
                async with locks.hold([target], "another run"):
                    held[target] = ""
            except Locked as exc:
                held[target] = exc.message
        office.world.zone.edit(add=[Record("other", "A", "203.0.113.7")])
        return await real(zone, wanted)

    office.dns.look = look  # type: ignore[method-assign]
    if with_zone:

        async def deploy() -> str:
            ground = office.ground()
            async with ground.store.locks.hold([f"dns:{DOMAIN}"], "deploy"):
                part = await office.target().propose()
                plan = assemble(office.world.settings, [], part.changes, [], office.world.clock.now(), parts=[part])
                return (await apply(plan, None, ground)).outcome

        assert asyncio.run(deploy()) == "applied"
    else:
        assert office.issue().outcome == "applied"
    assert (held[f"dns:{DOMAIN}"] == "") is not with_zone
    assert "holds the lock" in held[f"cert:{DOMAIN}"]
    assert [row.name for row in office.world.zone.zone.records if row.name == "other"] == ["other"]
    assert office.world.zone.zone.at("_acme-challenge", "TXT") == ()


def named(office: Office, name: str, *domains: str) -> CertificateTarget:
    """A further certificate of the same environment."""
    target = office.target()
    ssl = replace(target.issuer.settings.ssl, domains=domains)
    return CertificateTarget(name, replace(target.issuer, settings=replace(target.issuer.settings, ssl=ssl)))


def test_heal_for_one_certificate_leaves_the_challenge_of_another_that_is_under_way(office: Office) -> None:
    office.authority.fault("wait_authorization", Unreachable("no answer"))
    office.issue()  # its values stand in the zone, and its order waits to be taken up
    under_way = office.world.zone.zone.at("_acme-challenge", "TXT")
    assert len(under_way) == 2
    shop = named(office, "shop", f"shop.{DOMAIN}")
    found = asyncio.run(renew([shop], [office.target(), shop]))
    assert (office.world.zone.zone.at("_acme-challenge", "TXT"), found.notes) == (under_way, ())

    async def while_another_machine_proves_it() -> tuple[str, ...]:
        async with office.world.store.locks.hold([f"cert:{DOMAIN}"], "cert issue"):
            await office.files.drop_pending(DOMAIN)  # what that machine noted is not here
            return (await renew([shop], [office.target(), shop])).notes

    (note,) = asyncio.run(while_another_machine_proves_it())
    assert ("not cleaned up yet" in note, office.world.zone.zone.at("_acme-challenge", "TXT")) == (True, under_way)
    asyncio.run(renew([shop], [office.target(), shop]))
    assert office.world.zone.zone.at("_acme-challenge", "TXT") == ()
