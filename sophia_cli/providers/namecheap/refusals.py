"""Namecheap's error numbers to sophia's errors (Namecheap API). Foreign text is scrubbed of secrets and cut."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum

from sophia_cli.core.dns import shown
from sophia_cli.core.errors import (
    AddressNotAllowed,
    CredentialsRejected,
    NotInAccount,
    NotUsingProviderDNS,
    OutcomeUnknown,
    ProviderBusy,
    ProviderRefused,
    RateLimited,
    SophiaError,
)
from sophia_cli.providers.namecheap.xml import ApiError


class Kind(Enum):
    """What a call does, which decides what a lost or odd answer means."""

    READ = "read"
    REPLACE = "replace"  # a write that may be repeated without harm
    CHARGE = "charge"  # costs money; repeating it costs again


WHERE_TO_ALLOW = "Namecheap: Profile > Tools > Namecheap API Access > Whitelisted IPs"
_ADDRESS = frozenset({1011150, 1017150, 1017105})
_CREDENTIALS = frozenset(
    {1010101, 1010102, 1010105, 1011102, 1011105, 1016103, 1017101, 1017103, 1017410, 1017411, 1019103, 1030408}
)
_RATE = frozenset({500000, 405})
_NOT_OURS = frozenset({2016166, 2019166, 2030166})
_OTHER_DNS = frozenset({2030288})
# Failed before anything was done: sporadic overload, and the check of the account itself.
_BUSY = frozenset({3050750, 1050900})
# Failed in the middle: a read may be repeated; a write may have been executed.
_UNCERTAIN = frozenset(
    {
        3011511,
        3050900,
        4019337,
        4022288,
        4022312,
        4022328,
        4022336,
        4022337,
        5019169,
        5050169,
        5050900,
    }
)
# A write that stopped after its charge or order step.
_HALF_DONE = frozenset({2528166, 4023166, 4024166, 4024167, 4022336, 4022337})
_VALIDATION = re.compile(r"INVALID_[A-Z]+")
_SEEN_ADDRESS = re.compile(r"request IP:?\s*([0-9A-Fa-f.:]{3,45})")


def error_of(
    errors: tuple[ApiError, ...], *, command: str, kind: Kind, client_ip: str, secrets: Iterable[str]
) -> SophiaError:
    """The error that stands for all the errors of one answer; each is kept in `details["errors"]`."""
    texts = [_clean(item.text, secrets) for item in errors]
    leading = min(range(len(errors)), key=lambda index: _rank(errors[index], kind))
    first = errors[leading]
    details = {
        "provider": "namecheap",
        "command": command,
        "number": first.number,
        "errors": [{"number": item.number, "text": text} for item, text in zip(errors, texts, strict=True)],
    }
    said = f"Namecheap said {first.number} {texts[leading]}"
    if first.number in _ADDRESS:
        seen = _SEEN_ADDRESS.search(first.text)
        address = seen.group(1) if seen else client_ip
        return AddressNotAllowed(
            f"Namecheap does not allow API calls from {address}",
            hint=f"add {address} under {WHERE_TO_ALLOW}",
            details={**details, "address": address},
        )
    if first.number in _CREDENTIALS:
        return CredentialsRejected(
            f"Namecheap does not accept the credentials: {first.number} {texts[leading]}",
            hint="check that the key is right and complete, that API access is on for the account (Profile > Tools), that "
            "key and endpoint are both of the sandbox or both of production, and that api_user and username belong to the key; "
            f"an address that is not allowed can also look like this ({WHERE_TO_ALLOW})",
            details=details,
        )
    if first.number in _RATE:
        return RateLimited(f"{command}: {said}", hint=RATE_HINT, details=details)
    if first.number in _OTHER_DNS:
        return NotUsingProviderDNS(
            f"{command}: the domain is not delegated to Namecheap's nameservers ({said})",
            hint="its host records cannot be read or written there; see dns.delegation",
            details=details,
        )
    if first.number in _NOT_OURS:
        return NotInAccount(
            f"{command}: the domain is not in this account ({said})",
            hint="check the name, and that the credentials are those of the account that owns it",
            details=details,
        )
    return _other(first, said, command, kind, details)


RATE_HINT = "Namecheap allows 20 calls a minute, 700 an hour, 8000 a day; run again later"


def _other(first: ApiError, said: str, command: str, kind: Kind, details: dict[str, object]) -> SophiaError:
    validation = _VALIDATION.search(first.text) is not None
    if first.number in _BUSY and kind is not Kind.CHARGE:
        return ProviderBusy(f"{command}: {said}", hint="run again in a minute", details=details)
    if kind is Kind.READ and first.number in _UNCERTAIN and not validation:
        return ProviderBusy(f"{command}: {said}", hint="run again in a minute", details=details)
    if kind is not Kind.READ and _may_be_done(first, validation, kind):
        return OutcomeUnknown(
            f"{command}: {said}; it may or may not have been executed",
            hint="look at what is there before doing it again",
            details=details,
        )
    return ProviderRefused(f"{command}: {said}", hint="nothing was changed", details=details)


def _may_be_done(error: ApiError, validation: bool, kind: Kind) -> bool:
    if validation:
        return False
    if kind is Kind.CHARGE and (error.number in _HALF_DONE or error.number in _BUSY):
        return True
    return error.number in _UNCERTAIN or str(error.number).startswith("5") or error.number == 0


def _rank(error: ApiError, kind: Kind) -> int:
    """Which of several errors speaks for all: what says *not executed at all* first, then what leaves it open."""
    if error.number in _ADDRESS | _CREDENTIALS | _RATE:
        return 0
    if kind is not Kind.READ and _may_be_done(error, _VALIDATION.search(error.text) is not None, kind):
        return 1
    return 2


def _clean(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[secret]")
    return shown(text, 200)
