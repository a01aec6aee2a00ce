"""The certificate target put together: authority, DNS, endpoints and hook behind their ports. Sends nothing."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from sophia_cli.cli.options import Common
from sophia_cli.core.errors import InvalidEnvironment

if TYPE_CHECKING:
    import contextlib

    from sophia_cli.checks.facts import Facts
    from sophia_cli.cli.session import Session
    from sophia_cli.core.issuance import CertificateStore, DeployHook
    from sophia_cli.core.settings import Ssl
    from sophia_cli.flows.analyze import Collector
    from sophia_cli.flows.certificate import CertificateTarget
    from sophia_cli.providers.acme.authorities import KnownAuthorities
    from sophia_cli.providers.dns_survey.health import ChainWitness


def issues_certificates(found: Session) -> bool:
    """Whether the environment asks for a certificate from an authority that can see its zones.

    The embedded sandbox's zones are seen by this machine alone, so only an authority on loopback can look at them.
    """
    from sophia_cli.cli.session import uses_sandbox
    from sophia_cli.core.certificates import directories, sections

    settings = found.settings
    known = directories(settings.ssl)
    if not known or not sections(settings.ssl) or not (found.whole or settings).zones:
        return False
    local = all((urlsplit(one).hostname or "") in ("localhost", "127.0.0.1", "::1") for one in known)
    return local or not uses_sandbox(found.common, settings)


def say_left_out(found: Session) -> None:
    """Name the certificates that a plan over the sandbox leaves out."""
    from sophia_cli.cli.printing import note
    from sophia_cli.core.certificates import directories, sections

    ssl = found.settings.ssl
    names = [name for name in sections(ssl) if is_chosen(found.common, f"cert:{name}")]
    if directories(ssl) and names and found.sandbox is not None and found.command in ("plan", "deploy"):
        listed = ", ".join(names)
        note(found.common, f"certificate {listed} is left out: a public authority cannot see a sandbox's zones")


def is_chosen(common: Common, target: str) -> bool:
    """Whether `--target` leaves the certificate in."""
    return not common.target or any(fnmatchcase(target, pattern) for pattern in common.target)


def certificate_targets(
    found: Session, stack: contextlib.AsyncExitStack, given: tuple[str, ...], certificates: CertificateStore
) -> tuple[CertificateTarget, ...]:
    """The certificate targets with all they stand on; the authorities and their accounts are shared. Nothing is sent yet."""
    from sophia_cli.cli.actor import actor
    from sophia_cli.cli.state import keepers_of, renewals_of
    from sophia_cli.core.certificates import sections
    from sophia_cli.flows.certificate import CertificateTarget
    from sophia_cli.flows.issuer import Issuer
    from sophia_cli.providers.acme.certificates import Keys
    from sophia_cli.providers.propagation import Propagation
    from sophia_cli.providers.served import Handshakes

    whole = found.whole or found.settings
    folder = found.state.parent if whole.writable is None else Path(whole.writable).absolute().parent
    authorities = _authorities(found, whole.ssl, folder)
    stack.push_async_callback(authorities.close)
    servers = {zone.name: given or zone.nameservers for zone in whole.zones}
    dns = Propagation(servers, found.clock, _chains(found))
    return tuple(
        CertificateTarget(
            name,
            Issuer(
                settings=replace(whole, ssl=ssl),
                certificates=certificates,
                renewals=renewals_of(found.documents),
                authorities=authorities,
                keys=Keys(),
                dns=dns,
                endpoints=Handshakes(),
                hook=_deploy_hook(ssl.deploy_hook, folder),
                alerts=found.alerts(),
                ground=found.issuing_ground,
                approved_by=None if found.command == "heal" else f"{actor()} ({found.command})",
                fraction=secrets.SystemRandom().random,
                keepers=keepers_of(found.documents, found.place),
                host=socket.gethostname(),
            ),
        )
        for name, ssl in sections(whole.ssl).items()
    )


def _chains(found: Session) -> ChainWitness:
    """Who tells whether validating resolvers can look into the zones: the system's resolvers; for a sandbox nobody can."""
    from sophia_cli.cli.live_dns import is_boxed
    from sophia_cli.providers.dns_survey.health import ChainWitness
    from sophia_cli.providers.dns_survey.resolver import system_resolvers

    if is_boxed(found):
        return ChainWitness(found.clock, (), why_none="a sandbox has no parent zone that could hold a DS")
    return ChainWitness(found.clock, system_resolvers(), why_none="this machine has no resolver")


def _authorities(found: Session, ssl: Ssl, folder: Path) -> KnownAuthorities:
    """A client of each authority, with the account key that it has of its own."""
    from sophia_cli.core.certificates import directories
    from sophia_cli.providers.acme.authorities import KnownAuthorities
    from sophia_cli.providers.acme.client import AcmeAuthority
    from sophia_cli.providers.acme.jws import ExternalAccount

    def client(directory: str) -> AcmeAuthority:
        key = ssl.external_accounts.get(directory)
        return AcmeAuthority(
            directory,
            _account_key(found.state, directory),
            clock=found.clock,
            contacts=(ssl.email,) if ssl.email else (),
            external=None if key is None else ExternalAccount(key.key_id.get_secret_value(), key.hmac_key),
            ca_file=None if ssl.ca_file is None else folder / ssl.ca_file,
        )

    return KnownAuthorities([client(directory) for directory in directories(ssl)])


def _account_key(state: Path, directory: str) -> Path:
    return state / "acme" / quote(directory, safe="") / "account.key"


def with_accounts(found: Session) -> Collector:
    """Facts that tell our accounts at the authorities, as they were last seen. Asks nobody."""
    from sophia_cli.core.certificates import directories
    from sophia_cli.providers.acme.account_key import noted

    async def collect(facts: list[Facts]) -> list[Facts]:
        known = {one: noted(_account_key(found.state, one)) for one in directories(found.settings.ssl)}
        accounts = {directory: url for directory, url in known.items() if url is not None}
        return [replace(one, background=replace(one.background, accounts=accounts)) for one in facts]

    return collect


def _deploy_hook(text: str | None, folder: Path) -> DeployHook | None:
    import shlex

    from sophia_cli.providers.deploy_hook import CommandHook

    try:
        arguments = shlex.split(text or "")
    except ValueError as exc:
        raise InvalidEnvironment(f"ssl.deploy_hook is not a command: {exc}", hint="quote it as for a shell") from exc
    return CommandHook(arguments, folder, os.environ) if arguments else None
