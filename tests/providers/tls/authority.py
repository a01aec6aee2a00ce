"""A certificate authority for tests: a root, an intermediate, and whatever leaf a test wants, right or wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM = serialization.Encoding.PEM


@cache
def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """Made once: large ones take time."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def pem_of(key: Any) -> bytes:
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, and what a server sends before and after it."""

    certificate: x509.Certificate
    key: Any
    above: tuple[x509.Certificate, ...] = ()

    def write(self, folder: Path, name: str = "server") -> Path:
        """One PEM file: key, leaf, and what is sent beside it."""
        path = folder / f"{name}.pem"
        chain = b"".join(one.public_bytes(PEM) for one in (self.certificate, *self.above))
        path.write_bytes(pem_of(self.key) + chain)
        return path

    @property
    def der(self) -> tuple[bytes, ...]:
        return tuple(one.public_bytes(serialization.Encoding.DER) for one in (self.certificate, *self.above))


@dataclass
class Authority:
    """A root and an intermediate. `now` is the time everything is dated around."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    organization: str = "Test Authority"

    @cached_property
    def root(self) -> Issued:
        return self._authority("Root", None)

    @cached_property
    def intermediate(self) -> Issued:
        return self._authority("Intermediate", self.root)

    def root_file(self, folder: Path) -> Path:
        path = folder / "root.pem"
        path.write_bytes(self.root.certificate.public_bytes(PEM))
        return path

    def authority(self, name: str, issuer: Issued | None, *, days: tuple[float, float] = (-800, 2000)) -> Issued:
        """A further authority: of its own, or below another."""
        return self._authority(name, issuer, days)

    def _authority(self, name: str, issuer: Issued | None, days: tuple[float, float] = (-800, 2000)) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(self._name(name), key, issuer, days)
        builder = builder.add_extension(x509.BasicConstraints(True, None), True).add_extension(_CA_USAGE, True)
        return Issued(builder.sign(key if issuer is None else issuer.key, hashes.SHA256()), key)

    def issue(
        self,
        *names: str,
        days: tuple[float, float] = (-30, 60),
        key: Any = None,
        issuer: Issued | None = None,
        self_signed: bool = False,
        send: Sequence[Issued] | None = None,
        subject: x509.Name | None = None,
        extensions: Sequence[x509.ExtensionType] = (),
        sans: Sequence[x509.GeneralName] | None = None,
        uses: x509.ExtendedKeyUsage | None = None,
    ) -> Issued:
        """A leaf for names and addresses, valid from and to so many days from now, sent with the intermediate."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        above = None if self_signed else issuer or self.intermediate
        subject = subject or x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0] if names else "nobody")])
        builder = self._builder(subject, key, above, days)
        listed = [_general(name) for name in names] if sans is None else list(sans)
        if listed:
            builder = builder.add_extension(x509.SubjectAlternativeName(listed), False)
        builder = builder.add_extension(uses or x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        for extension in extensions:
            builder = builder.add_extension(extension, False)
        sent = ([] if self_signed else [self.intermediate]) if send is None else send
        signed = builder.sign(key if above is None else above.key, hashes.SHA256())
        return Issued(signed, key, tuple(one.certificate for one in sent))

    def _builder(
        self, subject: x509.Name, key: Any, issuer: Issued | None, days: tuple[float, float]
    ) -> x509.CertificateBuilder:
        public = key.public_key() if issuer is None else issuer.key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if issuer is None else issuer.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now + timedelta(days=days[0]))
            .not_valid_after(self.now + timedelta(days=days[1]) - timedelta(seconds=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False)
        )

    def _name(self, name: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.organization),
                x509.NameAttribute(NameOID.COMMON_NAME, f"{self.organization} {name}"),
            ]
        )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


_CA_USAGE = x509.KeyUsage(
    digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
    data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
)  # fmt: skip
