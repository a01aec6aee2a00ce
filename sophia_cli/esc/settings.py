"""Settings: an evaluated environment held against the sections of the contract. Contacts nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import SecretStr

from sophia_cli.core.dns import shown
from sophia_cli.core.errors import UnknownValue
from sophia_cli.core.settings import (
    AUTONOMY,
    OPTIMIZATION_LEVELS,
    Ignore,
    Intelligence,
    Limits,
    Model,
    Monitoring,
    Namecheap,
    Pulumi,
    Security,
    Service,
    Settings,
    Smtp,
    Stack,
)
from sophia_cli.core.window import window
from sophia_cli.esc.certificates import ssl_of
from sophia_cli.esc.diagnostics import Diagnostic, Report
from sophia_cli.esc.environment import RESERVED_SECTIONS, Environment, Node, invalid
from sophia_cli.esc.sections import Section, is_loopback, url_problem
from sophia_cli.esc.zones import zones

ENDPOINTS = ("https://api.namecheap.com/xml.response", "https://api.sandbox.namecheap.com/xml.response")
CLIENT_IPS = ("local_dev", "github_actions", "pulumi_cloud", "fallback")
APPROVALS = ("terminal", "unattended")
FREE_SECTIONS = ("ip_addresses", "previous_secrets")
# Keys that are read and checked but change nothing yet; `config check` says so. Shorten this with the features.
WITHOUT_EFFECT = (
    "monitoring.dns_health_check",
    "monitoring.prometheus",
    "security.dns_sec",
    "security.api_rate_limiting",
    "security.ip_whitelist_enforcement",
)


@dataclass(frozen=True, slots=True)
class Reading:
    """The settings with everything found while reading them. `blocked` are unknown values that name no target at all."""

    settings: Settings
    diagnostics: tuple[Diagnostic, ...]
    blocked: tuple[str, ...] = ()

    @property
    def has_errors(self) -> bool:
        """Whether the environment cannot be used."""
        return any(one.severity == "error" for one in self.diagnostics)


def settings(environment: Environment) -> Settings:
    """The typed environment. Raises InvalidEnvironment for anything wrong, UnknownValue when no target can be named."""
    found = read(environment)
    if found.has_errors:
        raise invalid(environment.name, found.diagnostics)
    if found.blocked:
        listed = ", ".join(found.blocked)
        raise UnknownValue(
            f"{environment.name}: {listed} is unknown here, so nothing can be planned",
            hint="open the environment in Pulumi Cloud, or write the value in the file",
            details={"paths": list(found.blocked)},
        )
    return found.settings


def read(environment: Environment, *, checking: bool = False) -> Reading:
    """The settings and all diagnostics, those of the evaluation first; `checking` adds what has no effect yet."""
    report = Report()
    unknown: list[str] = []
    blocked: list[str] = []
    root = Section(environment.root, "", report, unknown)
    dns, ai = root.section("dns"), root.section("ai_infrastructure")
    if dns.node is not None and dns.node.unknown:
        blocked.append("dns")
    provider = dns.choice("provider", ("namecheap", "sandbox"), "namecheap") or "namecheap"
    result = Settings(
        environment=environment.name,
        stack=environment.stack or environment.name,
        provider=provider,
        zones=zones(dns, blocked),
        namecheap=_namecheap(root.section("namecheap")),
        ssl=ssl_of(root.section("ssl")),
        monitoring=_monitoring(root.section("monitoring")),
        security=_security(root.section("security")),
        pulumi=_pulumi(root.section("pulumi")),
        services=tuple(_services(root.section("services"))),
        intelligence=_intelligence(ai),
        ignores=tuple(_ignores(root.section("analysis"))),
        writable=environment.file if environment.local else None,
        secrets=tuple(SecretStr(text) for text in environment.secret_texts()),
        time_zone=_time_zone(root.section("platform")),
    )
    for name in (*FREE_SECTIONS, *RESERVED_SECTIONS):
        root.section(name)
    dns.finish()
    root.finish()
    if checking:
        _without_effect(environment, report)
    diagnostics = (*environment.diagnostics, *report.sorted())
    return Reading(result, tuple(dict.fromkeys(diagnostics)), tuple(dict.fromkeys(blocked)))


def _without_effect(environment: Environment, report: Report) -> None:
    for path in WITHOUT_EFFECT:
        node = environment.get(path)
        if node is not None and not node.unknown and node.value not in (None, False):
            report.warning(f"{path}: understood, but it has no effect yet", node.origin, f"values.{path}")


def _time_zone(section: Section) -> str | None:
    """The `platform` section: what it is called is free; the time zone is an IANA name."""
    for key in ("name", "domain", "environment"):
        section.text(key)
    zone, node = section.text("time_zone"), section.get("time_zone")
    section.finish()
    if zone is None or node is None:
        return None
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        shown_zone = "the secret value" if node.secret else f"{zone!a}"
        section.wrong(node, section.path_of("time_zone"), f"{shown_zone} is not a time zone such as Europe/Berlin")
        return None
    return zone


def _namecheap(section: Section) -> Namecheap:
    detection = section.section("client_ip_detection")
    addresses = {key: text for key in CLIENT_IPS if (text := _client_ip(detection, key)) is not None}
    detection.finish()
    found = Namecheap(
        api_user=section.secret("api_user"),
        api_key=section.secret("api_key"),
        username=section.secret("username"),
        sandbox=section.boolean("sandbox", False),
        endpoint=_endpoint(section),
        client_ips=addresses,
    )
    section.finish()
    return found


def _client_ip(section: Section, key: str) -> str | None:
    """An IPv4 address: the API takes no other ClientIp (Namecheap API)."""
    node, text = section.get(key), section.text(key)
    if node is None or text is None:
        return None
    parts = text.strip().split(".")
    if len(parts) == 4 and all(
        part.isascii() and part.isdigit() and int(part) < 256 and part == str(int(part)) for part in parts
    ):
        return text.strip()
    section.wrong(
        node, section.path_of(key), f"{'the secret value' if node.secret else shown(text)} is not an IPv4 address"
    )
    return None


def _endpoint(section: Section) -> str | None:
    """Where the API key is sent: one of Namecheap's two addresses, or loopback (contract)."""
    from urllib.parse import urlsplit

    node, text = section.get("endpoint"), section.text("endpoint")
    if node is None or text is None:
        return None
    if text in ENDPOINTS:
        return text
    if url_problem(text) is None and is_loopback(urlsplit(text).hostname or ""):
        return text
    said = "the secret value" if node.secret else shown(text)
    section.wrong(node, section.path_of("endpoint"), f"{said} is neither {' nor '.join(ENDPOINTS)} nor on loopback")
    return None


