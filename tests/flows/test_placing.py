"""Several authorities in order: what one cannot do another does, a renewal goes to its issuer, a failed proof nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sophia_cli.core.dns import Record
from sophia_cli.core.errors import BadResponse, OutcomeUnknown, ProviderBusy, ProviderRefused, RateLimited, Unreachable
from sophia_cli.core.issuance import Secured
from tests.builders import DOMAIN
from tests.flows.authority import MemoryAuthority
from tests.flows.test_issue import PUBLIC, Office

FIRST, SECOND = "https://first.example/dir", "https://second.example/dir"
MONTHS = 61 * 86400


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return made(tmp_path, FIRST, SECOND)


def made(root: Path, first: str, second: str) -> Office:
    """An office with two authorities, the first preferred; each goes by its own name in CAA."""
    found = Office.of(root, directory=first)
    found.world.settings = replace(found.world.settings, ssl=replace(found.world.settings.ssl, others=(second,)))
    found.authority.identities = ("first.example",)
    found.others = (MemoryAuthority(second, found.world.clock, found.dns.held, identities=("second.example",)),)
    return found


def issuer_of(office: Office) -> str | None:
    installed = asyncio.run(office.files.state(DOMAIN)).installed
    return None if installed is None else installed.authority


def passed_over(office: Office) -> list[tuple[str, str]]:
    events = asyncio.run(office.world.store.audit.events())
    return [(one.detail["authority"], one.detail["error"]) for one in events if one.action == "cert.authority"]


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("too many new orders", details={"type": "rateLimited"}),
        Unreachable("no answer"),
        ProviderBusy("maintenance"),
        ProviderRefused("not this name", details={"type": "rejectedIdentifier"}),
        BadResponse("no JSON"),
        OutcomeUnknown("the answer was lost"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_the_first_will_not_take_the_second_does(office: Office, error: Exception) -> None:
    office.authority.fault("order", error)
    assert office.issue().outcome == "applied"
    assert issuer_of(office) == SECOND
    assert passed_over(office) == [("first.example", type(error).__name__)]
    assert office.is_clean()


def test_caa_that_names_the_second_alone_asks_nothing_of_the_first(office: Office) -> None:
    office.world.zone.edit(add=[Record("@", "CAA", '0 issue "second.example"', 300)])
    assert office.issue().outcome == "applied"
    assert (issuer_of(office), office.authority.log) == (SECOND, [])
    assert passed_over(office) == [("first.example", "Refused")]


@pytest.mark.parametrize("kind", ["caa", "rejectedIdentifier", "rateLimited"])
@pytest.mark.parametrize("method", ["wait_authorization", "wait_order", "finalize"])
def test_an_authority_that_will_not_issue_after_all_is_passed_over(office: Office, kind: str, method: str) -> None:
    office.authority.fault(method, ProviderRefused("will not issue", details={"type": kind}))
    assert office.issue().outcome == "applied"
    assert issuer_of(office) == SECOND
    assert office.authority.log.count("order") == 1
    assert office.is_clean()


def test_a_failed_proof_never_goes_to_another_authority(office: Office) -> None:
    office.authority.fault("wait_authorization", ProviderRefused("wrong value", details={"type": "unauthorized"}))
    run = office.issue()
    assert "wrong value" in office.message(run)
    assert (issuer_of(office), office.others[0].log, passed_over(office)) == (None, [], [])
    assert office.is_clean()


def test_when_all_refuse_every_reason_is_given_and_nothing_is_written(office: Office) -> None:
    office.authority.fault("order", RateLimited("first reason"))
    office.others[0].fault("order", ProviderRefused("second reason"))
    message = office.message(office.issue())
    assert ("first reason" in message, "second reason" in message) == (True, True)
    assert "write" not in office.world.zone.log


def test_what_was_spent_is_counted_for_each_authority(tmp_path: Path) -> None:
    office = made(tmp_path, PUBLIC, SECOND)
    office.authority.identities = ()
    issuers = []
    for _ in range(6):
        assert office.issue(force=True).outcome == "applied"
        issuers.append(issuer_of(office))
        asyncio.run(office.files.switch(DOMAIN, None))
    assert issuers == [PUBLIC] * 5 + [SECOND]


def renewed_at(office: Office, *, before: Callable[[], None] = lambda: None) -> str | None:
    asyncio.run(office.world.clock.sleep(MONTHS))
    before()
    assert len(office.heal().repaired) == 1
    return issuer_of(office)


def test_a_renewal_goes_to_the_one_that_issued_and_names_the_predecessor_only_there(office: Office) -> None:
    office.authority.fault("order", Unreachable("no answer"))
    assert office.issue().outcome == "applied"
    assert asyncio.run(office.target().propose()).changes == ()  # the first is back, and that alone is no reason
    assert renewed_at(office) == SECOND
    assert [order.replaces is not None for order in office.others[0].orders.values()] == [False, True]
    assert office.authority.orders == {}


def test_a_renewal_that_its_issuer_cannot_do_goes_to_another_without_the_predecessor(office: Office) -> None:
    assert office.issue().outcome == "applied"
    assert renewed_at(office, before=lambda: office.authority.fault("order", Unreachable("gone for good"))) == SECOND
    assert [order.replaces for order in office.others[0].orders.values()] == [None]


def test_an_authority_that_the_environment_drops_is_replaced_by_a_person(office: Office) -> None:
    assert office.issue().outcome == "applied"
    ssl = replace(office.world.settings.ssl, directory=SECOND, others=())
    office.world.settings = replace(office.world.settings, ssl=ssl)
    assert [why for _, why in office.heal().open] == ["needs approval"]
    assert issuer_of(office) == FIRST


def test_a_zone_that_no_validator_can_look_into_costs_no_order(office: Office) -> None:
    office.dns.health = (Secured(DOMAIN, "bogus", ("no DNSKEY of ns1 fits a DS of the parent",)),)
    run = office.issue()
    assert "no DNSKEY of ns1 fits a DS of the parent" in office.message(run)
    assert (office.authority.log, office.others[0].log) == ([], [])
    assert "write" not in office.world.zone.log


@pytest.mark.parametrize("verdict", ["valid", "unsigned", "unknown"])
def test_only_a_broken_chain_stops_and_what_was_not_tested_is_said(office: Office, verdict: str) -> None:
    office.dns.health = (Secured(DOMAIN, verdict, ("no resolver",) if verdict == "unknown" else ()),)  # type: ignore[arg-type]
    assert office.issue().outcome == "applied"
    said = [one.detail["why"] for one in asyncio.run(office.world.store.audit.events()) if one.action == "cert.dnssec"]
    assert said == ([f"{DOMAIN}: no resolver"] if verdict == "unknown" else [])
