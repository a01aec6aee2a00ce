"""Zones: the `dns` section as desired zones and records, with the rules of the provider. Reads nothing from the network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sophia_cli.core.dns import (
    EMAIL_TYPES,
    MAX_ROWS,
    TTL_RANGE,
    Record,
    ascii_name,
    mail_policy,
    normalised,
    problems,
    shown,
)
from sophia_cli.core.settings import DesiredRecord, DesiredZone, Origin
from sophia_cli.esc.document import parse_path
from sophia_cli.esc.environment import UNKNOWN, Node
from sophia_cli.esc.sections import Section

_HOST = re.compile(r"(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\Z")


@dataclass(frozen=True, slots=True)
class _Options:
    """What a zone takes from `dns` where it does not say it itself."""

    ttl: int | None = None
    email_type: str | None = None
    nameservers: tuple[str, ...] = ()
    delegation: tuple[str, ...] | None = None
    purge: bool = False


def zones(dns: Section, blocked: list[str]) -> tuple[DesiredZone, ...]:
    """The zones of the `dns` section. `blocked` gets the paths without which no zone can be named."""
    found: list[DesiredZone] = []
    before = len(dns.unknown)
    options = _options(dns, _Options())
    shared = dns.unknown[before:]
    if dns.has("domain"):
        name = _domain(dns, blocked)
        if name is not None:
            found.append(_zone(dns, name, options, shared))
    elif dns.has("records"):
        node = dns.get("records") or dns.node
        if node is not None:
            dns.wrong(node, dns.path, "records need dns.domain (or put them under dns.domains)")
    domains = dns.section("domains")
    if domains.node is not None and domains.node.unknown:
        blocked.append(domains.path)
    for key, section in domains.sections():
        name = ascii_name(key.strip()).rstrip(".")
        reason = _domain_problem(name)
        if reason and section.origin is not None:
            section.report.error(f"{section.path}: {reason}", section.origin, f"values.{section.path}")
        elif any(zone.name == name for zone in found) and section.origin is not None:
            section.report.error(f"{section.path}: the domain is given twice", section.origin, f"values.{section.path}")
        else:
            before = len(section.unknown)
            own = _options(section, options)
            found.append(_zone(section, name, own, [*shared, *section.unknown[before:]]))
    return tuple(found)


def _domain(dns: Section, blocked: list[str]) -> str | None:
    node = dns.get("domain")
    if node is None:
        blocked.append(dns.path_of("domain"))
        return None
    text = dns.text_of(node, dns.path_of("domain"))
    if text is None:
        return None
    name = ascii_name(text.strip()).rstrip(".")
    reason = _domain_problem(name)
    if reason:
        dns.wrong(node, dns.path_of("domain"), "the secret value is not a domain name" if node.secret else reason)
        return None
    return name


def _domain_problem(name: str) -> str | None:
    if "." in name and _HOST.match(name):
        return None
    return f"{shown(name)} is not a domain name such as example.com"


def _options(section: Section, inherited: _Options) -> _Options:
    ttl = section.integer("ttl", *TTL_RANGE) if section.has("ttl") else inherited.ttl
    email_type = section.choice("email_type", EMAIL_TYPES) if section.has("email_type") else inherited.email_type
    nameservers = _servers(section) if section.has("nameservers") else inherited.nameservers
    delegation = _delegation(section) if section.has("delegation") else inherited.delegation
    purge = section.boolean("purge", inherited.purge)
    return _Options(ttl, email_type, nameservers, delegation, purge)


def _servers(section: Section) -> tuple[str, ...]:
    found = []
    for text, node in section.texts_with_nodes("nameservers"):
        host, _, port = (
            text.strip().lower().rpartition(":") if re.search(r":\d+\Z", text) else (text.strip().lower(), "", "53")
        )
        if not _HOST.match(host.strip("[]").rstrip(".")) and not re.fullmatch(r"\[?[0-9a-f:.]+\]?", host):
            section.wrong(node, section.path_of("nameservers"), f"{_shown(node, text)} is not HOST or HOST:PORT")
        elif not 0 < int(port) < 65536:
            section.wrong(node, section.path_of("nameservers"), f"the port of {_shown(node, text)} is outside 1..65535")
        else:
            found.append(text.strip().lower())
    return tuple(found)


def _delegation(section: Section) -> tuple[str, ...] | None:
    given = section.texts_with_nodes("delegation")
    path = section.path_of("delegation")
    if [text for text, _ in given] == ["default"]:
        return ()
    hosts = []
    for text, node in given:
        host = ascii_name(text.strip()).rstrip(".")
        if "." not in host or not _HOST.match(host) or re.fullmatch(r"[0-9.]+", host):
            section.wrong(node, path, f"{_shown(node, text)} is not the host name of a nameserver")
        else:
            hosts.append(host)
    whole = section.get("delegation")
    if whole is not None and len(given) < 2:
        section.wrong(whole, path, "write default, or at least two nameservers (setCustom refuses fewer)")
    return tuple(hosts) if len(hosts) > 1 else None


def _zone(section: Section, name: str, options: _Options, unknown: list[str]) -> DesiredZone:
    before = len(section.unknown)
    records: list[DesiredRecord] = []
    listed = section.section("records")
    for _, fields in listed.sections():
        records.extend(_records(fields, name, options.ttl))
    lost = (*unknown, *section.unknown[before:])
    _hold_together(section, records, options)
    section.finish()
    return DesiredZone(
        name=name,
        path=section.path,
        records=tuple(records),
        ttl=options.ttl,
        email_type=options.email_type,
        nameservers=options.nameservers,
        delegation=options.delegation,
        purge=options.purge,
        unknown=tuple(dict.fromkeys(lost)),
    )


def _records(fields: Section, zone: str, ttl: int | None) -> Iterator[DesiredRecord]:
    """The records of one entry: one, or one for each of `values`."""
    if not fields.is_given:
        if fields.node is not None and not fields.node.unknown and fields.node.value is None:
            fields.wrong(fields.node, fields.path, "a record needs name, type and value")
        return
    protect = fields.boolean("protect", False)
    name, kind = fields.text("name"), fields.text("type")
    own_ttl = fields.integer("ttl", *TTL_RANGE) if fields.has("ttl") else ttl
    priority = fields.integer("priority", 0, 65535)
    for key in ("name", "type"):
        if not fields.has(key):
            _missing(fields, key)
    if fields.has("value") and fields.has("values"):
        _at_section(fields, "give value or values, not both")
    elif not fields.has("value") and not fields.has("values"):
        _missing(fields, "value")
    links = [*_links(fields, "value"), *_links(fields, "values")]
    values = [*fields.texts_with_nodes("values", without=[node for _, node in links])]
    single = None if fields.has("value") and links else fields.get("value")
    if single is not None:
        text = fields.text_of(single, fields.path_of("value"))
        values = [(text, single)] if text is not None else []
    fields.finish()
    if name is None or kind is None:
        return
    for takes, node in links:
        link = Record(ascii_name(name.strip()) or "@", kind.strip().upper(), UNKNOWN, own_ttl, priority)
        yield DesiredRecord(link, fields.path, protect, origin=node.origin, takes=takes)
    nodes = {key: fields.get(key) for key in ("name", "type", "ttl", "priority")}
    for text, node in values:
        record = normalised(Record(name, kind, text, own_ttl, priority), zone)
        flags = frozenset(key for key, one in {**nodes, "value": node}.items() if one is not None and one.secret)
        if _report(fields, record, zone, {**nodes, "value": node}):
            continue
        if record.priority is None and priority is not None:
            fields.report.warning(
                f"{fields.path}: priority has no effect on type {record.type}",
                fields.origin or node.origin,
                f"values.{fields.path_of('priority')}",
            )
        yield DesiredRecord(record, fields.path, protect, flags & {"name", "value", "ttl", "priority"}, node.origin)


def _links(fields: Section, key: str) -> Iterator[tuple[str, Node]]:
    """The values that are a stack's output and nothing else, as `STACK#OUTPUT`."""
    node = fields.raw(key)
    if node is None:
        return
    for item in node.value if isinstance(node.value, tuple) and not node.unknown else (node,):
        if item.unknown and item.note.startswith("${") and item.note.count("${") == 1 and item.note.endswith("}"):
            steps = parse_path(item.note[2:-1])
            if steps is not None and len(steps) == 4 and steps[0] == "stacks" and steps[2] == "outputs":
                yield f"{steps[1]}#{steps[3]}", item


