"""Provenance: where each value came from, and which origins may stand where it hurts. Reads and asks nothing."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum

from sophia_cli.core.dns import ADDRESS_TYPES, REDIRECT_TYPES, TARGET_TYPES, Record, mail_policy
from sophia_cli.core.settings import Settings


class Origin(StrEnum):
    """Where a value came from, the most trusted first."""

    user = "user"
    config = "config"
    provider = "provider"
    public_dns = "public-dns"
    peer_certificate = "peer-cert"
    http_body = "http-body"
    pasted = "pasted"
    model = "model"


# Whose values may become a record target, a CA, a contact, an issuer or a name server. What the public wrote may not, and
# what a model made up may not either: it has no source but the texts it was given.
TRUSTED = frozenset({Origin.user, Origin.config, Origin.provider})

_HOST = re.compile(r"(?<![\w.-])(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9](?![\w-])", re.I)
_MAIL = re.compile(r"[\w.+%-]+@[\w.-]+")
_ADDRESS = re.compile(r"(?<![\w:.])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7})(?![\w:])", re.I)


_BREAKS = re.compile(r"[\s;,=\"]+")
# Terms of mail policies that aim at nobody. Of SPF (RFC 7208 5) the ones that let nobody else in; of DMARC (RFC 9989) what
# takes one of few values; the rest of a policy must have been there before, or aim at somebody trusted.
_SPF = frozenset({"v=spf1", "a", "mx", "-all", "~all"})
_SPF_AIM = re.compile(r"[+]?(?:ip4|ip6|include|a|mx)[:](?P<aim>[^/%\s]+)|redirect=(?P<other>[^/%\s]+)")
_TAGS = re.compile(
    r"v=(?:dmarc1|stsv1|tlsrptv1)|(?:p|sp|np)=(?:none|quarantine|reject)|(?:adkim|aspf)=[rs]|pct=\d{1,3}|fo=[01ds:]+|"
    r"ri=\d{1,7}|t=[yn]|id=[a-z0-9]{1,32}"
)
_REPORTS = re.compile(r"ru[af]=(?P<to>.+)")


class Sources:
    """What is known of single values: hosts, addresses, mail addresses and URLs, each with the origins it was seen with."""

    def __init__(self) -> None:
        self._origins: dict[str, set[Origin]] = {}

    def learn(self, text: str, origin: Origin) -> None:
        """Note a text, and every host, address and mail address inside it."""
        for value in {_plain(text), *values_in(text)}:
            self._origins.setdefault(value, set()).add(origin)

    def of(self, value: str) -> frozenset[Origin]:
        """The origins of a value; only `model` for one that nobody else said."""
        return frozenset(self._origins.get(_plain(value), {Origin.model}))

    def may_aim(self, value: str) -> bool:
        """Whether a value may be aimed at: somebody trusted said it."""
        return bool(self.of(value) & TRUSTED)


def values_in(text: str) -> Iterator[str]:
    """The mail addresses, IP addresses and host names inside a text, in one form."""
    for pattern in (_MAIL, _ADDRESS, _HOST):
        for found in pattern.findall(text):
            yield _plain(found)
    for mail in _MAIL.findall(text):
        yield _plain(mail.partition("@")[2])
    for token in _BREAKS.split(text):
        yield _plain(token)
        yield _plain(token.partition(":")[2])  # of an SPF term (RFC 7208 5) or a mailto address


def _plain(value: str) -> str:
    text = value.strip().rstrip(".").lower()
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text


def sources_of(settings: Settings | None, records: Iterable[Record]) -> Sources:
    """Where the values around a zone come from: the environment's, and what the provider's own rows aim at.

    Free text in rows (TXT but for mail policies) is anybody's: services and strangers have it put there.
    """
    sources = Sources()
    for zone in settings.zones if settings is not None else ():
        sources.learn(zone.name, Origin.config)
        for row in zone.records:
            if not row.secret:
                sources.learn(row.record.value, Origin.config)
    for record in records:
        is_text = record.type == "TXT" and mail_policy(record) is None
        sources.learn(record.value, Origin.public_dns if is_text else Origin.provider)
    return sources


def untrusted(record: Record, sources: Sources, zone: str) -> str | None:
    """Why a record that a model proposes may not be made, by the origin of what it aims at; None when it may.

    Checked are targets, addresses, web addresses, issuers and contacts of CAA (RFC 8659 4), and every term of a mail
    policy. Other texts are refused as a whole: they serve nobody a model can know of.
    """
    if record.type == "TXT":
        if mail_policy(record) in (None, "dkim"):
            return "a model may write no free text into the zone"
        return _strange_term(record.value, sources)
    elif record.type == "CAA":
        tag, _, value = record.value.partition(" ")[2].partition(" ")
        aims = [] if value in ('";"', '""') and tag in ("issue", "issuewild", "issuemail") else [_issuer(value)]
    elif record.type in REDIRECT_TYPES:
        aims = [record.value]
    elif record.type in ADDRESS_TYPES | TARGET_TYPES | {"MXE"}:
        aims = [record.value]
    else:
        return f"a model may not make {record.type} records"
    for aim in aims:
        if not sources.may_aim(aim) and _plain(aim) != zone:
            seen = ", ".join(sorted(sources.of(aim)))
            return f"what it aims at comes from {seen} alone"
    return None


def _strange_term(text: str, sources: Sources) -> str | None:
    """Why a mail policy may not be published: a term that lets in, or reports to, somebody nobody trusted named."""
    is_spf = text.lower().startswith("v=spf1")
    for term in (part.strip().lower() for part in (text.split() if is_spf else text.split(";"))):
        if not term or (term in _SPF if is_spf else _TAGS.fullmatch(term)):
            continue
        if is_spf:
            found = _SPF_AIM.fullmatch(term)
            aims = [] if found is None else [found["aim"] or found["other"]]
        else:
            told = _REPORTS.fullmatch(term)
            aims = [] if told is None else [aim.strip() for aim in told["to"].split(",")]
            aims = [aim.removeprefix("mailto:") if aim.startswith("mailto:") else "" for aim in aims]
        if not aims or not all(aim and sources.may_aim(aim) for aim in aims):
            return "a term of the policy was named by nobody trusted"
    return None


def _issuer(value: str) -> str:
    return value.strip('"').partition(";")[0].strip().removeprefix("mailto:")
