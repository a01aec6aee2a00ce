"""Signed requests: keys, thumbprints, JWS in the flattened form ACME wants (RFC 8555 6.2, 7515, 7638). Sends nothing."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from sophia_cli.core.errors import CredentialsRejected, StateError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_MAC_HASHES = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}  # RFC 7518 3.2


def base64url(data: bytes) -> str:
    """Without padding, as JOSE writes it (RFC 7515 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def compact(data: object) -> bytes:
    """JSON without spaces."""
    return json.dumps(data, separators=(",", ":")).encode("utf-8")


class SigningKey:
    """A private key that signs requests: P-256 as ES256, P-384 as ES384, RSA as RS256 (RFC 7518 3.1). Shows its thumbprint."""

    def __init__(self, private: EllipticCurvePrivateKey | RSAPrivateKey) -> None:
        self._private = private
        self.algorithm, self.jwk = _public(private)
        # RFC 7638 3: the required members only, sorted, without spaces.
        canonical = json.dumps(self.jwk, separators=(",", ":"), sort_keys=True).encode("ascii")
        self.thumbprint = base64url(hashlib.sha256(canonical).digest())

    def __repr__(self) -> str:
        return f"<SigningKey {self.algorithm} {self.thumbprint}>"

    @classmethod
    def generate(cls) -> SigningKey:
        """A new P-256 key."""
        from cryptography.hazmat.primitives.asymmetric import ec

        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def of_pem(cls, pem: SecretStr, place: str) -> SigningKey:
        """The key of an unencrypted PEM text. Raises `StateError`, which names the place and shows nothing of the text."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric import ec, rsa
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            private = load_pem_private_key(pem.get_secret_value().encode("utf-8", "surrogateescape"), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # Not chained: what was wrong with a private key may quote it.
            raise StateError(
                f"{place} holds no private key that can be read",
                hint="restore it from a backup; without it the account it belongs to cannot be used",
            ) from None
        if not isinstance(private, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
            raise StateError(f"{place} holds a key of a kind that ACME cannot use", hint="use a P-256 or an RSA key")
        return cls(private)

    def pem(self) -> SecretStr:
        """The key as unencrypted PKCS #8 PEM."""
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        text = self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return SecretStr(text.decode("ascii"))

    def sign(self, data: bytes) -> bytes:
        """The signature in JOSE's form: for ECDSA the two numbers side by side (RFC 7518 3.4)."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, padding
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        if not isinstance(self._private, ec.EllipticCurvePrivateKey):
            return self._private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        size = (self._private.key_size + 7) // 8
        digest = hashes.SHA256() if size == 32 else hashes.SHA384()
        r, s = decode_dss_signature(self._private.sign(data, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    def jws(self, payload: bytes, **header: str) -> dict[str, str]:
        """A signed object; the protected header gets `alg`, and `jwk` unless a `kid` is given (RFC 8555 6.2)."""
        protected: dict[str, Any] = {"alg": self.algorithm}
        if "kid" not in header:
            protected["jwk"] = self.jwk
        return _signed(protected | header, payload, self.sign)


@dataclass(frozen=True, slots=True)
class ExternalAccount:
    """An account that one has with the authority outside ACME: the key id and MAC key it gave out (RFC 8555 7.3.4)."""

    key_id: str
    mac_key: SecretStr = field(repr=False)
    algorithm: str = "HS256"

    def binding(self, key: SigningKey, new_account_url: str) -> dict[str, str]:
        """The `externalAccountBinding` that ties our account key to it. Raises `CredentialsRejected` for a malformed MAC key."""
        secret = self._secret()
        hash_name = _MAC_HASHES.get(self.algorithm)
        if hash_name is None:
            known = ", ".join(_MAC_HASHES)
            raise CredentialsRejected(
                f"the external account wants {self.algorithm!a}, which is no MAC algorithm", hint=f"one of {known}"
            )
        protected = {"alg": self.algorithm, "kid": self.key_id, "url": new_account_url}
        return _signed(protected, compact(key.jwk), lambda data: hmac.digest(secret, data, hash_name))

    def _secret(self) -> bytes:
        text = self.mac_key.get_secret_value().strip().rstrip("=")
        try:
            # Authorities give it out as base64url; some of their pages show the other alphabet.
            secret = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if not secret:
            raise CredentialsRejected(
                "the MAC key of the external account is not base64url",
                hint="copy it again from the authority's page, whole and without quotes",
            ) from None
        return secret


def _signed(protected: dict[str, Any], payload: bytes, sign: Any) -> dict[str, str]:
    first, second = base64url(compact(protected)), base64url(payload)
    signature: bytes = sign(f"{first}.{second}".encode("ascii"))
    return {"protected": first, "payload": second, "signature": base64url(signature)}


def _public(private: EllipticCurvePrivateKey | RSAPrivateKey) -> tuple[str, dict[str, str]]:
    """The algorithm, and the public key as a JWK with its required members (RFC 7518 6.2.1, 6.3.1)."""
    from cryptography.hazmat.primitives.asymmetric import ec

    if not isinstance(private, ec.EllipticCurvePrivateKey):
        numbers = private.public_key().public_numbers()
        return "RS256", {"e": _number(numbers.e), "kty": "RSA", "n": _number(numbers.n)}
    kinds = {"secp256r1": ("ES256", "P-256", 32), "secp384r1": ("ES384", "P-384", 48)}
    if private.curve.name not in kinds:
        raise StateError(f"a key on the curve {private.curve.name} cannot sign requests", hint="use a P-256 key")
    algorithm, curve, size = kinds[private.curve.name]
    point = private.public_key().public_numbers()
    x, y = (base64url(value.to_bytes(size, "big")) for value in (point.x, point.y))
    return algorithm, {"crv": curve, "kty": "EC", "x": x, "y": y}


def _number(value: int) -> str:
    return base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))
