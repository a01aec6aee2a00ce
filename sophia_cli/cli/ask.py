"""`sophia ask`: plain language to a reading, an equal command, a plan; on a terminal without a text, a chat."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import note, only, result, said

if TYPE_CHECKING:
    from sophia_cli.cli.runtime import Session
    from sophia_cli.core.findings import Finding
    from sophia_cli.core.history import Run
    from sophia_cli.flows.reply import Reply, World

_HELP = "/plan shows the last plan, /apply applies it, /quit ends"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "ask")
    def ask(
        common: Common,
        text: Annotated[
            list[str] | None, typer.Argument(metavar="[TEXT]", help="What you want, in plain words.")
        ] = None,
    ) -> int:
        """Say it in plain language: get a reading, the equal command, and a plan behind the same gate as deploy."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_ask(common, " ".join(text) if text else None))


async def _ask(common: Common, text: str | None) -> int:
    from sophia_cli.cli.applying import settle
    from sophia_cli.cli.runtime import may_ask, session
    from sophia_cli.core.errors import UsageError

    async with session(common, "ask") as found:
        if common.yes or may_ask(common):
            await settle(found)
        if text is not None:
            return await _once(found, text)
        if may_ask(common):
            return await _chat(found)
        raise UsageError("there is nothing to answer", hint='sophia ask "point api at 203.0.113.9"')


async def _once(found: Session, text: str) -> int:
    from sophia_cli.cli.runtime import may_ask
    from sophia_cli.flows.ask import ask

    reply = await ask(text, _world(found, ()))
    await found.stream().say("ask", outcome="refused" if reply.goes_nowhere else "read", command=reply.command)
    runs: list[Run] = []
    if found.common.output is not Output.json:
        said(found.common, _text(found, reply))
    wants_write = reply.judged is not None and not reply.judged.plan.is_empty()
    try:
        if wants_write and (found.common.yes or may_ask(found.common)):
            runs += await _carry_out(found, reply)
        elif wants_write:
            note(found.common, f"Nothing is changed yet; to do it: {reply.command} --yes")
    finally:
        if found.common.output is Output.json:
            _print_json(reply, runs)
    return 3 if reply.goes_nowhere else 0


async def _carry_out(found: Session, reply: Reply) -> list[Run]:
    from sophia_cli.cli.applying import applied, consented, report

    assert reply.judged is not None
    judged = await consented(found, reply.judged)
    run = await applied(found, judged)
    if found.common.output is not Output.json:
        await report(found, run, judged.plan)
    return [] if run is None else [run]


def _print_json(reply: Reply, runs: list[Run]) -> None:
    from sophia_cli.output.json_v1 import envelope, plan_data

    plan: dict[str, Any] | None = None
    if reply.judged is not None:
        plan = plan_data(reply.judged.plan, reply.judged.verdict)
    result(envelope("ask", reply.data(runs, plan)))


def _text(found: Session, reply: Reply) -> str:
    from sophia_cli.cli.runtime import wants_colour
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


def _world(found: Session, previous: tuple[Any, ...]) -> World:
    from sophia_cli.cli.analyze import examined
    from sophia_cli.flows.reply import World

    async def findings(agents: Any) -> tuple[Finding, ...]:
        return (await examined(found, agents)).findings

    async def registrations() -> Any:
        return () if found.client is None else await found.client.domains()

    return World(found.settings, found.ground(), found.file, findings, registrations, previous=previous)


# -- chat ---------------------------------------------------------------------------------------------------------------


async def _chat(found: Session) -> int:
    """A conversation: what was last understood is context for the next sentence."""
    from sophia_cli.cli.asking import chat_line
    from sophia_cli.core.errors import SophiaError
    from sophia_cli.flows.ask import ask
    from sophia_cli.output.runs import error_text

    print(f"sophia. Say what you want; {_HELP}.", file=sys.stderr)
    last: Reply | None = None
    previous: tuple[Any, ...] = ()
    while (text := chat_line("> ")) is not None and text not in ("/quit", "/exit"):
        try:
            if text in ("/plan", "/show", "/apply"):
                await _chat_command(found, text, last)
            elif text.startswith("/"):
                note(found.common, _HELP)
            elif text:
                last = await ask(text, _world(found, previous))
                previous = last.intents or previous
                if found.common.output is Output.json:
                    _print_line(last)
                else:
                    result(_text(found, last))
        except SophiaError as exc:
            print(error_text(exc), file=sys.stderr, end="")
    return 0


async def _chat_command(found: Session, text: str, last: Reply | None) -> None:
    if last is None or last.judged is None or last.judged.plan.is_empty():
        note(found.common, "there is no plan yet")
    elif text == "/apply":
        await _carry_out(found, last)
    else:
        result(_text(found, last))


def _print_line(reply: Reply) -> None:
    from sophia_cli.output.json_v1 import line, plan_data

    plan = None if reply.judged is None else plan_data(reply.judged.plan, reply.judged.verdict)
    result(line("ask", reply.data((), plan)))
