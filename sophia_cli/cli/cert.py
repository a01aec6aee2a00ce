"""`sophia cert`: certificates inspected, issued, renewed, revoked and switched back. Each command has a file of its own."""

from __future__ import annotations

import typer

from sophia_cli.cli import cert_issue, cert_list, cert_renew, cert_revoke, cert_rollback, cert_show


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="TLS certificates.")
    app.add_typer(group, name="cert")
    for part in (cert_list, cert_show, cert_issue, cert_renew, cert_revoke, cert_rollback):
        part.register(group)
