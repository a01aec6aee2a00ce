"""The Namecheap client: one method a command, typed results, typed errors. Never guesses what an odd answer means."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from sophia_cli.core.dns import ascii_name, shown
from sophia_cli.core.errors import IncompleteRead, NotInAccount, UsageError
from sophia_cli.providers.namecheap import reading
from sophia_cli.providers.namecheap.budget import Budget, Unlimited, WindowBudget
from sophia_cli.providers.namecheap.credentials import Credentials, checked_endpoint, is_loopback
from sophia_cli.providers.namecheap.refusals import Kind
from sophia_cli.providers.namecheap.transport import DEFAULT_RETRY, RetryPolicy, Transport
from sophia_cli.providers.namecheap.values import (
    Availability,
    Balances,
    CertificateInfo,
    CertificateSummary,
    DomainInfo,
    DomainSummary,
    Forward,
    HostRow,
    Hosts,
    Nameservers,
    Price,
    Renewal,
    Tld,
)
from sophia_cli.providers.namecheap.xml import Envelope

if TYPE_CHECKING:
    from types import TracebackType

    import httpx

T = TypeVar("T")

PAGE = 100  # rows, the most that a list gives at once
MAX_PAGES = 1000
MAX_CHECK = 50  # names of one domains.check (error 2011169)
MAX_NAMESERVERS = 1200  # characters (API reference)


_Page = tuple[tuple[DomainSummary, ...], int | None]
"""The rows of one page of the account's list, and how many the whole list has, where that is told."""


