"""`sophia secrets list|rotate`: what is secret, how old it is, what lies open, and its replacement in four steps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import note, only, result, said

if TYPE_CHECKING:
    from sophia_cli.cli.session import Session
    from sophia_cli.core.secret_versions import SecretVersions
    from sophia_cli.core.secrets_inventory import Held, Inventory, Kind
    from sophia_cli.core.settings import Settings
    from sophia_cli.esc.environment import Environment
    from sophia_cli.flows.secrets import Line

_FORMS = (Output.text, Output.json, Output.markdown)
_AUTO = "auto"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Secrets: their age, and their rotation.")
    app.add_typer(group, name="secrets")

    @command(group, "list")
    def list_(
        common: Common,
        history: Annotated[bool, typer.Option("--history/--no-history", help="Look through the git history.")] = True,
        fail_on_due: Annotated[
            bool, typer.Option("--fail-on-due", help="Exit 2 when a rotation is due or a secret lies open.")
        ] = False,
    ) -> int:
        """List the environment's secrets with age and due rotation, and the places where some lie open. Shows no value."""
        only(common, *_FORMS)
        return asyncio.run(_list(common, history=history, fail_on_due=fail_on_due))

    @command(group, "rotate")
    def rotate(
        common: Common,
        name: Annotated[str, typer.Argument(metavar="NAME", help="The path of the secret, such as app.password.")],
        kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="auto, generated or pulumi-token.")] = _AUTO,
        github: Annotated[
            list[str] | None,
            typer.Option(
                "--github", metavar="OWNER/REPO:NAME", help="Hand it to this Actions secret too (repeatable)."
            ),
        ] = None,
        length: Annotated[int, typer.Option("--length", metavar="N", help="Characters of a generated value.")] = 43,
        old_id: Annotated[
            str | None, typer.Option("--old-id", metavar="ID", help="The provider's id of the token in use now.")
        ] = None,
        hold: Annotated[
            bool, typer.Option("--hold", help="Stop before the old value ends; both are valid until the next call.")
        ] = False,
    ) -> int:
        """Replace one secret: create, set, test, finish. A stopped rotation is taken up; the old value ends last."""
        only(common, *_FORMS)
        return asyncio.run(_rotate(common, name, kind, tuple(github or ()), length, old_id, hold=hold))


# -- list -----------------------------------------------------------------------------------------------------------------


async def _list(common: Common, *, history: bool, fail_on_due: bool) -> int:
    from sophia_cli.cli.environments import load_settings
    from sophia_cli.cli.printing import wants_colour
    from sophia_cli.output.json_v1 import envelope
    from sophia_cli.output.secrets import secrets_text

    environment, settings = await load_settings(common)
    data = (await inventory_of(common, environment, settings, history=history)).data()
    if common.output is Output.json:
        result(envelope("secrets", data))
    else:
        said(common, secrets_text(data, colour=wants_colour(common)))
    return 2 if fail_on_due and (data["summary"]["due"] or data["summary"]["exposed"]) else 0


async def inventory_of(
    common: Common, environment: Environment, settings: Settings, *, history: bool = True
) -> Inventory:
    """The inventory of an environment; values seen for the first time are noted in the state as of now."""
    from sophia_cli.cli.clock import SystemClock
    from sophia_cli.cli.redaction import learn
    from sophia_cli.cli.state import documents_at, rotations_of, state_dir
    from sophia_cli.flows.secrets import inventory

    learn({secret.get_secret_value() for secret in settings.secrets})
    documents = documents_at(common, state_dir(common, environment.file))
    rotations = rotations_of(documents, settings.environment)
    held, plain = _held(environment)
    lines, gaps = await _history(environment, wanted=history)
    gaps.append(("TXT records of the live zones", "sophia analyze looks at them (TXT-SECRET)"))
    now = SystemClock().now()
    return await inventory(settings, held, plain, lines, gaps, rotations, now)


def _held(environment: Environment) -> tuple[list[Held], list[Held]]:
    """The secrets of an environment, each where it enters it, and every other text."""
    from sophia_cli.core.secret_versions import PREVIOUS
    from sophia_cli.core.secrets_inventory import Held

    secret: list[Held] = []
    plain: list[Held] = []
    inside: list[str] = []
    for path, node in environment.root.walk():
        if node.unknown or path.startswith(PREVIOUS) or any(path.startswith(outer) for outer in inside):
            continue
        own = environment.file is not None and environment.local and _same(node.origin.file, environment.file)
        if node.secret:
            inside += [f"{path}.", f"{path}["]
            enters = node.note in ("", "fn::secret") or any(one.note.startswith("env") for one in node.sources)
            if enters:
                value = node.text() or json.dumps(node.plain(reveal=True), sort_keys=True, default=str)
                is_own = own and node.note in ("", "fn::secret")
                secret.append(Held(path, value, node.note, node.origin.file, node.origin.line, is_own))
        elif isinstance(node.value, str) and node.note == "":
            plain.append(Held(path, node.value, "", node.origin.file, node.origin.line, own))
    return secret, plain


