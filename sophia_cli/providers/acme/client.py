"""One certificate authority behind the `Authority` port: orders, authorizations, certificates (RFC 8555, RFC 9773)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import SecretStr

from sophia_cli.core.acme import (
    REVOCATION_REASONS,
    Account,
    AcmeProblem,
    Authorization,
    Challenge,
    Directory,
    IssuedChain,
    Order,
    RenewalInfo,
)
from sophia_cli.core.dns import shown
from sophia_cli.core.errors import (
    BadResponse,
    OutcomeUnknown,
    ProviderBusy,
    ProviderRefused,
    SophiaError,
    UsageError,
)
from sophia_cli.core.ports import Clock
from sophia_cli.providers.acme.account_key import AccountKeyFile
from sophia_cli.providers.acme.accounts import Accounts
from sophia_cli.providers.acme.certificates import chain_of
from sophia_cli.providers.acme.jws import ExternalAccount, SigningKey, base64url
from sophia_cli.providers.acme.problems import error_of
from sophia_cli.providers.acme.reading import alternates_of, authorization_of, order_of, renewal_info_of
from sophia_cli.providers.acme.transport import Answer, Transport

if TYPE_CHECKING:
    import httpx

T = TypeVar("T", Order, Authorization)
IN_FLIGHT = 8
MOST_ALTERNATES = 8
FIRST_POLL_S = 0.25
LONGEST_POLL_S = 10.0
LONGEST_WANTED_POLL_S = 300.0
_PEM = "application/pem-certificate-chain"

# Refusals of an order that leaving out `replaces` does not cure; others do, and authorities differ in which they use.
_NOT_ABOUT_REPLACES = frozenset(
    {"caa", "invalidProfile", "rejectedIdentifier", "unsupportedIdentifier", "userActionRequired"}
)


class AcmeAuthority:
    """An authority by its directory URL, and our account there by its key file. Implements `Authority`."""

    def __init__(
        self,
        directory: str,
        key_file: Path,
        *,
        clock: Clock,
        contacts: Sequence[str] = (),
        external: ExternalAccount | None = None,
        http: httpx.AsyncClient | None = None,
        ca_file: Path | None = None,
        timeout_s: float = 30.0,
        patience_s: float = 60.0,
    ) -> None:
        self._clock = clock
        self._transport = Transport(
            directory, clock=clock, http=http, ca_file=ca_file, timeout_s=timeout_s, patience_s=patience_s
        )
        self._accounts = Accounts(self._transport, AccountKeyFile(key_file), contacts=contacts, external=external)

    def __repr__(self) -> str:
        return f"<AcmeAuthority {self.url}>"

    @property
    def url(self) -> str:
        """The directory URL."""
        return self._transport.directory

    @property
    def requests(self) -> int:
        """How many requests were made."""
        return self._transport.requests

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def directory(self) -> Directory:
        """What it offers."""
        return await self._accounts.directory()

    async def account(self, *, terms_agreed: bool) -> Account:
        """Our account, made when there is none."""
        return await self._accounts.account(terms_agreed=terms_agreed)

    async def roll_key(self) -> Account:
        """Replace the account key."""
        return await self._accounts.roll_key()

    async def deactivate(self) -> Account:
        """Close the account for good."""
        return await self._accounts.deactivate()

    # -- orders ------------------------------------------------------------------------------------------------------

    async def order(self, names: Sequence[str], *, profile: str | None = None, replaces: str | None = None) -> Order:
        """Place an order; without `replaces` where the authority does not know it or refuses it."""
        wanted = tuple(dict.fromkeys(_name(name) for name in names))
        if not wanted:
            raise UsageError("a certificate needs a name", hint="ssl.domains", details={"path": "ssl.domains"})
        directory = await self.directory()
        payload: dict[str, Any] = {"identifiers": [{"type": "dns", "value": name} for name in wanted]}
        if profile is not None:
            if not directory.has_profile(profile):
                raise self._no_such_profile(directory, profile)
            payload["profile"] = profile
        what = f"the order for {_listed(wanted)}"
        if replaces is not None and directory.renewal_info is not None:
            try:
                return await self._ordered({**payload, "replaces": replaces}, wanted, what)
            except ProviderRefused as error:
                if error.details.get("type") in _NOT_ABOUT_REPLACES:
                    raise
        return await self._ordered(payload, wanted, what)

    async def _ordered(self, payload: object, names: Sequence[str], what: str) -> Order:
        url = (await self.directory()).new_order
        try:
            answer = await self._accounts.post(url, payload, what=what)
        except OutcomeUnknown:
            # The lost one is nothing to us: it has no record and no answered challenge, and expires by itself.
            answer = await self._accounts.post(url, payload, what=what)
        if not answer.location:
            raise BadResponse(f"{url}: the answer names no order", hint="see whether a proxy removes headers")
        return self._checked(order_of(answer, answer.location), names)

    def _checked(self, order: Order, names: Sequence[str]) -> Order:
        """The order when it is for these names: they decide what is proved and issued."""
        if set(order.names) != set(names):
            raise BadResponse(
                f"the order for {_listed(names)}: {self._transport.host} has {_listed(order.names)} in it",
                hint="nothing is done with it; place a new order",
            )
        return order

    def _no_such_profile(self, directory: Directory, profile: str) -> ProviderRefused:
        offered = ", ".join(shown(item.name)[1:-1] for item in directory.profiles)
        return ProviderRefused(
            f"{self._transport.host} offers no profile {profile!a}",
            hint=f"ssl.profile: one of {offered}" if offered else "it offers none at all; leave ssl.profile out",
            details={"type": "invalidProfile", "path": "ssl.profile"},
        )

    async def resume(self, order_url: str) -> Order:
        """An order placed earlier."""
        return order_of(await self._accounts.post(order_url, None, what=f"the order {order_url}"), order_url)

    async def authorizations(self, order: Order) -> tuple[Authorization, ...]:
        """The authorizations of an order. Raises `BadResponse` when one is for a name the order does not have."""
        wildcards = frozenset(name.removeprefix("*.") for name in order.names if name.startswith("*."))
        gate = asyncio.Semaphore(IN_FLIGHT)

        async def one(url: str) -> Authorization:
            async with gate:
                return await self._authorization(url, wildcards)

        found = await _all(one(url) for url in order.authorizations)
        for authorization in found:
            if authorization.name not in order.names:
                # Its name decides where a record is written.
                raise BadResponse(
                    f"{self._transport.host} wants {authorization.name} proved, which was not ordered",
                    hint="nothing was written; place a new order",
                )
        return tuple(found)

    async def _authorization(self, url: str, wildcards: frozenset[str] = frozenset()) -> Authorization:
        account, key = await self._accounts.identity()
        answer = await self._accounts.post(url, None, what=f"the authorization {url}")
        return authorization_of(
            answer,
            directory=await self.directory(),
            account=account,
            thumbprint=key.thumbprint,
            wildcards=wildcards,
        )

    async def answer(self, challenge: Challenge) -> None:
        """Tell that the record is there; when it is not known whether that arrived, look before telling again."""
        what = f"the challenge for {challenge.identifier}"
        try:
            await self._accounts.post(challenge.url, {}, what=what)
        except OutcomeUnknown:
            seen = (await self._accounts.post(challenge.url, None, what=what)).json().get("status")
            if seen == "pending":
                await self._accounts.post(challenge.url, {}, what=what)

    async def abandon(self, authorization: Authorization) -> None:
        """Deactivate an authorization."""
        what = f"giving up the authorization for {authorization.name}"
        await self._accounts.post(authorization.url, {"status": "deactivated"}, what=what, is_safe=True)

    async def wait_authorization(self, authorization: Authorization, deadline: datetime) -> Authorization:
        """Ask until it is no longer pending."""
        wildcards = frozenset({authorization.identifier} if authorization.wildcard else ())
        name = authorization.name
        ended = await self._settled(
            lambda: self._authorization(authorization.url, wildcards),
            lambda seen: seen.is_over,
            deadline,
            f"the validation of {name}",
        )
        if ended.status != "valid":
            problem = ended.problem() or AcmeProblem("unauthorized", f"the authorization is {ended.status}")
            raise error_of(problem, what=f"the validation of {name}", authority=self._transport.host)
        return ended

    async def wait_order(self, order: Order, deadline: datetime) -> Order:
        """Ask until the order is ready, or valid."""
        what = f"the order for {_listed(order.names)}"

        async def look() -> Order:
            return self._checked(await self.resume(order.url), order.names)

        ended = await self._settled(look, lambda seen: seen.status not in ("pending", "processing"), deadline, what)
        return self._sound(ended, what)

    def _sound(self, order: Order, what: str) -> Order:
        if order.status != "invalid":
            return order
        problem = order.problem or AcmeProblem("invalid", "the authority gives no reason; place a new order")
        raise error_of(problem, what=what, authority=self._transport.host)

    async def _settled(
        self, look: Callable[[], Awaitable[T]], is_over: Callable[[T], bool], deadline: datetime, what: str
    ) -> T:
        """Look again and again, at the pace the authority asks for; the last look is at the deadline.

        What was waited counts as well as the clock, which may be set back meanwhile.
        """
        pause = FIRST_POLL_S
        patience = (deadline - self._clock.now()).total_seconds()
        while True:
            seen = await look()
            if is_over(seen):
                return seen
            left = min(patience, (deadline - self._clock.now()).total_seconds())
            if left <= 0:
                raise ProviderBusy(
                    f"{what}: {self._transport.host} has not finished by {deadline:%Y-%m-%d %H:%M:%S} UTC",
                    hint="run again: the order is taken up where it was left",
                    details={"status": seen.status, "url": seen.url},
                )
            wanted = seen.retry_after_s
            nap = min(left, pause if wanted is None else max(FIRST_POLL_S, min(wanted, LONGEST_WANTED_POLL_S)))
            await self._clock.sleep(nap)
            patience -= nap
            pause = min(pause * 2, LONGEST_POLL_S)

    async def finalize(self, order: Order, csr_der: bytes) -> Order:
        """Send the request; when it is not known whether it arrived, look at the order before sending it again."""
        what = f"finalizing the order for {_listed(order.names)}"
        payload = {"csr": base64url(csr_der)}
        try:
            return await self._finalized(order, payload, what)
        except OutcomeUnknown:
            seen = await self.resume(order.url)
            return await self._finalized(order, payload, what) if seen.status == "ready" else self._sound(seen, what)
        except ProviderRefused as error:
            if error.details.get("type") != "orderNotReady":
                raise
            seen = await self.resume(order.url)
            if seen.status not in ("processing", "valid"):
                raise
            return seen

    async def _finalized(self, order: Order, payload: object, what: str) -> Order:
        answer = await self._accounts.post(order.finalize, payload, what=what)
        return self._sound(self._checked(order_of(answer, order.url), order.names), what)

    async def download(self, order: Order) -> tuple[IssuedChain, ...]:
        """The chains of a valid order. An alternate that cannot be had is left out."""
        if order.certificate is None:
            raise BadResponse(
                f"the order for {_listed(order.names)} is {order.status} and names no certificate",
                hint="run again: the order is taken up where it was left",
            )
        first = await self._chain(order.certificate)
        chains = [chain_of(_text(first), first.url)]
        for url in alternates_of(first)[:MOST_ALTERNATES]:
            try:
                chain = chain_of(_text(await self._chain(url)), url)
            except SophiaError:
                continue  # the first chain is good by itself
            if chain.leaf.fingerprint == chains[0].leaf.fingerprint:
                chains.append(chain)
        return tuple(chains)

    async def _chain(self, url: str) -> Answer:
        return await self._accounts.post(url, None, what=f"the certificate {url}", accept=_PEM)

    # -- certificates ------------------------------------------------------------------------------------------------

    async def renewal_info(self, certificate_id: str) -> RenewalInfo | None:
        """What it advises. Tries once: `core.renewal.check_failed` says when to ask again."""
        base = (await self.directory()).renewal_info
        if base is None:
            return None
        url = f"{base.rstrip('/')}/{certificate_id}"
        answer = await self._transport.get(url, what="the renewal information", retries=False)
        return renewal_info_of(answer, self._clock.now())

    async def revoke(self, certificate_der: bytes, reason: str, key_pem: SecretStr | None = None) -> bool:
        """Revoke by the account, or by the key of the certificate. False when it was revoked before."""
        if reason not in REVOCATION_REASONS:
            known = ", ".join(REVOCATION_REASONS)
            raise UsageError(f"{reason!a} is no reason to revoke a certificate", hint=f"one of {known}")
        url = (await self.directory()).revoke_certificate
        if url is None:
            raise ProviderRefused(f"{self._transport.host} does not revoke by ACME", details={"type": "unsupported"})
        payload = {"certificate": base64url(certificate_der), "reason": REVOCATION_REASONS[reason]}
        what = "revoking the certificate"

        async def send() -> None:
            if key_pem is None:
                await self._accounts.post(url, payload, what=what)
            else:
                key = SigningKey.of_pem(key_pem, "the certificate's key file")
                await self._transport.post(url, payload, key, what=what)

        try:
            await send()
        except OutcomeUnknown:
            await _unless_revoked(send)
            return True
        except ProviderRefused as error:
            if error.details.get("type") != "alreadyRevoked":
                raise
            return False
        return True


async def _unless_revoked(send: Callable[[], Awaitable[None]]) -> None:
    try:
        await send()
    except ProviderRefused as error:
        if error.details.get("type") != "alreadyRevoked":
            raise


async def _all(tasks: Any) -> list[Authorization]:
    """Their results in order; the first error once every one of them has ended."""
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


def _text(answer: Answer) -> str:
    return answer.body.decode("utf-8", "replace")


def _name(name: str) -> str:
    text = name.strip().rstrip(".").lower()
    if not text.isascii() or not text:
        raise UsageError(f"{shown(name)} is no domain name in ASCII form", hint="give its xn-- form")
    return text


def _listed(names: Sequence[str]) -> str:
    """Names for a message; the authority may have given them."""
    text = ", ".join(shown(name, 253)[1:-1] for name in names[:3])
    return text if len(names) <= 3 else f"{text} and {len(names) - 3} more"
