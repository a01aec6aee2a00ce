"""PEM texts of keys and chains, held against each other before they are installed. Trusts no authority's word."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import SecretStr

from sophia_cli.core.errors import BadResponse

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\r\n]+-----END CERTIFICATE-----")


def blocks(chain: str) -> tuple[str, ...]:
    """The certificates of a PEM chain, each with a final line end (RFC 7468 5)."""
    return tuple(found.replace("\r\n", "\n") + "\n" for found in _CERTIFICATE.findall(chain))


def refuse_mismatch(key: SecretStr, chain: str, names: Sequence[str]) -> None:
    """Raise `BadResponse` unless key, leaf, names and the order of the chain belong together."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        leaf, *rest = (x509.load_pem_x509_certificate(block.encode()) for block in blocks(chain))
        private = load_pem_private_key(key.get_secret_value().encode(), None)
        if private.public_key() != leaf.public_key():
            raise BadResponse("the certificate that came is for another key; it was not installed")
        alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        told = {name.lower() for name in alternative.get_values_for_type(x509.DNSName)}
        if told != set(names):
            raise BadResponse(
                f"the certificate that came is for {', '.join(sorted(told))}, not for {', '.join(names)}; "
                "it was not installed"
            )
        child = leaf
        for parent in rest:
            child.verify_directly_issued_by(parent)
            child = parent
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.ExtensionNotFound) as exc:
        raise BadResponse(f"the chain that came does not hold together ({type(exc).__name__}); not installed") from exc
