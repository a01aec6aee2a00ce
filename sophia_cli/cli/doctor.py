"""`sophia doctor`: what is set up, what is missing, and the command that mends it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import note, only, result, said

if TYPE_CHECKING:
    from sophia_cli.core.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "doctor")
    def doctor(
        common: Common,
        install_pulumi: Annotated[
            bool, typer.Option("--install-pulumi", help="Install the official Pulumi CLI first; asks before it does.")
        ] = False,
    ) -> int:
        """Show what is set up, what is missing, and the command that mends it. Exit 1 when something is."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_doctor(common, install_pulumi))


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: fine, missing, or not needed (`ok` None)."""

    name: str
    ok: bool | None
    message: str
    mend: str = ""

    def data(self) -> dict[str, Any]:
        """The public shape (`sophia.doctor/1`)."""
        return {"name": self.name, "ok": self.ok, "message": self.message, "mend": self.mend}


async def _doctor(common: Common, install_pulumi: bool) -> int:
    from sophia_cli.cli.printing import wants_colour
    from sophia_cli.output.foreign import escaped
    from sophia_cli.output.json_v1 import envelope
    from sophia_cli.output.style import Palette

    if install_pulumi:
        from sophia_cli.cli.doctor_stacks import install_cli

        note(common, f"installed {await install_cli(common)}")
    checks = await _checks(common)
    if common.output is Output.json:
        result(envelope("doctor", {"checks": [check.data() for check in checks]}))
    else:
        palette = Palette(wants_colour(common))
        words = {True: ("green", "ok"), False: ("red", "missing"), None: ("dim", "not used")}
        lines = []
        for check in checks:
            style, word = words[check.ok]
            lines.append(f"{palette.padded(style, word, 9)} {check.name}: {escaped(check.message)}")
            if check.mend and check.ok is not True:
                lines.append(f"{'':9} {palette.paint('cyan', escaped(check.mend))}")
        said(common, "\n".join(lines) + "\n")
    return 1 if any(check.ok is False for check in checks) else 0


async def _checks(common: Common) -> list[Check]:
    from sophia_cli.cli.environments import load_settings
    from sophia_cli.cli.redaction import redacted
    from sophia_cli.core.errors import SophiaError

    try:
        environment, settings = await load_settings(common)
    except SophiaError as exc:
        mend = exc.hint or "sophia config check"
        return [Check("environment", False, redacted(exc.message), mend), await _state(common), *await _stacks(None)]
    found = [
        Check(
            "environment",
            True,
            f"{settings.environment} ({environment.file or 'Pulumi Cloud'}), {len(settings.zones)} zones",
        )
    ]
    found += [
        await _state(common),
        *await _account(common, settings),
        await _model(common, settings),
        *await _stacks(settings),
    ]
    return found


async def _state(common: Common) -> Check:
    from sophia_cli.cli.state import local_state
    from sophia_cli.core.errors import SophiaError

    try:
        state = local_state(common)
        head, problems = await state.store.audit.verify()
        runs = await state.store.journal.open_runs()
    except SophiaError as exc:
        return Check("state", False, exc.message, exc.hint or "")
    if problems:
        return Check("state", False, f"{state.shown}: {problems[0]}", "sophia audit verify")
    if runs:
        return Check("state", False, f"{state.shown}: run {runs[0].id} was interrupted", "sophia heal")
    return Check("state", True, f"{state.shown}, {head.count} audit events")


async def _account(common: Common, settings: Settings) -> list[Check]:
    from sophia_cli.cli.redaction import redacted
    from sophia_cli.cli.runtime import connected
    from sophia_cli.cli.session import uses_sandbox
    from sophia_cli.core.errors import SophiaError

    if not settings.zones:
        return [Check("namecheap", None, "the environment has no dns section", "sophia import DOMAIN")]
    where = "the embedded sandbox" if uses_sandbox(common, settings) else "Namecheap"
    try:
        async with connected(common, "doctor", settings, settings.writable) as found:
            assert found.client is not None
            checks = []
            for zone in settings.zones:
                name = await found.client.registered(zone.name)
                info = await found.client.info(name)
                checks.append(
                    Check(f"zone {zone.name}", True, f"{where}: {info.host_count} rows, mail mode {info.email_type}")
                )
            return checks
    except SophiaError as exc:
        return [Check("namecheap", False, redacted(exc.message), redacted(exc.hint or ""))]


async def _model(common: Common, settings: Settings) -> Check:
    from sophia_cli.cli.counsel import model_look

    return Check("language model", *await model_look(common, settings))


async def _stacks(settings: Settings | None) -> list[Check]:
    from sophia_cli.cli.doctor_stacks import stack_looks

    return [Check(*look) for look in await stack_looks(settings)]
