"""Certificates for tests: a small authority that signs what it is given, and values for the store."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from sophia_cli.core.certificates import Installed

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)


def new_key() -> tuple[ec.EllipticCurvePrivateKey, SecretStr]:
    key = ec.generate_private_key(ec.SECP256R1())
    return key, SecretStr(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


@dataclass
class Signer:
    """An intermediate that signs leaves; `pem` is its own certificate."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    name: str = "test intermediate"

    @property
    def _name(self) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])

    @property
    def pem(self) -> str:
        basic = x509.BasicConstraints(ca=True, path_length=0)
        made = self._builder(self._name, self.key.public_key(), 90 * DAY).add_extension(basic, critical=True)
        return made.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, valid: datetime.timedelta
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW)
            .not_valid_after(NOW + valid)
        )

    def leaf(self, key: ec.EllipticCurvePublicKey, *names: str, valid: datetime.timedelta = 90 * DAY) -> str:
        """A leaf's PEM."""
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        made = self._builder(x509.Name([]), key, valid).add_extension(alternatives, critical=True)
        made = made.add_extension(issuer, critical=False)
        return made.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def facts(pem: str, version: str, authority: str = "https://ca.example/dir") -> Installed:
    """What the store is told about a leaf."""
    leaf = x509.load_pem_x509_certificate(pem.encode())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    text = f"{leaf.serial_number:x}"
    return Installed(
        version=version,
        names=tuple(sorted(names.get_values_for_type(x509.DNSName))),
        serial=text.rjust(len(text) + len(text) % 2, "0"),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        issuer="CN=test intermediate",
        key_type="ec-p256",
        authority=authority,
        approved="ops@host (cert issue)",
    )
