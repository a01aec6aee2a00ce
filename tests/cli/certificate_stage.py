"""A stage for certificate commands: a real Pebble that asks the sandbox's name server, and an environment over both."""

from __future__ import annotations

import contextlib
import json
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rdatatype

from sophia_cli.sandbox import Sandbox, peek, running, seed
from tests.cli.harness import Ran, run
from tests.providers.acme import pebble
from tests.providers.acme.pebble import Pebble

ZONE, OTHER = "acme.example", "validation.example"
ROWS: tuple[tuple[Any, ...], ...] = (
    ("@", "A", "127.0.0.1", 1799),
    ("@", "MX", "mail.acme.example.", 1800, 10),
    ("@", "TXT", 'v=spf1 mx -all; "quoted" <&> +', 1799),
    ("_acme-challenge", "TXT", "C" * 43, 300),
    ("_acme-challenge.www", "CNAME", "www.validation.example.", 1800),
)
OTHER_ROWS = (("keep", "A", "203.0.113.9", 1800),)


@dataclass
class Stage:
    """One environment of its own on servers that are shared."""

    box: Sandbox
    ca: Pebble
    data: Path
    file: Path
    name: str = ZONE
    """Of the certificate that is looked at."""

    @property
    def state(self) -> Path:
        return self.file.parent / ".sophia"

    @property
    def current(self) -> Path:
        return self.state / "certificates" / self.name / "current"

    def environment(self, *domains: str, more: str = "", **ssl: str) -> None:
        """Write it: the domains of the certificate, further `ssl` keys, further sections."""
        own = {"directory": self.ca.directory, "ca_file": str(self.ca.ca_file), "profile": "classic"}
        keys = {**own, "email": "ops@acme.example", **ssl}
        lines = ["values:", "  dns:", f'    nameservers: ["{self.box.dns}"]', "    domains:"]
        lines += [f"      {ZONE}: {{email_type: MX}}", f"      {OTHER}: {{}}"]
        lines += ["  namecheap:", f"    endpoint: {self.box.endpoint}"]
        lines += [
            f"    {key}: {{fn::secret: {value}}}"
            for key, value in (
                ("api_user", self.box.api_user),
                ("api_key", self.box.api_key),
                ("username", self.box.username),
            )
        ]
        lines += ["  ssl:", f"    domains: {json.dumps(domains or [ZONE])}"]
        lines += [f"    {key}: {value}" for key, value in keys.items()]
        lines += [f"  {line}" for line in more.splitlines()]
        self.file.write_text("\n".join(lines) + "\n")

    def run(self, *words: str, wait: str = "0") -> Ran:
        return run(*words, "-e", str(self.file), "--wait", wait)

    def rows(self) -> dict[str, Any]:
        """What both zones hold, read beside the API, with everything a write could lose."""
        found = {}
        for zone in (ZONE, OTHER):
            domain = peek(self.data, zone)
            assert domain is not None
            found[zone] = (domain.email_type, {(r.name, r.type, r.address, r.ttl, r.mx_pref) for r in domain.rows})
        return found

    def age(self, days: int) -> None:
        """Let the installed certificate be this much older: what is noted of it, not the certificate, says when."""
        path = self.current / "certificate.json"
        facts = json.loads(path.read_text())
        for key in ("not_before", "not_after"):
            facts[key] = (datetime.fromisoformat(facts[key]) - timedelta(days=days)).isoformat()
        path.write_text(json.dumps(facts))
        if self.ca.offers("renewalInfo"):  # its advice has to age as well
            start, end = datetime.now().astimezone() - timedelta(days=2), datetime.now().astimezone()
            window = {"start": start.isoformat(), "end": (end - timedelta(days=1)).isoformat()}
            answer = json.dumps({"suggestedWindow": window})
            self.ca.set_renewal_info((self.current / "cert.pem").read_text(), answer)
            (self.state / "renewals" / f"{self.name}.json").unlink(missing_ok=True)

    def listed(self) -> Any:
        [entry] = self.run("cert", "list", "-o", "json").data["certificates"]
        return entry

    def orders(self) -> int:
        """How many orders the authority has taken."""
        log = (self.ca.ca_file.parent / "pebble.log").read_text()
        return log.count("POST /order-plz")

    def openssl_accepts(self, name: str) -> bool:
        """Whether `openssl verify` takes the installed chain for a name against the authority's root."""
        root = self.file.parent / "root.pem"
        from cryptography.hazmat.primitives.serialization import Encoding

        root.write_bytes(self.ca.roots()[0].public_bytes(Encoding.PEM))
        words = ["openssl", "verify", "-CAfile", str(root), "-untrusted", str(self.current / "chain.pem")]
        done = subprocess.run(
            [*words, "-verify_hostname", name, str(self.current / "cert.pem")], capture_output=True, check=False
        )
        return done.returncode == 0


@contextlib.contextmanager
def servers(folder: Path, **more: Any) -> Iterator[tuple[Sandbox, Pebble, Path]]:
    """A sandbox with both zones, and a Pebble that asks it, with `more` options. Its certificates are valid for 90 days."""
    data = folder / "namecheap.json"
    put_back(data)
    with running(data) as box:
        inner = folder / "pebble"
        inner.mkdir()
        # A certificate is there in no time, so nobody is told to ask for it a second later.
        options = {"certificateValidityPeriod": 90 * 86400, "retryAfter": {"authz": 0, "order": 0}, **more}
        with resolver(box.dns) as dns:
            asked = replace(box, dns=dns)
            with pebble.running(pebble.PROGRAMS[0], inner, asked, "-strict=false", **options) as ca:
                yield box, ca, data


@contextlib.contextmanager
def resolver(authoritative: str) -> Iterator[str]:
    """A resolver that asks one server and follows CNAMEs from zone to zone, as an authority's own does; Pebble does not."""
    host, port = authoritative.split(":")

    def answer(wire: bytes) -> bytes:
        query = dns.message.from_wire(wire)
        response = dns.message.make_response(query)
        name, kind = query.question[0].name, query.question[0].rdtype
        for _ in range(8):
            asked = dns.message.make_query(name, kind)
            found = dns.query.tcp(asked, host, port=int(port), timeout=5)
            response.answer += found.answer
            response.set_rcode(found.rcode())
            aliases = [rrset[0].target for rrset in found.answer if rrset.rdtype == dns.rdatatype.CNAME]
            if not aliases or any(rrset.rdtype == kind for rrset in found.answer):
                break
            name = aliases[-1]
        return response.to_wire()

    class Udp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request[1].sendto(answer(self.request[0]), self.client_address)

    class Tcp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while head := self.rfile.read(2):
                wire = answer(self.rfile.read(int.from_bytes(head, "big")))
                self.wfile.write(len(wire).to_bytes(2, "big") + wire)

    with (
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tcp) as tcp,
        socketserver.ThreadingUDPServer(tcp.server_address, Udp) as udp,
    ):
        tcp.daemon_threads = udp.daemon_threads = True
        threads = [threading.Thread(target=one.serve_forever, args=(0.05,)) for one in (tcp, udp)]
        for thread in threads:
            thread.start()
        try:
            yield f"127.0.0.1:{tcp.server_address[1]}"
        finally:
            for one, thread in zip((tcp, udp), threads, strict=True):
                one.shutdown()
                thread.join()


def put_back(data: Path) -> None:
    """Both zones as at the start."""
    seed(data, ZONE, email_type="MX", rows=ROWS)
    seed(data, OTHER, email_type="NONE", rows=OTHER_ROWS)
