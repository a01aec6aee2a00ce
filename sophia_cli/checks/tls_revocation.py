"""The check of certificates that their authority took back. Judges facts; asks no authority."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding
from sophia_cli.checks.tls import blind, by_leaf, certificate_evidence, gaps, places_rows, web, whose
from sophia_cli.core.endpoints import Endpoint
from sophia_cli.core.findings import Finding


def revocations(facts: Facts, endpoints: Sequence[Endpoint]) -> Iterator[Finding]:
    """Certificates that browsers refuse, or soon will, because the authority says that they hold no more."""
    for leaf, places in by_leaf(endpoints):
        said = next((one.revocation for _, one in places if one.revocation.state == "fail"), None)
        if said is not None:
            yield finding(
                facts, "TLS-REVOKED", f"{whose(places)} is {said.why}", places_rows(facts, places),
                "Order a new certificate with a new key now (sophia cert issue, else sophia cert renew --force), and find out "
                "why it was revoked: after keyCompromise, somebody else may hold the key.",
                said=said.why, **certificate_evidence(leaf, places),
            )  # fmt: skip


def revoked(facts: Facts) -> Iterator[Finding]:
    """TLS-REVOKED of the zone's web endpoints."""
    return revocations(facts, web(facts))


def unasked(facts: Facts) -> str | None:
    """Where no authority's word could be had."""
    open_ = [(endpoint.label, endpoint.found.why or "no address") for endpoint in web(facts) if not endpoint.served]
    open_ += [
        (endpoint.label, f"{one.address}: {one.revocation.why if one.leaf is not None else one.spoken.why}")
        for endpoint in web(facts)
        for one in endpoint.served
        if not one.revocation.is_known
    ]
    known = sum(any(one.revocation.is_known for one in endpoint.served) for endpoint in web(facts))
    return gaps(open_, len(web(facts)), max(blind(web(facts)), len(web(facts)) - known))
