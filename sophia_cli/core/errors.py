"""The errors sophia raises: each knows its exit code, its hint and whether a retry can help. Never used for control flow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class SophiaError(Exception):
    """Base of all errors a user may see; `kind` is the class name (public in `sophia.error/1`).

    `message` says what and where; `hint` says what to do next; `details` is JSON data for scripts.
    Exit codes are those of the contract.
    """

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str | None = None, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details: dict[str, Any] = dict(details or {})

    @property
    def kind(self) -> str:
        """The public name of this error."""
        return type(self).__name__


# -- the user's side: 64 ---------------------------------------------------------------------------------------------


class UsageError(SophiaError):
    """The command line makes no sense as typed."""

    exit_code = 64


class InvalidEnvironment(SophiaError):
    """The environment file cannot be used; `details["diagnostics"]` lists every reason with file, line and column."""

    exit_code = 64


# -- the outside failed before any write: 1 --------------------------------------------------------------------------


class Unreachable(SophiaError):
    """No answer from an outside service, and the request was not executed."""

    retryable = True


class OutcomeUnknown(SophiaError):
    """A request was sent and its answer was lost or is not readable: it may or may not have been executed."""


class BadResponse(SophiaError):
    """The answer is not what the protocol says; it is *unknown*, never *nothing there*."""


class ProviderRefused(SophiaError):
    """The provider understood the request and refused it; `details["number"]` is its error number."""


class ProviderBusy(SophiaError):
    """The provider failed in a way it is known to recover from."""

    retryable = True


class RateLimited(SophiaError):
    """Too many calls; the refused call was not executed."""

    retryable = True


class NotInAccount(SophiaError):
    """The domain is not one of this account's registered names."""


class NotUsingProviderDNS(SophiaError):
    """The domain is delegated elsewhere, so its host records cannot be read or written here."""


class IncompleteRead(SophiaError):
    """A read could not be shown to be whole; nothing may be written on the strength of it."""


class UnknownValue(SophiaError):
    """A value needed here can only be had from a service that was not asked, so nothing is planned for its target."""


class StateError(SophiaError):
    """The state directory cannot be read or written (permissions, a full disk, foreign content)."""


# -- refused, nothing changed: 3 -------------------------------------------------------------------------------------


class Refused(SophiaError):
    """Policy, or a person, said no."""

    exit_code = 3


class StalePlan(Refused):
    """What the plan was made from has changed since."""


class ApprovalMissing(Refused):
    """The plan needs an approval that is not there, has expired or was used."""


class Declined(Refused):
    """The person asked said no, or could not be asked."""


# -- credentials: 4 --------------------------------------------------------------------------------------------------


class CredentialsMissing(SophiaError):
    """The environment names no usable credentials for a provider."""

    exit_code = 4


class CredentialsRejected(SophiaError):
    """The provider does not accept the credentials."""

    exit_code = 4


class AddressNotAllowed(SophiaError):
    """The provider does not allow calls from this address; `details["address"]` is the one it saw."""

    exit_code = 4


# -- written, and not as planned: 5 ----------------------------------------------------------------------------------


class WriteFailed(SophiaError):
    """Something was written and the end state is not the planned one; the message says which state it is."""

    exit_code = 5


# -- others ----------------------------------------------------------------------------------------------------------


class Locked(SophiaError):
    """Another run holds the lock."""

    exit_code = 6


class Interrupted(SophiaError):
    """Stopped by a signal outside a write."""

    exit_code = 130
