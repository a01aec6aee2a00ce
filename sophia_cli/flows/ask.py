"""Asking: a sentence to a typed reading, and from it an answer, a plan behind the same gate as deploy, or a refusal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from sophia_cli.core.changes import Change, EmailMode
from sophia_cli.core.dns import Record, Zone, relative
from sophia_cli.core.errors import Refused, SophiaError, UsageError
from sophia_cli.core.findings import Finding
from sophia_cli.core.history import Run
from sophia_cli.core.plan import zone_target
from sophia_cli.core.ports import EnvironmentFile
from sophia_cli.core.settings import DesiredZone, Settings
from sophia_cli.flows.apply import Ground
from sophia_cli.flows.edit import Edit, RemoveRecord, SetRecord, checked, find_zone, plan_changes, plan_edits
from sophia_cli.flows.plan import Judged, make_plan, observe
from sophia_cli.flows.proposals import proposals
from sophia_cli.flows.rollback import plan_rollback
from sophia_cli.reasoning import intents as said
from sophia_cli.reasoning.engine import read
from sophia_cli.reasoning.reading import NotAWrite, OutOfScope, Surroundings, Unclear, Understood

ENGINE = "offline"


class Registration(Protocol):
    """When a domain runs out, as the registrar lists it."""

    @property
    def name(self) -> str:
        """The registered name."""
        ...

    @property
    def expires(self) -> Any:
        """The date it runs out, or None."""
        ...

    @property
    def auto_renew(self) -> bool | None:
        """Whether it renews by itself."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """What comes of a sentence. At most one of `answer`, `clarify`, `refused` and `judged` says how it went on."""

    text: str
    reading: str
    intents: tuple[said.Intent, ...] = ()
    command: str | None = None
    clarify: tuple[str, ...] = ()
    answer: str | None = None
    evidence: tuple[str, ...] = ()
    judged: Judged | None = None
    refused: str | None = None

    @property
    def goes_nowhere(self) -> bool:
        """Whether it asks back or refuses (exit 3)."""
        return bool(self.clarify) or self.refused is not None

    def data(self, runs: Sequence[Run], plan: Mapping[str, Any] | None) -> dict[str, Any]:
        """The public shape (contract, `sophia.ask/1`)."""
        shown = [{"name": intent.name, "slots": intent.slots()} for intent in self.intents]
        return {
            "text": self.text,
            "reading": self.reading,
            "intent": shown[0] if shown else None,
            "intents": shown,
            "command": self.command,
            "clarify": list(self.clarify),
            "answer": self.answer,
            "evidence": list(self.evidence),
            "plan": plan,
            "runs": [run.public() for run in runs],
            "engine": ENGINE,
            "refused": self.refused,
        }


@dataclass(frozen=True, slots=True)
class World:
    """What a sentence can be about: read ports and the state. Nothing here writes."""

    settings: Settings
    ground: Ground
    file: EnvironmentFile | None
    findings: Callable[[Sequence[str] | None], Awaitable[tuple[Finding, ...]]]
    registrations: Callable[[], Awaitable[Sequence[Registration]]]
    time_zone: str = "UTC"
    previous: tuple[said.Intent, ...] = field(default=())


async def ask(text: str, world: World) -> Reply:
    """Read a sentence and answer it, plan it, ask back or refuse. Writes nothing."""
    now = world.ground.clock.now()
    found = read(text, await _surroundings(world), now)
    if isinstance(found, Unclear):
        return Reply(text, "", clarify=(found.question, *(intent.phrase() for intent in found.readings)))
    if isinstance(found, NotAWrite):
        return Reply(text, "No change is asked for.", answer=found.render())
    if isinstance(found, OutOfScope):
        return Reply(text, "", refused=found.render())
    reply = Reply(text, found.render(), found.intents, _command(found.intents))
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

# What this version cannot do, by intent, and what is missing for it.
_MISSING: Mapping[type[said.Intent], str] = {
    said.CreateEnvironment: "a new environment is a new Pulumi stack, and stacks cannot be written by this version",
    said.ExpireEnvironment: "environments are Pulumi stacks, and stacks cannot be written by this version",
    said.DestroyEnvironment: "environments are Pulumi stacks, and stacks cannot be written by this version",
    said.ScaleService: "scaling changes the configuration of a Pulumi stack, and stacks cannot be written by this version",
    said.IssueCertificate: "certificates cannot be issued by this version",
    said.RenewCertificate: "certificates cannot be renewed by this version",
    said.InspectCertificate: "served certificates cannot be inspected by this version",
    said.RotateSecret: "secrets cannot be rotated by this version",
    said.ExplainFinding: "a single finding cannot be explained in words yet; its help and source stand in the analysis",
}

# What has a command of its own and is not done on a sentence: the answer is the command.
_COMMANDS = (said.Heal, said.Freeze, said.Thaw, said.ImportZone, said.ExplainSetting, said.Doctor)


async def _single(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    missing = _MISSING.get(type(intent))
    if missing is not None:
        return replace(reply, refused=missing)
    if isinstance(intent, _COMMANDS):
        return replace(reply, answer=f"That is done by: {intent.command()}")
    handlers: Mapping[type[said.Intent], Callable[..., Awaitable[Reply]]] = {
        said.SetMail: _mail,
        said.OptimizeInfrastructure: _optimize,
        said.OptimizeCertificates: _optimize,
        said.MakePlan: _environment,
        said.Deploy: _environment,
        said.RollbackRun: _rollback,
        said.UndoLast: _rollback,
        said.WhatChanged: _what_changed,
        said.ShowCost: _registrations,
        said.ShowRenewals: _registrations,
        said.ShowExpiry: _registrations,
        said.Analyze: _status,
        said.ShowStatus: _status,
        said.VerifyAudit: _verify,
        said.Help: _help,
    }
    return await handlers[type(intent)](reply, intent, world, now)


# -- plans --------------------------------------------------------------------------------------------------------------


async def _edit(reply: Reply, intents: Sequence[said.Intent], world: World, now: datetime) -> Reply:
    """One plan of several record edits, in order; what the sentence left open is filled in from the zone, and said."""
    targets = sorted({zone_target(_zone(intent, world).name) for intent in intents})
    readers = {target: world.ground.targets[target] for target in targets if target in world.ground.targets}
    live = {seen.zone.name: seen.zone for seen in await observe(world.settings, readers, world.ground.store)}
    whole = [_filled(intent, live[_zone(intent, world).name]) for intent in intents]
    edits = [(_zone(intent, world), _typed(intent, _zone(intent, world).name)) for intent in whole]
    judged = await plan_edits(edits, world.settings, readers, world.file, world.ground.store, now)
    return replace(reply, intents=tuple(whole), command=_command(whole), judged=judged)


def _zone(intent: Any, world: World) -> DesiredZone:
    return find_zone(world.settings, intent.domain)


def _filled(intent: said.Intent, zone: Zone) -> said.Intent:
    """The intent with its value: the apex's address for a new name, what is there for one that keeps its value."""
    if isinstance(intent, said.CreateRecord):
        name = relative(intent.record, zone.name)
        if zone.at(name):
            held = ", ".join(sorted({row.type for row in zone.at(name)}))
            raise Refused(
                f"{zone.fqdn(name)} is there already ({held})",
                hint="choose another name, or say what to change about it",
            )
        return intent if intent.value is not None else replace(intent, value=_apex_address(zone))
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


