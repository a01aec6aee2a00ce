"""Which machine keeps a certificate: the others neither order nor renew it, until it is taken over or left to run out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sophia_cli.core.changes import Change
from sophia_cli.core.errors import StalePlan
from sophia_cli.flows.apply import apply
from sophia_cli.flows.certificate import CertificateTarget
from sophia_cli.flows.plan import assemble
from sophia_cli.store.directory import Directory
from sophia_cli.store.documents import FileDocuments
from sophia_cli.store.keepers import StoredKeepers
from tests.builders import DOMAIN
from tests.flows.test_issue import Office


@dataclass
class Machine(Office):
    """One with certificates, keys and zone of its own, that shares who keeps what."""

    host: str = ""
    shared: Path = Path()

    def target(self) -> CertificateTarget:
        keepers = StoredKeepers(FileDocuments(Directory(self.shared)))
        return CertificateTarget(DOMAIN, replace(super().target().issuer, keepers=keepers, host=self.host))

    def proposed(self) -> tuple[Change, ...]:
        return asyncio.run(self.target().propose()).changes


@pytest.fixture
def machines(tmp_path: Path) -> tuple[Machine, Machine]:
    found = []
    for host in ("alpha", "beta"):
        (tmp_path / host).mkdir()
        found.append(Machine.of(tmp_path / host))
        found[-1].host, found[-1].shared = host, tmp_path / "shared"
    return found[0], found[1]


def test_a_plan_is_stale_once_another_machine_has_issued(machines: tuple[Machine, Machine]) -> None:
    alpha, beta = machines
    part = asyncio.run(beta.target().propose())
    plan = assemble(beta.world.settings, [], part.changes, [], beta.world.clock.now(), parts=[part])
    assert alpha.issue().outcome == "applied"
    with pytest.raises(StalePlan):
        asyncio.run(apply(plan, None, beta.ground()))
    assert (beta.authority.log, beta.proposed(), beta.serial()) == ([], (), None)


def test_a_keeper_that_lets_it_run_out_is_replaced_by_a_person_and_not_by_heal(
    machines: tuple[Machine, Machine],
) -> None:
    alpha, beta = machines
    alpha.issue()
    asyncio.run(beta.world.clock.sleep(70 * 86400))  # due, but there is time
    assert (beta.heal().open, beta.authority.log) == ((), [])
    asyncio.run(beta.world.clock.sleep(17 * 86400))
    (change,) = beta.proposed()
    assert (change.kind, "alpha keeps it and did not renew it" in change.reason) == ("cert.issue", True)
    assert [why for _, why in beta.heal().open] == ["needs approval"]
    beta.approved_by = "ada@test (cert issue)"
    assert beta.issue().outcome == "applied"
    assert alpha.proposed() == ()


def test_a_version_that_was_gone_back_to_or_taken_away_is_known_to_all(machines: tuple[Machine, Machine]) -> None:
    alpha, beta = machines
    alpha.issue()
    first = alpha.serial()
    alpha.issue(force=True)
    state = asyncio.run(alpha.files.state(DOMAIN))
    kept = {one.serial: one for one in asyncio.run(alpha.files.versions(DOMAIN))}
    assert state.installed is not None
    assert first is not None
    asyncio.run(alpha.target()._back_to(first))
    keeper = asyncio.run(StoredKeepers(FileDocuments(Directory(alpha.shared))).keeper(DOMAIN))
    assert keeper is not None
    assert (keeper.host, keeper.serial, kept[first].not_after) == ("alpha", first, keeper.not_after)
    assert beta.proposed() == ()
