"""`sophia import`: write the environment's dns section from the live zone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import note, only, said

if TYPE_CHECKING:
    from sophia_cli.cli.session import Session
    from sophia_cli.core.settings import Settings

NEW_FILE = "sophia.yaml"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "import")
    def import_(
        common: Common,
        domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="A registered domain of the account.")],
    ) -> int:
        """Write the environment's dns section from the live zone; the next plan is then empty."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_import(common, domain.rstrip(".").lower()))


async def _import(common: Common, domain: str) -> int:
    from sophia_cli.cli.applying import applied, consented, report, settle
    from sophia_cli.cli.plan import rendered
    from sophia_cli.cli.runtime import connected
    from sophia_cli.core.dns import Zone
    from sophia_cli.core.plan import zone_target
    from sophia_cli.flows.importing import import_zone, imported, standing_still
    from sophia_cli.flows.plan import assemble, judged, policy_of

    path = _path(common)
    settings = await _settings(common, path, domain)
    async with connected(common, "import", settings, path) as found:
        await settle(found)
        target = zone_target(domain)
        snapshot = await found.targets[target].read()
        zone = snapshot.content
        assert isinstance(zone, Zone)
        brings_own = settings.namecheap.api_key is not None or common.sandbox
        made = import_zone(
            zone,
            settings.environment,
            provider="sandbox" if common.sandbox and not path.exists() else "namecheap",
            namecheap=not brings_own or (not path.exists() and not common.sandbox),
        )
        assert found.file is not None
        file = await found.file.read()
        now = found.clock.now()
        plan = assemble(settings, [], made.changes, [], now, files=[file])
        whole = await judged(plan, await policy_of(settings, found.store), [], found.store, now)
        if common.output is Output.text and not common.quiet:
            note(common, rendered(whole, common))
        whole = await consented(found, whole)
        async with standing_still(zone, found.ground()):
            run = await applied(found, whole)
            if run is not None:
                ownership = imported(zone, made.records, run.id)
                await found.store.ownerships.save(settings.environment, target, ownership)
        for line in made.left_out:
            note(common, line)
        await _closing(found, path, len(made.records))
        await report(found, run, plan)
    return 0


async def _closing(found: Session, path: Path, records: int) -> None:
    if found.common.output is not Output.json:
        said(found.common, f"{path}: {records} records written; next: sophia plan -e {path}\n")


def _path(common: Common) -> Path:
    """The file to write: the one named, the one found, else a new one here."""
    from sophia_cli.cli.environments import environment_path
    from sophia_cli.core.errors import InvalidEnvironment

    try:
        return environment_path(common)
    except InvalidEnvironment as exc:
        if exc.details.get("candidates"):
            raise
        return Path(NEW_FILE)


async def _settings(common: Common, path: Path, domain: str) -> Settings:
    """The settings to read the zone with: the file's, or, for a new file, credentials from the process variables."""
    import os
    from dataclasses import replace

    from pydantic import SecretStr

    from sophia_cli.cli.environments import load_settings
    from sophia_cli.core.errors import Refused
    from sophia_cli.core.settings import DesiredZone, Namecheap, Settings

    zone = DesiredZone(domain, "dns")
    if path.exists():
        _, settings = await load_settings(replace(common, env=str(path)))
        if settings.zones:
            names = ", ".join(known.name for known in settings.zones)
            raise Refused(
                f"{path} has a dns section already (for {names})",
                hint="import into another file with -e FILE, or remove that section first",
            )
        return replace(settings, zones=(zone,), writable=str(path))
    given = {name: os.environ.get(f"NAMECHEAP_{name.upper()}") for name in ("api_user", "api_key", "username")}
    secrets = {name: SecretStr(value) for name, value in given.items() if value}
    here = {"fallback": address} if (address := os.environ.get("NAMECHEAP_CLIENT_IP")) else {}
    return Settings(
        environment=path.stem,
        stack=path.stem,
        zones=(zone,),
        namecheap=Namecheap(
            api_user=secrets.get("api_user"),
            api_key=secrets.get("api_key"),
            username=secrets.get("username"),
            client_ips=here,
        ),
        writable=str(path),
        secrets=tuple(secrets.values()),
    )
