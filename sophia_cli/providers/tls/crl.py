"""Revocation lists (RFC 5280 5): what one proves about a certificate. Fetches nothing.

Only a list that the certificate's authority signed, that covers the certificate and is still in time says anything; every
other one leaves the question *not tested*.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sophia_cli.core.endpoints import Result, failed, passed, untested, when
from sophia_cli.providers.tls.ocsp import SKEW

if TYPE_CHECKING:
    from cryptography import x509


def proof(der: bytes, leaf: x509.Certificate, issuer: x509.Certificate, now: datetime) -> Result:
    """What a list proves about the certificate: *pass* is not on it, *fail* is revoked (RFC 5280 6.3.3)."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        listed = x509.load_der_x509_crl(der)
        why = _unfit(listed, leaf, issuer, now)
        if why is not None:
            return untested(why)
        entry = listed.get_revoked_certificate_by_serial_number(leaf.serial_number)
        if entry is not None and (reason := _reason(entry)) != "removeFromCRL":
            return failed(f"revoked on {entry.revocation_date_utc:%Y-%m-%d}{f' ({reason})' if reason else ''}")
        return _absent(listed)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return untested("the list cannot be read")


def _unfit(
    listed: x509.CertificateRevocationList, leaf: x509.Certificate, issuer: x509.Certificate, now: datetime
) -> str | None:
    """Why a list says nothing about the certificate; None when it does."""
    if listed.issuer != issuer.subject or not _may_sign(issuer):
        return "the list is of another authority"
    if not listed.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]
        return "the list is not signed by the authority"
    until = listed.next_update_utc
    if listed.last_update_utc > now + SKEW:
        return f"the list holds from {when(listed.last_update_utc)} on only"
    if until is None or until < now:
        return f"the list held until {when(until)}" if until is not None else "the list has no end"
    return _scope(listed, leaf)


def _may_sign(issuer: x509.Certificate) -> bool:
    from cryptography import x509

    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True


def _scope(listed: x509.CertificateRevocationList, leaf: x509.Certificate) -> str | None:
    """Why a list is not the one the certificate is on; an authority keeps many, each for a part (RFC 5280 5.2.5)."""
    from cryptography import x509

    for extension in listed.extensions:
        value = extension.value
        if isinstance(value, x509.IssuingDistributionPoint):
            if value.only_contains_ca_certs or value.only_contains_attribute_certs:
                return "the list is not about certificates of servers"
            named = {one.value for one in value.full_name or () if isinstance(one, x509.UniformResourceIdentifier)}
            if value.indirect_crl or value.relative_name or (named and not named & set(places(leaf))):
                return "the list is about other certificates"
        elif isinstance(value, x509.DeltaCRLIndicator):
            return "the list holds changes only"
        elif extension.critical:
            return "the list has a critical extension that is not known here"
    return None


def places(leaf: x509.Certificate) -> tuple[str, ...]:
    """Where the authority that issued a certificate says that its list is."""
    from cryptography import x509

    try:
        points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return ()
    named = [name for point in points if not point.crl_issuer for name in point.full_name or ()]
    return tuple(name.value for name in named if isinstance(name, x509.UniformResourceIdentifier))


def _reason(entry: x509.RevokedCertificate) -> str:
    from cryptography import x509

    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
    except x509.ExtensionNotFound:
        return ""


def _absent(listed: x509.CertificateRevocationList) -> Result:
    from cryptography import x509

    try:
        scope = listed.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
        if scope.only_some_reasons:
            return untested("the list is about some reasons for revocation only")
    except x509.ExtensionNotFound:
        pass
    until = listed.next_update_utc
    return passed(
        "" if until is None else f"not on the list of {when(listed.last_update_utc)}, good until {when(until)}"
    )
