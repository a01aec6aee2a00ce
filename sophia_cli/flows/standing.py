"""Standing records (draft-ietf-acme-dns-persist): one TXT record a person agreed to once proves control ever after."""

from __future__ import annotations

from dataclasses import replace

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


async def stands(challenge: Challenge, issuer: Issuer) -> Challenge | None:
    """The challenge with the value that is in its zone, put there now if a person agrees; None where it may not be.

    A value that stands there from before counts if the authority takes it as well, as after a rollover of the account's key.

    A person agreed beforehand where the environment asks for this challenge and a person approved the issue; elsewhere one
    is asked, if there is one. A renewal by itself never makes a standing record.
    """
    try:
        place = await place_of(challenge, issuer)
    except Refused:
        return None  # no zone of ours; perhaps a delegated name can be proved the other way
    ground, desired = issuer.ground(), issuer.settings.zone(place.zone)
    if desired is None:
        return None
    row = Record(relative(place.name, place.zone), "TXT", place.value, desired.ttl or DEFAULT_TTL)
    live = (await see(desired, ground.targets, issuer.settings, ground.store)).zone
    published = {there.value for there in live.at(row.name, "TXT")}
    for value in (challenge.txt_value, *challenge.also_accepted):
        if value in published:
            return replace(challenge, txt_value=value)
    change = Change(
        zone_target(place.zone), "dns.record", "create", None, row, SOURCE, "proves control at every renewal"
    )
    asked_for = issuer.settings.ssl.challenge == DNS_PERSIST_01 and issuer.approved_by is not None
    if not asked_for and not ground.agrees(change):
        return None

    def make(zone: Zone, _: Ownership) -> tuple[Change, ...]:
        return () if any(there.key == row.key for there in zone.records) else (change,)

    await transact(place.zone, make, issuer, agreed=True)
    return challenge
