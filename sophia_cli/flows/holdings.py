"""Answers about what there is: records and whose they are, drift, runs, secrets, stacks, freezes. Plans and writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatch

from sophia_cli.core.dns import Record, ascii_name
from sophia_cli.core.errors import Refused
from sophia_cli.core.history import Run
from sophia_cli.core.plan import zone_target
from sophia_cli.flows.edit import find_zone
from sophia_cli.flows.plan import Seen, make_plan, observe
from sophia_cli.flows.reply import Reply, World
from sophia_cli.reasoning import intents as said

MOST_TOLD = 40


async def records(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """The live records that were asked for: listed, counted, or whose they are."""
    assert isinstance(intent, said.ShowRecords)
    target = zone_target(find_zone(world.settings, intent.domain).name)
    readers = {target: world.ground.targets[target]}
    seen = (await observe(world.settings, readers, world.ground.store))[0]
    rows = [row for row in seen.zone.records if _is_asked(row, intent)]
    evidence = tuple(dict.fromkeys(f"{target} {row.type} {row.name}" for row in rows[:MOST_TOLD]))
    what = f"{intent.type} " if intent.type else ""
    where = f" at {intent.record}" if intent.record is not None else ""
    where += f" that points to {intent.value}" if intent.value else ""
    if not rows:
        return replace(reply, answer=f"{seen.zone.name} has no {what}record{where}.", evidence=(target,))
    if intent.asks == "count":
        return replace(reply, answer=f"{seen.zone.name} has {len(rows)} {what}records{where}.", evidence=evidence)
    told = _whose(seen, rows) if intent.asks == "owner" else [_line(seen, row) for row in rows[:MOST_TOLD]]
    if len(rows) > MOST_TOLD:
        told.append(f"{len(rows) - MOST_TOLD} more; ask for one type or one name")
    return replace(reply, answer="\n".join(told), evidence=evidence)


def _is_asked(row: Record, intent: said.ShowRecords) -> bool:
    value = None if intent.value is None else intent.value.rstrip(".").lower()
    return (
        intent.record in (None, row.name)
        and intent.type in (None, row.type)
        and (value is None or row.value.rstrip(".").lower() == value)
    )


def _line(seen: Seen, row: Record) -> str:
    priority = "" if row.priority is None else f"{row.priority} "
    return f"{row.type} {seen.zone.fqdn(row.name)} is {priority}{row.value}, TTL {row.ttl}"


def _whose(seen: Seen, rows: Sequence[Record]) -> list[str]:
    """Whether the environment names each record, and whether sophia wrote it."""
    named = {(one.record.name, one.record.type) for one in seen.desired.records}
    lines = []
    for row in rows[:MOST_TOLD]:
        managed = "named by this environment" if (row.name, row.type) in named else "not named by this environment"
        entry = seen.ownership.of(row)
        wrote = (
            f"sophia wrote it (run {entry.run})" if entry is not None and entry.written else "sophia did not write it"
        )
        lines.append(f"{_line(seen, row)}: {managed}; {wrote}")
    return lines


async def drift(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """The plan of the environment as an answer: what differs from what it says."""
    judged = await make_plan(world.settings, world.ground.targets, world.ground.store, now)
    plan = judged.plan
    checked = tuple(sorted(judged.seen))
    if plan.is_empty():
        answer = "There is no drift: every record that the environment names is there as it says."
        return replace(reply, answer=answer, evidence=checked)
    count = len(plan.changes)
    answer = f"{count} {'change' if count == 1 else 'changes'} would bring it back to what the environment says."
    return replace(reply, answer=answer, judged=judged, evidence=checked)


async def run(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """One run, or the last that did anything, from the journal."""
    assert isinstance(intent, said.ShowRun)
    journal = world.ground.store.journal
    if intent.run is not None:
        found = await journal.get(intent.run)
        if found is None:
            raise Refused(f"there is no run {intent.run}", hint="sophia audit show lists them")
    else:
        runs = [one for one in await journal.runs() if one.outcome != "nothing"]
        if not runs:
            return replace(reply, answer="sophia ran nothing here yet.")
        found = runs[-1]
    return replace(reply, answer=_told(found), evidence=(found.id,))


def _told(run: Run) -> str:
    checked = {True: "verified", False: "not verified", None: "not yet verified from outside"}[run.verified]
    count = len(run.changes)
    lines = [
        f"{run.started:%Y-%m-%d %H:%M} UTC  {run.actor}  {run.command}: {run.outcome}, {checked} ({run.id})",
        f"It made {count} {'change' if count == 1 else 'changes'}:",
    ]
    for change in run.changes[:MOST_TOLD]:
        payload = change.after if change.after is not None else change.before
        what = f"{payload.type} {payload.name} {payload.value[:60]}" if isinstance(payload, Record) else change.kind
        lines.append(f"    {change.action} {what}  ({change.reason})")
    return "\n".join(lines)


async def secrets(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """The secrets by path, with since when each value was seen; a value is never told."""
    assert isinstance(intent, said.ShowSecrets)
    if world.secrets is None:
        raise Refused("the environment's secrets cannot be listed here", hint="sophia secrets list")
    entries = [one for one in (await world.secrets()).entries if intent.secret in (None, one.path)]
    lines = [
        f"{one.path}: this value is seen since {one.since:%Y-%m-%d}; its real age is not known"
        + (f", rotation is due since {one.due:%Y-%m-%d}" if one.is_due else f", rotation is due on {one.due:%Y-%m-%d}")
        for one in entries
    ]
    none = f"The environment holds no secret {intent.secret}." if intent.secret else "The environment holds no secret."
    return replace(reply, answer="\n".join(lines) or none, evidence=tuple(f"secret:{one.path}" for one in entries))


async def stacks(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """The stacks that the environment names; whether each exists, its engine tells."""
    known = world.settings.pulumi.stacks
    if not known:
        return replace(reply, answer="The environment names no stacks (pulumi.stacks).")
    lines = [
        f"{stack.environment}: {stack.name}"
        + (f", ends on {stack.expires:%Y-%m-%d %H:%M} UTC" if stack.expires is not None else "")
        for stack in known
    ]
    lines.append("Whether each exists and what it holds: sophia stack list")
    return replace(reply, answer="\n".join(lines), evidence=tuple(f"stack:{stack.name}" for stack in known))


async def freezes(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """What is frozen, with who froze it by the audit log."""
    patterns = sorted(await world.ground.store.freezes.patterns())
    if not patterns:
        answer = "There is no freeze; whether a write is allowed is for policy to say: sophia plan"
        return replace(reply, answer=answer)
    lines, evidence = [], []
    events = await world.ground.store.audit.events()
    for pattern in patterns:
        event = next((one for one in reversed(events) if one.action == "freeze" and one.target == pattern), None)
        held = [zone.name for zone in world.settings.zones if fnmatch(zone_target(ascii_name(zone.name)), pattern)]
        by = "" if event is None else f", by {event.actor} on {event.time:%Y-%m-%d %H:%M} UTC"
        lines.append(f"{pattern} is frozen{by}" + (f" (here: {', '.join(held)})" if held else ""))
        evidence += [] if event is None else [event.hash]
    return replace(reply, answer="\n".join(lines), evidence=tuple(evidence))
