"""What an authority answers, as values. Takes nothing of its form for granted: what is not as in the RFC is `BadResponse`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast, get_args
from urllib.parse import urljoin

from sophia_cli.core.acme import (
    CHALLENGE_LABEL,
    DNS_01,
    DNS_PERSIST_01,
    PERSIST_LABEL,
    Account,
    AccountStatus,
    Authorization,
    AuthorizationStatus,
    Challenge,
    ChallengeStatus,
    Directory,
    Order,
    OrderStatus,
    Profile,
    RenewalInfo,
)
from sophia_cli.core.dns import shown
from sophia_cli.core.errors import BadResponse
from sophia_cli.providers.acme.jws import base64url
from sophia_cli.providers.acme.problems import problem_of
from sophia_cli.providers.acme.transport import Answer

MOST_ISSUERS = 10  # draft-ietf-acme-dns-persist-02 3.1
MOST_NAMES = 1000
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\Z")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,512}\Z")  # RFC 8555 8.1
_URI_VALUE = re.compile(r"[\x21-\x3a\x3c-\x7e]{1,500}\Z")  # the value of a parameter, RFC 8659 4.2: no `;`, no space
_LINK = re.compile(r'<([^<>]*)>\s*((?:;\s*[A-Za-z0-9*]+\s*=\s*(?:"[^"]*"|[^";,]*)\s*)*)')
_ALTERNATE = re.compile(r';\s*rel\s*=\s*"?([^";]*)"?', re.IGNORECASE)


def directory_of(answer: Answer) -> Directory:
    """The directory (RFC 8555 7.1.1)."""
    data = answer.json()
    meta = data.get("meta", {})
    if not isinstance(meta, Mapping):
        raise _bad(answer, "meta", meta)
    profiles = meta.get("profiles", {})
    return Directory(
        url=answer.url,
        new_nonce=_text(answer, data, "newNonce"),
        new_account=_text(answer, data, "newAccount"),
        new_order=_text(answer, data, "newOrder"),
        revoke_certificate=_optional(data.get("revokeCert")),
        key_change=_optional(data.get("keyChange")),
        renewal_info=_optional(data.get("renewalInfo")),
        profiles=tuple(Profile(str(name), str(words)) for name, words in sorted(profiles.items()))
        if isinstance(profiles, Mapping)
        else (),
        terms_of_service=_optional(meta.get("termsOfService")),
        website=_optional(meta.get("website")),
        caa_identities=_texts(meta.get("caaIdentities")),
        external_account_required=meta.get("externalAccountRequired") is True,
        issuer_names=_issuers(meta.get("issuerDomainNames")),
        account_hash_prefix=_optional(meta.get("accountHashPrefix")),
    )


def account_of(answer: Answer, url: str) -> Account:
    """An account (RFC 8555 7.1.2); some authorities leave the status out of a valid one."""
    data = answer.json()
    status = _status(answer, data.get("status", "valid"), AccountStatus)
    return Account(url, cast(AccountStatus, status), _texts(data.get("contact")), is_new=answer.status == 201)


def order_of(answer: Answer, url: str) -> Order:
    """An order (RFC 8555 7.1.3)."""
    data = answer.json()
    identifiers = data.get("identifiers")
    if not isinstance(identifiers, list) or not 0 < len(identifiers) <= MOST_NAMES:
        raise _bad(answer, "identifiers", identifiers)
    authorizations = data.get("authorizations")
    if not isinstance(authorizations, list) or len(authorizations) > MOST_NAMES:
        raise _bad(answer, "authorizations", authorizations)
    return Order(
        url=url,
        status=cast(OrderStatus, _status(answer, data.get("status"), OrderStatus)),
        names=tuple(_name(answer, item) for item in identifiers),
        authorizations=tuple(_string(answer, "authorizations", item) for item in authorizations),
        finalize=_text(answer, data, "finalize"),
        expires=_time(answer, data, "expires"),
        certificate=_optional(data.get("certificate")),
        replaces=_optional(data.get("replaces")),
        profile=_optional(data.get("profile")),
        problem=problem_of(data.get("error")),
        retry_after_s=answer.retry_after_s,
    )


def authorization_of(
    answer: Answer, *, directory: Directory, account: Account, thumbprint: str, wildcards: frozenset[str] = frozenset()
) -> Authorization:
    """An authorization with the challenges that a TXT record answers (RFC 8555 7.1.4).

    `wildcards` are the names without `*.` that the order also asks a wildcard for: one standing record then serves both.
    """
    data = answer.json()
    name = _name(answer, data.get("identifier"))
    identifier = name.removeprefix("*.")
    wildcard = data.get("wildcard") is True or name != identifier
    offered = data.get("challenges")
    if not isinstance(offered, list):
        raise _bad(answer, "challenges", offered)
    challenges: list[Challenge] = []
    for item in offered:
        if not isinstance(item, Mapping):
            raise _bad(answer, "challenges", item)
        if item.get("type") == DNS_01:
            challenges.append(_dns_01(answer, item, identifier, wildcard, thumbprint))
        elif item.get("type") == DNS_PERSIST_01:
            values = _standing_values(
                item, identifier, wildcard or identifier in wildcards, directory, account, thumbprint
            )
            if values:
                challenges.append(_dns_persist_01(answer, item, identifier, wildcard, values))
    return Authorization(
        url=answer.url,
        identifier=identifier,
        wildcard=wildcard,
        status=cast(AuthorizationStatus, _status(answer, data.get("status"), AuthorizationStatus)),
        challenges=tuple(challenges),
        expires=_time(answer, data, "expires"),
        retry_after_s=answer.retry_after_s,
    )


def renewal_info_of(answer: Answer, now: datetime) -> RenewalInfo:
    """Renewal information (RFC 9773 4.2). A window that makes no sense is passed on: judging it is the core's."""
    data = answer.json()
    window = data.get("suggestedWindow")
    if not isinstance(window, Mapping):
        raise _bad(answer, "suggestedWindow", window)
    start, end = (_time(answer, window, key) for key in ("start", "end"))
    if start is None or end is None:
        raise _bad(answer, "suggestedWindow", dict(window))
    page = _optional(data.get("explanationURL"))
    if page is not None and not (page.startswith(("https://", "http://")) and page.isascii() and page.isprintable()):
        page = None
    return RenewalInfo(start, end, now, page, answer.retry_after_s)


