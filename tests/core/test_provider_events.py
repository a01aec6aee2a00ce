"""Others' logs held against the threat rules: updates sophia did not make, new actors, odd hours and bursts among them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from sophia_cli.core.history import AuditEvent
from sophia_cli.core.provider_events import ProviderEvent, Source, parsed, unlogged, update_event
from sophia_cli.core.stacks import Update
from sophia_cli.core.threat_rules import LEARNING_DAYS, PROVIDER_EVENTS, Log
from sophia_cli.core.threats import threats
from tests.core.test_threats import AFTER, MONDAY, ids, normal, working_days

STACK = "stack:organization/shop/prod"
SOURCE = "pulumi:organization/shop/prod"
BOB = {"git.author.email": "bob@acme.example", "git.author": "Bob"}


def update(
    version: int, when: datetime, message: str = "by hand", who: dict[str, str] = BOB, result: str = "succeeded"
) -> Update:
    return Update(version, "update", result, when, when + timedelta(minutes=1), message, {"create": 1}, who)


def told(*updates: Update) -> tuple[ProviderEvent, ...]:
    return tuple(update_event(STACK, one) for one in updates)


def spoken(start: datetime, end: datetime | None = None, target: str = STACK) -> tuple[AuditEvent, ...]:
    """The log of one run that wrote the stack; without `end` it was killed."""
    begin = AuditEvent(0, start, "anna@desk", "apply.begin", run="r", plan="p")
    write = AuditEvent(1, start + timedelta(seconds=5), "anna@desk", "apply.write", run="r", target=target)
    ended = () if end is None else (AuditEvent(2, end, "anna@desk", "apply.end", run="r"),)
    return (begin, write, *ended)


def log(events: Iterable[ProviderEvent], own: tuple[AuditEvent, ...] = ()) -> Log:
    return Log(own, sources=(Source(SOURCE, unlogged(tuple(events), own)),))


def behind(found: Log) -> list[dict[str, object]]:
    return [dict(one.evidence) for one in threats(found) if one.id == "THREAT-BEHIND"]


# -- behind our back -----------------------------------------------------------------------------------------------------


def test_an_update_that_the_log_does_not_know_happened_behind_our_back() -> None:
    own = spoken(MONDAY, MONDAY + timedelta(minutes=2))
    ours = update(1, MONDAY + timedelta(seconds=20), "sophia deploy")
    theirs = update(2, MONDAY + timedelta(hours=3), who={**BOB, "ci.system": "GitHub Actions"})
    (found,) = [one for one in threats(log(told(ours, theirs), own)) if one.id == "THREAT-BEHIND"]
    assert (found.target, found.severity) == (STACK, "medium")
    assert found.evidence["provider_events"] == [f"{SOURCE}#2"]
    assert found.evidence["records"] == [
        "update #2 by bob@acme.example, GitHub Actions: succeeded, its message: by hand"
    ]
    assert found.evidence["observed"] == "updates that none of them made: 1"
    assert found.evidence["baseline"].endswith("in the audit log since 2026-10-05T09:00:00Z")
    assert SOURCE in found.source


def test_sophias_message_outside_a_run_and_a_strange_update_inside_one_are_both_behind_our_back() -> None:
    own = spoken(MONDAY, MONDAY + timedelta(minutes=2))
    forged = update(1, MONDAY + timedelta(hours=3), "sophia deploy")
    between = update(2, MONDAY + timedelta(minutes=1), "quickly")
    (evidence,) = behind(log(told(between, forged), own))
    assert evidence["provider_events"] == [f"{SOURCE}#2", f"{SOURCE}#1"]


def test_a_run_on_another_stack_explains_nothing() -> None:
    own = spoken(MONDAY, MONDAY + timedelta(minutes=2), target="stack:organization/shop/dev")
    assert behind(log(told(update(1, MONDAY + timedelta(seconds=20), "sophia deploy")), own))


def test_the_update_of_a_run_that_was_killed_and_of_its_settling_are_ours_and_one_in_between_is_not() -> None:
    later = MONDAY + timedelta(days=2)
    settled = (
        AuditEvent(2, later, "anna@desk", "settle.begin", run="r"),
        AuditEvent(3, later + timedelta(seconds=9), "anna@desk", "settle.undo", run="r", target=STACK),
        AuditEvent(4, later + timedelta(minutes=1), "anna@desk", "settle.end", run="r"),
    )
    own = (*spoken(MONDAY), *settled)
    ours = [update(1, MONDAY + timedelta(minutes=40), "sophia deploy"), update(2, later, "sophia heal")]
    assert behind(log(told(*ours), own)) == []
    (evidence,) = behind(log(told(*ours, update(3, MONDAY + timedelta(days=1), "sophia deploy")), own))
    assert evidence["provider_events"] == [f"{SOURCE}#3"]


def test_what_is_older_than_the_log_is_learnt_from_and_blamed_on_nobody() -> None:
    own = spoken(MONDAY, MONDAY + timedelta(minutes=2))
    old = told(update(1, MONDAY - timedelta(days=1)))
    assert behind(log(old, own)) == behind(log(old)) == []
    assert [one.id for one in log(old, own).sources[0].events] == [f"{SOURCE}#1"]


def test_a_failed_update_without_a_number_or_an_author_is_still_named() -> None:
    (event,) = told(update(0, MONDAY, who={}, result="failed"))
    assert (event.id, event.actor, event.host) == (f"{SOURCE}@2026-10-05T09:00:00Z", "unknown", "outside CI")


# -- compared with normal, in both ----------------------------------------------------------------------------------------


def monthly() -> list[Update]:
    """Bob updates the stack each working day at nine for a month."""
    return [update(number, day) for number, day in enumerate(working_days(30), 1)]


def test_a_month_of_the_same_persons_updates_says_nothing() -> None:
    assert threats(log(told(*monthly()))) == ()


def test_a_new_actor_of_a_stack_is_named_with_the_update_and_who_was_usual() -> None:
    (found,) = threats(log(told(*monthly(), update(99, AFTER, who={"git.author": "Mallory"}))))
    assert (found.id, found.target) == ("THREAT-ACTOR", SOURCE)
    assert found.evidence["provider_events"] == [f"{SOURCE}#99"]
    assert found.evidence["events"] == []
    assert (found.evidence["baseline"], found.evidence["observed"]) == (
        "actors before: bob@acme.example", "Mallory"
    )  # fmt: skip


def test_a_young_history_is_learnt_from_whatever_the_age_of_the_log() -> None:
    own = normal().log().events
    few = [update(number, MONDAY + timedelta(days=number)) for number in range(PROVIDER_EVENTS)]
    young = log(told(*few[:-2], update(99, AFTER, who={"git.author": "Mallory"})), own)
    assert ids(threats(young)) == ["THREAT-BEHIND"]
    assert (young.is_learning, young.learns(SOURCE)) == (False, True)
    assert few[-1].started - few[0].started < timedelta(days=LEARNING_DAYS)


def test_whoever_is_known_in_the_log_is_not_new_in_a_stacks_history() -> None:
    own = normal().log().events
    found = threats(log(told(*monthly(), update(99, AFTER, who={"git.author": "anna"})), own))
    assert "THREAT-ACTOR" not in ids(found)
    assert "THREAT-HOST" in ids(found)


def test_a_burst_of_updates_is_named_and_the_usual_rate_is_said() -> None:
    burst = [update(100 + number, AFTER + timedelta(minutes=number)) for number in range(12)]
    (found,) = threats(log(told(*monthly(), *burst)))
    assert (found.id, found.evidence["count"]) == ("THREAT-RATE", 12)
    assert "12 events" in found.title
    assert found.evidence["baseline"].startswith("median of 1")


def test_an_update_at_an_hour_never_seen_before_is_named() -> None:
    days = [update(number, day) for number, day in enumerate(working_days(150), 1)]
    night = update(999, MONDAY + timedelta(days=150, hours=17))
    (found,) = threats(log(told(*days, night)))
    assert (found.id, found.evidence["provider_events"]) == ("THREAT-HOUR", [f"{SOURCE}#999"])


def test_since_leaves_out_updates_that_are_older() -> None:
    found = log(told(*monthly(), update(99, AFTER, who={"git.author": "Mallory"})))
    assert ids(threats(found, since=AFTER)) == ["THREAT-ACTOR"]
    assert threats(found, since=AFTER + timedelta(minutes=1)) == ()


# -- exported logs -------------------------------------------------------------------------------------------------------


def line(when: str, **more: object) -> str:
    return json.dumps({"time": when, "actor": "bob", "action": "put", "target": "bucket", **more})


def test_an_exported_log_is_read_by_line_and_a_new_address_in_it_is_named() -> None:
    days = [line(day.isoformat(), address="198.51.100.7") for day in working_days(30)]
    source = parsed([*days, "", line(AFTER.isoformat(), address="203.0.113.9")], "file:cloud.jsonl")
    assert (len(source.events), source.malformed) == (len(days) + 1, 0)
    (found,) = threats(Log((), sources=(source,)))
    assert (found.id, found.evidence["observed"]) == ("THREAT-HOST", "address 203.0.113.9")
    assert found.evidence["provider_events"] == [f"file:cloud.jsonl#{len(days) + 2}"]


@pytest.mark.parametrize(
    "bad",
    [
        "{", "[]", "null", "7", '"text"', "[" * 100_000, line("yesterday"), line("2026-10-05T09:00:00"),
        line("0001-01-01T00:00:00+14:00"), line("2026-10-05T09:00:00Z", actor=""),
        line("2026-10-05T09:00:00Z", target=None), line("2026-10-05T09:00:00Z", action=["put"]),
    ],
)  # fmt: skip
def test_a_line_that_is_no_event_is_counted_and_a_file_of_such_lines_was_not_tested(bad: str) -> None:
    good = line("2026-10-05T11:00:00+02:00")
    source = parsed([bad, good], "file:x")
    assert ([one.time for one in source.events], source.malformed, source.reason) == ([MONDAY], 1, None)
    assert parsed([bad], "file:x").reason == "none of its 1 lines is an event"


def test_an_overlong_name_is_cut() -> None:
    (event,) = parsed([line("2026-10-05T09:00:00Z", actor="x" * 10_000)], "file:x").events
    assert len(event.actor) == 500
    assert replace(event, behind=False) == event
