"""TLS endpoints as values: what a host and port showed, address by address. Opens no connection and knows no clock.

Every answer is three-valued (`Result`): *pass*, *fail*, or *not tested* with its reason. What this machine cannot ask
(an address family without a route, a version its library does not speak) is never reported as refused by the peer.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from sophia_cli.core.dns import Zone

HTTPS, SMTP, SUBMISSION = 443, 25, 587

State = Literal["pass", "fail", "not tested"]
Starttls = Literal["smtp"]
ChainFault = Literal["self-signed", "incomplete", "untrusted", "expired", "rules"]

VERSIONS = ("SSL 3.0", "TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3")
OUTDATED = VERSIONS[:3]  # RFC 7568, RFC 8996


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one question. `why` is there for every *fail* and *not tested*, and where a *pass* needs a word."""

    state: State
    why: str = ""

    def __bool__(self) -> bool:
        return self.state == "pass"

    @property
    def is_known(self) -> bool:
        """Whether the question was answered at all."""
        return self.state != "not tested"

    def data(self) -> dict[str, str]:
        """The public shape."""
        return {"state": self.state, "why": self.why}


def passed(why: str = "") -> Result:
    """A yes."""
    return Result("pass", why)


def failed(why: str) -> Result:
    """A no, and what is wrong."""
    return Result("fail", why)


def untested(why: str) -> Result:
    """No answer, and the reason."""
    return Result("not tested", why)


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """One X.509 certificate (RFC 5280). Its texts are foreign: whoever shows them escapes them."""

    subject: str
    issuer: str
    """Distinguished names as RFC 4514 text."""
    issuer_organization: str
    names: tuple[str, ...]
    """DNS names of the subjectAltName, as written."""
    addresses: tuple[str, ...]
    """IP addresses of the subjectAltName."""
    serial: str
    """Hexadecimal in lower case, two digits a byte."""
    not_before: datetime
    not_after: datetime
    """The last second of validity (RFC 5280 4.1.2.5)."""
    key_type: str
    """`RSA`, `EC`, `Ed25519`, `Ed448`, `DSA`, or what else the key says it is."""
    key_bits: int | None
    curve: str | None
    signature: str
    """Such as `ECDSA with SHA384`."""
    fingerprint: str
    """SHA-256 of the DER form, hexadecimal."""
    size: int
    """Bytes of the DER form."""
    scts: int = 0
    """Signed certificate timestamps embedded (RFC 6962 3.3)."""
    ocsp: tuple[str, ...] = ()
    crl: tuple[str, ...] = ()
    issuer_urls: tuple[str, ...] = ()
    """Where the issuer's certificate can be fetched (caIssuers, RFC 5280 4.2.2.1)."""
    must_staple: bool = False
    is_ca: bool = False
    problems: tuple[str, ...] = ()
    """What could not be read."""

    @property
    def is_self_issued(self) -> bool:
        """Whether subject and issuer are the same name."""
        return self.subject == self.issuer

    @property
    def lifetime_s(self) -> int:
        """Seconds of validity, both ends included (BR 6.3.2)."""
        return int((self.not_after - self.not_before).total_seconds()) + 1

    def left_s(self, now: datetime) -> float:
        """Seconds until it ends; negative once it has."""
        return (self.not_after - now).total_seconds()

    def data(self) -> dict[str, Any]:
        """The public shape."""
        return {
            "subject": self.subject,
            "issuer": self.issuer,
            "issuer_organization": self.issuer_organization,
            "names": list(self.names),
            "addresses": list(self.addresses),
            "serial": self.serial,
            "not_before": when(self.not_before),
            "not_after": when(self.not_after),
            "key": {"type": self.key_type, "bits": self.key_bits, "curve": self.curve},
            "signature": self.signature,
            "fingerprint": f"sha256:{self.fingerprint}",
            "bytes": self.size,
            "scts": self.scts,
            "ocsp": list(self.ocsp),
            "crl": list(self.crl),
            "issuer_urls": list(self.issuer_urls),
            "must_staple": self.must_staple,
            "is_ca": self.is_ca,
            "problems": list(self.problems),
        }


