"""What an environment asks for, typed: the sections of the contract as frozen values. Reads no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pydantic import SecretStr

from sophia_cli.core.dns import Record

AUTONOMY = ("observe", "suggest", "autonomous-safe", "autonomous")
OPTIMIZATION_LEVELS = ("conservative", "balanced", "aggressive")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written; lines and columns count from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class DesiredRecord:
    """A record the environment asks for. `record.ttl` is None when neither it nor `dns.ttl` is given.

    `secret` names the fields (`name`, `value`, `ttl`, `priority`) that were computed from secrets.
    """

    record: Record
    path: str
    """The path in the environment, such as `dns.records.api`."""
    protect: bool = False
    secret: frozenset[str] = frozenset()
    origin: Origin | None = None
    takes: str | None = None
    """`STACK#OUTPUT` when its value is a stack's output, `${stacks.STACK.outputs.OUTPUT}`."""


@dataclass(frozen=True, slots=True)
class DesiredZone:
    """One domain as the environment wants it. None means: keep what the zone has."""

    name: str
    path: str
    """Where its settings stand: `dns`, or `dns.domains["example.com"]`."""
    records: tuple[DesiredRecord, ...] = ()
    ttl: int | None = None
    email_type: str | None = None
    nameservers: tuple[str, ...] = ()
    """`HOST[:PORT]` of the servers to ask about the zone; empty: the delegation's."""
    delegation: tuple[str, ...] | None = None
    """None: keep; `()` is the provider's default servers; else the host names."""
    purge: bool = False
    unknown: tuple[str, ...] = ()
    """Paths whose value is not known; when not empty nothing is planned for the zone."""
    left_out: Mapping[tuple[str, str], str] = field(default_factory=dict, hash=False)
    """Why the sets at these (name, type) are neither made nor changed nor deleted: the stack they rest on is not here."""


@dataclass(frozen=True, slots=True)
class Namecheap:
    """How to reach the provider. `client_ips` maps local_dev, github_actions, pulumi_cloud and fallback to IPv4 addresses."""

    api_user: SecretStr | None = None
    api_key: SecretStr | None = None
    username: SecretStr | None = None
    sandbox: bool = False
    endpoint: str | None = None
    client_ips: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """Blast-radius limits (contract): counts of records; `max_percent` of the records there before."""

    max_changes: int = 50
    max_deletes: int = 3
    max_percent: int = 30
    per_day: int = 100
    environments: tuple[str, ...] = ()
    """Stack or environment names that may be written; empty: all."""
    protected: tuple[str, ...] = ()
    """Patterns `NAME TYPE` with `*` for any, such as `A @` or `MX *` (type and name in either order)."""
    window: str | None = None
    """Such as `Mon-Fri 09:00-17:00 Europe/Berlin`; None: always."""
    approvals: tuple[str, ...] = ("terminal",)
    """How an approval may have been given to count: `terminal`, `unattended` (`limits.approvals`)."""


@dataclass(frozen=True, slots=True)
class Model:
    """A language model host (OpenAI-compatible)."""

    base_url: str
    name: str
    api_key: SecretStr | None = None
    timeout_s: int = 60
    max_cost_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Intelligence:
    """The `ai_infrastructure` section."""

    enabled: bool = True
    optimization_level: str = "balanced"
    learning_mode: bool = False
    auto_scale: bool = False
    cost_optimization: bool = False
    autonomy: str = "suggest"
    limits: Limits = Limits()
    model: Model | None = None


@dataclass(frozen=True, slots=True)
class ExternalAccountKey:
    """What an authority gave to bind an account of ours to one that is there already (RFC 8555 7.3.4)."""

    key_id: SecretStr
    hmac_key: SecretStr


@dataclass(frozen=True, slots=True)
class Ssl:
    """The `ssl` section, or what of it counts for one certificate.

    `provider` and `directory` are the authority that is preferred; `others` the directories of those that are tried after it.
    """

    provider: str | None = None
    email: str | None = None
    domains: tuple[str, ...] = ()
    directory: str | None = None
    others: tuple[str, ...] = ()
    key_type: str = "ec-p256"
    profile: str | None = None
    preferred_chain: str | None = None
    """The name of a root or cross-signing issuer, or `shortest`; None: the chain the authority gives first."""
    challenge: str | None = None
    store: str | None = None
    deploy_hook: str | None = None
    renew_before_days: int | None = None
    """Days before the end from which on it is renewed, where that is earlier than what the authority advises."""
    ca_file: str | None = None
    """A PEM file with the root that the authority's own server is trusted by, for private authorities."""
    external_accounts: Mapping[str, ExternalAccountKey] = field(default_factory=dict)
    """By directory URL."""
    certificates: Mapping[str, Ssl] = field(default_factory=dict)
    """Further certificates by name, each as the section that counts for it."""

    @property
    def names(self) -> tuple[str, ...]:
        """The domains of all certificates."""
        every = (*self.domains, *(name for one in self.certificates.values() for name in one.domains))
        return tuple(dict.fromkeys(every))


