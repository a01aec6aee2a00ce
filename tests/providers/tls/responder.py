"""An authority's web server on loopback: OCSP responses and revocation lists, right and wrong."""

from __future__ import annotations

import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from tests.providers.tls.authority import Authority, Issued

Answer = tuple[int, dict[str, str], bytes]
DAY = timedelta(days=1)


class Web:
    """Answers paths that begin with a known word; `asked` holds every path."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[str] = []
        self.answers: dict[str, Callable[[str], Answer] | None] = {}

    def url(self, word: str) -> str:
        return f"http://127.0.0.1:{self.port}/{word}"

    def serve(self, word: str, body: bytes, status: int = 200, **headers: str) -> None:
        self.answers[word] = lambda _: (status, headers, body)


@contextmanager
def web() -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            known = found.answers.get(self.path.split("/")[1], lambda _: (404, {}, b""))
            if known is None:
                over.wait(20)  # takes the question and never answers
                return
            status, headers, body = known(self.path)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found, over = Web(server.server_port), threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def asked_serial(path: str) -> int:
    """The serial number an OCSP question is about (RFC 6960 A.1)."""
    return ocsp.load_der_ocsp_request(b64decode(unquote(path.split("/")[2]))).serial_number


def places(crl: str | None = None, responder: str | None = None) -> list[x509.ExtensionType]:
    """The extensions of a certificate that name where to ask."""
    found: list[x509.ExtensionType] = []
    if crl is not None:
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl)], None, None, None)
        found.append(x509.CRLDistributionPoints([point]))
    if responder is not None:
        place = x509.UniformResourceIdentifier(responder)
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)
        found.append(x509.AuthorityInformationAccess([access]))
    return found


def response(
    authority: Authority,
    about: Issued,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    *,
    signer: Issued | None = None,
    until: timedelta = 3 * DAY,
) -> bytes:
    """An OCSP response, signed by the intermediate or by another."""
    issuer, by = authority.intermediate.certificate, signer or authority.intermediate
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            about.certificate, issuer, hashes.SHA1(), status, authority.now - 4 * DAY, authority.now + until,
            authority.now - 2 * DAY if revoked else None, x509.ReasonFlags.key_compromise if revoked else None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, by.certificate)
    )  # fmt: skip
    if signer is not None:
        builder = builder.certificates([signer.certificate])
    return builder.sign(by.key, hashes.SHA256()).public_bytes(Encoding.DER)


def revocation_list(
    authority: Authority,
    *revoked: Issued,
    signer: Issued | None = None,
    until: timedelta = 3 * DAY,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    reason: x509.ReasonFlags = x509.ReasonFlags.superseded,
) -> bytes:
    """A list in the name of the intermediate, signed by it or by another."""
    by = signer or authority.intermediate
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.intermediate.certificate.subject)
        .last_update(authority.now - 4 * DAY)
        .next_update(authority.now + until)
    )
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number)
        entry = entry.revocation_date(authority.now - 2 * DAY).add_extension(x509.CRLReason(reason), False)
        builder = builder.add_revoked_certificate(entry.build())
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(by.key, hashes.SHA256()).public_bytes(Encoding.DER)


def scope(*urls: str, **known: Any) -> x509.IssuingDistributionPoint:
    """The part of an authority's certificates that a list is about."""
    settings: dict[str, Any] = {
        "relative_name": None, "only_contains_user_certs": False, "only_contains_ca_certs": False,
        "only_some_reasons": None, "indirect_crl": False, "only_contains_attribute_certs": False, **known,
    }  # fmt: skip
    return x509.IssuingDistributionPoint([x509.UniformResourceIdentifier(url) for url in urls] or None, **settings)
