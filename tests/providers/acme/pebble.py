"""Real Pebbles on loopback: found on PATH or by SOPHIA_PEBBLE, told to ask the sandbox's name server."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from sophia_cli.providers.acme.client import AcmeAuthority
from sophia_cli.sandbox import Sandbox

# Looked up while tests are collected: each test then runs in a scrubbed environment.
_NAMED = [Path(text) for text in os.environ.get("SOPHIA_PEBBLE", "").split(os.pathsep) if text]
_ON_PATH = [Path(found) for name in ("pebble-newer", "pebble") if (found := shutil.which(name))]
PROGRAMS = tuple(dict.fromkeys(path for path in (*_NAMED, *_ON_PATH) if os.access(path, os.X_OK)))
MISSING = "no pebble on PATH nor in SOPHIA_PEBBLE (make test-servers)"


class BriskClock:
    """The real time, with pauses cut to a hundredth of a second: Pebble on loopback is done by then."""

    def now(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))


@dataclass
class Pebble:
    """A running Pebble."""

    port: int
    management: int
    ca_file: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def directory(self) -> str:
        return f"https://127.0.0.1:{self.port}/dir"

    def roots(self, count: int = 1) -> list[x509.Certificate]:
        """The roots it issues from, made anew at each start."""
        found = [self._get(f"/roots/{index}").content for index in range(count)]
        return [x509.load_pem_x509_certificate(pem) for pem in found]

    def status(self, serial_hex: str) -> dict[str, Any]:
        data: dict[str, Any] = self._get(f"/cert-status-by-serial/{serial_hex}").json()
        return data

    def set_renewal_info(self, pem: str, answer: str) -> None:
        """Let renewal information be this text from now on, whatever it is."""
        leaf = pem[: pem.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"
        url = f"https://127.0.0.1:{self.management}/set-renewal-info/"
        with self._http() as http:
            http.post(url, json={"Certificate": leaf, "ARIResponse": answer}).raise_for_status()

    def authority(self, key_file: Path, **options: Any) -> AcmeAuthority:
        """A client of it with an account key of its own."""
        options.setdefault("clock", BriskClock())
        return AcmeAuthority(self.directory, key_file, ca_file=self.ca_file, **options)

    def offers(self, name: str) -> bool:
        """Whether its directory has this member, of its own or of `meta`."""
        with self._http() as http:
            data = http.get(self.directory).json()
        return name in data or name in data["meta"]

    def _http(self) -> httpx.Client:
        return httpx.Client(verify=ssl.create_default_context(cafile=self.ca_file), trust_env=False)

    def _get(self, path: str) -> httpx.Response:
        with self._http() as http:
            return http.get(f"https://127.0.0.1:{self.management}{path}").raise_for_status()


@contextmanager
def running(program: Path, folder: Path, box: Sandbox, *arguments: str, **options: Any) -> Iterator[Pebble]:
    """A Pebble for as long as the block lasts; upper-case options go to its environment, the others to its file."""
    ca_file, certificate, key = _server_certificate(folder)
    port, management = _free_port(), _free_port()
    settings = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(certificate),
        "privateKey": str(key),
        "httpPort": 5002,
        "tlsPort": 5001,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
        "domainBlocklist": ["blocked.example"],  # Pebble panics when it has more labels than a name ordered
        "retryAfter": {"authz": 1, "order": 1},
        "profiles": {
            "classic": {"description": "The usual one", "validityPeriod": 7776000},
            "shortlived": {"description": "Six days", "validityPeriod": 518400},
        },
        **{name: value for name, value in options.items() if not name.isupper()},
    }
    config = folder / "pebble.json"
    config.write_text(json.dumps({"pebble": settings}))
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "PEBBLE_VA_NOSLEEP": "1",
        "PEBBLE_WFE_NONCEREJECT": "5",
        "PEBBLE_AUTHZREUSE": "0",
        **{name: str(value) for name, value in options.items() if name.isupper()},
    }
    log = folder / "pebble.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [str(program), "-config", str(config), "-dnsserver", box.dns, *arguments],
            env=environment,
            stdout=stream,
            stderr=stream,
            cwd=folder,
        )
    try:
        _wait_for(port, process, log)
        _wait_for(management, process, log)
        yield Pebble(port, management, ca_file, process)
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"pebble does not listen: {log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _server_certificate(folder: Path) -> tuple[Path, Path, Path]:
    """A CA and a certificate for Pebble's own HTTPS."""
    now = datetime.datetime.now(datetime.UTC)
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    above = f"test root {x509.random_serial_number():x}"  # two that are trusted together must not share a name

    def builder(name: str, public: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, above)]))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    authority = x509.BasicConstraints(ca=True, path_length=0)
    root = builder(above, root_key.public_key()).add_extension(authority, critical=True)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = builder("pebble", key.public_key()).add_extension(names, critical=False)
    paths = folder / "ca.pem", folder / "pebble.pem", folder / "pebble.key"
    paths[0].write_bytes(root.sign(root_key, hashes.SHA256()).public_bytes(Encoding.PEM))
    paths[1].write_bytes(leaf.sign(root_key, hashes.SHA256()).public_bytes(Encoding.PEM))
    paths[2].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths
