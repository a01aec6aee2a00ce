"""A language model in a command: what it proposes and explains, and what would leave the machine. Decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sophia_cli.cli.options import Common, Output
from sophia_cli.cli.printing import note, result

if TYPE_CHECKING:
    from sophia_cli.cli.session import Session
    from sophia_cli.core.history import Run
    from sophia_cli.core.language import Prompt
    from sophia_cli.core.settings import Settings
    from sophia_cli.flows.analyze import Analysis
    from sophia_cli.flows.plan import Judged
    from sophia_cli.flows.summary import Summary

ShowPayload = Annotated[
    bool,
    typer.Option("--show-payload", help="Print what would be sent to the language model; send and change nothing."),
]
NO_MODEL = "no language model is used: the proposals are made by rules"


async def advised(found: Session, judged: Judged) -> Judged:
    """The plan with a model's proposals behind those of the rules; the same plan where no model is set up, or it is silent."""
    from dataclasses import replace

    from sophia_cli.flows.counsel import proposals, with_proposals
    from sophia_cli.output.counsel import counsel_text

    counsel = found.counsel()
    if counsel is None:
        note(found.common, NO_MODEL)
        return judged
    zones = [seen.zone for seen in judged.seen.values()]
    made, told = await proposals(found.settings, zones, found.clock.now(), judged.plan, counsel)
    say(found)
    if told:
        note(found.common, counsel_text([one.data() for one in told]).strip())
    return replace(judged, plan=with_proposals(judged.plan, made))


async def explained(found: Session, analysis: Analysis) -> Analysis:
    """The analysis with what a model says and proposes; the same one where none is set up or asked for."""
    from dataclasses import replace

    from sophia_cli.flows.counsel import explanations

    counsel = found.counsel() if found.common.ai and found.settings.intelligence.enabled else None
    if counsel is None:
        if found.common.ai:
            note(found.common, "no language model is used: what is proposed is made by rules")
        return analysis
    zones, now = await _zones(found), found.clock.now()
    told, offered = await explanations(found.settings, zones, now, analysis.findings, analysis.proposals, counsel)
    say(found)
    return replace(analysis, told=told, offered=offered)


async def _zones(found: Session) -> list[Any]:
    from sophia_cli.flows.plan import observe

    return [seen.zone for seen in await observe(found.settings, found.targets, found.store)]


def say(found: Session) -> None:
    """Say what became of each question to a model, and what it took."""
    from sophia_cli.output.foreign import escaped

    counsel = found.counsel()
    if counsel is not None:
        for line in counsel.notes:
            note(found.common, escaped(line))
        counsel.notes.clear()


# -- prose -------------------------------------------------------------------------------------------------------------


async def summarised(found: Session, run: Run) -> None:
    """Say on stderr what a model says of a run that has ended, where `--ai-enhanced` asks for it. Changes no exit code.

    A model that failed before in this command is not asked, and a document on stdout never waits for one.
    """
    from sophia_cli.core.errors import SophiaError

    common = found.common
    counsel = found.counsel() if common.ai and not common.is_quiet and common.output is not Output.json else None
    if counsel is None or counsel.was_silent or found.guard.stop_requested():
        return
    try:
        await _told(found, run)
    except asyncio.CancelledError:
        note(common, "\nthe summary is left out: interrupted")
    except SophiaError as exc:
        note(common, f"the summary is left out: {exc.message}")


async def _told(found: Session, run: Run) -> Summary | None:
    """A model's summary, printed to stderr as it comes; streamed where stderr is a terminal."""
    from sophia_cli.flows.summary import summary

    counsel = found.counsel()
    assert counsel is not None
    quoted = Quoted(f"What {counsel.engine} says of run {run.id}; sophia did not check it:")
    told = await summary(run, counsel, quoted.show, streamed=sys.stderr.isatty())
    quoted.end()
    if told is not None and not told.cites:
        note(found.common, "It names no id of what it was told.")
    say(found)
    return told


class Quoted:
    """Words of a model on stderr, each line marked, every steering character shown. Prints nothing before the first."""

    def __init__(self, head: str) -> None:
        self._head = head
        self._at_start = True

    def show(self, text: str) -> None:
        """The next words; a line end in them begins another marked line."""
        from sophia_cli.output.foreign import escaped

        out = "" if self._head == "" else f"{escaped(self._head)}\n"
        self._head = ""
        for number, line in enumerate(text.split("\n")):
            out += "\n" if number else ""
            self._at_start = self._at_start or number > 0
            if line:
                out += ("| " if self._at_start else "") + escaped(line)
                self._at_start = False
        self._print(out)

    def end(self) -> None:
        """End the last line."""
        if not self._at_start:
            self._print("\n")

    @staticmethod
    def _print(text: str) -> None:
        with contextlib.suppress(OSError):
            print(text, end="", file=sys.stderr, flush=True)


