"""Checks of where DMARC reports go: whether a receiver outside the organisation accepts them (RFC 9990 4). Asks no server."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sophia_cli.checks.dmarc import in_force
from sophia_cli.checks.dmarc_tree import is_selected, organisation
from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding
from sophia_cli.checks.outside import look, unanswered
from sophia_cli.core.dns import Record
from sophia_cli.core.dns_facts import Answer, Question
from sophia_cli.core.findings import Finding

_MAILTO = re.compile(r"mailto:[^@\s,!;]+@([A-Za-z0-9.-]+?)\.?(?:![0-9]+[kmgt]?)?\Z", re.I)


def receivers(facts: Facts) -> Iterator[tuple[Record, str]]:
    """The records in force with each mail domain that their reports go to."""
    for row, tags in in_force(facts):
        uris = ",".join(tags.get(tag) or "" for tag in ("rua", "ruf")).split(",")
        hosts = [match.group(1).lower() for uri in uris if (match := _MAILTO.match(uri.strip()))]
        for host in dict.fromkeys(hosts):
            if facts.names.inside(host) is None:
                yield row, host


def unauthorised(facts: Facts) -> Iterator[Finding]:
    """Reports to another organisation are dropped unless it says that it wants them."""
    for row, host in receivers(facts):
        answer = _permission(facts, row, host)
        there = look(facts, host, "MX")
        if not isinstance(answer, Answer) or answer.status == "failed":
            continue
        if isinstance(there, Answer) and there.status == "nxdomain":
            continue  # DNS-DANGLE-NX tells that
        if not any(is_selected(value) for value in answer.values):
            yield finding(
                facts, "MAIL-DMARC-EXT", f"{host} does not say that it takes DMARC reports of {facts.zone.fqdn(_owner(row))}",
                (row,), f"Ask it to publish at {answer.question.name} the TXT v=DMARC1; or use an address of your own.",
                host=host, **answer.data(),
            )  # fmt: skip


def _owner(row: Record) -> str:
    return row.name.removeprefix("_dmarc").removeprefix(".") or "@"


def _permission(facts: Facts, row: Record, host: str) -> Answer | Question | None:
    """What the receiver says about the reports, or what must be asked first; None where nothing needs be said."""
    domain = facts.zone.fqdn(_owner(row))
    ours, theirs = organisation(facts, domain), organisation(facts, host)
    if isinstance(ours, Question):
        return ours
    if isinstance(theirs, Question):
        return theirs
    return None if ours == theirs else look(facts, f"{domain}._report._dmarc.{host}", "TXT")


def questions(facts: Facts) -> Iterator[Question]:
    """What must be asked, one step of the tree walk at a time."""
    for row, host in receivers(facts):
        if isinstance(found := _permission(facts, row, host), Question):
            yield found


def unknown(facts: Facts) -> str | None:
    """Which receivers were not asked."""
    found = (_permission(facts, row, host) for row, host in receivers(facts))
    return unanswered(facts, "receivers of reports were not asked", (one for one in found if one is not None))
