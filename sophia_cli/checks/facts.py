"""Facts: all that checks may look at, about one zone at one time. Gathers nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from sophia_cli.checks.lookup import Names
from sophia_cli.core.dns import APEX, Key, Record, Zone
from sophia_cli.core.plan import zone_target

if TYPE_CHECKING:
    from sophia_cli.core.costs import Cost
    from sophia_cli.core.dns_facts import LiveDns
    from sophia_cli.core.endpoints import Endpoint
    from sophia_cli.core.inventory import Instance
    from sophia_cli.core.settings import DesiredZone, Settings
    from sophia_cli.core.traffic import Traffic
    from sophia_cli.core.trends import Series
    from sophia_cli.core.web_facts import Visit

Source = Literal["api", "zone-file", "dns"]

# Mail modes that publish the provider's own MX records, which never show as rows (recorded), and the SPF each asks for.
PROVIDER_MAIL = {
    "FWD": "include:spf.efwd.registrar-servers.com",
    "OX": "include:spf.privateemail.com",
    "GMAIL": "include:_spf.google.com",
}


@dataclass(frozen=True, slots=True)
class Registration:
    """What the registrar says about a domain; None is *not known*."""

    expires: date | None = None
    auto_renew: bool | None = None
    locked: bool | None = None
    privacy: bool | None = None
    is_our_dns: bool | None = None
    renewal: Cost | None = None
    """What a year more costs, where the price list was read."""


@dataclass(frozen=True, slots=True)
class PaidCertificate:
    """A certificate order of the account: the host it is for, its state as the provider calls it, and its end."""

    id: str
    host: str
    kind: str
    status: str
    expires: date | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is written; lines count from 1."""

    file: str
    line: int

    def data(self) -> dict[str, Any]:
        """The public shape."""
        return {"file": self.file, "line": self.line}


@dataclass(frozen=True, slots=True)
class Background:
    """What is known of a target beside its zone. The last four are not gathered yet: None makes checks *not tested*."""

    source: Source = "api"
    registration: Registration | None = None
    file: str | None = None
    """The zone file, when that is where the zone came from."""
    lines: Mapping[Key, tuple[int, ...]] = field(default_factory=dict)
    """The lines of the zone file that hold a record."""
    repeated: tuple[Record, ...] = ()
    """Rows that stand there once more: a `Zone` holds each row once."""
    changed: Mapping[Key, datetime] | None = None
    """When a record was last changed, where history tells."""
    is_whole: bool = True
    """False where DNS alone is the source and the zone could not be listed."""
    dns: LiveDns | None = None
    """What live DNS shows (`checks.questions` says what is wanted)."""
    tls: tuple[Endpoint, ...] | None = None
    """What TLS endpoints showed (`core.endpoints.tls_targets` says which are wanted)."""
    http: Mapping[str, Visit] | None = None
    """What web servers answered, by the URL asked (`checks.web.wishes` says which are wanted)."""
    inventory: Mapping[str, Instance] | None = None
    """What runs in the cloud, by id, with the names that use it (`core.inventory.with_uses`)."""
    history: Mapping[str, Series] | None = None
    """Earlier measurements of this target in seconds: `web URL`, `dns SERVER`; and the serials seen: `serial SERVER`."""
    traffic: Traffic | None = None
    """What a query or access log shows."""
    certificates: tuple[PaidCertificate, ...] | None = None
    """The certificate orders of the account."""
    accounts: Mapping[str, str] = field(default_factory=dict)
    """The URLs of our accounts at ACME authorities, by directory."""


NO_BACKGROUND = Background()


@dataclass(frozen=True)
class Facts:
    """One zone as checks see it. Not slotted: the index over its names is made once, when first asked for."""

    zone: Zone
    now: datetime
    settings: Settings | None = None
    background: Background = NO_BACKGROUND

    @property
    def target(self) -> str:
        """The id of the target these facts are about."""
        return zone_target(self.zone.name)

    @property
    def source(self) -> Source:
        """Where the zone came from."""
        return self.background.source

    @property
    def registration(self) -> Registration | None:
        """What the registrar says."""
        return self.background.registration

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """What TLS endpoints showed; empty where none was looked at."""
        return tuple(self.background.tls or ())

    @cached_property
    def desired(self) -> DesiredZone | None:
        """What the environment wants of this zone."""
        return None if self.settings is None else self.settings.zone(self.zone.name)

    @cached_property
    def names(self) -> Names:
        """The zone indexed by name."""
        return Names(self.zone)

    @cached_property
    def has(self) -> frozenset[str]:
        """The letters of the facts that are there (`catalogue.NEEDS`)."""
        known = {
            "Z": True,
            "R": self.registration is not None,
            "D": self.background.dns is not None,
            "T": self.background.tls is not None,
            "H": self.background.http is not None,
            "L": self.background.inventory is not None,
        }
        return frozenset(letter for letter, there in known.items() if there)

    @cached_property
    def exchangers(self) -> tuple[Record, ...]:
        """The MX records at the apex that are no null MX."""
        return tuple(row for row in self.zone.at(APEX, "MX") if row.value != ".")

    @property
    def has_mail(self) -> bool:
        """Whether mail for the domain is received anywhere on purpose: the provider's own MX under FWD, OX and GMAIL count."""
        if self.zone.email_type in PROVIDER_MAIL:
            return True
        return bool(self.exchangers or self.zone.at(APEX, "MXE"))

    @property
    def is_mail_less(self) -> bool:
        """Whether the environment says that the domain has no mail (`email_type: NONE`) and the zone agrees."""
        return not self.has_mail and self.desired is not None and self.desired.email_type == "NONE"

    def places(self, rows: tuple[Record, ...]) -> tuple[Place, ...]:
        """Where records are written: in the zone file, else in the environment's files."""
        if self.background.file is not None:
            lines = {line for row in rows for line in self.background.lines.get(row.key, ())}
            return tuple(Place(self.background.file, line) for line in sorted(lines))
        keys = {(row.name, row.type) for row in rows}
        origins = {
            (wanted.origin.file, wanted.origin.line)
            for wanted in (self.desired.records if self.desired is not None else ())
            if wanted.origin is not None and (wanted.record.name, wanted.record.type) in keys
        }
        return tuple(Place(file, line) for file, line in sorted(origins))
