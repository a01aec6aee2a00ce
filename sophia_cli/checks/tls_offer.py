"""Checks of what TLS endpoints offer: protocol versions and cipher suites. Judges facts; opens no connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding
from sophia_cli.checks.tls import blind, chains, expiries, gaps, keys, lifetimes, names, rows_of, web
from sophia_cli.checks.tls_revocation import revocations
from sophia_cli.checks.tls_tuning import chain, expected
from sophia_cli.core.endpoints import OUTDATED, VERSIONS, Endpoint, Served
from sophia_cli.core.findings import Finding


def versions(facts: Facts, endpoints: Sequence[Endpoint]) -> Iterator[Finding]:
    """Versions that should be off (RFC 8996, RFC 7568), and TLS 1.3 where it is refused. *Not tested* is no refusal."""
    for endpoint in endpoints:
        old = _offered(endpoint, OUTDATED)
        if old:
            listed = ", ".join(old)
            yield finding(
                facts, "TLS-PROTO", f"{endpoint.label} offers {listed}", rows_of(facts, endpoint),
                "Turn it off; every browser since 2014 speaks TLS 1.2. nginx: ssl_protocols TLSv1.2 TLSv1.3; Caddy offers no "
                "older ones.", severity="high",
                **_evidence(endpoint, old),
            )  # fmt: skip
        elif any(_refuses_new(one) for one in endpoint.served):
            yield finding(
                facts, "TLS-PROTO", f"{endpoint.label} does not offer TLS 1.3", rows_of(facts, endpoint),
                "Turn it on: it saves a round trip a connection and keeps the certificate private. nginx: ssl_protocols TLSv1.2 "
                "TLSv1.3; Caddy offers it by itself.", severity="low", **_evidence(endpoint, ()), **_saved(endpoint),
            )  # fmt: skip


def _offered(endpoint: Endpoint, among: Sequence[str]) -> list[str]:
    return [version for version in among if any(one.versions.get(version) for one in endpoint.served)]


def _refuses_new(one: Served) -> bool:
    newest = one.versions.get(VERSIONS[-1])
    return newest is not None and newest.state == "fail" and any(one.versions.values())


def _evidence(endpoint: Endpoint, old: Sequence[str]) -> dict[str, Any]:
    return {
        "endpoint": endpoint.label,
        "addresses": [one.address for one in endpoint.served if one.spoken],
        "outdated": list(old),
        "offered": _offered(endpoint, VERSIONS),
    }


def _saved(endpoint: Endpoint) -> dict[str, Any]:
    """What TLS 1.3 would save in the handshake that was measured."""
    shakes = [one.handshake for one in endpoint.served if one.handshake is not None and _refuses_new(one)]
    if not shakes:
        return {}
    return expected(shakes[0], shakes[0].received, f"{shakes[0].received}, as before", version=VERSIONS[-1])


def suites(facts: Facts, endpoints: Sequence[Endpoint]) -> Iterator[Finding]:
    """Suites without forward secrecy, and broken ones."""
    for endpoint in endpoints:
        weak = list(dict.fromkeys(suite for one in endpoint.served for suite in one.weak()))
        if weak:
            kinds = list(dict.fromkeys(suite.weakness for suite in weak))
            count = f"{len(weak)} weak cipher suites" if len(weak) > 1 else "one weak cipher suite"
            yield finding(
                facts, "TLS-CIPHER", f"{endpoint.label} accepts {count} ({', '.join(kinds)})",
                rows_of(facts, endpoint), "Leave ECDHE suites with AES-GCM or ChaCha20 only (RFC 9325 4.2).",
                endpoint=endpoint.label, addresses=[one.address for one in endpoint.served if one.weak()],
                suites=[suite.name for suite in weak], weaknesses=kinds,
            )  # fmt: skip


# -- the registry's door ---------------------------------------------------------------------------------------------


def proto(facts: Facts) -> Iterator[Finding]:
    """TLS-PROTO of the zone's web endpoints."""
    return versions(facts, web(facts))


def cipher(facts: Facts) -> Iterator[Finding]:
    """TLS-CIPHER of the zone's web endpoints."""
    return suites(facts, web(facts))


def versions_unseen(facts: Facts) -> str | None:
    """Which endpoints did not tell all their versions."""
    return _gaps(facts, _version_gaps)


def suites_unseen(facts: Facts) -> str | None:
    """Which endpoints did not tell their suites."""
    return _gaps(facts, _suite_gaps)


def _gaps(facts: Facts, of: Callable[[Served], Iterator[str]]) -> str | None:
    found = [
        (endpoint.label, f"{one.address}: {why}")
        for endpoint in web(facts)
        for one in endpoint.served
        for why in of(one)
    ]
    found += [(endpoint.label, endpoint.found.why or "no address") for endpoint in web(facts) if not endpoint.served]
    return gaps(found, len(web(facts)), blind(web(facts)))


def _version_gaps(one: Served) -> Iterator[str]:
    if not one.versions:
        yield one.spoken.why or "not asked"
    for version, result in one.versions.items():
        if not result.is_known:
            yield f"{version}: {result.why}"


def _suite_gaps(one: Served) -> Iterator[str]:
    if not one.suites_seen.is_known:
        yield one.spoken.why if not one.spoken else one.suites_seen.why


def superfluous(facts: Facts, endpoints: Sequence[Endpoint]) -> Iterator[Finding]:
    """Certificates sent for nothing, at these endpoints."""
    return chain(replace(facts, background=replace(facts.background, tls=tuple(endpoints))))


RULES = (expiries, revocations, names, chains, keys, lifetimes, versions, suites, superfluous)
"""Every rule on an endpoint by itself."""
