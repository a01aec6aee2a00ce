"""Asking: a sentence to a typed reading, and from it an answer, a plan behind the same gate as deploy, or a refusal."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sophia_cli.core.changes import Change, EmailMode
from sophia_cli.core.dns import APEX, Record, Zone, relative
from sophia_cli.core.errors import Refused, SophiaError, UsageError
from sophia_cli.core.findings import Proposal
from sophia_cli.core.language import Prompt
from sophia_cli.core.plan import zone_target
from sophia_cli.core.settings import DesiredZone
from sophia_cli.flows import answers, certificate_answers, holdings
from sophia_cli.flows.counsel import reading, reading_question
from sophia_cli.flows.edit import Edit, RemoveRecord, SetRecord, checked, find_zone, plan_changes, plan_edits
from sophia_cli.flows.learning import Learnt, learnt, offered, why_proposed
from sophia_cli.flows.plan import Judged, make_plan, observe
from sophia_cli.flows.plan import judged as judge_again
from sophia_cli.flows.proposals import proposals
from sophia_cli.flows.reply import ENGINE, Reply, World
from sophia_cli.flows.rollback import plan_rollback
from sophia_cli.flows.schedule import renewing
from sophia_cli.flows.stack_asking import create_environment, destroy_environment, expire_environment, scale_service
from sophia_cli.reasoning import intents as said
from sophia_cli.reasoning.engine import read
from sophia_cli.reasoning.reading import NotAWrite, OutOfScope, Surroundings, Unclear, Understood


async def ask(text: str, world: World) -> Reply:
    """Read a sentence and answer it, plan it, ask back or refuse. Writes nothing."""
    now = world.ground.clock.now()
    around = await _surroundings(world)
    found = read(text, around, now)
    if isinstance(found, Unclear) and world.counsel is not None:
        guessed = await reading(text, around, now, world.counsel)
        if guessed:
            return await _by_model(text, guessed, world, world.counsel.engine, now)
    if isinstance(found, Unclear):
        choices = found.readings
        return Reply(text, "", clarify=(found.question, *(one.phrase() for one in choices)), choices=choices)
    if isinstance(found, NotAWrite):
        return Reply(text, "No change is asked for.", answer=found.render())
    if isinstance(found, OutOfScope):
        return Reply(text, "", refused=found.render())
    return await _done(Reply(text, found.render(), found.intents, _command(found.intents)), found, world, now)


async def question_for_model(text: str, world: World) -> Prompt | None:
    """What a model would be asked about a sentence; None where the grammar understands it, or it is too long to be one."""
    now, around = world.ground.clock.now(), await _surroundings(world)
    if not isinstance(read(text, around, now), Unclear):
        return None
    return reading_question(text, around, now)


async def as_meant(reply: Reply, world: World) -> Reply:
    """The reply to a reading that a model made and a person has confirmed at the terminal: its plan is the person's."""
    found = Understood(reply.intents, 1.0)
    confirmed = replace(reply, judged=None, engine=ENGINE)
    return await _done(confirmed, found, world, world.ground.clock.now())


async def _by_model(text: str, guessed: tuple[said.Intent, ...], world: World, engine: str, now: datetime) -> Reply:
    """The reply to a model's reading: every change in its plan is the model's, so policy wants a person for it."""
    found = Understood(guessed, 0.5)
    phrases = "; then ".join(intent.phrase() for intent in guessed)
    shown = f"I did not understand this myself; {engine} reads it as: {phrases}."
    reply = await _done(Reply(text, shown, guessed, _command(guessed), engine=engine), found, world, now)
    if reply.judged is None:
        return reply
    plan = reply.judged.plan
    plan = replace(plan, changes=tuple(replace(change, source=engine) for change in plan.changes))
    seen = list(reply.judged.seen.values())
    return replace(reply, judged=await judge_again(plan, reply.judged.policy, seen, world.ground.store, now))


async def _done(reply: Reply, found: Understood, world: World, now: datetime) -> Reply:
    try:
        return await _understood(reply, found, world, now)
    except (Refused, UsageError) as exc:
        return replace(reply, refused=exc.message + (f" (next: {exc.hint})" if exc.hint else ""))


def _command(intents: Sequence[said.Intent]) -> str:
    return " && ".join(intent.command() for intent in intents)