def _monitoring(section: Section) -> Monitoring:
    prometheus = section.section("prometheus")
    webhook = section.url("webhook")
    found = Monitoring(
        dns_health_check=section.boolean("dns_health_check", True),
        ping_endpoints=tuple(_endpoints(section)),
        alert_email=section.secret("alert_email"),
        webhook=SecretStr(webhook) if webhook else None,
        prometheus_url=prometheus.url("url", loopback_only_plain=False),
        smtp=_smtp(section.section("smtp")),
        webhook_form=section.choice("webhook_form", ("json", "slack")),
    )
    prometheus.finish()
    section.finish()
    return found


def _smtp(section: Section) -> Smtp:
    default = Smtp()
    port = section.integer("port", 1, 65535)
    implicit = section.boolean("implicit_tls", default.implicit_tls)
    found = Smtp(
        host=section.text("host") or default.host,
        port=port if port is not None else 465 if implicit else 587 if section.has("host") else default.port,
        username=section.secret("username"),
        password=section.secret("password"),
        sender=section.text("sender"),
        implicit_tls=implicit,
    )
    section.finish()
    return found


def _endpoints(section: Section) -> Iterator[str]:
    for text, node in section.texts_with_nodes("ping_endpoints"):
        reason = url_problem(text, False)
        if reason is None:
            yield text
        else:
            said = "the secret value" if node.secret else shown(text)
            section.wrong(node, section.path_of("ping_endpoints"), f"{said} {reason}")


