"""Which authority is in use, told by the certificates that are served. Asks no authority.

Source of the names: each authority's own certification practice statement, section 4.2.1, and the CAA identifiers of the
Common CA Database (https://www.ccadb.org/resources). An authority goes by several; the first is the one to write.
"""

from __future__ import annotations

from dataclasses import dataclass

from sophia_cli.checks.facts import Facts

# The organization in an issuer's name, lower-cased -> what the authority goes by in CAA (RFC 8659 4.2).
_AUTHORITIES: dict[str, tuple[str, ...]] = {
    "let's encrypt": ("letsencrypt.org",),
    "zerossl": ("sectigo.com", "zerossl.com", "comodo.com", "comodoca.com", "usertrust.com", "trust-provider.com"),
    "sectigo limited": ("sectigo.com", "comodo.com", "comodoca.com", "usertrust.com", "trust-provider.com"),
    "comodo ca limited": ("sectigo.com", "comodo.com", "comodoca.com", "usertrust.com", "trust-provider.com"),
    "google trust services": ("pki.goog", "google.com"),
    "google trust services llc": ("pki.goog", "google.com"),
    "digicert inc": ("digicert.com", "www.digicert.com", "digicert.ne.jp", "symantec.com", "thawte.com", "geotrust.com",
                     "rapidssl.com"),
    "digicert, inc.": ("digicert.com", "www.digicert.com", "digicert.ne.jp", "symantec.com", "thawte.com", "geotrust.com",
                       "rapidssl.com"),
    "amazon": ("amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com"),
    "globalsign nv-sa": ("globalsign.com",),
    "buypass as-983163327": ("buypass.com", "buypass.no"),
    "ssl corporation": ("ssl.com",),
    "ssl corp": ("ssl.com",),
    "entrust, inc.": ("entrust.net",),
    "godaddy.com, inc.": ("godaddy.com", "starfieldtech.com"),
    "identrust": ("identrust.com",),
    "actalis s.p.a.": ("actalis.it",),
    "harica": ("harica.gr",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class InUse:
    """An authority in use for a name (`*.` for a wildcard), by each of its CAA identifiers, and how that is known."""

    domain: str
    issuers: tuple[str, ...]
    known_by: str


def serving(facts: Facts) -> list[InUse]:
    """The authorities behind the certificates that the zone's web names serve, where they are known ones."""
    found: list[InUse] = []
    for endpoint in facts.endpoints:
        if endpoint.target.starttls is not None or endpoint.target.is_address:
            continue
        for one in endpoint.served:
            leaf = one.leaf
            issuers = None if leaf is None else _AUTHORITIES.get(leaf.issuer_organization.strip().lower())
            trusted = bool(one.chain.trust) or one.chain.fault == "expired"  # anybody may write any name into his own
            if leaf is not None and issuers is not None and one.name and trusted:
                name = one.name.why.lower().rstrip(".")
                found.append(InUse(name, issuers, f"the certificate of {endpoint.label}"))
    return list({one.domain: one for one in reversed(found)}.values())[::-1]


def covers(wanted: str, domain: str) -> bool:
    """Whether a name that is to be certified stands for the name that is served (RFC 9525 6.3)."""
    if wanted == domain:
        return True
    return wanted.startswith("*.") and not domain.startswith("*.") and domain.partition(".")[2] == wanted[2:]