async def _surroundings(world: World) -> Surroundings:
    """What is known around the sentence. A zone that cannot be read leaves the records unknown, never absent."""
    records: list[tuple[str, str, str]] | None = []
    try:
        for seen in await observe(world.settings, world.ground.targets, world.ground.store):
            records += [(seen.zone.name, row.name, row.type) for row in seen.zone.records]  # type: ignore[operator]
    except SophiaError:
        records = None
    services = tuple((service.name, service.aliases) for service in world.settings.services)
    return Surroundings(
        zones=tuple(zone.name for zone in world.settings.zones),
        records=None if records is None else tuple(records),
        services=services,
        environments=tuple(stack.environment for stack in world.settings.pulumi.stacks),
        time_zone=world.time_zone,
        previous=world.previous,
    )


async def _understood(reply: Reply, found: Understood, world: World, now: datetime) -> Reply:
    edits = [intent for intent in found.intents if isinstance(intent, _EDITS)]
    if edits and len(edits) == len(found.intents):
        return await _edit(reply, edits, world, now)
    if len(found.intents) > 1:
        return replace(reply, refused="one sentence, one kind of thing: please ask for these one after the other")
    return await _single(reply, found.intents[0], world, now)


_EDITS = (said.CreateRecord, said.SetRecord, said.RemoveRecord)

# What has a command of its own and is not done on a sentence: the answer is the command.
_COMMANDS = (said.RotateSecret, said.Heal, said.Freeze, said.Thaw, said.ImportZone, said.ExplainSetting, said.Doctor)


