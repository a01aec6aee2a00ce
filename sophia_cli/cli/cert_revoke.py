"""`sophia cert revoke`: tell the authority that the installed certificate is not to be trusted any more."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "revoke")
    def revoke(
        common: Common,
        name: Annotated[
            str | None, typer.Argument(metavar="[NAME]", help="The certificate, where the environment has several.")
        ] = None,
        reason: Annotated[
            str,
            typer.Option(
                "--reason",
                metavar="REASON",
                help="unspecified, key-compromise, affiliation-changed, superseded or cessation-of-operation.",
            ),
        ] = "unspecified",
    ) -> int:
        """Revoke the installed certificate at its authority. It stays on disk, and cannot be taken back."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_revoke(common, name, reason))


async def _revoke(common: Common, name: str | None, reason: str) -> int:
    from sophia_cli.cli.certifying import carried_out, certificates_session, the_only
    from sophia_cli.core.acme import REVOCATION_REASONS
    from sophia_cli.core.changes import Change
    from sophia_cli.core.errors import Refused, UsageError
    from sophia_cli.core.ports import Part

    if reason not in REVOCATION_REASONS:
        raise UsageError(f"--reason {reason}: one of {', '.join(REVOCATION_REASONS)}")
    async with certificates_session(common, "cert revoke", [name] if name else []) as (found, targets):
        target = the_only(targets)
        snapshot = await target.read()
        installed = (await target.issuer.certificates.state(target.name)).installed
        if installed is None or installed.revoked:
            what = "there is no certificate" if installed is None else "it is revoked already"
            raise Refused(f"{target.id}: {what}", hint="sophia cert list")
        why = f"{reason}: asked for"
        change = Change(target.id, "cert.revoke", "delete", installed.order(), None, "user", why)
        return await carried_out(found, [(target, Part(snapshot, (change,)))])
