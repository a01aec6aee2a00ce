"""One machine keeps a certificate and its key; others that share its state leave it alone. Orders and installs nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from sophia_cli.core.certificates import CertificateState, Installed, Keeper
from sophia_cli.core.issuance import CertificateStore, Keepers
from sophia_cli.core.renewal import Lifetime
from sophia_cli.flows.issuer import Issuer


async def state_of(name: str, certificates: CertificateStore, keepers: Keepers | None, host: str) -> CertificateState:
    """What is installed here, and who keeps the certificate where that is another machine.

    It is another one's where the newest version is none of those kept here: a machine that has the version has its key.
    """
    here = await certificates.state(name)
    keeper = None if keepers is None else await keepers.keeper(name)
    if keeper is None or keeper.host == host:
        return here
    if any(one.serial == keeper.serial for one in await certificates.versions(name)):
        return here
    return CertificateState(name, here.installed, keeper)


async def keep(name: str, installed: Installed | None, issuer: Issuer) -> None:
    """Say that this machine has the version that counts, or that there is none any more."""
    if issuer.keepers is None:
        return
    keeper = None
    if installed is not None:
        keeper = Keeper(issuer.host, installed.serial, installed.not_before, installed.not_after)
    await issuer.keepers.keep(name, keeper)


def is_overdue(keeper: Keeper, now: datetime, wake: timedelta | None) -> bool:
    """Whether its machine should have renewed it long ago, so that somebody has to step in."""
    return now >= Lifetime(keeper.not_before, keeper.not_after).floor(wake)


def told(keeper: Keeper) -> str:
    """Where it is and what can be done, for those who ask here."""
    return (
        f"kept on {keeper.host}, which renews it (serial {keeper.serial}, until {keeper.not_after:%Y-%m-%d %H:%M} UTC); "
        "its key stays there. To take it over here: sophia cert issue --force"
    )
