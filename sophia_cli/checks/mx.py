"""Checks of mail exchangers. Asks no server."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace
from shlex import quote

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import Edit, finding, mend
from sophia_cli.checks.mail_less import declaration
from sophia_cli.checks.outside import addresses
from sophia_cli.core.dns import APEX, Record
from sophia_cli.core.dns_facts import Answer
from sophia_cli.core.findings import Finding, Fix


def mx_ip(facts: Facts) -> Iterator[Finding]:
    """An MX must name a host; an address there is looked up as a name and fails."""
    for row in facts.zone.records:
        if row.type == "MX" and (address := _address(facts, row.value)) is not None:
            yield finding(
                facts, "DNS-MX-IP", f"the MX of {row.name} is the address {address}", (row,),
                f"Give the mail server a name with the address {address}, and point the MX at that name.",
                fix=_named_host(facts, row, address),
            )  # fmt: skip


def _address(facts: Facts, value: str) -> str | None:
    """The address that stands where a host name must; a master file makes it a name of its own zone."""
    try:
        return str(ipaddress.ip_address(value.rstrip(".").removesuffix("." + facts.zone.name)))
    except ValueError:
        return None


def _named_host(facts: Facts, row: Record, address: str) -> Fix | None:
    kind = "AAAA" if ":" in address else "A"
    for host in ("mail", "mx", *(f"mx{number}" for number in range(1, 10))):
        there = facts.names.at(host)
        if there and not any((other.type, other.value) == (kind, address) for other in there):
            continue
        edits: list[Edit] = [(row, replace(row, value=f"{host}.{facts.zone.name}."))]
        if not there:
            edits.append((None, Record(host, kind, address, row.ttl)))
        return mend(facts, "DNS-MX-IP", f"{host} carries the address {address}", *edits)
    return None


def mx_noaddr(facts: Facts) -> Iterator[Finding]:
    """An MX whose host has no address takes no mail."""
    for row in facts.zone.records:
        if row.type != "MX" or row.value == "." or _address(facts, row.value) is not None:
            continue
        inner = facts.names.inside(row.value)
        if inner is not None and not facts.names.has_address(inner):
            yield finding(
                facts, "DNS-MX-NOADDR", f"the mail host {row.value} has no address", (row,),
                f"Add an A or AAAA record at {inner}: sophia record set {quote(inner)} A ADDRESS", host=row.value,
            )  # fmt: skip
            continue
        found = addresses(facts, row.value) if inner is None else None
        if isinstance(found, Answer) and found.is_negative:
            yield finding(
                facts, "DNS-MX-NOADDR", f"the mail host {row.value} has no address", (row,),
                "Point the MX at a host that has an A or AAAA record.", host=row.value, **found.data(),
            )  # fmt: skip


def mx_null_mix(facts: Facts) -> Iterator[Finding]:
    """A null MX says that no mail is taken; beside a real one it says nothing clear."""
    for row in facts.zone.records:
        if (row.type, row.value) != ("MX", "."):
            continue
        others = [other for other in facts.names.at(row.name, "MX") if other.value != "."]
        if others:
            yield finding(
                facts, "DNS-MX-NULL-MIX", f"a null MX at {row.name} stands beside {len(others)} other MX", (row, *others),
                "Delete the null MX if the name takes mail.",
                fix=mend(facts, "DNS-MX-NULL-MIX", "the name has real mail exchangers", (row, None)),
            )  # fmt: skip
        elif row.priority != 0:
            yield finding(
                facts, "DNS-MX-NULL-MIX", f"the null MX at {row.name} has preference {row.priority}, not 0", (row,),
                "Publish it with preference 0, at a provider that can.",
                no_fix="a null MX cannot be set at Namecheap (it refuses '.')",
            )  # fmt: skip


def mx_implicit(facts: Facts) -> Iterator[Finding]:
    """Without an MX, senders try the apex address; a mail-less domain should say that it has none."""
    addresses = [row for row in facts.names.at(APEX) if row.type in ("A", "AAAA", "ALIAS")]
    null = any(row.value == "." for row in facts.names.at(APEX, "MX"))
    refuses = any(row.type == "TXT" and row.value.lower() == "v=spf1 -all" for row in facts.names.at(APEX))
    if facts.has_mail or null or refuses or not addresses:
        return
    declared = facts.is_mail_less
    edits = declaration(facts) if declared else ()
    plain = any(after is not None and after.name == APEX for _, after in edits)  # another SPF stands there otherwise
    yield finding(
        facts, "DNS-MX-IMPLICIT", "no MX: mail for the domain is tried at the apex address", addresses,
        "Add an MX if the domain takes mail; if not, say so with `email_type: NONE` in the environment.",
        severity="low" if declared else "info",
        fix=mend(facts, "DNS-MX-IMPLICIT", "the environment says that the domain has no mail", *edits) if plain else None,
        no_fix="needs to know whether the domain has mail: set dns.email_type in the environment",
    )  # fmt: skip
