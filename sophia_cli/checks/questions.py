"""What live DNS is wanted for: the questions that the checks have about a zone. Asks nobody."""

from __future__ import annotations

from collections.abc import Iterator

from sophia_cli.checks import cname, dangling, delegation, dkim, dmarc, dmarc_reports, drift, spf
from sophia_cli.checks.facts import Facts
from sophia_cli.checks.outside import is_elsewhere, look
from sophia_cli.core.dns import APEX
from sophia_cli.core.dns_facts import Question, Wanted

# Names that other zones may hold and whose texts checks read.
_TEXTS = ("_mta-sts", "_smtp._tls")


def at_servers(facts: Facts, nameservers: tuple[str, ...] = ()) -> Wanted:
    """What to ask the zone's own servers; `nameservers` replace those of the delegation."""
    cuts: dict[str, list[str]] = {}
    for row in facts.zone.records:
        if row.type == "NS" and row.name != APEX:
            cuts.setdefault(row.name, []).append(row.value)
    by_provider = facts.source == "api"
    return Wanted(
        facts.zone.name,
        nameservers,
        drift.places(facts) if by_provider else (),
        tuple((name, tuple(hosts)) for name, hosts in sorted(cuts.items())),
        foreign=by_provider,
    )


def elsewhere(facts: Facts) -> tuple[Question, ...]:
    """What to ask a resolver next. Answers raise new questions (an include leads to its includes), until there are none."""
    return tuple(sorted(set(_all(facts))))


def _all(facts: Facts) -> Iterator[Question]:
    for topic in (cname, spf, dmarc, dkim, delegation, dmarc_reports, dangling):
        yield from topic.questions(facts)
    for name in _TEXTS:
        if is_elsewhere(facts, name) and isinstance(found := look(facts, facts.zone.fqdn(name), "TXT"), Question):
            yield found
