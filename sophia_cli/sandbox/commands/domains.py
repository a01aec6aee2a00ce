"""namecheap.domains.*: lists, details, availability, renewal, lock. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from sophia_cli.sandbox.account import DEFAULT_NAMESERVERS, Domain, Refusal
from sophia_cli.sandbox.commands.call import Call, Command, Done, alabel, flag, page_of, paging, us_date
from sophia_cli.sandbox.commands.prices import TLDS, total
from sophia_cli.sandbox.envelope import Node

_SORTS: dict[str, Callable[[Domain], Any]] = {
    "NAME": lambda domain: domain.name,
    "EXPIREDATE": lambda domain: (domain.expires, domain.name),
    "CREATEDATE": lambda domain: (domain.created, domain.name),
}
_RIGHTS = (
    "dns",
    "eforward",
    "rlock",
    "parkpage",
    "hosts",
    "ddns",
    "extend",
    "nameserver",
    "autorenew",
    "whoisguard",
    "premiumDns",
    "dnsSec",
)


def _get_list(call: Call) -> Done:
    wanted = call.text("searchterm").lower()
    kind = call.text("listtype").upper() or "ALL"
    found = [domain for domain in call.account.owned() if wanted in domain.name and _listed(domain, kind, call)]
    order, _, backward = (call.text("sortby").upper() or "NAME").partition("_")
    found.sort(key=_SORTS.get(order, _SORTS["NAME"]), reverse=backward == "DESC")
    page, size = page_of(call, 10)
    rows = tuple(_listing(domain, call) for domain in found[(page - 1) * size : page * size])
    return Done((Node("DomainGetListResult", children=rows), paging(len(found), page, size)))


def _listed(domain: Domain, kind: str, call: Call) -> bool:
    days = (domain.expires - call.today).days
    return kind == "ALL" or (kind == "EXPIRED" and days < 0) or (kind == "EXPIRING" and 0 <= days <= 30)


def _listing(domain: Domain, call: Call) -> Node:
    return Node(
        "Domain",
        {
            "ID": str(domain.id),
            "Name": call.shown(domain.name),
            "User": domain.owner,
            "Created": us_date(domain.created),
            "Expires": us_date(domain.expires),
            "IsExpired": flag(domain.expires < call.today),
            "IsLocked": flag(domain.is_locked),
            "AutoRenew": flag(domain.auto_renew),
            "WhoisGuard": domain.privacy,
            "IsPremium": "false",
            "IsOurDNS": flag(not domain.nameservers),
        },
    )


def _get_info(call: Call) -> Done:
    domain = call.account.domains.get(call.named())
    if domain is None or (domain.owner != call.account.username and not domain.rights):
        raise Refusal(2030166, "Domain is invalid")
    return Done((_information(call, domain),))


def _information(call: Call, domain: Domain | None) -> Node:
    if domain is None:
        head = {"Status": "", "ID": "0", "DomainName": "", "OwnerName": "", "IsOwner": "false", "IsPremium": "false"}
    else:
        head = {
            "Status": "Ok" if domain.expires >= call.today else "Expired",
            "ID": str(domain.id),
            "DomainName": call.shown(domain.name),
            "OwnerName": domain.owner,
            "IsOwner": flag(domain.owner == call.account.username),
            "IsPremium": "false",
        }
    details = (
        Node("CreatedDate", text=us_date(domain.created) if domain else ""),
        Node("ExpiredDate", text=us_date(domain.expires) if domain else ""),
        Node("NumYears", text="0"),
    )
    premium = (
        Node("UseAutoRenew", text="false"),
        Node("SubscriptionId", text="-1"),
        Node("CreatedDate", text="0001-01-01T00:00:00"),
        Node("ExpirationDate", text="0001-01-01T00:00:00"),
        Node("IsActive", text="false"),
    )
    return Node(
        "DomainGetInfoResult",
        head,
        (
            Node("DomainDetails", children=details),
            Node("LockDetails"),
            _privacy(domain),
            Node("PremiumDnsSubscription", children=premium),
            _dns_details(domain),
            _rights(call, domain),
        ),
    )


def _privacy(domain: Domain | None) -> Node:
    if domain is None or not domain.privacy_id:
        return Node("Whoisguard", {"Enabled": "NotAlloted"}, (Node("ID", text="0"),))
    details = {
        "WhoisGuardEmail": f"{domain.privacy_id:032x}.protect@withheldforprivacy.example",
        "ForwardedTo": domain.privacy_email,
        "LastAutoEmailChangeDate": "",
        "AutoEmailChangeFrequencyDays": "3",
    }
    return Node(
        "Whoisguard",
        {"Enabled": "True" if domain.privacy == "ENABLED" else "False"},
        (
            Node("ID", text=str(domain.privacy_id)),
            Node("ExpiredDate", text=us_date(domain.expires)),
            Node("EmailDetails", details),
        ),
    )


def _dns_details(domain: Domain | None) -> Node:
    if domain is None:
        return Node("DnsDetails", {"ProviderType": "", "IsUsingOurDNS": "false", "HostCount": "0", "EmailType": ""})
    servers = domain.nameservers or DEFAULT_NAMESERVERS
    return Node(
        "DnsDetails",
        {
            "ProviderType": "CUSTOM" if domain.nameservers else "FREE",
            "IsUsingOurDNS": flag(not domain.nameservers),
            "HostCount": str(len(domain.rows)),
            "EmailType": "No Email Service" if domain.email_type == "NONE" else domain.email_type,
            "DynamicDNSStatus": flag(any(row.is_ddns for row in domain.rows)),
            "IsFailover": "false",
        },
        tuple(Node("Nameserver", text=server) for server in servers),
    )


def _rights(call: Call, domain: Domain | None) -> Node:
    if domain is None or domain.owner == call.account.username:
        return Node("Modificationrights", {"All": flag(domain is not None)})
    given = dict(domain.rights)
    rows = tuple(Node("Rights", {"Type": kind}, text=given.get(kind, "NOT OK")) for kind in _RIGHTS)
    return Node("Modificationrights", {"All": "false"}, rows)


def _check(call: Call) -> Done:
    names = [alabel(name.strip()) for name in call.text("domainlist").split(",") if name.strip()]
    if len(names) > 50:
        raise Refusal(2011169, "Only 50 domains are allowed in a single check command")
    return Done(tuple(_checked(call, name) for name in names))


def _checked(call: Call, name: str) -> Node:
    valid = name.partition(".")[2] in TLDS
    return Node(
        "DomainCheckResult",
        {
            "Domain": call.shown(name),
            "Available": flag(valid and name not in call.account.domains),
            "ErrorNo": "0" if valid else "2030280",
            "Description": "" if valid else "TLD is not supported",
            "IsPremiumName": "false",
            "PremiumRegistrationPrice": "0",
            "PremiumRenewalPrice": "0",
            "PremiumRestorePrice": "0",
            "PremiumTransferPrice": "0",
            "IcannFee": "0",
            "EapFee": "0.0",
        },
    )


def _tlds(_call: Call) -> Done:
    rows = []
    for number, (name, title) in enumerate(sorted(TLDS.items()), 1):
        years = {f"{end}{what}Years": limit for what in ("Register", "Renew", "Transfer") for end, limit in _YEARS}
        attributes = {
            "Name": name,
            "NonRealTime": "false",
            **years,
            "IsApiRegisterable": "true",
            "IsApiRenewable": "true",
            "IsApiTransferable": "true",
            "IsEppRequired": "true",
            "IsDisableModContact": "false",
            "IsDisableWGAllot": "false",
            "IsIncludeInExtendedSearchOnly": "false",
            "SequenceNumber": str(number),
            "Type": "CCTLD" if len(name.split(".")[-1]) == 2 else "GTLD",
            "IsSupportsIDN": "false",
            "Category": "P",
        }
        rows.append(Node("Tld", attributes, text=title))
    return Done((Node("Tlds", children=tuple(rows)),))


_YEARS = (("Min", "1"), ("Max", "10"))


def _renew(call: Call) -> Done:
    domain = call.editable("extend", missing=2016166)
    years = call.number("years", 0, 0, 100)
    if not 1 <= years <= 10:
        raise Refusal(2011167, "Number of years is invalid")
    charged = total("RENEW", domain.name.partition(".")[2], years)
    if charged is None:
        raise Refusal(2011280, "TLD is invalid")
    if charged > call.account.balance:
        raise Refusal(2528166, "Order creation failed: insufficient funds")
    expires = _later(domain, years)
    order = call.account.next_id
    result = Node(
        "DomainRenewResult",
        {
            "DomainName": call.shown(domain.name),
            "DomainID": str(domain.id),
            "Renew": "true",
            "OrderID": str(order),
            "TransactionID": str(order + 1),
            "ChargedAmount": f"{charged:.4f}",
        },
        (
            Node(
                "DomainDetails",
                children=(
                    Node("ExpiredDate", text=f"{expires.month}/{expires.day}/{expires.year} 11:31:13 AM"),
                    Node("NumYears", text="0"),
                ),
            ),
        ),
    )
    account = replace(
        call.account.with_domain(replace(domain, expires=expires)),
        balance=call.account.balance - charged,
        next_id=order + 2,
    )
    return Done((result,), account)


def _later(domain: Domain, years: int) -> date:
    try:
        return domain.expires.replace(year=domain.expires.year + years)
    except ValueError:  # 29 February
        return domain.expires.replace(year=domain.expires.year + years, day=28) + timedelta(days=1)


def _get_lock(call: Call) -> Done:
    domain = call.editable("rlock")
    attributes = {"Domain": call.shown(domain.name), "RegistrarLockStatus": flag(domain.is_locked)}
    return Done((Node("DomainGetRegistrarLockResult", attributes),))


def _set_lock(call: Call) -> Done:
    domain = call.editable("rlock")
    action = call.text("lockaction").upper() or "LOCK"
    if action not in ("LOCK", "UNLOCK"):
        raise Refusal(call.switches.number_bad_value, "LockAction is invalid")
    attributes = {"Domain": call.shown(domain.name), "IsSuccess": "true"}
    account = call.account.with_domain(replace(domain, is_locked=action == "LOCK"))
    return Done((Node("DomainSetRegistrarLockResult", attributes),), account)


COMMANDS = (
    Command("namecheap.domains.getList", _get_list, lambda _call: (Node("DomainGetListResult"),)),
    Command("namecheap.domains.getInfo", _get_info, lambda call: (_information(call, None),)),
    Command("namecheap.domains.check", _check),
    Command("namecheap.domains.getTldList", _tlds),
    Command(
        "namecheap.domains.renew",
        _renew,
        lambda call: (Node("DomainRenewResult", {"DomainName": call.asked(), "Renew": "false"}),),
    ),
    Command("namecheap.domains.getRegistrarLock", _get_lock),
    Command(
        "namecheap.domains.setRegistrarLock",
        _set_lock,
        lambda call: (Node("DomainSetRegistrarLockResult", {"Domain": call.asked(), "IsSuccess": "false"}),),
    ),
)