def when(moment: datetime) -> str:
    """A time as RFC 3339 UTC, to the second."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


@dataclass(frozen=True, slots=True)
class Chain:
    """The certificates as served (the leaf first, where the server keeps to RFC 8446 4.4.2), and as verified.

    `verified` is the path to a trusted root, leaf first, empty where there is none; `fault` is the kind of a failed
    `trust`: `expired` means that nothing but time stands against it.
    """

    served: tuple[CertificateFacts, ...] = ()
    verified: tuple[CertificateFacts, ...] = ()
    trust: Result = Result("not tested", "no certificate was seen")
    fault: ChainFault | None = None

    @property
    def leaf(self) -> CertificateFacts | None:
        """The server's own certificate."""
        return self.served[0] if self.served else None

    @property
    def size(self) -> int:
        """Bytes of all certificates served."""
        return sum(one.size for one in self.served)

    def data(self) -> dict[str, Any]:
        """The public shape."""
        return {
            "served": [one.data() for one in self.served],
            "verified": [one.subject for one in self.verified],
            "trust": {**self.trust.data(), "fault": self.fault},
            "bytes": self.size,
        }


@dataclass(frozen=True, slots=True)
class Suite:
    """A cipher suite by its IANA name. `weakness` is why RFC 9325 4.2 speaks against it, or empty."""

    name: str
    weakness: str = ""

    def data(self) -> dict[str, str]:
        """The public shape."""
        return {"name": self.name, "weakness": self.weakness}


@dataclass(frozen=True, slots=True)
class Handshake:
    """What one whole handshake cost: bytes on the wire without TCP and IP, and wall milliseconds after connecting."""

    version: str
    cipher: str
    sent: int
    received: int
    ms: float

    def data(self) -> dict[str, Any]:
        """The public shape."""
        return {
            "version": self.version,
            "cipher": self.cipher,
            "bytes_sent": self.sent,
            "bytes_received": self.received,
            "ms": round(self.ms, 1),
        }


NOT_ASKED = Result("not tested", "not asked")


@dataclass(frozen=True, slots=True)
class Served:
    """What one address showed. Where `spoken` is no *pass*, nothing below it is known."""

    address: str
    spoken: Result
    """Whether TLS is spoken there at all; *fail* is a peer that was reached and does not."""
    starttls: Result | None = None
    """Whether the plain protocol offers TLS; None where none was to be spoken first."""
    chain: Chain = Chain()
    name: Result = NOT_ASKED
    """Whether the certificate holds for the host (RFC 9525 6.3); a *pass* names the match."""
    handshake: Handshake | None = None
    resumed: Handshake | None = None
    resumption: Result = NOT_ASKED
    alpn: str | None = None
    versions: Mapping[str, Result] = field(default_factory=dict)
    """Each of `VERSIONS`: *pass* is offered, *fail* is refused."""
    suites: tuple[Suite, ...] = ()
    """Those the server accepts, in the order it prefers them, newest version first."""
    suites_seen: Result = NOT_ASKED
    """Whether `suites` is the whole list (*pass*), or why not."""
    staple: Result = NOT_ASKED
    """Whether an OCSP response is stapled (RFC 6066 8) that proves the certificate good."""
    revocation: Result = NOT_ASKED
    """What the authority itself says: *fail* is revoked (RFC 6960, RFC 5280 5)."""
    client_certificate: Result = NOT_ASKED
    """*pass*: none is asked for; *fail*: one is, and whether it is required."""

    @property
    def family(self) -> str:
        """`IPv4` or `IPv6`."""
        return "IPv6" if ":" in self.address else "IPv4"

    @property
    def leaf(self) -> CertificateFacts | None:
        """The server's own certificate."""
        return self.chain.leaf

    def weak(self) -> tuple[Suite, ...]:
        """The accepted suites that should not be."""
        return tuple(suite for suite in self.suites if suite.weakness)

    def data(self) -> dict[str, Any]:
        """The public shape."""
        return {
            "address": self.address,
            "spoken": self.spoken.data(),
            "starttls": None if self.starttls is None else self.starttls.data(),
            "chain": self.chain.data(),
            "name": self.name.data(),
            "handshake": None if self.handshake is None else self.handshake.data(),
            "resumption": {
                **self.resumption.data(),
                "handshake": None if self.resumed is None else self.resumed.data(),
            },
            "alpn": self.alpn,
            "versions": {version: self.versions[version].data() for version in VERSIONS if version in self.versions},
            "suites": [suite.data() for suite in self.suites],
            "suites_seen": self.suites_seen.data(),
            "staple": self.staple.data(),
            "revocation": self.revocation.data(),
            "client_certificate": self.client_certificate.data(),
        }


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """What to inspect. `addresses` replaces the look-up of the host where it is not empty."""

    host: str
    """A DNS name in ASCII form without a final dot, or an IP address without brackets."""
    port: int = HTTPS
    starttls: Starttls | None = None
    addresses: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """`HOST:PORT`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_address(self) -> bool:
        """Whether the host is an IP address."""
        return _address(self.host) is not None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A target with what each of its addresses showed. `found` says whether it has addresses at all."""

    target: Target
    served: tuple[Served, ...] = ()
    found: Result = Result("pass")

    @property
    def label(self) -> str:
        """`HOST:PORT`."""
        return self.target.label

    def data(self) -> dict[str, Any]:
        """The public shape."""
        return {
            "endpoint": self.label,
            "host": self.target.host,
            "port": self.target.port,
            "protocol": "tls" if self.target.starttls is None else f"{self.target.starttls}+starttls",
            "found": self.found.data(),
            "addresses": [one.data() for one in self.served],
        }