def alternates_of(answer: Answer) -> tuple[str, ...]:
    """The addresses of alternate chains (RFC 8555 7.4.2; RFC 8288), each once."""
    found: list[str] = []
    for header in answer.links:
        for target, parameters in _LINK.findall(header):
            relations = _ALTERNATE.search(parameters)
            if relations is not None and "alternate" in relations[1].lower().split():
                found.append(urljoin(answer.url, target))
    return tuple(dict.fromkeys(found))


def hashed_account(prefix: str, identifier: str, thumbprint: str, account_url: str) -> str:
    """The URI that stands for an account in a standing record (draft-ietf-acme-dns-persist-02 4.1)."""
    name = identifier.encode("ascii")
    digest = hashlib.sha256(bytes([len(name)]) + name + thumbprint.encode("ascii") + account_url.encode("ascii"))
    return f"{prefix}sha-256/{base64url(digest.digest())}"


def _dns_01(answer: Answer, item: Mapping[str, Any], identifier: str, wildcard: bool, thumbprint: str) -> Challenge:
    token = _text(answer, item, "token")
    if not _TOKEN.match(token):
        raise _bad(answer, "token", token)
    digest = hashlib.sha256(f"{token}.{thumbprint}".encode("ascii")).digest()
    return Challenge(
        type="dns-01",
        url=_text(answer, item, "url"),
        status=cast(ChallengeStatus, _status(answer, item.get("status"), ChallengeStatus)),
        identifier=identifier,
        wildcard=wildcard,
        txt_name=f"{CHALLENGE_LABEL}.{identifier}",
        txt_value=base64url(digest),
        token=token,
        problem=problem_of(item.get("error")),
    )


