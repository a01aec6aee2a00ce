"""Checks of SPF (RFC 7208), over the whole tree where live DNS is known. Asks no server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sophia_cli.checks.facts import PROVIDER_MAIL, Facts
from sophia_cli.checks.found import finding, mend, set_value
from sophia_cli.checks.mail_less import NO_MAIL_SPF
from sophia_cli.checks.outside import unanswered
from sophia_cli.checks.spf_cost import ENOUGH, LIMIT, VOID_LIMIT, Cost, cost_of, spf_rows
from sophia_cli.checks.spf_terms import Spf, is_selected, parse
from sophia_cli.core.dns import APEX, Record
from sophia_cli.core.dns_facts import Answer, Question
from sophia_cli.core.findings import Finding, Fix

# What a mail service asks to include, by the end of its MX host names.
_SERVICES = (
    ((".google.com.", ".googlemail.com.", ".psmtp.com."), "include:_spf.google.com"),
    ((".mail.protection.outlook.com.", ".mx.microsoft."), "include:spf.protection.outlook.com"),
    ((".privateemail.com.",), "include:spf.privateemail.com"),
    ((".registrar-servers.com.",), "include:spf.efwd.registrar-servers.com"),
    ((".zoho.com.",), "include:zoho.com"),
    ((".messagingengine.com.",), "include:spf.messagingengine.com"),
    ((".protonmail.ch.",), "include:_spf.protonmail.ch"),
    ((".mailgun.org.",), "include:mailgun.org"),
    ((".mailbox.org.",), "include:mailbox.org"),
)  # fmt: skip
_ALL_RUNGS = ("-", "~", "?")
_QUOTES = "\"'“”‘’„«»`"
_LOOKS_LIKE = re.compile(r"(?:v\s*[=:]\s*)?spf\s*-?\s*1(?=[\s,;:]|\Z)[\s,;:]*(.*)\Z", re.I | re.S)


def none(facts: Facts) -> Iterator[Finding]:
    """Without SPF anybody may send in the domain's name."""
    there = facts.names.at(APEX, "TXT")
    if any(is_selected(row.value) or _misspelt(row.value) is not None for row in there):
        return
    value = suggested(facts)
    yield finding(
        facts, "MAIL-SPF-NONE", "no SPF record: receivers cannot tell who may send for the domain", facts.exchangers,
        "Publish one." if value is None else f"Publish it: sophia record set @ TXT '{value}'",
        severity="medium" if facts.has_mail else "low",
        fix=None if value is None
        else mend(facts, "MAIL-SPF-NONE", "SPF for the mail service in use", (None, Record(APEX, "TXT", value))),
        no_fix="needs to know who sends mail for the domain" if facts.has_mail
        else "needs to know whether the domain has mail: set dns.email_type in the environment",
        email_type=facts.zone.email_type, suggestion=value,
    )  # fmt: skip


def suggested(facts: Facts) -> str | None:
    """The SPF record that the zone's mail service asks for; None when it is not known."""
    if facts.zone.email_type in PROVIDER_MAIL:
        return f"v=spf1 {PROVIDER_MAIL[facts.zone.email_type]} ~all"
    if facts.is_mail_less:
        return NO_MAIL_SPF
    if facts.names.at(APEX, "MXE"):
        return "v=spf1 mx ~all"
    includes: dict[str, None] = {}
    for row in facts.exchangers:
        service = next((spf for ends, spf in _SERVICES if ("." + row.value).endswith(ends)), None)
        if service is None:
            service = "mx" if facts.names.inside(row.value) is not None else None
        if service is None:
            return None
        includes[service] = None
    return f"v=spf1 {' '.join(includes)} ~all" if includes else None


def multi(facts: Facts) -> Iterator[Finding]:
    """Two records are a permanent error: neither counts."""
    for name in sorted(facts.names.rows):
        rows = spf_rows(facts, name)
        if len(rows) > 1:
            yield finding(
                facts, "MAIL-SPF-MULTI", f"{len(rows)} SPF records at {name}: receivers use none of them", rows,
                "Merge them into one record.", fix=_merged(facts, rows),
            )  # fmt: skip


def _merged(facts: Facts, rows: list[Record]) -> Fix | None:
    """One record with all senders and the softest `all`; None where a record is broken, redirects or allows everybody."""
    records = [parse(row.value) for row in rows]
    ends = {term.qualifier for spf in records for term in spf.named("all")}
    if any(spf.errors or any(term.modifier for term in spf.terms) for spf in records) or "+" in ends:
        return None
    terms = dict.fromkeys(term.text for spf in records for term in spf.mechanisms if term.name != "all")
    rung = max(ends, key=_ALL_RUNGS.index, default="~")
    value = " ".join(("v=spf1", *terms, f"{rung}all"))
    if cost_of(facts, rows[0].name, parse(value)).lookups > LIMIT:
        return None
    keep = next((row for row in rows if row.value == value), rows[0])
    gone = [(row, None) for row in rows if row is not keep]
    return mend(facts, "MAIL-SPF-MULTI", "one record instead of several", set_value(keep, value), *gone)


