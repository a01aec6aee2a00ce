"""Checks of wildcards (RFC 4592). Asks no server."""

from __future__ import annotations

from collections.abc import Iterator

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding
from sophia_cli.checks.lookup import parent
from sophia_cli.core.dns import APEX
from sophia_cli.core.findings import Finding


def wildcard(facts: Facts) -> Iterator[Finding]:
    """A `*` owner answers for every name; one that the environment names is wanted, so only told."""
    wanted = {row.record.name for row in facts.desired.records} if facts.desired is not None else set()
    for name in _wildcards(facts):
        rows = facts.names.at(name)
        yield finding(
            facts, "DNS-WILDCARD", f"{name} answers for every name that does not exist", rows,
            "Name the hosts that are used, so that misspelt and forgotten names do not answer.",
            severity="info" if name in wanted else "medium", named_by_environment=name in wanted,
        )  # fmt: skip
    probe = None if facts.background.dns is None else facts.background.dns.wildcard
    if probe is not None and probe.status == "found" and "*" not in facts.names.rows:
        yield finding(
            facts, "DNS-WILDCARD", f"the servers answer for {probe.question.name}, a name that nobody made", (),
            "Find out what answers for names that do not exist: no wildcard stands in the zone.",
            named_by_environment=False, **probe.data(),
        )  # fmt: skip


def unprobed(facts: Facts) -> str | None:
    """Why no random name was asked for."""
    live = facts.background.dns
    if live is None:
        return None if "*" in facts.names.rows else "in part: no random name was asked for"
    gap = live.gap("wildcard")
    return None if gap is None else f"in part: no random name was asked for: {gap}"


def gap(facts: Facts) -> Iterator[Finding]:
    """Names below a wildcard that exist only because something stands below them: the wildcard skips them."""
    stars = {parent(name): name for name in _wildcards(facts)}
    for name in sorted(facts.names.exists - facts.names.rows.keys()):
        star = stars.get(parent(name))
        if star is None or name == APEX or name.startswith(("_", "*")):
            continue
        below = [row for row in facts.zone.records if row.name.endswith("." + name)]
        yield finding(
            facts, "DNS-WILDCARD-GAP", f"{name} has no answer although {star} seems to cover it",
            (*facts.names.at(star), *below),
            f"Something stands below {name}, so it exists and the wildcard skips it. Add the records to {name} itself.",
            name=name, wildcard=star,
        )  # fmt: skip


def _wildcards(facts: Facts) -> list[str]:
    return sorted(name for name in facts.names.rows if name == "*" or name.startswith("*."))
