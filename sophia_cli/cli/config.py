"""`sophia config show|check|explain|set|learning`: the evaluated environment, and where a value comes from."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only, result, said

if TYPE_CHECKING:
    from sophia_cli.esc.environment import Environment

Path = Annotated[str, typer.Argument(metavar="PATH", help="Such as dns.ttl or dns.records.api.value.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The evaluated ESC environment.")
    app.add_typer(group, name="config")

    @command(group, "show")
    def show(
        common: Common,
        reveal: Annotated[bool, typer.Option("--reveal", help="Show secrets (on a terminal).")] = False,
    ) -> int:
        """Evaluate an ESC file, whatever its sections, and show its values."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_show(common, reveal))

    @command(group, "check")
    def check(common: Common) -> int:
        """Hold the environment against what sophia understands; warn of misspelt keys and of keys without effect."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_check(common))

    @command(group, "explain")
    def explain(common: Common, path: Path) -> int:
        """Tell where a value comes from: each file and line that contributed, and what overrode what."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_explain(common, path))

    @command(group, "set")
    def set_(
        common: Common,
        path: Path,
        value: Annotated[str, typer.Argument(metavar="VALUE", help="A YAML value, such as 600 or [a, b].")],
    ) -> int:
        """Set one value of the environment's file in place, shown as a diff first."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_set(common, path, value))

    @command(group, "learning")
    def learning(
        common: Common,
        reject: Annotated[
            list[str] | None,
            typer.Option("--reject", metavar="RULE", help="Say no to what this rule proposes (repeatable)."),
        ] = None,
    ) -> int:
        """What was learnt from accepted and rejected proposals, and from what became of them."""
        only(common, Output.text, Output.json, Output.markdown)
        return asyncio.run(_learning(common, tuple(reject or ())))


async def _learning(common: Common, reject: tuple[str, ...]) -> int:
    from sophia_cli.cli import learning
    from sophia_cli.cli.clock import SystemClock
    from sophia_cli.cli.environments import load_settings
    from sophia_cli.cli.state import lessons_of, local_state
    from sophia_cli.flows.learning import learnt
    from sophia_cli.output.json_v1 import envelope
    from sophia_cli.output.learning import learning_text

    _, settings = await load_settings(common)
    state, wishes = local_state(common), settings.intelligence
    if reject:
        await learning.reject(state, reject, mode=wishes.learning_mode)
    now = SystemClock().now()
    known = await learnt(lessons_of(state.documents), state.store.journal, now, mode=wishes.learning_mode)
    data = known.data(wishes.optimization_level)
    if common.output is Output.json:
        result(envelope("learning", data))
    else:
        said(common, learning_text(data))
    return 0


def _data(environment: Environment, diagnostics: list[dict[str, Any]], *, reveal: bool) -> dict[str, Any]:
    return {
        "environment": environment.name,
        "values": environment.values(reveal=reveal),
        "environment_variables": environment.environment_variables(reveal=reveal),
        "pulumi_config": environment.pulumi_config(reveal=reveal),
        "files": environment.temporary_files(reveal=reveal),
        "diagnostics": diagnostics,
    }


async def _show(common: Common, reveal: bool) -> int:
    from sophia_cli.cli.environments import load_environment
    from sophia_cli.core.errors import Refused
    from sophia_cli.output.json_v1 import envelope
    from sophia_cli.output.runs import diagnostic_line
    from sophia_cli.output.tree import tree

    if reveal and not sys.stdout.isatty() and "reveal" not in (common.confirm or ()):
        raise Refused("secrets are shown on a terminal only", hint="add --confirm reveal to write them elsewhere")
    environment = await load_environment(common)
    diagnostics = [diagnostic.data() for diagnostic in environment.diagnostics]
    if common.output is Output.json:
        result(envelope("config", _data(environment, diagnostics, reveal=reveal)))
    else:
        said(common, tree(environment.values(reveal=reveal)))
        for diagnostic in diagnostics:
            print(diagnostic_line(diagnostic), file=sys.stderr)
    if environment.errors:
        environment.require()
    return 0


async def _check(common: Common) -> int:
    from sophia_cli.cli.environments import load_environment
    from sophia_cli.core.errors import InvalidEnvironment
    from sophia_cli.esc.settings import read
    from sophia_cli.output.json_v1 import envelope
    from sophia_cli.output.runs import diagnostic_line

    environment = await load_environment(common, opened=False)
    reading = read(environment, checking=True)
    diagnostics = [diagnostic.data() for diagnostic in reading.diagnostics]
    errors = sum(1 for diagnostic in diagnostics if diagnostic["severity"] == "error")
    if common.output is Output.json:
        result(envelope("config", _data(environment, diagnostics, reveal=False)))
    else:
        lines = [diagnostic_line(diagnostic) for diagnostic in diagnostics]
        records = sum(len(zone.records) for zone in reading.settings.zones)
        counts = (
            f"{len(reading.settings.zones)} zones, {records} records, {errors} errors, {len(lines) - errors} warnings"
        )
        said(common, "\n".join([*lines, f"{environment.name}: {counts}"]) + "\n")
    return InvalidEnvironment.exit_code if errors else 0


async def _explain(common: Common, path: str) -> int:
    from dataclasses import asdict

    from sophia_cli.cli.environments import load_environment
    from sophia_cli.cli.printing import wants_colour
    from sophia_cli.core.errors import UsageError
    from sophia_cli.output.json_v1 import envelope
    from sophia_cli.output.tree import chain

    environment = await load_environment(common)
    steps = environment.explain(path)
    if not steps:
        raise UsageError(f"{environment.name} has no value {path}", hint="sophia config show lists the values")
    rows = [asdict(step) for step in steps]
    if common.output is Output.json:
        result(envelope("explain", {"environment": environment.name, "path": path, "steps": rows}))
    else:
        said(common, chain(path, rows, colour=wants_colour(common)))
    return 0


async def _set(common: Common, path: str, text: str) -> int:
    from sophia_cli.cli.applying import carry_out, settle
    from sophia_cli.cli.runtime import session
    from sophia_cli.core.changes import Change, ConfigValue
    from sophia_cli.core.errors import Refused
    from sophia_cli.core.lasting import config_target
    from sophia_cli.esc.target import parsed_value
    from sophia_cli.flows.plan import assemble, judged, policy_of

    value = parsed_value(text)
    async with session(common, "config") as found:
        await settle(found)
        if found.file is None:
            raise Refused(f"the environment {found.settings.environment} cannot be written here")
        node = None if found.environment is None else found.environment.get(path)
        if node is not None and node.secret:
            raise Refused(
                f"{path} is a secret: neither its old nor its new value may be shown", hint="edit the file by hand"
            )
        file = await found.file.read()
        before = found.file.source(path)
        target = config_target(found.settings.environment)
        changes = []
        if before != value:
            action = "create" if before is None else "update"
            old = None if before is None else ConfigValue(path, before)
            changes = [Change(target, "config.value", action, old, ConfigValue(path, value), "user", "asked for")]  # type: ignore[arg-type]
        now = found.clock.now()
        plan = assemble(found.settings, [], changes, [], now, files=[file])
        whole = await judged(plan, await policy_of(found.settings, found.store), [], found.store, now)
        return await carry_out(found, whole)
