"""Checks of the registration itself: its end, its lock, and whether it is used. Asks no registrar."""

from __future__ import annotations

from collections.abc import Iterator

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding
from sophia_cli.core.dns import is_parking_pair
from sophia_cli.core.findings import Finding

CRITICAL_DAYS, HIGH_DAYS = 7, 30


def expiring(facts: Facts) -> Iterator[Finding]:
    """A domain that ends soon and is not renewed by itself."""
    known = facts.registration
    if known is None or known.expires is None or known.auto_renew is None or known.auto_renew:
        return
    left = (known.expires - facts.now.date()).days
    if left < HIGH_DAYS:
        when = f"ended {-left} days ago" if left < 0 else f"ends in {left} days"
        yield finding(
            facts, "COST-EXPIRE", f"the registration {when} and is not renewed by itself", (),
            "Turn on auto-renew in the web console (Domain List), or renew the domain there.",
            severity="critical" if left < CRITICAL_DAYS else "high",
            expires=known.expires.isoformat(), days_left=left, auto_renew=False,
            renewal=None if known.renewal is None else known.renewal.data(),
        )  # fmt: skip


def expiry_unknown(facts: Facts) -> str | None:
    """Why the end is not known; None when it is."""
    known = facts.registration
    if known is not None and (known.expires is None or known.auto_renew is None):
        return "the registrar did not say when it ends or whether it renews by itself"
    return None


def idle(facts: Facts) -> Iterator[Finding]:
    """A domain that is paid for every year and only parked."""
    known, rows = facts.registration, is_parking_pair(facts.zone)
    traffic = facts.background.traffic
    if (
        known is not None
        and known.auto_renew
        and len(rows) == len(facts.zone.records)
        and facts.zone.email_type in ("NONE", "MX")
        and not (traffic is not None and traffic.touches(facts.zone.name))
    ):
        price = "" if known.renewal is None else f", for {known.renewal.text()} a year"
        yield finding(
            facts, "COST-IDLE", f"the domain renews by itself{price}, and it is only parked", rows,
            "Turn off auto-renew if the domain is no longer wanted.", auto_renew=True,
            renewal=None if known.renewal is None else known.renewal.data(),
            traffic=None if traffic is None else "none in the log",
        )  # fmt: skip


def traffic_unknown(facts: Facts) -> str | None:
    """What is not known about use."""
    return None if facts.background.traffic is not None else "in part: traffic was not looked at"


def unlocked(facts: Facts) -> Iterator[Finding]:
    """Without the lock a stolen account or code moves the domain away."""
    known = facts.registration
    if known is None:
        return
    off = [
        what for what, state in (("registrar lock", known.locked), ("domain privacy", known.privacy)) if state is False
    ]
    if off:
        yield finding(
            facts, "REG-LOCK", f"the {' and the '.join(off)} {'are' if len(off) > 1 else 'is'} off", (),
            "Turn it on in the web console: Domain List > Manage > Sharing & Transfer, and Domain for privacy.",
            severity="medium" if known.locked is False else "low", off=off,
        )  # fmt: skip


def lock_unknown(facts: Facts) -> str | None:
    """Why lock or privacy is not known; None when both are."""
    known = facts.registration
    if known is not None and (known.locked is None or known.privacy is None):
        return "in part: the registrar did not tell both lock and privacy"
    return None
