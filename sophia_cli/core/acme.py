"""ACME as values (RFC 8555) and the port to one certificate authority. Sends nothing and holds no key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from pydantic import SecretStr

DNS_01 = "dns-01"
DNS_PERSIST_01 = "dns-persist-01"
CHALLENGE_LABEL = "_acme-challenge"  # RFC 8555 8.4
PERSIST_LABEL = "_validation-persist"  # draft-ietf-acme-dns-persist

AccountStatus = Literal["valid", "deactivated", "revoked"]
OrderStatus = Literal["pending", "ready", "processing", "valid", "invalid"]
AuthorizationStatus = Literal["pending", "valid", "invalid", "deactivated", "expired", "revoked"]
ChallengeStatus = Literal["pending", "processing", "valid", "invalid"]

KEY_TYPES = ("ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "rsa-4096")

# Reasons of revocation that a subscriber may give (RFC 5280 5.3.1; Mozilla and CA/B Baseline Requirements 7.2.2).
REVOCATION_REASONS = {
    "unspecified": 0,
    "key-compromise": 1,
    "affiliation-changed": 3,
    "superseded": 4,
    "cessation-of-operation": 5,
}


@dataclass(frozen=True, slots=True)
class Profile:
    """A certificate profile that an authority advertises (draft-ietf-acme-profiles)."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Directory:
    """What an authority offers (RFC 8555 7.1.1). `renewal_info` and `key_change` are None when it does not have them."""

    url: str
    new_nonce: str
    new_account: str
    new_order: str
    revoke_certificate: str | None = None
    key_change: str | None = None
    renewal_info: str | None = None
    profiles: tuple[Profile, ...] = ()
    terms_of_service: str | None = None
    website: str | None = None
    caa_identities: tuple[str, ...] = ()
    external_account_required: bool = False
    issuer_names: tuple[str, ...] = ()
    account_hash_prefix: str | None = None
    """With `issuer_names`: what a dns-persist-01 record is made of (draft-ietf-acme-dns-persist-02 3.2, 4.1)."""

    def has_profile(self, name: str) -> bool:
        """Whether the authority advertises this profile."""
        return any(profile.name == name for profile in self.profiles)