def _dns_persist_01(
    answer: Answer, item: Mapping[str, Any], identifier: str, wildcard: bool, values: tuple[str, ...]
) -> Challenge:
    return Challenge(
        type="dns-persist-01",
        url=_text(answer, item, "url"),
        status=cast(ChallengeStatus, _status(answer, item.get("status"), ChallengeStatus)),
        identifier=identifier,
        wildcard=wildcard,
        txt_name=f"{PERSIST_LABEL}.{identifier}",
        txt_value=values[0],
        also_accepted=values[1:],
        problem=problem_of(item.get("error")),
    )


def _standing_values(
    item: Mapping[str, Any], identifier: str, wildcard: bool, directory: Directory, account: Account, thumbprint: str
) -> tuple[str, ...]:
    """The values that a standing record may have, the best first; none when the challenge is malformed, so not offered.

    Two forms are in use: -02 of the draft hashes the account (`issuerDomainNames`), before it was named in clear
    (`issuer-domain-names`). Whatever reaches the zone is of a form that is checked here.
    """
    if "issuerDomainNames" in item:
        issuers = _issuers(item["issuerDomainNames"])
        prefix = directory.account_hash_prefix
        advertised = set(directory.issuer_names)
        if prefix is None or not advertised <= set(issuers):
            return ()
        # Those of the directory stay valid for later orders, so that renewals find their record.
        issuers = tuple(sorted(issuers, key=lambda name: (name not in advertised, name)))
        uri = hashed_account(prefix, identifier, thumbprint, account.url)
    else:
        issuers = tuple(sorted(_issuers(item.get("issuer-domain-names"))))
        uri = account.url
        if item.get("accounturi", uri) != uri:
            return ()
    if not _URI_VALUE.match(uri):
        return ()
    policy = "; policy=wildcard" if wildcard else ""
    return tuple(f"{issuer}; accounturi={uri}{policy}" for issuer in issuers)


def _issuers(value: object) -> tuple[str, ...]:
    """Issuer domain names; none at all when the list is not as the draft wants it."""
    names = _texts(value)
    if not isinstance(value, list) or len(names) != len(value) or len(names) > MOST_ISSUERS:
        return ()
    return names if all(_DOMAIN.match(name) for name in names) else ()


# -- single fields ---------------------------------------------------------------------------------------------------


def _bad(answer: Answer, key: str, value: object) -> BadResponse:
    return BadResponse(
        f"{answer.url}: `{key}` is {shown(repr(value), 100)}, which is not what the protocol says",
        hint="see whether the authority has an outage; nothing is concluded from this answer",
        details={"url": answer.url, "field": key},
    )


def _string(answer: Answer, key: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _bad(answer, key, value)
    return value


def _text(answer: Answer, data: Mapping[str, Any], key: str) -> str:
    return _string(answer, key, data.get(key))


def _optional(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _status(answer: Answer, value: object, allowed: Any) -> Any:
    if value not in get_args(allowed):
        raise _bad(answer, "status", value)
    return value


def _name(answer: Answer, item: object) -> str:
    value = item.get("value") if isinstance(item, Mapping) and item.get("type") == "dns" else None
    name = value.lower() if isinstance(value, str) else ""
    if not _DOMAIN.match(name.removeprefix("*.")):
        raise _bad(answer, "identifier", item)
    return name


def _time(answer: Answer, data: Mapping[str, Any], key: str) -> datetime | None:
    """RFC 3339, aware."""
    value = data.get(key)
    if value is None:
        return None
    try:
        when = datetime.fromisoformat(_string(answer, key, value))
        if when.tzinfo is not None:
            return when.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _bad(answer, key, value)
