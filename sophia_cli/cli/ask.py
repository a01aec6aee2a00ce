"""`sophia ask`: plain language to a reading, an equal command, a plan; on a terminal without a text, a chat."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sophia_cli.cli.counsel import ShowPayload
from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import note, only, result, said

if TYPE_CHECKING:
    from sophia_cli.cli.runtime import Session
    from sophia_cli.core.findings import Finding
    from sophia_cli.core.history import Run
    from sophia_cli.core.settings import Settings
    from sophia_cli.flows.reply import Reply, World


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "ask")
    def ask(
        common: Common,
        text: Annotated[
            list[str] | None, typer.Argument(metavar="[TEXT]", help="What you want, in plain words.")
        ] = None,
        show_payload: ShowPayload = False,
    ) -> int:
        """Say it in plain language: get a reading, the equal command, and a plan behind the same gate as deploy."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_ask(common, " ".join(text) if text else None, show_payload=show_payload))


async def _ask(common: Common, text: str | None, *, show_payload: bool = False) -> int:
    from sophia_cli.cli.applying import settle
    from sophia_cli.cli.runtime import may_ask, session
    from sophia_cli.core.errors import UsageError

    async with session(common, "ask") as found:
        if show_payload:
            from sophia_cli.cli.counsel import show_reading_payload

            return await show_reading_payload(found, text or "", world_of(found, ()))
        if common.yes or may_ask(common):
            await settle(found)
        if text is not None:
            return await _once(found, text)
        if may_ask(common):
            from sophia_cli.cli.chat import chat

            return await chat(found)
        raise UsageError("there is nothing to answer", hint='sophia ask "point api at 203.0.113.9"')


async def _once(found: Session, text: str) -> int:
    from sophia_cli.cli.asking import piped
    from sophia_cli.cli.counsel import say
    from sophia_cli.cli.runtime import may_ask
    from sophia_cli.flows.ask import ask
    from sophia_cli.flows.quoted import MOST_BYTES
    from sophia_cli.flows.quoted import beside as quoted
    from sophia_cli.flows.reply import ENGINE

    world = world_of(found, ())
    reply = await ask(text, world)
    if (beside := piped(MOST_BYTES)) is not None:
        reply = await quoted(reply, beside.text, world, cut=beside.cut)
    outcome = "refused" if reply.goes_nowhere else "read"
    await found.stream().say("ask", outcome=outcome, command=reply.command, engine=reply.engine)
    say(found)
    runs: list[Run] = []
    if found.common.output is not Output.json:
        said(found.common, reply_text(found, reply))
    wants_write = reply.judged is not None and not reply.judged.plan.is_empty()
    try:
        if wants_write and (found.common.yes or may_ask(found.common) or reply.engine != ENGINE):
            runs += await carried_out(found, reply)
        elif wants_write:
            note(
                found.common,
                f"Nothing is changed yet; to do it: {(reply.command or '').replace(' && ', ' --yes && ')} --yes",
            )
    finally:
        if found.common.output is Output.json:
            _print_json(reply, runs)
    return 3 if reply.goes_nowhere else 0


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
    from sophia_cli.cli.runtime import may_ask
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


def _print_json(reply: Reply, runs: list[Run]) -> None:
    from sophia_cli.cli.redaction import redacted
    from sophia_cli.output.json_v1 import envelope, plan_data

    plan: dict[str, Any] | None = None
    if reply.judged is not None:
        plan = plan_data(reply.judged.plan, reply.judged.verdict)
    result(envelope("ask", {**reply.data(runs, plan), "text": redacted(reply.text)}))


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


def _time_zone(settings: Settings) -> str:
    """The environment's time zone: said in `platform`, else that of its change window."""
    from sophia_cli.core.window import window

    limits = settings.intelligence.limits.window
    return settings.time_zone or ("UTC" if limits is None else window(limits).zone)


def world_of(found: Session, previous: tuple[Any, ...]) -> World:
    """What a sentence in this session can be about."""
    from sophia_cli.cli.analyze import examined
    from sophia_cli.cli.runtime import lessons_of
    from sophia_cli.cli.stacks import desk_of
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
