"""Standing records (draft-ietf-acme-dns-persist): one TXT record a person agreed to once proves control ever after."""

from __future__ import annotations

from sophia_cli.core.acme import DNS_PERSIST_01, Challenge
from sophia_cli.core.certificates import STANDING_SOURCE
from sophia_cli.core.changes import Change
from sophia_cli.core.dns import DEFAULT_TTL, Record, Zone, relative
from sophia_cli.core.errors import Refused
from sophia_cli.core.history import Ownership
from sophia_cli.core.plan import zone_target
from sophia_cli.flows.challenge import place_of, transact
from sophia_cli.flows.issuer import Issuer
from sophia_cli.flows.plan import see

SOURCE = STANDING_SOURCE


async def stands(challenge: Challenge, issuer: Issuer) -> bool:
    """Whether its record is in its zone, put there now if a person agrees.

    A person agreed beforehand where the environment asks for this challenge and a person approved the issue; elsewhere one
    is asked, if there is one. A renewal by itself never makes a standing record.
    """
    try:
        place = await place_of(challenge, issuer)
    except Refused:
        return False  # no zone of ours; perhaps a delegated name can be proved the other way
    ground, desired = issuer.ground(), issuer.settings.zone(place.zone)
    if desired is None:
        return False
    row = Record(relative(place.name, place.zone), "TXT", place.value, desired.ttl or DEFAULT_TTL)
    live = (await see(desired, ground.targets, issuer.settings, ground.store)).zone
    if any(there.key == row.key for there in live.records):
        return True
    change = Change(
        zone_target(place.zone), "dns.record", "create", None, row, SOURCE, "proves control at every renewal"
    )
    asked_for = issuer.settings.ssl.challenge == DNS_PERSIST_01 and issuer.approved_by is not None
    if not asked_for and not ground.agrees(change):
        return False

    def make(zone: Zone, _: Ownership) -> tuple[Change, ...]:
        return () if any(there.key == row.key for there in zone.records) else (change,)

    await transact(place.zone, make, issuer, agreed=True)
    return True
