"""The challenge as a zone transaction: values put in and taken out by the one apply flow, and watched until all show them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sophia_cli.core.acme import Authorization, Challenge
from sophia_cli.core.certificates import ChallengeRecord
from sophia_cli.core.challenges import creations, leftovers, removals, zone_of
from sophia_cli.core.changes import Change
from sophia_cli.core.dns import Zone
from sophia_cli.core.errors import Interrupted, Refused, Unreachable
from sophia_cli.core.history import Ownership, Run
from sophia_cli.core.issuance import Sighting
from sophia_cli.core.plan import zone_target
from sophia_cli.flows.apply import apply_locked
from sophia_cli.flows.closing import failure_of
from sophia_cli.flows.issuer import Issuer
from sophia_cli.flows.plan import assemble, judged, policy_of, see

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0
LOOKS = 2  # in a row: behind one address may stand several servers
SILENT_FOR = timedelta(seconds=60)  # then a server is left out, as resolvers leave it out
MARGIN = timedelta(minutes=1)  # before the end of an authorization, for the authority's own look

Make = Callable[[Zone, Ownership], tuple[Change, ...]]


async def place_of(challenge: Challenge, issuer: Issuer) -> ChallengeRecord:
    """Where the value of a challenge is to be written. Raises `Refused` when that is in no zone of the environment."""
    zones = [zone.name for zone in issuer.settings.zones]
    name = await issuer.dns.written_at(challenge.txt_name, zones)
    zone = zone_of(name, zones)
    if zone is None:
        through = "" if name == challenge.txt_name else f", which {challenge.txt_name} points to,"
        raise Refused(
            f"{name}{through} lies in no zone of this environment, so control of {challenge.identifier} cannot be proved",
            hint=f"make {challenge.txt_name} a CNAME to a name in one of: {', '.join(zones) or 'dns.domains'}",
        )
    return ChallengeRecord(zone, name, challenge.txt_value, challenge.identifier)


async def publish(records: Sequence[ChallengeRecord], issuer: Issuer) -> tuple[Run, ...]:
    """Write all values of each zone at once; those that are there already are left alone."""
    return await _each_zone(records, issuer, lambda zone, _: creations(records, zone))


async def withdraw(records: Sequence[ChallengeRecord], issuer: Issuer) -> tuple[Run, ...]:
    """Take exactly these values out again, in one write a zone."""
    return await _each_zone(records, issuer, lambda zone, _: removals(records, zone))


async def sweep(zones: Sequence[str], under_way: Sequence[ChallengeRecord], issuer: Issuer) -> tuple[Run, ...]:
    """Remove challenge records of ours that no order under way needs, whatever run left them."""
    runs = [
        await transact(zone, lambda live, known: leftovers(live, known, under_way), issuer) for zone in sorted(zones)
    ]
    return tuple(run for run in runs if run is not None)


async def _each_zone(records: Sequence[ChallengeRecord], issuer: Issuer, make: Make) -> tuple[Run, ...]:
    runs = [await transact(zone, make, issuer) for zone in sorted({record.zone for record in records})]
    return tuple(run for run in runs if run is not None)


async def transact(name: str, make: Make, issuer: Issuer, *, agreed: bool = False) -> Run | None:
    """One judged run of changes to one zone; None when there is nothing to change.

    Raises `Refused` when policy does not allow it (with `agreed`, a plain yes was given), or the error of a failed run.
    """
    ground, settings = issuer.ground(), issuer.settings
    target, desired = zone_target(name), settings.zone(name)
    if desired is None or target not in ground.targets:
        raise Refused(f"{target} is not a target here", hint="check --target")
    async with ground.store.locks.hold([target], ground.command):
        seen = await see(desired, ground.targets, settings, ground.store)
        changes = make(seen.zone, seen.ownership)
        if not changes:
            return None
        now = ground.clock.now()
        plan = assemble(settings, [seen], changes, [], now)
        found = await judged(plan, await policy_of(settings, ground.store), [seen], ground.store, now)
        if found.verdict.denials() or (
            found.verdict.needs() is not None and not (agreed and _is_yes(found.verdict.needs()))
        ):
            raise Refused(
                f"policy does not allow the challenge records: {'; '.join(one.message for one in found.verdict.reasons)}",
                hint=next((one.hint for one in found.verdict.reasons if one.hint), None),
            )
        by = {"digest": plan.digest, "by": ground.stream.actor}
        await ground.stream.say("deploy.approved", target=target, outcome=found.verdict.decision, **by)
        run = await apply_locked(plan, None, replace(ground, wait_s=0.0))
    failure = None if run.outcome == "applied" else failure_of(run, ground.guard)
    if failure is not None:
        raise failure
    return run


def _is_yes(needs: str | None) -> bool:
    return needs == "yes"


# -- waiting ----------------------------------------------------------------------------------------------------------------


def deadline_of(authorizations: Sequence[Authorization], order_expires: datetime | None, now: datetime) -> datetime:
    """Until when the records may take to show: the first end of an authorization, less a margin.

    An authority that names no end at all is given an hour, the least that any documents.
    """
    ends = [one.expires for one in authorizations if one.expires is not None]
    end = min([*ends, *([order_expires] if order_expires is not None else [])], default=now + timedelta(hours=1))
    return end - min(MARGIN, max(end - now, timedelta()) / 10)


async def wait_until_shown(records: Sequence[ChallengeRecord], deadline: datetime, issuer: Issuer) -> None:
    """Look until every reachable server shows every value, twice in a row.

    Raises `Unreachable` with the servers that lag when the deadline comes first, `Interrupted` when a stop was asked for.
    """
    ground, target = issuer.ground(), zone_target(records[0].zone)
    started, pause, complete, told = ground.clock.now(), FIRST_PAUSE_S, 0, ""
    while True:
        sightings = await _look(records, issuer)
        now = ground.clock.now()
        behind = _behind(sightings, now - started)
        complete = 0 if behind else complete + 1
        if complete == LOOKS:
            await ground.stream.say(
                "cert.shown",
                target=target,
                outcome="shown",
                seconds=round((now - started).total_seconds()),
                servers=len({one.server for one in sightings if one.sight == "shows"}),
                left_out=[str(one) for one in sightings if one.sight in ("silent", "untested")],
            )
            return
        if behind and behind[0] != told:
            told = behind[0]
            until = f"{deadline:%H:%M:%S}"
            await ground.stream.say("cert.shown", target=target, outcome="waiting", behind=behind[:10], until=until)
        if ground.guard.stop_requested():
            raise Interrupted("stopped while waiting for DNS; the order is kept", hint="run the command again to go on")
        if now + timedelta(seconds=pause) > deadline:
            raise Unreachable(
                f"the challenge records do not show everywhere in time: {'; '.join(behind[:5])}",
                hint="mend the servers that lag, then run the command again",
                details={"behind": behind, "too_late": True},
            )
        if behind:
            await ground.clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)


async def _look(records: Sequence[ChallengeRecord], issuer: Issuer) -> tuple[Sighting, ...]:
    sightings: list[Sighting] = []
    for zone in sorted({record.zone for record in records}):
        names: dict[str, frozenset[str]] = {}
        for record in records:
            if record.zone == zone:
                names[record.name] = names.get(record.name, frozenset()) | {record.value}
        sightings += await issuer.dns.look(zone, names)
    return tuple(sightings)


def _behind(sightings: Sequence[Sighting], waited: timedelta) -> list[str]:
    """The servers to wait for. Silent ones are waited for a while, but at least one must show the values in the end."""
    behind = [one for one in sightings if one.sight == "lags" or (one.sight == "silent" and waited < SILENT_FOR)]
    if not behind and not any(one.sight == "shows" for one in sightings):
        behind = [one for one in sightings if one.sight != "shows"]
    return [str(one) for one in behind]
