"""Threats: what the rules see in the logs, each finding resting on the events it names. Reads no log, changes nothing.

The rules that compare with what is normal stay silent while they learn: until a log is `LEARNING_DAYS` old and holds
`LEARNING_EVENTS` events, a provider's `PROVIDER_EVENTS`. Each log learns for itself, and who is known is known in all.
What can never be normal (a write nobody agreed to) is reported from the first event on.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from ipaddress import ip_network
from statistics import median
from typing import Any

from sophia_cli.core.changes import Change
from sophia_cli.core.dns import Record, mail_policy
from sophia_cli.core.findings import Finding
from sophia_cli.core.history import AuditEvent, timestamp
from sophia_cli.core.provider_events import AUDIT, ProviderEvent, source_of
from sophia_cli.core.threat_rules import DELETES, DENIALS, HOUR_SHARE, LOG, RATE_FLOOR, SHOWN, Log, event_id, threat

HOUR_EVENTS = 100  # of one actor, before its hours are compared
RATE_FACTOR = 6  # times the median absolute deviation above the median
RATE_HOURS = 500  # active hours that an hour is compared with
CLOCK_SLACK = timedelta(minutes=5)


def threats(log: Log, since: datetime | None = None) -> tuple[Finding, ...]:
    """What the rules see, worst first; with `since`, only what rests on an event of then or later.

    The history before `since` is learnt from all the same. Nothing is said of an empty log.
    """
    found = [finding for look in _LOOKS for finding in look(log)]
    strange = {seq for one in found if one.id in ("THREAT-ACTOR", "THREAT-HOST") for seq in one.evidence["events"]}
    found = [_graver(one, strange) for one in found]
    times = {event_id(event): event.time for event, _ in log.told()}
    kept = [one for one in found if since is None or _latest(one, times) is None or _latest(one, times) >= since]  # type: ignore[operator]
    return tuple(sorted(kept, key=Finding.order))


def _graver(finding: Finding, strange: set[int]) -> Finding:
    """Destruction by somebody first seen in the same run is critical."""
    if finding.id == "THREAT-DESTRUCTIVE" and strange & set(finding.evidence["events"]):
        return replace(finding, severity="critical", title=f"{finding.title}, by an actor or machine first seen there")
    return finding


def _latest(finding: Finding, times: dict[int | str, datetime]) -> datetime | None:
    named = (*finding.evidence["events"], *finding.evidence.get("provider_events", ()))
    return max((times[one] for one in named if one in times), default=None)


# -- what can never be normal -------------------------------------------------------------------------------------------


def _broken_log(log: Log) -> Iterator[Finding]:
    if log.problems:
        yield threat(
            "THREAT-LOG", f"the audit log was changed: {log.problems[0]}", (), problems=list(log.problems[:SHOWN])
        )


def _unapproved(log: Log) -> Iterator[Finding]:
    """An agreement (`deploy.approved`, or heal's verdict `allow`) serves the one run that begins after it."""
    agreed: Counter[str] = Counter()
    for event in log.events:
        digest = event.detail.get("digest")
        if event.action == "deploy.approved" or (event.action == "heal.judged" and event.outcome == "allow"):
            agreed[str(digest)] = 1
        elif event.action == "apply.begin":
            if not agreed[str(event.plan)]:
                yield threat(
                    "THREAT-UNAPPROVED", f"run {event.run} of {event.actor} began without an agreement to its plan",
                    [event], plan=event.plan,
                )  # fmt: skip
            agreed[str(event.plan)] = 0


def _order(log: Log) -> Iterator[Finding]:
    begun: set[str | None] = set()
    frozen: set[str] = set()
    steps: dict[Any, set[str]] = defaultdict(set)
    for event in log.events:
        if event.action.startswith("rotate."):
            rotation = event.detail.get("rotation")
            steps[rotation].add(event.action)
            if event.action == "rotate.done" and not {"rotate.create", "rotate.test"} <= steps[rotation]:
                target, what = event.target or LOG, "was ended although its new value was never made and used"
                yield threat("THREAT-ORDER", f"{target} {what}", [event], target, rotation=rotation)
        if event.action in ("apply.begin", "settle.begin"):
            begun.add(event.run)
        elif event.action == "freeze" and event.target:
            frozen.add(event.target)
        elif event.action == "thaw" and event.target:
            frozen.discard(event.target)
        elif event.action == "apply.write" and event.outcome is None:
            target = event.target or LOG
            if event.run not in begun:
                yield threat(
                    "THREAT-ORDER", f"{target} was written by run {event.run}, which never began", [event], target
                )
            pattern = next((one for one in sorted(frozen) if fnmatchcase(target, one)), None)
            if pattern is not None:
                yield threat(
                    "THREAT-ORDER", f"{target} was written while it was frozen", [event], target, frozen=pattern
                )


def _clock(log: Log) -> Iterator[Finding]:
    for before, event in zip(log.events, log.events[1:], strict=False):
        if event.time < before.time - CLOCK_SLACK:
            seconds = round((before.time - event.time).total_seconds())
            title = f"event {event.seq} of {event.actor} is {seconds} s older than the one before it"
            yield threat("THREAT-CLOCK", title, [before, event], seconds=seconds)


def _behind(log: Log) -> Iterator[Finding]:
    """Edits of others: drift heal saw or put back, rows met on a read-back, stale plans, a stack's unknown updates."""
    seen: dict[str, list[AuditEvent]] = defaultdict(list)
    rows: dict[str, list[str]] = defaultdict(list)
    drifted = {run.id: run for run in log.runs if any(change.source == "drift" for change in run.changes)}
    for event in log.events:
        target = event.target or LOG
        others = [*event.detail.get("foreign", ()), *event.detail.get("overwritten", ())]
        if event.action == "heal.drift":
            others += list(event.detail.get("records", ()))
        elif event.action == "apply.stale" and event.outcome == "refused" and not target.startswith("config:"):
            others.append("changed between a plan and its write")
        elif event.action == "apply.write" and event.outcome is None and event.run in drifted:
            others += [_named(one) for one in drifted[event.run].of(target) if one.source == "drift"]
        if others:
            seen[target].append(event)
            rows[target] += [str(one) for one in others]
    for source in log.sources:
        for event in source.events:
            if event.behind and event.target:
                seen[event.target].append(event)
                rows[event.target].append(_update_told(event))
    for target, events in sorted(seen.items()):
        listed = list(dict.fromkeys(rows[target]))
        title = f"{target} was changed behind sophia's back ({len(events)} times seen)"
        events = sorted(events, key=lambda event: event.time)[-SHOWN:]
        more: dict[str, Any] = {}
        if any(isinstance(event, ProviderEvent) for event in events):
            runs = sum(any(leg.target == target for leg in run.legs) for run in log.runs)
            more = {
                "baseline": f"{runs} runs of sophia on it in the audit log since {timestamp(log.events[0].time)}",
                "observed": f"updates that none of them made: {sum(map(_is_behind, events))}",
            }
        yield threat("THREAT-BEHIND", title, events, target, records=listed[-SHOWN:], **more)


def _is_behind(event: AuditEvent) -> bool:
    return isinstance(event, ProviderEvent) and event.behind


def _update_told(event: ProviderEvent) -> str:
    message = event.detail.get("message")
    said = f", its message: {message}" if message else ""
    return f"{event.action} {event.id.removeprefix(event.source)} by {event.actor}, {event.host}: {event.outcome}{said}"


def _destructive(log: Log) -> Iterator[Finding]:
    """Deletes and weakened protection of one actor within an hour; runs that were taken back count too."""
    begins = {event.run: event for event in log.events if event.action == "apply.begin"}
    acts: dict[str, list[tuple[AuditEvent, list[str], int]]] = defaultdict(list)
    for run in log.runs:
        event = begins.get(run.id)
        harm = [what for change in run.changes if (what := _harm(change, run.changes)) is not None]
        deletes = sum(1 for change in run.changes if _is_plain_delete(change, run.changes))
        if event is not None and (harm or deletes) and run.command not in ("rollback", "heal"):
            acts[run.actor].append((event, harm, deletes))
    for actor, listed in sorted(acts.items()):
        for group in _within(listed, timedelta(hours=1)):
            harm = sorted({what for _, harms, _ in group for what in harms})
            deletes = sum(count for _, _, count in group)
            if harm or deletes >= DELETES:
                what = ", ".join([*harm, *([f"{deletes} deletes"] if deletes else [])])
                yield threat(
                    "THREAT-DESTRUCTIVE", f"{actor} within an hour: {what}", [event for event, _, _ in group],
                    deletes=deletes, harm=harm,
                )  # fmt: skip


def _within(
    listed: Sequence[tuple[AuditEvent, list[str], int]], span: timedelta
) -> Iterator[list[tuple[AuditEvent, list[str], int]]]:
    group: list[tuple[AuditEvent, list[str], int]] = []
    for entry in listed:
        if group and entry[0].time - group[0][0].time > span:
            yield group
            group = []
        group.append(entry)
    if group:
        yield group


def _is_plain_delete(change: Change, changes: Sequence[Change]) -> bool:
    """A record that goes without another at the same name and type coming."""
    before = change.before
    if change.action != "delete" or not isinstance(before, Record):
        return False
    place = (before.name, before.type)
    return not any(isinstance(one.after, Record) and (one.after.name, one.after.type) == place for one in changes)


def _harm(change: Change, changes: Sequence[Change]) -> str | None:
    before, after = change.before, change.after
    if change.kind == "dns.nameservers":
        return "name servers changed"
    if not isinstance(before, Record):
        return None
    if mail_policy(before) == "dmarc" and _dmarc_rank(before) > (
        _dmarc_rank(after) if isinstance(after, Record) else -1
    ):
        return "DMARC weakened"
    if _is_plain_delete(change, changes) and before.type in ("MX", "CAA", "NS"):
        return f"{before.type} removed at {before.name}"
    return None


def _dmarc_rank(record: Record) -> int:
    found = re.search(r"(?i)\bp\s*=\s*(none|quarantine|reject)", record.value)
    return ("none", "quarantine", "reject").index(found.group(1).lower()) if found else 0


def _probe(log: Log) -> Iterator[Finding]:
    denied: dict[str, list[AuditEvent]] = defaultdict(list)
    for event in log.events:
        if event.action == "judged" and event.outcome == "deny":
            denied[event.actor].append(event)
        elif event.action == "apply.begin":
            recent = [one for one in denied.pop(event.actor, []) if event.time - one.time <= timedelta(hours=1)]
            if len(recent) >= DENIALS:
                title = f"{event.actor} applied run {event.run} after {len(recent)} denied plans within an hour"
                yield threat("THREAT-PROBE", title, [*recent[-(SHOWN - 1) :], event], denied=len(recent))


# -- what is compared with normal ----------------------------------------------------------------------------------------


def _first_seen(log: Log) -> Iterator[Finding]:
    """New actors, and known ones on new machines or from new addresses; one finding for each."""
    users: set[str] = set()
    places: set[tuple[str, str]] = set()
    new: dict[tuple[str, str, str], list[AuditEvent]] = {}
    before: dict[tuple[str, str, str], str] = {}
    for event, is_ready in log.told():
        user, where = _who(event)
        known = user in users
        address = str(event.detail.get("address") or "")
        spots = ([("machine", where, where)] if where or not known else []) + (
            [("address", address, _block(address))] if address else []
        )
        for what, named, spot in spots:
            key = ("THREAT-HOST", user, f"{what} {named}") if known else ("THREAT-ACTOR", user, "")
            if (user, spot) not in places and is_ready:
                listed = new.setdefault(key, [])
                listed += [event] if event not in listed[-1:] else []
                seen = sorted(place for who, place in places if who == user) if known else sorted(users)
                before.setdefault(key, ", ".join(seen[:SHOWN]))
            elif key in new and len(new[key]) < SHOWN and event not in new[key][-1:]:
                new[key].append(event)
            places.add((user, spot))
        first = ("THREAT-ACTOR", user, "")
        if first in new and event not in new[first] and len(new[first]) < SHOWN:
            new[first].append(event)
        users.add(user)
    for (id, user, spot), events in new.items():
        is_actor = id == "THREAT-ACTOR"
        title = f"{user} acted for the first time" if is_actor else f"{user} acted from a new {spot}"
        baseline = f"{'actors' if is_actor else f'places of {user}'} before: {before[id, user, spot]}"
        yield threat(id, title, events, actor=events[0].actor, baseline=baseline, observed=spot or events[0].actor)


@lru_cache(maxsize=4096)
def _block(address: str) -> str:
    """The block an address is compared by: a /24 or a /48, because providers hand addresses of one block around."""
    try:
        return str(ip_network(f"{address}/{48 if ':' in address else 24}", strict=False))
    except ValueError:
        return address


def _who(event: AuditEvent) -> tuple[str, str]:
    """Who did it and from where; a provider's actor is often a mail address, whose domain is no machine."""
    return (event.actor, event.host) if isinstance(event, ProviderEvent) else parted(event.actor)


@lru_cache(maxsize=4096)
def parted(actor: str) -> tuple[str, str]:
    """`user@host` as user and machine; numbers in a machine's name are left open, because CI runners count on."""
    user, _, host = actor.rpartition("@")
    return (user or actor), re.sub(r"[0-9a-f]*\d[0-9a-f]*", "#", host.lower()) if user else ""


def _hours(log: Log) -> Iterator[Finding]:
    """An hour counts with its two neighbours, so that leaving a little later than usual is no finding. One a day."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0] * 24)
    odd: dict[tuple[str, Any], list[AuditEvent]] = defaultdict(list)
    shares: dict[tuple[str, Any], tuple[float, str]] = {}
    for event, is_ready in log.told():
        user, hour = _who(event)[0], event.time.hour
        known = counts[user]
        total = sum(known)
        if is_ready and total >= HOUR_EVENTS:
            near = known[hour - 1] + known[hour] + known[(hour + 1) % 24]
            share = (near + 1) / (total + 8)
            key = (user, event.time.date())
            if share < HOUR_SHARE or key in odd:
                odd[key].append(event)
                usual = ", ".join(f"{one:02}" for one in range(24) if known[one] / total >= HOUR_SHARE)
                shares.setdefault(key, (share, f"{total} earlier events, at the hours {usual} UTC"))
        known[hour] += 1  # a new habit is normal after a few days
    for (user, _), events in odd.items():
        title = f"{user} worked at {events[0].time:%H} h UTC, unlike before"
        share, baseline = shares[user, events[0].time.date()]
        observed = f"{events[0].time:%H} h UTC"
        yield threat("THREAT-HOUR", title, events, share=f"{share:.3%}", baseline=baseline, observed=observed)


def _rates(log: Log) -> Iterator[Finding]:
    """Runs an actor began in an hour (events, in a provider's log), against the median of its earlier active hours."""
    starts: dict[str, datetime] = {}
    hours: dict[tuple[str, str], dict[datetime, list[AuditEvent]]] = defaultdict(lambda: defaultdict(list))
    for event, is_ready in log.told():
        if is_ready:
            starts.setdefault(source_of(event), event.time)
        if event.action == "apply.begin" or isinstance(event, ProviderEvent):
            hour = event.time.replace(minute=0, second=0, microsecond=0)
            hours[_who(event)[0], source_of(event)][hour].append(event)
    for (user, source), by_hour in sorted(hours.items()):
        ready, acts = starts.get(source), "runs" if source == AUDIT else "events"
        earlier: list[int] = []
        for hour, events in sorted(by_hour.items()):
            usual, limit = _usual(earlier) if len(events) > RATE_FLOOR else (0, RATE_FLOOR)
            if ready is not None and hour >= ready and len(events) > limit:
                title = f"{user} began {len(events)} {acts} within the hour of {hour:%Y-%m-%d %H} h UTC"
                numbers: dict[str, Any] = {"count": len(events), "usual": str(usual), "limit": str(limit)}
                baseline = (
                    f"median of {usual} {acts} in {len(earlier[-RATE_HOURS:])} earlier active hours, at most {limit}"
                )
                observed = f"{len(events)} {acts} in one hour"
                yield threat("THREAT-RATE", title, events, **numbers, baseline=baseline, observed=observed)
            else:
                earlier.append(len(events))


def _usual(earlier: Sequence[int]) -> tuple[float, float]:
    """The median of the last active hours, and the count above which an hour is unlike them."""
    if not earlier:
        return 0, RATE_FLOOR
    recent = earlier[-RATE_HOURS:]
    usual = median(recent)
    spread = median(abs(count - usual) for count in recent)
    return usual, max(RATE_FLOOR, usual + RATE_FACTOR * spread)


def _named(change: Change) -> str:
    row = change.before if isinstance(change.before, Record) else change.after
    return f"{row.type} {row.name}" if isinstance(row, Record) else change.kind


_LOOKS: tuple[Callable[[Log], Iterator[Finding]], ...] = (
    _broken_log, _unapproved, _order, _clock, _behind, _destructive, _probe, _first_seen, _hours, _rates
)  # fmt: skip
