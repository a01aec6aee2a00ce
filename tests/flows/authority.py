"""A certificate authority in memory that signs what it is asked for, with faults on demand at each of its calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import SecretStr

from sophia_cli.core.acme import (
    DNS_01,
    Account,
    Authorization,
    Challenge,
    Directory,
    IssuedChain,
    Order,
    RenewalInfo,
)
from sophia_cli.core.errors import ProviderRefused
from sophia_cli.providers.acme.certificates import chain_of
from tests.certificates import DAY, Signer
from tests.memory import MemoryClock


@dataclass
class MemoryAuthority:
    """It holds one account and its orders. `queue` maps a method to errors raised by its next calls (None lets one pass).

    `shows` tells which TXT values are to be seen at a name when it looks; `expires_in` is how long authorizations live.
    """

    url: str
    clock: MemoryClock
    shows: Callable[[str], frozenset[str]]
    expires_in: timedelta = timedelta(hours=1)
    valid_for: timedelta = 90 * DAY
    identities: tuple[str, ...] = ()
    queue: dict[str, list[Any]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    authz: dict[str, Authorization] = field(default_factory=dict)
    chains: dict[str, str] = field(default_factory=dict)
    signer: Signer = field(default_factory=Signer)
    info: RenewalInfo | None = None
    other_key: bool = False

    def fault(self, method: str, *errors: Any) -> None:
        self.queue.setdefault(method, []).extend(errors)

    def _next(self, method: str) -> None:
        self.log.append(method)
        waiting = self.queue.get(method) or [None]
        error = waiting.pop(0)
        if error is not None:
            raise error

    async def directory(self) -> Directory:
        return Directory(self.url, "n", "a", "o", caa_identities=self.identities)

    async def account(self, *, terms_agreed: bool) -> Account:
        return Account("https://ca.example/acct/1", "valid")

    async def order(self, names: Sequence[str], *, profile: str | None = None, replaces: str | None = None) -> Order:
        self._next("order")
        number = len(self.orders) + 1
        urls = []
        for name in names:
            url = f"{self.url}/authz/{number}/{name}"
            bare = name.removeprefix("*.")
            value = f"{number}{name.replace('*', 'star')}".replace(".", "-").ljust(43, "x")[:43]
            label = f"_acme-challenge.{bare}"
            wild = name.startswith("*.")
            challenge = Challenge(DNS_01, url + "/dns", "pending", bare, wild, label, value, "token")
            end = self.clock.now() + self.expires_in
            self.authz[url] = Authorization(url, bare, wild, "pending", (challenge,), end)
            urls.append(url)
        order = Order(f"{self.url}/order/{number}", "pending", tuple(names), tuple(urls), "f", replaces=replaces)
        self.orders[order.url] = order
        return order

    async def resume(self, order_url: str) -> Order:
        self._next("resume")
        if order_url not in self.orders:
            raise ProviderRefused("no such order")
        return self.orders[order_url]

    async def authorizations(self, order: Order) -> tuple[Authorization, ...]:
        return tuple(self.authz[url] for url in order.authorizations)

    async def answer(self, challenge: Challenge) -> None:
        self._next("answer")
        url = challenge.url.removesuffix("/dns")
        good = challenge.txt_value in self.shows(challenge.txt_name)
        self.authz[url] = replace(self.authz[url], status="valid" if good else "invalid")

    async def abandon(self, authorization: Authorization) -> None:
        self._next("abandon")
        self.authz[authorization.url] = replace(authorization, status="deactivated")

    async def wait_authorization(self, authorization: Authorization, deadline: datetime) -> Authorization:
        self._next("wait_authorization")
        found = self.authz[authorization.url]
        if found.status == "invalid":
            raise ProviderRefused(f"the validation of {found.identifier} failed", details={"type": "unauthorized"})
        return found

    async def wait_order(self, order: Order, deadline: datetime) -> Order:
        self._next("wait_order")
        if order.status == "pending":
            order = replace(order, status="ready")
        elif order.status == "processing":
            order = replace(order, status="valid")
        self.orders[order.url] = order
        return order

    async def finalize(self, order: Order, csr_der: bytes) -> Order:
        request = x509.load_der_x509_csr(csr_der)
        key = ec.generate_private_key(ec.SECP256R1()).public_key() if self.other_key else request.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.chains[order.url] = self.signer.leaf(key, *names.get_values_for_type(x509.DNSName), valid=self.valid_for)
        done = replace(order, status="valid")
        self.orders[order.url] = done
        self._next("finalize")
        return done

    async def download(self, order: Order) -> tuple[IssuedChain, ...]:
        self._next("download")
        return (chain_of(self.chains[order.url] + self.signer.pem, order.url),)

    async def renewal_info(self, certificate_id: str) -> RenewalInfo | None:
        self._next("renewal_info")
        return self.info

    async def revoke(self, certificate_der: bytes, reason: str, key_pem: SecretStr | None = None) -> bool:
        self._next("revoke")
        x509.load_der_x509_certificate(certificate_der).public_bytes(Encoding.PEM)
        return True

    async def roll_key(self) -> Account:
        raise NotImplementedError

    async def deactivate(self) -> Account:
        raise NotImplementedError

    async def close(self) -> None:
        return
