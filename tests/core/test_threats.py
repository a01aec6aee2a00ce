"""Threat rules on labelled logs: planted attacks are found with the events they rest on, normal work is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sophia_cli.core.changes import Change
from sophia_cli.core.dns import Record
from sophia_cli.core.findings import Finding
from sophia_cli.core.history import AuditEvent, Leg, Run
from sophia_cli.core.threat_rules import LEARNING_DAYS, LEARNING_EVENTS, RULES, Log
from sophia_cli.core.threats import parted, threats

MONDAY = datetime(2026, 10, 5, 9, 0, tzinfo=UTC)
ANNA = "anna@desk"
ZONE = "dns:acme.example"


class Story:
    """A log being written: events get their numbers, runs their events."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.runs: list[Run] = []

    def say(self, when: datetime, action: str, actor: str = ANNA, **more: Any) -> AuditEvent:
        known = {key: more.pop(key) for key in ("run", "target", "plan", "outcome") if key in more}
        event = AuditEvent(len(self.events), when, actor, action, detail=more, **known)
        self.events.append(event)
        return event

    def run(
        self, when: datetime, *changes: Change, actor: str = ANNA, approved: bool = True, command: str = "deploy"
    ) -> str:
        id = f"r{len(self.runs)}"
        plan = f"sha256:{id}"
        if approved:
            self.say(when, "deploy.approved", actor, outcome="ask", digest=plan)
        self.say(when, "apply.begin", actor, run=id, plan=plan)
        self.say(when, "apply.write", actor, run=id, plan=plan, target=ZONE)
        self.say(when + timedelta(seconds=2), "apply.end", actor, run=id, plan=plan, outcome="applied")
        self.runs.append(
            Run(id, command, "e", actor, when, plan, changes, (Leg(ZONE, "sha256:0", "done"),), closed=True)
        )
        return id

    def log(self, **more: Any) -> Log:
        return Log(tuple(self.events), tuple(self.runs), **more)


def working_days(count: int, start: datetime = MONDAY) -> Iterator[datetime]:
    for number in range(count):
        day = start + timedelta(days=number)
        if day.weekday() < 5:
            yield day


def normal(days: int = 30) -> Story:
    """Anna deploys twice a day, at nine and at three; a CI job once an hour later."""
    story = Story()
    for day in working_days(days):
        for hour in (0, 1, 6):
            actor = ANNA if hour != 1 else f"ci@fv-az{day.day}-{day.day * 7}"
            story.run(day + timedelta(hours=hour), actor=actor)
    return story


def ids(found: tuple[Finding, ...]) -> list[str]:
    return [finding.id for finding in found]


def delete(name: str, kind: str = "A", value: str = "203.0.113.1") -> Change:
    return Change(ZONE, "dns.record", "delete", Record(name, kind, value, 300, 10 if kind == "MX" else None), None)


AFTER = MONDAY + timedelta(days=30)


def test_an_empty_log_and_a_month_of_normal_work_say_nothing() -> None:
    assert threats(Log(())) == ()
    assert threats(normal().log()) == ()


def test_a_young_log_is_learnt_from_and_says_nothing_of_what_is_new() -> None:
    story = Story()
    for number in range(30):  # enough events, but not enough days
        story.run(MONDAY + timedelta(hours=3 * number), actor=f"user{number}@host{number}")
    assert story.log().is_learning
    assert threats(story.log()) == ()
    few = Story()
    for number in range(4):  # enough days, but not enough events
        few.run(MONDAY + timedelta(days=10 * number), actor=f"user{number}@host")
    assert few.log().is_learning
    assert threats(few.log()) == ()
    assert (LEARNING_DAYS, LEARNING_EVENTS) == (14, 50)


def test_somebody_new_is_named_with_the_events() -> None:
    story = normal()
    run = story.run(AFTER, actor="mallory@desk")
    (found,) = threats(story.log())
    assert (found.id, found.severity) == ("THREAT-ACTOR", "medium")
    assert "mallory acted for the first time" in found.title
    assert found.evidence["runs"] == [run]
    assert [story.events[seq].actor for seq in found.evidence["events"]] == ["mallory@desk"] * 4


def test_a_known_actor_on_a_new_machine_or_address_is_named_once() -> None:
    story = normal()
    story.run(AFTER, actor="anna@elsewhere")
    story.run(AFTER + timedelta(hours=1), actor="anna@elsewhere")
    (found,) = threats(story.log())
    assert (found.id, "machine elsewhere" in found.title) == ("THREAT-HOST", True)
    addressed = normal()
    addressed.say(AFTER, "plan", address="203.0.113.99")
    assert [(one.id, "203.0.113.99" in one.title) for one in threats(addressed.log())] == [("THREAT-HOST", True)]


