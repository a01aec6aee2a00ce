"""Before an order is answered: what would make the authority say no, found where it costs nothing. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sophia_cli.checks.caa import parse
from sophia_cli.core.acme import CHALLENGE_LABEL, Authority, Directory
from sophia_cli.core.certificates import certificate_target
from sophia_cli.core.challenges import zone_of
from sophia_cli.core.dns import APEX, Zone, relative
from sophia_cli.core.errors import Refused
from sophia_cli.flows.issuer import Issuer
from sophia_cli.flows.plan import see

# The most names that one certificate of a profile may have (Let's Encrypt, "Profiles").
MOST_NAMES = {"tlsserver": 25, "shortlived": 25}
MOST_NAMES_ELSEWHERE = 100


async def healthy_zones(name: str, names: Sequence[str], issuer: Issuer) -> dict[str, Zone]:
    """The zones of some names as they are now. Raises `Refused` where DNSSEC keeps every authority from looking into one."""
    ground, settings = issuer.ground(), issuer.settings
    zones: dict[str, Zone] = {}
    for zone in sorted({zone for one in names if (zone := _owner(one, issuer)) is not None}):
        desired = settings.zone(zone)
        if desired is not None and f"dns:{zone}" in ground.targets:
            zones[zone] = (await see(desired, ground.targets, settings, ground.store)).zone
    await refuse_if_bogus(name, names, issuer)
    return zones


async def forbidden(
    names: Sequence[str], zones: Mapping[str, Zone], authority: Authority, issuer: Issuer
) -> tuple[str, ...]:
    """Every reason for which one authority could not issue for these names."""
    account = await authority.account(terms_agreed=True)
    directory = await authority.directory()
    refusals = caa_refusals(names, zones, directory.caa_identities, account.url)
    return (*refusals, *too_many(names, issuer, directory))


async def refuse_if_bogus(name: str, names: Sequence[str], issuer: Issuer) -> None:
    """Raise `Refused` where an authority, which validates, would get no answer about the challenge. Not tested is said."""
    places = sorted({f"{CHALLENGE_LABEL}.{one.removeprefix('*.')}" for one in names})
    for health in await issuer.dns.secured(places, [zone.name for zone in issuer.settings.zones]):
        if health.verdict == "bogus":
            raise Refused(
                f"DNSSEC of {health.zone} is broken, so that no authority can see a challenge there: {health.why[0]}",
                hint=f"sign {health.zone} again or take its DS away at the registrar; see: sophia analyze dns:{health.zone}",
                details={"dnssec": list(health.why)},
            )
        if health.verdict == "unknown":
            why = "; ".join(health.why) or "the chain could not be looked at"
            target = certificate_target(name)
            await issuer.ground().stream.say(
                "cert.dnssec", target=target, outcome="not tested", why=f"{health.zone}: {why}"
            )


def too_many(names: Sequence[str], issuer: Issuer, directory: Directory) -> Iterator[str]:
    """Reasons that lie in the order itself."""
    profile = issuer.settings.ssl.profile
    most = MOST_NAMES.get(profile or "", MOST_NAMES_ELSEWHERE)
    if len(names) > most:
        yield f"{len(names)} names in one certificate; {profile or 'the authority'} allows {most}"
    if profile is not None and directory.profiles and not directory.has_profile(profile):
        yield f"the authority has no profile {profile}; it has {', '.join(one.name for one in directory.profiles)}"


def caa_refusals(
    names: Sequence[str], zones: Mapping[str, Zone], identities: Sequence[str], account: str
) -> Iterator[str]:
    """Names that the CAA records of their zone forbid the authority to issue for (RFC 8659 3, RFC 8657 3 and 4).

    Nothing is said of an authority that does not tell the name it goes by, nor of names outside these zones.
    """
    if not identities:
        return
    for name in names:
        bare = name.removeprefix("*.")
        zone = zones.get(zone_of(bare, zones) or "")
        if zone is not None:
            why = _refusal(zone, relative(bare, zone.name), name.startswith("*."), identities, account)
            if why:
                yield f"CAA forbids {' or '.join(identities)} to issue for {name}: {why}"


def _refusal(zone: Zone, name: str, wildcard: bool, identities: Sequence[str], account: str) -> str | None:
    at = name
    while True:
        found = [one for one in (parse(row) for row in zone.at(at, "CAA")) if one is not None]
        if found or at == APEX:
            break
        at = at.partition(".")[2] or APEX
    tags = [one for one in found if one.tag == "issue"]
    if wildcard:
        tags = [one for one in found if one.tag == "issuewild"] or tags
    if not tags:
        return None
    ours = [one for one in tags if one.issuer in {identity.lower() for identity in identities}]
    if not ours:
        listed = ", ".join(one.issuer or "nobody" for one in tags)
        return f"it names {listed} at {zone.fqdn(at)}"
    barred = tuple(_parameters_forbid(one.value, account) for one in ours)
    return None if None in barred else barred[0]


def _parameters_forbid(value: str, account: str) -> str | None:
    parameters = dict(part.strip().partition("=")[::2] for part in value.split(";")[1:] if "=" in part)
    uri, methods = parameters.get("accounturi"), parameters.get("validationmethods")
    if uri is not None and uri.strip() != account:
        return f"its accounturi is {uri.strip()}, and our account is {account}"
    if methods is not None and not {"dns-01", "dns-persist-01"} & {method.strip() for method in methods.split(",")}:
        return f"its validationmethods are {methods.strip()}"
    return None


def _owner(name: str, issuer: Issuer) -> str | None:
    return zone_of(name.removeprefix("*."), [zone.name for zone in issuer.settings.zones])