@dataclass(frozen=True, slots=True)
class Account:
    """An account at an authority. `url` is its key id, and what CAA `accounturi` names (RFC 8657 3)."""

    url: str
    status: AccountStatus
    contacts: tuple[str, ...] = ()
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class AcmeProblem:
    """A problem document (RFC 7807, RFC 8555 6.7). `type` is without its `urn:ietf:params:acme:error:` prefix.

    The texts are the authority's: they are escaped before a terminal sees them.
    """

    type: str
    detail: str
    status: int | None = None
    identifier: str | None = None
    instance: str | None = None
    subproblems: tuple[AcmeProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """An order (RFC 8555 7.1.3). `names` are in the order asked for; wildcards keep their `*.`.

    `replaces` and `profile` are what the authority took over, None where it ignored them: only a reflected `replaces` exempts
    a renewal from its rate limits (RFC 9773 5).
    """

    url: str
    status: OrderStatus
    names: tuple[str, ...]
    authorizations: tuple[str, ...]
    finalize: str
    expires: datetime | None = None
    certificate: str | None = None
    replaces: str | None = None
    profile: str | None = None
    problem: AcmeProblem | None = None
    retry_after_s: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in ("valid", "invalid")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to prove control of a name, by a TXT record (RFC 8555 8.4, draft-ietf-acme-dns-persist).

    `txt_name` is absolute, lower case, without a final dot; `txt_value` is the whole value, unquoted. The record of dns-01
    serves one authorization and is removed afterwards; that of dns-persist-01 stays, and serves renewals as well.
    """

    type: Literal["dns-01", "dns-persist-01"]
    url: str
    status: ChallengeStatus
    identifier: str
    wildcard: bool
    txt_name: str
    txt_value: str
    token: str | None = None
    also_accepted: tuple[str, ...] = ()
    """Other values that would do as well, when one of them is published already (dns-persist-01 only)."""
    problem: AcmeProblem | None = None

    @property
    def stays(self) -> bool:
        """Whether the record is to be kept after the validation."""
        return self.type == DNS_PERSIST_01


@dataclass(frozen=True, slots=True)
class Authorization:
    """An authorization (RFC 8555 7.1.4). `identifier` is without `*.`; `challenges` are those that a TXT record answers.

    `expires` bounds every wait for propagation: authorities give a pending one between an hour and some weeks.
    """

    url: str
    identifier: str
    wildcard: bool
    status: AuthorizationStatus
    challenges: tuple[Challenge, ...]
    expires: datetime | None = None
    retry_after_s: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether no answer is wanted any more."""
        return self.status != "pending"

    @property
    def name(self) -> str:
        """The name as it stands in the certificate."""
        return f"*.{self.identifier}" if self.wildcard else self.identifier

    def offered(self, kind: str) -> Challenge | None:
        """The challenge of a type, or None when the authority does not offer it."""
        return next((challenge for challenge in self.challenges if challenge.type == kind), None)

    def problem(self) -> AcmeProblem | None:
        """Why it failed, when the authority says so."""
        return next((challenge.problem for challenge in self.challenges if challenge.problem is not None), None)


@dataclass(frozen=True, slots=True)
class Leaf:
    """What matters of a certificate, read from its DER (RFC 5280). Times are aware UTC; `not_after` is inclusive.

    `certificate_id` (RFC 9773 4.1) is None for one without an authority key identifier; `key_digest` is the SHA-256 of its
    SubjectPublicKeyInfo, hexadecimal, and equals that of the private key it belongs to; `fingerprint` is the SHA-256 of the DER.
    """

    serial: int
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    issuer: str
    certificate_id: str | None
    key_digest: str
    fingerprint: str
    der: bytes = field(repr=False)

    @property
    def serial_hex(self) -> str:
        """The serial as other tools show it: lower case hexadecimal, two digits a byte."""
        text = f"{self.serial:x}"
        return text.rjust(len(text) + len(text) % 2, "0")


@dataclass(frozen=True, slots=True)
class IssuedChain:
    """A certificate and its intermediates, leaf first, as PEM. `issuers` are the issuer names on the way up, the last one
    being the root (or cross-signing) name that tells alternate chains apart; `url` is where it came from.
    """

    leaf: Leaf
    pem: str
    issuers: tuple[str, ...]
    url: str


SHORTEST = "shortest"
_COMMON_NAME = re.compile(r"(?:\A|[,+])CN=((?:\\.|[^,+\\])*)")


def chosen_chain(chains: Sequence[IssuedChain], wish: str | None) -> IssuedChain | None:
    """The first chain with an issuer of this name, or the one with the fewest certificates; None where none fits.

    Without a wish it is the first, which is the one the authority prefers.
    """
    if wish is None:
        return chains[0] if chains else None
    if wish == SHORTEST:
        return min(chains, key=lambda one: one.pem.count("-----BEGIN CERTIFICATE-----"), default=None)
    folded = wish.casefold()
    return next((one for one in chains if any(folded in _names(issuer) for issuer in one.issuers)), None)


def _names(issuer: str) -> set[str]:
    """What an issuer may be called: its whole name (RFC 4514) or its common name."""
    common = (match.group(1) for match in _COMMON_NAME.finditer(issuer))
    return {issuer.casefold(), *(re.sub(r"\\(.)", r"\1", name).casefold() for name in common)}


@dataclass(frozen=True, slots=True)
class RenewalInfo:
    """When an authority wants a certificate renewed, as it said it (RFC 9773 4.2); `core.renewal` judges whether it is usable.

    `retry_after_s` is None when the header was missing or unreadable, and otherwise not yet bounded.
    """

    start: datetime
    end: datetime
    fetched_at: datetime
    explanation_url: str | None = None
    retry_after_s: float | None = None


class Authority(Protocol):
    """One certificate authority and our account there.

    Every method may raise `Unreachable`, `ProviderBusy` (retryable), `RateLimited` (`details["retry_at"]` when it said so),
    `BadResponse`, `ProviderRefused` (`details["type"]` and `details["problem"]`); those that create or change something may
    raise `OutcomeUnknown` when the answer was lost. Deadlines are aware UTC.
    """

    @property
    def url(self) -> str:
        """The directory URL: what identifies the authority."""
        ...

    async def directory(self) -> Directory:
        """What it offers; asked once."""
        ...

    async def account(self, *, terms_agreed: bool) -> Account:
        """The account of our key, made when there is none (RFC 8555 7.3), bound to an external account when configured.

        Raises `Refused` when a new account wants terms agreed to that were not, `CredentialsMissing` when the authority wants
        an external account and none is configured, `CredentialsRejected` when it does not accept the key or the binding.
        """
        ...

    async def order(self, names: Sequence[str], *, profile: str | None = None, replaces: str | None = None) -> Order:
        """Place an order. `replaces` is a certificate id; it is left out where the authority has no renewal information, and
        the order is placed again without it when the authority refuses it.
        """
        ...

    async def resume(self, order_url: str) -> Order:
        """An order placed earlier, perhaps by a run that was killed. Raises `ProviderRefused` when it is gone."""
        ...

    async def authorizations(self, order: Order) -> tuple[Authorization, ...]:
        """The authorizations of an order, in its order; those already valid need no answer."""
        ...

    async def answer(self, challenge: Challenge) -> None:
        """Tell the authority that the record is there. An answered challenge cannot be taken back."""
        ...

    async def abandon(self, authorization: Authorization) -> None:
        """Deactivate an authorization (RFC 8555 7.5.2), so that its record can be removed without harm."""
        ...

    async def wait_authorization(self, authorization: Authorization, deadline: datetime) -> Authorization:
        """Ask, at the pace the authority sets, until it is no longer pending. Raises `ProviderRefused` when it becomes
        invalid (with the authority's reasons) and `ProviderBusy` when the deadline passes first.
        """
        ...

    async def wait_order(self, order: Order, deadline: datetime) -> Order:
        """Ask until the order is no longer pending or processing: it is then ready, or valid. Raises as `wait_authorization`."""
        ...

    async def finalize(self, order: Order, csr_der: bytes) -> Order:
        """Send the certificate request of a ready order. When the answer is lost, `resume` tells whether it is still ready."""
        ...

    async def download(self, order: Order) -> tuple[IssuedChain, ...]:
        """The chains of a valid order: the one the authority prefers first, then its alternates (RFC 8555 7.4.2)."""
        ...

    async def renewal_info(self, certificate_id: str) -> RenewalInfo | None:
        """What it advises; None when it has no renewal information at all (then the fallback schedule is the only one)."""
        ...

    async def revoke(self, certificate_der: bytes, reason: str, key_pem: SecretStr | None = None) -> bool:
        """Revoke, signed by the account or, when `key_pem` is given, by the certificate's own key (RFC 8555 7.6).

        `reason` is one of `REVOCATION_REASONS`. False when it was revoked before.
        """
        ...

    async def roll_key(self) -> Account:
        """Replace the account key (RFC 8555 7.3.5); the old key file is kept beside the new one until the authority agreed."""
        ...

    async def deactivate(self) -> Account:
        """Close the account for good (RFC 8555 7.3.6)."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Authorities(Protocol):
    """The authorities that an environment may order from."""

    def at(self, directory: str) -> Authority | None:
        """The authority with this directory URL, for resuming, renewal information and revocation."""
        ...


class CertificateKeys(Protocol):
    """Keys and requests of certificates: the part of issuing that needs cryptography and no network."""

    def generate(self, key_type: str) -> SecretStr:
        """A new private key of one of `KEY_TYPES`, PKCS #8 PEM, not encrypted. Raises `UsageError` for another type."""
        ...

    def request(self, key_pem: SecretStr, names: Sequence[str]) -> bytes:
        """A certificate request for these names, DER (RFC 2986, RFC 8555 7.4)."""
        ...

    def digest(self, key_pem: SecretStr) -> str:
        """The SHA-256 of the key's SubjectPublicKeyInfo, to hold against `Leaf.key_digest`."""
        ...

    def leaf(self, pem: str) -> Leaf:
        """The facts of the first certificate of a PEM text. Raises `BadResponse` when there is none that can be read."""
        ...
