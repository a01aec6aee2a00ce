"""Checks of aliases: CNAME, ALIAS, and what points at them. Asks no server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding, mend
from sophia_cli.checks.outside import addresses, look, unanswered
from sophia_cli.core.dns import APEX, Record
from sophia_cli.core.dns_facts import Answer, Question
from sophia_cli.core.findings import Finding


def cname_other(facts: Facts) -> Iterator[Finding]:
    """A CNAME beside other data: resolvers may follow either."""
    for name, rows in sorted(facts.names.rows.items()):
        others = sorted({row.type for row in rows} - {"CNAME"})
        if others and any(row.type == "CNAME" for row in rows):
            yield finding(
                facts, "DNS-CNAME-OTHER", f"a CNAME at {name} stands beside {', '.join(others)}", rows,
                f"Keep either the CNAME or the {', '.join(others)} at {name}; resolvers follow one of them at random.",
            )  # fmt: skip


def cname_apex(facts: Facts) -> Iterator[Finding]:
    """A CNAME at the apex hides SOA, NS and MX."""
    rows = facts.names.at(APEX, "CNAME")
    if not rows:
        return
    alone = len(rows) == 1 and not any(row.type in ("A", "AAAA", "ALIAS") for row in facts.names.at(APEX))
    alias = replace(rows[0], type="ALIAS")
    yield finding(
        facts, "DNS-CNAME-APEX", "a CNAME stands at the apex", rows,
        "Use ALIAS, which the provider answers as an address: sophia record set @ ALIAS TARGET",
        fix=mend(facts, "DNS-CNAME-APEX", "ALIAS instead of a CNAME at the apex", (rows[0], alias)) if alone else None,
        no_fix="other addresses or CNAMEs stand at the apex too: choose which one to keep",
    )  # fmt: skip


def cname_multi(facts: Facts) -> Iterator[Finding]:
    """Several CNAMEs at one name are an error, not a round robin."""
    for name in sorted(facts.names.rows):
        rows = facts.names.at(name, "CNAME")
        if len(rows) > 1:
            yield finding(
                facts, "DNS-CNAME-MULTI", f"{len(rows)} CNAMEs stand at {name}", rows,
                "Keep one. For a round robin use several A or AAAA records.",
            )  # fmt: skip


def cname_loop(facts: Facts) -> Iterator[Finding]:
    """Aliases that lead back to themselves, each loop told once."""
    told: set[frozenset[str]] = set()
    for name in sorted(facts.names.rows):
        met, loops = facts.names.chain(name)
        if not loops:
            continue
        back = facts.names.inside(met[-1].value)
        start = next((i for i, row in enumerate(met) if row.name == back), 0)
        circle = met[start:]
        names = frozenset(row.name for row in circle)
        if names not in told:
            told.add(names)
            path = [row.name for row in circle] + [circle[0].name]
            yield finding(
                facts, "DNS-CNAME-LOOP", f"aliases lead in a circle: {' > '.join(path)}", circle,
                "Let one of these names end in an address or outside the zone.", path=path,
            )  # fmt: skip
    for row in facts.zone.records:
        found = look(facts, row.value, "A") if _leaves(facts, row) else None
        if isinstance(found, Answer) and found.status == "failed" and "circle" in found.why:
            yield finding(
                facts, "DNS-CNAME-LOOP", f"{row.name} leads to {row.value}, whose aliases lead in a circle", (row,),
                "Point it at a name that ends in an address.", path=[row.name, row.value, *found.chain], **found.data(),
            )  # fmt: skip


def _leaves(facts: Facts, row: Record) -> bool:
    return row.type in ("CNAME", "ALIAS") and facts.names.inside(row.value) is None


def mx_cname(facts: Facts) -> Iterator[Finding]:
    """Mail servers refuse or loop on an MX that is an alias."""
    yield from _target_is_alias(
        facts, "MX", "DNS-MX-CNAME", "Point the MX at a host with an A or AAAA record of its own."
    )


def ns_cname(facts: Facts) -> Iterator[Finding]:
    """A delegation to an alias does not resolve everywhere."""
    yield from _target_is_alias(
        facts, "NS", "DNS-NS-CNAME", "Point the NS at a host with an A or AAAA record of its own."
    )


def _target_is_alias(facts: Facts, kind: str, id: str, help: str) -> Iterator[Finding]:
    for row in facts.zone.records:
        if row.type != kind or row.value == ".":
            continue
        title = f"the {kind} of {row.name} points at {row.value}, a CNAME"
        inner = facts.names.inside(row.value)
        if inner is not None:
            aliases = [hop for hop in facts.names.answer(inner) if hop.type == "CNAME"]
            if aliases:
                yield finding(facts, id, title, (row, *aliases), help)
            continue
        found = look(facts, row.value, "A")
        if isinstance(found, Answer) and found.chain:
            yield finding(facts, id, title, (row,), help, **found.data())


def aliases_outside(facts: Facts) -> str | None:
    """What is not known of the targets of CNAME and ALIAS."""
    return _outside(facts, "CNAME", "ALIAS")


def mx_outside(facts: Facts) -> str | None:
    """What is not known of the targets of MX."""
    return _outside(facts, "MX")


def ns_outside(facts: Facts) -> str | None:
    """What is not known of the targets of NS."""
    return _outside(facts, "NS")


def questions(facts: Facts) -> Iterator[Question]:
    """What must be asked so that the targets of records are known."""
    found = (addresses(facts, host) for host in facts.names.outside("CNAME", "ALIAS", "MX", "NS"))
    return (one for one in found if isinstance(one, Question))


def _outside(facts: Facts, *kinds: str) -> str | None:
    what = f"{'/'.join(kinds)} targets outside the zone were not looked up"
    return unanswered(facts, what, (addresses(facts, host) for host in facts.names.outside(*kinds)))
