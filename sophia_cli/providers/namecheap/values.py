"""What the Namecheap API tells, as frozen values: names in A-labels, money as Decimal, dates without time zone. Does no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sophia_cli.core.dns import Record, Zone, normalised


@dataclass(frozen=True, slots=True)
class HostRow:
    """One host row, exactly as the API gives or takes it. `host_id` is opaque and valid within one reading only (recorded)."""

    host_id: str
    name: str
    type: str
    address: str
    mx_pref: int = 10
    ttl: int = 1800
    is_active: bool = True
    is_ddns: bool = False
    associated_app: str = ""
    friendly_name: str = ""

    def record(self, zone: str) -> Record:
        """The row as a record in canonical form."""
        return normalised(Record(self.name, self.type, self.address, self.ttl, self.mx_pref), zone)

    @classmethod
    def of(cls, record: Record) -> HostRow:
        """The row to send for a record; no TTL means the provider's default."""
        preference = 10 if record.priority is None else record.priority
        return cls("", record.name, record.type, record.value, preference, 1800 if record.ttl is None else record.ttl)


@dataclass(frozen=True, slots=True)
class Hosts:
    """The host rows of a domain and its mail mode."""

    domain: str
    email_type: str
    is_using_our_dns: bool
    rows: tuple[HostRow, ...]

    def zone(self) -> Zone:
        """The same as a Zone: canonical, sorted, without duplicates."""
        return Zone.of(self.domain, self.email_type, [row.record(self.domain) for row in self.rows])


@dataclass(frozen=True, slots=True)
class DomainSummary:
    """One line of domains.getList. What was absent is None."""

    name: str
    id: str
    owner: str
    created: date | None
    expires: date | None
    is_expired: bool | None
    is_locked: bool | None
    auto_renew: bool | None
    whois_guard: str
    is_premium: bool | None
    is_our_dns: bool | None


@dataclass(frozen=True, slots=True)
class DomainInfo:
    """domains.getInfo. `email_type` uses the words of getHosts (NONE, not `No Email Service`); empty when it is not told."""

    domain: str
    id: str
    status: str
    owner: str
    is_owner: bool
    is_premium: bool | None
    created: date | None
    expires: date | None
    provider_type: str
    is_using_our_dns: bool
    host_count: int | None
    email_type: str
    dynamic_dns: bool | None
    nameservers: tuple[str, ...]
    rights: tuple[tuple[str, str], ...]
    """What a domain of another account shares with this one; empty for an own domain."""
    has_all_rights: bool

    @property
    def can_edit_hosts(self) -> bool:
        """Whether this account may write the host rows."""
        return self.has_all_rights or ("hosts", "OK") in self.rights


@dataclass(frozen=True, slots=True)
class Nameservers:
    """dns.getList: where a domain is delegated to."""

    domain: str
    is_using_our_dns: bool
    is_premium_dns: bool
    is_free_dns: bool
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Availability:
    """One name of domains.check. `error` is not empty when the name could not be checked."""

    domain: str
    available: bool
    is_premium: bool
    registration_price: Decimal
    renewal_price: Decimal
    error: str


@dataclass(frozen=True, slots=True)
class Tld:
    """One top-level domain of getTldList."""

    name: str
    title: str
    type: str
    register_years: tuple[int, int]
    renew_years: tuple[int, int]
    is_registerable: bool
    is_renewable: bool
    supports_idn: bool


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a renewal cost, and until when it lasts."""

    domain: str
    order_id: str
    transaction_id: str
    charged: Decimal
    expires: date | None


@dataclass(frozen=True, slots=True)
class Forward:
    """One e-mail forwarding rule; the mailbox `*` catches all."""

    mailbox: str
    target: str


@dataclass(frozen=True, slots=True)
class Balances:
    """The account's money. `required_for_auto_renew` covers the next 90 days."""

    currency: str
    available: Decimal
    account: Decimal
    earned: Decimal
    withdrawable: Decimal
    required_for_auto_renew: Decimal


@dataclass(frozen=True, slots=True)
class Price:
    """One row of the price list. Prices are per year, also for several years (facts, getPricing)."""

    product_type: str
    category: str
    product: str
    duration: int
    duration_type: str
    price: Decimal
    additional_cost: Decimal
    regular_price: Decimal
    your_price: Decimal
    your_additional_cost: Decimal
    promotion_price: Decimal | None
    """None when there is none (`0.0` on the wire)."""
    currency: str

    @property
    def total(self) -> Decimal:
        """What the whole duration costs this account."""
        return (self.your_price + self.your_additional_cost) * self.duration


@dataclass(frozen=True, slots=True)
class CertificateSummary:
    """One line of ssl.getList."""

    id: str
    host_name: str
    type: str
    status: str
    purchased: date | None
    expires: date | None
    is_expired: bool | None


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    """ssl.getInfo. `replaced_by` is the id of the order that took over, or empty."""

    id: str
    status: str
    description: str
    type: str
    issued: date | None
    expires: date | None
    common_name: str
    order_id: str
    replaced_by: str
    certificate: str
