"""Certificates read into facts: X.509 as it is, however broken, never an error. Verifies nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING, TypeVar

from sophia_cli.core.endpoints import CertificateFacts

if TYPE_CHECKING:
    from cryptography import x509

MOST_NAMES = 1000  # of one certificate; authorities stop at 100
MOST_TEXT = 500  # characters of one text; a DNS name has 253 at most (RFC 1035 2.3.4)
MOST_URLS = 20

Value = TypeVar("Value")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
_NO_KEY: tuple[str, int | None, str | None] = ("unknown", None, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Certificates with faults make `cryptography` warn; the faults are facts here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@lru_cache(maxsize=512)
def load(der: bytes) -> x509.Certificate | None:
    """The parsed form; None for bytes that are no certificate."""
    from cryptography import x509

    with _quiet():
        try:
            return x509.load_der_x509_certificate(der)
        except (ValueError, TypeError, x509.InvalidVersion):
            return None


@lru_cache(maxsize=512)  # many hosts send the same certificates
def facts(der: bytes) -> CertificateFacts:
    """The facts of one certificate; what cannot be read is named in `problems`."""
    import hashlib

    fingerprint = hashlib.sha256(der).hexdigest()
    parsed = load(der)
    if parsed is None:
        return CertificateFacts(
            "", "", "", (), (), "", _EPOCH, _EPOCH, "unknown", None, None, "unknown", fingerprint, len(der),
            problems=("it is no X.509 certificate",),
        )  # fmt: skip
    with _quiet():
        return _Reader(parsed).facts(fingerprint, len(der))


class _Reader:
    """Reads field by field, and notes those that cannot be read."""

    def __init__(self, parsed: x509.Certificate) -> None:
        self._parsed = parsed
        self._problems: list[str] = []

    def facts(self, fingerprint: str, size: int) -> CertificateFacts:
        parsed = self._parsed
        key_type, bits, curve = self._try("the key", _key, parsed, _NO_KEY)
        names, addresses = self._try("the subjectAltName", _names, parsed, _NOTHING)
        ocsp, issuers = self._try("the authority information", _authority, parsed, _NOTHING)
        return CertificateFacts(
            subject=self._try("the subject", lambda one: _cut(one.subject.rfc4514_string()), parsed, ""),
            issuer=self._try("the issuer", lambda one: _cut(one.issuer.rfc4514_string()), parsed, ""),
            issuer_organization=self._try("the issuer", _organization, parsed, ""),
            names=names,
            addresses=addresses,
            serial=self._try("the serial number", _serial, parsed, ""),
            not_before=self._try("notBefore", lambda one: one.not_valid_before_utc, parsed, _EPOCH),
            not_after=self._try("notAfter", lambda one: one.not_valid_after_utc, parsed, _EPOCH),
            key_type=key_type,
            key_bits=bits,
            curve=curve,
            signature=self._try("the signature algorithm", _signature, parsed, "unknown"),
            fingerprint=fingerprint,
            size=size,
            scts=self._try("the timestamps", _scts, parsed, 0),
            ocsp=ocsp,
            crl=self._try("the CRL addresses", _crl, parsed, ()),
            issuer_urls=issuers,
            must_staple=self._try("the TLS features", _must_staple, parsed, False),
            is_ca=self._try("the basic constraints", _is_ca, parsed, False),
            problems=tuple(dict.fromkeys(self._problems)),
        )

    def _try(
        self, what: str, read: Callable[[x509.Certificate], Value], parsed: x509.Certificate, otherwise: Value
    ) -> Value:
        absent, unreadable = _faults()
        try:
            return read(parsed)
        except absent:
            return otherwise
        except unreadable:
            self._problems.append(f"{what} cannot be read")
            return otherwise


@cache
def _faults() -> tuple[type[Exception], tuple[type[Exception], ...]]:
    """What `cryptography` raises for a field that is not there, and for one that cannot be read."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    broken = (UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
    return x509.ExtensionNotFound, (ValueError, TypeError, OverflowError, *broken)


def _cut(text: str) -> str:
    """Foreign text, bounded."""
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 3] + "..."


def _organization(parsed: x509.Certificate) -> str:
    from cryptography.x509.oid import NameOID

    found = parsed.issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return _cut(str(found[0].value)) if found else ""


def _serial(parsed: x509.Certificate) -> str:
    text = f"{abs(parsed.serial_number):x}"
    return ("-" if parsed.serial_number < 0 else "") + text.zfill(len(text) + len(text) % 2)


def _key(parsed: x509.Certificate) -> tuple[str, int | None, str | None]:
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

    key = parsed.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA", key.key_size, None
    if isinstance(key, ec.EllipticCurvePublicKey):
        return (
            "EC",
            key.key_size,
            {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}.get(key.curve.name, key.curve.name),
        )
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "Ed25519", 256, None
    if isinstance(key, ed448.Ed448PublicKey):
        return "Ed448", 456, None
    if isinstance(key, dsa.DSAPublicKey):
        return "DSA", key.key_size, None
    return type(key).__name__.removesuffix("PublicKey"), None, None


def _signature(parsed: x509.Certificate) -> str:
    from cryptography.x509.oid import SignatureAlgorithmOID

    wanted = parsed.signature_algorithm_oid
    for name, oid in vars(SignatureAlgorithmOID).items():
        if oid == wanted:
            return name.strip("_").replace("_WITH_", " with ")
    return wanted.dotted_string


def _names(parsed: x509.Certificate) -> tuple[tuple[str, ...], tuple[str, ...]]:
    from cryptography import x509

    listed = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    names = [_cut(str(name)) for name in listed.get_values_for_type(x509.DNSName)]
    addresses = [str(address) for address in listed.get_values_for_type(x509.IPAddress)]
    return tuple(names[:MOST_NAMES]), tuple(addresses[:MOST_NAMES])


def _authority(parsed: x509.Certificate) -> tuple[tuple[str, ...], tuple[str, ...]]:
    from cryptography import x509
    from cryptography.x509.oid import AuthorityInformationAccessOID as Access

    listed = list(parsed.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value)

    def places(method: x509.ObjectIdentifier) -> tuple[str, ...]:
        found = (one.access_location for one in listed if one.access_method == method)
        urls = [_cut(str(place.value)) for place in found if isinstance(place, x509.UniformResourceIdentifier)]
        return tuple(urls[:MOST_URLS])

    return places(Access.OCSP), places(Access.CA_ISSUERS)


def _crl(parsed: x509.Certificate) -> tuple[str, ...]:
    from cryptography import x509

    listed = parsed.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    named = [name for point in listed for name in point.full_name or ()]
    urls = [_cut(str(name.value)) for name in named if isinstance(name, x509.UniformResourceIdentifier)]
    return tuple(urls[:MOST_URLS])


def _scts(parsed: x509.Certificate) -> int:
    from cryptography import x509

    kind = x509.PrecertificateSignedCertificateTimestamps
    return len(list(parsed.extensions.get_extension_for_class(kind).value))


def _must_staple(parsed: x509.Certificate) -> bool:
    from cryptography import x509

    return x509.TLSFeatureType.status_request in parsed.extensions.get_extension_for_class(x509.TLSFeature).value


def _is_ca(parsed: x509.Certificate) -> bool:
    from cryptography import x509

    return bool(parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
