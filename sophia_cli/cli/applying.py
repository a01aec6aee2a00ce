"""From a judged plan to an exit code: consent, the apply flow, and the report. Shared by every command that writes."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sophia_cli.cli.options import Output
from sophia_cli.cli.printing import note, result, said
from sophia_cli.core.errors import ApprovalMissing, Declined, Interrupted, StateError, UsageError, WriteFailed
from sophia_cli.core.plan import Plan

if TYPE_CHECKING:
    from sophia_cli.cli.session import Session
    from sophia_cli.core.history import Run
    from sophia_cli.flows.plan import Judged


async def settle(found: Session) -> tuple[Run, ...]:
    """Bring runs that were interrupted to a known end, before anything is planned on top of them."""
    from sophia_cli.cli.rotating import with_secrets_of_runs
    from sophia_cli.cli.stacks import with_stacks_of_runs
    from sophia_cli.flows.deploy import settle_first

    ground = await with_secrets_of_runs(found, await with_stacks_of_runs(found, found.ground()))
    runs = await settle_first(sorted(ground.targets), ground)
    for run in runs:
        note(found.common, f"settled run {run.id}, which was interrupted: {run.outcome.replace('_', ' ')}")
    if found.environment is not None and any(leg.target.startswith("config:") for run in runs for leg in run.legs):
        await found.reload()  # settling may have taken an edit of the file back
    return runs


async def carry_out(found: Session, judged: Judged) -> int:
    """Ask what has to be asked, apply, verify, print the run. Raises what the contract's exit codes stand for."""
    judged = await consented(found, judged)
    run = await applied(found, judged)
    await report(found, run, judged.plan)
    return 0


async def consented(found: Session, judged: Judged) -> Judged:
    """The plan a person agreed to: perhaps with fewer zones. Raises `Refused`, `Declined` or `ApprovalMissing`."""
    from sophia_cli.cli.session import may_ask
    from sophia_cli.flows.deploy import Consent, consent_error, missing_consent, refuse_if_denied

    common = found.common
    await note_verdict(found, judged)
    refuse_if_denied(judged)
    if judged.plan.is_empty():
        return judged
    if common.override and not may_ask(common) and judged.verdict.approved is None:
        raise Declined("--override wants a terminal or a recorded approval", hint="sophia approve PLAN_FILE")
    typed = common.confirm or ()
    consent = Consent(yes=common.yes, names=frozenset(typed) | {name.rstrip(".").lower() for name in typed})
    need = missing_consent(judged, consent)
    if need is None:
        return judged
    if need == "approval" or not may_ask(common):
        raise consent_error(need, judged)
    return await _asked(found, judged)


async def note_verdict(found: Session, judged: Judged) -> None:
    """Put what policy said, and what was proposed, into the audit log; a plan that changes nothing leaves no line."""
    if judged.plan.is_empty() and not judged.plan.proposals:
        return
    await found.stream().say(
        "judged",
        outcome=judged.verdict.decision,
        digest=judged.plan.digest,
        changes=len(judged.plan.changes),
        reasons=[reason.rule for reason in judged.verdict.reasons],
        proposals=[f"{proposal.id} {proposal.source}" for proposal in judged.plan.proposals],
    )


async def _asked(found: Session, judged: Judged) -> Judged:
    """Show the plan and ask, zone by zone."""
    from sophia_cli.cli.asking import choice, typed_name
    from sophia_cli.flows.deploy import names_wanted, refuse_if_denied
    from sophia_cli.flows.plan import judged as judge_again
    from sophia_cli.output import plan as forms
    from sophia_cli.output.style import counted

    colour = sys.stderr.isatty() and not found.common.no_color
    print(forms.text(judged.plan, judged.verdict, colour=colour), file=sys.stderr)
    skipped: set[str] = set()
    options = {
        "apply": "write this zone's changes",
        "skip": "leave this zone as it is",
        "show": "show the whole plan again, with everything that is kept",
        "quit": "leave everything as it is",
    }
    for target in [target for target in judged.plan.touched() if not target.startswith("config:")] or ["config"]:
        answer = "show"
        while answer == "show":
            changes = judged.plan.of(target) or judged.plan.changes
            answer = choice(f"{target}: {counted(len(changes), 'change')}.", options)
            if answer == "show":
                print(forms.text(judged.plan, judged.verdict, colour=colour, verbose=True), file=sys.stderr)
        if answer == "quit":
            raise Declined("declined; nothing was changed")
        if answer == "skip":
            skipped.add(target)
    if skipped:
        plan = without(judged.plan, skipped)
        if plan.is_empty():
            raise Declined("every zone was skipped; nothing was changed")
        seen = [one for target, one in judged.seen.items() if target not in skipped]
        judged = await judge_again(plan, judged.policy, seen, found.store, found.clock.now())
        refuse_if_denied(judged)
    for name in sorted(names_wanted(judged)):
        reasons = [reason.message for reason in judged.verdict.reasons if reason.needs == "name"]
        if not typed_name(name, reasons):
            raise Declined(f"{name} was not typed; nothing was changed")
    return judged


