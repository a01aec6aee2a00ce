"""Real name servers on loopback: NSD, Knot and BIND behind a parent zone, and a forwarder that plays the resolver."""

from __future__ import annotations

import contextlib
import shutil
import socket
import socketserver
import struct
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode

PROGRAMS = ("nsd", "knotd", "named", "dnssec-keygen", "dnssec-signzone", "dnssec-dsfromkey")
PARENT, NSD, KNOT = "127.53.1.1", "127.53.1.2", "127.53.3.4"
ROOT = "127.53.0.53"
UDP_ONLY = "127.53.5.6"  # NSD as it looks from behind a packet filter that lets no TCP through
BIND = "127.0.0.1"  # it listens at addresses of interfaces only
WAIT_S = 10.0

SOA = "@ 3600 IN SOA ns1.{zone}. hostmaster.{zone}. {serial} 14400 3600 1209600 3600\n"


def missing() -> list[str]:
    """The programs that are not installed."""
    return [
        name for name in PROGRAMS if shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin") is None
    ]


def program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin")
    assert found is not None
    return found


def zone_text(zone: str, *rows: str, hosts: Mapping[str, str], serial: int = 1) -> str:
    """A master file with its SOA, its NS set and the addresses of servers inside it."""
    lines = [f"$ORIGIN {zone}.\n$TTL 3600\n", SOA.format(zone=zone, serial=serial)]
    lines += [f"@ IN NS {host}.{zone}.\n{host} IN A {address}\n" for host, address in hosts.items()]
    return "".join([*lines, *(row + "\n" for row in rows)])


@dataclass
class Place:
    """One zone: its text at each address that serves it, and how the parent delegates it."""

    texts: dict[str, str]
    delegation: str
    signers: list[str] = field(default_factory=list)


def delegated(zone: str, hosts: Mapping[str, str]) -> str:
    """The NS set and glue that the parent has."""
    return "".join(f"{zone}. IN NS {host}.{zone}.\n{host}.{zone}. IN A {address}\n" for host, address in hosts.items())


def signed(folder: Path, zone: str, text: str, *options: str, digests: str = "-2") -> tuple[str, list[str]]:
    """A zone signed by BIND's tools with one key, and the DS records for the parent."""
    folder.mkdir(parents=True)
    file = folder / "zone"
    words = [program("dnssec-keygen"), "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", zone]
    key = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
    file.write_text(text + (folder / f"{key}.key").read_text())
    words = [program("dnssec-signzone"), "-q", "-z", "-P", "-o", zone, "-f", "signed", *options, "zone", key]
    subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    words = [program("dnssec-dsfromkey"), digests, f"{key}.key"]
    found = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True).stdout
    return (folder / "signed").read_text(), found.splitlines()


def free_port() -> int:
    """A port that is free for UDP and TCP at all the addresses."""
    while True:
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            first.bind((PARENT, 0))
            port: int = first.getsockname()[1]
            try:
                for address in (PARENT, NSD, BIND, KNOT, UDP_ONLY):
                    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                        if (address, kind) != (PARENT, socket.SOCK_STREAM):
                            stack.enter_context(socket.socket(socket.AF_INET, kind)).bind((address, port))
            except OSError:
                continue
            return port


