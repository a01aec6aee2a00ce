"""The certificate target put together: authority, DNS, endpoints and hook behind their ports. Sends nothing."""

from __future__ import annotations

import os
import secrets
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from sophia_cli.cli.options import Common
from sophia_cli.core.errors import InvalidEnvironment

if TYPE_CHECKING:
    import contextlib

    from sophia_cli.cli.runtime import Session
    from sophia_cli.core.issuance import CertificateStore, DeployHook
    from sophia_cli.flows.certificate import CertificateTarget


def issues_certificates(found: Session) -> bool:
    """Whether the environment asks for a certificate from an authority that can see its zones.

    The embedded sandbox's zones are seen by this machine alone, so only an authority on loopback can look at them.
    """
    from sophia_cli.cli.runtime import uses_sandbox
    from sophia_cli.core.certificates import wanted

    settings = found.settings
    order = wanted(settings.ssl)
    if order is None or not (found.whole or settings).zones:
        return False
    local = (urlsplit(order.authority).hostname or "") in ("localhost", "127.0.0.1", "::1")
    return local or not uses_sandbox(found.common, settings)


def is_chosen(common: Common, target: str) -> bool:
    """Whether `--target` leaves the certificate in."""
    return not common.target or any(fnmatchcase(target, pattern) for pattern in common.target)


def certificate_target(
    found: Session, stack: contextlib.AsyncExitStack, given: tuple[str, ...], certificates: CertificateStore
) -> CertificateTarget:
    """The certificate target with all it stands on. Nothing is sent yet."""
    from sophia_cli.cli.runtime import actor
    from sophia_cli.core.certificates import wanted
    from sophia_cli.flows.certificate import CertificateTarget
    from sophia_cli.flows.issuer import Issuer
    from sophia_cli.providers.acme.authorities import OrderedAuthorities
    from sophia_cli.providers.acme.certificates import Keys
    from sophia_cli.providers.acme.client import AcmeAuthority
    from sophia_cli.providers.acme.jws import ExternalAccount
    from sophia_cli.providers.propagation import Propagation
    from sophia_cli.providers.served import Handshakes

    whole = found.whole or found.settings
    ssl, order = whole.ssl, wanted(whole.ssl)
    assert order is not None
    folder = found.state.parent if whole.writable is None else Path(whole.writable).absolute().parent
    external = (
        None
        if ssl.eab_key_id is None or ssl.eab_hmac_key is None
        else ExternalAccount(ssl.eab_key_id.get_secret_value(), ssl.eab_hmac_key)
    )
    authority = AcmeAuthority(
        order.authority,
        found.state / "acme" / quote(order.authority, safe="") / "account.key",
        clock=found.clock,
        contacts=(ssl.email,) if ssl.email else (),
        external=external,
        ca_file=None if ssl.ca_file is None else folder / ssl.ca_file,
    )
    authorities = OrderedAuthorities([authority])
    stack.push_async_callback(authorities.close)
    servers = {zone.name: given or zone.nameservers for zone in whole.zones}
    issuer = Issuer(
        settings=whole,
        certificates=certificates,
        authorities=authorities,
        keys=Keys(),
        dns=Propagation(servers, found.clock),
        endpoints=Handshakes(),
        hook=_deploy_hook(ssl.deploy_hook, folder),
        alerts=found.alerts(),
        ground=found.issuing_ground,
        approved_by=None if found.command == "heal" else f"{actor()} ({found.command})",
        fraction=secrets.SystemRandom().random,
    )
    return CertificateTarget(issuer)


def _deploy_hook(text: str | None, folder: Path) -> DeployHook | None:
    import shlex

    from sophia_cli.providers.deploy_hook import CommandHook

    try:
        arguments = shlex.split(text or "")
    except ValueError as exc:
        raise InvalidEnvironment(f"ssl.deploy_hook is not a command: {exc}", hint="quote it as for a shell") from exc
    return CommandHook(arguments, folder, os.environ) if arguments else None
