"""What `sophia doctor` looks at for stacks: the CLI, its language hosts, the backend, its login. Offers its installation."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sophia_cli.core.errors import Declined, InvalidEnvironment, SophiaError

if TYPE_CHECKING:
    from sophia_cli.cli.options import Common
    from sophia_cli.core.settings import Pulumi, Settings
    from sophia_cli.providers.pulumi.installation import Installation

INSTALL = "sophia doctor --install-pulumi, or: https://www.pulumi.com/docs/install/"
CLOUD = "https://api.pulumi.com"


class Look(NamedTuple):
    """One thing looked at: fine, missing, or not needed (`ok` None), and what mends it."""

    name: str
    ok: bool | None
    message: str
    mend: str = ""


async def stack_looks(settings: Settings | None) -> list[Look]:
    """What stacks need and whether it is there. Runs `pulumi version` and nothing else of the CLI."""
    from sophia_cli.providers.pulumi.process import found_cli

    wanted = None if settings is None or not settings.pulumi.stacks else settings
    path = found_cli(os.environ)
    if path is None:
        message = "the CLI is not on PATH; stacks are left out"
        found = [Look("pulumi", None if wanted is None else False, message, INSTALL)]
    else:
        found = await _installed(path, wanted)
    return found if wanted is None else [*found, *_backend(wanted)]


async def _installed(path: str, settings: Settings | None) -> list[Look]:
    from sophia_cli.providers.pulumi.explain import MINIMUM
    from sophia_cli.providers.pulumi.installation import inspected
    from sophia_cli.providers.pulumi.process import PulumiCli

    with tempfile.TemporaryDirectory(prefix="sophia-doctor-") as scratch:
        try:
            there = await inspected(PulumiCli(path, Path(scratch)), path, os.environ)
        except OSError as exc:
            return [Look("pulumi", False, f"{path} cannot be run: {exc.strerror or exc}", INSTALL)]
    if there.is_old:
        needed = ".".join(map(str, MINIMUM))
        return [Look("pulumi", False, f"{path} is version {there.version}; {needed} or later is needed", INSTALL)]
    found = Look("pulumi", True, f"{path}, version {there.version or 'unknown'}")
    return [found] if settings is None else [found, _language(there, settings)]


def _language(there: Installation, settings: Settings) -> Look:
    """Whether the language host of the program's runtime is there."""
    try:
        runtime = "python" if settings.pulumi.program is not None else _runtime(_work_dir(settings))
    except SophiaError as exc:
        return Look("pulumi program", False, exc.message, exc.hint or "")
    known = ", ".join(there.languages) or "none"
    if runtime in there.languages:
        return Look("pulumi language", True, f"{runtime} (hosts: {known})")
    return Look("pulumi language", False, f"there is no host for {runtime} (hosts: {known})", INSTALL)


def _runtime(folder: Path) -> str:
    """The runtime a project names (Pulumi, "Project file"). Raises `InvalidEnvironment`."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    from sophia_cli.providers.pulumi.project import project_file

    path = project_file(folder)
    try:
        data = YAML(typ="safe", pure=True).load(path)
    except (OSError, UnicodeDecodeError, YAMLError) as exc:
        raise InvalidEnvironment(f"{path}: the project file cannot be read", hint="mend it") from exc
    runtime = data.get("runtime") if isinstance(data, Mapping) else None
    name = runtime.get("name") if isinstance(runtime, Mapping) else runtime
    if not isinstance(name, str):
        raise InvalidEnvironment(f"{path}: the project names no runtime", hint="add a line such as: runtime: python")
    return name


def _base(settings: Settings) -> Path:
    return Path(settings.writable).absolute().parent if settings.writable else Path.cwd()


def _work_dir(settings: Settings) -> Path:
    return _base(settings) / Path(settings.pulumi.work_dir or ".").expanduser()


def _backend(settings: Settings) -> list[Look]:
    """Where stacks are kept, whether somebody is logged in where that is needed, and what opens their secrets."""
    from sophia_cli.providers.pulumi.project import absolute_backend, is_cloud

    pulumi = settings.pulumi
    backend = absolute_backend(pulumi.backend or os.environ.get("PULUMI_BACKEND_URL") or None, _base(settings))
    if backend is None or is_cloud(backend):
        return [_login(backend or CLOUD, pulumi)]
    folder = Path(backend.removeprefix("file://").partition("?")[0])
    if backend.startswith("file://") and not folder.is_dir():
        return [Look("pulumi backend", False, f"{folder} is not there", f"mkdir -p {folder}")]
    found = [Look("pulumi backend", True, backend)]
    given = pulumi.passphrase is not None or any(
        name in os.environ for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
    )
    if not given and (pulumi.secrets_provider or "passphrase") == "passphrase":
        message = "the stacks' secrets are kept under a passphrase, and none is given"
        found.append(
            Look("pulumi passphrase", False, message, "set pulumi.passphrase, or export PULUMI_CONFIG_PASSPHRASE")
        )
    return found


def _login(backend: str, pulumi: Pulumi) -> Look:
    """A login counts where the engine looks for it: the token, or the home that the environment shares."""
    home = None if pulumi.home is None else Path(pulumi.home).expanduser() / "credentials.json"
    if os.environ.get("PULUMI_ACCESS_TOKEN") or (home is not None and home.is_file()):
        return Look("pulumi backend", True, f"{backend}, with a login")
    mend = "export PULUMI_ACCESS_TOKEN, or name a backend without one: pulumi.backend (such as file://./state)"
    return Look("pulumi backend", False, f"nobody is logged in to {backend}", mend)


async def install_cli(common: Common) -> str:
    """Install the official CLI for this user, after a yes; its path. Raises `Declined` and `Unreachable`."""
    from sophia_cli.cli.asking import choice
    from sophia_cli.cli.session import may_ask
    from sophia_cli.providers.pulumi import installation

    root = Path.home() / ".pulumi"
    if not common.yes:
        if not may_ask(common):
            raise Declined("nobody said yes to the installation", hint="add --yes to agree without being asked")
        options = {"no": "leave everything as it is", "yes": f"download it into {root}"}
        if choice(f"Install the official Pulumi CLI into {root}, over the network?", options) != "yes":
            raise Declined("declined; nothing was installed")
    return await installation.install(root)
