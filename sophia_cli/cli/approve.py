"""`sophia approve`: record an approval bound to a plan's digest."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only, result, said


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "approve")
    def approve(
        common: Common,
        plan_file: Annotated[Path, typer.Argument(metavar="PLAN_FILE", help="A plan made by: sophia plan --out FILE.")],
        by: Annotated[
            str | None, typer.Option("--by", metavar="WHO", help="Who approves, away from a terminal.")
        ] = None,
        out: Annotated[
            Path | None, typer.Option("--out", metavar="FILE", help="Write the approval to a file too.")
        ] = None,
    ) -> int:
        """Record an approval of exactly this plan: bound to its digest, for 24 hours, for one use."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_approve(common, plan_file, by, out))


async def _approve(common: Common, plan_file: Path, by: str | None, out: Path | None) -> int:
    import sys

    from sophia_cli.cli.actor import actor
    from sophia_cli.cli.applying import read_document, save_document
    from sophia_cli.cli.asking import typed_name
    from sophia_cli.cli.deploy import with_file
    from sophia_cli.cli.plan import planned, rendered
    from sophia_cli.cli.runtime import session
    from sophia_cli.cli.session import may_ask
    from sophia_cli.core.errors import Declined, UsageError
    from sophia_cli.core.policy import APPROVAL_HOURS
    from sophia_cli.flows.deploy import record_approval, refuse_if_denied, stale_error
    from sophia_cli.output.json_v1 import envelope

    document = read_document(plan_file, "sophia.plan/1")
    async with session(common, "approve") as found:
        judged = await with_file(found, await planned(found), document)
        if judged.plan.digest != document.get("digest"):
            raise stale_error(str(document.get("digest")), judged.plan)
        refuse_if_denied(judged)
        if judged.plan.is_empty():
            raise UsageError(f"{plan_file}: the plan changes nothing, so there is nothing to approve")
        print(rendered(judged, common) if common.output is Output.text else "", file=sys.stderr, end="")
        names = sorted({target.partition(":")[2] for target in judged.plan.touched()})
        if may_ask(common):
            how, who = "terminal", by or actor()
            for name in names:
                if not typed_name(name, [f"approves {len(judged.plan.changes)} changes, plan {judged.plan.digest}"]):
                    raise Declined(f"{name} was not typed; nothing is approved")
        else:
            how, who = "unattended", by or ""
            missing = set(names) - {name.rstrip(".").lower() for name in common.confirm or ()}
            missing = {name for name in missing if f"config:{name}" not in judged.plan.touched()}
            if missing or not who:
                wanted = " ".join(f"--confirm {name}" for name in sorted(missing))
                raise Declined(
                    "away from a terminal an approval wants the zones' names and who approves",
                    hint=f"add {wanted} --by WHO; it counts only where limits.approvals lists unattended",
                )
        approval = await record_approval(judged.plan, who, how, found.ground(), APPROVAL_HOURS)
    text = envelope("approval", approval.data())
    if out is not None:
        save_document(out, text)
    if common.output is Output.json:
        result(text)
    else:
        said(common, f"approved {approval.plan} by {approval.by} ({how}) until {approval.until:%Y-%m-%d %H:%M} UTC\n")
    return 0
