"""Inspection of 100 TLS hosts on loopback, beside one plain `ssl` handshake after the other. Needs no network.

The hosts are 100 ports of one process of their own, each with a certificate of its own. Loopback has no latency, so each
figure is given twice: as it is, and with hosts that wait before each answer as a network would. The hosts work on the same
CPUs, so what the asking side itself computes is given too. Each figure is the best of three.

    .venv/bin/python bench/run.py --only tls
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sophia_cli.providers.tls.inspector import Depth

HOST = "www.bench.test"
HOSTS = 100
DELAY_S = 0.03  # what one round trip inside Europe takes


def measure(row: Callable[..., None]) -> None:
    """Print the figures through `row(name, figure, beside)`."""
    depths: tuple[tuple[Depth, str], ...] = (
        ("certificate", "one handshake"),
        ("weak", "+ resumption, versions, weak"),
        ("all", "+ every suite"),
    )
    for delay_s in (0.0, DELAY_S):
        with _hosts(delay_s) as (ports, root):
            where = f"{HOSTS} hosts" if not delay_s else f"{HOSTS} hosts, {delay_s * 1000:.0f} ms"
            base, cpu, count = _best(lambda: _one_after_the_other(ports))
            row(f"{where}: plain ssl, one by one", f"{base:8.3f} s, {cpu:.3f} s of CPU, {count} handshakes")
            for depth, what in depths:
                took, cpu, proven = _best(lambda depth=depth: _inspected(ports, root, depth))
                shown = f"{took:8.3f} s, {cpu:.3f} s of CPU, {proven} facts"
                row(f"  sophia, {what}", shown, f"{base / took:.2f} x as fast as plain ssl")


def _best(run: Callable[[], int]) -> tuple[float, float, int]:
    """Wall seconds and CPU seconds of the asking side, each the least of three, and what the last run counted."""
    walls, cpus, count = [], [], 0
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        count = run()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return min(walls), min(cpus), count


def _one_after_the_other(ports: list[int]) -> int:
    using = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    using.check_hostname = False
    using.verify_mode = ssl.CERT_NONE
    for port in ports:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            using.wrap_socket(plain, server_hostname=HOST) as wrapped,
        ):
            assert wrapped.getpeercert(binary_form=True)
    return len(ports)


def _inspected(ports: list[int], root: Path, depth: Depth) -> int:
    """How many three-valued answers are known afterwards."""
    from sophia_cli.core.endpoints import Target
    from sophia_cli.providers.tls.inspector import inspect
    from sophia_cli.providers.tls.trust import Roots, of_file

    targets = [Target(HOST, port, None, ("127.0.0.1",)) for port in ports]
    roots = Roots(of_file(root))
    found = asyncio.run(inspect(targets, now=datetime.now(UTC), roots=roots, depth=depth))
    served = [one for endpoint in found for one in endpoint.served]
    assert len(served) == HOSTS
    assert all(one.chain.trust and one.name for one in served)
    answers = [
        result
        for one in served
        for result in (
            *(one.spoken, one.chain.trust, one.name, one.resumption, one.staple, one.client_certificate),
            *one.versions.values(),
        )
    ]
    return sum(result.is_known for result in answers) + sum(len(one.suites) for one in served)


@contextlib.contextmanager
def _hosts(delay_s: float) -> Iterator[tuple[list[int], Path]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _certificates(folder)
        words = [sys.executable, __file__, str(folder), str(delay_s)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            try:
                yield json.loads(process.stdout.readline()), folder / "root.pem"
            finally:
                process.kill()


def _certificates(folder: Path) -> None:
    """A root, and for each host a leaf of it with its key, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    now = datetime.now(UTC)
    top = ec.generate_private_key(ec.SECP256R1())
    root_name, name = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("Bench Root", HOST))

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(root_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=60))
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(top.public_key()), False)
        )

    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    root = builder(root_name, top.public_key()).add_extension(x509.BasicConstraints(True, None), True)
    root = root.add_extension(usage, True)
    root = root.add_extension(x509.SubjectKeyIdentifier.from_public_key(top.public_key()), False)
    (folder / "root.pem").write_bytes(root.sign(top, hashes.SHA256()).public_bytes(Encoding.PEM))
    for number in range(HOSTS):
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = builder(name, key.public_key()).add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), False)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        signed = leaf.sign(top, hashes.SHA256()).public_bytes(Encoding.PEM)
        (folder / f"host-{number}.pem").write_bytes(private + signed)


def _serve(folder: Path, delay_s: float) -> None:
    """The hosts: print their ports, then serve until killed."""

    def one(plain: socket.socket, using: ssl.SSLContext) -> None:
        with contextlib.suppress(OSError), plain:
            time.sleep(delay_s)
            with using.wrap_socket(plain, server_side=True) as wrapped:
                while wrapped.recv(4096):
                    pass

    def host(listener: socket.socket, number: int) -> None:
        using = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        using.load_cert_chain(folder / f"host-{number}.pem")
        while True:
            threading.Thread(target=one, args=(listener.accept()[0], using), daemon=True).start()

    listeners = [socket.create_server(("127.0.0.1", 0), backlog=64) for _ in range(HOSTS)]
    for number, listener in enumerate(listeners):
        threading.Thread(target=host, args=(listener, number), daemon=True).start()
    print(json.dumps([listener.getsockname()[1] for listener in listeners]), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), float(sys.argv[2]))
