"""`sophia ask`: plain language to a reading, an equal command, a plan; on a terminal without a text, a chat."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sophia_cli.cli.counsel import ShowPayload
from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import note, only, result, said
from sophia_cli.cli.replying import carried_out, reply_text, world_of

if TYPE_CHECKING:
    from sophia_cli.cli.session import Session
    from sophia_cli.core.history import Run
    from sophia_cli.flows.reply import Reply


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
    from sophia_cli.cli.runtime import session
    from sophia_cli.cli.session import may_ask
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
    from sophia_cli.cli.session import may_ask
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


def _print_json(reply: Reply, runs: list[Run]) -> None:
    from sophia_cli.cli.redaction import redacted
    from sophia_cli.output.json_v1 import envelope, plan_data

    plan: dict[str, Any] | None = None
    if reply.judged is not None:
        plan = plan_data(reply.judged.plan, reply.judged.verdict)
    result(envelope("ask", {**reply.data(runs, plan), "text": redacted(reply.text)}))
