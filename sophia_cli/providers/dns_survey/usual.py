"""The names that zones usually have, for zones that cannot be listed. Asks nobody."""

from __future__ import annotations

# Where the records stand that most checks are about.
APEX_TYPES = ("A", "AAAA", "MX", "TXT", "CAA")
TEXTS = (
    "_dmarc", "_mta-sts", "_smtp._tls", "_domainkey", "default._bimi", "_acme-challenge",
    # Selectors that large mail services use for everybody (their set-up pages).
    "google._domainkey", "selector1._domainkey", "selector2._domainkey", "k1._domainkey", "default._domainkey",
)  # fmt: skip
# Hosts; one question for A tells of a CNAME as well.
HOSTS = (
    "www",
    "mail",
    "*",
    "mta-sts",
    "autodiscover",
    "api",
    "app",
    "blog",
    "shop",
    "dev",
    "staging",
    "docs",
    "status",
    "cdn",
)
WITH_IPV6 = ("www",)


def places() -> tuple[tuple[str, str], ...]:
    """The (relative name, type) pairs that are asked for."""
    found = [("@", kind) for kind in APEX_TYPES]
    found += [(name, "TXT") for name in TEXTS]
    found += [(name, "A") for name in HOSTS]
    found += [(name, "AAAA") for name in WITH_IPV6]
    return tuple(found)
