"""`sophia cert rollback`: switch key and chain back to a version that is kept on disk. Asks no authority."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "rollback")
    def rollback(
        common: Common,
        serial: Annotated[
            str | None,
            typer.Argument(metavar="[SERIAL]", help="The certificate to go back to (default: the one before)."),
        ] = None,
    ) -> int:
        """Go back to an earlier certificate and its key; versions that are revoked or over are passed by."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_rollback(common, serial))


async def _rollback(common: Common, serial: str | None) -> int:
    from sophia_cli.cli.certifying import carried_out, certificate_session
    from sophia_cli.core.certificates import version_before
    from sophia_cli.core.changes import Change
    from sophia_cli.core.errors import Refused
    from sophia_cli.core.ports import Part

    async with certificate_session(common, "cert rollback") as (found, target):
        certificates = target.issuer.certificates
        snapshot, installed = await target.read(), (await certificates.state(target.name)).installed
        wanted = version_before(await certificates.versions(target.name), installed, found.clock.now(), serial)
        if wanted is None or installed is None:
            raise Refused(
                f"{target.id}: there is no earlier certificate that is still good", hint="sophia cert list --verbose"
            )
        why = f"back to the certificate of {wanted.not_before:%Y-%m-%d %H:%M} UTC"
        change = Change(target.id, "cert.renew", "update", installed.order(), wanted.order(), "user", why)
        return await carried_out(found, target, Part(snapshot, (change,)))
