"""Checks of DKIM key records (RFC 6376, 8301). The key's length is read from its DER; no library is needed. Asks no server."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding, mend
from sophia_cli.checks.outside import look, pending, text_rows, unanswered
from sophia_cli.checks.tags import Tags, parse
from sophia_cli.core.dns import Record
from sophia_cli.core.dns_facts import Answer, Question
from sophia_cli.core.findings import Finding

USABLE, STRONG = 1024, 2048  # bits (RFC 8301 3.2)
_RSA = bytes.fromhex("06092a864886f70d010101")  # rsaEncryption (RFC 8017 A.1)


def none(facts: Facts) -> Iterator[Finding]:
    """A domain that sends without signing: DMARC then hangs on SPF alone, which forwarding breaks."""
    if not facts.has_mail or facts.zone.email_type == "FWD":  # forwarding only receives
        return
    live = facts.background.dns
    branch = None if live is None else live.rows.get(("_domainkey", "TXT"))
    if not facts.background.is_whole and (branch is None or branch.status != "nxdomain"):
        return  # selectors cannot be listed; only NXDOMAIN says that there are none (RFC 8020)
    if not any("_domainkey" in row.name.split(".") for row in facts.zone.records):
        yield finding(
            facts, "MAIL-DKIM-NONE", "no DKIM key is published, though the domain has mail", facts.exchangers,
            "Turn on DKIM where the mail is sent, and publish the record it shows.", email_type=facts.zone.email_type,
            **({} if branch is None else branch.data()),
        )  # fmt: skip


def unlisted(facts: Facts) -> str | None:
    """Why it is not known whether there is a key at all."""
    live = facts.background.dns
    branch = None if live is None else live.rows.get(("_domainkey", "TXT"))
    if facts.background.is_whole or any("_domainkey" in row.name.split(".") for row in facts.zone.records):
        return None
    if branch is None or branch.status == "failed":
        return f"_domainkey gave no answer: {'it was not asked' if branch is None else branch.why}"
    return None if branch.status == "nxdomain" else "there are keys, but their selectors cannot be listed by DNS"


def key(facts: Facts) -> Iterator[Finding]:
    """Keys that receivers cannot or should not use."""
    for row, tags in _keys(facts):
        found = _judged(tags)
        if found is not None:
            severity, why, bits = found
            yield finding(
                facts, "MAIL-DKIM-KEY", f"the DKIM key {row.name} {why}", (row,),
                "Make a new key of 2048 bits where the mail is sent, under a new selector.",
                severity=severity, bits=bits, length=len(row.value),
            )  # fmt: skip


def test_mode(facts: Facts) -> Iterator[Finding]:
    """Test mode asks receivers to ignore failures; a revoked key may go once no mail with it is on its way."""
    for row, tags in _keys(facts):
        flags = [flag.strip().lower() for flag in (tags.get("t") or "").split(":")]
        if tags.get("p") == "":
            yield finding(
                facts, "MAIL-DKIM-TEST", f"the DKIM key {row.name} is revoked and still there", (row,),
                "Delete it when it was revoked over 30 days ago.", state="revoked",
                fix=mend(facts, "MAIL-DKIM-TEST", "the key is revoked", (row, None)),
            )  # fmt: skip
        elif "y" in flags:
            yield finding(
                facts, "MAIL-DKIM-TEST", f"the DKIM key {row.name} is in test mode", (row,),
                "Drop t=y once the signatures verify.", state="test",
                no_fix="needs to know that the signatures verify",
            )  # fmt: skip


def delegated(facts: Facts) -> str | None:
    """What is not known of keys: those that stand in another zone and were not read there."""
    if any(row.type == "NS" and "_domainkey" in row.name.split(".") for row in facts.zone.records):
        return "in part: _domainkey is delegated, and the selectors in use there are not known"
    return unanswered(facts, "keys in other zones were not read", _elsewhere(facts))


def questions(facts: Facts) -> Iterator[Question]:
    """What must be asked: the keys that aliases point at."""
    return pending(_elsewhere(facts))


def _elsewhere(facts: Facts) -> Iterator[Answer | Question]:
    for row in facts.zone.records:
        if row.type == "CNAME" and "_domainkey" in row.name.split(".")[1:]:
            yield look(facts, facts.zone.fqdn(row.name), "TXT")


def _keys(facts: Facts) -> Iterator[tuple[Record, Tags]]:
    for row in facts.zone.records:
        labels = row.name.split(".")
        if row.type == "TXT" and "_domainkey" in labels[1:]:
            yield row, parse(row.value)
        elif row.type == "CNAME" and "_domainkey" in labels[1:]:
            for behind in text_rows(facts, row.name):
                yield behind, parse(behind.value)


def _judged(tags: Tags) -> tuple[str, str, int | None] | None:
    """(severity, what is wrong, bits), or None for a good key; a revoked key is not judged here."""
    version = tags.get("v")
    if version is not None and (version != "DKIM1" or tags.pairs[0][0] != "v"):
        return "high", "does not start with v=DKIM1", None
    data = tags.get("p")
    if data is None:
        return "high", "has no p tag", None
    if data == "":
        return None
    hashes = [name.strip().lower() for name in (tags.get("h") or "sha256").split(":")]
    if "sha256" not in hashes:
        return "high", "allows SHA-1 only", None
    try:
        der = base64.b64decode(re.sub(r"\s", "", data), validate=True)
    except (binascii.Error, ValueError):
        return "high", "is not base64, or was cut", None
    kind = (tags.get("k") or "rsa").lower()
    if kind == "ed25519":  # RFC 8463: the bare 32 bytes
        return None if len(der) == 32 else ("high", f"has {len(der)} bytes, not 32", None)
    if kind != "rsa":
        return "high", "is of a kind that receivers do not know", None
    bits = rsa_bits(der)
    if bits is None:
        return "high", "is not an RSA key, or was cut", None
    if bits < USABLE:
        return "high", f"has {bits} bits, which receivers refuse", bits
    return None if bits >= STRONG else ("medium", f"has {bits} bits, which is weak", bits)


def rsa_bits(der: bytes) -> int | None:
    """The bits of the modulus of a SubjectPublicKeyInfo or a bare RSAPublicKey; None for anything else or cut."""
    outer = _item(der, 0x30)
    if outer is None or outer[1]:
        return None
    algorithm = _item(outer[0], 0x30)
    if algorithm is not None:
        if not algorithm[0].startswith(_RSA):
            return None
        held = _item(algorithm[1], 0x03)
        if held is None or held[1] or held[0][:1] != b"\0":
            return None
        outer = _item(held[0][1:], 0x30)
        if outer is None:
            return None
    modulus = _item(outer[0], 0x02)
    return None if modulus is None else int.from_bytes(modulus[0], "big").bit_length()


def _item(der: bytes, tag: int) -> tuple[bytes, bytes] | None:
    """The content of the first DER item and what follows; None when it is another tag or not whole."""
    if len(der) < 2 or der[0] != tag:
        return None
    length, start = der[1], 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4 or len(der) < 2 + count:
            return None
        length, start = int.from_bytes(der[2 : 2 + count], "big"), 2 + count
    end = start + length
    return None if len(der) < end else (der[start:end], der[end:])