def match(certificate: CertificateFacts, host: str) -> str | None:
    """The name of a certificate that holds for a host, or None (RFC 9525 6.3).

    Only subjectAltName counts, never the common name. A wildcard stands for exactly one whole left-most label, and IP
    addresses are matched by value.
    """
    address = _address(host)
    if address is not None:
        return next((text for text in certificate.addresses if _address(text) == address), None)
    wanted = host.rstrip(".").lower()
    first, _, rest = wanted.partition(".")
    for name in certificate.names:
        shown = name.lower().removesuffix(".")
        if shown == wanted or (shown.startswith("*.") and first and rest and shown[2:] == rest):
            return name
    return None


def name_result(chain: Chain, host: str) -> Result:
    """Whether the served certificate holds for the host."""
    leaf = chain.leaf
    if leaf is None:
        return untested("no certificate was seen")
    matched = match(leaf, host)
    if matched is not None:
        return passed(matched)
    listed = tuple(text if len(text) <= 80 else text[:77] + "..." for text in (*leaf.names, *leaf.addresses))
    return failed(f"it is for {', '.join(listed[:4])}{_more(listed, 4)}" if listed else "it has no subjectAltName")


def _more(listed: tuple[str, ...], shown: int) -> str:
    return f" and {len(listed) - shown} more" if len(listed) > shown else ""


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def tls_targets(zone: Zone) -> tuple[Target, ...]:
    """The endpoints of a zone: port 443 of each name with an address or alias, and STARTTLS on port 25 of each MX.

    Left out are wildcards, names with an underscore (no host names, RFC 8552), and redirect rows, behind which the
    provider's own web server stands.
    """
    web = {
        Target(zone.fqdn(row.name).lower())
        for row in zone.records
        if row.type in ("A", "AAAA", "ALIAS", "CNAME") and "*" not in row.name and "_" not in row.name
    }
    mail = {
        Target(row.value.rstrip(".").lower(), SMTP, "smtp")
        for row in zone.records
        if row.type == "MX" and row.value != "." and _address(row.value.rstrip(".")) is None
    }
    return (*sorted(web, key=_order), *sorted(mail, key=_order))


def _order(target: Target) -> tuple[str, ...]:
    return tuple(reversed(target.host.split(".")))


def merged(targets: Iterable[Target]) -> tuple[Target, ...]:
    """Each target once, in the order given."""
    return tuple(dict.fromkeys(targets))
