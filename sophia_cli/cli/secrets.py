"""`sophia secrets list|rotate`: what is secret, how old it is, what lies open, and its replacement in four steps."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import note, only, result, said

if TYPE_CHECKING:
    from sophia_cli.cli.runtime import Session
    from sophia_cli.core.changes import Change
    from sophia_cli.core.rotation import Consumer, Rotations, Source
    from sophia_cli.core.secrets_inventory import Held, Inventory, Kind
    from sophia_cli.core.settings import Settings
    from sophia_cli.esc.environment import Environment
    from sophia_cli.flows.rotation import Rotated
    from sophia_cli.flows.secrets import Line

_FORMS = (Output.text, Output.json, Output.markdown)
_AUTO, _GENERATED, _PULUMI = "auto", "generated", "pulumi-token"


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
    from sophia_cli.cli.runtime import wants_colour
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
    from sophia_cli.cli.runtime import secret_state, state_dir
    from sophia_cli.flows.secrets import inventory

    learn({secret.get_secret_value() for secret in settings.secrets})
    rotations, seals = secret_state(state_dir(common, environment.file))
    held, plain = _held(environment)
    lines, gaps = await _history(environment, wanted=history)
    gaps.append(("TXT records of the live zones", "sophia analyze looks at them (TXT-SECRET)"))
    now = SystemClock().now()
    return await inventory(settings, held, plain, lines, gaps, rotations, seals, now)


def _held(environment: Environment) -> tuple[list[Held], list[Held]]:
    """The secrets of an environment, each where it enters it, and every other text."""
    from sophia_cli.core.secrets_inventory import Held
    from sophia_cli.flows.rotation import PREVIOUS

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
    from sophia_cli.cli.applying import settle
    from sophia_cli.cli.runtime import secret_state, session
    from sophia_cli.core.errors import Refused, UsageError
    from sophia_cli.core.secrets_inventory import kind_of
    from sophia_cli.flows.rotation import rotate

    if kind not in (_AUTO, _GENERATED, _PULUMI):
        raise UsageError(f"--kind {kind}: one of {_AUTO}, {_GENERATED}, {_PULUMI}")
    async with session(common, "secrets") as found:
        await settle(found)
        node = None if found.environment is None else found.environment.get(path)
        value = None if node is None else node.text()
        if value is None:
            raise UsageError(f"{path}: the environment has no such secret", hint="sophia secrets list names them")
        if found.file is None:
            raise Refused(f"the environment {found.settings.environment} cannot be written here")
        what = kind_of(path, value)
        chosen = what.how if kind == _AUTO else kind
        if chosen not in (_GENERATED, _PULUMI):
            raise _by_hand(path, what)
        rotations, _ = secret_state(found.state)
        desk = await _desk(found, rotations, chosen, github, length, old_id, hold=hold, path=path)
        done = await rotate(path, desk)
        if done.rotation.step == "done":
            renewed = desk.seals.seal(await desk.evaluated(path))
            await rotations.first_seen({path: renewed}, found.clock.now())
    _say(common, done)
    return 0


def _by_hand(path: str, what: Kind) -> Exception:
    from sophia_cli.core.errors import Refused

    if what.how == "never":
        return Refused(f"{path} ({what.name}) is not rotated", hint="--kind generated replaces it all the same")
    clicks = "".join(f"\n  {number}. {step}" for number, step in enumerate(what.steps, 1))
    return Refused(f"{path}: a {what.name} cannot be rotated by API. By hand:{clicks}", hint="sophia secrets list")


async def _desk(
    found: Session,
    rotations: Rotations,
    kind: str,
    github: Sequence[str],
    length: int,
    old_id: str | None,
    *,
    hold: bool,
    path: str,
) -> Any:
    from sophia_cli.cli.applying import applied, consented
    from sophia_cli.cli.clock import new_run_id
    from sophia_cli.cli.redaction import learn
    from sophia_cli.flows.plan import assemble, judged, policy_of
    from sophia_cli.flows.rotation import Desk

    file, seals = found.file, found.seals
    assert file is not None
    assert seals is not None
    await file.read()

    async def evaluated(name: str) -> str | None:
        await found.reload()
        node = None if found.environment is None else found.environment.get(name)
        text = None if node is None else node.text()
        if text:
            learn({text})
        return text

    async def carry_out(changes: Sequence[Change]) -> None:
        now = found.clock.now()
        plan = assemble(found.settings, [], changes, [], now, files=[await file.read()])
        whole = await judged(plan, await policy_of(found.settings, found.store), [], found.store, now)
        await applied(found, await consented(found, whole))
        await file.read()

    def current() -> str:
        node = None if found.environment is None else found.environment.get(path)
        return (None if node is None else node.text()) or ""

    return Desk(
        environment=found.settings.environment,
        source=_source(found, kind, length, current),
        consumers=list(_consumers(github)),
        rotations=rotations,
        seals=seals,
        clock=found.clock,
        stream=found.stream(),
        stands=file.source,
        evaluated=evaluated,
        carry_out=carry_out,
        new_id=lambda: new_run_id(found.clock),
        known_ref=old_id,
        hold=hold,
    )


def _source(found: Session, kind: str, length: int, current: Any) -> Source:
    from datetime import timedelta

    from sophia_cli.cli.runtime import secret_state
    from sophia_cli.core.secrets_inventory import DEFAULT_DAYS

    if kind == _GENERATED:
        from sophia_cli.providers.rotation.generated import Generated

        return Generated(lambda: secret_state(found.state)[1].key, length)
    from sophia_cli.providers.rotation.pulumi import DEFAULT_BACKEND, PulumiToken

    days = found.settings.security.secret_rotation_days or DEFAULT_DAYS
    backend = os.environ.get("PULUMI_BACKEND_URL") or DEFAULT_BACKEND
    return PulumiToken(current, backend, timedelta(days=2 * days))


def _consumers(github: Sequence[str]) -> Iterator[Consumer]:
    from pydantic import SecretStr

    from sophia_cli.cli.redaction import learn
    from sophia_cli.core.errors import CredentialsMissing
    from sophia_cli.providers.rotation.github import DEFAULT_API, GitHubSecret

    for target in dict.fromkeys(github):
        token = os.environ.get("GH_TOKEN") or os.environ.get("GITHUB_TOKEN")
        if not token:
            raise CredentialsMissing("--github wants a token that may write secrets", hint="set GITHUB_TOKEN")
        learn({token})
        yield GitHubSecret(target, SecretStr(token), os.environ.get("GITHUB_API_URL") or DEFAULT_API)


def _say(common: Common, done: Rotated) -> None:
    from sophia_cli.output.json_v1 import envelope
    from sophia_cli.output.secrets import rotated_text

    one = done.rotation
    data = {
        "path": one.path,
        "kind": one.kind,
        "rotation": one.id,
        "step": one.step,
        "consumers": sorted(one.consumers),
        "notes": list(done.notes),
    }
    if common.output is Output.json:
        result(envelope("rotation", data))
    else:
        said(common, rotated_text(data))
        note(common, "sophia secrets list shows when it is due again")
