"""Our account at one authority: found or made, its key replaced, closed (RFC 8555 7.3). Orders nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from sophia_cli.core.acme import Account, Directory
from sophia_cli.core.dns import shown
from sophia_cli.core.errors import (
    BadResponse,
    CredentialsMissing,
    CredentialsRejected,
    OutcomeUnknown,
    ProviderRefused,
    Refused,
    SophiaError,
)
from sophia_cli.providers.acme.account_key import AccountKeyFile
from sophia_cli.providers.acme.jws import ExternalAccount, SigningKey, compact
from sophia_cli.providers.acme.reading import account_of, directory_of
from sophia_cli.providers.acme.transport import Answer, Transport


class Accounts:
    """The account whose key is in a file, and requests signed by it."""

    def __init__(
        self,
        transport: Transport,
        key_file: AccountKeyFile,
        *,
        contacts: Sequence[str] = (),
        external: ExternalAccount | None = None,
    ) -> None:
        self._transport = transport
        self._file = key_file
        self._contacts = tuple(contacts)
        self._external = external
        self._lock = asyncio.Lock()
        self._directory: Directory | None = None
        self._account: Account | None = None
        self._key: SigningKey | None = None

    async def directory(self) -> Directory:
        """What the authority offers, asked once."""
        if self._directory is None:
            answer = await self._transport.get(self._transport.directory, what="the directory")
            self._directory = directory_of(answer)
            self._transport.new_nonce = self._directory.new_nonce
        return self._directory

    async def account(self, *, terms_agreed: bool) -> Account:
        """The account; a new one when the authority knows none of our key."""
        async with self._lock:
            if self._account is None:
                self._account = await self._found() or await self._made(terms_agreed)
                if self._account.status != "valid":
                    raise CredentialsRejected(
                        f"{self._transport.host}: the account is {self._account.status}",
                        hint=f"move {self._file.path} away to start with a new account",
                    )
                self._file.note(self._account.url)
            return self._account

    async def identity(self) -> tuple[Account, SigningKey]:
        """The account and its key; never makes one."""
        account = await self.account(terms_agreed=False)
        if self._key is None:
            raise CredentialsMissing(f"{self._transport.host}: there is no account key")
        return account, self._key

    async def post(
        self, url: str, payload: object | None, *, what: str, is_safe: bool = False, accept: str = "application/json"
    ) -> Answer:
        """A request signed by the account. A payload of None reads (POST-as-GET)."""
        account, key = await self.identity()
        return await self._transport.post(
            url, payload, key, key_id=account.url, what=what, is_safe=is_safe, accept=accept
        )

    async def roll_key(self) -> Account:
        """Replace the account key (RFC 8555 7.3.5).

        The new key is on disk before the authority hears of it, and takes the place of the old one after it agreed. When the
        answer is lost, or the run is stopped in between, `_found` asks which of the two the authority knows.
        """
        account, old = await self.identity()
        url = (await self.directory()).key_change
        if url is None:
            raise ProviderRefused(
                f"{self._transport.host} does not replace account keys", details={"type": "unsupported"}
            )
        async with self._lock:
            new = self._file.prepare()
            inner = new.jws(compact({"account": account.url, "oldKey": old.jwk}), url=url)
            try:
                await self._transport.post(url, inner, old, key_id=account.url, what="replacing the account key")
            except OutcomeUnknown:
                self._account = None
            except SophiaError:
                self._file.discard_next()
                raise
            else:
                self._file.promote()
                self._key = new
                return account
        return await self.account(terms_agreed=False)

    async def deactivate(self) -> Account:
        """Close the account for good (RFC 8555 7.3.6)."""
        account, _ = await self.identity()
        answer = await self.post(account.url, {"status": "deactivated"}, what="closing the account", is_safe=True)
        self._account = account_of(answer, account.url)
        return self._account

    async def _found(self) -> Account | None:
        """The account of the key on disk, if the authority knows it; settles a replacement that was interrupted."""
        key, following = self._file.load(), self._file.load_next()
        if following is not None:
            account = await self._looked_up(following)
            if account is not None:
                self._file.promote()
                self._key = following
                return account
        account = None if key is None else await self._looked_up(key)
        self._key = key
        if following is not None and account is not None:
            self._file.discard_next()
        return account

    async def _looked_up(self, key: SigningKey) -> Account | None:
        try:
            return await self._registered(key, {"onlyReturnExisting": True})
        except (ProviderRefused, CredentialsRejected) as error:
            if error.details.get("type") == "accountDoesNotExist":
                return None
            raise

    async def _made(self, terms_agreed: bool) -> Account:
        directory = await self.directory()
        host = self._transport.host
        payload: dict[str, Any] = {}
        if directory.terms_of_service is not None:
            if not terms_agreed:
                raise Refused(
                    f"{host} wants its terms of service agreed to before it makes an account",
                    hint=f"read {shown(directory.terms_of_service, 300)[1:-1]}, and say that you agree",
                    details={"terms_of_service": directory.terms_of_service},
                )
            payload["termsOfServiceAgreed"] = True
        if self._contacts:
            payload["contact"] = [f"mailto:{address}" for address in self._contacts]
        if directory.external_account_required and self._external is None:
            raise CredentialsMissing(
                f"{host} makes accounts only for those who have one there already (external account binding)",
                hint="get a key id and a MAC key from the authority and configure them",
                details={"type": "externalAccountRequired"},
            )
        key = self._key or self._file.create()
        if self._external is not None:
            payload["externalAccountBinding"] = self._external.binding(key, directory.new_account)
        self._key = key
        return await self._registered(key, payload)

    async def _registered(self, key: SigningKey, payload: object) -> Account:
        """What newAccount answers; the same key gives the same account, so that it is safe to repeat (RFC 8555 7.3.1)."""
        url = (await self.directory()).new_account
        answer = await self._transport.post(url, payload, key, what="the account", is_safe=True, during="account")
        if not answer.location:
            raise BadResponse(f"{url}: the answer names no account", hint="see whether a proxy removes headers")
        return account_of(answer, answer.location)