async def summary_of_run(common: Common, id: str, *, show_payload: bool) -> Summary | None:
    """What a model says of one run in the journal, on stderr unless the output is JSON. Raises `UsageError` for no run."""
    from sophia_cli.cli.runtime import session
    from sophia_cli.core.errors import UsageError
    from sophia_cli.flows.summary import run_question, summary

    async with session(common, "audit") as found:
        run = await found.store.journal.get(id)
        if run is None:
            raise UsageError(f"there is no run {id}", hint="sophia audit show lists runs")
        if show_payload:
            show(found, {"summary": run_question(run, streamed=_streams(common))})
            return None
        counsel = found.counsel()
        if counsel is None:
            note(common, "no language model is set up or allowed, so nobody summarises the run")
            return None
        if common.output is not Output.json:
            return await _told(found, run)
        told = await summary(run, counsel, lambda text: None)
        say(found)
        return told


def _streams(common: Common) -> bool:
    return common.output is not Output.json and sys.stderr.isatty()


# -- what is set up ----------------------------------------------------------------------------------------------------


async def model_look(common: Common, settings: Settings) -> tuple[bool | None, str, str]:
    """How a model is set up, for `sophia doctor`: fine or not, what, and what mends it. Asks it with `--ai-enhanced` only."""
    from sophia_cli.core.errors import SophiaError
    from sophia_cli.output.foreign import escaped
    from sophia_cli.providers.model.address import host_of

    model = settings.intelligence.model
    if model is None:
        return None, "none is configured; rules and the offline grammar are used", ""
    if common.ai is False or not settings.intelligence.enabled:
        return None, "switched off; rules and the offline grammar are used", ""
    host = host_of(model.base_url)
    key = "with a key" if model.api_key is not None else "without a key"
    limit = "no cost limit" if model.max_cost_usd is None else f"at most ${model.max_cost_usd} a command"
    text = f"{model.name} at {host}, {key}, {limit}, {model.timeout_s} s a question"
    try:
        form, failure = await _form(common, settings, host)
    except SophiaError as exc:
        return False, f"{text}; {exc.message}", exc.hint or ""
    if failure is not None:
        return (
            False,
            f"{text}; {escaped(failure)}",
            "sophia works on without it; correct ai_infrastructure.model, or --no-ai",
        )
    if form is None:
        return True, f"{text}; not asked yet (sophia doctor --ai-enhanced asks it once)", ""
    return True, f"{text}; it answers in the form {form}", ""


async def _form(common: Common, settings: Settings, host: str) -> tuple[str | None, str | None]:
    """The form that a host is known to answer in, and why it does not answer where it was asked now."""
    from sophia_cli.cli.runtime import connected
    from sophia_cli.core.language import Silent
    from sophia_cli.core.settings import Settings
    from sophia_cli.flows.counsel import probed

    model = settings.intelligence.model
    assert model is not None
    # Neither zones nor stacks: what is missing for those says nothing of the model.
    alone = Settings(settings.environment, settings.stack, intelligence=settings.intelligence, secrets=settings.secrets)
    async with connected(common, "doctor", alone, settings.writable) as found:
        counsel = found.counsel()
        assert counsel is not None
        if common.ai:
            got = await probed(counsel)
            if isinstance(got, Silent):
                return None, got.reason
        return await counsel.memory.rung(host, model.name), None


# -- what would leave the machine ---------------------------------------------------------------------------------------


async def show_advice_payload(found: Session, judged: Judged | None, analysis: Analysis | None = None) -> int:
    """Print what `--ai-enhanced` would send about a plan or an analysis."""
    from sophia_cli.flows.counsel import advice_evidence, findings_after
    from sophia_cli.reasoning.prompts import advice_prompt

    if judged is not None:
        zones = [seen.zone for seen in judged.seen.values()]
        later, findings = findings_after(found.settings, zones, found.clock.now(), judged.plan)
        prompt = advice_prompt(advice_evidence(later, findings).facts)
    else:
        assert analysis is not None
        prompt = advice_prompt(advice_evidence(await _zones(found), analysis.findings).facts)
    return show(found, {"advice": prompt})


async def show_reading_payload(found: Session, text: str, world: Any) -> int:
    """Print what `ask` would send for a sentence and text piped beside it: nothing where the grammar understands it."""
    from sophia_cli.cli.asking import piped
    from sophia_cli.flows.ask import question_for_model
    from sophia_cli.flows.quoted import MOST_BYTES, question_beside

    prompt = await question_for_model(text, world)
    if prompt is None:
        return show(found, {})
    prompts, beside = {"reading": prompt}, piped(MOST_BYTES)
    if beside is not None and (about := await question_beside(text, beside.text, world, cut=beside.cut)) is not None:
        prompts["quoted"] = about
    return show(found, prompts)


def show(found: Session, prompts: dict[str, Prompt]) -> int:
    """Print the requests of some prompts as one JSON document (`sophia.payload/1`)."""
    from sophia_cli.flows.counsel import payloads
    from sophia_cli.output.json_v1 import envelope

    counsel = found.counsel()
    host = None if counsel is None else counsel.model.host
    requests = [] if counsel is None else payloads(counsel.model, prompts)
    result(envelope("payload", {"host": host, "requests": requests}))
    if counsel is None:
        note(found.common, "no language model is set up or allowed, so nothing would leave this machine")
    return 0
