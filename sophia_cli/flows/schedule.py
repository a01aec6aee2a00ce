"""The renewal schedule of a certificate: what its authority advises, kept between runs. Renews nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sophia_cli.core.certificates import CertificateOrder, Installed, Listed, what_is_due
from sophia_cli.core.errors import SophiaError
from sophia_cli.core.issuance import CertificateStore
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
from sophia_cli.flows.issuer import Issuer


async def verdict(name: str, installed: Installed, issuer: Issuer) -> RenewNow | WaitUntil:
    """Whether to renew now, after asking the authority if it may be asked."""
    now = issuer.ground().clock.now()
    lifetime = Lifetime(installed.not_before, installed.not_after)
    notes = await issuer.certificates.notes(name)
    state = state_in(notes, installed)
    asked = await _asked(installed, lifetime, state, issuer)
    if asked != state:
        await issuer.certificates.save_notes(name, with_state(notes, installed, asked))
    return due(lifetime, asked, now, wake=issuer.wake)


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


async def listed(name: str, order: CertificateOrder, certificates: CertificateStore, now: datetime) -> Listed:
    """A certificate for a list, told from what is on disk alone."""
    state = await certificates.state(name)
    there = state.installed
    found: RenewNow | WaitUntil | None = None
    if there is not None and not there.revoked:
        lifetime = Lifetime(there.not_before, there.not_after)
        found = due(lifetime, state_in(await certificates.notes(name), there), now)
    want = what_is_due(order, state, isinstance(found, RenewNow))
    reason = (
        want[1] if want is not None and (found is None or want[0] == "issue") else "" if found is None else found.reason
    )
    renew_at = found.until if isinstance(found, WaitUntil) and want is None else now if want is not None else None
    return Listed(
        name, order, there, await certificates.versions(name), await certificates.pending(name), renew_at, reason
    )


async def failed(name: str, issuer: Issuer) -> RenewalState:
    """Remember that an attempt failed, so that the next ones come at growing distances."""
    there = (await issuer.certificates.state(name)).installed
    notes = await issuer.certificates.notes(name)
    state = attempt_failed(state_in(notes, there), issuer.ground().clock.now())
    await issuer.certificates.save_notes(name, with_state(notes, there, state))
    return state


def state_in(notes: Mapping[str, Any], installed: Installed | None) -> RenewalState:
    """The schedule in what was noted; a new certificate, and a note that cannot be read, start with an empty one."""
    found = notes.get("renewal")
    if not isinstance(found, Mapping) or found.get("serial") != (None if installed is None else installed.serial):
        return RenewalState()
    try:
        return RenewalState.from_data(found["state"])
    except (KeyError, TypeError, ValueError):
        return RenewalState()


def with_state(notes: Mapping[str, Any], installed: Installed | None, state: RenewalState) -> dict[str, Any]:
    """The notes with a schedule in them."""
    serial = None if installed is None else installed.serial
    return {**notes, "renewal": {"serial": serial, "state": state.data()}}
