"""Checks of what points at nothing: hosts, services and delegations that somebody else could take. Asks no server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sophia_cli.checks import dmarc_reports
from sophia_cli.checks.delegation import live_of
from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import Edit, finding, listed, mend, set_value
from sophia_cli.checks.outside import known, look, unanswered
from sophia_cli.checks.spf_cost import spf_rows
from sophia_cli.checks.spf_terms import parse
from sophia_cli.checks.takeover import Service, claimable
from sophia_cli.core.dns import Record
from sophia_cli.core.dns_facts import Answer, CutServer, Question
from sophia_cli.core.findings import Finding

_POINTERS = ("CNAME", "ALIAS", "MX", "NS")
# Second-level names under which anybody registers, in country zones; with the top level they say whose name is free.
_REGISTRIES = frozenset(
    {"ac", "co", "com", "edu", "gob", "gov", "gv", "id", "ltd", "me", "ne", "net", "nom", "or", "org", "web"}
)


def gone(facts: Facts) -> Iterator[Finding]:
    """A host that does not exist: whoever registers it gets the traffic or the mail."""
    for row in facts.zone.records:
        if row.type not in _POINTERS or row.value == "." or facts.names.inside(row.value) is not None:
            continue
        answer = known(facts, Question(row.value.rstrip("."), "A"))
        if not isinstance(answer, Answer) or answer.status != "nxdomain" or _claimable(row, answer) is not None:
            continue
        last_mx = row.type == "MX" and len(facts.names.at(row.name, "MX")) == 1
        yield _dangling(
            facts, row, answer, f"{row.type} {row.name} points at {row.value}",
            [] if last_mx else [(row, None)],
            "it is the only MX: another mail host is needed" if last_mx else None,
        )  # fmt: skip
    yield from _gone_senders(facts)
    yield from _gone_receivers(facts)


def _gone_senders(facts: Facts) -> Iterator[Finding]:
    for name in sorted(facts.names.rows):
        for row in spf_rows(facts, name):
            spf = parse(row.value)
            for term in spf.terms:
                if term.name not in ("include", "redirect") or term.domain is None or term.has_macro:
                    continue
                answer = look(facts, term.domain, "TXT")
                if isinstance(answer, Answer) and answer.status == "nxdomain" and answer.at is not None:
                    kept = " ".join(("v=spf1", *(other.text for other in spf.terms if other is not term)))
                    is_plain = term.name == "include" and not spf.errors
                    yield _dangling(
                        facts, row, answer, f"the SPF record of {name} includes {term.domain}",
                        [set_value(row, kept)] if is_plain else [], None if is_plain else "what it should end with is not known",
                    )  # fmt: skip


def _gone_receivers(facts: Facts) -> Iterator[Finding]:
    for row, host in dmarc_reports.receivers(facts):
        answer = look(facts, host, "MX")
        if isinstance(answer, Answer) and answer.status == "nxdomain" and answer.at is not None:
            yield _dangling(
                facts, row, answer, f"DMARC reports of {row.name} go to {host}", [],
                "needs another address for the reports",
            )  # fmt: skip


def _dangling(
    facts: Facts, row: Record, answer: Answer, title: str, edits: Iterable[Edit], no_fix: str | None
) -> Finding:
    free = free_domain(answer)
    what = f", and {free} can be registered by anybody" if free else ", which does not exist"
    return finding(
        facts, "DNS-DANGLE-NX", title + what, (row,),
        "Delete the reference, or point it at a host of yours. Make sure first that it is not only being moved.",
        severity="critical" if free else "high",
        fix=mend(facts, "DNS-DANGLE-NX", "its host does not exist", *edits), no_fix=no_fix,
        registrable=free, **answer.data(),
    )  # fmt: skip


def free_domain(answer: Answer) -> str | None:
    """The registrable domain that is free, where the zone that denies the name is a registry's; None where it is not.

    The SOA of the denial names that zone (RFC 2308 3): a top level, or a country's second level such as `co.uk`.
    """
    if answer.status != "nxdomain" or not answer.zone:
        return None
    labels = answer.zone.split(".")
    if len(labels) > 2 or (len(labels) == 2 and (labels[0] not in _REGISTRIES or len(labels[1]) != 2)):
        return None
    name = (answer.chain[-1] if answer.chain else answer.question.name).rstrip(".")
    if not name.endswith("." + answer.zone):
        return None
    return ".".join(name.split(".")[-len(labels) - 1 :])


def hosts_unknown(facts: Facts) -> str | None:
    """Which hosts were not looked up."""
    hosts = facts.names.outside(*_POINTERS)
    found: list[Answer | Question] = [known(facts, Question(host.rstrip("."), "A")) for host in hosts]
    found += [look(facts, host, "MX") for _, host in dmarc_reports.receivers(facts)]
    return unanswered(facts, "hosts outside the zone were not looked up", found)


def questions(facts: Facts) -> Iterator[Question]:
    """What must be asked so that hosts that are gone are known."""
    for _, host in dmarc_reports.receivers(facts):
        if isinstance(found := look(facts, host, "MX"), Question):
            yield found


# -- services ----------------------------------------------------------------------------------------------------------


def unclaimed(facts: Facts) -> Iterator[Finding]:
    """A service at which the name is not claimed: whoever claims it there serves pages in the domain's name."""
    for row, service in _at_services(facts):
        answer = known(facts, Question(row.value.rstrip("."), "A"))
        if isinstance(answer, Answer) and _claimable(row, answer) is not None:
            yield _unclaimed(facts, row, service, "its name does not exist there", answer.data())
        elif service.page and (seen := _page(facts, row)) is not None and service.page in seen[1].lower():
            yield _unclaimed(
                facts, row, service, f"it shows {service.page!r}", {"server": seen[0], "page": service.page}
            )


