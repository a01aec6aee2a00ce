"""Checks of served certificates: time, lifetime, key, name and chain. Judges facts; opens no connection.

The registry's checks look at the web endpoints of a zone; mail servers, which most senders do not verify, have a rule of
their own (`tls_mail`). `of_endpoints` holds every rule against any endpoints, for `sophia cert show`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding
from sophia_cli.core.dns import Record
from sophia_cli.core.endpoints import CertificateFacts, Endpoint, Served, when
from sophia_cli.core.findings import Finding, Severity

Rule = Callable[[Facts, Sequence[Endpoint]], Iterator[Finding]]

DAY_S = 86_400
CRITICAL_S = 3 * DAY_S
MIN_RSA_BITS = 2048  # BR 6.1.5
CURVES = ("P-256", "P-384", "P-521")  # BR 6.1.5
LIFETIMES = (  # longest validity in days, by the first day of issue (BR 6.3.2)
    (datetime(2029, 3, 15, tzinfo=UTC), 47),
    (datetime(2027, 3, 15, tzinfo=UTC), 100),
    (datetime(2026, 3, 15, tzinfo=UTC), 200),
)
SHOWN = 3


def web(facts: Facts) -> tuple[Endpoint, ...]:
    """The endpoints that speak TLS from the first byte."""
    return tuple(one for one in facts.endpoints if one.target.starttls is None)


def expiries(facts: Facts, endpoints: Sequence[Endpoint]) -> Iterator[Finding]:
    """Certificates that have ended, are about to, or are not valid yet."""
    for leaf, places in by_leaf(endpoints):
        left_s = leaf.left_s(facts.now)
        early_s = (leaf.not_before - facts.now).total_seconds()
        level: Severity | None = "critical" if early_s > 0 else urgency(left_s, leaf.lifetime_s)
        if level is None:
            continue
        ends = f"becomes valid in {_span(early_s)}" if early_s > 0 else f"ends in {_span(left_s)}"
        yield finding(
            facts, "TLS-EXPIRY", f"{whose(places)} {f'ended {_span(-left_s)} ago' if left_s < 0 else ends}",
            places_rows(facts, places), "Order a new certificate (sophia cert issue), and find out why renewal did not.",
            severity=level, hours_left=int(left_s // 3600), lifetime_days=round(leaf.lifetime_s / DAY_S, 1),
            **certificate_evidence(leaf, places),
        )  # fmt: skip


def urgency(left_s: float, lifetime_s: int) -> Severity | None:
    """How pressing the end of a certificate is, by its lifetime, so that it holds for 200, 47 and 6 days alike.

    Three days are critical, but never more than a sixth of the lifetime: a certificate of six days is not critical for
    half of its life.
    """
    if left_s < min(CRITICAL_S, lifetime_s / 6):
        return "critical"
    if left_s < lifetime_s / 6:
        return "high"
    return "medium" if left_s < lifetime_s / 3 else None


def lifetimes(facts: Facts, endpoints: Sequence[Endpoint]) -> Iterator[Finding]:
    """Certificates that are valid for longer than authorities may issue them."""
    for leaf, places in by_leaf(endpoints):
        most = next((days for since, days in LIFETIMES if leaf.not_before >= since), None)
        if most is not None and leaf.lifetime_s > most * DAY_S:
            days = -(-leaf.lifetime_s // DAY_S)
            yield finding(
                facts, "TLS-LIFE", f"{whose(places)} is valid for {days} days; {most} are allowed since its day of issue",
                places_rows(facts, places), "Order shorter ones and renew them by program.", most_days=most, days=days,
                **certificate_evidence(leaf, places),
            )  # fmt: skip


def keys(facts: Facts, endpoints: Sequence[Endpoint]) -> Iterator[Finding]:
    """Keys and signatures that clients refuse, of the certificate and of what is sent above it."""
    for leaf, places in by_leaf(endpoints):
        chain = places[0][1].chain.served
        why = [text for one in chain for text in _weaknesses(one, of_leaf=one is chain[0])]
        if why:
            yield finding(
                facts, "TLS-KEY", f"{whose(places)} {why[0]}", places_rows(facts, places),
                "Make a new key (ECDSA P-256) and order a certificate for it.", why=why, **certificate_evidence(leaf, places),
            )  # fmt: skip


def _weaknesses(one: CertificateFacts, *, of_leaf: bool) -> Iterator[str]:
    owner = "" if of_leaf else f"is sent with {one.subject or 'a certificate'}, which "
    if one.key_type == "RSA" and one.key_bits is not None and one.key_bits < MIN_RSA_BITS:
        yield f"{owner}has an RSA key of {one.key_bits} bits"
    if one.key_type == "EC" and one.curve not in CURVES:
        yield f"{owner}has a key on the curve {one.curve}"
    if one.key_type not in ("RSA", "EC", "unknown"):
        yield f"{owner}has a key of type {one.key_type}, which browsers do not accept"
    if one.signature.endswith((" with SHA1", " with MD5")) and not one.is_self_issued:
        yield f"{owner}is signed by {one.signature}"


def names(facts: Facts, endpoints: Sequence[Endpoint]) -> Iterator[Finding]:
    """Hosts that serve a certificate for somebody else."""
    for endpoint in endpoints:
        wrong = [one for one in endpoint.served if one.name.state == "fail"]
        if wrong and (leaf := wrong[0].leaf) is not None:
            places = [(endpoint, one) for one in wrong]
            yield finding(
                facts, "TLS-NAME", f"the certificate of {endpoint.label} is not for that name: {wrong[0].name.why}",
                places_rows(facts, places), f"Order one that names {endpoint.target.host} (sophia cert issue).",
                names=[*leaf.names, *leaf.addresses][:20], **certificate_evidence(leaf, places),
            )  # fmt: skip


def chains(facts: Facts, endpoints: Sequence[Endpoint]) -> Iterator[Finding]:
    """Certificates that do not lead to a trusted root, for another reason than time."""
    for endpoint in endpoints:
        wrong = [one for one in endpoint.served if one.chain.trust.state == "fail" and one.chain.fault != "expired"]
        if wrong and (leaf := wrong[0].leaf) is not None:
            places = [(endpoint, one) for one in wrong]
            chain = wrong[0].chain
            yield finding(
                facts, "TLS-CHAIN", f"{endpoint.label} is not trusted: {chain.trust.why}", places_rows(facts, places),
                _CHAIN_HELP.get(chain.fault or "", "Let the server send the leaf first, then each issuer up to the root."),
                fault=chain.fault, served=[one.subject for one in chain.served], **certificate_evidence(leaf, places),
            )  # fmt: skip


_CHAIN_HELP = {
    "self-signed": "Order a certificate from an authority that clients trust (sophia cert issue).",
    "incomplete": "Let the server send the intermediate certificates too: install the whole chain, not the leaf alone.",
    "untrusted": "Order one from an authority that clients trust, or trust its root here: --ca-file FILE",
}


def by_leaf(endpoints: Sequence[Endpoint]) -> Iterator[tuple[CertificateFacts, list[tuple[Endpoint, Served]]]]:
    """Each certificate once, with every place that serves it: what is wrong with it is one fault."""
    found: dict[str, list[tuple[Endpoint, Served]]] = {}
    for endpoint in endpoints:
        for one in endpoint.served:
            if one.leaf is not None and "it is no X.509 certificate" not in one.leaf.problems:
                found.setdefault(one.leaf.fingerprint, []).append((endpoint, one))
    for places in found.values():
        leaf = places[0][1].leaf
        assert leaf is not None
        yield leaf, places


def whose(places: Sequence[tuple[Endpoint, Served]]) -> str:
    labels = list(dict.fromkeys(endpoint.label for endpoint, _ in places))
    more = f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
    return f"the certificate of {', '.join(labels[:SHOWN])}{more}"


def places_rows(facts: Facts, places: Sequence[tuple[Endpoint, Served]]) -> list[Record]:
    """The zone's records that lead to these endpoints."""
    return list(dict.fromkeys(row for endpoint, _ in places for row in rows_of(facts, endpoint)))


