"""Answers about certificates: a plan that issues or renews one, what is served, and what would be cheaper. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sophia_cli.checks.facts import Background, Facts
from sophia_cli.checks.serving import covers
from sophia_cli.checks.tls import of_endpoints
from sophia_cli.checks.tls_offer import RULES
from sophia_cli.core.changes import Change, ConfigValue
from sophia_cli.core.dns import Record, Zone, ascii_name
from sophia_cli.core.endpoints import VERSIONS, Endpoint, Served, when
from sophia_cli.core.errors import Refused
from sophia_cli.core.findings import Finding, Proposal
from sophia_cli.flows.certificate import CertificateTarget, state_in
from sophia_cli.flows.plan import assemble, judged, observe, policy_of
from sophia_cli.flows.reply import Reply, World
from sophia_cli.reasoning import intents as said

TUNING = ("ssl", "security")  # whose checks look at certificates, CAA and HSTS
_ABOUT = ("TLS-", "CAA-", "WEB-HSTS")


# -- issuing and renewing --------------------------------------------------------------------------------------------


async def issue(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """The plan of `sophia cert issue`: the certificate of the environment, if it is for the names that were said."""
    assert isinstance(intent, said.IssueCertificate)
    try:
        target = _target(intent.names, world)
        _refuse_another_authority(intent.authority, world)
        # The authority that was named is the environment's own, so it need not be said.
        plain = replace(reply, command=said.IssueCertificate(intent.names).command())
        return await _planned(_naming(plain, target, world), target, world, now)
    except Refused as exc:
        return _refused(reply, exc)


async def renew(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """The plan of `sophia cert renew`, where its time has come."""
    assert isinstance(intent, said.RenewCertificate)
    try:
        target = _target(intent.names, world)
        reply = _naming(reply, target, world)
        if state_in(await target.read()).installed is None:
            raise Refused(f"{target.name} has no certificate that could be renewed", hint="sophia cert issue")
        return await _planned(reply, target, world, now, renewal=True)
    except Refused as exc:
        return _refused(reply, exc)


def _naming(reply: Reply, target: CertificateTarget, world: World) -> Reply:
    """The command with the certificate's name, where the environment has several."""
    return replace(reply, command=f"{reply.command} {target.name}") if len(world.certificates) > 1 else reply


def _refused(reply: Reply, exc: Refused) -> Reply:
    return replace(reply, refused=exc.message + (f" (next: {exc.hint})" if exc.hint else ""))


def _target(names: Sequence[str], world: World) -> CertificateTarget:
    """The environment's certificate. Raises `Refused` where it has none, or none for these names."""
    if not world.certificates:
        domains = world.settings.ssl.names
        missing = "ssl.domains names none" if not domains else "no authority that can see its zones is configured"
        raise Refused(
            f"no certificate can be had for {', '.join(names)}: {missing}",
            hint="name ssl.domains and ssl.provider, or ssl.directory of an authority (on loopback for the sandbox)",
        )
    missed = {target: _missed(names, target.order.names) for target in world.certificates}
    target, others = min(missed.items(), key=lambda entry: len(entry[1]))
    if others:
        raise Refused(
            f"ssl.domains does not name {', '.join(others)}; the certificate is for {', '.join(target.order.names)}",
            hint="add it to ssl.domains, then ask again",
        )
    return target


def _missed(names: Sequence[str], held: Sequence[str]) -> list[str]:
    return [name for name in names if not any(covers(one, ascii_name(name)) for one in held)]


def _refuse_another_authority(authority: str | None, world: World) -> None:
    configured = world.settings.ssl.provider or world.settings.ssl.directory
    if authority is not None and authority.lower() != (configured or "").lower():
        raise Refused(
            f"the environment's authority is {configured}, not {authority}", hint=f"set ssl.provider to {authority}"
        )