def _unclaimed(facts: Facts, row: Record, service: Service, why: str, evidence: dict[str, Any]) -> Finding:
    sure = (
        ""
        if service.grade == "open"
        else " Others can claim it unless your account there proved the domain to be yours."
    )
    return finding(
        facts, "DNS-DANGLE-SVC", f"{row.name} points at {service.name}, where nobody claims it: {why}", (row,),
        f"Claim the name at the service again, or delete the record.{sure}",
        severity="critical" if service.grade == "open" else "medium",
        fix=mend(facts, "DNS-DANGLE-SVC", f"nobody claims the name at {service.name}", (row, None)),
        service=service.name, grade=service.grade, **evidence,
    )  # fmt: skip


def _at_services(facts: Facts) -> Iterator[tuple[Record, Service]]:
    for row in facts.zone.records:
        service = claimable(row.value) if row.type in ("CNAME", "ALIAS") else None
        if service is not None:
            yield row, service


def _claimable(row: Record, answer: Answer) -> Service | None:
    """The service whose missing name is the proof: those without a page of their own for it."""
    service = claimable(row.value) if row.type in ("CNAME", "ALIAS") else None
    return service if service is not None and not service.page and answer.status == "nxdomain" else None


def _page(facts: Facts, row: Record) -> tuple[str, str] | None:
    """The address and the page that the name shows."""
    visits = facts.background.http or {}
    host = facts.zone.fqdn(row.name)
    for url in (f"https://{host}/", f"http://{host}/"):
        visit = visits.get(url)
        if visit is not None and visit.body:
            return url, visit.body.decode("utf-8", "replace")
    return None


def services_unread(facts: Facts) -> str | None:
    """Which services were not asked what they show."""
    rows = list(_at_services(facts))
    why = unanswered(
        facts, "services were not looked up", (known(facts, Question(row.value.rstrip("."), "A")) for row, _ in rows)
    )
    unread = [row for row, service in rows if service.page and _page(facts, row) is None]
    return why or (f"in part: no page was read at {listed(unread)}" if unread else None)


# -- delegations and addresses -----------------------------------------------------------------------------------------


def cut(facts: Facts) -> Iterator[Finding]:
    """A delegation whose servers do not know the zone: whoever creates it there answers for the name."""
    by_name: dict[str, list[CutServer]] = {}
    for one in live_of(facts).cuts:
        by_name.setdefault(one.cut, []).append(one)
    for name, asked in sorted(by_name.items()):
        if any(_serves(one) for one in asked) or not any(_denies(one) for one in asked):
            continue
        rows = facts.names.at(name, "NS")
        if not rows:
            continue
        yield finding(
            facts, "DNS-DANGLE-NS", f"{name} is delegated to servers that do not know it", rows,
            "Create the zone there again, or delete the delegation. A host that offers DNS to anybody makes this a takeover.",
            fix=mend(facts, "DNS-DANGLE-NS", "its servers do not know the zone", *((row, None) for row in rows)),
            servers=[{**one.answer.data(), "host": one.host} for one in asked],
        )  # fmt: skip


def _serves(one: CutServer) -> bool:
    return one.answer.status == "found" and one.answer.is_authoritative


def _denies(one: CutServer) -> bool:
    """Whether the server was there and said that the zone is not."""
    return not _serves(one) and (one.answer.status != "failed" or one.answer.rtt_ms is not None)


def cuts_unknown(facts: Facts) -> str | None:
    """Which delegations nobody answered for."""
    live = live_of(facts)
    silent = sorted({one.cut for one in live.cuts if not _serves(one) and not _denies(one)})
    heard = {one.cut for one in live.cuts if _serves(one) or _denies(one)}
    missing = [name for name in silent if name not in heard]
    gap = live.gap("cuts")
    return gap or (f"in part: no server of {', '.join(missing)} answered" if missing else None)


def address(facts: Facts) -> Iterator[Finding]:
    """An address whose instance has ended is given to the next customer."""
    ended = {
        one.address: one for one in (facts.background.inventory or {}).values() if one.address and not one.is_running
    }
    alive = {one.address for one in (facts.background.inventory or {}).values() if one.is_running}
    for row in facts.zone.records:
        instance = ended.get(row.value) if row.type in ("A", "AAAA") and row.value not in alive else None
        if instance is not None:
            yield finding(
                facts, "DNS-DANGLE-IP", f"{row.name} points at {row.value}, whose instance is {instance.status}", (row,),
                "Point it at an address that is yours, or delete it.",
                provider=instance.provider, instance=instance.id, status=instance.status, address=row.value,
            )  # fmt: skip


def addresses_unknown(facts: Facts) -> str | None:
    """What an inventory cannot tell: instances that it has forgotten."""
    return (
        "in part: only instances that the inventory still lists could be compared"
        if facts.background.inventory
        else None
    )
