"""OCSP (RFC 6960): the question about one certificate, and what an answer proves. Asks nobody.

Only an answer that is signed for this certificate's authority, about this certificate and still in time says anything;
every other one leaves the question *not tested*.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sophia_cli.core.endpoints import Result, failed, passed, untested, when

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.x509 import ocsp

SKEW = timedelta(minutes=5)  # by which the authority's clock may be ahead of ours
LONGEST = timedelta(days=10)  # an answer without nextUpdate is taken for as long as one may last (BR 4.9.10)


def question(leaf: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """The request in DER. The hash is SHA-1, which names the authority and proves nothing (RFC 5019 2.1.1)."""
    from cryptography.hazmat.primitives.hashes import SHA1
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.ocsp import OCSPRequestBuilder

    return OCSPRequestBuilder().add_certificate(leaf, issuer, SHA1()).build().public_bytes(Encoding.DER)


def proof(der: bytes, leaf: x509.Certificate, issuer: x509.Certificate, now: datetime) -> Result:
    """What a response proves about the certificate: *pass* is good, *fail* is revoked (RFC 6960 3.2)."""
    from cryptography import x509 as certificates
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.x509 import ocsp

    try:
        response = ocsp.load_der_ocsp_response(der)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return untested(f"the answer is the error {response.response_status.name.lower()}")
        about = next((one for one in response.responses if _is_about(one, leaf, issuer)), None)
        if about is None:
            return untested("the answer is about another certificate")
        _verify(response, issuer, now)
        return _said(about, now)
    except InvalidSignature:
        return untested("the answer is not signed by the authority")
    except (ValueError, TypeError, UnsupportedAlgorithm, certificates.InvalidVersion):
        return untested("the answer cannot be read")


def _is_about(one: ocsp.OCSPSingleResponse, leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether it names this serial number of this authority; a number alone says nothing (RFC 6960 4.1.1)."""
    from cryptography.x509.ocsp import OCSPRequestBuilder

    if one.serial_number != leaf.serial_number:
        return False
    wanted = OCSPRequestBuilder().add_certificate(leaf, issuer, one.hash_algorithm).build()
    return (one.issuer_name_hash, one.issuer_key_hash) == (wanted.issuer_name_hash, wanted.issuer_key_hash)


def _said(one: ocsp.OCSPSingleResponse, now: datetime) -> Result:
    from cryptography.x509.ocsp import OCSPCertStatus

    until = one.next_update_utc or one.this_update_utc + LONGEST
    if one.this_update_utc > now + SKEW:
        return untested(f"the answer holds from {when(one.this_update_utc)} on only")
    if until < now:
        return untested(f"the answer held until {when(until)}")
    if one.certificate_status is OCSPCertStatus.GOOD:
        return passed(f"good until {when(until)}")
    if one.certificate_status is OCSPCertStatus.UNKNOWN:
        return untested("the authority does not know the certificate")
    moment = one.revocation_time_utc
    reason = "" if one.revocation_reason is None else f" ({one.revocation_reason.value})"
    return failed(f"revoked{'' if moment is None else f' on {moment:%Y-%m-%d}'}{reason}")


def _verify(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> None:
    """Raises `InvalidSignature` unless the authority signed it, or whom it certified for that (RFC 6960 4.2.2.2)."""
    from cryptography.exceptions import InvalidSignature

    for signer in (issuer, *response.certificates):
        if _names(response, signer) and (signer is issuer or _may_answer(signer, issuer, now)):
            _verify_by(response, signer.public_key())
            return
    raise InvalidSignature


def _names(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    from cryptography.x509 import SubjectKeyIdentifier

    if response.responder_name is not None:
        return response.responder_name == signer.subject
    return response.responder_key_hash == SubjectKeyIdentifier.from_public_key(signer.public_key()).digest


def _may_answer(signer: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        signer.verify_directly_issued_by(issuer)
        uses = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (
        ValueError,
        TypeError,
        InvalidSignature,
        UnsupportedAlgorithm,
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
    ):
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in uses and signer.not_valid_before_utc <= now <= signer.not_valid_after_utc


def _verify_by(response: ocsp.OCSPResponse, key: Any) -> None:
    """Raises `InvalidSignature`, and `UnsupportedAlgorithm` for SHA-1 and for what is not known here."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

    signature, text = response.signature, response.tbs_response_bytes
    if isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
        key.verify(signature, text)
        return
    hashed = response.signature_hash_algorithm
    if hashed is None or hashed.name in ("md5", "sha1"):
        raise UnsupportedAlgorithm("a signature of no current kind")
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, text, padding.PKCS1v15(), hashed)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, text, ec.ECDSA(hashed))
    else:
        raise UnsupportedAlgorithm("a key of no known kind")