def _report(fields: Section, record: Record, zone: str, nodes: Mapping[str, Node | None]) -> bool:
    """Reports why a record cannot be published, each reason at the value to blame."""
    found = list(problems(record, zone))
    with_plain_name = set(problems(replace(record, name="x"), zone))
    for reason in found:
        if reason.startswith(("unknown record type", "SRV ")):
            key = "type"
        elif reason.startswith("priority "):
            key = "priority"
        else:
            key = "value" if reason in with_plain_name else "name"
        node = nodes.get(key) or nodes["value"]
        if node is not None:
            fields.wrong(node, fields.path_of(key), _masked(reason, record, nodes))
    return bool(found)


def _masked(reason: str, record: Record, nodes: Mapping[str, Node | None]) -> str:
    """The reason without any secret text in it."""
    for key, text in (("value", record.value), ("name", record.name), ("type", record.type)):
        node = nodes.get(key)
        if node is None or not node.secret:
            continue
        for form in (shown(text), shown(text.rstrip(".")), repr(text)):
            reason = reason.replace(form, "[secret]")
        bare = text.rstrip(".")
        if bare and (bare in reason or bare[:20] in reason):
            return f"the secret {key} does not fit a {'' if key == 'type' else record.type + ' '}record"
    return reason


def _missing(fields: Section, key: str) -> None:
    _at_section(fields, f"a record needs {key}")


