"""`sophia diff`: compare two zone files. Reads no environment and no network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only, result


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "diff")
    def diff(
        common: Common,
        live: Annotated[Path, typer.Argument(metavar="LIVE", help="A master file, or JSON lines of records.")],
        desired: Annotated[Path, typer.Argument(metavar="DESIRED", help="The same, as it should be.")],
        origin: Annotated[str | None, typer.Option("--origin", metavar="NAME", help="The zone's name.")] = None,
    ) -> int:
        """Print the plan that turns one zone file into another; no account is needed."""
        only(common, Output.text, Output.json, Output.markdown, Output.html)
        return _diff(common, live, desired, origin)


def _diff(common: Common, live: Path, desired: Path, origin: str | None) -> int:
    from dataclasses import replace

    from sophia_cli.cli.clock import SystemClock
    from sophia_cli.cli.plan import rendered
    from sophia_cli.core.policy import Past, Policy, judge
    from sophia_cli.flows.compare import compare_files
    from sophia_cli.flows.plan import Judged
    from sophia_cli.providers.zone_file import read_zone

    now, policy = SystemClock().now(), Policy()
    before, after = read_zone(live, origin), read_zone(desired, origin)
    plan = compare_files(before, replace(after, name=before.name, email_type=before.email_type), now)
    result(rendered(Judged(plan, judge(plan, policy, (), Past(), now), policy), common))
    return 0
