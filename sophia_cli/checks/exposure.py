"""Checks of what name servers hand to anybody: the whole zone, or answers about other names. Asks no server."""

from __future__ import annotations

from collections.abc import Iterator

from sophia_cli.checks.delegation import live_of, servers_unknown
from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding
from sophia_cli.core.findings import Finding


def transfer(facts: Facts) -> Iterator[Finding]:
    """An open zone transfer shows every name at once."""
    for server in live_of(facts).answering:
        if server.transfer is not None and server.transfer.rows is not None and server.transfer.count > 1:
            yield finding(
                facts, "DNS-AXFR", f"{server.label} hands the whole zone to anybody", (),
                "Allow transfers to the zone's other servers only.",
                server=server.label, count=server.transfer.count, at=live_of(facts).at.isoformat(),
            )  # fmt: skip


def transfer_unknown(facts: Facts) -> str | None:
    """Which servers did not say whether they would."""
    unsure = [
        server.label
        for server in live_of(facts).answering
        if server.transfer is not None and server.transfer.rows is None and server.transfer.why.startswith("no answer")
    ]
    if unsure:
        return f"in part: {', '.join(unsure)} did not answer over TCP"
    return servers_unknown(facts)


def recursion(facts: Facts) -> Iterator[Finding]:
    """An open resolver is used to flood others, and can be poisoned."""
    for server in live_of(facts).servers:
        if server.recursion is not None and server.recursion.status == "found":
            yield finding(
                facts, "DNS-OPEN-REC", f"{server.label} resolves names of others for anybody", (),
                "Turn recursion off on the authoritative server.", **server.recursion.data(),
            )  # fmt: skip
