"""`sophia stack scale`: a service made larger or smaller within its bounds, for good or for a while."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only
from sophia_cli.core.errors import Refused, UsageError

if TYPE_CHECKING:
    from sophia_cli.flows.scaling import Scaling


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "scale")
    def scale(
        common: Common,
        service: Annotated[str, typer.Argument(metavar="SERVICE", help="A service of the environment, or its alias.")],
        up: Annotated[bool, typer.Option("--up", help="Make it larger.")] = False,
        down: Annotated[bool, typer.Option("--down", help="Make it smaller.")] = False,
        to: Annotated[int | None, typer.Option("--to", metavar="N", min=0, help="To this size.")] = None,
        by: Annotated[str | None, typer.Option("--by", metavar="N|N%", help="By so much (default: one step).")] = None,
        until: Annotated[
            str | None, typer.Option("--until", metavar="TIME", help="Put back by sophia heal at this time.")
        ] = None,
        for_: Annotated[
            str | None, typer.Option("--for", metavar="DURATION", help="Put back after so long: 90m, 1h30m, 2d.")
        ] = None,
        from_: Annotated[str | None, typer.Option("--from", metavar="TIME", hidden=True)] = None,
        every: Annotated[str | None, typer.Option("--every", metavar="PERIOD", hidden=True)] = None,
    ) -> int:
        """Scale a service, within its bounds: one value of its stack's configuration, in the environment and the stack."""
        only(common, Output.text, Output.json, Output.markdown)
        if from_ is not None or every is not None:
            raise Refused(
                "sophia begins nothing later and repeats nothing by itself",
                hint="run the command from cron at the time it is to begin",
            )
        wanted = _scaling(service, up=up, down=down, to=to, by=by)
        return asyncio.run(_scale(common, wanted, until, for_))


def _scaling(service: str, *, up: bool, down: bool, to: int | None, by: str | None) -> Scaling:
    """What was asked for. Raises `UsageError` unless it is one plain thing."""
    from sophia_cli.flows.scaling import Direction, Scaling

    if [up, down, to is not None].count(True) != 1 or (to is not None and by is not None):
        raise UsageError("scale: exactly one of --up, --down and --to", hint="such as: --up --by 2, or --to 5")
    if to is not None:
        return Scaling(service, "to", to=to)
    size = re.fullmatch(r"([1-9]\d{0,5})(%?)", by or "1")
    if size is None or (down and size[2] and int(size[1]) >= 100):
        raise UsageError(f"--by {by}: write a number such as 2, or a percentage such as 50%")
    direction: Direction = "up" if up else "down"
    number = int(size[1])
    return Scaling(service, direction, percent=number) if size[2] else Scaling(service, direction, amount=number)


async def _scale(common: Common, wanted: Scaling, until: str | None, length: str | None) -> int:
    from dataclasses import replace

    from sophia_cli.cli.applying import carry_out, settle, take_approval
    from sophia_cli.cli.stacking import duration, moment, shown, stacks_alone
    from sophia_cli.cli.stacks import desk_of
    from sophia_cli.flows.scaling import plan_scaling

    if until is not None and length is not None:
        raise UsageError("scale: --until or --for, not both")
    async with stacks_alone(common, "stack scale") as found:
        await settle(found)
        await take_approval(found, common.approval)
        desk = desk_of(found)
        end = desk.now + duration("--for", length) if length is not None else moment("--until", until)
        judged = await plan_scaling(replace(wanted, end=end), desk)
        shown(found, judged)
        return await carry_out(found, judged)
