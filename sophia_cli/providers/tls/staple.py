"""A stapled OCSP response (RFC 6960) read into one answer. Checks no signature: the peer's word is only reported."""

from __future__ import annotations

from sophia_cli.core.endpoints import Result, failed, passed


def read_staple(der: bytes) -> Result:
    """Whether the response says that the certificate is good."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.x509 import ocsp

    try:
        response = ocsp.load_der_ocsp_response(der)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return failed(f"the stapled response is an error ({response.response_status.name.lower()})")
        status, until = response.certificate_status, response.next_update_utc
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return failed("the stapled response cannot be read")
    if status is not ocsp.OCSPCertStatus.GOOD:
        return failed(f"the stapled response says {status.name.lower()}")
    return passed("" if until is None else f"good until {until:%Y-%m-%dT%H:%M:%SZ}")