def _apex_address(zone: Zone) -> str:
    addresses = zone.at("@", "A")
    if not addresses:
        raise Refused(f"{zone.name} itself has no address (A record) to give the new name; say the address")
    return addresses[0].value


async def _mail(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    assert isinstance(intent, said.SetMail)
    target = zone_target(find_zone(world.settings, intent.domain).name)
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
    made = proposals(world.settings, [seen.zone for seen in judged.seen.values()], now, judged.plan)
    if isinstance(intent, said.OptimizeCertificates):
        made = tuple(proposal for proposal in made if _is_about_certificates(proposal.source))
    judged = replace(judged, plan=replace(judged.plan, proposals=made))
    answer = f"{len(made)} proposals, made by rules; accept them singly with: sophia deploy --accept ID"
    if isinstance(intent, said.OptimizeCertificates):
        answer += ". What is served cannot be measured by this version: only the zone's side (CAA) is looked at."
    if not made:
        answer = "The specialists have nothing to propose." + answer.partition(".")[2]
    return replace(reply, judged=judged, answer=answer, evidence=tuple(proposal.finding for proposal in made))


def _is_about_certificates(source: str) -> bool:
    """Whether a rule is one of the certificates' (CAA says who may issue them)."""
    return source.removeprefix("rule:").startswith(("CAA-", "TLS-", "CERT-"))


async def _rollback(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    run = intent.run if isinstance(intent, said.RollbackRun) else None
    return replace(reply, judged=await plan_rollback(run, world.settings, world.ground, world.file))


# -- answers ------------------------------------------------------------------------------------------------------------


async def _what_changed(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
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


async def _registrations(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    if getattr(intent, "kind", "domain") == "certificate":
        return replace(
            reply, refused="when a certificate runs out cannot be told: this version does not look at served ones"
        )
    wanted = getattr(intent, "subject", None)
    ours = {zone.name for zone in world.settings.zones}
    rows = [row for row in await world.registrations() if row.name in ours and wanted in (None, row.name)]
    lines = [
        f"{row.name} runs out on {row.expires or 'a date the registrar does not tell'}"
        + {True: " and renews by itself", False: " and does not renew by itself", None: ""}[row.auto_renew]
        for row in rows
    ]
    if isinstance(intent, said.ShowCost):
        lines.append("Prices are not looked up by this version.")
    answer = "\n".join(lines) or "The account lists no such domain."
    return replace(reply, answer=answer, evidence=tuple(f"registrar:{row.name}" for row in rows))


async def _status(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    kind = getattr(intent, "kind", "domain")
    if kind in ("service", "stack"):
        return replace(reply, refused=f"the state of a {kind} cannot be told: this version does not look at stacks")
    agent = getattr(intent, "agent", None)
    found = await world.findings(None if agent is None else [agent])
    domain = getattr(intent, "domain", None) or getattr(intent, "target", None) or getattr(intent, "subject", None)
    if domain is not None:
        found = tuple(one for one in found if one.target in (domain, zone_target(domain)))
    worst = [f"{one.severity}: {one.title} ({one.id})" for one in found[:8]]
    more = f"\n{len(found) - 8} more; {reply.command} lists them" if len(found) > 8 else ""
    answer = ("\n".join(worst) + more) if worst else "Nothing is wrong as far as the zone alone tells."
    return replace(reply, answer=answer, evidence=tuple(one.id for one in found[:8]))


async def _verify(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    head, problems = await world.ground.store.audit.verify()
    answer = "\n".join(problems) or f"The chain holds: {head.count} events, head {head.hash}."
    return replace(reply, answer=answer, evidence=(head.hash,))


async def _help(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    examples = (
        "point api at 203.0.113.9",
        "create a subdomain for the new dashboard",
        "remove the old blog record",
        "what changed yesterday?",
        "is example.com all right?",
        "undo that",
    )
    return replace(reply, answer="Say what you want, for example:\n  " + "\n  ".join(examples))
