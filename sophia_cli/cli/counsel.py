"""A language model in a command: what it proposes and explains, and what would leave the machine. Decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sophia_cli.cli.printing import note, result

if TYPE_CHECKING:
    from sophia_cli.cli.runtime import Session
    from sophia_cli.core.language import Prompt
    from sophia_cli.flows.analyze import Analysis
    from sophia_cli.flows.counsel import Told
    from sophia_cli.flows.plan import Judged

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


async def explained(found: Session, analysis: Analysis) -> tuple[Told, ...]:
    """What a model says of an analysis; empty where none is set up or asked for."""
    from sophia_cli.flows.counsel import explanations

    counsel = found.counsel() if found.common.ai and found.settings.intelligence.enabled else None
    if counsel is None:
        if found.common.ai:
            note(found.common, "no language model is used: what is proposed is made by rules")
        return ()
    told = await explanations(await _zones(found), analysis.findings, counsel)
    say(found)
    return told


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
    """Print what `ask` would send for a sentence: nothing where the grammar understands it by itself."""
    from sophia_cli.flows.ask import question_for_model

    prompt = await question_for_model(text, world)
    return show(found, {} if prompt is None else {"reading": prompt})


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
