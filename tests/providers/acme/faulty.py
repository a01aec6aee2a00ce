"""An authority that misbehaves on demand: real HTTP on loopback, every signature checked by another implementation."""

from __future__ import annotations

import base64
import datetime
import json
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import josepy
from acme import jws as acme_jws
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

ERROR = "urn:ietf:params:acme:error:"


@dataclass
class Fault:
    """What happens instead of the answer to a step, `times` over.

    `lost` drops the connection without a word: the step is carried out when `executed`, and otherwise was never seen.
    """

    step: str
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    times: int = 1
    lost: bool = False
    executed: bool = False


def problem(kind: str, detail: str = "", **more: Any) -> bytes:
    return json.dumps({"type": ERROR + kind, "detail": detail, **more}).encode()


class FaultyAuthority:
    """The state of one authority, small and honest but for its faults."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.steps: list[str] = []  # of the requests that came, in their order
        self.payloads: list[tuple[str, Any]] = []
        self.nonces: set[str] = set()
        self.gives_nonces = True
        self.count = 0
        self.accounts: dict[str, tuple[str, josepy.JWK]] = {}  # by thumbprint
        self.status = {"order": "pending", "authorization": "pending", "challenge": "pending"}
        self.after_answer = "valid"  # what an authorization becomes when its challenge is answered
        self.after_finalize = "valid"
        self.authorization_error: dict[str, Any] | None = None
        self.order_error: dict[str, Any] | None = None
        self.names: list[str] = []
        self.order_extra: dict[str, Any] = {}
        self.retry_after: str | None = None  # while something is under way
        self.pem = ""
        self.renewal: tuple[int, dict[str, str], bytes] = (200, {}, b"{}")
        self.meta: dict[str, Any] = {"termsOfService": "https://ca.example/terms"}
        self.challenges: list[dict[str, Any]] = []
        self.directory_extra: dict[str, Any] = {}
        self.token = "token-AAAAAAAAAAAAAAAAAAAAAA"
        self.base = ""
        self.links: list[str] = []

    @property
    def directory(self) -> str:
        return self.base + "/directory"

    def fail(self, step: str, status: int = 500, body: bytes = b"", times: int = 1, **headers: str) -> None:
        """Answer this instead, `times` over; underscores in header names stand for dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.faults.append(Fault(step, status, named, body, times))

    def lose(self, step: str, *, executed: bool) -> None:
        """Drop the connection instead of answering once."""
        self.faults.append(Fault(step, lost=True, executed=executed))

    def came(self, step: str) -> int:
        """How often a step was asked for."""
        return self.steps.count(step)

    def nonce(self) -> str:
        self.count += 1
        text = base64.urlsafe_b64encode(b"nonce-%06d" % self.count).rstrip(b"=").decode()
        self.nonces.add(text)
        return text

    def fault_for(self, step: str) -> Fault | None:
        for item in self.faults:
            if item.step == step and item.times > 0:
                item.times -= 1
                return item
        return None

    # -- the steps ---------------------------------------------------------------------------------------------------

    def carry_out(self, step: str, payload: Any, header: Any) -> tuple[int, dict[str, str], Any]:
        self.payloads.append((step, payload))
        answer: tuple[int, dict[str, str], Any] = getattr(self, "_" + step.replace("-", "_"))(payload, header)
        return answer

    def _new_account(self, payload: Any, header: Any) -> tuple[int, dict[str, str], Any]:
        mark = base64.urlsafe_b64encode(header.jwk.thumbprint()).decode()
        known = mark in self.accounts
        if not known and payload.get("onlyReturnExisting"):
            return 400, {}, {"type": ERROR + "accountDoesNotExist", "detail": "no such account"}
        url, _ = self.accounts.setdefault(mark, (f"{self.base}/account/{len(self.accounts) + 1}", header.jwk))
        return 200 if known else 201, {"Location": url}, {"status": "valid", "orders": url + "/orders"}

    def _account(self, payload: Any, header: Any) -> tuple[int, dict[str, str], Any]:
        return 200, {}, {"status": (payload or {}).get("status", "valid")}

    def _new_order(self, payload: Any, header: Any) -> tuple[int, dict[str, str], Any]:
        self.names = [item["value"] for item in payload["identifiers"]]
        self.status = {"order": "pending", "authorization": "pending", "challenge": "pending"}
        return 201, {"Location": self.base + "/order"}, self._order_data(**{**payload, "identifiers": None})

    def _order(self, payload: Any, header: Any) -> tuple[int, dict[str, str], Any]:
        return 200, self._pause(self.status["order"] in ("pending", "processing")), self._order_data()

    def _order_data(self, **extra: Any) -> dict[str, Any]:
        data: dict[str, Any] = {
            "status": self.status["order"],
            "expires": "2099-01-01T00:00:00Z",
            "identifiers": [{"type": "dns", "value": name} for name in self.names],
            "authorizations": [f"{self.base}/authorization/{index}" for index, _ in enumerate(self.names)],
            "finalize": self.base + "/finalize",
            **{key: value for key, value in extra.items() if key in ("profile", "replaces") and value},
            **self.order_extra,
        }
        if self.status["order"] == "valid":
            data["certificate"] = self.base + "/certificate"
        if self.order_error:
            data["error"] = self.order_error
        return data

    def _authorization(self, payload: Any, header: Any, index: int = 0) -> tuple[int, dict[str, str], Any]:
        if payload:
            self.status["authorization"] = payload["status"]
        name = self.names[index]
        data: dict[str, Any] = {
            "status": self.status["authorization"],
            "expires": "2099-01-01T00:00:00Z",
            "identifier": {"type": "dns", "value": name.removeprefix("*.")},
            "challenges": self.challenges or [self._challenge_data()],
        }
        if name.startswith("*."):
            data["wildcard"] = True
        return 200, self._pause(self.status["authorization"] == "pending"), data

    def _challenge_data(self) -> dict[str, Any]:
        data = {
            "type": "dns-01",
            "url": self.base + "/challenge",
            "token": self.token,
            "status": self.status["challenge"],
        }
        return data | ({"error": self.authorization_error} if self.authorization_error else {})

    def _challenge(self, payload: Any, header: Any) -> tuple[int, dict[str, str], Any]:
        if payload is not None:
            self.status["challenge"] = "processing"
            self.status["authorization"] = self.after_answer
            self.status["order"] = {"valid": "ready", "invalid": "invalid"}.get(self.after_answer, "pending")
        return 200, {}, self._challenge_data()

    def _finalize(self, payload: Any, header: Any) -> tuple[int, dict[str, str], Any]:
        if self.status["order"] != "ready":
            return 403, {}, {"type": ERROR + "orderNotReady", "detail": f"the order is {self.status['order']}"}
        self.status["order"] = self.after_finalize
        der = base64.urlsafe_b64decode(payload["csr"] + "==")
        self.pem = self.pem or issue(x509.load_der_x509_csr(der))
        return 200, self._pause(True), self._order_data()

    def _certificate(self, payload: Any, header: Any) -> tuple[int, dict[str, str], Any]:
        return 200, {"Content-Type": "application/pem-certificate-chain"}, self.pem.encode()

    def _revoke(self, payload: Any, header: Any) -> tuple[int, dict[str, str], Any]:
        if "revoke" in [step for step, _ in self.payloads[:-1]]:
            return 400, {}, {"type": ERROR + "alreadyRevoked"}
        return 200, {}, b""

    def _key_change(self, payload: Any, header: Any) -> tuple[int, dict[str, str], Any]:
        inner = acme_jws.JWS.from_json(payload)
        key = inner.signature.combined.jwk
        assert inner.verify(key)
        mark = base64.urlsafe_b64encode(key.thumbprint()).decode()
        self.accounts = {mark: (json.loads(inner.payload)["account"], key)}
        return 200, {}, {"status": "valid"}

    def _pause(self, is_under_way: bool) -> dict[str, str]:
        return {"Retry-After": self.retry_after} if self.retry_after and is_under_way else {}


