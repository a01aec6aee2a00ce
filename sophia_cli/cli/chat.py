"""The chat of `sophia ask`: sentences with context, /plan, /show, /apply and /quit. Writes on /apply alone."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from sophia_cli.cli.options import Output
from sophia_cli.cli.printing import note, result

if TYPE_CHECKING:
    from sophia_cli.cli.session import Session
    from sophia_cli.flows.conversation import Conversation
    from sophia_cli.flows.reply import Reply

HELP = "/plan shows the plan, /show all of it with what is kept, /apply applies it, /quit ends"


async def chat(found: Session) -> int:
    """A conversation: what was last understood is context for the next sentence. An error ends a sentence, not the chat."""
    from sophia_cli.cli.asking import chat_line
    from sophia_cli.cli.redaction import redacted_error
    from sophia_cli.core.errors import SophiaError
    from sophia_cli.flows.conversation import Conversation
    from sophia_cli.output.runs import error_text

    print(f"sophia. Say what you want; {HELP}.", file=sys.stderr)
    talk = Conversation()
    while (text := chat_line("> ")) is not None and text not in ("/quit", "/exit", "/q"):
        try:
            if text.startswith("/"):
                talk = await _command(found, text, talk)
            elif text:
                talk = await _sentence(found, text, talk)
        except SophiaError as exc:
            print(error_text(redacted_error(exc)), file=sys.stderr, end="")
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if text.startswith("/") or task is None:
                raise
            task.uncancel()  # a sentence writes nothing, so Ctrl-C ends the sentence and not the chat
            print("stopped; nothing was changed", file=sys.stderr)
    return 0


async def _command(found: Session, text: str, talk: Conversation) -> Conversation:
    from sophia_cli.cli.printing import wants_colour
    from sophia_cli.cli.replying import carried_out
    from sophia_cli.output import plan as forms

    if text not in ("/plan", "/show", "/apply"):
        note(found.common, HELP)
        return talk
    reply = talk.pending
    if reply is None or reply.judged is None:
        note(found.common, "there is no plan yet")
        return talk
    if text != "/apply":
        judged, colour = reply.judged, wants_colour(found.common)
        if found.common.output is Output.json:
            _print_line(reply)
        else:
            result(forms.text(judged.plan, judged.verdict, colour=colour, verbose=text == "/show"))
        return talk
    runs = await carried_out(found, reply)
    if found.environment is not None and any(leg.target.startswith("config:") for run in runs for leg in run.legs):
        await found.reload()  # the next sentence is about the environment as it is now
    return talk.applied()


async def _sentence(found: Session, text: str, talk: Conversation) -> Conversation:
    from sophia_cli.cli.counsel import say
    from sophia_cli.cli.replying import reply_text, world_of
    from sophia_cli.flows.ask import as_meant, ask
    from sophia_cli.flows.reply import Reply

    if (said := talk.about_plan(text)) is not None:
        talk, answer = said
        _show(found, Reply(text, "", answer=answer), answer)
        return talk
    world = world_of(found, talk.previous)
    chosen = talk.chosen(text)
    if chosen is not None:
        taken = Reply(text, chosen.reading(), (chosen,), chosen.command())
        reply = await as_meant(taken, world)
    else:
        reply = await ask(text, world)
        if (both := talk.together(text, reply)) is not None:
            reply = await as_meant(both, world)
        elif talk.pending is not None and reply.judged is not None and not reply.judged.plan.is_empty():
            note(found.common, "This takes the place of the plan before it, which was not applied.")
    say(found)
    outcome = "refused" if reply.goes_nowhere else "read"
    await found.stream().say("ask", outcome=outcome, command=reply.command, engine=reply.engine)
    _show(found, reply, reply_text(found, reply))
    return talk.heard(reply)


def _show(found: Session, reply: Reply, text: str) -> None:
    from sophia_cli.output.foreign import escaped

    if found.common.output is Output.json:
        _print_line(reply)
    elif reply.reading or reply.clarify or reply.refused:
        result(text)
    else:
        result("\n".join(escaped(line) for line in text.splitlines()) + "\n")


def _print_line(reply: Reply) -> None:
    from sophia_cli.output.json_v1 import line, plan_data

    plan = None if reply.judged is None else plan_data(reply.judged.plan, reply.judged.verdict)
    result(line("ask", reply.data((), plan)))
