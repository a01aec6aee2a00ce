"""`sophia deploy`: apply a plan under approval, verify, roll back when verification fails."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sophia_cli.cli.counsel import ShowPayload
from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only

if TYPE_CHECKING:
    from sophia_cli.cli.session import Session
    from sophia_cli.core.changes import Change
    from sophia_cli.flows.plan import Judged


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "deploy")
    def deploy(
        common: Common,
        plan_file: Annotated[
            Path | None, typer.Argument(metavar="[PLAN_FILE]", help="A plan made by: sophia plan --out FILE.")
        ] = None,
        accept: Annotated[
            list[str] | None, typer.Option("--accept", metavar="ID|safe", help="Accept a proposal (repeatable).")
        ] = None,
        show_payload: ShowPayload = False,
    ) -> int:
        """Apply a plan under approval, verify it, and take it back when verification fails."""
        only(common, Output.text, Output.json, Output.markdown)
        if show_payload:
            from sophia_cli.cli.plan import payload

            return asyncio.run(payload(common, "deploy"))
        return asyncio.run(_deploy(common, plan_file, tuple(accept or ())))


async def _deploy(common: Common, plan_file: Path | None, accept: tuple[str, ...]) -> int:
    from dataclasses import replace

    from sophia_cli.cli.applying import carry_out, read_document, settle, take_approval
    from sophia_cli.cli.plan import planned
    from sophia_cli.cli.runtime import session
    from sophia_cli.flows.deploy import stale_error

    document = None if plan_file is None else read_document(plan_file, "sophia.plan/1")
    if accept and common.ai is None:
        common = replace(common, ai=True)
    async with session(common, "deploy") as found:
        await settle(found)
        await take_approval(found, common.approval)
        judged = await planned(found)
        if document is not None:
            judged = await with_file(found, judged, document)
            if judged.plan.digest != document.get("digest"):
                raise stale_error(str(document.get("digest")), judged.plan)
        judged = await _accepting(found, judged, accept)
        return await carry_out(found, judged)


async def with_file(found: Session, judged: Judged, document: dict[str, object]) -> Judged:
    """The rebuilt plan with the proposals that were accepted when the file was made: the only thing read from it."""
    from sophia_cli.core.certificates import OWN_SOURCES
    from sophia_cli.core.changes import Change
    from sophia_cli.core.errors import UsageError
    from sophia_cli.flows.accept import accepted

    try:
        listed = [Change.from_data(data) for data in document.get("changes", ())]  # type: ignore[attr-defined]
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise UsageError(f"the plan file is not a plan: {exc!r}", hint="sophia plan --out FILE makes one") from exc
    foreign = [
        change
        for change in listed
        if change.source.startswith(("rule:", "model:"))
        and (change.kind != "config.value" or _is_tuning(change))
        and change.source not in OWN_SOURCES  # which only the issuing flow may claim
    ]
    return await accepted(judged, foreign, found.settings, found.file, found.store)


async def _accepting(found: Session, judged: Judged, accept: tuple[str, ...]) -> Judged:
    """The plan with the proposals that were accepted by option or, on a terminal, one by one."""
    from sophia_cli.cli.learning import rejected
    from sophia_cli.cli.plan import with_accepted
    from sophia_cli.cli.session import may_ask

    if accept:
        return await with_accepted(found, judged, accept)
    if found.common.yes or not may_ask(found.common):
        return await with_accepted(found, judged, ())
    ids = [one.id for one in judged.plan.proposals if agreed(found, one.id, one.changes, one.reason)]
    await rejected(found, [one for one in judged.plan.proposals if one.id not in ids], judged.plan.digest)
    return await with_accepted(found, judged, ids)


def _is_tuning(change: Change) -> bool:
    """Whether it is an edit of the environment that a tuning rule may propose; other edits follow from their records."""
    from sophia_cli.core.changes import ConfigValue
    from sophia_cli.core.tuning import is_tuning

    return isinstance(change.after, ConfigValue) and is_tuning(change.source, change.after.path)


def agreed(found: Session, name: str, changes: tuple[Change, ...], reason: str) -> bool:
    """Whether a person at the terminal accepts one proposal; `--yes` accepts none."""
    import sys

    from sophia_cli.cli.asking import choice
    from sophia_cli.cli.session import may_ask
    from sophia_cli.output.changes import change_lines
    from sophia_cli.output.foreign import escaped
    from sophia_cli.output.style import Palette

    if found.common.yes or not may_ask(found.common):
        return False
    palette = Palette(not found.common.no_color)
    lines = [f"{name}: {escaped(reason)}", *(line for change in changes for line in change_lines(change, palette))]
    print("\n".join(lines), file=sys.stderr)
    return choice("Accept this proposal?", {"no": "leave it", "yes": "add it to the plan"}) == "yes"
