"""The same bytes as other people's: `acme` and `josepy`, and the vectors of the RFCs and drafts."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json

import josepy
import pytest
from acme import challenges, crypto_util, messages
from acme import client as acme_client
from acme import jws as acme_jws
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from sophia_cli.core.acme import DNS_01, DNS_PERSIST_01, Account, Directory
from sophia_cli.core.renewal import certificate_id
from sophia_cli.providers.acme.certificates import Keys, id_of, leaf_of
from sophia_cli.providers.acme.jws import ExternalAccount, SigningKey, base64url, compact
from sophia_cli.providers.acme.reading import authorization_of, hashed_account
from sophia_cli.providers.acme.transport import Answer
from tests.builders import NOW

KEYS = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "RS256": rsa.generate_private_key(65537, 2048),
}
URL = "https://ca.example/acme/new-order"


def theirs(algorithm: str) -> josepy.JWK:
    key = KEYS[algorithm]
    return josepy.JWKRSA(key=key) if isinstance(key, rsa.RSAPrivateKey) else josepy.JWKEC(key=key)


@pytest.mark.parametrize("algorithm", KEYS)
def test_thumbprints_and_public_keys_are_those_of_josepy(algorithm: str) -> None:
    ours = SigningKey(KEYS[algorithm])
    assert ours.algorithm == algorithm
    assert ours.thumbprint == base64url(theirs(algorithm).thumbprint())
    assert ours.jwk == theirs(algorithm).public_key().to_partial_json()


def test_the_thumbprint_of_the_rfc_is_reproduced() -> None:
    # RFC 7638 3.1
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMst"
        "n64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajr"
        "n1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    canonical = f'{{"e":"AQAB","kty":"RSA","n":"{modulus}"}}'.encode()
    wanted = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert base64url(hashlib.sha256(canonical).digest()) == wanted
    number = int.from_bytes(base64.urlsafe_b64decode(modulus + "=="), "big")
    public = rsa.RSAPublicNumbers(65537, number).public_key()

    class Half:
        """The private half is not in the RFC; a thumbprint needs the public one only."""

        def public_key(self) -> rsa.RSAPublicKey:
            return public

    assert SigningKey(Half()).thumbprint == wanted  # type: ignore[arg-type]


@pytest.mark.parametrize("algorithm", KEYS)
@pytest.mark.parametrize("kid", [None, "https://ca.example/acct/1"])
def test_a_signed_request_has_the_header_and_payload_of_acme_and_its_signature_is_accepted(
    algorithm: str, kid: str | None
) -> None:
    payload, nonce = b'{"identifiers":[]}', base64url(b"nonce-0123456789")
    header = {"nonce": nonce, "url": URL} | ({} if kid is None else {"kid": kid})
    ours = SigningKey(KEYS[algorithm]).jws(payload, **header)
    signature = getattr(josepy, algorithm)
    other = acme_jws.JWS.sign(
        payload, key=theirs(algorithm), alg=signature, nonce=b"nonce-0123456789", url=URL, kid=kid
    ).to_partial_json()
    assert ours.keys() == other.keys() == {"protected", "payload", "signature"}
    assert ours["payload"] == other["payload"]
    assert _decoded(ours["protected"]) == _decoded(other["protected"])
    read = acme_jws.JWS.from_json(ours)
    assert read.verify(theirs(algorithm).public_key())


def _decoded(text: str) -> object:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("padded", [True, False])
def test_an_external_account_is_bound_as_acme_binds_it(algorithm: str, padded: bool) -> None:
    secret = base64.urlsafe_b64encode(bytes(range(200, 256))).decode()
    given_key = secret if padded else secret.rstrip("=")
    directory = messages.Directory({"newAccount": "https://ca.example/acme/new-account"})
    ours = ExternalAccount("kid-1", SecretStr(given_key), algorithm).binding(
        SigningKey(KEYS["ES256"]), "https://ca.example/acme/new-account"
    )
    other = messages.ExternalAccountBinding.from_data(
        theirs("ES256").public_key(), "kid-1", secret.rstrip("="), directory, algorithm
    )
    assert _decoded(ours["protected"]) == _decoded(other["protected"])
    assert _decoded(ours["payload"]) == _decoded(other["payload"])
    assert acme_jws.JWS.from_json(ours).verify(josepy.JWKOct(key=base64.urlsafe_b64decode(secret)))


def certificate(serial: int, key_identifier: bytes | None) -> x509.Certificate:
    key = KEYS["ES256"]
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(NOW)
        .not_valid_after(NOW + datetime.timedelta(days=90))
    )
    if key_identifier is not None:
        builder = builder.add_extension(x509.AuthorityKeyIdentifier(key_identifier, None, None), critical=False)
    return builder.sign(key, hashes.SHA256())


def test_the_certificate_identifier_of_the_rfc_is_reproduced() -> None:
    # RFC 9773 4.1 and appendix A
    identifier = bytes.fromhex("69885B6B87464041E1B37B847BA0AE2CDE01C8D4")
    assert certificate_id(identifier, 0x87654321) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
    assert id_of(certificate(0x87654321, identifier)) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"


@given(st.integers(1, 2**159 - 1), st.binary(min_size=1, max_size=40))
def test_certificate_identifiers_are_those_of_acme(serial: int, key_identifier: bytes) -> None:
    made = certificate(serial, key_identifier)
    assert id_of(made) == acme_client._renewal_info_path_component(made)


def test_a_certificate_that_names_no_issuer_key_has_no_identifier() -> None:
    leaf = leaf_of(certificate(5, None))
    assert leaf.certificate_id is None
    assert leaf.names == ()
    assert leaf.serial_hex == "05"


@pytest.mark.parametrize("key_type", ["ec-p256", "ec-p384", "rsa-2048"])
def test_requests_ask_for_what_those_of_acme_ask_for(key_type: str) -> None:
    names = ["example.com", "*.example.com"]
    key = Keys().generate(key_type)
    ours = x509.load_der_x509_csr(Keys().request(key, names))
    other = x509.load_pem_x509_csr(crypto_util.make_csr(key.get_secret_value().encode(), names))
    assert ours.is_signature_valid
    assert ours.public_key() == other.public_key()
    assert ours.subject == other.subject
    wanted = x509.SubjectAlternativeName
    assert ours.extensions.get_extension_for_class(wanted) == other.extensions.get_extension_for_class(wanted)
    public = ours.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert Keys().digest(key) == hashlib.sha256(public).hexdigest()


def test_the_value_of_a_dns_01_record_is_that_of_acme() -> None:
    token = b"\x07" * 32
    item = {"type": "dns-01", "url": f"{URL}/1", "status": "pending", "token": base64url(token)}
    data = {"status": "pending", "identifier": {"type": "dns", "value": "Example.com"}, "challenges": [item]}
    directory = Directory(URL, URL, URL, URL)
    key = SigningKey(KEYS["ES256"])
    answer = Answer(URL, 200, json.dumps(data | {"wildcard": True}).encode())
    found = authorization_of(answer, directory=directory, account=Account(URL, "valid"), thumbprint=key.thumbprint)
    challenge = found.offered(DNS_01)
    assert challenge is not None
    assert challenge.txt_value == challenges.DNS01(token=token).validation(theirs("ES256"))
    assert (found.name, challenge.txt_name) == ("*.example.com", "_acme-challenge.example.com")


def test_the_hashed_account_of_the_draft_is_reproduced() -> None:
    # draft-ietf-acme-dns-persist-02 10.2
    prefix, account = "https://ca.example/account-hash/", "https://ca.example/acct/123"
    thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    hashed = hashed_account(prefix, "example.com", thumbprint, account)
    assert hashed == f"{prefix}sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw"


@pytest.mark.parametrize(("wildcard", "policy"), [(False, ""), (True, "; policy=wildcard")])
def test_a_standing_record_is_written_as_in_the_draft(wildcard: bool, policy: str) -> None:
    # draft-ietf-acme-dns-persist-02 10.1, 10.2 and 10.4
    issuers = ["authority.example", "ca.example.net"]
    item = {"type": "dns-persist-01", "url": f"{URL}/1", "status": "pending", "issuerDomainNames": issuers}
    data = {"status": "pending", "identifier": {"type": "dns", "value": "example.com"}, "challenges": [item]}
    prefix = "https://ca.example/account-hash/"
    directory = Directory(URL, URL, URL, URL, issuer_names=("authority.example",), account_hash_prefix=prefix)
    found = authorization_of(
        Answer(URL, 200, json.dumps(data | {"wildcard": wildcard}).encode()),
        directory=directory,
        account=Account("https://ca.example/acct/123", "valid"),
        thumbprint="NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
    ).offered(DNS_PERSIST_01)
    assert found is not None
    account = f"{prefix}sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw"
    assert found.txt_name == "_validation-persist.example.com"
    assert found.txt_value == f"authority.example; accounturi={account}{policy}"
    assert found.also_accepted == (f"ca.example.net; accounturi={account}{policy}",)


def test_json_is_written_without_spaces() -> None:
    assert compact({"a": [1, {"b": "ä"}]}) == rb'{"a":[1,{"b":"\u00e4"}]}'