def syntax(facts: Facts) -> Iterator[Finding]:
    """A breach of the grammar anywhere makes the whole record a permanent error."""
    for row, spf in _records(facts):
        if spf.errors:
            why = spf.errors[0][1]
            yield finding(
                facts, "MAIL-SPF-SYNTAX", f"the SPF record of {row.name} is invalid: {why}", (row,),
                "Correct it; until then receivers treat the domain as if it had a broken record.",
                errors=[{"term": term, "why": why} for term, why in spf.errors],
            )  # fmt: skip


def typo(facts: Facts) -> Iterator[Finding]:
    """Text that was meant as SPF and is not read as SPF."""
    for name in sorted(facts.names.rows):
        others = spf_rows(facts, name)
        for row in facts.names.at(name, "TXT"):
            good = _misspelt(row.value)
            if good is None:
                continue
            clean = not others and not parse(good).errors
            yield finding(
                facts, "MAIL-SPF-TYPO", f"a TXT of {name} looks like SPF but is not read as SPF", (row,),
                f"It must start exactly with 'v=spf1 ': {good}", meant=good,
                fix=mend(facts, "MAIL-SPF-TYPO", "the same record, spelt right", set_value(row, good)) if clean else None,
                no_fix="another SPF record stands there: delete the wrong one" if others else "what was meant is not clear",
            )  # fmt: skip


def _misspelt(value: str) -> str | None:
    """The record that was meant by a text that is not selected; None when it is SPF, or nothing like it."""
    if is_selected(value):
        return None
    text = "".join(" " if ch.isspace() else ch for ch in value if ch not in _QUOTES).strip()
    match = _LOOKS_LIKE.match(text)
    return None if match is None else " ".join(("v=spf1", *match.group(1).split()))


def too_open(facts: Facts) -> Iterator[Finding]:
    """How the record ends: what happens to everybody else."""
    for row, spf in _records(facts):
        ends = spf.named("all")
        if (not ends and spf.named("redirect")) or (ends and ends[0].qualifier in "-~"):
            continue
        kept = [term.text for term in spf.terms if term.name != "all"]
        severity, says = "medium", "says nothing about everybody else"
        if ends:
            severity, says = ("critical", "lets anybody send") if ends[0].qualifier == "+" else ("high", "is neutral")
        fix = None
        if not spf.errors:
            cut = spf.terms.index(ends[0]) if ends else len(spf.terms)
            read = [
                term.text for term in spf.terms[:cut] if term.name != "redirect"
            ]  # what is read beside all (5.1, 6.1)
            others = [term.text for term in spf.terms[cut:] if term.modifier and term.name != "redirect"]
            value = " ".join(("v=spf1", *read, "~all", *others))
            fix = mend(facts, "MAIL-SPF-ALL", "everybody else softly fails", set_value(row, value))
        yield finding(
            facts, "MAIL-SPF-ALL", f"the SPF record of {row.name} {says}", (row,),
            "End it with ~all, and with -all once the reports are clean.",
            severity=severity, fix=fix, all=ends[0].text if ends else None, senders=kept,
        )  # fmt: skip


def dead(facts: Facts) -> Iterator[Finding]:
    """Terms that are never reached."""
    for row, spf in _records(facts):
        ends = spf.named("all")
        if not ends:
            continue
        cut = spf.terms.index(ends[0])
        unread = [t for i, t in enumerate(spf.terms) if t.name == "redirect" or (i > cut and not t.modifier)]
        if unread:
            value = " ".join(("v=spf1", *(term.text for term in spf.terms if term not in unread)))
            yield finding(
                facts, "MAIL-SPF-DEAD", f"the SPF record of {row.name} holds terms that are never read", (row,),
                "Drop them, or move senders in front of all.", terms=[term.text for term in unread],
                fix=None if spf.errors or ends[0] in unread
                else mend(facts, "MAIL-SPF-DEAD", "nothing behind all is ever read", set_value(row, value)),
            )  # fmt: skip


def ptr(facts: Facts) -> Iterator[Finding]:
    """`ptr` is slow and unreliable, and some receivers skip it."""
    for row, spf in _records(facts):
        if terms := spf.named("ptr"):
            yield finding(
                facts, "MAIL-SPF-PTR", f"the SPF record of {row.name} uses ptr", (row,),
                "Name the senders' addresses (ip4, ip6, a, mx) instead.", terms=[term.text for term in terms],
            )  # fmt: skip


