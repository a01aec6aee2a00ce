"""namecheap.whoisguard.*: the domain privacy of each domain (API reference, "domain privacy"). Pure.

A subscription here always belongs to a domain: `FREE` and `DISCARD` lists are empty.
"""

from __future__ import annotations

import re
from dataclasses import replace

from sophia_cli.sandbox.account import Domain, Refusal
from sophia_cli.sandbox.commands.call import Call, Command, Done, page_of, paging, us_date
from sophia_cli.sandbox.envelope import Node

MAX_EMAIL = 70  # characters
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+\Z")


def _get_list(call: Call) -> Done:
    kind = call.text("listtype").upper() or "ALL"
    found = [domain for domain in call.account.owned() if domain.privacy_id and kind in ("ALL", "ALLOTED")]
    page, size = page_of(call, 2)
    rows = tuple(_listing(domain, call) for domain in found[(page - 1) * size : page * size])
    return Done((Node("WhoisguardGetListResult", children=rows), paging(len(found), page, size)))


def _listing(domain: Domain, call: Call) -> Node:
    status = domain.privacy if call.switches.privacy_status == "upper" else domain.privacy.lower()
    return Node(
        "Whoisguard",
        {
            "ID": str(domain.privacy_id),
            "DomainName": call.shown(domain.name),
            "Created": us_date(domain.created),
            "Expires": us_date(domain.expires),
            "Status": status,
        },
    )


def _enable(call: Call) -> Done:
    domain = _subscribed(call, "DISABLED")
    address = call.text("forwardedtoemail")
    if len(address) > MAX_EMAIL or not _EMAIL.match(address):
        raise Refusal(2011369, "Error domain privacy forwarded Email address is not valid")
    return _changed(call, replace(domain, privacy="ENABLED", privacy_email=address), "WhoisguardEnableResult")


def _disable(call: Call) -> Done:
    return _changed(call, replace(_subscribed(call, "ENABLED"), privacy="DISABLED"), "WhoisguardDisableResult")


def _changed(call: Call, domain: Domain, tag: str) -> Done:
    result = Node(tag, {"DomainName": call.shown(domain.name), "IsSuccess": "true"})
    return Done((result,), call.account.with_domain(domain))


def _subscribed(call: Call, status: str) -> Domain:
    """The domain of a subscription in this status; one number stands for every other case (API reference)."""
    wanted = call.text("whoisguardid")
    for domain in call.account.owned():
        if domain.privacy_id and str(domain.privacy_id) == wanted and domain.privacy == status:
            return domain
    raise Refusal(2011331, "Domain privacy does not exist, or is not in the status that this needs")


COMMANDS = (
    Command("namecheap.whoisguard.getList", _get_list),
    Command("namecheap.whoisguard.enable", _enable),
    Command("namecheap.whoisguard.disable", _disable),
)
