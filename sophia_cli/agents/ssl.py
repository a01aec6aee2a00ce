"""The SSL specialist: certificates, what they cost in a handshake, and who may issue them. Writes nothing."""

from __future__ import annotations

import re

from sophia_cli.agents.base import Specialist
from sophia_cli.agents.proposals import Offer
from sophia_cli.checks.caa import issuer_of, our_account, parse
from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import mend, set_value
from sophia_cli.checks.tls_tuning import expected, seen, setting
from sophia_cli.core.dns import APEX

# Authorities that honour `accounturi` and `validationmethods` in CAA (RFC 8657; each one's own documentation).
_BINDING = frozenset({"letsencrypt.org", "pki.goog"})
# What a certificate of Let's Encrypt's `tlsserver` profile leaves out (https://letsencrypt.org/docs/profiles): the subject
# key identifier, and the common name, of which the attribute around the text is given (X.690 8.1; RFC 5280 4.1.2.4).
_KEY_IDENTIFIER, _NAME_AROUND = 31, 11
_MOST_NAMES = 25  # of that profile
_COMMON_NAME = re.compile(r"(?:\A|,)CN=((?:\\.|[^,\\])*)")
_PERSISTENT = re.compile(r"\s*([A-Za-z0-9.-]+)\s*;(?:.*;)?\s*accounturi=([\x21-\x3a\x3c-\x7e]+)", re.I)


class SophiaSSLOptimizationAgent(Specialist):
    """Expiry, names, chains and protocols of certificates, what would make handshakes cheaper, and CAA.

    What it tunes, unless `optimization_level` is conservative: CAA names the account and the method, where the authority
    in use honours that and the environment orders from it; a profile with smaller certificates (balanced: `tlsserver`,
    aggressive: `shortlived`, which is as small and valid for six days), where one of that authority is served.
    """

    __slots__ = ()
    name = "ssl"

    def tune(self, facts: Facts) -> list[Offer]:
        """A bound CAA record, and a smaller profile."""
        settings = facts.settings
        if settings is None or not settings.intelligence.enabled or not settings.ssl.domains:
            return []
        if settings.intelligence.optimization_level == "conservative":
            return []
        return [*_bound(facts), *_profile(facts)]


def _bound(facts: Facts) -> list[Offer]:
    """CAA that lets only our account issue, and only by a challenge in DNS (RFC 8657)."""
    issuer = issuer_of(facts)
    if issuer not in _BINDING or facts.background.tls is None:
        return []
    account = account_of(facts, issuer)
    limits = "" if account is None else f"; accounturi={account}"
    method = (
        "dns-persist-01"
        if facts.settings is not None and facts.settings.ssl.challenge == "dns-persist-01"
        else "dns-01"
    )
    edits = []
    for row in facts.names.at(APEX, "CAA"):
        caa = parse(row)
        if caa is not None and caa.tag in ("issue", "issuewild") and caa.issuer == issuer and ";" not in caa.value:
            edits.append(set_value(row, f'{caa.flags} {caa.tag} "{issuer}{limits}; validationmethods={method}"'))
    who = "any account" if account is None else "one account"
    reason = (
        f"CAA names the method: before, any account of {issuer} by any method; after, {who} by {method} (RFC 8657 3, 4)"
    )
    fix = mend(facts, "CAA-ACCT", reason, *edits) if edits else None
    return [] if fix is None else [Offer("CAA-ACCT", "CAA-ACCT", reason, fix)]


def account_of(facts: Facts, issuer: str) -> str | None:
    """Our account at the authority, else the one a standing challenge record names (draft-ietf-acme-dns-persist 3.1)."""
    if (ours := our_account(facts)) is not None:
        return ours
    for row in facts.zone.records:
        if row.type == "TXT" and row.name.split(".")[0] == "_validation-persist":
            named = _PERSISTENT.match(row.value)
            if named is not None and named[1].lower() == issuer:
                return named[2]
    return None


def _profile(facts: Facts) -> list[Offer]:
    """A profile that leaves out of certificates what no browser reads."""
    settings = facts.settings
    if settings is None or settings.ssl.profile not in (None, "classic") or len(settings.ssl.domains) > _MOST_NAMES:
        return []
    if settings.ssl.provider not in ("letsencrypt", "letsencrypt-staging") or settings.ssl.directory is not None:
        return []
    ours = {name.lower() for name in settings.ssl.domains}
    for endpoint, _, leaf, shake in seen(facts):
        if leaf.issuer_organization.lower() != "let's encrypt" or not ours & {name.lower() for name in leaf.names}:
            continue
        common = _COMMON_NAME.search(leaf.subject)
        if common is None:
            continue  # it is one already
        name = len(common[1].encode()) + _NAME_AROUND
        saved = _KEY_IDENTIFIER + name
        formula = f"{shake.received} - {_KEY_IDENTIFIER} subject key identifier - {name} common name"
        known = expected(shake, shake.received - saved, formula)
        profile = "shortlived" if settings.intelligence.optimization_level == "aggressive" else "tlsserver"
        days = "6" if profile == "shortlived" else "45"
        reason = (
            f"profile {profile} at {endpoint.label}: {known['before']['bytes']} bytes and {known['before']['ms']} ms before, "
            f"{known['after']['bytes']} bytes and {known['after']['ms']} ms expected after ({known['formula']}); "
            f"certificates are then valid for {days} days, and an order has to be proved within the hour"
        )
        fix = setting(facts, "TLS-TUNE-PROFILE", "ssl.profile", settings.ssl.profile, profile, reason)
        return [Offer("", "TLS-TUNE-PROFILE", reason, fix)]
    return []