class NamecheapClient:
    """One account at one endpoint. Names are given as registered (see `registered`), in any case, with or without a final dot.

    Close it with `aclose`, or use it as an async context manager. A client that is handed in as `http` is not closed.
    """

    def __init__(
        self,
        credentials: Credentials,
        endpoint: str,
        *,
        http: httpx.AsyncClient | None = None,
        timeout_s: float = 60.0,
        budget: Budget | None = None,
        retry: RetryPolicy = DEFAULT_RETRY,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.endpoint = checked_endpoint(endpoint)
        if budget is None:
            budget = Unlimited() if is_loopback(endpoint) else WindowBudget(sleep=sleep, clock=clock)
        self._transport = Transport(
            credentials,
            self.endpoint,
            http=http,
            timeout_s=timeout_s,
            budget=budget,
            retry=retry,
            sleep=sleep,
            clock=clock,
            jitter=jitter,
        )
        self._owned: set[str] = set()  # names that a list has shown
        self._pages = 0  # of the account's list; 0 until its first page was read
        self._searches = 0
        self._listing = asyncio.Lock()

    def __repr__(self) -> str:
        return f"NamecheapClient({self.endpoint!r})"

    @property
    def calls(self) -> int:
        """How many requests were sent so far, retries included."""
        return self._transport.calls

    async def __aenter__(self) -> NamecheapClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.close()

    # -- names -----------------------------------------------------------------------------------------------------

    async def domains(self) -> tuple[DomainSummary, ...]:
        """The domains this account owns, all pages. Raises IncompleteRead when the pages do not add up to the total."""
        return await self._all_domains(None)

    async def _all_domains(self, first: _Page | None) -> tuple[DomainSummary, ...]:
        found = await _all_pages(self._page, lambda item: item.name, "domains.getList", first)
        self._owned = {item.name for item in found}
        return found

    async def _page(self, number: int, **narrowed: str) -> _Page:
        rows, total = reading.summaries(
            await self._read("domains.getList", Page=str(number), PageSize=str(PAGE), SortBy="NAME", **narrowed)
        )
        self._owned |= {item.name for item in rows}
        return rows, total

    async def registered(self, name: str) -> str:
        """The registered name that equals `name`, in A-labels; raises NotInAccount. Substrings and parents never count.

        In an account of more than one page a few names are searched for, so that a thousand domains do not cost ten calls
        for one; who asks for more than that reads the whole list, and so does a name that no search finds.
        """
        wanted = _name(name)
        async with self._listing:  # zones read side by side share one listing
            first = None
            if not self._pages:
                first = await self._page(1)
                self._pages = -(-(first[1] or 1) // PAGE)
            if wanted not in self._owned and self._searches < self._pages // 2:
                self._searches += 1
                await self._page(1, SearchTerm=wanted)
            if wanted in self._owned:
                return wanted
            owned = [item.name for item in await self._all_domains(first)]
        if wanted in owned:
            return wanted
        parent = next((item for item in owned if wanted.endswith("." + item)), None)
        if parent is not None:
            hint = f"{parent} is in the account; records of {wanted} belong into that zone"
        elif owned:
            hint = f"the account holds {len(owned)} domains, such as {', '.join(owned[:3])}"
        else:
            hint = "the account holds no domains; check that the credentials are those of its owner"
        raise NotInAccount(
            f"{wanted}: not a registered name of this Namecheap account",
            hint=hint,
            details={"provider": "namecheap", "domain": wanted},
        )

    async def info(self, domain: str) -> DomainInfo:
        """Details, host count and mail mode of a domain."""
        name = _name(domain)
        return reading.info(await self._read("domains.getInfo", DomainName=name), name)

    async def check(self, names: Iterable[str]) -> tuple[Availability, ...]:
        """Which names are free, fifty a call."""
        wanted = [_name(name) for name in names]
        found: list[Availability] = []
        for at in range(0, len(wanted), MAX_CHECK):
            batch = wanted[at : at + MAX_CHECK]
            found += reading.availabilities(await self._read("domains.check", DomainList=",".join(batch)))
        return tuple(found)

    async def tlds(self) -> tuple[Tld, ...]:
        """The top-level domains on sale (a long list: keep it)."""
        return reading.tlds(await self._read("domains.getTldList"))

    async def renew(self, domain: str, years: int, *, promotion_code: str = "") -> Renewal:
        """Renew a domain; this costs money, each time. Tried again only after HTTP 405, which was not executed."""
        name = _name(domain)
        params = {"DomainName": name, "Years": str(years)}
        if promotion_code:
            params["PromotionCode"] = promotion_code
        found = await self._write("domains.renew", params, kind=Kind.CHARGE)
        item = reading.confirmed(found, "DomainRenewResult", name, ("Renew",), "DomainName")
        return reading.renewal(item, name)

    # -- host rows -------------------------------------------------------------------------------------------------

    async def hosts(self, domain: str) -> Hosts:
        """The host rows and the mail mode. Raises IncompleteRead when the mode is not told."""
        name, params = _split(domain)
        return reading.hosts(await self._read("domains.dns.getHosts", **params), name)

    async def set_hosts(
        self, domain: str, email_type: str, rows: Sequence[HostRow], *, allow_empty: bool = False
    ) -> tuple[str, ...]:
        """Replace all host rows and the mail mode (setHosts has no partial form); gives the provider's warnings.

        Raises OutcomeUnknown when the answer is lost or not readable. An empty set is refused unless it is meant.
        """
        name, params = _split(domain)
        if not email_type.strip():
            raise UsageError(f"{name}: a write must name the e-mail type", hint="send back the one that was read")
        if not rows and not allow_empty:
            raise UsageError(f"{name}: an empty set of host rows would delete every record")
        params["EmailType"] = email_type
        for number, row in enumerate(rows, 1):
            params[f"HostName{number}"] = row.name
            params[f"RecordType{number}"] = row.type
            params[f"Address{number}"] = row.address
            params[f"MXPref{number}"] = str(row.mx_pref)
            params[f"TTL{number}"] = str(row.ttl)
        found = await self._write("domains.dns.setHosts", params, retries_busy=True)
        return reading.warnings(reading.confirmed(found, "DomainDNSSetHostsResult", name, ("IsSuccess",), "Domain"))

    # -- delegation ------------------------------------------------------------------------------------------------

    async def nameservers(self, domain: str) -> Nameservers:
        """Where the domain is delegated to; domains on FreeDNS are asked for by getInfo, as getList does not know them."""
        name, params = _split(domain)
        try:
            return reading.nameservers(await self._read("domains.dns.getList", **params), name)
        except NotInAccount as error:
            if error.details.get("number") != 2019166:
                raise
            found = await self.info(name)
            is_free = found.provider_type.lower() == "freedns"
            return Nameservers(name, found.is_using_our_dns, False, is_free, found.nameservers)

    async def set_default(self, domain: str) -> None:
        """Delegate to Namecheap's own nameservers."""
        name, params = _split(domain)
        found = await self._write("domains.dns.setDefault", params)
        reading.confirmed(found, "DomainDNSSetDefaultResult", name, ("Updated", "Update"), "Domain")

    async def set_custom(self, domain: str, nameservers: Sequence[str]) -> None:
        """Delegate to other nameservers, two at the least; host rows and forwarding stop working there."""
        name, params = _split(domain)
        servers = [ascii_name(server.strip()).rstrip(".") for server in nameservers]
        joined = ",".join(servers)
        if len(servers) < 2 or len(joined) > MAX_NAMESERVERS or any(_is_address(server) for server in servers):
            raise UsageError(
                f"{name}: delegation needs two or more host names, {MAX_NAMESERVERS} characters in all, no addresses"
            )
        found = await self._write("domains.dns.setCustom", {**params, "Nameservers": joined})
        reading.confirmed(found, "DomainDNSSetCustomResult", name, ("Updated", "Update"), "Domain")

    # -- mail and lock ---------------------------------------------------------------------------------------------

    async def email_forwarding(self, domain: str) -> tuple[Forward, ...]:
        """The e-mail forwarding rules; they work only while the mail mode is FWD."""
        name = _name(domain)
        return reading.forwards(await self._read("domains.dns.getEmailForwarding", DomainName=name), name)

    async def set_email_forwarding(self, domain: str, forwards: Sequence[Forward]) -> None:
        """Replace all forwarding rules; none clears them."""
        name = _name(domain)
        params = {"DomainName": name}
        for number, item in enumerate(forwards, 1):
            params[f"MailBox{number}"] = item.mailbox
            params[f"ForwardTo{number}"] = item.target
        found = await self._write("domains.dns.setEmailForwarding", params)
        reading.confirmed(found, "DomainDNSSetEmailForwardingResult", name, ("IsSuccess",), "Domain")

    async def registrar_lock(self, domain: str) -> bool:
        """Whether the domain is locked against transfer."""
        name = _name(domain)
        return reading.lock(await self._read("domains.getRegistrarLock", DomainName=name), name)

    async def set_registrar_lock(self, domain: str, locked: bool) -> None:
        """Lock or unlock the domain against transfer."""
        name = _name(domain)
        params = {"DomainName": name, "LockAction": "LOCK" if locked else "UNLOCK"}
        found = await self._write("domains.setRegistrarLock", params)
        reading.confirmed(found, "DomainSetRegistrarLockResult", name, ("IsSuccess",), "Domain")

    # -- money and certificates ------------------------------------------------------------------------------------

    async def balances(self) -> Balances:
        """The account's money."""
        return reading.balances(await self._read("users.getBalances"))

    async def pricing(
        self, product_type: str, *, category: str = "", action: str = "", product: str = "", promotion_code: str = ""
    ) -> tuple[Price, ...]:
        """The price list, narrowed; the names that come back are lower-case and others than those asked for (recorded)."""
        params = {
            "ProductType": product_type,
            "ProductCategory": category,
            "ActionName": action,
            "ProductName": product,
            "PromotionCode": promotion_code,
        }
        return reading.prices(
            await self._read("users.getPricing", **{name: value for name, value in params.items() if value})
        )

    async def certificates(self) -> tuple[CertificateSummary, ...]:
        """The certificate orders, all pages."""

        async def page(number: int) -> tuple[tuple[CertificateSummary, ...], int | None]:
            return reading.certificates(await self._read("ssl.getList", Page=str(number), PageSize=str(PAGE)))

        return await _all_pages(page, lambda item: item.id, "ssl.getList")

    async def certificate(self, identity: str) -> CertificateInfo:
        """One certificate order, with its certificate when it is issued."""
        params = {"CertificateID": identity, "Returncertificate": "true", "Returntype": "Individual"}
        return reading.certificate(await self._read("ssl.getInfo", **params), identity)

    # -- calls -----------------------------------------------------------------------------------------------------

    async def _read(self, command: str, **params: str) -> Envelope:
        return await self._transport.call(f"namecheap.{command}", params)

    async def _write(
        self, command: str, params: dict[str, str], *, kind: Kind = Kind.REPLACE, retries_busy: bool = False
    ) -> Envelope:
        return await self._transport.call(f"namecheap.{command}", params, kind=kind, retries_busy=retries_busy)


async def _all_pages(
    page: Callable[[int], Awaitable[tuple[tuple[T, ...], int | None]]],
    key: Callable[[T], str],
    where: str,
    first: tuple[tuple[T, ...], int | None] | None = None,
) -> tuple[T, ...]:
    """All rows of a paged list, of which `first` was perhaps read already.

    Ends at the total, at an empty page, and at a page that brings nothing new.
    """
    found: dict[str, T] = {}
    total: int | None = None
    for number in range(1, MAX_PAGES + 1):
        rows, total = first if first is not None and number == 1 else await page(number)
        before = len(found)
        found.update((key(row), row) for row in rows)
        is_last = len(found) >= total if total is not None else len(rows) < PAGE
        if is_last or len(found) == before:
            break
    if total is not None and len(found) != total:
        raise IncompleteRead(
            f"{where}: {len(found)} rows were listed and {total} announced",
            hint="the list changed while it was read, or pages are missing; run again",
            details={"provider": "namecheap", "listed": len(found), "announced": total},
        )
    return tuple(found.values())


def _name(domain: str) -> str:
    name = ascii_name(domain.strip()).rstrip(".")
    if not name or not name.isascii() or "." not in name or any(not label for label in name.split(".")):
        raise UsageError(f"{shown(domain)} is not a domain name")
    return name


def _split(domain: str) -> tuple[str, dict[str, str]]:
    """The name, and the parameters that name it: SLD is its first label, TLD the rest (recorded)."""
    name = _name(domain)
    first, _, rest = name.partition(".")
    return name, {"SLD": first, "TLD": rest}


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
