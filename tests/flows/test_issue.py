"""Issuing as a flow: waits end by the authorization's own end, failures leave no record, lost answers are taken up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sophia_cli.core.acme import RenewalInfo
from sophia_cli.core.dns import Record
from sophia_cli.core.errors import OutcomeUnknown, ProviderRefused, RateLimited, Unreachable
from sophia_cli.core.history import Run
from sophia_cli.core.issuance import HookResult, Secured, Served, Sighting
from sophia_cli.core.notifications import Message
from sophia_cli.core.settings import Ssl
from sophia_cli.flows.apply import apply
from sophia_cli.flows.certificate import CertificateTarget
from sophia_cli.flows.ground import Ground
from sophia_cli.flows.issuer import Issuer
from sophia_cli.flows.notify import Alerts
from sophia_cli.flows.plan import assemble
from sophia_cli.flows.renew import Renewed, renew
from sophia_cli.providers.acme.authorities import KnownAuthorities
from sophia_cli.providers.acme.certificates import Keys
from sophia_cli.store.certificates import CertificateFiles
from sophia_cli.store.directory import Directory
from sophia_cli.store.documents import FileDocuments
from sophia_cli.store.nested_locks import NestedLocks
from sophia_cli.store.renewals import StoredRenewals
from sophia_cli.store.told import StoredTold
from tests.builders import DOMAIN, a, desired, settings_of, zone
from tests.certificates import NOW, Signer
from tests.flows.authority import MemoryAuthority
from tests.memory import MemoryClock, World

PRIVATE, PUBLIC = "https://ca.example/dir", "https://acme-v02.api.letsencrypt.org/directory"
WWW = f"www.{DOMAIN}"


@dataclass
class Dns:
    """Servers that show what the zones hold, and what each does instead, for so many looks."""

    world: World
    others: list[list[Sighting]] = field(default_factory=list)
    looks: int = 0
    health: tuple[Secured, ...] = ()

    async def written_at(self, name: str, zones: Sequence[str]) -> str:
        return name

    async def addresses(self, name: str, zones: Sequence[str]) -> tuple[str, ...]:
        return ()

    async def secured(self, names: Sequence[str], zones: Sequence[str]) -> tuple[Secured, ...]:
        return self.health

    def held(self, name: str) -> frozenset[str]:
        live = self.world.zone.zone
        return frozenset(
            row.value for row in live.records if live.fqdn(row.name).rstrip(".") == name and row.type == "TXT"
        )

    async def look(self, zone: str, wanted: Mapping[str, frozenset[str]]) -> tuple[Sighting, ...]:
        self.looks += 1
        full = all(values <= self.held(name) for name, values in wanted.items())
        more = self.others.pop(0) if len(self.others) > 1 else self.others[0] if self.others else []
        return (Sighting("ns1", "udp", "shows" if full else "lags"), *more)


class Endpoints:
    async def served(self, endpoints: Sequence[tuple[str, int, str]]) -> tuple[Served, ...]:
        return ()


@dataclass
class Hook:
    results: list[HookResult] = field(default_factory=list)
    ran: int = 0

    async def run(self, name: str, paths: Mapping[str, Path]) -> HookResult:
        self.ran += 1
        return self.results.pop(0) if self.results else HookResult(True, "ran")


@dataclass
class Ears:
    """A channel that remembers."""

    name: str = "ears"
    heard: list[Message] = field(default_factory=list)

    async def send(self, message: Message) -> None:
        self.heard.append(message)


@dataclass
class Office:
    """One environment with a certificate, over memory and a real store."""

    world: World
    authority: MemoryAuthority
    dns: Dns
    hook: Hook
    ears: Ears
    approved_by: str | None = "ada@test (cert issue)"
    others: tuple[MemoryAuthority, ...] = ()

    @classmethod
    def of(cls, root: Path, *domains: str, directory: str = PRIVATE, autonomy: str = "suggest") -> Office:
        settings = settings_of(desired(), autonomy=autonomy)
        ssl = Ssl(domains=domains or (DOMAIN, f"*.{DOMAIN}"), directory=directory)
        world = World.of(root, replace(settings, ssl=ssl), zone(a("@", "203.0.113.1"), Record("@", "TXT", "kept")))
        world.clock = world.zone.clock = MemoryClock(NOW)
        dns = Dns(world)
        return cls(world, MemoryAuthority(directory, world.clock, dns.held), dns, Hook(), Ears())

    @property
    def files(self) -> CertificateFiles:
        return CertificateFiles(self.world.root / "certificates")

    @property
    def documents(self) -> FileDocuments:
        return FileDocuments(Directory(self.world.root))

    def ground(self) -> Ground:
        ground = self.world.ground("cert issue")
        ground = replace(ground, store=replace(ground.store, locks=NestedLocks(ground.store.locks)))
        return replace(ground, targets={**ground.targets, self.target().id: self.target()})

    def target(self) -> CertificateTarget:
        world = self.world
        alerts = Alerts([self.ears], StoredTold(self.documents), world.clock, world.ground().stream)
        authorities = KnownAuthorities([self.authority, *self.others])
        return CertificateTarget(
            DOMAIN,
            Issuer(
                *(world.settings, self.files, StoredRenewals(self.documents), authorities, Keys(), self.dns),
                *(Endpoints(), self.hook, alerts),
                ground=self.ground,
                approved_by=self.approved_by,
                fraction=lambda: 0.5,
            ),
        )

    def issue(self, *, force: bool = False) -> Run:
        async def steps() -> Run:
            target = self.target()
            part = await target.propose()
            changes = part.changes
            if force and not changes:
                state = await self.files.state(target.name)
                changes = (target.renewal(state, "asked for", "user"),)
            plan = assemble(self.world.settings, [], changes, [], self.world.clock.now(), parts=[part])
            return await apply(plan, None, self.ground())

        return asyncio.run(steps())

    def heal(self, **options: bool) -> Renewed:
        self.approved_by = None
        return asyncio.run(renew([self.target()], [self.target()], **options))

    def message(self, run: Run) -> str:
        return "; ".join(leg.message for leg in run.legs)

    def serial(self) -> str | None:
        installed = asyncio.run(self.files.state(DOMAIN)).installed
        return None if installed is None else installed.serial

    def is_clean(self) -> bool:
        """Whether the zone is as at the start and no order is noted."""
        rows = {(row.name, row.value) for row in self.world.zone.zone.records}
        return rows == {("@", "203.0.113.1"), ("@", "kept")} and asyncio.run(self.files.pending(DOMAIN)) is None


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office.of(tmp_path)


def test_it_is_issued_installed_hooked_and_the_zone_is_as_before(office: Office) -> None:
    run = office.issue()
    assert (run.outcome, office.hook.ran) == ("applied", 1)
    assert office.serial() is not None
    assert office.is_clean()
    assert office.world.zone.log.count("write") == 2
    assert [message.level for message in office.ears.heard] == ["info"]


# -- waiting for name servers -----------------------------------------------------------------------------------------------


def test_a_lagging_server_is_waited_for_and_named(office: Office) -> None:
    lag = [Sighting("ns2", "tcp", "lags", "has 1 of 2")]
    office.dns.others = [lag, lag, lag, []]
    assert office.issue().outcome == "applied"
    assert office.dns.looks == 5  # three with the lag, and two in a row without
    waiting = [event for event in asyncio.run(office.world.store.audit.events()) if event.action == "cert.shown"]
    assert waiting[0].detail["behind"] == ["ns2 (TCP) has 1 of 2"]


@pytest.mark.parametrize("minutes", [10, 60])
def test_the_wait_ends_with_the_authorization_and_everything_is_cleaned_up(tmp_path: Path, minutes: int) -> None:
    office = Office.of(tmp_path)
    office.authority.expires_in = timedelta(minutes=minutes)
    office.dns.others = [[Sighting("ns2", "udp", "lags", "has 0 of 2")]]
    run = office.issue()
    waited = office.world.clock.now() - NOW
    assert run.outcome == "nothing"
    assert "ns2 (UDP) has 0 of 2" in office.message(run)
    assert timedelta(minutes=minutes * 0.8) < waited < timedelta(minutes=minutes)
    assert "answer" not in office.authority.log
    assert office.authority.log.count("abandon") == 2
    assert office.is_clean()


def test_an_address_without_a_route_is_not_waited_for(office: Office) -> None:
    office.dns.others = [[Sighting("ns1 at 2001:db8::1", "udp", "untested", "not tested: no route")]]
    assert office.issue().outcome == "applied"
    assert office.dns.looks == 2


def test_a_silent_server_is_left_out_after_a_minute_but_never_the_last_one(office: Office) -> None:
    office.dns.others = [[Sighting("ns2", "udp", "silent", "no answer")]]
    assert office.issue().outcome == "applied"
    assert timedelta(seconds=60) <= office.world.clock.now() - NOW < timedelta(seconds=120)


def test_a_stop_while_waiting_keeps_the_order_and_the_next_run_takes_it_up(office: Office) -> None:
    office.dns.others = [[Sighting("ns2", "udp", "lags")]]
    real = office.dns.look

    async def look(zone: str, wanted: Mapping[str, frozenset[str]]) -> tuple[Sighting, ...]:
        office.world.guard.stop = office.dns.looks >= 3
        return await real(zone, wanted)

    office.dns.look = look  # type: ignore[method-assign]
    run = office.issue()
    assert "the order is kept" in office.message(run)
    office.world.guard.stop, office.dns.others, office.dns.looks = False, [], -100
    assert office.issue().outcome == "applied"
    assert office.authority.log.count("order") == 1
    assert office.is_clean()


# -- when the authority says no ---------------------------------------------------------------------------------------------


def test_one_failed_validation_gives_the_others_up_before_any_record_goes(office: Office) -> None:
    removed_while_pending = []
    withdraw = office.world.zone.write

    async def write(changes: Any, fresh: Any) -> None:
        if all(change.action == "delete" for change in changes):
            removed_while_pending.extend(one for one in office.authority.authz.values() if one.status == "pending")
        await withdraw(changes, fresh)

    office.world.zone.write = write  # type: ignore[method-assign]
    office.authority.shows = lambda name: frozenset()
    office.authority.fault("wait_authorization", ProviderRefused("the validation failed: wrong value"))
    run = office.issue()
    assert "wrong value" in office.message(run)
    assert removed_while_pending == []
    assert office.is_clean()
    assert office.serial() is None
    assert office.ears.heard[0].level == "critical"


def test_a_rate_limit_of_the_authority_writes_nothing_to_the_zone(office: Office) -> None:
    office.authority.fault("order", RateLimited("too many certificates; retry after 2026-12-01"))
    run = office.issue()
    assert "retry after 2026-12-01" in office.message(run)
    assert "write" not in office.world.zone.log
    assert office.is_clean()


def test_our_own_count_stops_before_the_authority_does(tmp_path: Path) -> None:
    office = Office.of(tmp_path, directory=PUBLIC)
    for _ in range(5):
        assert office.issue(force=True).outcome == "applied"
        asyncio.run(office.files.switch(DOMAIN, None))  # not a renewal: nothing is exempt
    run = office.issue()
    assert "5 certificates for exactly the same names in 7 days are used up" in office.message(run)
    assert office.authority.log.count("order") == 5


def test_caa_that_names_another_authority_stops_before_any_write(office: Office) -> None:
    office.authority.identities = ("ca.example",)
    office.world.zone.edit(add=[Record("@", "CAA", '0 issue "other.example"', 300)])
    run = office.issue()
    assert "CAA forbids ca.example" in office.message(run)
    assert "write" not in office.world.zone.log
    office.world.zone.edit(add=[Record("@", "CAA", '0 issuewild "ca.example"', 300)])
    assert f"to issue for {DOMAIN}: it names other.example" in office.message(office.issue())
    office.world.zone.edit(add=[Record("@", "CAA", '0 issue "ca.example; accounturi=https://ca.example/acct/2"', 300)])
    assert "accounturi" in office.message(office.issue())
    office.world.zone.edit(add=[Record("@", "CAA", '0 issue "ca.example; validationmethods=dns-01"', 300)])
    assert office.issue().outcome == "applied"


def test_a_certificate_for_another_key_is_not_installed(office: Office) -> None:
    office.authority.other_key = True
    run = office.issue()
    assert "another key" in office.message(run)
    assert (office.serial(), office.is_clean()) == (None, True)


# -- lost answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["answer", "wait_authorization", "wait_order", "finalize", "download"])
@pytest.mark.parametrize("error", [OutcomeUnknown, Unreachable])
def test_an_order_whose_answer_was_lost_is_taken_up_with_the_same_key(
    office: Office, method: str, error: type[Exception]
) -> None:
    office.authority.fault(method, error("the answer was lost"))
    assert office.issue().outcome == "nothing"
    key = asyncio.run(office.files.pending_key(DOMAIN))
    assert office.issue().outcome == "applied"
    installed = asyncio.run(office.files.state(DOMAIN)).installed
    assert installed is not None
    if key is not None:
        assert asyncio.run(office.files.key(DOMAIN, installed.version)) == key
    assert office.authority.log.count("order") == 1
    assert office.is_clean()


def test_an_order_that_is_gone_is_replaced_and_its_values_are_taken_out(office: Office) -> None:
    office.authority.fault("wait_authorization", Unreachable("no answer"))
    office.issue()
    assert len(office.world.zone.zone.at("_acme-challenge", "TXT")) == 2
    office.authority.orders.clear()
    office.authority.chains.clear()
    assert office.issue().outcome == "applied"
    assert office.is_clean()


def test_other_names_give_the_order_under_way_up(office: Office) -> None:
    office.authority.fault("wait_authorization", Unreachable("no answer"))
    office.issue()
    ssl = replace(office.world.settings.ssl, domains=(DOMAIN,))
    office.world.settings = replace(office.world.settings, ssl=ssl)
    assert office.issue().outcome == "applied"
    assert office.authority.log.count("order") == 2
    assert office.is_clean()


def test_records_that_could_not_be_removed_are_removed_by_heal(office: Office) -> None:
    office.world.zone.fault("write", None, "refused")
    assert office.issue().outcome == "applied"
    assert not office.is_clean()
    renewed = office.heal()
    assert renewed.runs == ()
    assert office.is_clean()
    assert office.hook.ran == 2


def test_heal_removes_values_that_nothing_but_their_ownership_tells_of(office: Office) -> None:
    office.world.zone.fault("write", None, "refused")
    office.issue()
    asyncio.run(office.files.drop_pending(DOMAIN))  # as if the certificates' folder had been lost
    office.heal(dry_run=True)
    assert not office.is_clean()
    office.heal()
    assert office.is_clean()


# -- renewing by itself -----------------------------------------------------------------------------------------------------


def test_heal_renews_at_two_thirds_and_not_before(office: Office) -> None:
    office.issue()
    first = office.serial()
    asyncio.run(office.world.clock.sleep(59 * 86400))
    assert office.heal().findings == ()
    asyncio.run(office.world.clock.sleep(86400))
    office.authority.signer = Signer(office.authority.signer.key)
    renewed = office.heal()
    assert [finding.title for finding in renewed.repaired] == [
        "SSL certificate expiring in 29 days, automatically renewing"
    ]
    assert office.serial() not in (None, first)


def test_heal_never_issues_what_nobody_agreed_to(office: Office) -> None:
    renewed = office.heal()
    assert [(finding.id, why) for finding, why in renewed.open] == [("CERT-PENDING", "needs approval")]
    assert office.authority.log == []


def test_an_issue_a_person_agreed_to_is_finished_by_heal(office: Office) -> None:
    office.authority.fault("wait_order", Unreachable("no answer"))
    office.issue()
    assert [finding.id for finding in office.heal().repaired] == ["CERT-PENDING"]
    assert office.authority.log.count("order") == 1
    assert office.is_clean()


def test_failures_are_told_once_and_come_at_growing_distances(office: Office) -> None:
    office.issue()
    asyncio.run(office.world.clock.sleep(61 * 86400))
    office.authority.fault("order", *(ProviderRefused("maintenance") for _ in range(50)))
    attempts = []
    for _ in range(24):
        before = office.authority.log.count("order")
        office.heal()
        attempts.append(office.authority.log.count("order") - before)
        asyncio.run(office.world.clock.sleep(1800))
    assert 3 <= sum(attempts) <= 7  # 12, 24, 48, 96, 192, 360 minutes over twelve hours of half-hourly runs
    assert [message.level for message in office.ears.heard].count("critical") == 1


def test_advice_of_the_authority_is_followed_and_asked_for_as_it_wants(office: Office) -> None:
    office.issue()
    start = NOW + timedelta(days=10)
    office.authority.info = RenewalInfo(start, start + timedelta(days=2), NOW, "https://ca.example/why", 21600.0)
    assert office.heal().findings == ()
    assert office.heal().findings == ()
    assert office.authority.log.count("renewal_info") == 1
    asyncio.run(office.world.clock.sleep(11 * 86400 + 60))
    renewed = office.heal()
    assert len(renewed.repaired) == 1
    assert "https://ca.example/why" in renewed.repaired[0].help
    assert office.authority.orders[list(office.authority.orders)[-1]].replaces is not None


def test_no_secret_is_in_the_state_outside_the_key_files(office: Office) -> None:
    office.issue()
    for path in office.world.root.rglob("*"):
        if path.is_file() and path.name != "privkey.pem":
            assert "PRIVATE KEY" not in path.read_text()
    assert "PRIVATE" not in json.dumps([event.data() for event in asyncio.run(office.world.store.audit.events())])
