"""Live DNS for checks: every question once, level by level, bounded, and what is left over is said."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from sophia_cli.checks.registry import examine
from sophia_cli.core.dns_facts import Answer, LiveDns, Question, ServerFacts, Soa, Wanted
from sophia_cli.flows.live_dns import MOST_LOOKUPS, with_live_dns
from tests.checks.check_cases import NOW, cname, facts, txt


class Net:
    """A port over made-up answers that keeps what it was asked; names it does not know do not exist."""

    def __init__(self, answers: Mapping[str, tuple[str, ...]] = {}) -> None:
        self.answers = answers
        self.rounds: list[list[Question]] = []
        self.wanted: list[Wanted] = []

    async def survey(self, wanted: Wanted) -> LiveDns:
        self.wanted.append(wanted)
        said = Answer(Question(wanted.zone, "SOA"), "found", is_authoritative=True)
        primary = Soa("primary.net.", "host.net.", 1, 14400, 3600, 604800, 3600)
        return LiveDns(wanted.zone, NOW, servers=(ServerFacts("ns.net", "192.0.2.1", 53, said, primary),))

    async def look_up(self, questions: Iterable[Question]) -> Mapping[Question, Answer]:
        asked = list(questions)
        self.rounds.append(asked)
        return {one: self.answer(one) for one in asked}

    def answer(self, question: Question) -> Answer:
        values = self.answers.get(str(question), ())
        status: Any = "found" if values else "nxdomain"
        return Answer(question, status, values)


def surveyed(net: Net, *rows: Any, servers: Mapping[str, tuple[str, ...]] | None = None) -> Any:
    return asyncio.run(with_live_dns([facts(*rows)], net, servers))[0]


def test_includes_are_followed_level_by_level_and_nothing_is_asked_twice() -> None:
    net = Net({"a.net TXT": ("v=spf1 include:b.net -all",), "b.net TXT": ("v=spf1 include:c.net a:h.net -all",)})
    found = surveyed(net, txt("v=spf1 include:a.net include:b.net -all"))
    every = [question for questions in net.rounds for question in questions]
    assert len(every) == len(set(every))
    assert {"a.net TXT", "b.net TXT", "c.net TXT", "h.net A", "primary.net A"} <= {str(one) for one in every}
    assert {str(one) for one in found.background.dns.answers} == {str(one) for one in every}


def test_what_the_rows_ask_for_does_not_wait_for_the_servers() -> None:
    net = Net()
    surveyed(net, cname("a", "x.net."))
    assert Question("x.net", "A") in net.rounds[0]
    assert Question("primary.net", "A") not in net.rounds[0]
    assert Question("primary.net", "A") in net.rounds[-1]


def test_given_servers_reach_the_port() -> None:
    net = Net()
    surveyed(net, servers={"acme.example": ("127.0.0.1:5300",)})
    assert net.wanted[0].servers == ("127.0.0.1:5300",)


def test_a_zone_of_5000_names_is_asked_in_bounds_and_the_rest_is_not_tested() -> None:
    net = Net()
    found = surveyed(net, *(cname(f"c{number}", f"h{number}.net.") for number in range(5000)))
    assert sum(map(len, net.rounds)) <= MOST_LOOKUPS + 1
    why = {entry.id: entry.why for entry in examine(found)[1]}["DNS-DANGLE-NX"]
    assert why.endswith("there are too many of them")
    assert f"({5000 - (MOST_LOOKUPS - 1)})" in why  # one look-up was for the policy above the zone


def test_records_of_a_bomb_end() -> None:
    names = [f"n{number}.net" for number in range(40)]
    bomb = {f"{one} TXT": (f"v=spf1 include:{two} include:{two} -all",) for one, two in itertools.pairwise(names)}
    net = Net(bomb)
    surveyed(net, txt("v=spf1 include:n0.net -all"))
    assert len(net.rounds) < 40
