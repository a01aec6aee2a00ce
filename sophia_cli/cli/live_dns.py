"""Live DNS for `sophia analyze`: whom it asks, and which named zones are known by DNS alone. Judges nothing."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sophia_cli.cli.options import Common
from sophia_cli.core.dns import ascii_name
from sophia_cli.core.errors import InvalidEnvironment, UsageError
from sophia_cli.core.ports import Clock

if TYPE_CHECKING:
    from sophia_cli.checks.facts import Background, Facts
    from sophia_cli.cli.session import Session
    from sophia_cli.providers.dns_survey.reader import LiveZoneReader
    from sophia_cli.providers.dns_survey.survey import DnsSurvey

NO_RESOLVER = "the provider here is a sandbox, which knows no names of others; name a resolver with --resolver"


@dataclass(frozen=True, slots=True)
class Live:
    """A survey that is ready, and the name servers to ask zone by zone, where they are given."""

    survey: DnsSurvey
    nameservers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    async def collect(self, facts: list[Facts]) -> list[Facts]:
        """The facts with live DNS."""
        from sophia_cli.flows.live_dns import with_live_dns

        return await with_live_dns(facts, self.survey, self.nameservers)


@contextlib.asynccontextmanager
async def surveying(clock: Clock, resolver: str | None, found: Session | None = None) -> AsyncIterator[Live]:
    """A survey by the named resolver, else by the system's; on a sandbox by none. Raises `UsageError` for `--resolver`."""
    from sophia_cli.providers.dns_survey.resolver import resolver_at, system_resolvers
    from sophia_cli.providers.dns_survey.survey import DnsSurvey

    boxed = found is not None and is_boxed(found)
    parties = (resolver_at(resolver),) if resolver is not None else () if boxed else system_resolvers()
    why = NO_RESOLVER if boxed else "this machine has no resolver; name one with --resolver"
    async with DnsSurvey(clock, parties, why_no_resolver=why) as survey:
        yield Live(survey, {} if found is None else _given(found))


def is_boxed(found: Session) -> bool:
    """Whether the provider is the sandbox: embedded, or served on loopback."""
    host = urlsplit(found.settings.namecheap.endpoint or "").hostname or ""
    return found.sandbox is not None or host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def _given(found: Session) -> dict[str, tuple[str, ...]]:
    """Whom to ask about each zone, where the environment or the sandbox says so."""
    if found.sandbox is not None:
        return {zone.name: (found.sandbox.dns,) for zone in found.settings.zones}
    return {zone.name: tuple(zone.nameservers) for zone in found.settings.zones if zone.nameservers}


def by_dns(names: Sequence[str], live: Live, clock: Clock) -> tuple[list[LiveZoneReader], dict[str, Background]]:
    """Read ports of zones that are known by DNS alone, and what is to be known of them beside."""
    from sophia_cli.checks.facts import Background
    from sophia_cli.providers.dns_survey.reader import LiveZoneReader

    readers = [LiveZoneReader(name, live.survey, clock) for name in names]
    return readers, {reader.id: Background(source="dns") for reader in readers}


async def strangers(common: Common, targets: Sequence[str]) -> dict[str, str]:
    """The named targets that no environment holds, with their zone's name: those are analyzed by DNS alone.

    Raises `UsageError` for a text that is no domain name, and what is wrong with an environment that is there.
    """
    for target in targets:
        if "://" in target or _is_address(target):
            raise _no_domain(target)
    plain = {target: target.removeprefix("dns:") for target in targets if not set(target) & set("*?[")}
    plain = {target: name for target, name in plain.items() if ":" not in name}
    if not plain or common.sandbox:
        return {}
    held = await _held(common)
    return {target: domain for target, name in plain.items() if (domain := domain_of(name)) not in held}


async def _held(common: Common) -> frozenset[str]:
    """The zones of the environment; none where there is no environment at all."""
    from sophia_cli.cli.environments import cloud_address, environment_path, load_settings

    if cloud_address(common.env) is None and common.env is None:
        try:
            environment_path(common)
        except InvalidEnvironment as exc:
            if exc.details.get("candidates"):
                raise
            return frozenset()
    _, settings = await load_settings(common)
    return frozenset(zone.name for zone in settings.zones)


def domain_of(text: str) -> str:
    """The domain name a person typed, in A-labels. Raises `UsageError`."""
    name = ascii_name(text.strip()).rstrip(".")
    labels = name.split(".")
    is_name = name.isascii() and name.isprintable() and not set(name) & set(" /@") and len(name) <= 253
    if not is_name or not all(0 < len(label) <= 63 for label in labels) or _is_address(name):
        raise _no_domain(text)
    return name


def _no_domain(text: str) -> UsageError:
    return UsageError(f"{text!a} is no domain name", hint="such as example.com")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