async def _single(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    if isinstance(intent, _COMMANDS):
        return replace(reply, answer=f"That is done by: {intent.command()}")
    handlers: Mapping[type[said.Intent], Callable[..., Awaitable[Reply]]] = {
        said.SetMail: _mail,
        said.CreateEnvironment: create_environment,
        said.ExpireEnvironment: expire_environment,
        said.DestroyEnvironment: destroy_environment,
        said.ScaleService: scale_service,
        said.OptimizeInfrastructure: _optimize,
        said.OptimizeCertificates: certificate_answers.optimize,
        said.ExplainProposal: _why_proposed,
        said.ExplainFinding: answers.explain_finding,
        said.IssueCertificate: certificate_answers.issue,
        said.RenewCertificate: certificate_answers.renew,
        said.InspectCertificate: certificate_answers.inspect,
        said.MakePlan: _environment,
        said.Deploy: _environment,
        said.RollbackRun: _rollback,
        said.UndoLast: _rollback,
        said.WhatChanged: answers.what_changed,
        said.ShowCost: answers.cost,
        said.ShowRenewals: answers.registrations,
        said.ShowExpiry: answers.registrations,
        said.Analyze: answers.status,
        said.ShowStatus: answers.status,
        said.ShowRecords: holdings.records,
        said.ShowDrift: holdings.drift,
        said.ShowRun: holdings.run,
        said.ShowSecrets: holdings.secrets,
        said.ShowStacks: holdings.stacks,
        said.ShowFreeze: holdings.freezes,
        said.VerifyAudit: answers.verify_log,
        said.Help: answers.help_,
    }
    return await handlers[type(intent)](reply, intent, world, now)


# -- plans --------------------------------------------------------------------------------------------------------------


async def _edit(reply: Reply, intents: Sequence[said.Intent], world: World, now: datetime) -> Reply:
    """One plan of several record edits, in order; what the sentence left open is filled in from the zone, and said."""
    targets = sorted({zone_target(_zone(intent, world).name) for intent in intents})
    readers = {target: world.ground.targets[target] for target in targets if target in world.ground.targets}
    live = {seen.zone.name: seen.zone for seen in await observe(world.settings, readers, world.ground.store)}
    whole = [_filled(intent, live[_zone(intent, world).name], _zone(intent, world)) for intent in intents]
    edits = [(_zone(intent, world), _typed(intent, _zone(intent, world).name)) for intent in whole]
    judged = await plan_edits(edits, world.settings, readers, world.file, world.ground.store, now)
    return replace(reply, intents=tuple(whole), command=_command(whole), judged=judged)


def _zone(intent: Any, world: World) -> DesiredZone:
    return find_zone(world.settings, intent.domain)


def _filled(intent: said.Intent, zone: Zone, desired: DesiredZone) -> said.Intent:
    """The intent with its value: the apex's address for a new name, what is there for one that keeps its value."""
    if isinstance(intent, said.CreateRecord):
        name = relative(intent.record, zone.name)
        if zone.at(name):
            held = ", ".join(sorted({row.type for row in zone.at(name)}))
            raise Refused(
                f"{zone.fqdn(name)} is there already ({held})",
                hint="choose another name, or say what to change about it",
            )
        return intent if intent.value is not None else replace(intent, value=_apex_address(zone, desired))
    if isinstance(intent, said.SetRecord) and intent.value is None:
        name = relative(intent.record, zone.name)
        there = zone.at(name, intent.type)
        if len(there) != 1:
            count = "no" if not there else "more than one"
            raise Refused(
                f"there is {count} {intent.type} record at {name}, so its value cannot be kept; say the value"
            )
        return replace(intent, value=there[0].value)
    return intent


def _typed(intent: said.Intent, zone: str) -> Edit:
    if isinstance(intent, said.RemoveRecord):
        return RemoveRecord(relative(intent.record, zone), intent.type, intent.value)
    assert isinstance(intent, (said.CreateRecord, said.SetRecord))
    row = Record(relative(intent.record, zone), intent.type, intent.value or "", intent.ttl, intent.priority)
    return SetRecord(checked(row, zone))


def _apex_address(zone: Zone, desired: DesiredZone) -> str:
    """The address that the apex has, or, where it has none yet, the one that the environment gives it."""
    named = (row.record for row in desired.records if row.takes is None)
    addresses = zone.at(APEX, "A") or [record for record in named if (record.name, record.type) == (APEX, "A")]
    if not addresses:
        raise Refused(f"{zone.name} itself has no address (A record) to give the new name; say the address")
    return addresses[0].value


async def _mail(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    assert isinstance(intent, said.SetMail)
    desired = find_zone(world.settings, intent.domain)
    target = zone_target(desired.name)
    if desired.path != "dns":  # several domains: each has a section of its own
        here = shlex.quote(f"{desired.path}.email_type")
        reply = replace(reply, command=intent.command().replace("dns.email_type", here, 1))
    seen = await observe(world.settings, {target: world.ground.targets[target]}, world.ground.store)
    live = seen[0].zone
    modes = (EmailMode(live.email_type), EmailMode(intent.mode))
    changes = [Change(target, "dns.email_type", "update", *modes, "user", "asked for")]
    changes = [] if live.email_type == intent.mode else changes
    judged = await plan_changes(changes, world.settings, seen, world.file, world.ground.store, now)
    return replace(reply, judged=judged)


async def _environment(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    return replace(reply, judged=await make_plan(world.settings, world.ground.targets, world.ground.store, now))


async def _optimize(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """The specialists' proposals, beside the environment's own plan; nothing is accepted by asking."""
    judged = await make_plan(world.settings, world.ground.targets, world.ground.store, now)
    made, _ = await _offered(world, judged, now)
    judged = replace(judged, plan=replace(judged.plan, proposals=made))
    answer = f"{len(made)} proposals, made by rules; accept them singly with: sophia deploy --accept ID"
    if not made:
        answer = "The specialists have nothing to propose."
    if getattr(intent, "because", None) is not None:
        answer += "".join(f"\n{line}" for line in answers.scalable(world))
    return replace(reply, judged=judged, answer=answer, evidence=_cited(made))


def _cited(made: Sequence[Proposal]) -> tuple[str, ...]:
    """The findings that proposals answer, and the rules of those that answer none."""
    return tuple(dict.fromkeys(id for one in made for id in (one.finding or one.source).split(", ")))


async def _offered(world: World, judged: Judged, now: datetime) -> tuple[tuple[Proposal, ...], Learnt]:
    """What is proposed now, each as sure as its rule is, and what that rests on."""
    made = proposals(world.settings, [seen.zone for seen in judged.seen.values()], now, judged.plan)
    known = await learnt(world.lessons, world.ground.store.journal, now, mode=world.settings.intelligence.learning_mode)
    return await offered(world.settings, made, world.file, known, await renewing(world.certificates), now), known


async def _why_proposed(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """Each proposal's rule and reason, and how sure the rule is by its formula."""
    assert isinstance(intent, said.ExplainProposal)
    judged = await make_plan(world.settings, world.ground.targets, world.ground.store, now)
    made, known = await _offered(world, judged, now)
    answer, evidence = why_proposed(made, known, intent.proposal)
    return replace(reply, answer=answer, evidence=evidence)


async def _rollback(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    run = intent.run if isinstance(intent, said.RollbackRun) else None
    return replace(reply, judged=await plan_rollback(run, world.settings, world.ground, world.file))
