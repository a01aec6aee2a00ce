"""What issuing stands on: the ports to authority, DNS, disk and people, and the ground that zones are written on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sophia_cli.core.acme import Authorities, CertificateKeys
from sophia_cli.core.issuance import CertificateStore, DeployHook, DnsWitness, EndpointWitness, Keepers, Renewals
from sophia_cli.core.settings import Settings
from sophia_cli.flows.ground import Ground
from sophia_cli.flows.notify import Alerts


@dataclass(frozen=True, slots=True)
class Issuer:
    """Injected, so that the same flow serves every command and every test.

    `settings` are whole, whatever `--target` leaves out: a challenge may have to be written to any zone of the environment.
    `approved_by` names the person who agrees to what this command does; None when nobody was asked (heal).
    `fraction` gives a number in [0, 1) by chance. `wake` is the time to the next run that can renew; None: nobody knows.
    """

    settings: Settings
    certificates: CertificateStore
    renewals: Renewals
    authorities: Authorities
    keys: CertificateKeys
    dns: DnsWitness
    endpoints: EndpointWitness
    hook: DeployHook | None
    alerts: Alerts
    ground: Callable[[], Ground]
    approved_by: str | None
    fraction: Callable[[], float]
    wake: timedelta | None = None
    keepers: Keepers | None = None
    """Who keeps what, where several machines share the state."""
    host: str = ""
    """What this machine is called there."""