def without(plan: Plan, skipped: set[str]) -> Plan:
    """The plan without some targets. An environment edit goes too when all zones it serves are skipped."""
    zones = [target for target in plan.touched() if not target.startswith("config:")]
    changes = tuple(change for change in plan.changes if change.target not in skipped)
    if all(zone in skipped for zone in zones):
        changes = ()
    targets = tuple(target for target in plan.targets if target.id not in skipped)
    return replace(plan, changes=changes, targets=targets)


async def applied(found: Session, judged: Judged) -> Run | None:
    """Apply; a torn or failed run raises its error after its report was printed."""
    from asyncio import CancelledError

    from sophia_cli.flows.closing import failure_of
    from sophia_cli.flows.deploy import deploy

    try:
        run = await deploy(judged, found.settings, found.ground())
    except CancelledError as exc:
        if found.guard.was_torn:
            raise WriteFailed(
                "interrupted in the middle of a write; its end is not known", hint="run: sophia heal"
            ) from exc
        raise Interrupted("interrupted; nothing was being written", hint="run: sophia heal") from exc
    if run is None:
        return None
    failure = failure_of(run, found.guard)
    if failure is not None:
        await report(found, run, judged.plan)
        raise failure
    return run


async def report(found: Session, run: Run | None, plan: Plan) -> None:
    """Print how a run ended, and the head of the audit log."""
    from sophia_cli.cli.printing import wants_colour
    from sophia_cli.output.runs import head_line, run_text

    head, _ = await found.store.audit.verify()
    if found.common.output is Output.json:
        from sophia_cli.output.json_v1 import envelope

        data: dict[str, Any] = nothing_run(plan) if run is None else run.public()
        proposals = [proposal.data() for proposal in plan.proposals]
        result(envelope("run", {**data, "proposals": proposals, "audit": {"count": head.count, "head": head.hash}}))
        return
    if run is None:
        text = "Nothing to do: the targets are what the environment says.\n"
    else:
        text = run_text(run, colour=wants_colour(found.common))
    if plan.proposals:
        from sophia_cli.output.plan import proposal_lines
        from sophia_cli.output.style import Palette

        text += "\n".join(proposal_lines(plan.proposals, Palette(wants_colour(found.common)))) + "\n"
    said(found.common, text)
    note(found.common, head_line(head))
    if run is not None and found.common.ai:
        from sophia_cli.cli.counsel import summarised

        await summarised(found, run)


def nothing_run(plan: Plan) -> dict[str, Any]:
    """`sophia.run/1` of a plan that had nothing to change."""
    return {
        "run": None,
        "plan": plan.digest,
        "outcome": "nothing",
        "verified": None,
        "steps": [],
        "api_calls": 0,
        "duration_s": 0.0,
        "undo": None,
        "notes": [],
    }


def read_document(path: Path, schema: str) -> dict[str, Any]:
    """The data of a JSON document of ours. Raises `UsageError` (64) when the file is not one."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise UsageError(f"{path}: there is no such file", hint="sophia plan --out FILE makes one") from exc
    except (OSError, ValueError) as exc:
        raise UsageError(f"{path} cannot be read: {exc}") from exc
    if not isinstance(document, dict) or document.get("schema") != schema or not isinstance(document.get("data"), dict):
        raise UsageError(f"{path} is not a {schema} document", hint="sophia plan --out FILE makes one")
    data: dict[str, Any] = document["data"]
    return data


def save_document(path: Path, text: str) -> None:
    """Write a document where a person asked for it. Raises `StateError`."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise StateError(f"{path} cannot be written: {exc.strerror or exc}", hint="choose another file") from exc


async def take_approval(found: Session, path: str | None) -> None:
    """Bring an approval recorded elsewhere into the state, unless it is there already."""
    from sophia_cli.core.policy import Approval

    if path is None:
        return
    try:
        approval = Approval.from_data(read_document(Path(path), "sophia.approval/1"))
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise UsageError(f"{path} is not an approval: {exc}") from exc
    known = await found.store.approvals.of_plan(approval.plan)
    same = [one for one in known if (one.by, one.how, one.at) == (approval.by, approval.how, approval.at)]
    if approval.used or any(one.used for one in same):
        raise ApprovalMissing("this approval was used before; one serves once", hint="sophia approve PLAN_FILE")
    if not same:
        await found.store.approvals.save(approval)