@dataclass(frozen=True, slots=True)
class Smtp:
    """The mail server alerts go through (`monitoring.smtp`). Without `implicit_tls`, STARTTLS is wanted."""

    host: str = "localhost"
    port: int = 25
    username: SecretStr | None = None
    password: SecretStr | None = None
    sender: str | None = None
    implicit_tls: bool = False


@dataclass(frozen=True, slots=True)
class Monitoring:
    """The `monitoring` section. `webhook_form` is `json` or `slack`; None: told by the address."""

    dns_health_check: bool = True
    ping_endpoints: tuple[str, ...] = ()
    alert_email: SecretStr | None = None
    webhook: SecretStr | None = None
    prometheus_url: str | None = None
    smtp: Smtp = Smtp()
    webhook_form: str | None = None


@dataclass(frozen=True, slots=True)
class Security:
    """The `security` section."""

    dns_sec: bool = False
    api_rate_limiting: bool = True
    ip_whitelist_enforcement: bool = False
    secret_rotation_days: int | None = None


@dataclass(frozen=True, slots=True)
class Ignore:
    """One entry of `analysis.ignore`: a finding a person accepts for a while.

    `target` may hold `*`; `name` narrows it to findings about that one record name. Without reason or end date, or once
    `until` (a day in UTC, itself included) is past, it does not count and is reported.
    """

    id: str
    target: str = "*"
    reason: str = ""
    until: date | None = None
    name: str | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """One entry of `services`: something that can be scaled by one configuration value of a stack."""

    name: str
    stack: str | None = None
    config_key: str | None = None
    min: int | None = None
    max: int | None = None
    target: str | None = None
    metric: str | None = None
    unit_cost: Decimal | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stack:
    """One entry of `pulumi.stacks`."""

    environment: str
    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    expires: datetime | None = None
    """When heal is to report it, and may take it down (aware); None: never."""


@dataclass(frozen=True, slots=True)
class Pulumi:
    """The `pulumi` section."""

    work_dir: str | None = None
    backend: str | None = None
    stacks: tuple[Stack, ...] = ()
    program: str | None = None
    """`module:function` of an inline Python program; its modules are looked for in `work_dir`."""
    project: str | None = None
    """The project name of an inline program; a local program has its own in `Pulumi.yaml`."""
    secrets_provider: str | None = None
    passphrase: SecretStr | None = None
    home: str | None = None
    """A `PULUMI_HOME` to share; None: sophia's own."""
    plugins: str | None = None
    """A folder of plugins that sophia's own home shares, such as `~/.pulumi/plugins`."""
    policy_packs: tuple[str, ...] = ()
    pass_variables: tuple[str, ...] = ()
    """Variables of sophia's own process that programs get as well, by name."""


@dataclass(frozen=True, slots=True)
class Settings:
    """An environment, typed. `stack` is the name `${pulumi.stack}` has; `writable` the file that edits go to, if any."""

    environment: str
    stack: str
    provider: str = "namecheap"
    zones: tuple[DesiredZone, ...] = ()
    namecheap: Namecheap = Namecheap()
    ssl: Ssl = Ssl()
    monitoring: Monitoring = Monitoring()
    security: Security = Security()
    pulumi: Pulumi = Pulumi()
    services: tuple[Service, ...] = ()
    intelligence: Intelligence = Intelligence()
    ignores: tuple[Ignore, ...] = ()
    writable: str | None = None
    secrets: tuple[SecretStr, ...] = ()
    """Every secret text the environment holds: what redaction looks for."""
    time_zone: str | None = None
    """What "6 pm" and "tomorrow" mean here (IANA name, `platform.time_zone`); None: that of the change window, else UTC."""

    def zone(self, name: str) -> DesiredZone | None:
        """The desired zone of a domain name."""
        return next((zone for zone in self.zones if zone.name == name), None)