@contextlib.contextmanager
def _daemon(words: list[str], folder: Path, address: str, port: int) -> Iterator[None]:
    log = (folder / "log").open("wb")
    process = subprocess.Popen(words, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + WAIT_S
        query = dns.message.make_query("version.bind", "TXT", "CH")
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{words[0]} did not start: {(folder / 'log').read_text(errors='replace')[-2000:]}")
            with contextlib.suppress(dns.exception.DNSException, OSError):
                dns.query.udp(query, address, port=port, timeout=0.2)
                break
        yield
    finally:
        process.terminate()
        process.wait(10)
        log.close()


@contextlib.contextmanager
def nsd(folder: Path, address: str, port: int, zones: Mapping[str, str], more: str = "") -> Iterator[None]:
    folder.mkdir()
    lines = [
        "server:", f"  ip-address: {address}@{port}", f'  zonesdir: "{folder}"', '  username: ""', '  chroot: ""',
        f'  database: ""\n  pidfile: "{folder}/pid"\n  xfrdfile: "{folder}/xfrd"\n  zonelistfile: "{folder}/list"',
        f'  logfile: "{folder}/nsd.log"\n  server-count: 1\n  xfrdir: "{folder}"\n  rrl-ratelimit: 0', more,
        "remote-control:", "  control-enable: no",
    ]  # fmt: skip
    for zone, text in zones.items():
        (folder / f"{zone}.zone").write_text(text)
        lines += ["zone:", f"  name: {zone}", f"  zonefile: {zone}.zone"]
    (folder / "nsd.conf").write_text("\n".join(lines) + "\n")
    with _daemon([program("nsd"), "-d", "-c", str(folder / "nsd.conf")], folder, address, port):
        yield


@contextlib.contextmanager
def knot(folder: Path, address: str, port: int, zones: Mapping[str, str]) -> Iterator[None]:
    folder.mkdir()
    lines = [
        "server:", f"  listen: {address}@{port}", f"  rundir: {folder}", "database:", f"  storage: {folder}",
        "log:", "- target: stderr", "  any: warning", "zone:",
    ]  # fmt: skip
    for zone, text in zones.items():
        (folder / f"{zone}.zone").write_text(text)
        lines += [
            f"- domain: {zone}",
            f"  file: {folder}/{zone}.zone",
            "  zonefile-sync: -1",
            "  journal-content: none",
        ]
    (folder / "knot.conf").write_text("\n".join(lines) + "\n")
    with _daemon([program("knotd"), "-c", str(folder / "knot.conf")], folder, address, port):
        yield


@contextlib.contextmanager
def bind(
    folder: Path, address: str, port: int, zones: Mapping[str, str], stubs: Mapping[str, str] | None = None
) -> Iterator[None]:
    """BIND as careless people run it: transfers and recursion for anybody, from the servers of `stubs` (port 53) on."""
    folder.mkdir()
    lines = [
        "options {", f'directory "{folder}"; pid-file "{folder}/pid"; session-keyfile "{folder}/key";',
        f"listen-on port {port} {{ {address}; }}; listen-on-v6 {{ none; }};",
        "recursion yes; allow-recursion { any; }; allow-query { any; }; allow-transfer { any; }; dnssec-validation no;",
        "empty-zones-enable no; notify no; };", "controls { };",
    ]  # fmt: skip
    for zone, text in zones.items():
        (folder / f"{zone}.zone").write_text(text)
        lines += [f'zone "{zone}" {{ type primary; file "{zone}.zone"; check-names ignore; check-integrity no; }};']
    for zone, server in (stubs or {}).items():
        lines += [f'zone "{zone}" {{ type static-stub; server-addresses {{ {server}; }}; }};']
    (folder / "named.conf").write_text("\n".join(lines) + "\n")
    with _daemon([program("named"), "-g", "-c", str(folder / "named.conf")], folder, address, port):
        yield


class Forwarder:
    """What a resolver does for us: each question goes to a server of the longest zone it lies in; the rest does not exist."""

    def __init__(self, routes: Mapping[str, tuple[str, int]]) -> None:
        self.routes = dict(routes)
        self.asked: list[str] = []
        owner = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, sock = self.request
                answer = owner.answer(data)
                if answer is not None:
                    sock.sendto(answer, self.client_address)

        self._server = socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def answer(self, data: bytes) -> bytes | None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        self.asked.append(f"{name} {dns.rdatatype.to_text(question.rdtype)}")
        fits = [zone for zone in self.routes if name == zone or name.endswith("." + zone)]
        if not fits:
            response = dns.message.make_response(query)
            response.set_rcode(dns.rcode.NXDOMAIN)
        else:
            address, port = self.routes[max(fits, key=len)]
            asked = dns.message.make_query(question.name, question.rdtype)
            try:
                response, _ = dns.query.udp_with_fallback(asked, address, port=port, timeout=1.0)
            except (dns.exception.DNSException, OSError):
                response = dns.message.make_response(query)
                response.set_rcode(dns.rcode.SERVFAIL)
            response.id = query.id
        response.flags |= dns.flags.RA | dns.flags.RD | dns.flags.QR
        response.flags &= ~dns.flags.AA
        return response.to_wire(max_size=1232, prefer_truncation=True)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def relay(address: str, port: int, server: str) -> Iterator[None]:
    """A server's UDP port at another address, where nothing listens on TCP."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, sock = self.request
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as behind, contextlib.suppress(TimeoutError):
                behind.settimeout(1.0)
                behind.sendto(data, (server, port))
                sock.sendto(behind.recv(65535), self.client_address)

    with socketserver.ThreadingUDPServer((address, port), Handler) as front:
        front.daemon_threads = True
        threading.Thread(target=front.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield
        finally:
            front.shutdown()


class Fake:
    """A UDP server whose answers a test writes byte by byte: `reply` takes a question and gives the datagrams to send."""

    def __init__(self, reply: Any) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, sock = self.request
                for answer in reply(data):
                    sock.sendto(answer, self.client_address)

        self._server = socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def header(
    query: bytes, flags: int = 0x8400, counts: tuple[int, int, int, int] = (1, 0, 0, 0), id: int | None = None
) -> bytes:
    """A header that answers a query."""
    return struct.pack("!HHHHHH", struct.unpack("!H", query[:2])[0] if id is None else id, flags, *counts)