async def _planned(
    reply: Reply, target: CertificateTarget, world: World, now: datetime, *, renewal: bool = False
) -> Reply:
    part = await target.propose()
    if renewal and any(change.kind == "cert.issue" for change in part.changes):
        raise Refused(f"{target.id}: {part.changes[0].reason}, which is no renewal", hint="sophia cert issue")
    if not part.changes:
        there = state_in(part.snapshot).installed
        assert there is not None  # what is wanted and not installed is issued
        until = f"{there.not_after:%Y-%m-%d %H:%M} UTC"
        why = "; ".join(part.notes)
        answer = f"The certificate of {', '.join(there.names)} is as wanted and valid until {until}. {why}".strip()
        answer += f"\nTo have another one all the same: {reply.command} --force"
        return replace(reply, answer=answer, evidence=(f"{target.id}:{there.serial}",))
    plan = assemble(world.settings, [], part.changes, [], now, parts=[part])
    policy = await policy_of(world.settings, world.ground.store)
    return replace(reply, judged=await judged(plan, policy, [], world.ground.store, now))


# -- looking at what is served ---------------------------------------------------------------------------------------


async def inspect(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """What the host shows, address by address, and what the rules say of it."""
    subject = getattr(intent, "subject", None)
    hosts = [subject] if subject is not None else [zone.name for zone in world.settings.zones]
    if world.endpoints is None:
        raise Refused("nobody can shake hands here", hint="sophia cert show HOST")
    stars = [host for host in hosts if host.startswith("*.")]
    if stars:
        raise Refused(f"{stars[0]}: a wildcard has no host of its own", hint="name a host that it covers")
    found = await world.endpoints(tuple(ascii_name(host) for host in hosts))
    seen = [one for endpoint in found for one in endpoint.served if one.leaf is not None]
    command = f"sophia cert show {' '.join(hosts)}"
    installed, serials = await _installed(hosts, world)
    if not seen:
        unseen = "No certificate was seen: " + "; ".join(_blank(endpoint) for endpoint in found) + "."
        answer = "\n".join([*installed, unseen])
        return replace(reply, command=command, answer=answer, evidence=serials)
    facts = Facts(Zone.of("invalid", "NONE", ()), now, None, Background(source="dns", tls=found))
    lines = [*installed, *(line for endpoint in found for line in _told(endpoint, now))]
    lines += [f"{one.severity}: {one.title}. {one.help}" for one in of_endpoints(facts, found, RULES)]
    served = (f"sha256:{one.leaf.fingerprint}" for one in seen if one.leaf is not None)
    evidence = tuple(dict.fromkeys([*serials, *served]))
    return replace(reply, command=command, answer="\n".join(lines), evidence=evidence)


async def _installed(hosts: Sequence[str], world: World) -> tuple[list[str], tuple[str, ...]]:
    """What sophia itself had issued and installed for these hosts, and the ids of those certificates."""
    lines, ids = [], []
    for target in world.certificates:
        if all(_missed([host], target.order.names) for host in hosts):
            continue
        there = state_in(await target.read()).installed
        names = ", ".join(target.order.names)
        if there is None:
            lines.append(f"The environment asks for a certificate for {names}; none is issued yet.")
            continue
        ids.append(f"{target.id}:{there.serial}")
        lines.append(
            f"Installed for {names}, valid until {there.not_after:%Y-%m-%d %H:%M} UTC, from {there.authority}."
        )
    if not world.certificates:
        lines.append("The environment asks for no certificate that can be had here (ssl.domains).")
    return lines, tuple(ids)


def _blank(endpoint: Endpoint) -> str:
    why = [f"{one.address}: {one.spoken.why}" for one in endpoint.served] or [endpoint.found.why or "no address"]
    return f"{endpoint.label} ({'; '.join(why)})"


def _told(endpoint: Endpoint, now: datetime) -> list[str]:
    if not endpoint.served:
        return [_blank(endpoint)]
    return [f"{endpoint.label} at {one.address}: {_of(one, now)}" for one in endpoint.served]


def _of(one: Served, now: datetime) -> str:
    leaf = one.leaf
    if leaf is None:
        return one.spoken.why or "no certificate was seen"
    days = int(leaf.left_s(now) // 86_400)
    ends = f"valid until {when(leaf.not_after)} ({days} days)" if days >= 0 else f"ended on {when(leaf.not_after)}"
    key = f"{leaf.key_type} {leaf.curve or leaf.key_bits or ''}".strip()
    parts = [f"issued by {leaf.issuer_organization or leaf.issuer}", ends, key]
    parts.append("trusted" if one.chain.trust else f"trust: {one.chain.trust.why}")
    parts.append(f"for {one.name.why}" if one.name else one.name.why)
    offered = [version for version in VERSIONS if one.versions.get(version)]
    parts += [", ".join(offered)] if offered else []
    if one.handshake is not None:
        parts.append(f"{one.handshake.received} bytes and {one.handshake.ms:.0f} ms to connect")
    return ", ".join(parts)


# -- making it cheaper -----------------------------------------------------------------------------------------------


async def optimize(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """What the specialists see in certificates and TLS: what sophia can change as proposals, the rest as advice.

    Nothing is accepted by asking; the proposals have the numbers that `sophia analyze --fix` gives them.
    """
    assert isinstance(intent, said.OptimizeCertificates)
    if world.analysis is None:
        raise Refused("nobody can shake hands here", hint="sophia analyze --agent ssl")
    command = "sophia analyze " + " ".join(f"--agent {name}" for name in TUNING)
    command += "" if intent.domain is None else f" {intent.domain}"
    found = await world.analysis(TUNING)
    targets = None if intent.domain is None else {f"dns:{intent.domain}"}
    made = tuple(one for one in found.proposals if _is_ours(one, targets))
    advice = [one for one in found.findings if one.id.startswith(_ABOUT) and (targets is None or one.target in targets)]
    if intent.goal != "security":
        advice.sort(key=lambda one: not one.id.startswith("TLS-TUNE-"))  # cheaper handshakes first, else worst first
    open_ = [entry for entry in found.not_tested if entry.id.startswith("TLS-")]
    lines = [f"{one.id}: {one.reason}" for one in made]
    lines += [_advised(one) for one in advice]
    if not lines:
        lines = ["There is nothing to propose." if not open_ else "Nothing could be found to propose."]
    lines += [f"Not tested: {why}" for why in dict.fromkeys(entry.why for entry in open_)]
    if made:
        lines.append(f"To accept one: {command} --fix --accept {made[0].id}")
    seen = await observe(world.settings, world.ground.targets, world.ground.store)
    plan = assemble(world.settings, seen, [], [], now, proposals=made)
    outcome = await judged(plan, await policy_of(world.settings, world.ground.store), seen, world.ground.store, now)
    evidence = tuple(dict.fromkeys([*(one.id for one in advice), *(one.finding for one in made if one.finding)]))
    return replace(reply, command=command, judged=outcome, answer="\n".join(lines), evidence=evidence)


def _is_ours(proposal: Proposal, targets: set[str] | None) -> bool:
    """Whether a proposal is about certificates: CAA records, and the `ssl` section."""
    return all(
        _about(change) and (targets is None or change.target in targets or change.kind == "config.value")
        for change in proposal.changes
    )


def _about(change: Change) -> bool:
    payload: Any = change.after if change.after is not None else change.before
    if isinstance(payload, ConfigValue):
        return payload.path.startswith("ssl.")
    return isinstance(payload, Record) and payload.type == "CAA"


def _advised(found: Finding) -> str:
    return f"{found.id} ({found.severity}): {found.title}. {_figures(found.evidence)}{found.help}"


def _figures(evidence: Mapping[str, Any]) -> str:
    before, after, formula = (evidence.get(key) for key in ("before", "after", "formula"))
    if not isinstance(before, Mapping):
        return ""
    then = f", expected after {after['bytes']} bytes and {after['ms']} ms" if isinstance(after, Mapping) else ""
    return f"Measured {before['bytes']} bytes and {before['ms']} ms{then} ({formula}). "
