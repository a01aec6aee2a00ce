"""What would make TLS handshakes cheaper, each with what was measured and what is expected. Judges facts; opens no connection.

The expectation is arithmetic on the measurement, and `formula` in the evidence says which. Bytes are those the server
sends. Milliseconds are the measured ones times the round trips after over the round trips before: TLS 1.2 takes two, and
one when it resumes; TLS 1.3 takes one (RFC 8446 2, RFC 5077 3.1); each started initial window beyond the first takes one
more (RFC 6928 2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding, fix_of
from sophia_cli.checks.tls import blind, gaps, rows_of, web
from sophia_cli.core.changes import Change, ConfigValue
from sophia_cli.core.endpoints import CertificateFacts, Endpoint, Handshake, Served, match
from sophia_cli.core.findings import Finding, Fix
from sophia_cli.core.lasting import config_target

WINDOW = 10 * 1460  # RFC 6928 2: ten segments, with the usual segment of Ethernet
EC_KEY, EC_SIGNATURE = (
    91,
    72,
)  # bytes of a P-256 key (RFC 5480 2) and of the longest ECDSA signature with it (RFC 3279 2.2.3)
RSA_AROUND = 38  # bytes around the modulus in a SubjectPublicKeyInfo (RFC 3279 2.3.1)
NAME_AROUND = 2  # tag and length of a dNSName (RFC 5280 4.2.1.6)
ENTRY = {"TLS 1.3": 5}  # bytes around each certificate: length, and in TLS 1.3 extensions (RFC 8446 4.4.2)
WORTH_BYTES = 500  # below this a shorter list of names is not worth another certificate

Seen = tuple[Endpoint, Served, CertificateFacts, Handshake]
Expected = dict[str, Any]


def seen(facts: Facts) -> Iterator[Seen]:
    """Each address of a web endpoint whose handshake came to its end."""
    for endpoint in web(facts):
        for one in endpoint.served:
            if one.leaf is not None and one.handshake is not None:
                yield endpoint, one, one.leaf, one.handshake


def round_trips(version: str, size: int, *, resumed: bool = False) -> int:
    """The round trips of a handshake in which the server sends so many bytes."""
    return (1 if resumed or version == "TLS 1.3" else 2) + max(0, -(-size // WINDOW) - 1)


def expected(
    before: Handshake, size: int, formula: str, *, version: str | None = None, resumed: bool = False
) -> Expected:
    """What was measured and what is expected, when the server sends `size` bytes then."""
    was = round_trips(before.version, before.received)
    trips = round_trips(version or before.version, size, resumed=resumed)
    return {
        "before": {"bytes": before.received, "ms": round(before.ms, 1), "round_trips": was, "version": before.version},
        "after": {"bytes": size, "ms": round(before.ms * trips / was, 1), "round_trips": trips},
        "formula": f"bytes: {formula}; ms: {before.ms:.1f} x {trips}/{was} round trips",
    }


# -- the certificate -------------------------------------------------------------------------------------------------


def key_type(facts: Facts) -> Iterator[Finding]:
    """RSA keys: an ECDSA P-256 key is as strong as RSA with 3072 bits (NIST SP 800-57 part 1, table 2) and far smaller."""
    for endpoint, one, leaf, shake in _firsts(facts, lambda one, leaf: leaf.key_type == "RSA" and bool(leaf.key_bits)):
        modulus = (leaf.key_bits or 0) // 8
        saved = modulus + RSA_AROUND - EC_KEY + modulus - EC_SIGNATURE
        formula = (
            f"{shake.received} - ({modulus} + {RSA_AROUND} - {EC_KEY}) key - ({modulus} - {EC_SIGNATURE}) signature"
        )
        fix = _key_fix(facts, endpoint, leaf)
        yield finding(
            facts, "TLS-TUNE-KEY",
            f"{endpoint.label} proves itself by an RSA key of {leaf.key_bits} bits; ECDSA P-256 saves {saved} bytes",
            rows_of(facts, endpoint),
            "Order the next certificate with ssl.key_type: ec-p256 (sophia cert renew --force). Elsewhere: certbot "
            "--key-type ecdsa; Caddy: tls { key_type p256 }. nginx can keep RSA beside it for old clients: a second pair of "
            "ssl_certificate and ssl_certificate_key lines.",
            fix=fix, no_fix=None if fix else _no_key_fix(facts, leaf),
            **_measured(endpoint, one, expected(shake, shake.received - saved, formula)),
        )  # fmt: skip


def _key_fix(facts: Facts, endpoint: Endpoint, leaf: CertificateFacts) -> Fix | None:
    """Another key type, where it is the environment that orders this certificate with an RSA key."""
    settings = facts.settings
    if settings is None or not settings.ssl.key_type.startswith("rsa"):
        return None
    ours = {name.lower() for name in settings.ssl.domains}
    if not ours & {name.lower() for name in leaf.names} or match(leaf, endpoint.target.host) is None:
        return None
    return setting(facts, "TLS-TUNE-KEY", "ssl.key_type", settings.ssl.key_type, "ec-p256", "smaller handshakes")


def _no_key_fix(facts: Facts, leaf: CertificateFacts) -> str:
    """Why another key is a person's to order: another section of the environment says so, or another program orders it."""
    served = {name.lower() for name in leaf.names}
    further = {} if facts.settings is None else facts.settings.ssl.certificates
    for name, one in further.items():
        if one.key_type.startswith("rsa") and served & {domain.lower() for domain in one.domains}:
            return f"set key_type of ssl.certificates.{name} to ec-p256"
    return "sophia does not order this certificate with an RSA key"


