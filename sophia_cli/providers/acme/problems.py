"""Problem documents to sophia's errors (RFC 7807, RFC 8555 6.7). Foreign text is escaped and cut."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sophia_cli.core.acme import AcmeProblem
from sophia_cli.core.dns import shown
from sophia_cli.core.errors import (
    CredentialsMissing,
    CredentialsRejected,
    ProviderBusy,
    ProviderRefused,
    RateLimited,
    SophiaError,
)

_PREFIX = "urn:ietf:params:acme:error:"
MOST_SUBPROBLEMS = 100
_LONGEST = 400  # characters of a detail

# What to do about each type of error (RFC 8555 6.7, RFC 9773 7.4, draft-ietf-acme-profiles).
HINTS = {
    "accountDoesNotExist": "the authority does not know the account key; it may belong to another authority",
    "alreadyReplaced": "a newer certificate takes the place of the one that was named",
    "alreadyRevoked": "nothing is left to do",
    "badCSR": "choose another key type (ssl.key_type), or fewer names",
    "badPublicKey": "choose another key type (ssl.key_type)",
    "badRevocationReason": "give another reason",
    "caa": "let a CAA record of the name, or of the zone above it, allow this authority, or choose one that is allowed there",
    "connection": "the authority could not reach what it has to look at",
    "dns": "see whether every name server of the zone answers, also over TCP, and whether DNSSEC is valid",
    "externalAccountRequired": "get a key id and a MAC key from the authority and configure them",
    "incorrectResponse": "the authority saw another TXT value than the one it wants; see which name server still shows it",
    "invalidProfile": "choose a profile that the authority offers (ssl.profile), or none",
    "orderNotReady": "the order is in another state than expected; run again",
    "rejectedIdentifier": "the authority does not issue for this name; leave it out, or choose another authority",
    "unauthorized": "see what the authority says it found at the name",
    "unsupportedIdentifier": "the authority does not issue for names of this kind; leave it out",
    "userActionRequired": "open the address that the authority names, and follow it",
}


def problem_of(data: object, status: int | None = None) -> AcmeProblem | None:
    """The problem of a document, or None when it is none. Nothing of its form is taken for granted."""
    if not isinstance(data, Mapping) or not isinstance(data.get("type", "about:blank"), str):
        return None
    if not any(key in data for key in ("type", "detail", "title", "subproblems")):
        return None
    name = str(data.get("type", "about:blank"))
    below = data.get("subproblems")
    found = [problem_of(item) for item in below[:MOST_SUBPROBLEMS]] if isinstance(below, list) else []
    given = data.get("status")
    return AcmeProblem(
        type=name.removeprefix(_PREFIX)[:100],
        detail=str(data.get("detail") or data.get("title") or "")[:2000],
        status=status if status is not None else given if isinstance(given, int) else None,
        identifier=_value(data.get("identifier")),
        instance=str(data["instance"])[:500] if isinstance(data.get("instance"), str) else None,
        subproblems=tuple(item for item in found if item is not None),
    )


def _value(identifier: object) -> str | None:
    value = identifier.get("value") if isinstance(identifier, Mapping) else None
    return value[:255] if isinstance(value, str) else None


def said(problem: AcmeProblem) -> str:
    """What a problem says, for a message: with its subproblems, escaped and cut."""
    # One of ours is plain; any other type is foreign text.
    kind = (
        problem.type
        if problem.type in HINTS or (problem.type.isalnum() and problem.type.isascii())
        else shown(problem.type)
    )
    text = f"{kind}: {shown(problem.detail, _LONGEST)}" if problem.detail else kind
    if problem.identifier is not None:
        text = f"{shown(problem.identifier, 253)[1:-1]}: {text}"
    if problem.subproblems:
        text += "; " + "; ".join(said(item) for item in problem.subproblems[:10])
        if len(problem.subproblems) > 10:
            text += f"; and {len(problem.subproblems) - 10} more"
    return text


def data_of(problem: AcmeProblem) -> dict[str, Any]:
    """A problem as JSON, for `details["problem"]`."""
    return {
        "type": problem.type,
        "detail": problem.detail,
        "status": problem.status,
        "identifier": problem.identifier,
        "instance": problem.instance,
        "subproblems": [data_of(item) for item in problem.subproblems],
    }


def error_of(
    problem: AcmeProblem, *, what: str, authority: str, retry_at: datetime | None = None, during: str = ""
) -> SophiaError:
    """The error for a refusal. `what` names the step and its subject, `authority` the host; `retry_at` is what it allows."""
    message = f"{what}: {authority} said {said(problem)}"
    details: dict[str, Any] = {
        "provider": authority,
        "number": problem.status,
        "type": problem.type,
        "problem": data_of(problem),
    }
    hint = _hint(problem)
    if problem.type == "rateLimited" or problem.status == 429:
        if retry_at is not None:
            details["retry_at"] = retry_at.isoformat()
            return RateLimited(message, hint=f"not before {retry_at:%Y-%m-%d %H:%M:%S} UTC", details=details)
        return RateLimited(message, hint="run again later; the message may say when", details=details)
    if problem.type == "externalAccountRequired":
        return CredentialsMissing(message, hint=hint, details=details)
    # A key or a binding that the authority does not take; elsewhere `unauthorized` speaks of a validation.
    if during == "account" and problem.type in ("unauthorized", "accountDoesNotExist", "badSignatureAlgorithm"):
        return CredentialsRejected(
            message, hint="see whether the account, or the external account, still exists", details=details
        )
    if problem.type in ("serverInternal", "badNonce") or (problem.status or 0) >= 500:
        return ProviderBusy(message, hint="run again later", details=details)
    return ProviderRefused(message, hint=hint, details=details)


def _hint(problem: AcmeProblem) -> str | None:
    kinds = [problem.type, *(item.type for item in problem.subproblems)]
    hints = dict.fromkeys(HINTS[kind] for kind in kinds if kind in HINTS)
    # `malformed` and `compound` say nothing by themselves, so the first subproblem that does speaks.
    hint = next(iter(hints), None)
    if problem.type == "userActionRequired" and problem.instance:
        return f"open {shown(problem.instance, 300)[1:-1]}"
    return hint
