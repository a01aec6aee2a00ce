"""Checks of addresses: what must not stand in a public zone. Asks no server."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding, listed
from sophia_cli.checks.outside import addresses
from sophia_cli.core.dns import Record
from sophia_cli.core.dns_facts import Answer
from sophia_cli.core.findings import Finding

# The IANA special-purpose registries (RFC 6890), the blocks that a record may fall into by mistake; first match wins.
_BLOCKS = tuple(
    (ipaddress.ip_network(block), what)
    for block, what in (
        ("192.0.2.0/24", "documentation"), ("198.51.100.0/24", "documentation"), ("203.0.113.0/24", "documentation"),
        ("2001:db8::/32", "documentation"), ("3fff::/20", "documentation"),
        ("0.0.0.0/8", "this host"), ("::/128", "this host"),
        ("127.0.0.0/8", "loopback"), ("::1/128", "loopback"),
        ("10.0.0.0/8", "private"), ("172.16.0.0/12", "private"), ("192.168.0.0/16", "private"), ("fc00::/7", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("169.254.0.0/16", "link-local"), ("fe80::/10", "link-local"),
        ("192.0.0.0/24", "protocol assignments"), ("198.18.0.0/15", "benchmarking"), ("2001:2::/48", "benchmarking"),
        ("224.0.0.0/4", "multicast"), ("ff00::/8", "multicast"), ("240.0.0.0/4", "reserved"),
        ("100::/64", "discard-only"), ("::ffff:0:0/96", "IPv4-mapped"), ("64:ff9b:1::/48", "local translation"),
    )
)  # fmt: skip


def special(facts: Facts) -> Iterator[Finding]:
    """Private, loopback and other special addresses, one finding a kind of block."""
    found: dict[str, list[Record]] = {}
    for row in facts.zone.records:
        if row.type in ("A", "AAAA") and (what := block_of(row.value)) is not None:
            found.setdefault(what, []).append(row)
    for what, rows in sorted(found.items()):
        placeholder = what == "documentation"
        yield finding(
            facts, "DNS-SPECIAL-IP", f"{what} address at {listed(rows)}", rows,
            "Put the real address there: these are reserved for examples." if placeholder
            else f"Keep {what} addresses out of the public zone; they leak the inside and help DNS rebinding.",
            severity="medium" if placeholder else "high", block=what,
        )  # fmt: skip
    for row in facts.zone.records:
        if row.type not in ("CNAME", "ALIAS") or facts.names.inside(row.value) is not None:
            continue
        seen = addresses(facts, row.value)
        blocks = {block_of(value) for value in seen.values} if isinstance(seen, Answer) else set()
        for block in sorted(block for block in blocks if block is not None):
            yield finding(
                facts, "DNS-SPECIAL-IP", f"{row.name} leads to {row.value}, which has a {block} address", (row,),
                "Point it at a public host; such addresses leak the inside and help DNS rebinding.",
                severity="medium" if block == "documentation" else "high", block=block,
                **(seen.data() if isinstance(seen, Answer) else {}),
            )  # fmt: skip


def block_of(value: str) -> str | None:
    """The special-purpose block an address lies in, or None; text that is no address lies in none."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return None
    return next((what for block, what in _BLOCKS if address.version == block.version and address in block), None)