def _security(section: Section) -> Security:
    found = Security(
        dns_sec=section.boolean("dns_sec", False),
        api_rate_limiting=section.boolean("api_rate_limiting", True),
        ip_whitelist_enforcement=section.boolean("ip_whitelist_enforcement", False),
        secret_rotation_days=section.integer("secret_rotation_days", 1, 36500),
    )
    section.finish()
    return found


def _pulumi(section: Section) -> Pulumi:
    stacks = []
    for environment, entry in section.section("stacks").sections():
        name = entry.text("name")
        config = {key: revealed(node) for key, node in entry.section("config").entries()}
        stacks.append(Stack(environment, name or environment, config, _moment(entry, "expires")))
        entry.finish()
    found = Pulumi(
        work_dir=section.text("work_dir"),
        backend=section.text("backend"),
        stacks=tuple(stacks),
        program=section.text("program"),
        project=section.text("project"),
        secrets_provider=section.text("secrets_provider"),
        passphrase=section.secret("passphrase"),
        home=section.text("home"),
        plugins=section.text("plugins"),
        policy_packs=section.texts("policy_packs"),
        pass_variables=section.texts("pass_variables"),
    )
    section.finish()
    return found


def stack_inputs(environment: Environment) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `pulumiConfig` and `environmentVariables` hand to a stack: configuration and variables, secrets as `SecretStr`."""
    variables = environment.root.child("environmentVariables")
    listed = variables.value if variables is not None and isinstance(variables.value, Mapping) else {}
    texts = {key: node for key, node in listed.items() if node.text() is not None}
    return (
        {key: revealed(node) for key, node in environment.config_entries().items()},
        {key: SecretStr(node.text() or "") if node.secret else node.text() for key, node in texts.items()},
    )


def revealed(node: Node) -> Any:
    """Plain data in which every secret text is a SecretStr and unknown values are None."""
    if node.unknown:
        return None
    if isinstance(node.value, Mapping):
        return {key: revealed(child) for key, child in node.value.items()}
    if isinstance(node.value, tuple):
        return [revealed(child) for child in node.value]
    return SecretStr(node.text() or "") if node.secret else node.plain()


def _services(section: Section) -> Iterator[Service]:
    for name, entry in section.sections():
        low, high = entry.integer("min"), entry.integer("max")
        node = entry.get("max")
        if node is not None and low is not None and high is not None and high < low:
            entry.wrong(node, entry.path_of("max"), f"{high} is below min, {low}")
        yield Service(
            name=name,
            stack=entry.text("stack"),
            config_key=entry.text("config_key"),
            min=low,
            max=high,
            target=entry.text("target"),
            metric=entry.text("metric"),
            unit_cost=entry.decimal("unit_cost"),
            aliases=entry.texts("aliases"),
        )
        entry.finish()


def _ignores(section: Section) -> Iterator[Ignore]:
    """Entries without a reason or an end date are kept: analyze reports them (they do not count)."""
    node = section.get("ignore")
    section.finish()
    if node is None:
        return
    if not isinstance(node.value, tuple):
        section.wrong(node, section.path_of("ignore"), "a list is needed here, of {id, target, reason, until}")
        return
    for index, item in enumerate(node.value):
        entry = Section(item, f"{section.path_of('ignore')}[{index}]", section.report, section.unknown)
        id, until = entry.text("id"), _day(entry, "until")
        found = Ignore(
            id=id or "",
            target=entry.text("target") or "*",
            reason=(entry.text("reason") or "").strip(),
            until=until,
            name=entry.text("name"),
            origin=item.origin,
        )
        entry.finish()
        if id is None:
            section.wrong(item, entry.path, "an ignore needs the id of a finding, such as DNS-WILDCARD")
        else:
            yield found


def _day(section: Section, key: str) -> date | None:
    """A day such as 2027-01-31."""
    node, text = section.get(key), section.text(key)
    if node is None or text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        said = "the secret value" if node.secret else shown(text)
        section.wrong(node, section.path_of(key), f"{said} is not a day such as 2027-01-31")
        return None


def _moment(section: Section, key: str) -> datetime | None:
    """A time such as 2027-01-31T18:00:00Z (RFC 3339), with its offset."""
    node, text = section.get(key), section.text(key)
    if node is None or text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        said = "the secret value" if node.secret else shown(text)
        section.wrong(node, section.path_of(key), f"{said} is not a time such as 2027-01-31T18:00:00Z")
        return None
    return found


def _intelligence(section: Section) -> Intelligence:
    default = Intelligence()
    found = Intelligence(
        enabled=section.boolean("enabled", default.enabled),
        optimization_level=section.choice("optimization_level", OPTIMIZATION_LEVELS) or default.optimization_level,
        learning_mode=section.boolean("learning_mode", default.learning_mode),
        auto_scale=section.boolean("auto_scale", default.auto_scale),
        cost_optimization=section.boolean("cost_optimization", default.cost_optimization),
        autonomy=section.choice("autonomy", AUTONOMY) or default.autonomy,
        limits=_limits(section.section("limits")),
        model=_model(section.section("model")),
    )
    section.finish()
    return found


def _limits(section: Section) -> Limits:
    default = Limits()

    def limit(key: str, fallback: int, high: int = 100_000) -> int:
        number = section.integer(key, 0, high)
        return fallback if number is None else number

    for text, node in section.texts_with_nodes("protected"):
        if len(text.split()) != 2:
            said = "the secret value" if node.secret else shown(text)
            section.wrong(node, section.path_of("protected"), f"{said} is not a pattern such as 'A @' or 'MX *'")
    found = Limits(
        max_changes=limit("max_changes", default.max_changes),
        max_deletes=limit("max_deletes", default.max_deletes),
        max_percent=limit("max_percent", default.max_percent, 100),
        per_day=limit("per_day", default.per_day),
        environments=section.texts("environments"),
        protected=section.texts("protected"),
        window=_window(section),
        approvals=_approvals(section) or default.approvals,
    )
    section.finish()
    return found


def _approvals(section: Section) -> tuple[str, ...]:
    found = section.texts_with_nodes("approvals")
    for text, node in found:
        if text not in APPROVALS:
            said = "the secret value" if node.secret else shown(text)
            section.wrong(node, section.path_of("approvals"), f"{said} is not one of {', '.join(APPROVALS)}")
    return tuple(text for text, _ in found if text in APPROVALS)


def _window(section: Section) -> str | None:
    text, node = section.text("window"), section.get("window")
    if text is None or node is None:
        return None
    try:
        window(text)
    except ValueError as exc:
        section.wrong(node, section.path_of("window"), "the secret value is not a window" if node.secret else str(exc))
        return None
    return text


def _model(section: Section) -> Model | None:
    base_url, name = section.url("base_url"), section.text("name")
    key, cost = section.secret("api_key"), section.decimal("max_cost_usd")
    timeout_s = section.integer("timeout_s", 1, 3600)
    section.finish()
    if not section.is_given or section.node is None:
        return None
    for needed in ("base_url", "name"):
        if not section.has(needed):
            section.wrong(section.node, section.path, f"a model needs {needed}")
    if base_url is None or name is None:
        return None
    return Model(base_url, name, key, 60 if timeout_s is None else timeout_s, cost)
