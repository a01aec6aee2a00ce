"""Whether served certificates lead to a trusted root, and if not, why not. Asks no server and fetches nothing.

The judgment is `cryptography`'s X.509 verifier (RFC 5280 6 with the web's profile), so that it depends neither on the
release of Python nor on OpenSSL's flags. What it does not tell is the kind of a failure: that is found by following issuers.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sophia_cli.core.endpoints import Chain, ChainFault, failed, passed, untested
from sophia_cli.core.errors import UsageError
from sophia_cli.providers.tls.certificates import facts, load

if TYPE_CHECKING:
    from cryptography import x509

LONGEST_NAME = 120  # characters
MOST_LINKS = 16  # of one path; the verifier stops at 8


class Roots:
    """Trusted roots. `why` says why there are none, where that is so."""

    def __init__(self, certificates: Sequence[x509.Certificate], why: str = "") -> None:
        from cryptography.x509.verification import Store

        self.by_subject: dict[bytes, list[x509.Certificate]] = {}
        for one in certificates:
            self.by_subject.setdefault(one.subject.public_bytes(), []).append(one)
        self.store = Store(list(certificates)) if certificates else None
        self.why = why

    def holds(self, certificate: x509.Certificate) -> bool:
        """Whether this very certificate is a root."""
        return certificate in self.by_subject.get(certificate.subject.public_bytes(), ())


def system_roots(*more: Path) -> Roots:
    """The roots of this machine (those OpenSSL uses, else the bundle of `certifi`), and those of more PEM files.

    Raises `UsageError` when one of the files holds none.
    """
    found = _system() + [one for path in more for one in of_file(path)]
    return Roots(found, "" if found else "no trusted roots are installed on this machine")


def of_file(path: Path) -> list[x509.Certificate]:
    """The certificates of a PEM file. Raises `UsageError`."""
    try:
        found = _of_pem(path.read_bytes())
    except OSError as exc:
        raise UsageError(f"{path}: cannot be read ({exc.strerror})") from exc
    if not found:
        raise UsageError(f"{path}: holds no PEM certificate that can be read")
    return found


def _system() -> list[x509.Certificate]:
    places = ssl.get_default_verify_paths()
    files = [Path(places.cafile)] if places.cafile else []
    if not files and places.capath:
        files = sorted(Path(places.capath).glob("*.[0-9]"))
    found = [one for path in files if path.is_file() for one in _of_pem(path.read_bytes())]
    if not found:
        import certifi

        found = _of_pem(Path(certifi.where()).read_bytes())
    return list(dict.fromkeys(found))


def _of_pem(text: bytes) -> list[x509.Certificate]:
    """Every readable certificate: one that is not must not cost the others."""
    import base64
    import binascii
    import re

    found = []
    for block in re.findall(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", text, re.S):
        try:
            parsed = load(base64.b64decode(block))
        except binascii.Error:
            continue
        if parsed is not None:
            found.append(parsed)
    return found


@dataclass(frozen=True, slots=True)
class Judged:
    """A chain, and the certificates of its path to a trusted root, the leaf first; without one the path is empty."""

    chain: Chain
    path: tuple[x509.Certificate, ...] = ()


def judged(served: Sequence[bytes], roots: Roots, now: datetime) -> Judged:
    """The chain as served and as verified, whatever name it is for."""
    from cryptography.hazmat.primitives.serialization import Encoding

    listed = tuple(facts(der) for der in served)
    if not listed:
        return Judged(Chain())
    parsed = [load(der) for der in served]
    leaf, others = parsed[0], [one for one in parsed[1:] if one is not None]
    if leaf is None:
        return Judged(Chain(listed, (), failed("the served certificate cannot be read"), "rules"))
    if roots.store is None:
        return Judged(Chain(listed, (), untested(roots.why or "no trusted roots were given")))
    path, refusal = _verified(leaf, others, roots, now)
    if path:
        verified = tuple(facts(one.public_bytes(Encoding.DER)) for one in path)
        return Judged(Chain(listed, verified, passed(f"leads to {verified[-1].subject or 'a root'}")), path)
    fault, why = _diagnosis(leaf, others, roots, now, refusal)
    return Judged(Chain(listed, (), failed(why), fault))


def _verified(
    leaf: x509.Certificate, others: Sequence[x509.Certificate], roots: Roots, now: datetime
) -> tuple[tuple[x509.Certificate, ...], str]:
    """The path to a root, or an empty one and the verifier's words. The leaf is asked for a name of its own."""
    from cryptography import x509
    from cryptography.x509.verification import PolicyBuilder, VerificationError

    assert roots.store is not None
    try:
        subject = _own_name(leaf)
        builder = PolicyBuilder().store(roots.store).time(now.replace(tzinfo=None))
        path = builder.build_server_verifier(subject).verify(leaf, list(others))
    except x509.ExtensionNotFound:
        return (), "it has no subjectAltName"
    except (VerificationError, ValueError, TypeError, x509.DuplicateExtension) as exc:
        return (), " ".join(str(exc).split()) or type(exc).__name__
    except x509.UnsupportedGeneralNameType as exc:
        return (), f"a name of an unknown kind ({exc})"
    return tuple(path), ""