def issue(request: x509.CertificateSigningRequest) -> str:
    """A chain of two for a request."""
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    root_key = ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Faulty Root")])
    base = (
        x509.CertificateBuilder()
        .issuer_name(root_name)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=90))
    )
    root = (
        base.subject_name(root_name)
        .public_key(root_key.public_key())
        .serial_number(1)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    leaf = (
        base.subject_name(x509.Name([]))
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(names, critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    return "".join(item.public_bytes(Encoding.PEM).decode() for item in (leaf, root))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    wbufsize = -1  # an answer in one piece: else each waits for an acknowledgement
    disable_nagle_algorithm = True
    authority: FaultyAuthority

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self) -> None:
        here, body = self.authority, self.rfile.read(int(self.headers.get("Content-Length") or 0))
        step, _, rest = self.path.strip("/").partition("/")
        here.steps.append(step)
        fault = here.fault_for(step)
        if fault is not None and not (fault.lost and fault.executed):
            if fault.lost:
                return self._drop()
            return self._send(fault.status, dict(fault.headers), fault.body)
        status, headers, data = self._carried_out(step, rest, body)
        if fault is not None:
            return self._drop()
        self._send(status, headers, data)

    def _carried_out(self, step: str, rest: str, body: bytes) -> tuple[int, dict[str, str], Any]:
        here = self.authority
        if step == "directory":
            steps = {
                "newNonce": "new-nonce",
                "newAccount": "new-account",
                "newOrder": "new-order",
                "revokeCert": "revoke",
                "keyChange": "key-change",
                "renewalInfo": "renewal-info",
            }
            urls = {name: f"{here.base}/{path}" for name, path in steps.items()}
            return 200, {}, {**urls, "meta": here.meta, **here.directory_extra}
        if step == "new-nonce":
            return 200, {}, b""
        if step == "renewal-info":
            status, headers, data = here.renewal
            return status, headers, data
        signed = acme_jws.JWS.json_loads(body.decode())
        header = signed.signature.combined
        nonce = base64.urlsafe_b64encode(header.nonce).rstrip(b"=").decode()
        if nonce not in here.nonces:
            return 400, {}, {"type": ERROR + "badNonce"}
        here.nonces.discard(nonce)
        assert header.url == here.base + self.path
        key = header.jwk or dict(here.accounts.values())[header.kid]
        assert signed.verify(key)
        payload = json.loads(signed.payload) if signed.payload else None
        if step == "authorization":
            here.payloads.append((step, payload))
            return here._authorization(payload, header, int(rest))
        return here.carry_out(step, payload, header)

    def _send(self, status: int, headers: dict[str, str], data: Any) -> None:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        if self.authority.gives_nonces and self.command != "GET":
            self.send_header("Replay-Nonce", self.authority.nonce())
        for name, value in headers.items():
            self.send_header(name, value)
        for link in self.authority.links:
            self.send_header("Link", link)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _drop(self) -> None:
        """Reset the connection."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()


@contextmanager
def running() -> Iterator[FaultyAuthority]:
    """A faulty authority for as long as the block lasts."""
    authority = FaultyAuthority()
    handler = type("Handler", (_Handler,), {"authority": authority})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    authority.base = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield authority
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
