"""`sophia stack`: stacks looked at, scaled, made, ended and taken down. Each command has a file of its own."""

from __future__ import annotations

import typer

from sophia_cli.cli import (
    stack_create,
    stack_destroy,
    stack_drift,
    stack_expire,
    stack_history,
    stack_list,
    stack_mend,
    stack_outputs,
    stack_scale,
    stack_show,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Pulumi stacks.")
    app.add_typer(group, name="stack")
    for part in (
        stack_list,
        stack_show,
        stack_outputs,
        stack_history,
        stack_drift,
        stack_mend,
        stack_scale,
        stack_create,
        stack_expire,
        stack_destroy,
    ):
        part.register(group)
