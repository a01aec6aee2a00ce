"""Shared options, so that `--env` means the same everywhere. Parses; does nothing."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Annotated, Any, get_type_hints

import typer


class Output(StrEnum):
    """The output forms; not every command has every form."""

    text = "text"
    json = "json"
    markdown = "markdown"
    sarif = "sarif"
    html = "html"


@dataclass(frozen=True, slots=True)
class Common:
    """The options every command takes (contract, shared options)."""

    env: Annotated[
        str | None,
        typer.Option("--env", "-e", metavar="PATH|ORG/PROJECT/ENV", envvar="SOPHIA_ENV", help="The ESC environment."),
    ] = None
    set: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Override one value (repeatable).")
    ] = None
    stack: Annotated[
        str | None, typer.Option("--stack", metavar="NAME", help="What ${pulumi.stack} is; else PULUMI_STACK.")
    ] = None
    target: Annotated[
        list[str] | None, typer.Option("--target", metavar="ID", help="Only these targets (repeatable, * and ?).")
    ] = None
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Use the embedded Namecheap and DNS server.")] = False
    state: Annotated[
        str | None, typer.Option("--state", metavar="DIR|URL", envvar="SOPHIA_STATE", help="Where the state is kept.")
    ] = None
    output: Annotated[Output, typer.Option("--output", "-o", help="The form of the result on stdout.")] = Output.text
    ai: Annotated[
        bool | None, typer.Option("--ai-enhanced/--no-ai", help="Let the specialists propose beside the plan.")
    ] = None
    yes: Annotated[
        bool, typer.Option("--yes", help="Agree without being asked (critical plans want --confirm too).")
    ] = False
    confirm: Annotated[
        list[str] | None, typer.Option("--confirm", metavar="ZONE", help="The zone's name, for critical plans.")
    ] = None
    approval: Annotated[
        str | None, typer.Option("--approval", metavar="FILE", help="A recorded approval (sophia.approval/1).")
    ] = None
    no_input: Annotated[bool, typer.Option("--no-input", help="Never ask; exit 3 where an answer is needed.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False
    no_color: Annotated[bool, typer.Option("--no-color", envvar="NO_COLOR", help="No colours.")] = False
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", min=0, help="How long to wait for public DNS after a write.")
    ] = 30.0
    override: Annotated[
        list[str] | None,
        typer.Option("--override", metavar="cN=RULE", help="Lift one limit for one change (repeatable)."),
    ] = None

    @property
    def is_quiet(self) -> bool:
        """Whether progress and notes are left out: asked for, or because stderr carries one JSON document at most."""
        return self.quiet or (self.output is Output.json and not self.verbose)


_COMMON = get_type_hints(Common, include_extras=True)


def command(app: typer.Typer, name: str, **settings: Any) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Register a function as a command: its `common: Common` parameter becomes the shared options."""

    def register(function: Callable[..., int]) -> Callable[..., int]:
        hints = get_type_hints(function, include_extras=True)
        own = [
            parameter.replace(annotation=hints[parameter.name])
            for parameter in inspect.signature(function).parameters.values()
            if parameter.name != "common"
        ]
        shared = [
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=_COMMON[field.name]
            )
            for field in fields(Common)
        ]

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> int:
            common = Common(**{field.name: kwargs.pop(field.name) for field in fields(Common)})
            return function(*args, common=common, **kwargs)

        positional = [parameter.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD) for parameter in own]
        run.__signature__ = inspect.Signature([*positional, *shared])  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *shared]}
        app.command(name, **settings)(run)
        return run

    return register