def _same(one: str, two: str) -> bool:
    return Path(one).absolute() == Path(two).absolute()


async def _history(environment: Environment, *, wanted: bool) -> tuple[list[Line], list[tuple[str, str]]]:
    from sophia_cli.flows.secrets import Line
    from sophia_cli.providers.git_history import Skipped, history

    if not wanted:
        return [], [("git history", "--no-history")]
    if environment.file is None:
        return [], [("git history", "the environment is no local file")]
    found = await history(Path(environment.file).absolute().parent)
    if isinstance(found, Skipped):
        return [], [("git history", found.why)]
    lines = [Line(f"{one.file}:{one.line} in commit {one.commit[:12]}", one.text) for one in found.lines]
    return lines, [] if found.cut is None else [("git history", f"in part: {found.cut}")]


# -- rotate ---------------------------------------------------------------------------------------------------------------


async def _rotate(
    common: Common, path: str, kind: str, github: Sequence[str], length: int, old_id: str | None, *, hold: bool
) -> int:
    from sophia_cli.cli.applying import applied, consented, settle
    from sophia_cli.cli.rotating import secret_target_of
    from sophia_cli.cli.runtime import session
    from sophia_cli.cli.state import rotations_of
    from sophia_cli.core.secret_versions import secret_target
    from sophia_cli.flows.deploy import typed_name
    from sophia_cli.flows.plan import parsed_overrides
    from sophia_cli.flows.rotation import plan_turn

    # Its name was typed as the argument, which is what a change that cannot be undone wants.
    common = replace(common, confirm=[*(common.confirm or ()), typed_name(secret_target(path))])
    async with session(common, "secrets rotate") as found:
        await settle(found)
        port = secret_target_of(found, path, _kind(found, path, kind), github, length, old_id)
        assert found.file is not None
        assert found.seals is not None
        found.targets[port.id] = port
        lifted = parsed_overrides(common.override or ())
        notes: tuple[str, ...] = ()
        runs: list[str] = []
        while True:
            turn = await plan_turn(path, port, found.file, found.seals, found.settings, found.ground(), lifted)
            if turn.is_last and hold:
                break
            notes = turn.judged.plan.notes
            run = await applied(found, await consented(found, turn.judged))
            runs += [] if run is None else [run.id]
            if turn.is_last:
                await found.reload()
                held, _ = _held(found.environment) if found.environment is not None else ([], [])
                values = {one.path: one.value for one in held if one.path == path}
                await rotations_of(found.documents, found.settings.environment).first_seen(values, found.clock.now())
                break
    if hold:
        notes = (*notes, "both values are valid; run the command without --hold to end the old one")
    _say(common, turn.versions, runs, notes, is_done=turn.is_last and not hold)
    return 0


def _kind(found: Session, path: str, kind: str) -> str:
    """How a secret of the environment is rotated. Raises `UsageError` where there is none, `Refused` where no API does it."""
    from sophia_cli.cli.rotating import GENERATED, PULUMI
    from sophia_cli.core.errors import UsageError
    from sophia_cli.core.secrets_inventory import kind_of

    if kind not in (_AUTO, GENERATED, PULUMI):
        raise UsageError(f"--kind {kind}: one of {_AUTO}, {GENERATED}, {PULUMI}")
    node = None if found.environment is None else found.environment.get(path)
    value = None if node is None else node.text()
    if value is None:
        raise UsageError(f"{path}: the environment has no such secret", hint="sophia secrets list names them")
    what = kind_of(path, value)
    chosen = what.how if kind == _AUTO else kind
    if chosen not in (GENERATED, PULUMI):
        raise _by_hand(path, what)
    return chosen


def _by_hand(path: str, what: Kind) -> Exception:
    from sophia_cli.core.errors import Refused

    if what.how == "never":
        return Refused(f"{path} ({what.name}) is not rotated", hint="--kind generated replaces it all the same")
    clicks = "".join(f"\n  {number}. {step}" for number, step in enumerate(what.steps, 1))
    return Refused(f"{path}: a {what.name} cannot be rotated by API. By hand:{clicks}", hint="sophia secrets list")


def _say(common: Common, versions: SecretVersions, runs: Sequence[str], notes: Sequence[str], *, is_done: bool) -> None:
    from sophia_cli.output.json_v1 import envelope
    from sophia_cli.output.secrets import rotated_text

    data = {
        "path": versions.path,
        "kind": versions.source,
        "rotation": versions.current,
        "step": "done" if is_done else "finish",
        "consumers": list(versions.consumers),
        "notes": list(notes),
        "runs": list(runs),
    }
    if common.output is Output.json:
        result(envelope("rotation", data))
    else:
        said(common, rotated_text(data))
        note(common, "sophia secrets list shows when it is due again")
