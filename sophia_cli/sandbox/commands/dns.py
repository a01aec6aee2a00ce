"""namecheap.domains.dns.*: host rows, delegation, e-mail forwarding. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import replace

from sophia_cli.sandbox.account import DEFAULT_NAMESERVERS, Domain, Refusal, Row, parking
from sophia_cli.sandbox.commands.call import Call, Command, Done, alabel, flag
from sophia_cli.sandbox.envelope import Node
from sophia_cli.sandbox.hosts import sent_rows, set_hosts

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)+\Z")


def _get_hosts(call: Call) -> Done:
    domain = call.hosted("hosts")
    attributes = {"Domain": call.shown(domain.name), "EmailType": domain.email_type, "IsUsingOurDNS": "true"}
    rows = tuple(_host(row, call) for row in domain.rows)
    return Done((Node("DomainDNSGetHostsResult", attributes, rows),))


def _host(row: Row, call: Call) -> Node:
    return Node(
        call.switches.host_element,
        {
            "HostId": str(row.host_id),
            "Name": call.shown(row.name),
            "Type": row.type,
            "Address": row.address,
            "MXPref": str(row.mx_pref),
            "TTL": str(row.ttl),
            "AssociatedAppTitle": row.associated_app,
            "FriendlyName": row.friendly_name,
            "IsActive": flag(row.is_active),
            "IsDDNSEnabled": flag(row.is_ddns),
        },
    )


def _set_hosts(call: Call) -> Done:
    domain = call.hosted("hosts")
    email_type = call.text("emailtype") or None
    rows = sent_rows(call.params)
    rows = tuple(replace(row, name=alabel(row.name)) if not row.name.isascii() else row for row in rows)
    changed, next_id = set_hosts(domain, rows, email_type, call.switches, call.account.next_id, call.now)
    attributes = {"Domain": call.shown(domain.name), "IsSuccess": "true"}
    if call.switches.sethosts_email_type == "present":
        attributes["EmailType"] = changed.email_type
    account = replace(call.account.with_domain(changed), next_id=next_id)
    return Done((Node("DomainDNSSetHostsResult", attributes, (Node("Warnings"),)),), account)


def _set_hosts_failed(call: Call) -> tuple[Node, ...]:
    attributes = {"Domain": call.asked(), "EmailType": "", "IsSuccess": "false"}
    return (Node("DomainDNSSetHostsResult", attributes, (Node("Warnings"),)),)


def _get_list(call: Call) -> Done:
    domain = call.editable("dns")
    servers = domain.nameservers or DEFAULT_NAMESERVERS
    attributes = {
        "Domain": call.shown(domain.name),
        "IsUsingOurDNS": flag(not domain.nameservers),
        "IsPremiumDNS": "false",
        "IsUsingFreeDNS": "false",
    }
    rows = tuple(Node("Nameserver", text=server) for server in servers)
    return Done((Node("DomainDNSGetListResult", attributes, rows),))


def _set_custom(call: Call) -> Done:
    domain = call.editable("dns")
    servers = tuple(name.strip().lower().rstrip(".") for name in call.text("nameservers").split(",") if name.strip())
    if len(servers) < 2 or len(call.text("nameservers")) > 1200 or not all(map(_is_host, servers)):
        raise Refusal(3011288, "Invalid nameserver")
    account = call.account.with_domain(replace(domain, nameservers=servers))
    attributes = {"Domain": call.shown(domain.name), "Updated": "true"}
    return Done((Node("DomainDNSSetCustomResult", attributes),), account)


def _is_host(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return _HOST.match(name) is not None
    return False


def _set_default(call: Call) -> Done:
    domain = call.editable("dns")
    account = call.account
    if domain.nameservers:
        domain, next_id = _returned(domain, call)
        account = replace(account.with_domain(domain), next_id=next_id)
    attributes = {"Domain": call.shown(domain.name), "Updated": "true"}
    return Done((Node("DomainDNSSetDefaultResult", attributes),), account)


def _returned(domain: Domain, call: Call) -> tuple[Domain, int]:
    next_id = call.account.next_id
    back = replace(domain, nameservers=())
    if call.switches.set_default == "park":
        return back.changed(call.now, rows=parking(domain.name, next_id), email_type="FWD"), next_id + 2
    if call.switches.set_default == "empty":
        return back.changed(call.now, rows=()), next_id
    return back, next_id


def _get_forwarding(call: Call) -> Done:
    domain = call.hosted("eforward")
    rows = tuple(Node("Forward", {"mailbox": mailbox}, text=target) for mailbox, target in domain.forwards)
    return Done((Node("DomainDNSGetEmailForwardingResult", {"Domain": call.shown(domain.name)}, rows),))


def _set_forwarding(call: Call) -> Done:
    domain = call.hosted("eforward")
    forwards: dict[str, str] = {}
    number = 1
    while f"mailbox{number}" in call.params or f"forwardto{number}" in call.params:
        mailbox, target = call.text(f"mailbox{number}"), call.text(f"forwardto{number}")
        if not mailbox or "@" not in target:
            raise Refusal(2011369, "Forward e-mail address is invalid")
        forwards[mailbox] = target
        number += 1
    account = call.account.with_domain(replace(domain, forwards=tuple(forwards.items())))
    attributes = {"Domain": call.shown(domain.name), "IsSuccess": "true"}
    return Done((Node("DomainDNSSetEmailForwardingResult", attributes),), account)


COMMANDS = (
    Command(
        "namecheap.domains.dns.getHosts",
        _get_hosts,
        lambda call: (Node("DomainDNSGetHostsResult", {"Domain": call.asked(), "IsUsingOurDNS": "false"}),),
    ),
    Command("namecheap.domains.dns.setHosts", _set_hosts, _set_hosts_failed),
    Command("namecheap.domains.dns.getList", _get_list),
    Command(
        "namecheap.domains.dns.setDefault",
        _set_default,
        lambda call: (Node("DomainDNSSetDefaultResult", {"Domain": call.asked(), "Updated": "false"}),),
    ),
    Command(
        "namecheap.domains.dns.setCustom",
        _set_custom,
        lambda call: (Node("DomainDNSSetCustomResult", {"Domain": call.asked(), "Updated": "false"}),),
    ),
    Command("namecheap.domains.dns.getEmailForwarding", _get_forwarding),
    Command(
        "namecheap.domains.dns.setEmailForwarding",
        _set_forwarding,
        lambda call: (Node("DomainDNSSetEmailForwardingResult", {"Domain": call.asked(), "IsSuccess": "false"}),),
    ),
)
