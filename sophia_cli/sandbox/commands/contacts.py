"""namecheap.domains.getContacts: who a domain is registered to (API reference). Pure; the people are made up."""

from __future__ import annotations

from collections.abc import Mapping

from sophia_cli.sandbox.account import Domain, Refusal
from sophia_cli.sandbox.commands.call import Call, Command, Done
from sophia_cli.sandbox.envelope import Node

ROLES = ("Registrant", "Tech", "Admin", "AuxBilling")
# The fields of a contact in the order of the API reference.
FIELDS: Mapping[str, str] = {
    "OrganizationName": "Sandbox",
    "JobTitle": "Owner",
    "FirstName": "Ada",
    "LastName": "Example",
    "Address1": "1 Example Street",
    "Address2": "",
    "City": "Exampleton",
    "StateProvince": "CA",
    "StateProvinceChoice": "P",
    "PostalCode": "90045",
    "Country": "US",
    "Phone": "+1.5550100000",
    "Fax": "",
    "EmailAddress": "owner@example.com",
    "PhoneExt": "",
}
# What registries publish instead of the owner while privacy is on (API reference).
_WITHHELD: Mapping[str, str] = {
    "OrganizationName": "Privacy service provided by Withheld for Privacy ehf",
    "JobTitle": "",
    "FirstName": "Withheld for",
    "LastName": "Privacy Purposes",
    "Address1": "Kalkofnsvegur 2",
    "Address2": "",
    "City": "Reykjavik",
    "StateProvince": "Capital Region",
    "StateProvinceChoice": "Capital Region",
    "PostalCode": "101",
    "Country": "IS",
    "Phone": "+354.4212434",
    "Fax": "",
    "EmailAddress": "withheld@privacy.example",
    "PhoneExt": "",
}


def _get_contacts(call: Call) -> Done:
    name = call.named()
    domain = call.account.domains.get(name)
    if domain is None:
        raise Refusal(2019166, f"Domain name not found: {name}")
    if domain.owner != call.account.username:
        raise Refusal(2016166, "Domain is not associated with your account")
    own = {**FIELDS, **dict(domain.contact)}
    people = [_contact(role, own, read_only=False) for role in ROLES]
    people.append(Node("CurrentAttributes", children=_empty("RegistrantNexus", "RegistrantNexusCountry")))
    if domain.privacy_id or call.switches.privacy_contact == "always":
        people.append(Node("WhoisGuardContact", children=_withheld(domain)))
    attributes = {"Domain": call.shown(name), "domainnameid": str(domain.id)}
    return Done((Node("DomainContactsResult", attributes, tuple(people)),))


def _withheld(domain: Domain) -> tuple[Node, ...]:
    fields = {**_WITHHELD, "EmailAddress": f"{domain.privacy_id:032x}.protect@withheldforprivacy.example"}
    return (*(_contact(role, fields, read_only=True) for role in ROLES), *_empty("CurrentAttributes"))


def _contact(role: str, fields: Mapping[str, str], *, read_only: bool) -> Node:
    children = tuple(Node(name, text=text) for name, text in fields.items())
    return Node(role, {"ReadOnly": "true" if read_only else "false"}, children)


def _empty(*names: str) -> tuple[Node, ...]:
    return tuple(Node(name) for name in names)


COMMANDS = (Command("namecheap.domains.getContacts", _get_contacts),)
