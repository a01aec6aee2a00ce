"""Answers: what sophia knows, told with what it rests on. Plans nothing and writes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sophia_cli.checks.registry import CHECKS
from sophia_cli.core.changes import Change
from sophia_cli.core.costs import cents, service_cost
from sophia_cli.core.dns import Record
from sophia_cli.core.findings import Finding
from sophia_cli.core.history import Run
from sophia_cli.core.leaks import shown_value
from sophia_cli.core.plan import zone_target
from sophia_cli.core.settings import Service
from sophia_cli.flows import certificate_answers
from sophia_cli.flows.plan import observe
from sophia_cli.flows.reply import Reply, World
from sophia_cli.flows.scaling import find_service
from sophia_cli.reasoning import intents as said


async def what_changed(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """From the journal and the audit log, and from nothing else."""
    assert isinstance(intent, said.WhatChanged)
    target = None if intent.domain is None else zone_target(intent.domain)
    runs = [
        run
        for run in await world.ground.store.journal.runs(since=intent.start)
        if (intent.start is None or run.started >= intent.start)
        and (intent.end is None or run.started < intent.end)
        and (intent.by is None or intent.by in run.actor)
        and (target is None or any(leg.target == target for leg in run.legs))
        and run.outcome != "nothing"
    ]
    if intent.subject is not None:
        runs = [run for run in runs if any(_is_about(change, intent.subject) for change in run.changes)]
    lines = [
        f"{run.started:%Y-%m-%d %H:%M} UTC  {run.actor}  {run.command}: {run.outcome} ({run.id})" + _listed(run)
        for run in runs
    ]
    span = "" if intent.start is None else f" since {intent.start:%Y-%m-%d %H:%M} UTC"
    answer = "\n".join(lines) or f"sophia changed nothing{span}; what others did in the console, the log cannot tell."
    return replace(reply, answer=answer, evidence=tuple(run.id for run in runs))


def _is_about(change: Change, subject: str) -> bool:
    payload = change.after if change.after is not None else change.before
    return isinstance(payload, Record) and payload.name == subject


def _listed(run: Run) -> str:
    parts = []
    for change in run.changes:
        payload = change.after if change.after is not None else change.before
        if isinstance(payload, Record):
            parts.append(f"\n    {change.action} {payload.type} {payload.name} {payload.value[:60]}  ({change.reason})")
        elif not isinstance(payload, type(None)) and change.kind == "dns.email_type":
            parts.append(f"\n    {change.action} the mail mode")
    return "".join(parts[:10])


async def registrations(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """When domains run out, as the registrar lists them, or certificates, as they are served."""
    if getattr(intent, "kind", "domain") == "certificate":
        return await certificate_answers.inspect(reply, intent, world, now)
    wanted = getattr(intent, "subject", None)
    ours = {zone.name for zone in world.settings.zones}
    rows = [row for row in await world.registrations() if row.name in ours and wanted in (None, row.name)]
    lines = [
        f"{row.name} runs out on {row.expires or 'a date the registrar does not tell'}"
        + {True: " and renews by itself", False: " and does not renew by itself", None: ""}[row.auto_renew]
        for row in rows
    ]
    answer = "\n".join(lines) or "The account lists no such domain."
    return replace(reply, answer=answer, evidence=tuple(f"registrar:{row.name}" for row in rows))


async def cost(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """What domains cost a year at the account's price and what services cost by the environment's own; no bill is read."""
    assert isinstance(intent, said.ShowCost)
    prices = {} if world.prices is None else await world.prices()
    lines, evidence = [], []
    for zone in world.settings.zones:
        price = prices.get(zone_target(zone.name))
        if price is None:
            lines.append(f"{zone.name}: no price is known; the registrar tells none here")
            continue
        lines.append(
            f"{zone.name}: {price.text()} a year to renew, {price.formula} ({price.source}, {price.read:%Y-%m-%d})"
        )
        evidence.append(f"registrar:{zone.name}")
    for service in world.settings.services:
        stack = next(
            (one for one in world.settings.pulumi.stacks if service.stack in (one.environment, one.name)), None
        )
        count = None if stack is None or service.config_key is None else stack.config.get(service.config_key)
        if service.unit_cost is None or type(count) is not int:
            continue
        total = service_cost(service.unit_cost, count, f"services.{service.name}.unit_cost", now)
        lines.append(
            f"{service.name}: {cents(total.amount)}, {total.formula} = {count} x {service.unit_cost} ({total.source})"
        )
        evidence.append(f"config:services.{service.name}")
    if intent.start is not None or intent.end is not None:
        lines.append("What was spent in that time is not known: no bill is read, these are prices.")
    answer = "\n".join(lines) or "Nothing here has a price that is known."
    return replace(reply, answer=answer, evidence=tuple(evidence))


async def status(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """What the specialists find about a domain or a record."""
    kind = getattr(intent, "kind", "domain")
    if kind == "stack":
        return replace(reply, answer=f"That is shown by: {intent.command()}")
    if kind == "service":
        return _service(reply, str(getattr(intent, "subject", "")), world)
    if isinstance(intent, said.ShowStatus) and kind == "record" and intent.domain is not None:
        return await _record(reply, intent.subject, intent.domain, world)
    agent = getattr(intent, "agent", None)
    found = await world.findings(None if agent is None else [agent])
    domain = getattr(intent, "domain", None) or getattr(intent, "target", None) or getattr(intent, "subject", None)
    if domain is not None:
        found = tuple(one for one in found if one.target in (domain, zone_target(domain)))
    worst = [f"{one.severity}: {one.title} ({one.id})" for one in found[:8]]
    more = f"\n{len(found) - 8} more; {reply.command} lists them" if len(found) > 8 else ""
    answer = ("\n".join(worst) + more) if worst else "Nothing is wrong as far as the zone alone tells."
    return replace(reply, answer=answer, evidence=tuple(one.id for one in found[:8]))


def scalable(world: World) -> list[str]:
    """What could be made larger when traffic grows; how much is needed, a sentence does not tell."""
    lines = []
    for service in world.settings.services:
        grow = said.ScaleService(service.name, "up").command()
        lines.append(
            f"{_size(service, world)}. No load is measured by asking, so no number is proposed; to grow: {grow}"
        )
    return lines or ["No service can be scaled: the environment names none (services)."]


def _service(reply: Reply, name: str, world: World) -> Reply:
    """How large a service is by the environment; how busy it is, nobody measures here."""
    service = find_service(world.settings, name)
    answer = f"{_size(service, world)}. How busy it is, is not measured here."
    return replace(reply, answer=answer, evidence=(f"config:services.{service.name}",))


def _size(service: Service, world: World) -> str:
    stack = next((one for one in world.settings.pulumi.stacks if service.stack in (one.environment, one.name)), None)
    count = None if stack is None or service.config_key is None else stack.config.get(service.config_key)
    low, high = ("open" if one is None else one for one in (service.min, service.max))
    where = "" if stack is None else f" in the stack {stack.environment} ({service.config_key})"
    size = (
        f"{service.name} has the size {count}{where}"
        if count is not None
        else f"the size of {service.name} is not known"
    )
    return f"{size}, bounds {low}..{high}"


async def _record(reply: Reply, name: str, domain: str, world: World) -> Reply:
    """The records that a zone has at a name now, and the findings that name them."""
    target = zone_target(domain)
    readers = {target: world.ground.targets[target]}
    zone = (await observe(world.settings, readers, world.ground.store))[0].zone
    rows = zone.at(name)
    lines = [f"{row.type} {zone.fqdn(name)} is {shown_value(row)}, TTL {row.ttl}" for row in rows]
    named = [one for one in await world.findings(None) if one.target == target and _names(one, name)]
    lines += [f"{one.severity}: {one.title} ({one.id})" for one in named[:5]]
    answer = "\n".join(lines) if rows else f"{target} has no record at {name}."
    evidence = (*(f"{target} {row.type} {name}" for row in rows), *(one.id for one in named[:5]))
    return replace(reply, answer=answer, evidence=evidence)


def _names(finding: Finding, name: str) -> bool:
    """Whether a finding rests on a record of that name."""
    return any(row.get("name") == name for row in finding.evidence.get("records", ()) if isinstance(row, dict))


async def explain_finding(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """What a finding says, what it rests on and what mends it; for one that is not there now, what its check looks for."""
    assert isinstance(intent, said.ExplainFinding)
    found = [one for one in await world.findings(None) if intent.finding in (None, one.id)]
    if not found:
        rule = next((check.rule for check in CHECKS if check.rule.id == intent.finding), None)
        if rule is None:
            return replace(
                reply, refused=f"there is no check {intent.finding or ''}; sophia analyze lists the findings"
            )
        said_now = f"{rule.id} is not found now. It looks for this: {rule.text} ({rule.source})."
        return replace(reply, answer=said_now, evidence=(rule.id,))
    lines = []
    for one in found[:3]:
        lines.append(f"{one.id}, {one.severity}, {one.target}: {one.title}")
        lines += [f"    {text}" for text in (one.help, f"source: {one.source}" if one.source else "") if text]
        mends = "sophia analyze --fix" if one.fix is not None else one.no_fix
        lines += [f"    mended by: {mends}"] if mends else []
    if len(found) > 3:
        lines.append(f"{len(found) - 3} more; sophia analyze -v lists them")
    return replace(reply, answer="\n".join(lines), evidence=tuple(dict.fromkeys(one.id for one in found[:3])))


async def verify_log(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """Whether the audit chain holds."""
    head, problems = await world.ground.store.audit.verify()
    answer = "\n".join(problems) or f"The chain holds: {head.count} events, head {head.hash}."
    return replace(reply, answer=answer, evidence=(head.hash,))


async def help_(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """What can be said."""
    examples = (
        "point api at 203.0.113.9",
        "create a subdomain for the new dashboard",
        "remove the old blog record",
        "what changed yesterday?",
        "is example.com healthy?",
        "undo that",
    )
    return replace(reply, answer="Say what you want, for example:\n  " + "\n  ".join(examples))
