"""The six agents: cheap to make, lazy to import, readers only; their proposals and their score."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sophia_cli
from sophia_cli.agents.base import Agent
from sophia_cli.agents.orchestrator import SPECIALISTS, SophiaInfrastructureOrchestrator, specialists
from sophia_cli.agents.proposals import CONFIDENCE, answers, claims, offers
from sophia_cli.agents.score import CAPS, score, scores
from sophia_cli.checks.facts import Background
from sophia_cli.checks.registry import examine
from sophia_cli.core.changes import RISKS, Change
from sophia_cli.core.dns import Record, Zone
from sophia_cli.core.errors import IncompleteRead, Unreachable, UsageError
from sophia_cli.core.findings import SEVERITIES, Finding
from sophia_cli.core.history import Snapshot, TextFile
from sophia_cli.core.plan import applied
from tests.checks.check_cases import DMARC, GOOD_KEY, IP2, MAIL, NOW, SPF, a, cname, facts, row, txt, wanting

ROOT = Path(__file__).parents[2]
NAMES = [name for name in sophia_cli.__all__ if name.startswith("Sophia")]
ORCHESTRATOR = SophiaInfrastructureOrchestrator()


class Reader:
    """A read port: it can be read, and has nothing else."""

    def __init__(self, snapshot: Snapshot | Exception, id: str = "dns:acme.example") -> None:
        self.id, self.snapshot, self.reads = id, snapshot, 0

    async def read(self) -> Snapshot:
        self.reads += 1
        if isinstance(self.snapshot, Exception):
            raise self.snapshot
        return self.snapshot


def reader(*rows: Record, name: str = "acme.example", complete: bool = True) -> Reader:
    return Reader(Snapshot(f"dns:{name}", NOW, Zone.of(name, "MX", rows), complete), f"dns:{name}")


# -- being cheap -------------------------------------------------------------------------------------------------------


def test_the_six_agents_and_the_other_name_are_exported() -> None:
    assert len(NAMES) == 7
    assert sophia_cli.SophiaInfrastructureAgent is sophia_cli.SophiaInfrastructureOrchestrator
    assert set(NAMES) <= set(dir(sophia_cli))
    with pytest.raises(AttributeError, match="no attribute 'SophiaNothing'"):
        sophia_cli.SophiaNothing  # noqa: B018


@pytest.mark.parametrize("name", NAMES)
def test_an_agent_holds_no_state_and_takes_no_arguments(name: str) -> None:
    kind = getattr(sophia_cli, name)
    agent = kind()
    assert not hasattr(agent, "__dict__")
    with pytest.raises(AttributeError):
        agent.client = object()
    used: Agent = agent
    assert used.name in (*SPECIALISTS, "orchestrator")
    assert not {"write", "apply", "save"} & set(dir(agent))


@pytest.mark.parametrize("name", NAMES)
def test_making_an_agent_does_nothing_at_all(name: str) -> None:
    kind = getattr(sophia_cli, name)
    assert kind.__init__ is object.__init__  # bench/ measures it; here it is only kept empty
    assert kind.__new__ is object.__new__


def test_importing_sophia_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import sophia_cli\n"
        "print(sorted(set(sys.modules) - before))\n"
        "from sophia_cli import SophiaSSLOptimizationAgent\n"
        "print([name for name in ('dns', 'httpx', 'cryptography') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines() == ["['sophia_cli']", "[]"]


# -- observing ---------------------------------------------------------------------------------------------------------


def test_observe_reads_the_target_once() -> None:
    port = reader(a())
    seen = asyncio.run(ORCHESTRATOR.observe(port, now=NOW, background=Background("dns")))
    assert (port.reads, seen.target, seen.zone.records, seen.source) == (1, "dns:acme.example", (a(),), "dns")


def test_observe_says_nothing_about_what_it_could_not_read_whole() -> None:
    with pytest.raises(IncompleteRead, match=r"dns:acme\.example"):
        asyncio.run(ORCHESTRATOR.observe(reader(a(), complete=False), now=NOW))
    with pytest.raises(Unreachable):
        asyncio.run(ORCHESTRATOR.observe(Reader(Unreachable("no answer")), now=NOW))
    with pytest.raises(UsageError, match="only zones"):
        asyncio.run(ORCHESTRATOR.observe(Reader(Snapshot("config:x", NOW, TextFile("x", "")), "config:x"), now=NOW))


# -- examining ---------------------------------------------------------------------------------------------------------


def test_each_specialist_runs_its_own_checks_and_the_orchestrator_all() -> None:
    known = facts(a(ttl=60), txt("v=spf1 +all"), cname("a", "b.acme.example."), cname("b", "a.acme.example."))
    parts = [SPECIALISTS[name]().examine(known) for name in SPECIALISTS]
    for name, part in zip(SPECIALISTS, parts, strict=True):
        assert {finding.agent for finding in part.findings} <= {name}
    whole = ORCHESTRATOR.examine_apart(known)
    assert sorted(one.id for one in whole.findings) == sorted(one.id for part in parts for one in part.findings)
    assert list(whole.findings) == sorted(whole.findings, key=Finding.order)


def test_consequences_are_told_with_their_cause() -> None:
    known = facts(cname("@", "x.net."), txt("v=spf1 mx -all"))
    apart = {finding.id for finding in ORCHESTRATOR.examine_apart(known).findings}
    joined = {finding.id: finding for finding in ORCHESTRATOR.examine(known).findings}
    assert {"DNS-CNAME-APEX", "DNS-CNAME-OTHER"} <= apart
    assert "DNS-CNAME-OTHER" not in joined
    assert joined["DNS-CNAME-APEX"].evidence["also"] == ["DNS-CNAME-OTHER"]


def test_an_unknown_specialist_is_named() -> None:
    with pytest.raises(UsageError, match="'seo'") as raised:
        specialists(["dns", "seo"])
    assert "dns, ssl, performance, security, cost" in (raised.value.hint or "")
    assert [agent.name for agent in specialists(["cost", "dns"])] == ["dns", "cost"]


# -- the score ---------------------------------------------------------------------------------------------------------


def found(severity: str, target: str = "dns:a.example", id: str = "X") -> Finding:
    return Finding(id, "dns", severity, target, "t")  # type: ignore[arg-type]


some = st.lists(st.tuples(st.sampled_from(SEVERITIES), st.sampled_from(["dns:a", "dns:b"])), max_size=40)


@given(some, st.data())
def test_mending_or_easing_a_finding_never_lowers_the_score(pairs: list[tuple[str, str]], data: st.DataObject) -> None:
    findings = [found(*pair) for pair in pairs]
    before = score(findings)
    assert 0 <= before <= 100
    assert score(list(reversed(findings))) == before
    if findings:
        index = data.draw(st.integers(0, len(findings) - 1))
        assert score(findings[:index] + findings[index + 1 :]) >= before
        easier = data.draw(st.sampled_from(SEVERITIES[: SEVERITIES.index(findings[index].severity) + 1]))
        assert score([*findings[:index], replace(findings[index], severity=easier), *findings[index + 1 :]]) >= before


def test_the_score_is_the_documented_formula() -> None:
    assert [score([found(severity)]) for severity in SEVERITIES] == [100, 98, 94, 79, 49]
    assert score([]) == 100
    assert score([found("low")] * 3) == 94  # 100 * 0.98 ** 3 = 94.1
    assert score([found("medium")] * 5) == 73  # 100 * 0.94 ** 5 = 73.4
    assert score([found("high"), found("high")]) == 72
    assert score([found("critical"), found("critical")]) == 42
    assert CAPS == {"critical": 49, "high": 79}


def test_the_worst_target_gives_the_score() -> None:
    findings = [found("critical", "dns:a"), found("low", "dns:b")]
    assert scores(findings, ["dns:c"]) == {"dns:a": 49, "dns:b": 98, "dns:c": 100}
    assert score(findings) == 49


# -- proposals ---------------------------------------------------------------------------------------------------------


def proposals(*rows: Record, **known: object) -> tuple[object, ...]:
    seen = facts(*rows, **known)  # type: ignore[arg-type]
    return ORCHESTRATOR.propose(ORCHESTRATOR.examine(seen).findings, seen)


def test_a_proposal_says_what_why_how_sure_and_how_to_undo() -> None:
    seen = facts(a("api", ttl=60), *MAIL, SPF)
    made = ORCHESTRATOR.propose(ORCHESTRATOR.examine(seen).findings, seen)
    assert [proposal.id for proposal in made] == [f"p{n}" for n in range(1, len(made) + 1)]
    ttl = next(proposal for proposal in made if proposal.finding == "PERF-TTL-LOW")
    assert (ttl.source, ttl.confidence, ttl.safe) == ("rule:PERF-TTL-LOW", "0.95", True)
    assert ttl.undo == "sophia rollback: gives A api its TTL 60 back"
    assert "a TTL below 300 seconds" in ttl.reason
    for proposal in made:
        worst = max((change.risk for change in proposal.changes), key=RISKS.index)
        assert proposal.confidence == CONFIDENCE[worst]
        assert proposal.safe == (worst == "low")
        assert proposal.data()["confidence"] == float(CONFIDENCE[worst])


def test_fixes_of_one_record_that_agree_are_one_proposal() -> None:
    seen = facts(a("api", ttl=5), a("api", IP2, ttl=900))
    made = [one for one in ORCHESTRATOR.propose(ORCHESTRATOR.examine(seen).findings, seen) if "TTL" in one.finding]
    assert [one.finding for one in made] == ["DNS-TTL-RANGE, DNS-TTL-SET"]
    assert {change.after.ttl for change in made[0].changes} == {900}  # type: ignore[union-attr]


def test_a_fix_of_the_value_and_one_of_the_ttl_are_merged() -> None:
    seen = facts(row("@", "TXT", "v=spf1 mx +all", 60))
    made = [one for one in ORCHESTRATOR.propose(ORCHESTRATOR.examine(seen).findings, seen) if "SPF" in one.finding]
    assert [one.finding for one in made] == ["MAIL-SPF-ALL, PERF-TTL-LOW"]
    assert made[0].changes[0].after == row("@", "TXT", "v=spf1 mx ~all", 1800)


def test_a_record_that_another_fix_needs_stops_no_other_ttl() -> None:
    seen = facts(row("@", "TXT", "v=spf1 mx +all", 60), a("x", ttl=60), a("y", ttl=60), txt("p=none; v=DMARC1", DMARC))
    made = {one.finding: one for one in ORCHESTRATOR.propose(ORCHESTRATOR.examine(seen).findings, seen)}
    assert {change.after.name for change in made["PERF-TTL-LOW"].changes} == {"x", "y"}  # type: ignore[union-attr]
    assert made["PERF-TTL-LOW"].safe
    assert "MAIL-SPF-ALL, PERF-TTL-LOW" in made


def test_a_conflict_is_named_and_the_worse_finding_wins() -> None:
    seen = facts(txt("v=DMARC1; p=reject; sp=none; pct=100", DMARC), SPF, GOOD_KEY)
    made = [one for one in ORCHESTRATOR.propose(ORCHESTRATOR.examine(seen).findings, seen) if "DMARC" in one.finding]
    assert [one.finding for one in made] == ["MAIL-DMARC-SUB"]
    assert "in conflict with MAIL-DMARC-OLD" in made[0].reason


def test_a_change_that_answers_two_findings_names_both() -> None:
    seen = facts(txt("v=spf1 mx ?all include:x.net"))
    made = [one for one in ORCHESTRATOR.propose(ORCHESTRATOR.examine(seen).findings, seen) if "SPF" in one.finding]
    assert [one.finding for one in made] == ["MAIL-SPF-ALL, MAIL-SPF-DEAD"]
    assert "conflict" not in made[0].reason


def test_no_two_proposals_touch_one_record_or_make_one_policy_twice() -> None:
    seen = facts(a(), mode="NONE", settings=wanting(email_type="NONE"))
    findings = ORCHESTRATOR.examine_apart(seen).findings
    made = answers(seen, offers(seen, findings))
    taken = [claim for proposal in made for claim in {claim for change in proposal.changes for claim in claims(change)}]
    assert len(taken) == len(set(taken))
    after = applied(seen.zone, [change for proposal in made for change in proposal.changes])
    assert {row.value for row in after.records if row.type == "TXT"} == {"v=spf1 -all", "v=DMARC1; p=reject"}


def test_a_specialist_proposes_only_for_its_own_findings() -> None:
    seen = facts(a("api", ttl=60), txt("v=spf1 +all"))
    findings = examine(seen)[0]
    made = SPECIALISTS["performance"]().propose(findings, seen)
    assert [proposal.finding for proposal in made] == ["PERF-TTL-LOW"]


MIDDLING = (row("@", "TXT", "v=spf1 -all", 300), a("api", ttl=300), row("x", "TXT", "automatic", 1799))


@pytest.mark.parametrize(
    ("wishes", "names"),
    [
        ({"optimization_level": "conservative"}, []),
        ({"optimization_level": "balanced"}, ["@"]),
        ({"optimization_level": "aggressive"}, ["@", "api"]),
        ({"optimization_level": "aggressive", "auto_scale": True}, ["@"]),
        ({"optimization_level": "aggressive", "enabled": False}, []),
    ],
)
def test_ttls_are_tuned_by_optimization_level(wishes: dict[str, object], names: list[str]) -> None:
    seen = facts(*MIDDLING, settings=wanting(**wishes))  # type: ignore[arg-type]
    made = SPECIALISTS["performance"]().propose((), seen)
    rows = [change.after for proposal in made for change in proposal.changes]
    assert [one.name for one in rows if isinstance(one, Record)] == names
    assert {one.ttl for one in rows if isinstance(one, Record)} <= {3600}
    assert {proposal.source for proposal in made} <= {"rule:TTL-BY-LEVEL"}


def test_balanced_keeps_the_ttl_that_the_environment_gives() -> None:
    given = wanting(MIDDLING[0], optimization_level="balanced")
    assert SPECIALISTS["performance"]().propose((), facts(*MIDDLING, settings=given)) == ()


def test_a_parked_www_goes_to_the_apex_where_cost_optimization_is_on() -> None:
    parked = cname("www", "parkingpage.namecheap.com.")
    on = wanting(cost_optimization=True)
    made = SPECIALISTS["cost"]().propose((), facts(a(), parked, settings=on))
    assert [change.after for change in made[0].changes] == [cname("www", "acme.example.")]
    assert SPECIALISTS["cost"]().propose((), facts(a(), parked, settings=wanting())) == ()
    assert SPECIALISTS["cost"]().propose((), facts(parked, settings=on)) == ()


def test_a_fix_carries_what_the_gate_needs() -> None:
    for proposal in proposals(a("api", ttl=60), *MAIL, txt("v=spf1 +all")):
        for change in proposal.changes:  # type: ignore[attr-defined]
            assert isinstance(change, Change)
            assert change.kind == "dns.record"
            assert change.source.startswith("rule:")
