"""The renewal schedule of a certificate: what its authority advises, kept between runs. Renews nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from sophia_cli.core.certificates import CertificateOrder, CertificateState, Installed, Listed, what_is_due
from sophia_cli.core.errors import SophiaError
from sophia_cli.core.issuance import CertificateStore, Renewals
from sophia_cli.core.renewal import (
    Lifetime,
    RenewalState,
    RenewNow,
    WaitUntil,
    attempt_failed,
    check_failed,
    due,
    is_temporary,
    learned,
    may_check,
)
from sophia_cli.core.tuning import Renewing
from sophia_cli.flows.issuer import Issuer

if TYPE_CHECKING:
    from sophia_cli.flows.certificate import CertificateTarget


async def verdict(name: str, installed: Installed, issuer: Issuer) -> RenewNow | WaitUntil:
    """Whether to renew now, after asking the authority if it may be asked."""
    now = issuer.ground().clock.now()
    lifetime = Lifetime(installed.not_before, installed.not_after)
    state = await issuer.renewals.schedule(name, installed.serial)
    asked = await _asked(installed, lifetime, state, issuer)
    if asked != state:  # another machine that asked meanwhile has picked the time for all
        asked = await issuer.renewals.reschedule(name, installed.serial, lambda now: asked if now == state else now)
    return due(lifetime, asked, now, wake=issuer.wake, before_days=issuer.settings.ssl.renew_before_days)


async def _asked(installed: Installed, lifetime: Lifetime, state: RenewalState, issuer: Issuer) -> RenewalState:
    """What is known after asking for renewal information (RFC 9773); errors leave what was known before."""
    clock = issuer.ground().clock
    authority = issuer.authorities.at(installed.authority)
    if authority is None or installed.certificate_id is None or not may_check(state, lifetime, clock.now()):
        return state
    try:
        info = await authority.renewal_info(installed.certificate_id)
    except SophiaError as exc:
        return check_failed(state, clock.now(), temporary=is_temporary(exc))
    return learned(state, info, lifetime, clock.now(), issuer.fraction())


async def listed(
    state: CertificateState,
    order: CertificateOrder,
    certificates: CertificateStore,
    renewals: Renewals,
    now: datetime,
    before_days: int | None = None,
) -> Listed:
    """A certificate for a list, told from what is kept alone; `before_days` is when the environment wants it renewed."""
    name, there = state.name, state.installed
    found: RenewNow | WaitUntil | None = None
    if there is not None and not there.revoked:
        lifetime = Lifetime(there.not_before, there.not_after)
        found = due(lifetime, await renewals.schedule(name, there.serial), now, before_days=before_days)
    want = what_is_due(order, state, isinstance(found, RenewNow))
    reason = (
        want[1] if want is not None and (found is None or want[0] == "issue") else "" if found is None else found.reason
    )
    renew_at = found.until if isinstance(found, WaitUntil) and want is None else now if want is not None else None
    versions, pending = await certificates.versions(name), await certificates.pending(name)
    return Listed(name, order, there, versions, pending, renew_at, reason, state.kept_by)


async def renewing(targets: Sequence[CertificateTarget]) -> tuple[Renewing, ...]:
    """What is known of renewing each certificate that is in use here, told from what is kept alone.

    A failure counts against the certificate that was to be replaced, so that of the one before is looked at as well.
    """
    found = []
    for target in targets:
        there = (await target.issuer.certificates.state(target.name)).installed
        if there is None or there.revoked:
            continue
        serials = [serial for serial in (there.serial, there.predecessor) if serial is not None]
        known = [await target.issuer.renewals.schedule(target.name, serial) for serial in serials]
        times = [state.last_failure for state in known if state.last_failure is not None]
        found.append(Renewing(target.name, there.not_after - there.not_before, max(times, default=None)))
    return tuple(found)


async def failed(name: str, issuer: Issuer) -> RenewalState:
    """Remember that an attempt failed, so that the next ones come at growing distances."""
    there, now = (await issuer.certificates.state(name)).installed, issuer.ground().clock.now()
    serial = None if there is None else there.serial
    return await issuer.renewals.reschedule(name, serial, lambda state: attempt_failed(state, now))
