"""The sandbox's account as values: domains, host rows, orders, money, and switches for what is not known. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

DEFAULT_NAMESERVERS = ("dns1.registrar-servers.com", "dns2.registrar-servers.com")
EMAIL_TYPES = ("NONE", "MX", "MXE", "FWD", "OX", "GMAIL")
HISTORY = 4  # earlier versions of a zone that are kept for stale reads and DNS lag


class Refusal(Exception):
    """The API's answer is an error: its number and text, as the API's error list and recordings have them."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(f"{number} {text}")
        self.number = number
        self.text = text


@dataclass(frozen=True, slots=True)
class Row:
    """One stored host row."""

    host_id: int
    name: str
    type: str
    address: str
    mx_pref: int = 10
    ttl: int = 1800
    is_active: bool = True
    is_ddns: bool = False
    associated_app: str = ""
    friendly_name: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two rows the same (recorded)."""
        return (self.name, self.type, self.address)


@dataclass(frozen=True, slots=True)
class Version:
    """What a zone held until `until` (seconds since the epoch)."""

    until: float
    email_type: str
    rows: tuple[Row, ...]
    hidden: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Domain:
    """One registered name. `hidden` rows (SRV) are published but not shown by getHosts; `nameservers` empty means ours.

    `rights` of a domain that another account owns: what it shares with this one, such as `{"hosts": "OK"}`.
    `privacy` is NOTPRESENT while `privacy_id` is 0, else ENABLED or DISABLED; `contact` holds the fields that differ from
    the sandbox's own person.
    """

    name: str
    id: int
    owner: str
    created: date
    expires: date
    email_type: str = "FWD"
    rows: tuple[Row, ...] = ()
    hidden: tuple[Row, ...] = ()
    nameservers: tuple[str, ...] = ()
    forwards: tuple[tuple[str, str], ...] = ()
    rights: tuple[tuple[str, str], ...] = ()
    is_locked: bool = False
    auto_renew: bool = False
    serial: int = 1
    glue: tuple[tuple[str, str], ...] = ()
    privacy: str = "NOTPRESENT"
    privacy_id: int = 0
    privacy_email: str = ""
    contact: tuple[tuple[str, str], ...] = ()
    history: tuple[Version, ...] = ()

    def before(self) -> Domain:
        """The domain as it was before the last change of its rows; itself when nothing has changed."""
        return self.version(self.history[-1]) if self.history else self

    def at(self, moment: float) -> Domain:
        """The domain as it was at a moment, as far back as the history goes."""
        for old in self.history:
            if moment < old.until:
                return self.version(old)
        return self

    def version(self, old: Version) -> Domain:
        """The domain with an old version's content."""
        return replace(self, email_type=old.email_type, rows=old.rows, hidden=old.hidden)

    def changed(self, now: float, **changes: Any) -> Domain:
        """The domain with other content; what was there goes into the history."""
        old = Version(now, self.email_type, self.rows, self.hidden)
        history = (*self.history, old)[-HISTORY:]
        return replace(self, history=history, serial=self.serial + 1, **changes)


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate order."""

    id: int
    host_name: str
    type: str
    status: str
    purchased: date
    expires: date | None = None
    years: int = 1
    order_id: int = 0
    replaced_by: int = 0
    csr: str = ""
    body: str = ""
    issued_at: float = 0.0
    """When a `purchased` order becomes `active` (seconds since the epoch)."""


@dataclass(frozen=True, slots=True)
class Account:
    """Everything one data file holds."""

    api_user: str
    api_key: str
    username: str
    balance: Decimal = Decimal("100.00")
    next_id: int = 1000
    domains: Mapping[str, Domain] = field(default_factory=dict)
    certificates: tuple[Certificate, ...] = ()
    calls: tuple[float, ...] = ()
    """When the calls of the last day were made; kept only while limits are on."""

    def owned(self) -> tuple[Domain, ...]:
        """The domains that getList lists."""
        return tuple(domain for domain in self.domains.values() if domain.owner == self.username)

    def with_domain(self, domain: Domain) -> Account:
        """The account with this domain put in or replaced."""
        return replace(self, domains={**self.domains, domain.name: domain})


@dataclass(frozen=True, slots=True)
class Switches:
    """One position for each thing about the API that nobody has recorded, and the account's rules."""

    emailtype_omitted: str = "keep"  # keep | reset (to NONE)
    empty_set: str = "empty"  # empty | repark
    host_ids: str = "keep"  # keep | rotate
    limits: str = "off"  # off | on (HTTP 405) | legacy (error 500000)
    limit_minute: int = 20
    limit_hour: int = 700
    limit_day: int = 8000
    srv: str = "survives"  # survives | lost: what setHosts does to SRV rows
    ttl_out_of_range: str = "refuse"  # refuse | clamp | store
    txt_quotes: str = "keep"  # keep | strip | refuse
    idn: str = "alabel"  # alabel | unicode: the form of names in answers
    type_case: str = "accept"  # accept | refuse
    set_default: str = "restore"  # restore | park | empty: the rows after setCustom and setDefault
    new_email_type: str = "FWD"  # FWD | NONE: of a new domain
    new_privacy: str = "none"  # none | enabled | disabled: of a new domain
    privacy_status: str = "lower"  # lower | upper: how whoisguard.getList spells it
    privacy_contact: str = "subscribed"  # subscribed | always: whose getContacts shows the privacy service's contact
    url_rows: str = "keep"  # keep | slash | from: how a URL row without a path comes back
    host_element: str = "host"  # host | Host
    sethosts_email_type: str = "absent"  # absent | present: the attribute in the answer
    number_unknown_command: int = 1011104
    number_missing_name: int = 2010166
    number_too_many: int = 3013288
    number_bad_value: int = 2050900
    number_bad_csr: int = 2010324
    whitelist: tuple[str, ...] | None = None  # None: every address

    def with_data(self, data: Mapping[str, Any]) -> Switches:
        """The switches with some set; unknown names and positions raise ValueError."""
        known = {item.name for item in fields(self)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise ValueError(f"unknown switches: {', '.join(unknown)}")
        changes = dict(data)
        for name, positions in POSITIONS.items():
            if name in changes and changes[name] not in positions:
                raise ValueError(f"switch {name}: one of {', '.join(positions)}")
        if changes.get("whitelist") is not None:
            changes["whitelist"] = tuple(changes["whitelist"])
        return replace(self, **changes)


POSITIONS: Mapping[str, tuple[str, ...]] = {
    "emailtype_omitted": ("keep", "reset"),
    "empty_set": ("empty", "repark"),
    "host_ids": ("keep", "rotate"),
    "limits": ("off", "on", "legacy"),
    "srv": ("survives", "lost"),
    "ttl_out_of_range": ("refuse", "clamp", "store"),
    "txt_quotes": ("keep", "strip", "refuse"),
    "idn": ("alabel", "unicode"),
    "type_case": ("accept", "refuse"),
    "set_default": ("restore", "park", "empty"),
    "new_email_type": ("FWD", "NONE"),
    "new_privacy": ("none", "enabled", "disabled"),
    "privacy_status": ("lower", "upper"),
    "privacy_contact": ("subscribed", "always"),
    "url_rows": ("keep", "slash", "from"),
    "host_element": ("host", "Host"),
    "sethosts_email_type": ("absent", "present"),
}


def parking(domain: str, first_id: int) -> tuple[Row, ...]:
    """The two rows of a new domain (recorded 2020, facts 3.15), in the order getHosts gives."""
    return (
        Row(first_id + 1, "www", "CNAME", "parkingpage.namecheap.com.", friendly_name="CNAME Record"),
        Row(
            first_id,
            "@",
            "URL",
            f"http://www.{domain}/",
            associated_app="URL Forwarding",
            friendly_name="URL Record",
        ),
    )


def new_domain(account: Account, name: str, today: date, switches: Switches = Switches()) -> Account:
    """The account with a freshly registered domain: the default mail mode and the parking pair."""
    domain = Domain(
        name=name,
        id=account.next_id,
        owner=account.username,
        created=today,
        expires=today + timedelta(days=365),
        email_type=switches.new_email_type,
        rows=parking(name, account.next_id + 1),
    )
    if switches.new_privacy != "none":
        domain = replace(domain, privacy=switches.new_privacy.upper(), privacy_id=account.next_id + 3)
    return replace(account.with_domain(domain), next_id=account.next_id + 4)


def ordered(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The rows in the order getHosts gives: by type, then name (recorded)."""
    return tuple(sorted(rows, key=lambda row: (row.type, row.name, row.host_id)))
