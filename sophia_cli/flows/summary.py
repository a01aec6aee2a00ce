"""Summaries: prose of a model about one run or about quoted evidence, beside what our own code says. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sophia_cli.core.changes import Change, Payload
from sophia_cli.core.dns import Record
from sophia_cli.core.history import Run, timestamp
from sophia_cli.core.language import Prompt
from sophia_cli.flows.counsel import Counsel
from sophia_cli.reasoning.evidence import typed
from sophia_cli.reasoning.prompts import summary_prompt
from sophia_cli.reasoning.prose import Prose

MOST_CHANGES = 60


@dataclass(frozen=True, slots=True)
class Summary:
    """What a model says; `cites` are the ids it names of those it was told. `is_whole` is False where it broke off."""

    text: str
    by: str
    """`model:HOST`."""
    cites: tuple[str, ...]
    is_whole: bool

    def data(self) -> dict[str, Any]:
        """The public shape."""
        return {"text": self.text, "by": self.by, "cites": list(self.cites), "whole": self.is_whole}


def run_facts(run: Run) -> dict[str, Any]:
    """A run as typed facts. Reasons, messages and notes stay here: they may repeat what strangers wrote."""
    outcomes = {step.change: step.outcome for step in run.steps}
    told = run.changes[:MOST_CHANGES]
    return {
        "run": run.id,
        "command": run.command,
        "started": timestamp(run.started),
        "outcome": run.outcome,
        "verified_from_outside": run.verified,
        "ends": None if run.ends is None else timestamp(run.ends),
        "targets": [{"target": leg.target, "phase": leg.phase} for leg in run.legs],
        "changes": [_change_facts(change, outcomes.get(change.id, "")) for change in told],
        "left_out": len(run.changes) - len(told),
    }


def run_question(run: Run, *, streamed: bool = False) -> Prompt:
    """What a model is asked about a run."""
    return replace(summary_prompt(run_facts(run)), streamed=streamed)


async def summary(run: Run, counsel: Counsel, show: Callable[[str], None], *, streamed: bool = False) -> Summary | None:
    """A model's summary of a run; `show` gets its words as they come. None where it said nothing."""
    ids = [run.id, *(change.id for change in run.changes), *(leg.target for leg in run.legs)]
    return await prose(run_question(run, streamed=streamed), ids, counsel, show)


async def prose(prompt: Prompt, ids: list[str], counsel: Counsel, show: Callable[[str], None]) -> Summary | None:
    """A model's prose, its pseudonyms turned back and its links left out."""
    words, told = Prose(ids, counsel.veil.shown), []

    def hear(piece: str) -> None:
        if text := words.feed(piece):
            told.append(text)
            show(text)

    is_whole = await counsel.tell(prompt, hear)
    if last := words.end():
        told.append(last)
        show(last)
    text = "".join(told).strip()
    return Summary(text, counsel.engine, tuple(sorted(words.cited)), is_whole) if text else None


def _change_facts(change: Change, outcome: str) -> dict[str, Any]:
    return {
        "id": change.id,
        "target": change.target,
        "kind": change.kind,
        "action": change.action,
        "before": _payload_facts(change.before, frozenset()),
        "after": _payload_facts(change.after, change.hidden),
        "risk": change.risk,
        "reversible": change.reversible,
        "source": change.source,
        "outcome": outcome,
    }


def _payload_facts(payload: Payload | None, hidden: frozenset[str]) -> Mapping[str, Any] | None:
    """A record as typed facts; of anything else nothing but that it is there."""
    if not isinstance(payload, Record):
        return None
    value = {"hidden": True} if "value" in hidden else typed(payload)
    return {"name": payload.name, "type": payload.type, "ttl": payload.ttl, "is": value}
