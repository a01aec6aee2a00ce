"""Certificates, their keys and requests, read and made with `cryptography`. Talks to nobody and verifies no trust."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from pydantic import SecretStr

from sophia_cli.core.acme import KEY_TYPES, IssuedChain, Leaf
from sophia_cli.core.dns import shown
from sophia_cli.core.errors import BadResponse, StateError, UsageError
from sophia_cli.core.renewal import certificate_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
    from cryptography.x509 import Certificate

MOST_CERTIFICATES = 20
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


class Keys:
    """Keys and requests of certificates; implements `CertificateKeys`."""

    def generate(self, key_type: str) -> SecretStr:
        """A new private key, PKCS #8 PEM, not encrypted. Raises `UsageError` for an unknown type."""
        from cryptography.hazmat.primitives.asymmetric import ec, rsa
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        if key_type not in KEY_TYPES:
            raise UsageError(
                f"ssl.key_type: {key_type!a} is unknown",
                hint=f"one of {', '.join(KEY_TYPES)}",
                details={"path": "ssl.key_type"},
            )
        kind, _, size = key_type.partition("-")
        key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
        if kind == "ec":
            key = ec.generate_private_key(ec.SECP256R1() if size == "p256" else ec.SECP384R1())
        else:
            key = rsa.generate_private_key(public_exponent=65537, key_size=int(size))
        return SecretStr(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii"))

    def request(self, key_pem: SecretStr, names: Sequence[str]) -> bytes:
        """A certificate request, DER: the names as subject alternative names and no common name (RFC 8555 7.4)."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, rsa
        from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

        try:
            key = load_pem_private_key(key_pem.get_secret_value().encode(), password=None)
        except (ValueError, TypeError):
            # Not chained: what was wrong with a private key may quote it.
            raise StateError("the key of the certificate cannot be read", hint="issue with a new key") from None
        if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
            raise StateError("the key of the certificate is of a kind that no authority takes", hint="use a new key")
        try:
            alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        except ValueError as error:
            raise UsageError("a certificate name is not in ASCII form", hint="give its xn-- form") from error
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        return builder.add_extension(alternatives, critical=False).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)

    def digest(self, key_pem: SecretStr) -> str:
        """The SHA-256 of its SubjectPublicKeyInfo, hexadecimal."""
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(key_pem.get_secret_value().encode(), password=None)
        except (ValueError, TypeError):
            raise StateError("the key of the certificate cannot be read", hint="issue with a new key") from None
        return _key_digest(key.public_key())  # type: ignore[arg-type]  # a kind no certificate has fails below, as it must

    def leaf(self, pem: str) -> Leaf:
        """The facts of the first certificate of a PEM text. Raises `BadResponse`."""
        return leaf_of(certificates_of(pem, "the certificate")[0])


def certificates_of(pem: str, what: str) -> tuple[Certificate, ...]:
    """The certificates of a PEM text, in its order. Raises `BadResponse` when there is none, or one that is cut or broken."""
    from cryptography import x509

    blocks = _BLOCK.findall(pem)
    begun = pem.count("-----BEGIN")
    if not blocks or begun != len(blocks) or pem.count("-----END") != begun or len(blocks) > MOST_CERTIFICATES:
        raise BadResponse(f"{what} is not a whole PEM text of certificates", hint="download it again")
    try:
        return tuple(x509.load_pem_x509_certificate(block.encode("ascii")) for block in blocks)
    except ValueError as error:
        raise BadResponse(f"{what} holds a certificate that cannot be read", hint="download it again") from error


def chain_of(pem: str, url: str) -> IssuedChain:
    """A downloaded chain (RFC 8555 9.1). Raises `BadResponse` when it is cut, or does not hold together."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding

    found = certificates_of(pem, f"the chain from {url}")
    for lower, upper in pairwise(found):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
            raise BadResponse(
                f"the chain from {url} does not hold together: "
                f"{shown(lower.subject.rfc4514_string(), 120)} was not issued by the next certificate",
                hint="download it again; nothing was installed",
            ) from error
    # Written anew: the answer may hold other text between the certificates.
    text = "".join(item.public_bytes(Encoding.PEM).decode("ascii") for item in found)
    issuers = tuple(item.issuer.rfc4514_string() for item in found)
    return IssuedChain(leaf_of(found[0]), text, issuers, url)


def leaf_of(certificate: Certificate) -> Leaf:
    """The facts of a certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    der = certificate.public_bytes(Encoding.DER)
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(sorted(name.lower() for name in extension.get_values_for_type(x509.DNSName)))
    except x509.ExtensionNotFound:
        names = ()
    except ValueError as error:
        raise BadResponse("a certificate has an extension that cannot be read", hint="download it again") from error
    return Leaf(
        serial=certificate.serial_number,
        names=names,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        issuer=certificate.issuer.rfc4514_string(),
        certificate_id=id_of(certificate),
        key_digest=_key_digest(certificate.public_key()),
        fingerprint=hashlib.sha256(der).hexdigest(),
        der=der,
    )


def id_of(certificate: Certificate) -> str | None:
    """Its identifier for renewal information (RFC 9773 4.1), or None when it names no key of its issuer."""
    from cryptography import x509

    try:
        issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except (x509.ExtensionNotFound, ValueError):
        return None
    return None if not issuer.key_identifier else certificate_id(issuer.key_identifier, certificate.serial_number)


def _key_digest(key: CertificatePublicKeyTypes) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
