"""Whether an authority, which validates, could look into a zone: told by NSD and Knot with zones that BIND's tools signed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sophia_cli.cli.clock import SystemClock
from sophia_cli.core.issuance import Secured
from sophia_cli.providers.dns_survey.exchange import Party
from sophia_cli.providers.dns_survey.health import ChainWitness
from tests.providers.dns_survey.servers import (
    NSD,
    PARENT,
    Forwarder,
    delegated,
    free_port,
    missing,
    nsd,
    signed,
    zone_text,
)
from tests.providers.dns_survey.world import World

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("dns-servers")]


class In2031(SystemClock):
    def now(self) -> datetime:
        return datetime(2031, 1, 1, tzinfo=UTC)


def secured(world: World, zone: str, clock: SystemClock | None = None) -> Secured:
    witness = ChainWitness(clock or SystemClock(), [Party("127.0.0.1", world.resolver.port)], port=world.port)
    return asyncio.run(witness.secured(zone, [f"_acme-challenge.{zone}", zone]))


@pytest.mark.parametrize(
    ("zone", "verdict", "why"),
    [
        ("signed.example", "valid", ""),
        ("good.example", "unsigned", ""),
        ("secret.example", "unsigned", ""),  # signed, but no DS says so: nobody validates
        ("expired.example", "bogus", "expired at 2024-02-01"),
        ("bogus.example", "bogus", "fits a DS of the parent"),
        ("missing.example", "unknown", "not registered"),
    ],
)
def test_the_chain_is_told_as_a_validating_resolver_meets_it(
    internet: World, zone: str, verdict: str, why: str
) -> None:
    found = secured(internet, zone)
    assert (found.zone, found.verdict) == (zone, verdict), found.why
    assert why in " ".join(found.why)


def test_signatures_that_ended_are_bogus_by_the_clock(internet: World) -> None:
    assert secured(internet, "signed.example", In2031()).verdict == "bogus"


def test_without_a_resolver_nothing_is_told_and_the_reason_is() -> None:
    witness = ChainWitness(SystemClock(), (), why_none="this machine has no resolver")
    assert asyncio.run(witness.secured("a.example", [])) == Secured(
        "a.example", "unknown", ("this machine has no resolver",)
    )


@pytest.fixture
def torn(tmp_path: Path) -> Iterator[World]:
    """A zone whose apex is signed soundly, and whose denials are not: every look for a challenge fails, nothing else does."""
    if missing():
        pytest.skip(f"not installed: {', '.join(missing())} (make test-servers)")
    zone, hosts = "torn.example", {"ns1": NSD}
    below = zone_text(f"sub.{zone}", "@ IN A 192.0.2.1", hosts=hosts)
    text, signers = signed(tmp_path / "keys", zone, zone_text(zone, "@ IN A 192.0.2.1", hosts=hosts), "-O", "full")
    text = re.sub(r"^.*\sRRSIG\s+NSEC\s.*\n", "", text, flags=re.M)
    parent = zone_text("example", hosts={"ns": PARENT}) + delegated(zone, hosts) + "\n".join(signers) + "\n"
    port = free_port()
    routes = {"example": (PARENT, port), zone: (NSD, port)}
    with (
        nsd(tmp_path / "parent", PARENT, port, {"example": parent}),
        nsd(tmp_path / "zone", NSD, port, {zone: text, f"sub.{zone}": below}),
        closing(Forwarder(routes)) as resolver,
    ):
        yield World(port, resolver)


def test_what_an_unsigned_zone_below_on_the_same_server_says_breaks_nothing(torn: World) -> None:
    witness = ChainWitness(SystemClock(), [Party("127.0.0.1", torn.resolver.port)], port=torn.port)
    names = ["_acme-challenge.sub.torn.example", "sub.torn.example"]
    assert asyncio.run(witness.secured("torn.example", names)).verdict == "valid"


def test_a_zone_that_is_sound_but_for_the_name_of_the_challenge_is_bogus(torn: World) -> None:
    found = secured(torn, "torn.example")
    assert found.verdict == "bogus"
    assert "answers for _acme-challenge.torn.example: it denies the name without proof" in " ".join(found.why)
