"""`sophia freeze|thaw`: stop or allow all writes."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only, result, said

Target = Annotated[
    str | None,
    typer.Argument(metavar="[TARGET]", help="A target id such as dns:example.com, with * and ? (default: *)."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @command(app, "freeze")
    def freeze(common: Common, what: Target = None) -> int:
        """Stop all writes to a target, or to everything, until it is thawed."""
        return asyncio.run(_switch(common, what, freezing=True))

    @command(app, "thaw")
    def thaw(common: Common, what: Target = None) -> int:
        """Allow writes again."""
        return asyncio.run(_switch(common, what, freezing=False))


_AS_WRITTEN = ("secret", "config", "stack")


def _pattern(target: str | None) -> str:
    """The target pattern a person means: `*` for all, else a target id, in the one spelling that ids have."""
    if target is None or target == "*":
        return "*"
    kind, colon, name = target.partition(":")
    if not colon:
        kind, name = "dns", target
    if kind.lower() in _AS_WRITTEN:  # paths of an environment, and names that other programs gave
        return f"{kind.lower()}:{name}"
    return f"{kind.lower()}:{name.rstrip('.').lower()}"


async def _switch(common: Common, target: str | None, *, freezing: bool) -> int:
    from sophia_cli.cli.state import local_state
    from sophia_cli.output.json_v1 import envelope

    only(common, Output.text, Output.json, Output.markdown)
    pattern = _pattern(target)
    found = local_state(common, strict=common.env is not None)
    if freezing:
        await found.store.freezes.freeze(pattern)
        told = f"{pattern} is frozen; sophia thaw {'' if target is None else target}".rstrip() + " allows writes again"
    else:
        was = await found.store.freezes.thaw(pattern)
        told = f"{pattern} is thawed" if was else f"{pattern} was not frozen"
    await found.stream.say("freeze" if freezing else "thaw", target=pattern)
    patterns = sorted(await found.store.freezes.patterns())
    if common.output is Output.json:
        result(envelope("freeze", {"frozen": patterns}))
    else:
        said(common, told + "\n" + (f"frozen now: {', '.join(patterns)}\n" if patterns else ""))
    return 0
