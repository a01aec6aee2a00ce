"""Checks of what is paid for and not used: cloud instances and certificates. Asks no cloud and no registrar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from sophia_cli.checks.facts import Facts, PaidCertificate
from sophia_cli.checks.found import finding
from sophia_cli.core.costs import run_rate
from sophia_cli.core.findings import Finding
from sophia_cli.core.inventory import Instance

# Organizations whose certificates cost nothing and come by ACME (each one's own terms).
FREE = frozenset({"let's encrypt", "google trust services", "google trust services llc", "buypass as-983163327"})


def idle_instances(facts: Facts) -> Iterator[Finding]:
    """Instances that cost money by the hour and that no name, and no log where one was given, shows in use."""
    if not _is_home(facts):
        return
    for instance in (facts.background.inventory or {}).values():
        if instance.is_running and not instance.used_by:
            yield _idle(facts, instance)


def _idle(facts: Facts, instance: Instance) -> Finding:
    cost = None
    if instance.cents_an_hour is not None:
        cost = run_rate(instance.cents_an_hour, f"{instance.provider} price list", instance.read or facts.now)
    price = "" if cost is None else f", {cost.text()} a month at its list price"
    return finding(
        facts, "COST-GPU", f"{instance.kind} {instance.name or instance.id} runs and nothing is seen to use it{price}", (),
        "Look at what it computes first: jobs leave no trace in DNS. It can only be ended, and its disk goes with it.",
        no_fix="ending an instance destroys its disk, so a person has to do it in the provider's console",
        provider=instance.provider, instance=instance.id, region=instance.region, status=instance.status,
        address=instance.address, cost=None if cost is None else cost.data(),
        traffic="looked at" if facts.background.traffic else "not looked at",
    )  # fmt: skip


def _is_home(facts: Facts) -> bool:
    """An instance belongs to no zone: the first zone of the environment tells of it, so that it is told once."""
    zones = () if facts.settings is None else facts.settings.zones
    return not zones or zones[0].name == facts.zone.name


def use_unknown(facts: Facts) -> str | None:
    """What is not known about use."""
    if not _is_home(facts) or not facts.background.inventory or facts.background.traffic is not None:
        return None
    return "in part: no query or access log was given, so only names were looked at (--traffic FILE)"


# -- certificates ----------------------------------------------------------------------------------------------------


def double_certificates(facts: Facts) -> Iterator[Finding]:
    """Bought certificates for names for which the environment orders free ones."""
    for paid in facts.background.certificates or ():
        if not _is_ours(facts, paid) or not _is_active(paid, facts.now.date()):
            continue
        free = _ordered(facts, paid.host) or _served(facts, paid.host)
        if free is not None:
            yield finding(
                facts, "COST-DUPCERT", f"a bought certificate for {paid.host}, which {free.authority} serves for nothing", (),
                "Let it run out: turn off its renewal in the web console (SSL Certificates).",
                certificate=paid.id, host=paid.host, kind=paid.kind, covered_by=free.name, provider=free.authority,
                known_by=free.known_by, expires=None if paid.expires is None else paid.expires.isoformat(),
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Free:
    """A free certificate's name that stands for a host, its authority, and how that is known."""

    name: str
    authority: str
    known_by: str


def _ordered(facts: Facts, host: str) -> _Free | None:
    """What the environment orders for a host."""
    ssl = None if facts.settings is None else facts.settings.ssl
    if ssl is None or ssl.provider is None:
        return None
    by = next((name for name in ssl.domains if _covers(name, host)), None)
    return None if by is None else _Free(by, ssl.provider, "ssl.domains")


def _served(facts: Facts, host: str) -> _Free | None:
    """What is served for a host on every address that was seen, where it comes from an authority that asks no money."""
    for endpoint in facts.endpoints:
        if endpoint.target.starttls is not None or not _covers(host, endpoint.target.host):
            continue
        leaves = [one.leaf for one in endpoint.served if one.leaf is not None and one.name]
        free = {leaf.issuer_organization for leaf in leaves if leaf.issuer_organization.strip().lower() in FREE}
        trusted = all(
            one.chain.trust or one.chain.fault == "expired" for one in endpoint.served if one.leaf is not None
        )
        if leaves and trusted and len(free) == 1 and all(leaf.issuer_organization in free for leaf in leaves):
            return _Free(endpoint.target.host, free.pop(), f"the certificate of {endpoint.label}")
    return None


def certificates_unknown(facts: Facts) -> str | None:
    """Why double certificates could not be looked for."""
    if facts.background.certificates is None:
        return "the account's certificate orders were not listed"
    ours = [paid for paid in facts.background.certificates if _is_ours(facts, paid)]
    if ours and not (facts.settings is not None and facts.settings.ssl.provider) and "T" not in facts.has:
        return "no free authority is known here: neither ssl.provider nor a served certificate"
    return None


def _is_ours(facts: Facts, paid: PaidCertificate) -> bool:
    host = paid.host.lower().removeprefix("*.")
    return host == facts.zone.name or host.endswith("." + facts.zone.name)


def _is_active(paid: PaidCertificate, today: date) -> bool:
    return paid.status.lower() == "active" and (paid.expires is None or paid.expires >= today)


def _covers(name: str, host: str) -> bool:
    name, host = name.lower(), host.lower()
    return name == host or (name.startswith("*.") and not host.startswith("*.") and host.partition(".")[2] == name[2:])