def test_the_counting_names_of_ci_runners_are_one_machine() -> None:
    assert parted("ci@fv-az123-456") == parted("ci@fv-az9-88") == ("ci", "fv-az#-#")
    assert parted("anna@desk") != parted("anna@desktop")


def test_work_at_an_hour_never_seen_before_is_one_finding_a_day() -> None:
    story = normal(60)
    night = MONDAY + timedelta(days=60, hours=17)  # two in the morning
    story.run(night)
    story.run(night + timedelta(minutes=20))
    (found,) = threats(story.log())
    assert (found.id, found.severity) == ("THREAT-HOUR", "low")
    assert len(found.evidence["events"]) == 8
    late = normal(60)
    late.run(MONDAY + timedelta(days=60, hours=7))  # an hour later than usual
    assert threats(late.log()) == ()


def test_a_burst_of_runs_is_named_and_a_busy_hour_below_the_floor_is_not() -> None:
    story = normal()
    for number in range(12):
        story.run(AFTER + timedelta(minutes=4 * number))
    (found,) = threats(story.log())
    assert (found.id, found.evidence["count"], found.evidence["limit"]) == ("THREAT-RATE", 12, "10")
    busy = normal()
    for number in range(9):
        busy.run(AFTER + timedelta(minutes=4 * number))
    assert threats(busy.log()) == ()


# -- from the first event on ---------------------------------------------------------------------------------------------


def test_a_run_without_an_agreement_is_critical_at_once() -> None:
    story = Story()
    run = story.run(MONDAY, approved=False)
    (found,) = threats(story.log())
    assert (found.id, found.severity) == ("THREAT-UNAPPROVED", "critical")
    assert run in found.title


def test_one_agreement_serves_one_run() -> None:
    story = Story()
    story.run(MONDAY)
    plan = story.runs[0].plan
    story.say(MONDAY, "apply.begin", run="again", plan=plan)
    assert ids(threats(story.log())) == ["THREAT-UNAPPROVED"]


def test_heal_agrees_by_its_verdict_and_only_when_it_allows() -> None:
    story = Story()
    story.say(MONDAY, "heal.judged", outcome="allow", digest="sha256:a", target=ZONE)
    story.say(MONDAY, "apply.begin", run="h1", plan="sha256:a")
    assert threats(story.log()) == ()
    story.say(MONDAY, "heal.judged", outcome="ask", digest="sha256:b", target=ZONE)
    story.say(MONDAY, "apply.begin", run="h2", plan="sha256:b")
    assert ids(threats(story.log())) == ["THREAT-UNAPPROVED"]


def test_a_write_outside_a_run_or_while_frozen_is_critical() -> None:
    story = Story()
    story.say(MONDAY, "apply.write", run="ghost", target=ZONE)
    story.say(MONDAY, "freeze", target="dns:*")
    story.run(MONDAY)
    found = threats(story.log())
    assert ids(found) == ["THREAT-ORDER", "THREAT-ORDER"]
    assert {one.evidence.get("frozen") for one in found} == {None, "dns:*"}
    thawed = Story()
    thawed.say(MONDAY, "freeze", target="dns:*")
    thawed.say(MONDAY, "thaw", target="dns:*")
    thawed.run(MONDAY)
    assert threats(thawed.log()) == ()


def test_a_broken_chain_is_a_threat() -> None:
    (found,) = threats(Story().log(problems=("event 3 was changed",)))
    assert (found.id, found.severity) == ("THREAT-LOG", "critical")


def test_edits_of_others_are_gathered_by_target() -> None:
    story = Story()
    story.say(MONDAY, "heal.drift", target=ZONE, records=["A api"])
    story.say(MONDAY, "apply.stale", target=ZONE, outcome="refused", base="a", found="b")
    story.say(MONDAY, "apply.read_back", target=ZONE, outcome="as planned", foreign=["TXT x"], overwritten=[])
    story.say(MONDAY, "apply.read_back", target="dns:b.example", outcome="as planned", foreign=[], overwritten=[])
    story.say(MONDAY, "apply.stale", target="config:e", outcome="refused")
    (found,) = threats(story.log())
    assert (found.id, found.target, found.evidence["events"]) == ("THREAT-BEHIND", ZONE, [0, 1, 2])
    assert found.evidence["records"] == ["A api", "changed between a plan and its write", "TXT x"]


def test_drift_that_heal_put_back_was_an_edit_of_others() -> None:
    story = Story()
    story.run(MONDAY, replace(delete("api"), source="drift"), command="heal")
    (found,) = threats(story.log())
    assert (found.id, found.evidence["records"]) == ("THREAT-BEHIND", ["A api"])


