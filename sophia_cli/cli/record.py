"""`sophia record set|remove`: one record, environment and zone in one plan."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only

if TYPE_CHECKING:
    from sophia_cli.core.dns import Record
    from sophia_cli.flows.edit import Edit

Name = Annotated[str, typer.Argument(metavar="NAME", help="Relative to the zone, @ for the apex, or the whole name.")]
Type = Annotated[str, typer.Argument(metavar="TYPE", help="A, AAAA, CNAME, MX, TXT, ...")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Set or remove one record.")
    app.add_typer(group, name="record")

    @command(group, "set")
    def set_(
        common: Common,
        name: Name,
        type: Type,
        value: Annotated[str, typer.Argument(metavar="VALUE", help="The record's value.")],
        ttl: Annotated[int | None, typer.Option("--ttl", metavar="SECONDS", help="Default: what is there.")] = None,
        priority: Annotated[int | None, typer.Option("--priority", metavar="N", help="For MX.")] = None,
    ) -> int:
        """Set one record, in the environment and in the zone."""
        return asyncio.run(_edit(common, name, type, value, ttl, priority, remove=False))

    @command(group, "remove")
    def remove(
        common: Common,
        name: Name,
        type: Type,
        value: Annotated[str | None, typer.Argument(metavar="[VALUE]", help="Only this value of several.")] = None,
    ) -> int:
        """Remove one record, from the environment and from the zone."""
        return asyncio.run(_edit(common, name, type, value, None, None, remove=True))


async def _edit(
    common: Common, name: str, kind: str, value: str | None, ttl: int | None, priority: int | None, *, remove: bool
) -> int:
    from sophia_cli.cli.applying import carry_out, settle, take_approval
    from sophia_cli.cli.runtime import session
    from sophia_cli.core.dns import HOST_TYPES, Record, relative
    from sophia_cli.core.errors import UsageError
    from sophia_cli.flows.edit import RemoveRecord, SetRecord, checked, find_zone, plan_edits
    from sophia_cli.flows.plan import parsed_overrides

    only(common, Output.text, Output.json, Output.markdown)
    if kind.upper() not in (*HOST_TYPES, "SRV"):
        raise UsageError(f"unknown record type {kind}", hint=f"known types: {', '.join(HOST_TYPES)}")
    async with session(common, "record") as found:
        await settle(found)
        await take_approval(found, common.approval)
        zone = find_zone(found.settings, name)
        place = relative(name, zone.name)
        edit: Edit
        if remove:
            wanted = _normal(Record(place, kind.upper(), value), zone.name) if value is not None else None
            edit = RemoveRecord(place, kind.upper(), None if wanted is None else wanted.value)
        else:
            if priority is not None and kind.upper() not in ("MX", "SRV"):
                raise UsageError(f"--priority goes with MX, not with {kind.upper()}")
            edit = SetRecord(checked(Record(place, kind.upper(), value or "", ttl, priority), zone.name))
        judged = await plan_edits(
            [(zone, edit)],
            found.settings,
            found.targets,
            found.file,
            found.store,
            found.clock.now(),
            parsed_overrides(common.override or ()),
        )
        return await carry_out(found, judged)


def _normal(record: Record, zone: str) -> Record:
    from sophia_cli.core.dns import normalised

    return normalised(record, zone)