def _at_section(fields: Section, message: str) -> None:
    if fields.node is not None:
        fields.wrong(fields.node, fields.path, message)


def _hold_together(section: Section, records: list[DesiredRecord], options: _Options) -> None:
    """Rules over several records: duplicates, CNAME beside other data, the number of rows, mail mode."""
    seen: dict[tuple[str, str, str], DesiredRecord] = {}
    names: dict[str, list[DesiredRecord]] = {}
    for one in records:
        other = seen.setdefault(one.record.key, one)
        if other is not one:
            _at(section, one, f"duplicate record: {_label(one)} stands already at {other.path}")
        else:
            names.setdefault(one.record.name, []).append(one)
    for name, group in names.items():
        aliases = [one for one in group if one.record.type == "CNAME"]
        if aliases and len(group) > 1:
            others = sorted({one.path for one in group if one is not aliases[0]})
            message = f"a CNAME at {name} cannot stand beside other records there (RFC 1034 3.6.2): {', '.join(others)}"
            _at(section, aliases[0], message)
    for name, group in names.items():
        for policy in ("spf", "dmarc", "mta-sts", "tls-rpt"):
            texts = [one for one in group if mail_policy(one.record) == policy]
            if len(texts) > 1:
                message = f"a second {policy} policy at {name} breaks the first ({texts[0].path}); write one record"
                _at(section, texts[1], message)
    if len(seen) > MAX_ROWS:
        origin = section.origin or Origin("", 1, 1)
        message = f"{section.path}: {len(seen)} records are asked for; Namecheap allows {MAX_ROWS} in one domain"
        section.report.error(message, origin, f"values.{section.path_of('records')}")
    if options.email_type is not None:
        for kind in ("MX", "MXE"):
            wanted = next((one for one in records if one.record.type == kind), None)
            if wanted is not None and options.email_type != kind:
                message = f"{kind} records are stored only with email_type: {kind}, not {options.email_type}"
                origin = wanted.origin or section.origin or Origin("", 1, 1)
                message = f"{wanted.path}: {message}; set {section.path_of('email_type')} to {kind}"
                section.report.warning(message, origin, f"values.{wanted.path}")  # policy refuses the plan (mx-mode)


def _label(one: DesiredRecord) -> str:
    value = "[secret]" if "value" in one.secret else shown(one.record.value)
    return f"{one.record.name} {one.record.type} {value}"


def _at(section: Section, one: DesiredRecord, message: str) -> None:
    origin = one.origin or section.origin or Origin("", 1, 1)
    section.report.error(f"{one.path}: {message}", origin, f"values.{one.path}")


def _shown(node: Node, text: str) -> str:
    return "the secret value" if node.secret else shown(text)
