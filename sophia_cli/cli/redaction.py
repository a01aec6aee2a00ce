"""The choke point for secrets on their way out: every text the command line prints of an error passes here."""

from __future__ import annotations

import json
from typing import Any

from sophia_cli.core.changes import SECRET
from sophia_cli.core.errors import SophiaError

MINIMUM = 6  # characters; shorter secrets would blank ordinary words, and guard nothing

_known: set[str] = set()
_public: set[str] = set()


def learn(secrets: set[str], public: set[str] | None = None) -> None:
    """Remember the secrets of this process, and which of them are served in public (addresses in A and AAAA records)."""
    _known.update(secret for secret in secrets if len(secret) >= MINIMUM)
    _public.update(public or ())


def secrets() -> frozenset[str]:
    """What must not leave this process: every known secret that is not served in public anyway."""
    return frozenset(_known - _public)


def redacted(text: str) -> str:
    """The text with every known secret replaced, longest first."""
    for secret in sorted(_known - _public, key=len, reverse=True):
        text = text.replace(secret, SECRET)
    return text


def redacted_error(error: SophiaError) -> SophiaError:
    """The error with its message, hint and details redacted; its class and code stay."""
    error.message = redacted(error.message)
    error.hint = None if error.hint is None else redacted(error.hint)
    details: Any = json.loads(redacted(json.dumps(error.details, default=str, ensure_ascii=False)))
    error.details = details
    return error
