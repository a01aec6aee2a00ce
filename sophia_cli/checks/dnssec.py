"""Checks of DNSSEC: whether the zone is signed, the chain holds, with what, and for how long. Validates nothing itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from sophia_cli.checks.delegation import live_of
from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding
from sophia_cli.core.findings import Finding

SOON = timedelta(hours=12)
LONG = timedelta(days=180)

# What the IANA registries do not recommend for signing (RFC 9904; SHA-1: RFC 9905).
WEAK_ALGORITHMS = {
    1: "RSAMD5", 3: "DSA", 5: "RSASHA1", 6: "DSA-NSEC3-SHA1", 7: "RSASHA1-NSEC3-SHA1", 10: "RSASHA512", 12: "ECC-GOST",
}  # fmt: skip
WEAK_DIGESTS = {0: "reserved", 1: "SHA-1", 3: "GOST R 34.11-94"}


def unsigned(facts: Facts) -> Iterator[Finding]:
    """Without a DS nothing shows a resolver that an answer is forged."""
    live = live_of(facts)
    if live.dnssec.verdict == "unsigned" and live.delegation is not None:
        signed = bool(live.dnssec.keys)
        yield finding(
            facts, "SEC-DNSSEC-NONE", f"{live.zone} is not secured by DNSSEC: the parent has no DS", (),
            "The zone is signed already: give its DS to the registrar." if signed
            else "Turn DNSSEC on where the zone is served, then give its DS to the registrar.",
            keys=[tag for tag, _, _ in live.dnssec.keys], server=live.delegation.server, at=live.at.isoformat(),
        )  # fmt: skip


def bogus(facts: Facts) -> Iterator[Finding]:
    """Validating resolvers answer SERVFAIL for the whole zone."""
    live = live_of(facts)
    if live.dnssec.verdict == "bogus":
        yield finding(
            facts, "SEC-DNSSEC-BOGUS", f"DNSSEC of {live.zone} is broken: {live.dnssec.why[0]}", (),
            "Until it is mended, validating resolvers find nothing in the zone. Sign it again, or take the DS away.",
            why=list(live.dnssec.why), ds=_signers(facts), keys=[list(key) for key in live.dnssec.keys],
            at=live.at.isoformat(),
        )  # fmt: skip


def _signers(facts: Facts) -> list[list[object]]:
    delegation = live_of(facts).delegation
    found = () if delegation is None else delegation.signers or ()
    return [[one.key_tag, one.algorithm, one.digest_type, one.digest] for one in found]


def weak(facts: Facts) -> Iterator[Finding]:
    """Algorithms that validators give up on."""
    live = live_of(facts)
    delegation = live.delegation
    signers = () if delegation is None else delegation.signers or ()
    old = [f"DNSKEY {tag}: {WEAK_ALGORITHMS[kind]}" for tag, kind, _ in live.dnssec.keys if kind in WEAK_ALGORITHMS]
    old += [f"DS {one.key_tag}: {WEAK_DIGESTS[one.digest_type]}" for one in signers if one.digest_type in WEAK_DIGESTS]
    if old:
        yield finding(
            facts, "SEC-DNSSEC-ALG", f"DNSSEC uses what is not recommended any more: {old[0]}", (),
            "Use ECDSAP256SHA256 (13) or ED25519 (15), and a DS with SHA-256.", weak=old, at=live.at.isoformat(),
        )  # fmt: skip


def soon(facts: Facts) -> Iterator[Finding]:
    """Signatures that end before anybody notices, or live so long that a stolen answer stays good."""
    live = live_of(facts)
    open_ones = [one for one in live.dnssec.signatures if one.expiration > facts.now and one.inception <= facts.now]
    if not open_ones:
        return
    first = min(open_ones, key=lambda one: one.expiration)
    longest = max(open_ones, key=lambda one: one.expiration - one.inception)
    ends, life = first.expiration - facts.now < SOON, longest.expiration - longest.inception > LONG
    if ends or life:
        one = first if ends else longest
        days = (one.expiration - one.inception).days
        yield finding(
            facts, "SEC-DNSSEC-SOON",
            f"the signature over {one.covers} ends at {one.expiration.isoformat()}" if ends
            else f"the signature over {one.covers} lasts {days} days", (),
            "Whoever signs the zone has to renew signatures some days before they end, and keep them short.",
            covers=one.covers, inception=one.inception.isoformat(), expiration=one.expiration.isoformat(),
            server=one.server, at=live.at.isoformat(),
        )  # fmt: skip


def nsec3(facts: Facts) -> Iterator[Finding]:
    """Iterations and salt cost servers and resolvers work and hide nothing."""
    live = live_of(facts)
    if live.dnssec.nsec3 is not None and live.dnssec.nsec3 != (0, ""):
        iterations, salt = live.dnssec.nsec3
        yield finding(
            facts, "SEC-NSEC3", f"NSEC3 with {iterations} iterations and {'a' if salt else 'no'} salt", (),
            "Use 0 iterations and no salt; some resolvers treat such zones as unsigned.",
            iterations=iterations, salt=salt, at=live.at.isoformat(),
        )  # fmt: skip


def unknown(facts: Facts) -> str | None:
    """Why the chain is not known."""
    live = live_of(facts)
    if live.dnssec.verdict == "unknown":
        return live.gap("parent", "servers") or "; ".join(live.dnssec.why) or "the chain could not be looked at"
    return None


def signatures_unknown(facts: Facts) -> str | None:
    """Why the keys and signatures are not known."""
    live = live_of(facts)
    if live.answering:
        return None
    return live.gap("servers") or "no server of the zone gave an authoritative answer"