def wide(facts: Facts) -> Iterator[Finding]:
    """Ranges so wide that strangers are in them."""
    for row, spf in _records(facts):
        terms = [
            term for term in spf.mechanisms
            if term.qualifier == "+" and ((term.width4 is not None and term.width4 < 16)
                                          or (term.width6 is not None and term.width6 < 32))
        ]  # fmt: skip
        if terms:
            yield finding(
                facts, "MAIL-SPF-WIDE", f"the SPF record of {row.name} allows very wide ranges", (row,),
                "Name only the addresses that send for the domain.", terms=[term.text for term in terms],
            )  # fmt: skip


# -- what the record costs; without live DNS a lower bound -------------------------------------------------------------


def lookups(facts: Facts) -> Iterator[Finding]:
    """Over ten look-ups are a permanent error; what is included from outside only adds to it."""
    for row, cost in costs(facts):
        if cost.lookups > LIMIT:
            least = "at least " if cost.unknown or cost.lookups >= ENOUGH else ""
            dearest = max(cost.terms, key=lambda term: term["lookups"])
            yield finding(
                facts, "MAIL-SPF-LOOKUPS", f"the SPF record of {row.name} needs {least}{cost.lookups} look-ups", (row,),
                f"Receivers stop at {LIMIT}. Drop senders that are no longer used; {dearest['term']} alone costs "
                f"{dearest['lookups']}. Replacing an include by its addresses rots when the sender changes them.",
                at_least=cost.lookups, terms=cost.terms, tree=cost.tree, **_source(cost),
            )  # fmt: skip


def void(facts: Facts) -> Iterator[Finding]:
    """Terms that ask for names which are not there."""
    for row, cost in costs(facts):
        if len(cost.void) > VOID_LIMIT:
            yield finding(
                facts, "MAIL-SPF-VOID", f"{len(cost.void)} terms of the SPF record of {row.name} find nothing", (row,),
                f"Receivers stop after {VOID_LIMIT}. Drop the terms whose names are gone.", terms=cost.void, **_source(cost),
            )  # fmt: skip


def mx10(facts: Facts) -> Iterator[Finding]:
    """An `mx` term with too many hosts."""
    for row, cost in costs(facts):
        for term, count in cost.crowded:
            yield finding(
                facts, "MAIL-SPF-MX10", f"{term} in the SPF record of {row.name} stands for {count} hosts", (row,),
                "Receivers stop at 10. Name the senders' addresses instead.", term=term, hosts=count, **_source(cost),
            )  # fmt: skip


def include(facts: Facts) -> Iterator[Finding]:
    """An include or redirect without a record behind it, with two of them or a broken one, or leading back to itself."""
    for row, cost in costs(facts):
        if cost.broken:
            yield finding(
                facts, "MAIL-SPF-INCLUDE", f"the SPF record of {row.name} refers to a name without a usable one", (row,),
                "Publish one sound record there, or drop the term.", terms=cost.broken, **_source(cost),
            )  # fmt: skip


def _source(cost: Cost) -> dict[str, Any]:
    """Who told what lies outside the zone, and when."""
    told = sorted((one.at, one.server) for one in cost.seen if isinstance(one, Answer) and one.at is not None)
    return {"server": told[-1][1], "at": told[-1][0].isoformat()} if told else {}


def outside(facts: Facts) -> str | None:
    """What is not known of the look-ups: terms outside the zone that nobody asked for, or that depend on the message."""
    every = [cost for _, cost in costs(facts)]
    why = unanswered(
        facts, "SPF terms outside the zone were not followed", [one for cost in every for one in cost.seen]
    )
    if why is not None:
        return why
    open_terms = {term for cost in every for term in cost.unknown if "%" in term}
    terms = [term for term in open_terms if term.lstrip("+-~?").lower().startswith(("include:", "redirect="))]
    return f"in part: SPF terms that depend on the message were not followed ({len(terms)})" if terms else None


def questions(facts: Facts) -> Iterator[Question]:
    """What must be asked so that the whole tree is known, one level at a time."""
    for _, cost in costs(facts):
        yield from cost.wanted


def _records(facts: Facts) -> Iterator[tuple[Record, Spf]]:
    for row in facts.zone.records:
        if row.type == "TXT" and is_selected(row.value):
            yield row, parse(row.value)


def costs(facts: Facts) -> Iterator[tuple[Record, Cost]]:
    """The SPF records of the zone with what each costs."""
    for row, spf in _records(facts):
        yield row, cost_of(facts, row.name, spf)