def _own_name(leaf: x509.Certificate) -> x509.verification.Subject:
    """A name the leaf is for, so that the verifier judges the path alone; names are a question of their own."""
    from cryptography import x509

    listed = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    for name in listed.get_values_for_type(x509.DNSName):
        try:
            return x509.DNSName(name.replace("*", "any", 1) if name.startswith("*.") else name)
        except ValueError:
            continue
    for address in listed.get_values_for_type(x509.IPAddress):
        if not hasattr(address, "num_addresses"):
            return x509.IPAddress(address)
    raise ValueError("the subjectAltName holds neither a DNS name nor an IP address")


def _diagnosis(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    roots: Roots,
    now: datetime,
    refusal: str,
) -> tuple[ChainFault, str]:
    """The kind of a failure, and what is wrong, in words."""
    links, last = _followed(leaf, others, roots)
    if last is None:
        return _of_whole_path(leaf, links, others, roots, now, refusal)
    issuer = _named(last.issuer) or "an unnamed issuer"
    if last.subject == last.issuer:
        if last == leaf:
            return "self-signed", "the certificate is self-signed"
        return "untrusted", f"it leads to {issuer}, which is not trusted here"
    if last == leaf:
        return "incomplete", f"it was issued by {issuer}, which was neither served nor is trusted here"
    return "untrusted", f"it leads to {issuer}, which was neither served nor is trusted here"


def _of_whole_path(
    leaf: x509.Certificate,
    links: Sequence[x509.Certificate],
    others: Sequence[x509.Certificate],
    roots: Roots,
    now: datetime,
    refusal: str,
) -> tuple[ChainFault, str]:
    """A path that leads to a root by its signatures, and is refused for another reason."""
    for link in links[1:]:
        if link.not_valid_after_utc < now:
            ended = f"{link.not_valid_after_utc:%Y-%m-%d}"
            return "untrusted", f"{_named(link.subject)} in the chain ended on {ended}"
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        inside = max(leaf.not_valid_before_utc, leaf.not_valid_after_utc - timedelta(seconds=1))
        path, refusal = _verified(leaf, others, roots, inside)
        if path:
            return "expired", "the certificate is outside its time of validity, and otherwise trusted"
    return "rules", f"the chain breaks the rules of RFC 5280 or of the web: {refusal}"


def _named(name: x509.Name) -> str:
    """A distinguished name, bounded: it stands in messages."""
    text = name.rfc4514_string()
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 3] + "..."


def _followed(
    leaf: x509.Certificate, others: Sequence[x509.Certificate], roots: Roots
) -> tuple[list[x509.Certificate], x509.Certificate | None]:
    """The links from the leaf on as far as signatures lead; the second is the last link, or None at a trusted root."""
    links = [leaf]
    while len(links) < MOST_LINKS:
        last = links[-1]
        if roots.holds(last):
            return links, None
        root = _issuer(last, roots.by_subject.get(last.issuer.public_bytes(), ()))
        if root is not None:
            return [*links, root], None
        above = _issuer(last, (one for one in others if one not in links))
        if above is None:
            return links, last
        links.append(above)
    return links, links[-1]


def _issuer(certificate: x509.Certificate, among: Iterable[x509.Certificate]) -> x509.Certificate | None:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    for one in among:
        try:
            certificate.verify_directly_issued_by(one)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            continue
        return one
    return None