def rows_of(facts: Facts, endpoint: Endpoint) -> list[Record]:
    """The zone's records that lead to an endpoint."""
    inner = None if endpoint.target.is_address else facts.names.inside(endpoint.target.host)
    here = () if inner is None else facts.names.answer(inner)
    return [row for row in here if row.type in ("A", "AAAA", "ALIAS", "CNAME")]


def certificate_evidence(leaf: CertificateFacts, places: Sequence[tuple[Endpoint, Served]]) -> dict[str, Any]:
    return {
        "endpoints": [f"{endpoint.label} ({one.address})" for endpoint, one in places],
        "certificate": {
            "subject": leaf.subject,
            "issuer": leaf.issuer,
            "serial": leaf.serial,
            "fingerprint": f"sha256:{leaf.fingerprint}",
            "not_before": when(leaf.not_before),
            "not_after": when(leaf.not_after),
        },
    }


def _span(seconds: float) -> str:
    """A time span in the unit that tells enough."""
    for unit, size in (("day", DAY_S), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size or size == 60:
            number = int(seconds // size)
            return f"{number} {unit}" + ("" if number == 1 else "s")
    raise AssertionError


# -- the registry's door ---------------------------------------------------------------------------------------------


def expiry(facts: Facts) -> Iterator[Finding]:
    """TLS-EXPIRY of the zone's web endpoints."""
    return expiries(facts, web(facts))


def life(facts: Facts) -> Iterator[Finding]:
    """TLS-LIFE of the zone's web endpoints."""
    return lifetimes(facts, web(facts))


def key(facts: Facts) -> Iterator[Finding]:
    """TLS-KEY of the zone's web endpoints."""
    return keys(facts, web(facts))


def name(facts: Facts) -> Iterator[Finding]:
    """TLS-NAME of the zone's web endpoints."""
    return names(facts, web(facts))


def chain(facts: Facts) -> Iterator[Finding]:
    """TLS-CHAIN of the zone's web endpoints."""
    return chains(facts, web(facts))


def unseen(facts: Facts) -> str | None:
    """Which web endpoints showed no certificate, and why."""
    return gaps(
        [
            (endpoint.label, reason)
            for endpoint in web(facts)
            for reason in _unseen(endpoint)
        ],
        len(web(facts)),
        blind(web(facts)),
    )  # fmt: skip


def blind(endpoints: Sequence[Endpoint]) -> int:
    """How many endpoints showed no certificate on any address."""
    return sum(all(one.leaf is None for one in endpoint.served) for endpoint in endpoints)


def unjudged(facts: Facts) -> str | None:
    """The same, and where trust could not be judged."""
    seen = [(endpoint, one) for endpoint in web(facts) for one in endpoint.served if one.leaf is not None]
    open_ = [(endpoint.label, one.chain.trust.why) for endpoint, one in seen if not one.chain.trust.is_known]
    missing = [(endpoint.label, reason) for endpoint in web(facts) for reason in _unseen(endpoint)]
    return gaps([*missing, *open_], len(web(facts)), blind(web(facts)))


def _unseen(endpoint: Endpoint) -> Iterator[str]:
    if not endpoint.served:
        yield endpoint.found.why or "no address"
    for one in endpoint.served:
        if one.leaf is None:
            yield f"{one.address}: {one.spoken.why or 'no certificate was seen'}"


def gaps(found: Sequence[tuple[str, str]], total: int, blind: int = 0) -> str | None:
    """Gaps as one reason; `total` endpoints were asked for, of which `blind` showed nothing at all."""
    if not found:
        return None
    labels = dict.fromkeys(label for label, _ in found)
    texts = list(dict.fromkeys(f"{label} ({reason})" for label, reason in found))
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    listed = f"{', '.join(texts[:SHOWN])}{more}"
    if blind == total:
        return f"no endpoint could be judged: {listed}"
    return f"in part: {len(labels)} of {total} endpoints could not be judged: {listed}"


def of_endpoints(facts: Facts, endpoints: Sequence[Endpoint], rules: Sequence[Rule]) -> list[Finding]:
    """What rules say about endpoints, each finding under the endpoint it names first, worst first."""
    found = []
    for endpoint in endpoints:
        for rule in rules:
            found += [replace(one, target=f"tls:{endpoint.label}") for one in rule(facts, (endpoint,))]
    return sorted(found, key=lambda one: one.order())
