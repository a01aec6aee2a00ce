"""Certificate signing requests (RFC 2986) as ssl.activate reads them. Does no I/O and issues nothing."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

MAX_CSR = 2000  # characters (API reference)
MIN_RSA_BITS = 2048  # CA/Browser Forum Baseline Requirements 6.1.5
_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_HOST = re.compile(rf"(\*\.)?({_LABEL}\.)+{_LABEL}\Z")


class BadRequest(Exception):
    """The request cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a signing request names: the host (a wildcard keeps its `*.`), and the two hashes that validation uses."""

    host: str
    md5: str
    sha256: str

    @property
    def validated(self) -> str:
        """The name under which control of the host is shown: a wildcard's is its parent."""
        return self.host.removeprefix("*.")


def read(pem: str) -> Request:
    """The request of a PEM text. Raises BadRequest unless it parses, is signed by its own key and names one host."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import Encoding

    if len(pem) > MAX_CSR:
        raise BadRequest(f"longer than {MAX_CSR} characters")
    try:
        found = x509.load_pem_x509_csr(pem.encode())
        names = found.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        key, is_signed = found.public_key(), found.is_signature_valid
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise BadRequest("not a PKCS #10 request in PEM") from error
    if not is_signed:
        raise BadRequest("its signature is not of its own key")
    if isinstance(key, RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise BadRequest(f"an RSA key of less than {MIN_RSA_BITS} bits")
    elif not isinstance(key, EllipticCurvePublicKey):
        raise BadRequest("a key that is neither RSA nor ECDSA")
    host = str(names[0].value).strip().lower() if len(names) == 1 else ""
    if len(host) > 253 or not _HOST.match(host):
        raise BadRequest("its common name is no host name")
    der = found.public_bytes(Encoding.DER)
    md5 = hashlib.md5(der, usedforsecurity=False).hexdigest()
    return Request(host, md5.upper(), hashlib.sha256(der).hexdigest().upper())
