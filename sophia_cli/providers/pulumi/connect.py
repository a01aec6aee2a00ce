"""A stack target made from an environment's settings: its project, its home, its variables, its key. Runs nothing yet."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from sophia_cli.core.errors import InvalidEnvironment, StateError
from sophia_cli.core.ports import Clock
from sophia_cli.core.settings import Pulumi, Stack
from sophia_cli.providers.pulumi.configuration import revealed, secrets_in
from sophia_cli.providers.pulumi.engine import Engine, Progress, TimeLimits
from sophia_cli.providers.pulumi.explain import Place
from sophia_cli.providers.pulumi.process import Cli, PulumiCli, found_cli
from sophia_cli.providers.pulumi.project import (
    Project,
    absolute_backend,
    inline_project,
    is_cloud,
    local_project,
    qualified,
)
from sophia_cli.providers.pulumi.target import StackOptions, StackTarget
from sophia_cli.providers.pulumi.variables import child_environment
from sophia_cli.providers.pulumi.workspace import Replace, Workspace

SHORTEST = 6
_ROUNDS = 100_000  # a guess at the passphrase costs as much as one at the stack's own secrets
MISSING = "pulumi"  # looked up when it is run, and explained then


@dataclass(frozen=True, slots=True)
class Given:
    """What a command knows that the settings do not say.

    `base` is the folder relative paths start from (the environment file's), `state` sophia's own state directory,
    `process` the variables of sophia's own process. `config` and `variables` are the ESC environment's `pulumiConfig` and
    `environmentVariables`, secrets as `SecretStr`. `token` logs in to Pulumi Cloud, and only a Cloud backend gets it.
    """

    base: Path
    state: Path
    process: Mapping[str, str]
    config: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    token: SecretStr | None = None
    organization: str | None = None
    message: str = ""


def connect(
    settings: Pulumi,
    stack: Stack,
    given: Given,
    clock: Clock,
    replace_text: Replace,
    *,
    on_step: Progress | None = None,
    limits: TimeLimits | None = None,
    cli: Cli | None = None,
) -> StackTarget:
    """The target of one stack of the environment. Raises `InvalidEnvironment` or `UsageError` for what cannot work."""
    folder = given.state / "pulumi"
    backend = absolute_backend(settings.backend or given.process.get("PULUMI_BACKEND_URL") or None, given.base)
    project = _project(settings, stack, given, folder)
    if backend is None:
        backend = absolute_backend(project.backend, project.folder)
    _refuse_plain(backend)
    organization = given.organization or given.process.get("PULUMI_ORGANIZATION")
    name = qualified(stack.name, project.name, backend, organization)
    path = found_cli(given.process)
    home = _home(settings, given, folder)
    modules = _path(given.base, settings.work_dir) if settings.work_dir else given.base
    program = f"{settings.program} in {modules}" if settings.program else ""
    own = None if settings.home else str(home)
    place = Place(name, str(project.folder), backend or "Pulumi Cloud", own, program)
    environment = _variables(settings, given, project, backend, home, path)
    engine = Engine(
        cli=cli or PulumiCli(path or MISSING, folder / "tmp", None if settings.home else home / "logs"),
        place=place,
        cwd=project.folder,
        environment=environment,
        limits=limits or TimeLimits(),
        policy_packs=tuple(str(_path(given.base, pack)) for pack in settings.policy_packs),
        hide=_secret_texts(settings, stack, given),
    )
    options = StackOptions(
        config={**given.config, **stack.config},
        secrets_provider=settings.secrets_provider or (None if is_cloud(backend) else "passphrase"),
        key=shared_key(environment.get("PULUMI_CONFIG_PASSPHRASE"), name) or digest_key(folder),
        message=given.message,
    )
    return StackTarget(Workspace(engine, project, folder / "tmp", replace_text), options, clock, on_step)


def _refuse_plain(backend: str | None) -> None:
    """Raises `InvalidEnvironment` for a backend that would be sent the token and the state unencrypted."""
    if backend is None or not backend.startswith("http://"):
        return
    host = urlsplit(backend).hostname or ""
    if not _is_here(host):
        raise InvalidEnvironment(f"pulumi.backend: {backend} is not encrypted", hint=f"write https://{host}")


def _is_here(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _project(settings: Pulumi, stack: Stack, given: Given, folder: Path) -> Project:
    work_dir = _path(given.base, settings.work_dir) if settings.work_dir else given.base
    if settings.program is None:
        return local_project(work_dir)
    parts = stack.name.split("/")
    name = settings.project or (parts[-2] if len(parts) > 1 else given.process.get("PULUMI_PROJECT"))
    if not name:
        raise InvalidEnvironment(
            "pulumi.program: an inline program needs a project name", hint="add pulumi.project, such as: project: shop"
        )
    return inline_project(settings.program, name, work_dir, folder / "programs" / name)


def _variables(
    settings: Pulumi, given: Given, project: Project, backend: str | None, home: Path, cli: str | None
) -> dict[str, str]:
    forced: dict[str, str] = {"PULUMI_HOME": str(home)}
    if backend is not None:
        forced["PULUMI_BACKEND_URL"] = backend
    if is_cloud(backend):
        token = given.token.get_secret_value() if given.token else given.process.get("PULUMI_ACCESS_TOKEN")
        forced |= {"PULUMI_ACCESS_TOKEN": token} if token else {}
    if settings.passphrase is not None:
        forced["PULUMI_CONFIG_PASSPHRASE"] = settings.passphrase.get_secret_value()
    own = {name: str(revealed(value)) for name, value in given.variables.items() if value is not None}
    if settings.program is not None:  # dynamic providers run in a process of their own, which has to find its modules
        modules = [str(_path(given.base, settings.work_dir) if settings.work_dir else given.base)]
        forced["PYTHONPATH"] = os.pathsep.join([*modules, *filter(None, [own.get("PYTHONPATH")])])
    # Language hosts lie beside the CLI.
    first = [*project.path_first, *([str(Path(cli).resolve().parent)] if cli else [])]
    path = own.get("PATH") or given.process.get("PATH", os.defpath)
    forced["PATH"] = os.pathsep.join(dict.fromkeys([*first, *path.split(os.pathsep)]))
    return child_environment(
        given.process,
        own,
        backend=backend,
        secrets_provider=settings.secrets_provider,
        through=frozenset(settings.pass_variables),
        forced=forced,
    )


def _secret_texts(settings: Pulumi, stack: Stack, given: Given) -> tuple[str, ...]:
    """Every secret that goes to the program, longest first; what is too short to be told from other text is left out."""
    places = [given.config, stack.config, given.variables, [settings.passphrase, given.token]]
    texts = {one.get_secret_value() for place in places for one in secrets_in(place)}
    return tuple(sorted((text for text in texts if len(text) >= SHORTEST), key=lambda text: (-len(text), text)))


def _home(settings: Pulumi, given: Given, folder: Path) -> Path:
    """The home of plugins, logins and the selected stack: sophia's own, so that the user's stays as it is."""
    if settings.home is not None:
        return _path(given.base, settings.home)
    home = folder / "home"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.plugins is not None:
        link = home / "plugins"
        with contextlib.suppress(FileExistsError):
            link.symlink_to(_path(given.base, settings.plugins), target_is_directory=True)
    return home


def shared_key(passphrase: str | None, stack: str) -> bytes | None:
    """The key for digests of secrets that all machines with the stack's passphrase have, so that their plans agree."""
    if not passphrase:
        return None
    return hashlib.pbkdf2_hmac("sha256", passphrase.encode(), f"sophia digests {stack}".encode(), _ROUNDS)


def digest_key(folder: Path) -> bytes:
    """The key of this state directory for digests of secrets, made at the first use. Raises `StateError`."""
    path = folder / "digest.key"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as stream:
                stream.write(secrets.token_hex(32))
        return bytes.fromhex(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as exc:
        raise StateError(f"{path} cannot be used: {exc}", hint="remove it; it is made again") from exc


def _path(base: Path, text: str) -> Path:
    path = Path(text).expanduser()
    return path if path.is_absolute() else (base / path).resolve()
