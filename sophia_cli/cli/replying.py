"""A sentence's reply on the command line: what it can be about, its words, and how its plan is carried out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from sophia_cli.cli.options import Output

if TYPE_CHECKING:
    from sophia_cli.cli.session import Session
    from sophia_cli.core.findings import Finding
    from sophia_cli.core.history import Run
    from sophia_cli.core.settings import Settings
    from sophia_cli.flows.reply import Reply, World


def world_of(found: Session, previous: tuple[Any, ...]) -> World:
    """What a sentence in this session can be about."""
    from sophia_cli.cli.analyze import examined
    from sophia_cli.cli.stacks import desk_of
    from sophia_cli.cli.state import lessons_of
    from sophia_cli.flows.reply import World

    async def findings(agents: Any) -> tuple[Finding, ...]:
        return (await examined(found, agents)).findings

    async def registrations() -> Any:
        return () if found.client is None else await found.client.domains()

    async def endpoints(hosts: Any) -> Any:
        from sophia_cli.cli.live_tls import shown

        return await shown(found, hosts)

    async def analysis(agents: Any) -> Any:
        return await examined(found, agents)

    async def prices() -> Any:
        from sophia_cli.cli.registrar import backgrounds

        known = {target: one.registration for target, one in (await backgrounds(found, ["cost"])).items()}
        return {target: one.renewal for target, one in known.items() if one is not None and one.renewal is not None}

    async def secrets() -> Any:
        from sophia_cli.cli.secrets import inventory_of

        assert found.environment is not None
        return await inventory_of(found.common, found.environment, found.settings, history=False)

    return World(
        found.settings,
        found.ground(),
        found.file,
        findings,
        registrations,
        time_zone=_time_zone(found.settings),
        previous=previous,
        counsel=found.counsel(),
        desk=desk_of(found),
        certificates=found.certificates,
        endpoints=endpoints,
        analysis=analysis,
        lessons=lessons_of(found.documents),
        prices=prices,
        secrets=None if found.environment is None else secrets,
    )


def _time_zone(settings: Settings) -> str:
    """The environment's time zone: said in `platform`, else that of its change window."""
    from sophia_cli.core.window import window

    limits = settings.intelligence.limits.window
    return settings.time_zone or ("UTC" if limits is None else window(limits).zone)


def reply_text(found: Session, reply: Reply) -> str:
    """A reply in words, foreign text escaped."""
    from sophia_cli.cli.printing import wants_colour
    from sophia_cli.output import plan as forms
    from sophia_cli.output.foreign import escaped

    lines = [escaped(line) for line in reply.reading.splitlines()]
    if reply.command:
        lines.append(f"The same as: {escaped(reply.command)}")
    lines += [escaped(line) for line in (reply.answer or "").splitlines()]
    if reply.clarify:
        lines.append(escaped(reply.clarify[0]))
        lines += [f"  {number}. {escaped(one)}" for number, one in enumerate(reply.clarify[1:], 1)]
    if reply.refused:
        lines.append(f"Not done: {escaped(reply.refused)}")
    text = "\n".join(lines) + "\n"
    if reply.judged is None:
        return text
    return text + "\n" + forms.text(reply.judged.plan, reply.judged.verdict, colour=wants_colour(found.common))


async def carried_out(found: Session, reply: Reply) -> list[Run]:
    """The runs of a reply's plan, once it has the consent that policy wants. Raises like a deploy does."""
    from sophia_cli.cli.applying import applied, consented, report
    from sophia_cli.cli.stacking import forget_empty
    from sophia_cli.flows.environments import ends_whole
    from sophia_cli.flows.reply import ENGINE

    if reply.engine != ENGINE:
        reply = await _confirmed(found, reply)
    assert reply.judged is not None
    judged = await consented(found, reply.judged)
    run = await applied(found, judged)
    if run is not None:
        await forget_empty(found, ends_whole(run.changes))
    if found.common.output is not Output.json:
        await report(found, run, judged.plan)
    return [] if run is None else [run]


async def _confirmed(found: Session, reply: Reply) -> Reply:
    """A model's reading that a person at the terminal says is what they mean. Raises `ApprovalMissing` without a person."""
    from sophia_cli.cli.asking import choice
    from sophia_cli.cli.session import may_ask
    from sophia_cli.core.errors import ApprovalMissing, Declined
    from sophia_cli.flows.ask import as_meant
    from sophia_cli.output.foreign import escaped

    if not may_ask(found.common):
        raise ApprovalMissing(
            f"only {reply.engine} reads it so; a person decides, and nothing was changed",
            hint=f"if it is what you mean: {reply.command}",
        )
    print(f"The same as: {escaped(reply.command or '')}", file=sys.stderr)
    question = f"{escaped(reply.engine)} reads it so. Is it what you mean?"
    if choice(question, {"no": "leave everything as it is", "yes": "that is what I mean"}) != "yes":
        raise Declined("not what was meant; nothing was changed")
    await found.stream().say("ask", outcome="confirmed", command=reply.command, engine=reply.engine)
    return await as_meant(reply, world_of(found, ()))
