"""Live DNS for a zone's checks: its own servers, and look-ups until no check has a question left. Writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from sophia_cli.agents.base import Facts, at_servers, elsewhere
from sophia_cli.core.dns_facts import Answer, LiveDns, Question, Wanted

ROUNDS = 16  # an include tree is at most ten deep before receivers stop, a tree walk eight
MOST_LOOKUPS = 1500  # of one zone; what is left over is not tested


class DnsPort(Protocol):
    """What live DNS must be able to tell. Neither method raises for an answer that is missing or broken."""

    async def survey(self, wanted: Wanted) -> LiveDns:
        """What a zone's own servers and its parent say."""
        ...

    async def look_up(self, questions: Iterable[Question]) -> Mapping[Question, Answer]:
        """What a resolver says of any names."""
        ...


async def with_live_dns(
    facts: Sequence[Facts], port: DnsPort, nameservers: Mapping[str, tuple[str, ...]] | None = None
) -> list[Facts]:
    """The facts of several zones with live DNS, found out at once. `nameservers` name whom to ask, zone by zone."""
    given = nameservers or {}
    return list(await asyncio.gather(*(_surveyed(one, port, given.get(one.zone.name, ())) for one in facts)))


async def _surveyed(facts: Facts, port: DnsPort, nameservers: tuple[str, ...]) -> Facts:
    wanted = at_servers(facts, nameservers)
    # What the rows alone ask for does not wait for the servers; what the servers' answers ask for comes after.
    live, early = await asyncio.gather(port.survey(wanted), _looked_up(_alone(facts), port))
    return await _looked_up(_with(facts, replace(live, answers=_answers(early))), port)


async def _looked_up(facts: Facts, port: DnsPort) -> Facts:
    """The facts with the answers to all that the checks ask, level by level."""
    for _ in range(ROUNDS):
        answers = _answers(facts)
        open_ones = [question for question in elsewhere(facts) if question not in answers]
        if not open_ones:
            return facts
        room = MOST_LOOKUPS - len(answers)
        if room <= 0:
            break
        found = await port.look_up(open_ones[:room])
        facts = _with(facts, replace(_live(facts), answers={**answers, **found}))
    gaps = {**_live(facts).gaps, "outside": "there are too many of them"}
    return _with(facts, replace(_live(facts), gaps=gaps))


def _alone(facts: Facts) -> Facts:
    return _with(facts, LiveDns(facts.zone.name, facts.now))


def _live(facts: Facts) -> LiveDns:
    live = facts.background.dns
    assert live is not None
    return live


def _answers(facts: Facts) -> Mapping[Question, Answer]:
    return _live(facts).answers


def _with(facts: Facts, live: LiveDns) -> Facts:
    return replace(facts, background=replace(facts.background, dns=live))
