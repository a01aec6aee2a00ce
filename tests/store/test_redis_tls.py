"""A shared state behind TLS (`rediss://`): a real redis-server with a certificate of a made-up authority."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sophia_cli.core.errors import SophiaError, StateError, UsageError
from sophia_cli.core.ports import Store
from sophia_cli.store.open import open_ledger, open_state
from tests.store.forms import RedisProcess, TestClock, do, event, free_port

pytestmark = pytest.mark.server
TARGET = "dns:a.example"


@dataclass(frozen=True)
class Authority:
    """A certificate authority of one test's own."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    name: x509.Name

    @classmethod
    def make(cls, folder: Path) -> Authority:
        found = cls(folder, ec.generate_private_key(ec.SECP256R1()), _name("a made-up authority"))
        found.write("ca", found.key, found.certificate(found.name, found.key, None))
        return found

    def certificate(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, host: str | None) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if host is not None:
            alternative = x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
            builder = builder.add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, stem: str, host: str) -> None:
        """A key and a certificate for a host, as `STEM.key` and `STEM.pem`."""
        key = ec.generate_private_key(ec.SECP256R1())
        self.write(stem, key, self.certificate(_name(stem), key, host))

    def write(self, stem: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self.path(stem).write_bytes(certificate.public_bytes(Encoding.PEM))
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.path(stem, "key").write_bytes(text)

    def path(self, stem: str, kind: str = "pem") -> Path:
        return self.folder / f"{stem}.{kind}"


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


@dataclass(frozen=True)
class Served:
    """A server that takes TLS and nothing else, and the authority it belongs to."""

    port: int
    authority: Authority

    def url(self, *, ca: str | None = "ca", **options: str | Path) -> str:
        given = {"ssl_ca_certs": self.authority.path(ca)} if ca else {}
        query = "&".join(f"{name}={value}" for name, value in {**given, **options}.items())
        return f"rediss://:pass@127.0.0.1:{self.port}/0?{query}".rstrip("?")


def _serve(authority: Authority, *options: str, certificate: str = "server") -> Iterator[Served]:
    program = shutil.which("redis-server")
    if program is not None and not _knows_tls(program):
        pytest.skip("this redis-server has no TLS")
    port = free_port()
    keys = {"tls-cert-file": "pem", "tls-key-file": "key"}
    words = [word for name, kind in keys.items() for word in (f"--{name}", str(authority.path(certificate, kind)))]
    words += ["--tls-ca-cert-file", str(authority.path("ca")), "--tls-port", str(port), "--requirepass", "pass"]
    server = RedisProcess(*words, *(options or ("--tls-auth-clients", "no")))
    try:
        yield Served(port, authority)
    finally:
        server.close()


def _knows_tls(program: str) -> bool:
    """Whether the option is refused for its value, and not as one that this build does not have."""
    said = subprocess.run([program, "--tls-port", "nonsense"], capture_output=True, timeout=10)
    return b"Bad directive" not in said.stdout + said.stderr


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority.make(tmp_path)
    made.issue("server", "127.0.0.1")
    return made


@pytest.fixture
def served(authority: Authority) -> Iterator[Served]:
    yield from _serve(authority)


def use(url: str, root: Path) -> None:
    """Lock, write and read: everything that goes over the connection."""
    store = open_state(url, TestClock(), root)

    async def work(store: Store) -> None:
        async with store.locks.hold([TARGET], "deploy"):
            await store.audit.append(event("apply.begin", target=TARGET))
        assert [one.action for one in await store.audit.events()] == ["apply.begin"]
        assert (await store.audit.verify())[1] == ()
        _, calls = await open_ledger(url, "https://api.example user", TestClock()).read()
        assert calls == ()

    do(work(store))


def refusal(url: str, root: Path) -> SophiaError:
    with pytest.raises(SophiaError) as caught:
        use(url, root)
    assert "pass@" not in caught.value.message
    return caught.value


def test_the_state_is_kept_behind_tls_with_the_authority_named_in_the_url(served: Served, tmp_path: Path) -> None:
    use(served.url(), tmp_path / "local")


def test_the_authority_may_be_named_by_the_process_variable(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(served.authority.path("ca")))
    use(served.url(ca=None), tmp_path / "local")


def test_a_server_of_an_unknown_authority_is_not_believed(served: Served, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority.make(tmp_path / "other")
    for url in (served.url(ca=None), served.url(ca=None, ssl_ca_certs=other.path("ca"))):
        found = refusal(url, tmp_path / "local")
        assert isinstance(found, StateError)
        assert "certificate verify failed" in found.message
        assert "ssl_ca_certs" in (found.hint or "")


def test_a_certificate_for_another_host_is_not_believed(authority: Authority, tmp_path: Path) -> None:
    authority.issue("elsewhere", "redis.example")
    for served in _serve(authority, certificate="elsewhere"):
        found = refusal(served.url(), tmp_path / "local")
        assert "certificate verify failed" in found.message


def test_a_server_that_asks_for_a_certificate_gets_ours(authority: Authority, tmp_path: Path) -> None:
    authority.issue("client", "client.example")
    for served in _serve(authority, "--tls-auth-clients", "yes"):
        assert isinstance(refusal(served.url(), tmp_path / "local"), StateError)
        own = {"ssl_certfile": authority.path("client"), "ssl_keyfile": authority.path("client", "key")}
        use(served.url(**own), tmp_path / "local")


def test_plain_redis_to_a_tls_port_fails_and_says_so(served: Served, tmp_path: Path) -> None:
    found = refusal(f"redis://:pass@127.0.0.1:{served.port}/0", tmp_path / "local")
    assert isinstance(found, StateError)


@pytest.mark.parametrize("name", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"])
def test_a_file_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    found = refusal(f"rediss://127.0.0.1:1/0?{name}={tmp_path}/none.pem", tmp_path / "local")
    assert isinstance(found, UsageError)
    assert f"{name}: " in found.message
    assert "none.pem" in found.message


@pytest.mark.parametrize("scheme", ["redis://127.0.0.1:6379/0", "unix:///tmp/none"])
def test_tls_options_without_tls_are_refused(scheme: str, tmp_path: Path) -> None:
    found = refusal(f"{scheme}?ssl_ca_certs=ca.pem", tmp_path)
    assert isinstance(found, UsageError)
    assert "rediss" in found.message
