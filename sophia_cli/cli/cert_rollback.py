"""`sophia cert rollback`: switch key and chain back to a version that is kept on disk. Asks no authority."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only

if TYPE_CHECKING:
    from sophia_cli.flows.certificate import CertificateTarget


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "rollback")
    def rollback(
        common: Common,
        words: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="[NAME] [SERIAL]",
                help="Which certificate, and which of its versions (default: the one before).",
            ),
        ] = None,
    ) -> int:
        """Go back to an earlier certificate and its key; versions that are revoked or over are passed by."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_rollback(common, words or []))


async def _rollback(common: Common, words: list[str]) -> int:
    from sophia_cli.cli.certifying import carried_out, certificates_session
    from sophia_cli.core.certificates import version_before
    from sophia_cli.core.changes import Change
    from sophia_cli.core.errors import Refused
    from sophia_cli.core.ports import Part

    async with certificates_session(common, "cert rollback") as (found, targets):
        target, serial = _meant(words, targets)
        certificates = target.issuer.certificates
        snapshot, installed = await target.read(), (await certificates.state(target.name)).installed
        wanted = version_before(await certificates.versions(target.name), installed, found.clock.now(), serial)
        if wanted is None or installed is None:
            raise Refused(
                f"{target.id}: there is no earlier certificate that is still good", hint="sophia cert list --verbose"
            )
        why = f"back to the certificate of {wanted.not_before:%Y-%m-%d %H:%M} UTC"
        change = Change(target.id, "cert.renew", "update", installed.order(), wanted.order(), "user", why)
        return await carried_out(found, [(target, Part(snapshot, (change,)))])


def _meant(words: Sequence[str], targets: Sequence[CertificateTarget]) -> tuple[CertificateTarget, str | None]:
    """The certificate and the serial that were given; a word that is no certificate's name is a serial."""
    from sophia_cli.cli.certifying import the_only
    from sophia_cli.core.errors import UsageError

    names = [one for one in targets if words and one.name == words[0].removeprefix("cert:").lower()]
    serials = words[1:] if names else words
    if len(serials) > 1:
        raise UsageError(f"{words[0]!a} is no certificate of this environment", hint="sophia cert list")
    return the_only(names or targets), next(iter(serials), None)
