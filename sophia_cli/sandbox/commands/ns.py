"""namecheap.domains.ns.*: glue records of a domain's own nameservers. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from sophia_cli.sandbox.account import Domain, Refusal
from sophia_cli.sandbox.commands.call import Call, Command, Done
from sophia_cli.sandbox.envelope import Node


def _create(call: Call) -> Done:
    domain = call.editable("nameserver")
    name, address = _server(call), _address(call, "ip")
    glue = {**dict(domain.glue), name: address}
    return _stored(call, domain, glue, "DomainNSCreateResult", {"Nameserver": name, "IP": address})


def _get_info(call: Call) -> Done:
    domain = call.editable("nameserver")
    name, address = _present(call, domain)
    statuses = tuple(Node("Status", text=text) for text in ("OK", "Linked"))
    attributes = {"Domain": domain.name, "Nameserver": name, "IP": address}
    return Done((Node("DomainNSInfoResult", attributes, (Node("NameserverStatuses", children=statuses),)),))


def _update(call: Call) -> Done:
    domain = call.editable("nameserver")
    name, address = _present(call, domain)
    if call.text("oldip") != address:
        raise Refusal(call.switches.number_bad_value, "OldIP is invalid")
    glue = {**dict(domain.glue), name: _address(call, "ip")}
    return _stored(call, domain, glue, "DomainNSUpdateResult", {"Nameserver": name})


def _delete(call: Call) -> Done:
    domain = call.editable("nameserver")
    name, _ = _present(call, domain)
    glue = {key: value for key, value in domain.glue if key != name}
    return _stored(call, domain, glue, "DomainNSDeleteResult", {"Nameserver": name})


def _stored(call: Call, domain: Domain, glue: dict[str, str], tag: str, attributes: dict[str, str]) -> Done:
    account = call.account.with_domain(replace(domain, glue=tuple(sorted(glue.items()))))
    return Done((Node(tag, {"Domain": domain.name, **attributes, "IsSuccess": "true"}),), account)


def _server(call: Call) -> str:
    return call.text("nameserver").lower().rstrip(".")


def _present(call: Call, domain: Domain) -> tuple[str, str]:
    name = _server(call)
    for known, address in domain.glue:
        if known == name:
            return name, address
    raise Refusal(5013160, "Nameserver not found")


def _address(call: Call, parameter: str) -> str:
    text = call.text(parameter)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise Refusal(call.switches.number_bad_value, "IP is invalid") from None
    if not address.is_global:
        raise Refusal(3024278, f"IP address {text} is reserved")
    return text


COMMANDS = (
    Command("namecheap.domains.ns.create", _create),
    Command("namecheap.domains.ns.getInfo", _get_info),
    Command("namecheap.domains.ns.update", _update),
    Command("namecheap.domains.ns.delete", _delete),
)