DMARC = Record("_dmarc", "TXT", "v=DMARC1; p=reject", 300)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([delete("a"), delete("b"), delete("c")], "3 deletes"),
        ([delete("@", "MX", "mx.acme.example.")], "MX removed at @"),
        ([Change(ZONE, "dns.record", "update", DMARC, replace(DMARC, value="v=DMARC1; p=none"))], "DMARC weakened"),
        ([Change(ZONE, "dns.nameservers", "update", None, None)], "name servers changed"),
    ],
)
def test_destruction_within_an_hour_is_named(changes: list[Change], said: str) -> None:
    story = Story()
    for number, change in enumerate(changes):
        story.run(MONDAY + timedelta(minutes=10 * number), change)
    (found,) = threats(story.log())
    assert (found.id, found.severity) == ("THREAT-DESTRUCTIVE", "high")
    assert said in found.title


def test_slow_deletes_replacements_and_rollbacks_are_no_destruction() -> None:
    story = Story()
    for number in range(3):
        story.run(MONDAY + timedelta(hours=2 * number), delete(f"x{number}"))
    moved = Record("@", "MX", "new.acme.example.", 300, 10)
    story.run(MONDAY, delete("@", "MX", "mx.acme.example."), Change(ZONE, "dns.record", "create", None, moved))
    story.run(MONDAY, delete("@", "MX", "mx.acme.example."), command="rollback")
    assert "THREAT-DESTRUCTIVE" not in ids(threats(story.log()))


def test_destruction_by_somebody_first_seen_is_critical() -> None:
    story = normal()
    story.run(AFTER, delete("a"), delete("b"), delete("c"), actor="mallory@desk")
    found = {one.id: one.severity for one in threats(story.log())}
    assert found == {"THREAT-ACTOR": "medium", "THREAT-DESTRUCTIVE": "critical"}


def test_trying_until_policy_gives_in_is_named() -> None:
    story = Story()
    for number in range(5):
        story.say(MONDAY + timedelta(minutes=number), "judged", outcome="deny", digest=f"d{number}")
    story.run(MONDAY + timedelta(minutes=10))
    assert ids(threats(story.log())) == ["THREAT-PROBE"]
    patient = Story()
    for number in range(5):
        patient.say(MONDAY + timedelta(minutes=number), "judged", outcome="deny", digest=f"d{number}")
    patient.run(MONDAY + timedelta(hours=3))
    assert threats(patient.log()) == ()


def test_a_clock_that_goes_back_is_named() -> None:
    story = Story()
    story.run(MONDAY)
    story.run(MONDAY - timedelta(hours=2))
    assert ids(threats(story.log())) == ["THREAT-CLOCK"]


def test_since_leaves_out_what_is_older_and_still_learns_from_it() -> None:
    story = normal()
    story.run(AFTER, actor="mallory@desk")
    assert ids(threats(story.log(), since=AFTER)) == ["THREAT-ACTOR"]
    assert threats(story.log(), since=AFTER + timedelta(days=1)) == ()


def test_every_rule_explains_itself() -> None:
    for rule in RULES:
        assert rule.text[0].isupper()
        assert rule.harmless
        assert rule.next
    for finding in threats(Story().log(problems=("x",))):
        assert "Harmless when" in finding.help
        assert "Next:" in finding.help


def test_an_address_of_a_known_block_is_no_news_and_another_one_says_what_was_usual() -> None:
    story = normal()
    first = story.log().events[-1].time
    story.say(first + timedelta(minutes=1), "plan", address="198.51.100.7")
    story.say(first + timedelta(minutes=2), "plan", address="198.51.100.200")
    story.say(first + timedelta(minutes=3), "plan", address="203.0.113.99")
    found = [one for one in threats(story.log()) if one.id == "THREAT-HOST"]
    assert [one.evidence["observed"] for one in found] == ["address 198.51.100.7", "address 203.0.113.99"]
    assert "198.51.100.0/24" in found[1].evidence["baseline"]


def test_every_finding_that_compares_with_what_is_normal_says_what_that_was() -> None:
    story = normal()
    story.run(AFTER, actor="mallory@desk")
    (found,) = threats(story.log())
    assert found.evidence["baseline"].startswith("actors before: ")
    assert "anna" in found.evidence["baseline"]
    assert found.evidence["observed"] == "mallory@desk"


def test_an_end_of_a_secret_whose_new_value_was_never_used_is_out_of_order() -> None:
    story = normal()
    for step in ("create", "set", "test", "finish", "done"):
        story.say(AFTER, f"rotate.{step}", rotation="r1")
    assert threats(story.log()) == ()
    story.say(AFTER, "rotate.create", rotation="r2")
    story.say(AFTER, "rotate.done", rotation="r2")
    (found,) = threats(story.log())
    assert (found.id, found.evidence["rotation"]) == ("THREAT-ORDER", "r2")