def setting(facts: Facts, id: str, path: str, before: str | None, after: str, reason: str) -> Fix:
    """The fix that gives the environment's own file another value."""
    assert facts.settings is not None
    change = Change(
        config_target(facts.settings.environment), "config.value", "create" if before is None else "update",
        None if before is None else ConfigValue(path, before), ConfigValue(path, after), f"rule:{id}", reason,
    )  # fmt: skip
    return fix_of(facts, (change,))


def chain(facts: Facts) -> Iterator[Finding]:
    """Certificates sent that nobody needs to verify the leaf: the root, another branch, one twice (RFC 8446 4.4.2)."""
    for endpoint, one, _, shake in _firsts(facts, lambda one, _: bool(_extra(one))):
        extra = _extra(one)
        around = ENTRY.get(shake.version, 3)
        saved = sum(other.size + around for other in extra)
        sizes = " - ".join(f"({other.size} + {around})" for other in extra)
        yield finding(
            facts, "TLS-TUNE-CHAIN", f"{endpoint.label} sends {len(extra)} of {len(one.chain.served)} certificates for nothing",
            rows_of(facts, endpoint),
            "Send the leaf and the intermediates up to the root, without it: nginx: ssl_certificate fullchain.pem; Caddy: tls "
            "fullchain.pem key.pem. Where the authority offers a shorter chain: certbot --preferred-chain \"ISRG Root X1\".",
            extra=[other.subject for other in extra], needed=len(one.chain.verified) - 1,
            **_measured(endpoint, one, expected(shake, shake.received - saved, f"{shake.received} - {sizes}")),
        )  # fmt: skip


def _extra(one: Served) -> list[CertificateFacts]:
    """What is sent beyond the path that was verified. Without such a path nothing is known to be too much."""
    if not one.chain.trust or not one.chain.verified:
        return []
    path = one.chain.verified
    needed = {known.fingerprint for known in (path[:-1] if len(path) > 1 else path)}
    extra, met = [], set[str]()
    for other in one.chain.served:
        if other.fingerprint not in needed or other.fingerprint in met:
            extra.append(other)
        met.add(other.fingerprint)
    return extra


def split(facts: Facts) -> Iterator[Finding]:
    """Certificates whose list of names is mostly about other hosts."""
    hosts = [endpoint.target.host for endpoint in web(facts)]
    for endpoint, one, leaf, shake in _firsts(facts, lambda one, leaf: _elsewhere(leaf, hosts) >= WORTH_BYTES):
        saved = _elsewhere(leaf, hosts)
        formula = f"{shake.received} - {saved} (each name takes its length + {NAME_AROUND})"
        yield finding(
            facts, "TLS-TUNE-SPLIT",
            f"the certificate of {endpoint.label} carries {len(leaf.names)} names, {saved} bytes of them for other hosts",
            rows_of(facts, endpoint),
            "Order one certificate for each server, with the names that it serves: ssl.domains is one, each entry of "
            "ssl.certificates another. nginx: one ssl_certificate a server block; Caddy makes one a site by itself.",
            names=len(leaf.names),
            **_measured(endpoint, one, expected(shake, shake.received - saved, formula)),
        )  # fmt: skip


def _elsewhere(leaf: CertificateFacts, hosts: Sequence[str]) -> int:
    """The bytes of names that stand for none of these hosts."""
    return sum(len(name) + NAME_AROUND for name in leaf.names if not any(_stands_for(name, host) for host in hosts))


def _stands_for(name: str, host: str) -> bool:
    name, host = name.lower().rstrip("."), host.lower()
    return name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:])


