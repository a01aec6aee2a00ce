"""`sophia cert show`: what TLS endpoints show, address by address, and what the rules say of it. Changes nothing."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import note, only, result
from sophia_cli.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sophia_cli.core.endpoints import Endpoint, Starttls, Target
    from sophia_cli.core.findings import Finding
    from sophia_cli.core.settings import Settings
    from sophia_cli.providers.tls.addresses import Looked, Resolve


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "show")
    def show(
        common: Common,
        hosts: Annotated[
            list[str] | None,
            typer.Argument(metavar="[HOST[:PORT]]...", help="Whom to ask (default: the environment's web names)."),
        ] = None,
        ca_file: Annotated[
            list[Path] | None,
            typer.Option("--ca-file", metavar="FILE", help="Trust the roots of this PEM file too (repeatable)."),
        ] = None,
        resolver: Annotated[
            str | None, typer.Option("--resolver", metavar="HOST[:PORT]", help="Look names up at this DNS server.")
        ] = None,
        connect: Annotated[
            str | None, typer.Option("--connect", metavar="ADDRESS", help="Ask for the hosts at this address.")
        ] = None,
        starttls: Annotated[
            str | None, typer.Option("--starttls", metavar="smtp", help="Speak this first; the port is then 25.")
        ] = None,
        quick: Annotated[
            bool,
            typer.Option(
                "--quick", help="One handshake each: no versions, suites, resumption, stapling or revocation."
            ),
        ] = False,
        revocation: Annotated[
            bool, typer.Option("--revocation/--no-revocation", help="Ask authorities whether they revoked it.")
        ] = True,
        timeout: Annotated[
            float, typer.Option("--timeout", metavar="SECONDS", min=0.1, max=300, help="The limit of a connection.")
        ] = 8.0,
        fail_on: Annotated[
            str | None, typer.Option("--fail-on", metavar="SEVERITY", help="Exit 2 from this severity on.")
        ] = None,
    ) -> int:
        """Inspect certificates, chains, versions and suites as they are served.

        Exit 1 when a host that is named, or none of the environment's, speaks TLS.
        """
        only(common, Output.text, Output.json, Output.markdown)
        places = tuple(hosts or ()), tuple(ca_file or ())
        asked = Asked(*places, resolver, connect, starttls, quick, revocation and not quick, timeout, fail_on)
        return asyncio.run(_show(common, asked))


@dataclass(frozen=True, slots=True)
class Asked:
    """What to inspect, and how."""

    hosts: tuple[str, ...]
    ca_files: tuple[Path, ...]
    resolver: str | None
    connect: str | None
    starttls: str | None
    is_quick: bool
    wants_revocation: bool
    timeout_s: float
    fail_on: str | None


async def _show(common: Common, asked: Asked) -> int:
    from sophia_cli.cli.clock import SystemClock
    from sophia_cli.core.findings import SEVERITIES
    from sophia_cli.providers.tls.inspector import Limits, inspect
    from sophia_cli.providers.tls.revocation import Revocations
    from sophia_cli.providers.tls.trust import system_roots

    if asked.fail_on is not None and asked.fail_on not in SEVERITIES:
        raise UsageError(f"--fail-on {asked.fail_on}: one of {', '.join(SEVERITIES)}")
    targets, resolve = await _targets(common, asked)
    now = SystemClock().now()
    endpoints = await inspect(
        targets,
        now=now,
        roots=system_roots(*asked.ca_files),
        resolve=resolve,
        depth="certificate" if asked.is_quick else "all",
        limits=Limits(connection_s=asked.timeout_s),
        authorities=Revocations(now, resolve, asked.timeout_s) if asked.wants_revocation else None,
    )
    findings = findings_of(endpoints, now)
    result(_rendered(common, endpoints, findings, now))
    if asked.fail_on is not None:
        least = SEVERITIES.index(asked.fail_on)
        if any(SEVERITIES.index(one.severity) >= least for one in findings):
            return 2
    speaking = [any(one.spoken for one in endpoint.served) for endpoint in endpoints]
    return 0 if (all(speaking) if asked.hosts else any(speaking)) else 1


def findings_of(endpoints: Sequence[Endpoint], now: datetime) -> list[Finding]:
    """What every rule says of each endpoint by itself, without a zone around it."""
    from sophia_cli.checks.facts import Background, Facts
    from sophia_cli.checks.tls import of_endpoints
    from sophia_cli.checks.tls_offer import RULES
    from sophia_cli.core.dns import Zone

    facts = Facts(Zone.of("invalid", "NONE", ()), now, None, Background(source="dns", tls=tuple(endpoints)))
    return of_endpoints(facts, endpoints, RULES)


def _rendered(common: Common, endpoints: Sequence[Endpoint], findings: Sequence[Finding], now: datetime) -> str:
    from sophia_cli.cli.printing import wants_colour
    from sophia_cli.output import endpoints as forms

    if common.output is Output.json:
        return forms.document(endpoints, findings)
    if common.output is Output.markdown:
        return forms.markdown(endpoints, findings, now)
    return forms.render(endpoints, findings, now, colour=wants_colour(common))


# -- whom to ask -----------------------------------------------------------------------------------------------------


async def _targets(common: Common, asked: Asked) -> tuple[list[Target], Resolve]:
    from dataclasses import replace

    from sophia_cli.providers.tls.addresses import by_server, by_system

    resolve = by_system if asked.resolver is None else by_server(asked.resolver)
    if asked.starttls not in (None, "smtp"):
        raise UsageError(f"--starttls {asked.starttls}: only smtp is known")
    kind: Starttls | None = "smtp" if asked.starttls is not None else None
    if asked.hosts:
        targets = [parsed(text, kind) for text in asked.hosts]
    else:
        settings = await _settings(common)
        targets = _of_environment(common, settings)
        if not targets:
            raise UsageError("the environment names no host with TLS", hint="name one: sophia cert show HOST[:PORT]")
        if kind is not None:
            raise UsageError(
                "--starttls goes with hosts", hint="name a mail server: sophia cert show --starttls smtp HOST"
            )
        resolve = resolve if asked.resolver is not None else _of_zones(settings)
    if asked.connect is not None:
        address = _address(asked.connect)
        if address is None:
            raise UsageError(f"--connect {asked.connect!r} is no IP address")
        targets = [replace(target, addresses=(address,)) for target in targets]
    return targets, resolve


def parsed(text: str, starttls: Starttls | None = None) -> Target:
    """A target as typed: HOST, HOST:PORT, [IPV6]:PORT, an IPv6 address, or an https URL. Raises `UsageError`."""
    from sophia_cli.core.dns import ascii_name
    from sophia_cli.core.endpoints import HTTPS, SMTP, Target

    rest = text.strip()
    if "://" in rest:
        scheme, _, rest = rest.partition("://")
        if scheme.lower() != "https":
            raise UsageError(f"{text!r}: only https URLs have TLS", hint="name it as HOST[:PORT]")
        rest = text = rest.split("/")[0].split("?")[0].split("#")[0].rpartition("@")[2]
    host, port = rest, ""
    if _address(rest) is None and rest.startswith("["):
        host, closing, port = rest[1:].partition("]")
        if not closing or (port and not port.startswith(":")):
            raise UsageError(f"{text!r} is no host name", hint="name it as [IPV6]:PORT, such as [2001:db8::1]:8443")
        port = port.removeprefix(":")
    elif _address(rest) is None:
        host, _, port = rest.partition(":")
    number = int(port) if port.isascii() and port.isdigit() else None
    if port and (number is None or not 0 < number < 65536):
        raise UsageError(f"{text!r}: the port is a number from 1 to 65535")
    name = _address(host) or ascii_name(host).removesuffix(".")
    if _address(name) is None and not _is_host(name):
        raise UsageError(f"{text!r} is no host name", hint="name it as HOST[:PORT], such as www.example.com:8443")
    return Target(name, number or (HTTPS if starttls is None else SMTP), starttls)


def _is_host(name: str) -> bool:
    """Whether a name can be asked for (RFC 1123 2.1, with underscores, which some servers have)."""
    labels = name.split(".")
    return len(name) <= 253 and all(
        label and len(label) <= 63 and label.replace("-", "a").replace("_", "a").isalnum() and label.isascii()
        for label in labels
    )


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


async def _settings(common: Common) -> Settings:
    from sophia_cli.cli.environments import load_settings
    from sophia_cli.cli.redaction import learn
    from sophia_cli.flows.plan import chosen

    _, settings = await load_settings(common)
    learn({secret.get_secret_value() for secret in settings.secrets})
    return chosen(settings, common.target or ())


def _of_environment(common: Common, settings: Settings) -> list[Target]:
    """The names of the `ssl` section, the web names of the zones, and the https endpoints that are watched."""
    from sophia_cli.core.dns import Zone
    from sophia_cli.core.endpoints import merged, tls_targets

    found: list[Target] = []
    for name in settings.ssl.names:
        if name.startswith("*."):
            note(common, f"{name}: a wildcard has no host of its own; name one that it covers")
        else:
            found.append(parsed(name))
    for zone in settings.zones:
        rows = [wanted.record for wanted in zone.records if "name" not in wanted.secret]
        found += [one for one in tls_targets(Zone.of(zone.name, "NONE", rows)) if one.starttls is None]
    for text in settings.monitoring.ping_endpoints:
        if not text.lower().startswith("http://"):
            found.append(parsed(text))
    return list(merged(found))


def _of_zones(settings: Settings) -> Resolve:
    """Names of a zone are looked up at the servers its environment names, all others by this machine's resolver."""
    from sophia_cli.providers.tls.addresses import by_server, by_system

    servers = {zone.name: by_server(zone.nameservers[0], by_system) for zone in settings.zones if zone.nameservers}

    async def resolve(host: str) -> Looked:
        for name, ask in servers.items():
            if host == name or host.endswith("." + name):
                return await ask(host)
        return await by_system(host)

    return resolve