# -- the server ------------------------------------------------------------------------------------------------------


def resumption(facts: Facts) -> Iterator[Finding]:
    """Servers that make every visitor do the whole handshake again (RFC 8446 2.2, RFC 5077)."""
    for endpoint, one, leaf, shake in _firsts(facts, lambda one, _: one.resumption.state == "fail"):
        around = ENTRY.get(shake.version, 3)
        sent = sum(other.size + around for other in one.chain.served)
        signature = _signature(leaf)
        formula = f"{shake.received} - {sent} of certificates - {signature} of signature, which are not sent again"
        yield finding(
            facts, "TLS-TUNE-RESUME", f"{endpoint.label} resumes no session: {one.resumption.why}", rows_of(facts, endpoint),
            "nginx: ssl_session_cache shared:TLS:10m; ssl_session_timeout 1d; and ssl_session_tickets on; with keys that are "
            "changed every day. Caddy resumes unless session_tickets is disabled in its JSON configuration.",
            **_measured(endpoint, one, expected(shake, max(0, shake.received - sent - signature), formula, resumed=True)),
        )  # fmt: skip


def _signature(leaf: CertificateFacts) -> int:
    """The bytes of a signature with the key of a certificate: as long as an RSA modulus, else that of P-256."""
    return (leaf.key_bits or 0) // 8 if leaf.key_type == "RSA" else EC_SIGNATURE


def stapling(facts: Facts) -> Iterator[Finding]:
    """Certificates whose authority still answers OCSP, from servers that leave the question to their visitors."""
    for endpoint, one, leaf, shake in _firsts(facts, lambda one, leaf: bool(leaf.ocsp) and one.staple.state == "fail"):
        yield finding(
            facts, "TLS-TUNE-STAPLE", f"{endpoint.label} leaves it to each visitor to ask {leaf.ocsp[0]} for revocation",
            rows_of(facts, endpoint),
            "nginx: ssl_stapling on; ssl_stapling_verify on; resolver 127.0.0.53; Caddy staples by itself. An authority "
            "without OCSP, such as Let's Encrypt, needs none of this.",
            endpoint=endpoint.label, address=one.address, ocsp=list(leaf.ocsp),
            before={"bytes": shake.received, "ms": round(shake.ms, 1)}, after=None,
            formula="not expected in figures: visitors that ask save a connection to the authority, and the answer comes along",
        )  # fmt: skip


# -- what all of them share ------------------------------------------------------------------------------------------


def _firsts(facts: Facts, holds: Callable[[Served, CertificateFacts], bool]) -> Iterator[Seen]:
    """One address of each certificate and server that something holds of: the one that sends most."""
    found: dict[tuple[str, int], Seen] = {}
    for entry in seen(facts):
        endpoint, one, leaf, shake = entry
        key = (leaf.fingerprint, endpoint.target.port)
        if holds(one, leaf) and (key not in found or shake.received > found[key][3].received):
            found[key] = entry
    yield from found.values()


def _measured(endpoint: Endpoint, one: Served, known: Expected) -> dict[str, Any]:
    return {"endpoint": endpoint.label, "address": one.address, **known}


def unmeasured(facts: Facts) -> str | None:
    """Which endpoints finished no handshake, so that nothing was measured."""
    open_ = [
        (endpoint.label, f"{one.address}: {one.spoken.why or 'its handshake did not come to its end'}")
        for endpoint in web(facts)
        for one in endpoint.served
        if one.handshake is None
    ]
    open_ += [(endpoint.label, endpoint.found.why or "no address") for endpoint in web(facts) if not endpoint.served]
    return gaps(open_, len(web(facts)), blind(web(facts)))


def resumption_unseen(facts: Facts) -> str | None:
    """Where resumption could not be tried."""
    return _open_answers(facts, lambda one: one.resumption.why if not one.resumption.is_known else None)


def staple_unseen(facts: Facts) -> str | None:
    """Where a staple could not be seen, of certificates whose authority answers OCSP."""
    return _open_answers(
        facts,
        lambda one: one.staple.why if one.leaf is not None and one.leaf.ocsp and not one.staple.is_known else None,
    )


def _open_answers(facts: Facts, why: Callable[[Served], str | None]) -> str | None:
    silent = unmeasured(facts)
    if silent is not None:
        return silent
    open_ = [
        (endpoint.label, f"{one.address}: {reason}")
        for endpoint in web(facts)
        for one in endpoint.served
        if (reason := why(one)) is not None
    ]
    return gaps(open_, len(web(facts)), blind(web(facts)))
